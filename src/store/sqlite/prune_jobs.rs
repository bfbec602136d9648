//! Removes old jobs with all that belongs to them. A job stays as long as its episode is open, or something refers to it.

use rusqlite::params;

use crate::store::StoreError;
use crate::store::sqlite::prune::remove_logs;
use crate::store::sqlite::rows::{integer, to_json};
use crate::store::sqlite::search_index;
use crate::store::sqlite::writer::Scope;
use crate::store::upkeep::{Portion, Removed};

/// The youngest first: so re-runs and the rungs of a ladder go before the jobs that they follow.
const OLD_JOBS: &str = "
    -- old_jobs
    SELECT jobs.id, jobs.created_at,
           COALESCE(jobs.finished_at < ?1, 0)
           AND (jobs.episode IS NULL
                OR EXISTS (SELECT 1 FROM episodes WHERE episodes.id = jobs.episode AND episodes.closed_at < ?1))
           AND NOT EXISTS (SELECT 1 FROM jobs AS later INDEXED BY jobs_of_original WHERE later.rerun_of = jobs.id)
           AND NOT EXISTS (SELECT 1 FROM jobs AS later INDEXED BY jobs_of_predecessor WHERE later.follows = jobs.id)
           AND NOT EXISTS (SELECT 1 FROM held INDEXED BY held_of_rung WHERE held.follows = jobs.id)
           AND NOT EXISTS (SELECT 1 FROM outbox INDEXED BY outbox_once_per_job
                           WHERE  outbox.job = jobs.id AND outbox.state = 'pending')
           AND jobs.id NOT IN (SELECT trial FROM breakers WHERE trial IS NOT NULL) AS may_go
    FROM   jobs INDEXED BY jobs_by_creation
    WHERE  (jobs.created_at, jobs.id) < (?2, ?3)
    ORDER  BY jobs.created_at DESC, jobs.id DESC
    LIMIT  ?4";

const TASKS_OF_JOBS: &str = "
    -- tasks_of_jobs
    DELETE FROM tasks
    WHERE  (attempt, position) IN (
        SELECT tasks.attempt, tasks.position
        FROM   json_each(?1) AS wanted
        JOIN   attempts ON attempts.job = wanted.value
        JOIN   tasks ON tasks.attempt = attempts.id
        LIMIT  ?2)";

const LOGS_OF_JOBS: &str = "
    -- logs_of_jobs
    SELECT attempts.id
    FROM   json_each(?1) AS wanted
    JOIN   attempts ON attempts.job = wanted.value
    WHERE  attempts.log_pruned < 2";

const EVENTS_OF_JOBS: &str = "
    -- remove_events_of_jobs
    DELETE FROM job_events WHERE job IN (SELECT value FROM json_each(?1))";

const MESSAGES_OF_JOBS: &str = "
    -- remove_messages_of_jobs
    DELETE FROM outbox WHERE job IN (SELECT value FROM json_each(?1))";

const DECISIONS_OF_JOBS: &str = "
    -- remove_decisions_of_jobs
    DELETE FROM decisions WHERE job IN (SELECT value FROM json_each(?1))";

const ATTEMPTS_OF_JOBS: &str = "
    -- remove_attempts_of_jobs
    DELETE FROM attempts WHERE job IN (SELECT value FROM json_each(?1))";

const REMOVE_JOBS: &str = "
    -- remove_jobs
    DELETE FROM jobs WHERE id IN (SELECT value FROM json_each(?1))";

const NAMES_OF_JOBS: &str = "
    -- names_of_jobs
    SELECT DISTINCT target, fingerprint FROM json_each(?1) AS wanted JOIN jobs ON jobs.id = wanted.value";

/// Task results that go in one transaction.
const TASKS: u64 = 1_000;

/// A portion of jobs. Those with long logs or many task results take several.
pub(super) fn jobs(scope: &mut Scope<'_>, portion: &Portion) -> Result<Removed, StoreError> {
    let (created_at, id) = place(portion)?;
    let rows = scope.connection.all(
        OLD_JOBS,
        params![portion.before.as_micros(), created_at, &id, portion.most],
    )?;
    let is_over = rows.len() < usize::try_from(portion.most).unwrap_or(usize::MAX);
    let (mut going, mut last) = (Vec::new(), None);
    for row in &rows {
        let (id, created_at): (String, i64) = (row.get("id")?, row.get("created_at")?);
        last = Some(format!("{created_at} {id}"));
        if row.get("may_go")? {
            going.push(id);
        }
    }
    let mut removed = Removed {
        next: last.filter(|_| !is_over),
        ..Removed::default()
    };
    if going.is_empty() {
        return Ok(removed);
    }
    let wanted = to_json(&going)?;
    let (log_bytes, is_bare) = strip(scope, &wanted)?;
    removed.log_bytes = log_bytes;
    if !is_bare {
        removed.next = Some(format!("{created_at} {id}"));
        return Ok(removed);
    }
    let names = names(scope, &wanted)?;
    for statement in [
        EVENTS_OF_JOBS,
        MESSAGES_OF_JOBS,
        DECISIONS_OF_JOBS,
        ATTEMPTS_OF_JOBS,
        REMOVE_JOBS,
    ] {
        removed.records = scope.execute(statement, params![&wanted])?;
    }
    search_index::forget(scope, &names)?;
    Ok(removed)
}

/// What these jobs can be found by.
fn names(scope: &mut Scope<'_>, jobs: &str) -> Result<Vec<(&'static str, String)>, StoreError> {
    let mut names = Vec::new();
    for row in scope.connection.all(NAMES_OF_JOBS, params![jobs])? {
        names.push(("target", row.get("target")?));
        let fingerprint: Option<String> = row.get("fingerprint")?;
        names.extend(fingerprint.map(|fingerprint| ("fingerprint", fingerprint)));
    }
    Ok(names)
}

/// Where the portion begins: before everything that was created so late.
fn place(portion: &Portion) -> Result<(i64, String), StoreError> {
    let Some(after) = &portion.after else {
        return Ok((portion.before.as_micros(), String::new()));
    };
    let parts = after.split_once(' ');
    parts
        .and_then(|(created_at, id)| Some((created_at.parse().ok()?, id.to_owned())))
        .ok_or_else(|| StoreError::BadCursor(after.clone()))
}

/// Removes task results and logs of these jobs. How many bytes of logs, and whether nothing of both is left.
fn strip(scope: &mut Scope<'_>, jobs: &str) -> Result<(u64, bool), StoreError> {
    if scope.execute(TASKS_OF_JOBS, params![jobs, integer(TASKS)])? == TASKS {
        return Ok((0, false));
    }
    let rows = scope.connection.all(LOGS_OF_JOBS, params![jobs])?;
    let (removed, are_gone) = remove_logs(scope, &rows)?;
    Ok((removed.log_bytes, are_gone))
}
