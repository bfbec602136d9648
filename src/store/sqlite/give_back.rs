//! Claims that came to nothing: the job goes back into the queue, or ends for what has happened meanwhile.

use rusqlite::params;

use crate::domain::attempt::AttemptKey;
use crate::domain::ids::EpisodeId;
use crate::domain::job::{CancelRequest, Trigger};
use crate::domain::timestamp::Timestamp;
use crate::store::sqlite::change::end_waiting;
use crate::store::sqlite::insert::note;
use crate::store::sqlite::resolve::resolve_jobs;
use crate::store::sqlite::rows::{cancel_requested, parsed_option, target, time_option, word};
use crate::store::sqlite::writer::{Scope, Write};
use crate::store::{By, StoreError};

/// What has happened to a claimed job since.
const SINCE_CLAIMED: &str = "
    -- since_claimed
    SELECT CASE WHEN jobs.cancel_requested_at IS NOT NULL THEN 'it was asked to stop before it began'
                WHEN episodes.closed_at IS NOT NULL AND jobs.trigger_kind IN ('alert', 'ladder')
                THEN 'the alert resolved before it began'
                WHEN EXISTS (SELECT 1 FROM pauses
                             WHERE  scope IN ('all', 'route:' || jobs.route, 'target:' || jobs.target))
                THEN 'it was paused before it began'
                WHEN jobs.trigger_kind IN ('alert', 'ladder') AND jobs.episode IS NOT NULL
                     AND EXISTS (SELECT 1 FROM breakers
                                 WHERE  scope IN ('all', 'route:' || jobs.route) AND is_open = 1
                                 AND    (trial IS NULL OR trial <> jobs.id))
                THEN 'its breaker opened before it began'
           END AS why
    FROM   jobs
    LEFT   JOIN episodes ON episodes.id = jobs.episode
    WHERE  jobs.id = ?1 AND jobs.fence = ?2 AND jobs.status = 'running'";

const DELETE_ATTEMPT: &str = "
    -- delete_attempt
    DELETE FROM attempts
    WHERE  job = ?1 AND number = ?2 AND fence = ?3 AND finished_at IS NULL AND log_bytes = 0 AND tasks = 0";

const RELEASE: &str = "
    -- release
    UPDATE jobs
    SET    status = 'queued', attempts = attempts - 1,
           started_at = CASE WHEN attempts = 1 THEN NULL ELSE started_at END
    WHERE  id = ?1 AND fence = ?2 AND status = 'running'
    RETURNING target, cancel_requested_by, cancel_reason, episode, trigger_kind,
              (SELECT ended_at FROM episodes WHERE episodes.id = jobs.episode AND closed_at IS NOT NULL) AS ended_at";

/// Gives a claim back whose run never began.
pub(super) struct Release {
    pub(super) key: AttemptKey,
    pub(super) why: String,
    pub(super) now: Timestamp,
}

impl Write for Release {
    type Output = ();

    fn apply(self, scope: &mut Scope<'_>) -> Result<(), StoreError> {
        give_back(scope, self.key, ("released", &self.why), self.now)
    }
}

/// Looks again at a claimed job, for whose start time has passed. One that must not start is given back or ended.
pub(super) struct Confirm {
    pub(super) key: AttemptKey,
    pub(super) now: Timestamp,
}

impl Write for Confirm {
    type Output = bool;

    fn apply(self, scope: &mut Scope<'_>) -> Result<bool, StoreError> {
        let Self { key, now } = self;
        let row = scope
            .connection
            .optional(SINCE_CLAIMED, params![key.job.to_string(), key.fence])?
            .ok_or(StoreError::LostClaim(key))?;
        let why: Option<String> = row.get("why")?;
        if let Some(why) = &why {
            give_back(scope, key, ("released", why), now)?;
        }
        Ok(why.is_none())
    }
}

/// Puts a claimed job back into the queue, without its attempt. What happened meanwhile ends it at once.
pub(super) fn give_back(
    scope: &mut Scope<'_>,
    key: AttemptKey,
    (event, why): (&str, &str),
    now: Timestamp,
) -> Result<(), StoreError> {
    let deleted = scope.execute(DELETE_ATTEMPT, params![key.job.to_string(), key.number, key.fence])?;
    let released = scope
        .connection
        .optional(RELEASE, params![key.job.to_string(), key.fence])?;
    let (1, Some(released)) = (deleted, released) else {
        return Err(StoreError::LostClaim(key));
    };
    scope.touch(key.job);
    note(scope, &key.job.to_string(), now, (event, "healgate"), why)?;
    // What happened meanwhile must not be forgotten with the run: a stop, or the end of the alert.
    if let Some(CancelRequest { by, reason }) = cancel_requested(&released)? {
        let by = By {
            name: by,
            at: now,
            comment: None,
        };
        return end_waiting(scope, key.job, &target(&released)?, (reason.as_str(), &by));
    }
    let trigger = word(&released, "trigger_kind", Trigger::parse)?;
    let episode: Option<EpisodeId> = parsed_option(&released, "episode")?;
    match (trigger, episode, time_option(&released, "ended_at")?) {
        (Trigger::Alert | Trigger::Ladder, Some(episode), Some(ended_at)) => {
            resolve_jobs(scope, &[(episode, ended_at)], now)
        }
        _ => Ok(()),
    }
}
