//! What people do to jobs: cancel, approve, reject.

use rusqlite::params;

use crate::domain::ids::{JobId, Target};
use crate::domain::job::JobStatus;
use crate::store::sqlite::insert::{note, promote};
use crate::store::sqlite::outbox::tell_end;
use crate::store::sqlite::resolve::{finished, follow_up, settle_due};
use crate::store::sqlite::rows::{target, time_option, word};
use crate::store::sqlite::writer::{Scope, Write};
use crate::store::{Answer, By, Canceled, StoreError};

const FIND_STATUS: &str = "
    -- find_status
    SELECT jobs.status, jobs.target, episodes.closed_at
    FROM   jobs
    LEFT   JOIN episodes ON episodes.id = jobs.episode
    WHERE  jobs.id = ?1";

const END_WAITING: &str = "
    -- end_waiting
    UPDATE jobs
    SET    status = 'canceled', reason = ?2, finished_at = ?3, front = 0
    WHERE  id = ?1 AND status IN ('awaiting_approval', 'queued', 'verifying')
    RETURNING id, playbook, route, status, reason, NULL AS healed_at, NULL AS episode_starts_at";

const ASK_TO_STOP: &str = "
    -- ask_to_stop
    UPDATE jobs
    SET    cancel_requested_at = COALESCE(cancel_requested_at, ?2),
           cancel_requested_by = COALESCE(cancel_requested_by, ?3),
           cancel_reason = COALESCE(cancel_reason, 'canceled')
    WHERE  id = ?1 AND status = 'running'";

/// From now on it may wait as long as its route's jobs may.
const APPROVE: &str = "
    -- approve
    UPDATE jobs
    SET    status = 'queued', run_at = ?2, expires_at = ?2 + COALESCE(runs_within * 1000000, expires_at - created_at)
    WHERE  id = ?1 AND status = 'awaiting_approval'";

/// Stops a job.
pub(super) struct Cancel {
    pub(super) job: JobId,
    pub(super) by: By,
}

impl Write for Cancel {
    type Output = Canceled;

    fn apply(self, scope: &mut Scope<'_>) -> Result<Canceled, StoreError> {
        let Self { job, by } = self;
        settle_due(scope, by.at)?;
        let (status, target, _) = find(scope, job)?;
        match status {
            JobStatus::AwaitingApproval | JobStatus::Queued | JobStatus::Verifying => {
                end_waiting(scope, job, &target, ("canceled", &by))?;
                Ok(Canceled::Finished)
            }
            JobStatus::Running => {
                scope.execute(ASK_TO_STOP, params![job.to_string(), by.at.as_micros(), &by.name])?;
                scope.asked_to_stop(job);
                by_person(scope, job, &by, ("stop_requested", "asked to stop the run"))?;
                Ok(Canceled::Asked)
            }
            JobStatus::Succeeded | JobStatus::Failed | JobStatus::Canceled => Err(StoreError::Conflict(format!(
                "the job is finished: it is {}",
                status.as_str()
            ))),
        }
    }
}

/// Approves or rejects a job.
pub(super) struct AnswerJob {
    pub(super) job: JobId,
    pub(super) answer: Answer,
    pub(super) by: By,
}

impl Write for AnswerJob {
    type Output = ();

    fn apply(self, scope: &mut Scope<'_>) -> Result<(), StoreError> {
        let Self { job, answer, by } = self;
        // A job that has expired by now is not waiting for an answer any more.
        settle_due(scope, by.at)?;
        let (status, target, resolved) = find(scope, job)?;
        if status != JobStatus::AwaitingApproval {
            return Err(StoreError::Conflict(format!(
                "the job does not wait for approval: it is {}",
                status.as_str()
            )));
        }
        match answer {
            Answer::Reject => end_waiting(scope, job, &target, ("rejected", &by)),
            Answer::Approve if resolved => Err(StoreError::Conflict("the job's alert has resolved".to_owned())),
            Answer::Approve => {
                scope.execute(APPROVE, params![job.to_string(), by.at.as_micros()])?;
                promote(scope, &[&target])?;
                by_person(scope, job, &by, ("approved", "approved; queued"))
            }
        }
    }
}

fn find(scope: &mut Scope<'_>, job: JobId) -> Result<(JobStatus, Target, bool), StoreError> {
    let row = scope
        .connection
        .optional(FIND_STATUS, params![job.to_string()])?
        .ok_or_else(|| StoreError::NotFound {
            what: "job",
            id: job.to_string(),
        })?;
    Ok((
        word(&row, "status", JobStatus::parse)?,
        target(&row)?,
        time_option(&row, "closed_at")?.is_some(),
    ))
}

/// Ends a job that does not run.
pub(super) fn end_waiting(
    scope: &mut Scope<'_>,
    job: JobId,
    target: &Target,
    (reason, by): (&str, &By),
) -> Result<(), StoreError> {
    let row = scope
        .connection
        .optional(END_WAITING, params![job.to_string(), reason, by.at.as_micros()])?
        .ok_or_else(|| StoreError::Conflict("the job has just moved on".to_owned()))?;
    let finished = finished(&row)?;
    tell_end(scope, &[job], (finished.status, finished.reason), by.at)?;
    scope.finished(finished);
    follow_up(scope, &[job], std::slice::from_ref(target), by.at)?;
    by_person(scope, job, by, (reason, reason))
}

fn by_person(scope: &mut Scope<'_>, job: JobId, by: &By, (event, what): (&str, &str)) -> Result<(), StoreError> {
    scope.touch(job);
    let message = match &by.comment {
        Some(comment) => format!("{what}: {comment}"),
        None => what.to_owned(),
    };
    note(scope, &job.to_string(), by.at, (event, &by.name), &message)
}
