//! Claims: who may run which job now. Every claim raises the job's fence.

use rusqlite::params;

use crate::domain::attempt::{AttemptKey, Start};
use crate::domain::ids::JobId;
use crate::domain::job::Trigger;
use crate::domain::timestamp::Timestamp;
use crate::store::sqlite::insert::record;
use crate::store::sqlite::jobs::load_jobs;
use crate::store::sqlite::rows::{count, parsed, time, word};
use crate::store::sqlite::writer::{Scope, Write};
use crate::store::sqlite::{blocked, breakers};
use crate::store::{Claim, StoreError};

/// The one that may come next, and what keeps it from starting. A person's jobs pass breakers and the route's limit, and so do
/// clean-ups, which belong to no episode.
const NEXT_READY: &str = "
    -- next_ready
    SELECT ready.id,
           COALESCE((SELECT 'pause ' || scope FROM pauses
                     WHERE  scope IN ('all', 'route:' || ready.route, 'target:' || ready.target)),
                    CASE WHEN ready.trigger_kind IN ('alert', 'ladder') AND ready.episode IS NOT NULL
                         THEN COALESCE((SELECT 'breaker ' || scope FROM breakers
                                        WHERE  scope IN ('all', 'route:' || ready.route) AND is_open = 1
                                        AND    (until IS NULL OR until > ?1 OR trial IS NOT NULL AND trial <> ready.id)),
                                       IIF(ready.aftercare ->> 'at_once' <=
                                           (SELECT COUNT(*) FROM jobs AS busy INDEXED BY jobs_running_of_route
                                            WHERE  busy.route = ready.route AND busy.status = 'running'),
                                           'at_once ' || ready.route, NULL))
                    END) AS blocked_by
    FROM   jobs AS ready INDEXED BY jobs_ready
    WHERE  ready.status = 'queued' AND ready.front = 1 AND ready.blocked_by IS NULL AND ready.run_at <= ?1
    AND    (ready.attempts > 0 OR ready.expires_at > ?1)
    ORDER  BY ready.run_at, ready.id
    LIMIT  1";

const BEFORE_CLAIM: &str = "
    -- before_claim
    SELECT EXISTS (SELECT 1 FROM pauses WHERE scope = 'all')                             AS is_paused,
           EXISTS (SELECT 1 FROM jobs INDEXED BY jobs_by_creation WHERE created_at > ?1) AS clock_went_back";

/// A job that was made before the clock went back need not wait for the clock to come that far again. What waits for a time
/// still does: the next attempt, the end of a verification.
const NEED_NOT_WAIT: &str = "
    -- need_not_wait
    UPDATE jobs INDEXED BY jobs_ready
    SET    run_at = ?1
    WHERE  status = 'queued' AND front = 1 AND blocked_by IS NULL AND run_at > ?1 AND attempts = 0";

const CLAIM: &str = "
    -- claim
    UPDATE jobs
    SET    status = 'running', fence = fence + 1, attempts = attempts + 1, started_at = COALESCE(started_at, ?1)
    WHERE  id = ?2
    RETURNING id, attempts, fence, run_at, route, trigger_kind, episode";

const INSERT_ATTEMPT: &str = "
    -- insert_attempt
    INSERT INTO attempts (job, number, fence, started_at, worker) VALUES (?1, ?2, ?3, ?4, ?5)";

const START: &str = "
    -- start
    UPDATE attempts
    SET    started_at = ?4, warm = ?5, cold_because = ?6
    WHERE  job = ?1 AND number = ?2 AND fence = ?3 AND finished_at IS NULL";

/// Takes jobs for a worker.
pub(super) struct ClaimJobs {
    pub(super) worker: String,
    pub(super) free: usize,
    pub(super) now: Timestamp,
}

/// What a claim finds.
enum Next {
    Ready(JobId),
    /// And what keeps it from starting.
    Blocked(JobId, String),
    Nothing,
}

impl Write for ClaimJobs {
    type Output = Vec<Claim>;

    fn apply(self, scope: &mut Scope<'_>) -> Result<Vec<Claim>, StoreError> {
        let before = scope.connection.one(BEFORE_CLAIM, params![self.now.as_micros()])?;
        if before.get("is_paused")? {
            return Ok(Vec::new());
        }
        blocked::unblock(scope, self.now)?;
        if before.get("clock_went_back")? {
            scope.execute(NEED_NOT_WAIT, params![self.now.as_micros()])?;
        }
        let mut keys = Vec::with_capacity(self.free);
        let mut blocked = 0;
        // One by one, so that the next one sees what it means for its route.
        while keys.len() < self.free {
            match self.next(scope)? {
                Next::Ready(job) => {
                    let key = self.claim_one(scope, job)?;
                    self.begin(scope, &key)?;
                    keys.push(key);
                }
                Next::Blocked(job, cause) if blocked < blocked::AT_ONCE => {
                    blocked::block(scope, job, &cause, self.now)?;
                    blocked += 1;
                }
                Next::Blocked(..) => {
                    scope.moved();
                    break;
                }
                Next::Nothing => break,
            }
        }
        let mut jobs = load_jobs(scope.connection, &keys.iter().map(|key| key.job).collect::<Vec<_>>())?;
        let mut claims: Vec<Claim> = keys
            .into_iter()
            .filter_map(|key| {
                Some(Claim {
                    key,
                    job: jobs.remove(&key.job)?,
                })
            })
            .collect();
        claims.sort_by_key(|claim| (claim.job.run_at, claim.job.id));
        Ok(claims)
    }
}

impl ClaimJobs {
    fn next(&self, scope: &mut Scope<'_>) -> Result<Next, StoreError> {
        let row = scope.connection.optional(NEXT_READY, params![self.now.as_micros()])?;
        let Some(row) = row else { return Ok(Next::Nothing) };
        let job = parsed(&row, "id")?;
        let cause: Option<String> = row.get("blocked_by")?;
        Ok(cause.map_or(Next::Ready(job), |cause| Next::Blocked(job, cause)))
    }

    fn claim_one(&self, scope: &mut Scope<'_>, job: JobId) -> Result<AttemptKey, StoreError> {
        let row = scope
            .connection
            .one(CLAIM, params![self.now.as_micros(), job.to_string()])?;
        let key = AttemptKey {
            job,
            number: count(&row, "attempts")?,
            fence: row.get("fence")?,
        };
        scope.waited(self.now.since(time(&row, "run_at")?));
        let (trigger, episode): (_, Option<String>) =
            (word(&row, "trigger_kind", Trigger::parse)?, row.get("episode")?);
        if matches!(trigger, Trigger::Alert | Trigger::Ladder) && episode.is_some() {
            let route: Option<String> = row.get("route")?;
            breakers::try_with_claimed(scope, job, route.as_deref(), self.now)?;
        }
        Ok(key)
    }

    fn begin(&self, scope: &mut Scope<'_>, key: &AttemptKey) -> Result<(), StoreError> {
        scope.execute(
            INSERT_ATTEMPT,
            params![
                key.job.to_string(),
                key.number,
                key.fence,
                self.now.as_micros(),
                &self.worker
            ],
        )?;
        let message = format!("claimed for attempt {} by {}", key.number, self.worker);
        about(scope, key, self.now, ("claimed", message))
    }
}

/// The run is under way.
pub(super) struct Started {
    pub(super) key: AttemptKey,
    pub(super) now: Timestamp,
    pub(super) start: Option<Start>,
}

impl Write for Started {
    type Output = ();

    fn apply(self, scope: &mut Scope<'_>) -> Result<(), StoreError> {
        let Self { key, now, start } = self;
        scope.execute_claimed(
            key,
            START,
            params![
                key.job.to_string(),
                key.number,
                key.fence,
                now.as_micros(),
                start.as_ref().is_some_and(Start::is_warm),
                start.as_ref().and_then(Start::cold_because)
            ],
        )?;
        let message = match start {
            Some(Start::Warm) => "ansible-playbook was started from a warm interpreter".to_owned(),
            Some(Start::Cold { because }) => format!("ansible-playbook was started cold: {because}"),
            None => "ansible-playbook was started".to_owned(),
        };
        about(scope, &key, now, ("started", message))
    }
}

/// Adds to the history of an attempt's job.
pub(super) fn about(
    scope: &mut Scope<'_>,
    key: &AttemptKey,
    at: Timestamp,
    (event, message): (&str, String),
) -> Result<(), StoreError> {
    let event = crate::domain::job::JobEvent {
        at,
        event: event.to_owned(),
        by: "healgate".to_owned(),
        attempt: Some(key.number),
        message,
    };
    record(scope, key.job, &event)
}
