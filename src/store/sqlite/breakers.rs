//! Circuit breakers: opened by failures and by people, tried by one job, closed by its success and by people.

use rusqlite::params;

use crate::domain::act::ActKind;
use crate::domain::decision::DecisionKind;
use crate::domain::ids::JobId;
use crate::domain::job::{JobStatus, Reason, Trigger};
use crate::domain::notify::{Announcement, Notify, NotifyEvent};
use crate::domain::pause::Scope as Breakable;
use crate::domain::rules::BreakerRule;
use crate::domain::span::Span;
use crate::domain::timestamp::Timestamp;
use crate::store::sqlite::acts;
use crate::store::sqlite::connection::Row;
use crate::store::sqlite::held;
use crate::store::sqlite::outbox::announce;
use crate::store::sqlite::rows::{
    count, ids, integer, json_option, parsed, span_option, time_option, word, word_option,
};
use crate::store::sqlite::writer::{Scope, Write};
use crate::store::{By, StoreError};

const ENDED_JOBS: &str = "
    -- ended_jobs
    SELECT id, status, reason, route, trigger_kind, episode, aftercare ->> 'breaker' AS breaker,
           aftercare ->> 'fleet_breaker' AS fleet_breaker, aftercare ->> 'fleet_tell' AS fleet_tell, notify
    FROM   jobs
    WHERE  id IN (SELECT value FROM json_each(?1))";

const TRIED_BY: &str = "
    -- tried_by
    SELECT scope, pause FROM breakers WHERE is_open = 1 AND trial = ?1";

const IS_OPEN: &str = "
    -- is_open
    SELECT is_open, closed_at FROM breakers WHERE scope = ?1";

const FAILURES_OF_ROUTE: &str = "
    -- failures_of_route
    SELECT COUNT(*) AS failures
    FROM   jobs INDEXED BY jobs_failed_of_route
    WHERE  route = ?1 AND status = 'failed' AND finished_at > ?2 AND trigger_kind IN ('alert', 'ladder')
    AND    reason <> 'precondition_failed' AND episode IS NOT NULL";

const FAILURES: &str = "
    -- failures
    SELECT COUNT(*) AS failures
    FROM   jobs INDEXED BY jobs_failed
    WHERE  status = 'failed' AND finished_at > ?1 AND trigger_kind IN ('alert', 'ladder')
    AND    reason <> 'precondition_failed' AND episode IS NOT NULL";

const OPEN: &str = "
    -- open_breaker
    INSERT INTO breakers (scope, is_open, reason, opened_at, until, pause) VALUES (?1, 1, ?2, ?3, ?4, ?5)
    ON CONFLICT (scope) DO UPDATE
    SET    is_open = 1, reason = excluded.reason, opened_at = excluded.opened_at, until = excluded.until,
           pause = excluded.pause, trial = NULL";

const CLOSE: &str = "
    -- close_breaker
    UPDATE breakers SET is_open = 0, trial = NULL, until = NULL, closed_at = ?2 WHERE scope = ?1 AND is_open = 1";

const TRY: &str = "
    -- try_breaker
    UPDATE breakers
    SET    trial = ?2
    WHERE  scope = ?1 AND is_open = 1 AND EXISTS (SELECT 1 FROM jobs WHERE id = ?2 AND front = 1)";

const DROP_TRIALS: &str = "
    -- drop_trials
    UPDATE breakers SET trial = NULL WHERE is_open = 1 AND trial = ?1";

const TRY_WITH_CLAIMED: &str = "
    -- try_with_claimed
    UPDATE breakers
    SET    trial = ?1
    WHERE  is_open = 1 AND trial IS NULL AND until <= ?2 AND scope IN ('all', 'route:' || ?3)";

const FORGET_TRIAL: &str = "
    -- forget_trial
    UPDATE breakers SET trial = NULL WHERE scope = ?1";

/// What ended jobs mean for breakers. Jobs that a person made mean nothing.
pub(super) fn book(scope: &mut Scope<'_>, jobs: &[JobId], now: Timestamp) -> Result<(), StoreError> {
    let rows = scope.connection.all(ENDED_JOBS, params![ids(jobs)?])?;
    for row in &rows {
        let status = word(row, "status", JobStatus::parse)?;
        // What was not allowed to run says nothing about what would have come of it.
        let refused = word_option(row, "reason", Reason::parse)? == Some(Reason::PreconditionFailed);
        match status {
            JobStatus::Failed if !refused => {
                conclude_trials(scope, row, Trial::Failed, now)?;
                count_failure(scope, row, now)?;
            }
            JobStatus::Succeeded => conclude_trials(scope, row, Trial::Succeeded, now)?,
            JobStatus::Failed | JobStatus::Canceled => conclude_trials(scope, row, Trial::CameToNothing, now)?,
            JobStatus::AwaitingApproval | JobStatus::Queued | JobStatus::Running | JobStatus::Verifying => {}
        }
    }
    Ok(())
}

/// What came of the job that tried.
#[derive(Clone, Copy)]
enum Trial {
    Succeeded,
    Failed,
    CameToNothing,
}

fn conclude_trials(scope: &mut Scope<'_>, row: &Row, trial: Trial, now: Timestamp) -> Result<(), StoreError> {
    let job: String = row.get("id")?;
    let tried = scope.connection.all(TRIED_BY, params![&job])?;
    for breaker in &tried {
        let of: Breakable = parsed(breaker, "scope")?;
        match trial {
            Trial::Succeeded => {
                close(scope, &of, now)?;
            }
            Trial::Failed => {
                let reason = format!("the job {job} tried, and failed");
                open(scope, &of, &reason, now, span_option(breaker, "pause")?)?;
                tell_opened(scope, row, (&of, &reason), now)?;
            }
            Trial::CameToNothing => {
                scope.execute(FORGET_TRIAL, params![of.to_string()])?;
                held::wake(scope, DecisionKind::Tripped, now)?;
                scope.moved();
            }
        }
    }
    Ok(())
}

/// The rule that the job was made under.
fn rule_of(row: &Row, of: &Breakable) -> Result<Option<BreakerRule>, StoreError> {
    match of {
        Breakable::All => json_option(row, "fleet_breaker"),
        Breakable::Route(_) | Breakable::Target(_) => json_option(row, "breaker"),
    }
}

fn count_failure(scope: &mut Scope<'_>, row: &Row, now: Timestamp) -> Result<(), StoreError> {
    let trigger = word(row, "trigger_kind", Trigger::parse)?;
    let route: Option<String> = row.get("route")?;
    let episode: Option<String> = row.get("episode")?;
    // Neither does a clean-up count, which belongs to no episode.
    if matches!(trigger, Trigger::Rerun | Trigger::Manual) || episode.is_none() {
        return Ok(());
    }
    for of in route.map(Breakable::Route).into_iter().chain([Breakable::All]) {
        let Some(rule) = rule_of(row, &of)? else { continue };
        let known = scope.connection.optional(IS_OPEN, params![of.to_string()])?;
        let (is_open, closed_at) = match &known {
            Some(row) => (row.get("is_open")?, time_option(row, "closed_at")?),
            None => (false, None),
        };
        if is_open {
            continue;
        }
        let since = (now - rule.within.duration()).max(closed_at.unwrap_or(Timestamp::from_micros(0)));
        let failures = failures(scope, &of, since)?;
        if failures >= rule.failures {
            let reason = format!("{failures} jobs failed within {}", rule.within);
            open(scope, &of, &reason, now, Some(rule.pause))?;
            tell_opened(scope, row, (&of, &reason), now)?;
        }
    }
    Ok(())
}

/// Tells whom the route of the job wants told that did it; of the breaker of all routes, whom any of them wants told.
fn tell_opened(
    scope: &mut Scope<'_>,
    row: &Row,
    (of, reason): (&Breakable, &str),
    now: Timestamp,
) -> Result<(), StoreError> {
    let event = NotifyEvent::BreakerOpened;
    let to = match of {
        Breakable::All => json_option(row, "fleet_tell")?,
        Breakable::Route(_) | Breakable::Target(_) => json_option(row, "notify")?
            .filter(|notify: &Notify| notify.events.contains(&event))
            .map(|notify| notify.to),
    };
    let announcement = Announcement {
        event,
        to: to.unwrap_or_default(),
        key: format!("{of} {}", now.as_micros()),
        title: format!("The circuit breaker of {of} has opened: {reason}"),
        text: "Its alerts are recorded, and nothing runs until it is half-open, when one job tries. Find out why the jobs \
               failed; DELETE /api/v1/breakers?scope=… closes it at once."
            .to_owned(),
    };
    announce(scope, &announcement, now)
}

fn failures(scope: &mut Scope<'_>, of: &Breakable, since: Timestamp) -> Result<u32, StoreError> {
    let since = since.as_micros();
    let row = match of {
        Breakable::Route(name) => scope.connection.one(FAILURES_OF_ROUTE, params![name, since]),
        Breakable::All | Breakable::Target(_) => scope.connection.one(FAILURES, params![since]),
    };
    count(&row?, "failures")
}

fn open(
    scope: &mut Scope<'_>,
    of: &Breakable,
    reason: &str,
    now: Timestamp,
    pause: Option<Span>,
) -> Result<(), StoreError> {
    tracing::warn!(scope = %of, reason, "a circuit breaker opens");
    let until = pause.map(|pause| now + pause.duration());
    scope.execute(
        OPEN,
        params![
            of.to_string(),
            reason,
            now.as_micros(),
            until.map(Timestamp::as_micros),
            pause.map(|pause| integer(pause.duration().as_secs()))
        ],
    )?;
    // What waits for a job that tried must learn the new time.
    held::wake(scope, DecisionKind::Tripped, now)?;
    scope.moved();
    Ok(())
}

/// Whether it was open.
fn close(scope: &mut Scope<'_>, of: &Breakable, now: Timestamp) -> Result<bool, StoreError> {
    let done = scope.execute(CLOSE, params![of.to_string(), now.as_micros()])?;
    held::wake(scope, DecisionKind::Tripped, now)?;
    scope.moved();
    Ok(done > 0)
}

/// These jobs try these half-open breakers: those that may start next.
pub(super) fn begin_trials(
    scope: &mut Scope<'_>,
    trials: &[(Breakable, JobId)],
    now: Timestamp,
) -> Result<(), StoreError> {
    for (of, job) in trials {
        if scope.execute(TRY, params![of.to_string(), job.to_string()])? == 0 {
            held::wake(scope, DecisionKind::Tripped, now)?;
        }
    }
    Ok(())
}

/// Something keeps that job from starting: what it was to try is left to others.
pub(super) fn drop_trials(scope: &mut Scope<'_>, job: JobId, now: Timestamp) -> Result<(), StoreError> {
    if scope.execute(DROP_TRIALS, params![job.to_string()])? > 0 {
        held::wake(scope, DecisionKind::Tripped, now)?;
        scope.moved();
    }
    Ok(())
}

/// A job that waited while its breakers opened is claimed: it tries those that are half-open.
pub(super) fn try_with_claimed(
    scope: &mut Scope<'_>,
    job: JobId,
    route: Option<&str>,
    now: Timestamp,
) -> Result<(), StoreError> {
    scope
        .execute(
            TRY_WITH_CLAIMED,
            params![job.to_string(), now.as_micros(), route.unwrap_or_default()],
        )
        .map(drop)
}

/// A person opens a breaker.
pub(super) struct OpenBreaker {
    pub(super) scope: Breakable,
    pub(super) by: By,
}

impl Write for OpenBreaker {
    type Output = ();

    fn apply(self, scope: &mut Scope<'_>) -> Result<(), StoreError> {
        let reason = match &self.by.comment {
            Some(comment) => format!("opened by {}: {comment}", self.by.name),
            None => format!("opened by {}", self.by.name),
        };
        open(scope, &self.scope, &reason, self.by.at, None)?;
        acts::note(scope, ActKind::OpenedBreaker, &self.scope, &self.by)
    }
}

/// A person closes a breaker.
pub(super) struct ResetBreaker {
    pub(super) scope: Breakable,
    pub(super) by: By,
}

impl Write for ResetBreaker {
    type Output = bool;

    fn apply(self, scope: &mut Scope<'_>) -> Result<bool, StoreError> {
        let was_open = close(scope, &self.scope, self.by.at)?;
        if was_open {
            acts::note(scope, ActKind::ClosedBreaker, &self.scope, &self.by)?;
        }
        tracing::warn!(scope = %self.scope, by = self.by.name, comment = self.by.comment, was_open, "closed a circuit breaker");
        Ok(was_open)
    }
}
