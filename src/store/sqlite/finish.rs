//! The end of an attempt: what it was, and where the job goes from there.

use rusqlite::params;

use crate::domain::attempt::{AttemptKey, Ending, Start};
use crate::domain::checks::Checks;
use crate::domain::job::{Job, JobStatus, Reason, Trigger};
use crate::domain::parameters::Parameters;
use crate::domain::policy::{AfterRun, RunFacts, after_run};
use crate::domain::rules::Retry;
use crate::domain::span::Span;
use crate::domain::timestamp::Timestamp;
use crate::store::StoreError;
use crate::store::observe::FinishedJob;
use crate::store::sqlite::claim::about;
use crate::store::sqlite::connection::Row;
use crate::store::sqlite::jobs::load_jobs;
use crate::store::sqlite::outbox::tell_end;
use crate::store::sqlite::resolve::follow_up;
use crate::store::sqlite::rows::{
    between, cancel_requested, integer, json, json_option, span_option, time_option, to_json, word,
};
use crate::store::sqlite::writer::{Scope, Write};

const FINISH_ATTEMPT: &str = "
    -- finish_attempt
    UPDATE attempts
    SET    outcome = ?4, message = ?5, exit_code = ?6, finished_at = ?7, log_bytes = ?8, log_truncated = ?9,
           host_stats = ?10, warm = COALESCE(?11, warm),
           cold_because = CASE WHEN ?11 IS NULL THEN cold_because ELSE ?12 END
    WHERE  job = ?1 AND number = ?2 AND fence = ?3 AND finished_at IS NULL";

const RUN_FACTS: &str = "
    -- run_facts
    SELECT jobs.resolved_within, jobs.checks, jobs.trigger_kind, jobs.parameters, jobs.episode, jobs.cancel_requested_by,
           jobs.cancel_reason, jobs.aftercare ->> 'retry' AS retry, episodes.closed_at, episodes.ended_at, episodes.starts_at
    FROM   jobs
    LEFT   JOIN episodes ON episodes.id = jobs.episode
    WHERE  jobs.id = ?1 AND jobs.fence = ?2 AND jobs.status = 'running'";

const FINISH_JOB: &str = "
    -- finish_job
    UPDATE jobs
    SET    status = ?3, reason = ?4, finished_at = ?5, healed_at = ?6, front = 0
    WHERE  id = ?1 AND fence = ?2 AND status = 'running'";

const RETRY_JOB: &str = "
    -- retry_job
    UPDATE jobs
    SET    status = 'queued', run_at = ?3
    WHERE  id = ?1 AND fence = ?2 AND status = 'running'";

const VERIFY_JOB: &str = "
    -- verify_job
    UPDATE jobs
    SET    status = 'verifying', verify_until = ?3
    WHERE  id = ?1 AND fence = ?2 AND status = 'running'";

/// The command.
pub(super) struct Finish {
    pub(super) key: AttemptKey,
    pub(super) ending: Ending,
}

/// What the row of the job says about its episode.
struct Facts {
    retry: Option<Retry>,
    cancel_reason: Reason,
    resolved_within: Option<Span>,
    check: bool,
    episode_open: Option<bool>,
    by_query: bool,
    by_hand: bool,
    episode_starts_at: Option<Timestamp>,
    episode_ended_at: Option<Timestamp>,
}

impl Write for Finish {
    type Output = Job;

    fn apply(self, scope: &mut Scope<'_>) -> Result<Job, StoreError> {
        self.finish_attempt(scope)?;
        let facts = self.facts(scope)?;
        match after_run(&self.run_facts(&facts)) {
            AfterRun::Finish { status, reason } => self.finish_job(scope, &facts, (status, reason))?,
            AfterRun::Verify { until } => self.verify_job(scope, until, facts.by_query)?,
            AfterRun::Retry { at } => self.retry_job(scope, at)?,
        }
        scope.touch(self.key.job);
        let mut jobs = load_jobs(scope.connection, &[self.key.job])?;
        let job = jobs.remove(&self.key.job).ok_or(StoreError::LostClaim(self.key))?;
        if job.status.is_finished() {
            let (reason, at) = (job.reason.unwrap_or(Reason::Unverified), self.ending.finished_at);
            tell_end(scope, &[job.id], (job.status, reason), at)?;
            follow_up(scope, &[job.id], std::slice::from_ref(&job.target), at)?;
            scope.finished(FinishedJob {
                id: job.id,
                playbook: job.playbook.clone(),
                route: job.route.clone(),
                status: job.status,
                reason,
                time_to_heal: between(facts.episode_starts_at, job.healed_at),
            });
        }
        Ok(job)
    }
}

impl Finish {
    fn finish_attempt(&self, scope: &mut Scope<'_>) -> Result<(), StoreError> {
        let Self { key, ending } = self;
        scope.execute_claimed(
            *key,
            FINISH_ATTEMPT,
            params![
                key.job.to_string(),
                key.number,
                key.fence,
                ending.outcome.as_str(),
                &ending.message,
                ending.exit_code,
                ending.finished_at.as_micros(),
                integer(ending.log_bytes),
                ending.log_truncated,
                to_json(&ending.recap)?,
                ending.start.as_ref().map(Start::is_warm),
                ending.start.as_ref().and_then(Start::cold_because)
            ],
        )?;
        let message = match &ending.message {
            Some(message) => format!("attempt {} ended {}: {message}", key.number, ending.outcome.as_str()),
            None => format!("attempt {} ended {}", key.number, ending.outcome.as_str()),
        };
        about(scope, key, ending.finished_at, ("ended", message))
    }

    fn facts(&self, scope: &mut Scope<'_>) -> Result<Facts, StoreError> {
        let row = scope
            .connection
            .optional(RUN_FACTS, params![self.key.job.to_string(), self.key.fence])?
            .ok_or(StoreError::LostClaim(self.key))?;
        facts(&row)
    }

    fn run_facts<'a>(&self, facts: &'a Facts) -> RunFacts<'a> {
        RunFacts {
            job: self.key.job,
            attempt: self.key.number,
            outcome: self.ending.outcome,
            retry: facts.retry.as_ref(),
            finished_at: self.ending.finished_at,
            resolved_within: facts.resolved_within,
            check: facts.check,
            episode_open: facts.episode_open,
            cancel_reason: facts.cancel_reason,
            by_query: facts.by_query,
            by_hand: facts.by_hand,
        }
    }
    fn finish_job(
        &self,
        scope: &mut Scope<'_>,
        facts: &Facts,
        (status, reason): (JobStatus, Reason),
    ) -> Result<(), StoreError> {
        // A run by hand after the alert has resolved healed nothing.
        let healed = status == JobStatus::Succeeded && !facts.check && !facts.by_hand;
        let healed_at = facts.episode_ended_at.filter(|_| healed);
        scope.execute_claimed(
            self.key,
            FINISH_JOB,
            params![
                self.key.job.to_string(),
                self.key.fence,
                status.as_str(),
                reason.as_str(),
                self.ending.finished_at.as_micros(),
                healed_at.map(Timestamp::as_micros)
            ],
        )?;
        let message = format!("{} ({})", status.as_str(), reason.as_str());
        about(scope, &self.key, self.ending.finished_at, ("finished", message))
    }

    fn retry_job(&self, scope: &mut Scope<'_>, at: Timestamp) -> Result<(), StoreError> {
        scope.execute_claimed(
            self.key,
            RETRY_JOB,
            params![self.key.job.to_string(), self.key.fence, at.as_micros()],
        )?;
        let message = format!("attempt {} may begin at {at}", self.key.number + 1);
        about(scope, &self.key, self.ending.finished_at, ("retrying", message))
    }

    fn verify_job(&self, scope: &mut Scope<'_>, until: Timestamp, by_query: bool) -> Result<(), StoreError> {
        scope.execute_claimed(
            self.key,
            VERIFY_JOB,
            params![self.key.job.to_string(), self.key.fence, until.as_micros()],
        )?;
        let told = until.to_second();
        let message = if by_query {
            format!("waits until {told} for the route's query to become true")
        } else {
            format!("waits until {told} for the alert to resolve")
        };
        about(scope, &self.key, self.ending.finished_at, ("verifying", message))
    }
}

fn facts(row: &Row) -> Result<Facts, StoreError> {
    let episode: Option<String> = row.get("episode")?;
    let closed = time_option(row, "closed_at")?.is_some();
    let trigger = word(row, "trigger_kind", Trigger::parse)?;
    let parameters: Parameters = json(row, "parameters")?;
    let checks: Checks = json(row, "checks")?;
    let asked = cancel_requested(row)?;
    Ok(Facts {
        // Whoever asked for its end wants no other attempt.
        retry: json_option(row, "retry")?.filter(|_| asked.is_none()),
        cancel_reason: asked.map_or(Reason::Canceled, |asked| asked.reason),
        resolved_within: span_option(row, "resolved_within")?,
        check: parameters.check,
        episode_open: episode.map(|_| !closed),
        by_query: checks.verify_query.is_some(),
        by_hand: matches!(trigger, Trigger::Rerun | Trigger::Manual),
        episode_starts_at: time_option(row, "starts_at")?,
        episode_ended_at: time_option(row, "ended_at")?,
    })
}
