//! Reads jobs: one, a filtered list, those that run.

use std::collections::HashMap;

use rusqlite::{params, params_from_iter};

use crate::domain::attempt::{Attempt, AttemptKey};
use crate::domain::ids::JobId;
use crate::domain::job::{Job, JobStatus};
use crate::store::read::{JobFilter, Page, PageRequest, StatusCount};
use crate::store::sqlite::connection::Connection;
use crate::store::sqlite::page::{after, cut};
use crate::store::sqlite::query::Query;
use crate::store::sqlite::rows::{attempt, count, ids, job, parsed, word};
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
    SELECT status, COUNT(*) AS number FROM jobs GROUP BY status";

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
    let Query { sql, values } = filtered(filter, page, after(page)?);
    let rows = connection.all(&sql, params_from_iter(values))?;
    let mut items = rows.iter().map(job).collect::<Result<Vec<_>, _>>()?;
    let next = cut(&mut items, page, |job| job.id.to_string());
    add_attempts(connection, &mut items)?;
    Ok(Page { items, next })
}

pub(super) fn filtered(filter: &JobFilter, page: &PageRequest, after: Option<JobId>) -> Query {
    // The page's ids come from an index alone wherever one has them; only its own rows are read in full.
    let mut query = Query::new("SELECT jobs.* FROM (SELECT id AS listed FROM jobs");
    if is_only_about_time(filter) {
        query.push(" INDEXED BY jobs_by_creation");
    }
    query.push(" WHERE true");
    any_of(
        &mut query,
        "status",
        filter.status.iter().map(|status| status.as_str().to_owned()),
    );
    any_of(
        &mut query,
        "reason",
        filter.reason.iter().map(|reason| reason.as_str().to_owned()),
    );
    any_of(
        &mut query,
        "trigger_kind",
        filter.trigger.iter().map(|trigger| trigger.as_str().to_owned()),
    );
    any_of(&mut query, "playbook", filter.playbook.iter().cloned());
    any_of(&mut query, "route", filter.route.iter().cloned());
    any_of(&mut query, "target", filter.target.iter().cloned());
    any_of(&mut query, "alertname", filter.alertname.iter().cloned());
    any_of(&mut query, "fingerprint", filter.fingerprint.iter().cloned());
    if let Some(since) = filter.since {
        query.push(" AND created_at >= ").bind(since.as_micros());
    }
    if let Some(until) = filter.until {
        query.push(" AND created_at <= ").bind(until.as_micros());
    }
    containing(&mut query, &filter.q);
    if let Some(after) = after {
        query.push(" AND id < ").bind(after.to_string());
    }
    query
        .push(" ORDER BY id DESC LIMIT ")
        .bind(i64::from(page.limit) + 1)
        .push(") CROSS JOIN jobs ON id = listed ORDER BY id DESC");
    query
}

/// Whether nothing but the time of creation narrows the list, so that its index is the best one.
fn is_only_about_time(filter: &JobFilter) -> bool {
    let others = JobFilter {
        since: None,
        until: None,
        ..filter.clone()
    };
    others == JobFilter::default() && (filter.since.is_some() || filter.until.is_some())
}

fn containing(query: &mut Query, texts: &[String]) {
    for (index, text) in texts.iter().enumerate() {
        query
            .push(if index == 0 { " AND (" } else { " OR " })
            .push(
                "instr(lower(id || char(10) || playbook || char(10) || coalesce(route, '') || char(10) || target \
                 || char(10) || coalesce(alert ->> 'labels', '')), lower(",
            )
            .bind(text.clone())
            .push(")) > 0");
    }
    if !texts.is_empty() {
        query.push(")");
    }
}

fn any_of(query: &mut Query, column: &'static str, values: impl Iterator<Item = String>) {
    let mut values = values.peekable();
    if values.peek().is_none() {
        return;
    }
    query.push(" AND ").push(column).push(" IN (");
    for (index, value) in values.enumerate() {
        query.push(if index == 0 { "" } else { ", " }).bind(value);
    }
    query.push(")");
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
