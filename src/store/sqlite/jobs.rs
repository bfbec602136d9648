//! Reads jobs: one, a filtered list, those that run.

use std::collections::HashMap;

use rusqlite::{params, params_from_iter};

use crate::domain::attempt::{Attempt, AttemptKey};
use crate::domain::ids::JobId;
use crate::domain::job::{Job, JobStatus};
use crate::store::read::{JobFilter, Page, PageRequest, StatusCount};
use crate::store::sqlite::connection::Connection;
use crate::store::sqlite::list_jobs::{Place, questions};
use crate::store::sqlite::page::cut;
use crate::store::sqlite::rows::{attempt, count, ids, job, parsed, word};
use crate::store::sqlite::search_jobs;
use crate::store::{ActiveRun, StoreError};

const LOAD_JOBS: &str = "
    -- load_jobs
    SELECT jobs.* FROM json_each(?1) AS wanted JOIN jobs ON jobs.id = wanted.value";

const LOAD_ATTEMPTS: &str = "
    -- load_attempts
    SELECT attempts.*
    FROM   json_each(?1) AS wanted
    JOIN   attempts ON attempts.job = wanted.value
    ORDER  BY attempts.job, attempts.number";

const ACTIVE_RUNS: &str = "
    -- active_runs
    SELECT jobs.id, jobs.fence, jobs.attempts AS number, attempts.log_bytes, attempts.tasks
    FROM   jobs
    JOIN   attempts ON attempts.job = jobs.id AND attempts.number = jobs.attempts
    WHERE  jobs.status = 'running'";

const COUNT_JOBS: &str = "
    -- count_jobs
    SELECT status, COUNT(*) AS number
    FROM   jobs INDEXED BY jobs_by_kind
    WHERE  status IN ('awaiting_approval', 'queued', 'running', 'verifying')
    GROUP  BY status
    UNION ALL
    SELECT status, jobs FROM ended_jobs WHERE jobs > 0";

/// Jobs by id, with their attempts.
pub(super) fn load_jobs(connection: &Connection, wanted: &[JobId]) -> Result<HashMap<JobId, Job>, StoreError> {
    if wanted.is_empty() {
        return Ok(HashMap::new());
    }
    let rows = connection.all(LOAD_JOBS, params![ids(wanted)?])?;
    let mut jobs = rows.iter().map(job).collect::<Result<Vec<_>, _>>()?;
    add_attempts(connection, &mut jobs)?;
    Ok(jobs.into_iter().map(|job| (job.id, job)).collect())
}

fn add_attempts(connection: &Connection, jobs: &mut [Job]) -> Result<(), StoreError> {
    let wanted: Vec<JobId> = jobs.iter().map(|job| job.id).collect();
    let rows = connection.all(LOAD_ATTEMPTS, params![ids(&wanted)?])?;
    let mut by_job: HashMap<JobId, Vec<Attempt>> = HashMap::new();
    for row in &rows {
        by_job.entry(parsed(row, "job")?).or_default().push(attempt(row)?);
    }
    for job in jobs {
        job.attempts = by_job.remove(&job.id).unwrap_or_default();
    }
    Ok(())
}

/// One job.
pub(super) fn find(connection: &Connection, id: JobId) -> Result<Option<Job>, StoreError> {
    Ok(load_jobs(connection, &[id])?.remove(&id))
}

/// Jobs that the filter lets through, newest first.
pub(super) fn list(connection: &Connection, filter: &JobFilter, page: &PageRequest) -> Result<Page<Job>, StoreError> {
    let most = i64::from(page.limit) + 1;
    let mut rows = Vec::new();
    let is_indexed = search_jobs::is_indexed(connection, &filter.q)?;
    for question in questions(filter, most, place(page)?, is_indexed) {
        rows = connection.all_once(&question.sql, params_from_iter(question.values))?;
        if rows.len() > usize::try_from(page.limit).unwrap_or(usize::MAX) {
            break;
        }
    }
    let mut items = rows.iter().map(job).collect::<Result<Vec<_>, _>>()?;
    let next = cut(&mut items, page, |job| {
        format!("{} {}", job.created_at.as_micros(), job.id)
    });
    add_attempts(connection, &mut items)?;
    Ok(Page { items, next })
}

/// Where the page begins; ids alone would not do where the clock was put back.
fn place(page: &PageRequest) -> Result<Option<Place>, StoreError> {
    let read = |after: &str| {
        let (created_at, id) = after.split_once(' ')?;
        let id: JobId = id.parse().ok()?;
        Some((created_at.parse().ok()?, id.to_string()))
    };
    page.after
        .as_deref()
        .map(|after| read(after).ok_or_else(|| StoreError::BadCursor(after.to_owned())))
        .transpose()
}

/// What was running when the gateway was last stopped.
pub(super) fn active_runs(connection: &Connection) -> Result<Vec<ActiveRun>, StoreError> {
    let rows = connection.all(ACTIVE_RUNS, [])?;
    let mut runs = Vec::with_capacity(rows.len());
    for row in &rows {
        let id: JobId = parsed(row, "id")?;
        let Some(job) = find(connection, id)? else { continue };
        let key = AttemptKey {
            job: id,
            number: count(row, "number")?,
            fence: row.get("fence")?,
        };
        runs.push(ActiveRun {
            key,
            job,
            log_bytes: count(row, "log_bytes")?,
            tasks: count(row, "tasks")?,
        });
    }
    Ok(runs)
}

/// How many jobs have each status.
pub(super) fn count_jobs(connection: &Connection) -> Result<Vec<StatusCount>, StoreError> {
    let rows = connection.all(COUNT_JOBS, [])?;
    rows.iter()
        .map(|row| {
            Ok(StatusCount {
                status: word(row, "status", JobStatus::parse)?,
                count: count(row, "number")?,
            })
        })
        .collect()
}
