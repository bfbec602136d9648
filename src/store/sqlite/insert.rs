//! New jobs, their first history, and the lines in front of targets.

use std::fmt::Write as _;

use rusqlite::params;
use serde::Serialize;

use crate::domain::alert::Alert;
use crate::domain::change;
use crate::domain::ids::{JobId, Target};
use crate::domain::job::{JobStatus, NewJob, Trigger};
use crate::domain::notify::NotifyEvent;
use crate::domain::route::OnResolved;
use crate::domain::span::Span;
use crate::domain::timestamp::Timestamp;
use crate::store::StoreError;
use crate::store::sqlite::outbox::tell;
use crate::store::sqlite::rows::{integer, to_json};
use crate::store::sqlite::writer::{Scope, Write};

/// One that may be first in line is so at once if nobody holds its target: then nobody waits for it either.
const INSERT_JOB: &str = "
    -- insert_job
    INSERT INTO jobs (id, status, playbook, route, target, trigger_kind, triggered_by, rerun_of, follows, episode,
                      alertname, fingerprint, alert, alert_group, parameters, by_hand, changes, resolved_within, on_resolved,
                      aftercare, check_mode, notify, checks, created_at, run_at, expires_at, runs_within, front)
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19, ?20, ?21, ?22, ?23, ?24,
            ?24, ?25, ?26, ?27 AND NOT EXISTS (SELECT 1 FROM jobs AS holder WHERE holder.target = ?5 AND holder.front = 1))";

/// What lists look for jobs by: a row for each, however many jobs have it.
const INSERT_KIND: &str = "
    -- insert_kind
    INSERT OR IGNORE INTO job_kinds (route, playbook, alertname, trigger_kind) VALUES (?1, ?2, ?3, ?4)";

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

impl Write for InsertJob {
    type Output = ();

    fn apply(self, scope: &mut Scope<'_>) -> Result<(), StoreError> {
        let Self(mut job) = self;
        if let Some(alert) = &job.alert {
            let open: Option<String> = scope
                .connection
                .optional_value(FIND_OPEN_EPISODE, params![alert.fingerprint.as_str()])?;
            let open = open.map(|id| id.parse()).transpose();
            job.episode = open
                .map_err(|error| StoreError::Database(format!("{error}")))?
                .or(job.episode);
        }
        insert_jobs(scope, &[&job])
    }
}

/// One more entry of a job's history.
pub(super) fn record(
    scope: &mut Scope<'_>,
    job: JobId,
    event: &crate::domain::job::JobEvent,
) -> Result<(), StoreError> {
    scope.grew(job);
    scope.execute(
        INSERT_EVENT,
        params![
            job.to_string(),
            event.at.as_micros(),
            &event.event,
            &event.by,
            event.attempt,
            &event.message
        ],
    )?;
    Ok(())
}

/// Inserts jobs in order, with the first entry of their history, and lines them up in front of their targets.
pub(super) fn insert_jobs(scope: &mut Scope<'_>, jobs: &[&NewJob]) -> Result<(), StoreError> {
    for job in jobs {
        insert_row(scope, job, job.status == JobStatus::Queued)?;
    }
    ask_people(scope, jobs)
}

/// The same of one job, without lining it up.
pub(super) fn insert_out_of_line(scope: &mut Scope<'_>, job: &NewJob) -> Result<(), StoreError> {
    insert_row(scope, job, false)?;
    ask_people(scope, &[job])
}

fn insert_row(scope: &mut Scope<'_>, job: &NewJob, may_be_first: bool) -> Result<(), StoreError> {
    let id = job.id.to_string();
    let alert = job.alert.as_ref();
    let row = params![
        id,
        job.status.as_str(),
        job.playbook,
        job.route,
        job.target.as_str(),
        job.trigger.as_str(),
        job.triggered_by,
        job.rerun_of.map(|id| id.to_string()),
        job.follows.map(|id| id.to_string()),
        job.episode.map(|id| id.to_string()),
        alert.map(Alert::name),
        alert.map(|alert| alert.fingerprint.as_str()),
        json_of(alert)?,
        json_of(job.group.as_ref())?,
        to_json(&job.parameters)?,
        json_of(job.by_hand.as_ref())?,
        json_of(job.changes.as_ref())?,
        job.resolved_within.map(seconds),
        on_resolved(job),
        to_json(&job.aftercare)?,
        job.parameters.check,
        json_of(job.notify.as_ref())?,
        to_json(&job.checks)?,
        job.created_at.as_micros(),
        job.expires_at.as_micros(),
        job.runs_within.map(seconds),
        may_be_first,
    ];
    scope.execute(INSERT_JOB, row)?;
    let kind = params![job.route, job.playbook, alert.map(Alert::name), job.trigger.as_str()];
    scope.execute(INSERT_KIND, kind)?;
    scope.touch(job.id);
    let first = (job.status.as_str(), job.triggered_by.as_str());
    note(scope, &id, job.created_at, first, &first_message(job))
}

fn json_of<T: Serialize>(value: Option<&T>) -> Result<Option<String>, StoreError> {
    value.map(to_json).transpose()
}

fn seconds(span: Span) -> i64 {
    integer(span.duration().as_secs())
}

fn on_resolved(job: &NewJob) -> &'static str {
    match job.on_resolved {
        OnResolved::Cancel => "cancel",
        // The clean-up is a part of the aftercare.
        OnResolved::Ignore | OnResolved::Run(_) => "ignore",
    }
}

/// Tells that jobs wait for approval.
fn ask_people(scope: &mut Scope<'_>, jobs: &[&NewJob]) -> Result<(), StoreError> {
    let asking = jobs.iter().filter(|job| job.status == JobStatus::AwaitingApproval);
    let asking: Vec<JobId> = asking.map(|job| job.id).collect();
    let created_at = jobs.first().map(|job| job.created_at);
    match created_at {
        Some(at) => tell(scope, &asking, &[NotifyEvent::AwaitingApproval], at),
        None => Ok(()),
    }
}

/// Lets the next in line come forward wherever a target is free.
pub(super) fn promote(scope: &mut Scope<'_>, targets: &[&Target]) -> Result<(), StoreError> {
    scope.execute(PROMOTE, params![to_json(targets)?])?;
    Ok(())
}

/// Adds an entry to a job's history.
pub(super) fn note(
    scope: &mut Scope<'_>,
    job: &str,
    at: Timestamp,
    event: (&str, &str),
    message: &str,
) -> Result<(), StoreError> {
    let (event, actor) = event;
    scope.execute(
        INSERT_EVENT,
        params![job, at.as_micros(), event, actor, None::<u32>, message],
    )?;
    Ok(())
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
