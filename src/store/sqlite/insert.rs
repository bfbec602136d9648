//! New jobs, their first history, and the lines in front of targets.

use std::fmt::Write as _;

use async_trait::async_trait;
use serde::Serialize;

use crate::domain::alert::Alert;
use crate::domain::change;
use crate::domain::ids::{EpisodeId, Fingerprint, JobId, Target};
use crate::domain::job::{JobStatus, NewJob, Trigger};
use crate::domain::notify::NotifyEvent;
use crate::domain::route::OnResolved;
use crate::domain::timestamp::Timestamp;
use crate::store::StoreError;
use crate::store::sqlite::outbox::tell;
use crate::store::sqlite::rows::{database, integer, to_json};
use crate::store::sqlite::writer::{Scope, Write};

const INSERT_JOBS: &str = "
    -- insert_jobs
    WITH given AS MATERIALIZED (SELECT key, value AS item FROM json_each(?1))
    INSERT INTO jobs (id, status, playbook, route, target, trigger_kind, triggered_by, rerun_of, follows, episode,
                      alertname, fingerprint, alert, alert_group, parameters, by_hand, changes, resolved_within, on_resolved,
                      aftercare, check_mode, notify, checks, created_at, run_at, expires_at,
                      runs_within)
    SELECT item ->> 'id', item ->> 'status', item ->> 'playbook', item ->> 'route', item ->> 'target',
           item ->> 'trigger', item ->> 'triggered_by', item ->> 'rerun_of', item ->> 'follows',
           item ->> 'episode', item ->> 'alertname', item ->> 'fingerprint', item ->> 'alert',
           item ->> 'group', item ->> 'parameters', item ->> 'by_hand', item ->> 'changes',
           item ->> 'resolved_within', item ->> 'on_resolved', item ->> 'aftercare', item ->> 'check_mode',
           item ->> 'notify', item ->> 'checks', item ->> 'created_at',
           item ->> 'created_at', item ->> 'expires_at', item ->> 'runs_within'
    FROM   given
    ORDER  BY key";

const INSERT_FIRST_EVENTS: &str = "
    -- insert_first_events
    WITH given AS MATERIALIZED (SELECT key, value AS item FROM json_each(?1))
    INSERT INTO job_events (job, at, event, actor, message)
    SELECT item ->> 'id', item ->> 'created_at', item ->> 'status', item ->> 'triggered_by', item ->> 'message'
    FROM   given
    ORDER  BY key";

/// For each target that nobody holds and nobody stands in front of: the oldest waiting job comes to the front.
const PROMOTE: &str = "
    -- promote
    UPDATE jobs
    SET    front = 1
    WHERE  id IN (
        SELECT (SELECT waiting.id
                FROM   jobs AS waiting
                WHERE  waiting.target = free.value AND waiting.status = 'queued' AND waiting.front = 0
                AND    waiting.blocked_by IS NULL
                ORDER  BY waiting.created_at, waiting.id
                LIMIT  1)
        FROM   (SELECT DISTINCT value FROM json_each(?1)) AS free
        WHERE  NOT EXISTS (SELECT 1 FROM jobs AS holder WHERE holder.target = free.value AND holder.front = 1))";

const FIND_OPEN_EPISODE: &str = "
    -- find_open_episode
    SELECT id FROM episodes WHERE fingerprint = ?1 AND closed_at IS NULL";

const INSERT_EVENT: &str = "
    -- insert_event
    INSERT INTO job_events (job, at, event, actor, attempt, message)
    VALUES (?1, ?2, ?3, ?4, ?5, ?6)";

/// A job that a person asked for.
pub(super) struct InsertJob(pub(super) NewJob);

#[async_trait]
impl Write for InsertJob {
    type Output = ();

    async fn apply(self, scope: &mut Scope<'_>) -> Result<(), StoreError> {
        let Self(mut job) = self;
        if let Some(alert) = &job.alert {
            let open: Option<String> = sqlx::query_scalar(FIND_OPEN_EPISODE)
                .bind(alert.fingerprint.as_str())
                .fetch_optional(&mut *scope.connection)
                .await
                .map_err(database)?;
            let open = open.map(|id| id.parse()).transpose();
            job.episode = open
                .map_err(|error| StoreError::Database(format!("{error}")))?
                .or(job.episode);
        }
        insert_jobs(scope, &[&job]).await
    }
}

/// One more entry of a job's history.
pub(super) async fn record(
    scope: &mut Scope<'_>,
    job: JobId,
    event: &crate::domain::job::JobEvent,
) -> Result<(), StoreError> {
    scope.grew(job);
    sqlx::query(INSERT_EVENT)
        .bind(job.to_string())
        .bind(event.at.as_micros())
        .bind(&event.event)
        .bind(&event.by)
        .bind(event.attempt)
        .bind(&event.message)
        .execute(&mut *scope.connection)
        .await
        .map_err(database)?;
    Ok(())
}

/// Inserts jobs in order, with the first entry of their history, and lines them up in front of their targets.
pub(super) async fn insert_jobs(scope: &mut Scope<'_>, jobs: &[&NewJob]) -> Result<(), StoreError> {
    if jobs.is_empty() {
        return Ok(());
    }
    insert_rows(scope, jobs).await?;
    let targets: Vec<&Target> = jobs.iter().map(|job| &job.target).collect();
    promote(scope, &targets).await
}

/// The same without lining them up.
pub(super) async fn insert_rows(scope: &mut Scope<'_>, jobs: &[&NewJob]) -> Result<(), StoreError> {
    let rows = to_json(&jobs.iter().map(|job| row(job)).collect::<Result<Vec<_>, _>>()?)?;
    for statement in [INSERT_JOBS, INSERT_FIRST_EVENTS] {
        sqlx::query(statement)
            .bind(&rows)
            .execute(&mut *scope.connection)
            .await
            .map_err(database)?;
    }
    for job in jobs {
        scope.touch(job.id);
    }
    ask_people(scope, jobs).await
}

/// Tells that jobs wait for approval.
async fn ask_people(scope: &mut Scope<'_>, jobs: &[&NewJob]) -> Result<(), StoreError> {
    let asking = jobs.iter().filter(|job| job.status == JobStatus::AwaitingApproval);
    let asking: Vec<JobId> = asking.map(|job| job.id).collect();
    let created_at = jobs.first().map(|job| job.created_at);
    match created_at {
        Some(at) => tell(scope, &asking, &[NotifyEvent::AwaitingApproval], at).await,
        None => Ok(()),
    }
}

/// Lets the next in line come forward wherever a target is free.
pub(super) async fn promote(scope: &mut Scope<'_>, targets: &[&Target]) -> Result<(), StoreError> {
    sqlx::query(PROMOTE)
        .bind(to_json(targets)?)
        .execute(&mut *scope.connection)
        .await
        .map_err(database)?;
    Ok(())
}

/// Adds an entry to a job's history.
pub(super) async fn note(
    scope: &mut Scope<'_>,
    job: &str,
    at: Timestamp,
    event: (&str, &str),
    message: &str,
) -> Result<(), StoreError> {
    let (event, actor) = event;
    sqlx::query(INSERT_EVENT)
        .bind(job)
        .bind(at.as_micros())
        .bind(event)
        .bind(actor)
        .bind(None::<u32>)
        .bind(message)
        .execute(&mut *scope.connection)
        .await
        .map_err(database)?;
    Ok(())
}

/// What `insert_jobs` and `insert_first_events` take for each job.
#[derive(Serialize)]
struct Row<'a> {
    id: JobId,
    status: &'static str,
    playbook: &'a str,
    route: Option<&'a str>,
    target: &'a Target,
    trigger: &'static str,
    triggered_by: &'a str,
    rerun_of: Option<JobId>,
    follows: Option<JobId>,
    episode: Option<EpisodeId>,
    alertname: Option<&'a str>,
    fingerprint: Option<&'a Fingerprint>,
    alert: Option<String>,
    group: Option<String>,
    parameters: String,
    by_hand: Option<String>,
    changes: Option<String>,
    resolved_within: Option<i64>,
    on_resolved: &'static str,
    aftercare: String,
    check_mode: bool,
    notify: Option<String>,
    checks: String,
    created_at: i64,
    expires_at: i64,
    runs_within: Option<i64>,
    message: String,
}

fn row(job: &NewJob) -> Result<Row<'_>, StoreError> {
    let alert = job.alert.as_ref();
    Ok(Row {
        id: job.id,
        status: job.status.as_str(),
        playbook: &job.playbook,
        route: job.route.as_deref(),
        target: &job.target,
        trigger: job.trigger.as_str(),
        triggered_by: &job.triggered_by,
        rerun_of: job.rerun_of,
        follows: job.follows,
        episode: job.episode,
        alertname: alert.map(Alert::name),
        fingerprint: alert.map(|alert| &alert.fingerprint),
        alert: alert.map(to_json).transpose()?,
        group: job.group.as_ref().map(to_json).transpose()?,
        parameters: to_json(&job.parameters)?,
        by_hand: job.by_hand.as_ref().map(to_json).transpose()?,
        changes: job.changes.as_ref().map(to_json).transpose()?,
        resolved_within: job.resolved_within.map(|span| integer(span.duration().as_secs())),
        on_resolved: match job.on_resolved {
            OnResolved::Cancel => "cancel",
            // The clean-up is a part of the aftercare.
            OnResolved::Ignore | OnResolved::Run(_) => "ignore",
        },
        aftercare: to_json(&job.aftercare)?,
        check_mode: job.parameters.check,
        notify: job.notify.as_ref().map(to_json).transpose()?,
        checks: to_json(&job.checks)?,
        created_at: job.created_at.as_micros(),
        expires_at: job.expires_at.as_micros(),
        runs_within: job.runs_within.map(|span| integer(span.duration().as_secs())),
        message: first_message(job),
    })
}

fn first_message(job: &NewJob) -> String {
    let waits = match job.status {
        JobStatus::AwaitingApproval => "waits for approval",
        JobStatus::Queued
        | JobStatus::Running
        | JobStatus::Verifying
        | JobStatus::Succeeded
        | JobStatus::Failed
        | JobStatus::Canceled => "queued",
    };
    let why = match (job.trigger, &job.alert, &job.rerun_of) {
        (Trigger::Rerun, _, Some(original)) => format!("as a re-run of {original} {}", asked_for(job)),
        (Trigger::Manual, _, _) => format!("by hand {}", asked_for(job)),
        (_, Some(alert), _) => format!("for {} ({})", alert.name(), alert.fingerprint),
        (_, None, _) => String::new(),
    };
    format!("{waits}: {} on {} {why}", job.playbook, job.target)
        .trim_end()
        .to_owned()
}

/// Who asked for the job, what for, and what has changed since the job that it repeats.
fn asked_for(job: &NewJob) -> String {
    let mut words = format!("by {}", job.triggered_by);
    for wish in job.by_hand.iter().flat_map(|by_hand| by_hand.wishes(&job.parameters)) {
        let _ = write!(words, ", {wish}");
    }
    if let Some(changes) = job.changes.as_deref().filter(|changes| !changes.is_empty()) {
        let _ = write!(words, "; changed since: {}", change::sentence(changes));
    }
    words
}
