//! Logs and task results: rows that are added, never changed.

use rusqlite::params;

use crate::domain::attempt::{AttemptKey, TaskResult};
use crate::store::sqlite::connection::Row;
use crate::store::sqlite::rows::{count, integer, to_json};
use crate::store::sqlite::writer::{Scope, Write};
use crate::store::{LOG_BLOCK, StoreError};

const EXTEND_LOG: &str = "
    -- extend_log
    UPDATE attempts
    SET    log_bytes = ?4 + ?5
    WHERE  job = ?1 AND number = ?2 AND fence = ?3 AND log_bytes = ?4 AND finished_at IS NULL
    RETURNING id";

const INSERT_CHUNK: &str = "
    -- insert_chunk
    INSERT INTO log_chunks (attempt, start, length, compressed, data) VALUES (?1, ?2, ?3, ?4, ?5)";

const FIND_ATTEMPT: &str = "
    -- find_own_attempt
    SELECT id FROM attempts WHERE job = ?1 AND number = ?2 AND fence = ?3 AND finished_at IS NULL";

const DELETE_CHUNKS: &str = "
    -- delete_chunks
    DELETE FROM log_chunks WHERE attempt = ?1 AND start >= ?2 AND start < ?3 RETURNING start, length";

const EXTEND_TASKS: &str = "
    -- extend_tasks
    UPDATE attempts
    SET    tasks = ?4 + ?5
    WHERE  job = ?1 AND number = ?2 AND fence = ?3 AND tasks = ?4 AND finished_at IS NULL
    RETURNING id";

const INSERT_TASKS: &str = "
    -- insert_tasks
    INSERT INTO tasks (attempt, position, result) SELECT ?2, ?3 + key, value FROM json_each(?1)";

/// Adds bytes at the end of the log.
pub(super) struct AppendLog {
    key: AttemptKey,
    offset: u64,
    length: usize,
    chunks: Vec<Chunk>,
}

/// How long it is, whether it is compressed, and what is stored of it.
type Chunk = (usize, bool, Vec<u8>);

impl AppendLog {
    /// Compresses whole blocks, so that the writer need not: they would have to be in a moment, and the disk would have the most
    /// work with them.
    pub(super) fn new(key: AttemptKey, offset: u64, bytes: Vec<u8>) -> Result<Self, StoreError> {
        let length = bytes.len();
        let chunks = if length < LOG_BLOCK {
            vec![(length, false, bytes)]
        } else {
            bytes.chunks(LOG_BLOCK).map(chunk).collect::<Result<_, _>>()?
        };
        Ok(Self {
            key,
            offset,
            length,
            chunks,
        })
    }
}

fn chunk(bytes: &[u8]) -> Result<Chunk, StoreError> {
    let is_block = bytes.len() == LOG_BLOCK;
    let data = if is_block { compress(bytes)? } else { bytes.to_vec() };
    Ok((bytes.len(), is_block, data))
}

impl Write for AppendLog {
    type Output = ();

    fn apply(self, scope: &mut Scope<'_>) -> Result<(), StoreError> {
        let Self {
            key,
            mut offset,
            length,
            chunks,
        } = self;
        let attempt = extend(scope, EXTEND_LOG, key, offset, length)?;
        if length == 0 {
            return Ok(());
        }
        for chunk in chunks {
            let next = offset + chunk.0 as u64;
            insert_chunk(scope, attempt, offset, chunk)?;
            offset = next;
        }
        scope.grew(key.job);
        Ok(())
    }
}

/// Puts one compressed chunk in the place of many small ones.
pub(super) struct SealLog {
    key: AttemptKey,
    offset: u64,
    length: usize,
    compressed: Vec<u8>,
}

impl SealLog {
    /// Compresses, so that the writer need not.
    pub(super) fn new(key: AttemptKey, offset: u64, bytes: &[u8]) -> Result<Self, StoreError> {
        Ok(Self {
            key,
            offset,
            length: bytes.len(),
            compressed: compress(bytes)?,
        })
    }
}

impl Write for SealLog {
    type Output = ();

    fn apply(self, scope: &mut Scope<'_>) -> Result<(), StoreError> {
        let Self {
            key,
            offset,
            length,
            compressed,
        } = self;
        let attempt: i64 = scope
            .connection
            .optional_value(FIND_ATTEMPT, params![key.job.to_string(), key.number, key.fence])?
            .ok_or(StoreError::LostClaim(key))?;
        let replaced = scope.connection.all(
            DELETE_CHUNKS,
            params![attempt, integer(offset), integer(offset.saturating_add(length as u64))],
        )?;
        if !covers(&replaced, offset, length)? {
            return Err(StoreError::Conflict(format!(
                "the log of job {} has no chunks that cover just {length} bytes from {offset} on",
                key.job
            )));
        }
        if length == 0 {
            return Ok(());
        }
        insert_chunk(scope, attempt, offset, (length, true, compressed))
    }
}

fn compress(bytes: &[u8]) -> Result<Vec<u8>, StoreError> {
    zstd::bulk::compress(bytes, zstd::DEFAULT_COMPRESSION_LEVEL)
        .map_err(|error| StoreError::Database(format!("failed to compress a log: {error}")))
}

/// Whether the chunks reach from the offset just as far as the bytes that replace them. They have no gaps.
fn covers(chunks: &[Row], offset: u64, length: usize) -> Result<bool, StoreError> {
    let mut first = None;
    let mut covered = 0;
    for chunk in chunks {
        let start: u64 = count(chunk, "start")?;
        first = first.min(Some(start)).or(Some(start));
        covered += count::<usize>(chunk, "length")?;
    }
    Ok(covered == length && first.is_none_or(|first| first == offset))
}

/// Adds task results.
pub(super) struct RecordTasks {
    pub(super) key: AttemptKey,
    pub(super) first: u64,
    pub(super) results: Vec<TaskResult>,
}

impl Write for RecordTasks {
    type Output = ();

    fn apply(self, scope: &mut Scope<'_>) -> Result<(), StoreError> {
        let Self { key, first, results } = self;
        let attempt = extend(scope, EXTEND_TASKS, key, first, results.len())?;
        scope.execute(INSERT_TASKS, params![to_json(&results)?, attempt, integer(first)])?;
        scope.grew(key.job);
        Ok(())
    }
}

/// Moves the end of the log or of the tasks forward; fails if the claim is lost or the end is elsewhere.
fn extend(
    scope: &mut Scope<'_>,
    statement: &'static str,
    key: AttemptKey,
    from: u64,
    by: usize,
) -> Result<i64, StoreError> {
    let row = scope
        .connection
        .optional(
            statement,
            params![key.job.to_string(), key.number, key.fence, integer(from), integer(by)],
        )?
        .ok_or(StoreError::LostClaim(key))?;
    row.get("id")
}

fn insert_chunk(
    scope: &mut Scope<'_>,
    attempt: i64,
    offset: u64,
    (length, compressed, data): Chunk,
) -> Result<(), StoreError> {
    scope.execute(
        INSERT_CHUNK,
        params![attempt, integer(offset), integer(length), compressed, data],
    )?;
    Ok(())
}
