//! What the end of an episode, or of a waiting time, means for its jobs.

use serde_json::{Value, json};

use rusqlite::{Params, params};

use crate::domain::ids::{EpisodeId, JobId, Target};
use crate::domain::job::{JobStatus, Reason};
use crate::domain::timestamp::Timestamp;
use crate::store::StoreError;
use crate::store::observe::FinishedJob;
use crate::store::sqlite::connection::Row;
use crate::store::sqlite::insert::promote;
use crate::store::sqlite::outbox::tell_end;
use crate::store::sqlite::rows::{between, ids, parsed, target, time_option, to_json, word, word_option};
use crate::store::sqlite::writer::{Scope, Write};
use crate::store::sqlite::{blocked, breakers, held, ladder};

const WITHDRAW_WAITING: &str = "
    -- withdraw_waiting
    UPDATE jobs INDEXED BY jobs_of_episode
    SET    status = 'canceled', reason = 'resolved_meanwhile', finished_at = ?2, front = 0
    FROM   json_each(?1) AS closed
    WHERE  jobs.episode = closed.value ->> 'id' AND jobs.trigger_kind IN ('alert', 'ladder')
    AND    jobs.status IN ('queued', 'awaiting_approval')
    RETURNING id, target, playbook, route, status, reason, NULL AS healed_at, NULL AS episode_starts_at";

const HEAL_VERIFYING: &str = "
    -- heal_verifying
    UPDATE jobs INDEXED BY jobs_of_episode
    SET    status = 'succeeded', reason = 'healed', finished_at = ?2, healed_at = closed.value ->> 'ended_at',
           front = 0
    FROM   json_each(?1) AS closed
    WHERE  jobs.episode = closed.value ->> 'id' AND jobs.status = 'verifying'
    AND    jobs.checks ->> 'verify_query' IS NULL
    RETURNING id, target, playbook, route, status, reason, healed_at,
              (SELECT starts_at FROM episodes WHERE episodes.id = jobs.episode) AS episode_starts_at";

const STOP_RUNNING: &str = "
    -- stop_running
    UPDATE jobs INDEXED BY jobs_of_episode
    SET    cancel_requested_at = ?2, cancel_requested_by = 'healgate', cancel_reason = 'resolved_meanwhile'
    FROM   json_each(?1) AS closed
    WHERE  jobs.episode = closed.value ->> 'id' AND jobs.status = 'running' AND jobs.on_resolved = 'cancel'
    AND    jobs.cancel_requested_at IS NULL
    RETURNING id";

const HEAL_LATE: &str = "
    -- heal_late
    UPDATE jobs
    SET    healed_at = closed.value ->> 'ended_at', healed_late = 1
    FROM   json_each(?1) AS closed
    WHERE  jobs.id = (SELECT ran.id
                      FROM   jobs AS ran
                      WHERE  ran.episode = closed.value ->> 'id' AND ran.attempts > 0
                      AND    ran.check_mode = 0
                      ORDER  BY ran.started_at DESC, ran.id DESC
                      LIMIT  1)
    AND    jobs.finished_at IS NOT NULL AND jobs.healed_at IS NULL
    RETURNING id";

const EXPIRE_WAITING: &str = "
    -- expire_waiting
    UPDATE jobs INDEXED BY jobs_expiring
    SET    status = 'canceled', reason = 'expired', finished_at = ?1, front = 0
    WHERE  status IN ('queued', 'awaiting_approval') AND attempts = 0 AND expires_at <= ?1
    RETURNING id, target, playbook, route, status, reason, NULL AS healed_at, NULL AS episode_starts_at";

const GIVE_UP_VERIFYING: &str = "
    -- give_up_verifying
    UPDATE jobs INDEXED BY jobs_verifying
    SET    status = 'failed', reason = 'not_healed', finished_at = ?1, front = 0
    WHERE  status = 'verifying' AND verify_until <= ?1 AND checks ->> 'verify_query' IS NULL
    RETURNING id, target, playbook, route, status, reason, NULL AS healed_at, NULL AS episode_starts_at";

const GIVE_UP_QUERIES: &str = "
    -- give_up_queries
    UPDATE jobs INDEXED BY jobs_verifying
    SET    status = 'failed', reason = 'not_healed', finished_at = ?1, front = 0
    WHERE  status = 'verifying' AND verify_until <= ?1 AND checks ->> 'verify_query' IS NOT NULL
    RETURNING id, target, playbook, route, status, reason, NULL AS healed_at, NULL AS episode_starts_at";

const NOTE_ALL: &str = "
    -- note_all
    INSERT INTO job_events (job, at, event, actor, message)
    SELECT value, ?2, ?3, 'healgate', ?4 FROM json_each(?1)";

/// Ends what has waited too long.
pub(super) struct SettleDue(pub(super) Timestamp);

impl Write for SettleDue {
    type Output = Vec<JobId>;

    fn apply(self, scope: &mut Scope<'_>) -> Result<Vec<JobId>, StoreError> {
        settle_due(scope, self.0)
    }
}

/// Expires what waited too long, and gives up verifications whose time is over.
pub(super) fn settle_due(scope: &mut Scope<'_>, now: Timestamp) -> Result<Vec<JobId>, StoreError> {
    let expired = settle(
        scope,
        now,
        EXPIRE_WAITING,
        "expired: it waited longer than its route allows",
    )?;
    blocked::keep_expired(scope, &expired, now)?;
    let mut settled = expired;
    for (statement, message) in [
        (
            GIVE_UP_VERIFYING,
            "not healed: the alert did not resolve in the time that its route allows",
        ),
        (
            GIVE_UP_QUERIES,
            "not healed: the query did not become true in the time that its route allows",
        ),
    ] {
        settled.extend(settle(scope, now, statement, message)?);
    }
    Ok(settled)
}

fn settle(
    scope: &mut Scope<'_>,
    now: Timestamp,
    statement: &'static str,
    message: &str,
) -> Result<Vec<JobId>, StoreError> {
    let rows = scope.connection.all(statement, params![now.as_micros()])?;
    conclude(scope, &rows, now, message)
}

/// Applies the end of episodes to their jobs. What was due must be settled: a verification whose time is over is not
/// saved by a resolve that comes later.
pub(super) fn resolve_jobs(
    scope: &mut Scope<'_>,
    closed: &[(EpisodeId, Timestamp)],
    now: Timestamp,
) -> Result<(), StoreError> {
    if closed.is_empty() {
        return Ok(());
    }
    let episodes: Vec<EpisodeId> = closed.iter().map(|(id, _)| *id).collect();
    held::free_episodes(scope, &episodes)?;
    let closed: Vec<Value> = closed
        .iter()
        .map(|(id, ended_at)| json!({ "id": id, "ended_at": ended_at.as_micros() }))
        .collect();
    let closed = to_json(&closed)?;
    for (statement, message) in [
        (WITHDRAW_WAITING, "withdrawn: the alert resolved before the job began"),
        (HEAL_VERIFYING, "healed: the alert resolved in time"),
    ] {
        let rows = scope.connection.all(statement, params![&closed, now.as_micros()])?;
        conclude(scope, &rows, now, message)?;
    }
    let stopped = jobs_of(scope, STOP_RUNNING, params![&closed, now.as_micros()])?;
    stopped.iter().for_each(|job| scope.asked_to_stop(*job));
    note_all(
        scope,
        &stopped,
        now,
        (
            "stop_requested",
            "the alert resolved, and the route asks to stop the run then",
        ),
    )?;
    let late = jobs_of(scope, HEAL_LATE, params![&closed])?;
    note_all(
        scope,
        &late,
        now,
        ("resolved", "the alert resolved after the job had finished"),
    )
}

/// The jobs that a statement changed.
fn jobs_of(scope: &mut Scope<'_>, sql: &'static str, params: impl Params) -> Result<Vec<JobId>, StoreError> {
    let rows = scope.connection.all(sql, params)?;
    rows.iter().map(|row| parsed(row, "id")).collect()
}

/// Books the jobs that a statement finished, all in one way: history, followers, the next in line for their targets, and
/// what people are told.
pub(super) fn conclude(
    scope: &mut Scope<'_>,
    rows: &[Row],
    now: Timestamp,
    message: &str,
) -> Result<Vec<JobId>, StoreError> {
    let mut targets = Vec::with_capacity(rows.len());
    let mut jobs: Vec<JobId> = Vec::with_capacity(rows.len());
    for row in rows {
        jobs.push(parsed(row, "id")?);
        targets.push(target(row)?);
        scope.finished(finished(row)?);
    }
    note_all(scope, &jobs, now, ("finished", message))?;
    if let Some(FinishedJob { status, reason, .. }) = rows.first().map(finished).transpose()? {
        tell_end(scope, &jobs, (status, reason), now)?;
    }
    if !targets.is_empty() {
        follow_up(scope, &jobs, &targets, now)?;
    }
    Ok(jobs)
}

/// What the end of jobs means for others: breakers, ladders, what was held back, and the lines in front of targets.
pub(super) fn follow_up(
    scope: &mut Scope<'_>,
    jobs: &[JobId],
    targets: &[Target],
    now: Timestamp,
) -> Result<(), StoreError> {
    breakers::book(scope, jobs, now)?;
    held::wake_places(scope, jobs, now)?;
    // After that, as a rung that is held back knows until when.
    ladder::climb(scope, jobs, now)?;
    promote(scope, &targets.iter().collect::<Vec<_>>())
}

/// Of a row with `id`, `playbook`, `route`, `status`, `reason`, `healed_at` and `episode_starts_at`.
pub(super) fn finished(row: &Row) -> Result<FinishedJob, StoreError> {
    Ok(FinishedJob {
        id: parsed(row, "id")?,
        playbook: row.get("playbook")?,
        route: row.get("route")?,
        status: word(row, "status", JobStatus::parse)?,
        reason: word_option(row, "reason", Reason::parse)?
            .ok_or_else(|| StoreError::Database("a finished job has no reason".to_owned()))?,
        time_to_heal: between(time_option(row, "episode_starts_at")?, time_option(row, "healed_at")?),
    })
}

pub(super) fn note_all(
    scope: &mut Scope<'_>,
    jobs: &[JobId],
    now: Timestamp,
    (event, message): (&str, &str),
) -> Result<(), StoreError> {
    if jobs.is_empty() {
        return Ok(());
    }
    for job in jobs {
        scope.touch(*job);
    }
    scope.execute(NOTE_ALL, params![ids(jobs)?, now.as_micros(), event, message])?;
    Ok(())
}
