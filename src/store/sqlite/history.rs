//! Reads what belongs to one job: its attempts, their logs and tasks, its history.

use rusqlite::params;

use crate::domain::attempt::{Attempt, TaskResult};
use crate::domain::ids::JobId;
use crate::domain::job::JobEvent;
use crate::store::StoreError;
use crate::store::read::{LogHead, Page, PageRequest};
use crate::store::sqlite::connection::{Connection, Row};
use crate::store::sqlite::page::{after, cut};
use crate::store::sqlite::rows::{attempt, count, integer, job_event, json};

const FIND_ATTEMPT: &str = "
    -- find_attempt
    SELECT * FROM attempts WHERE job = ?1 AND number = ?2";

const FIND_LAST_ATTEMPT: &str = "
    -- find_last_attempt
    SELECT * FROM attempts WHERE job = ?1 ORDER BY number DESC LIMIT 1";

const LIST_EVENTS: &str = "
    -- list_events
    SELECT * FROM job_events WHERE job = ?1 AND id > ?2 ORDER BY id LIMIT ?3";

const LIST_TASKS: &str = "
    -- list_tasks
    SELECT tasks.position, tasks.result
    FROM   attempts
    JOIN   tasks ON tasks.attempt = attempts.id
    WHERE  attempts.job = ?1 AND attempts.number = ?2 AND tasks.position > ?3
    ORDER  BY tasks.position
    LIMIT  ?4";

const LIST_FAILURES: &str = "
    -- list_failures
    SELECT tasks.result
    FROM   attempts
    JOIN   tasks ON tasks.attempt = attempts.id
    WHERE  attempts.job = ?1 AND attempts.number = ?2 AND tasks.result ->> '$.status' IN ('failed', 'unreachable')
    ORDER  BY tasks.position
    LIMIT  ?3";

const READ_CHUNKS: &str = "
    -- read_chunks
    SELECT start, length, compressed, data
    FROM   log_chunks
    WHERE  attempt = (SELECT id FROM attempts WHERE job = ?1 AND number = ?2)
    AND    start >= (SELECT COALESCE(MAX(start), 0)
                     FROM   log_chunks
                     WHERE  attempt = (SELECT id FROM attempts WHERE job = ?1 AND number = ?2) AND start <= ?3)
    ORDER  BY start
    LIMIT  ?4";

/// Chunks read at once; a sealed one has up to 256 KiB.
const CHUNKS: i64 = 16;

/// One attempt: the numbered one or the last.
pub(super) fn find_attempt(
    connection: &Connection,
    id: JobId,
    number: Option<u32>,
) -> Result<Option<Attempt>, StoreError> {
    let row = match number {
        Some(number) => connection.optional(FIND_ATTEMPT, params![id.to_string(), number])?,
        None => connection.optional(FIND_LAST_ATTEMPT, params![id.to_string()])?,
    };
    row.as_ref().map(attempt).transpose()
}

/// A job's history, oldest first.
pub(super) fn events(connection: &Connection, id: JobId, page: &PageRequest) -> Result<Page<JobEvent>, StoreError> {
    let rows = connection.all(
        LIST_EVENTS,
        params![id.to_string(), after(page)?.unwrap_or(0), i64::from(page.limit) + 1],
    )?;
    let mut items = rows.iter().map(numbered_event).collect::<Result<Vec<_>, _>>()?;
    let next = cut(&mut items, page, |(number, _)| number.to_string());
    Ok(Page {
        items: items.into_iter().map(|(_, event)| event).collect(),
        next,
    })
}

fn numbered_event(row: &Row) -> Result<(i64, JobEvent), StoreError> {
    Ok((row.get("id")?, job_event(row)?))
}

/// What Ansible did in an attempt, in the order of the results.
pub(super) fn tasks(
    connection: &Connection,
    id: JobId,
    number: u32,
    page: &PageRequest,
) -> Result<Page<TaskResult>, StoreError> {
    let rows = connection.all(
        LIST_TASKS,
        params![
            id.to_string(),
            number,
            after(page)?.unwrap_or(-1),
            i64::from(page.limit) + 1
        ],
    )?;
    let mut items = rows
        .iter()
        .map(|row| Ok((row.get::<i64>("position")?, json(row, "result")?)))
        .collect::<Result<Vec<(i64, TaskResult)>, StoreError>>()?;
    let next = cut(&mut items, page, |(position, _)| position.to_string());
    Ok(Page {
        items: items.into_iter().map(|(_, result)| result).collect(),
        next,
    })
}

/// What of that failed, or did not reach its host.
pub(super) fn failures(
    connection: &Connection,
    id: JobId,
    number: u32,
    most: u32,
) -> Result<Vec<TaskResult>, StoreError> {
    let rows = connection.all(LIST_FAILURES, params![id.to_string(), number, most])?;
    rows.iter().map(|row| json(row, "result")).collect()
}

/// How far the log goes; one that was pruned goes nowhere.
pub(super) fn log_head(connection: &Connection, id: JobId, number: u32) -> Result<LogHead, StoreError> {
    let found = find_attempt(connection, id, Some(number))?;
    let attempt = found.ok_or_else(|| StoreError::NotFound {
        what: "attempt",
        id: format!("{id}/{number}"),
    })?;
    Ok(LogHead {
        bytes: if attempt.log_pruned { 0 } else { attempt.log_bytes },
        complete: attempt.finished_at.is_some(),
    })
}

/// Log bytes from an offset on.
pub(super) fn read_log(
    connection: &Connection,
    (id, number): (JobId, u32),
    offset: u64,
    most: usize,
) -> Result<Vec<u8>, StoreError> {
    let rows = connection.all(READ_CHUNKS, params![id.to_string(), number, integer(offset), CHUNKS])?;
    let mut bytes = Vec::new();
    for row in &rows {
        if bytes.len() >= most {
            break;
        }
        let start: u64 = count(row, "start")?;
        let chunk = chunk(row)?;
        let skip = usize::try_from(offset.saturating_sub(start)).unwrap_or(usize::MAX);
        let rest = chunk.get(skip..).unwrap_or_default();
        bytes.extend_from_slice(&rest[..rest.len().min(most - bytes.len())]);
    }
    Ok(bytes)
}

fn chunk(row: &Row) -> Result<Vec<u8>, StoreError> {
    let data: Vec<u8> = row.get("data")?;
    let compressed: bool = row.get("compressed")?;
    if !compressed {
        return Ok(data);
    }
    let length: usize = count(row, "length")?;
    zstd::bulk::decompress(&data, length)
        .map_err(|error| StoreError::Database(format!("failed to read a log: {error}")))
}
