//! Claims: who may run which job now. Every claim raises the job's fence.

use async_trait::async_trait;

use crate::domain::attempt::{AttemptKey, Start};
use crate::domain::ids::EpisodeId;
use crate::domain::job::{CancelRequest, Trigger};
use crate::domain::timestamp::Timestamp;
use crate::store::sqlite::breakers;
use crate::store::sqlite::change::end_waiting;
use crate::store::sqlite::insert::{note, record};
use crate::store::sqlite::jobs::load_jobs;
use crate::store::sqlite::resolve::resolve_jobs;
use crate::store::sqlite::rows::{cancel_requested, count, database, get, parsed, target, time, time_option, word};
use crate::store::sqlite::writer::{Scope, Write};
use crate::store::{By, Claim, StoreError};

/// One job, so that the next one sees what it means for its route. A person's jobs pass breakers and the route's limit.
const CLAIM: &str = "
    -- claim
    UPDATE jobs
    SET    status = 'running', fence = fence + 1, attempts = attempts + 1, started_at = COALESCE(started_at, ?1)
    WHERE  id = (SELECT ready.id
                 FROM   jobs AS ready INDEXED BY jobs_ready
                 WHERE  ready.status = 'queued' AND ready.front = 1 AND ready.run_at <= ?1
                 AND    (ready.attempts > 0 OR ready.expires_at > ?1)
                 AND    NOT EXISTS (SELECT 1 FROM pauses
                                    WHERE  scope IN ('all', 'route:' || ready.route, 'target:' || ready.target))
                 AND    (ready.trigger_kind IN ('rerun', 'manual')
                         OR NOT EXISTS (SELECT 1 FROM breakers
                                        WHERE  scope IN ('all', 'route:' || ready.route) AND is_open = 1
                                        AND    (until IS NULL OR until > ?1 OR trial IS NOT NULL AND trial <> ready.id))
                         AND (ready.aftercare ->> 'at_once' IS NULL
                              OR ready.aftercare ->> 'at_once' >
                                 (SELECT COUNT(*) FROM jobs AS busy INDEXED BY jobs_running_of_route
                                  WHERE  busy.route = ready.route AND busy.status = 'running')))
                 ORDER  BY ready.run_at, ready.id
                 LIMIT  1)
    RETURNING id, attempts, fence, run_at, route, trigger_kind";

const INSERT_ATTEMPT: &str = "
    -- insert_attempt
    INSERT INTO attempts (job, number, fence, started_at, worker) VALUES (?1, ?2, ?3, ?4, ?5)";

const START: &str = "
    -- start
    UPDATE attempts
    SET    started_at = ?4, warm = ?5, cold_because = ?6
    WHERE  job = ?1 AND number = ?2 AND fence = ?3 AND finished_at IS NULL";

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
    RETURNING target, cancel_requested_by, cancel_reason, episode,
              (SELECT ended_at FROM episodes WHERE episodes.id = jobs.episode AND closed_at IS NOT NULL) AS ended_at";

/// Takes jobs for a worker.
pub(super) struct ClaimJobs {
    pub(super) worker: String,
    pub(super) free: usize,
    pub(super) now: Timestamp,
}

#[async_trait]
impl Write for ClaimJobs {
    type Output = Vec<Claim>;

    async fn apply(self, scope: &mut Scope<'_>) -> Result<Vec<Claim>, StoreError> {
        let mut keys = Vec::with_capacity(self.free);
        while keys.len() < self.free {
            let Some(key) = self.claim_one(scope).await? else { break };
            self.begin(scope, &key).await?;
            keys.push(key);
        }
        let mut jobs = load_jobs(
            &mut *scope.connection,
            &keys.iter().map(|key| key.job).collect::<Vec<_>>(),
        )
        .await?;
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
    async fn claim_one(&self, scope: &mut Scope<'_>) -> Result<Option<AttemptKey>, StoreError> {
        let claimed = sqlx::query(CLAIM)
            .bind(self.now.as_micros())
            .fetch_optional(&mut *scope.connection)
            .await
            .map_err(database)?;
        let Some(row) = claimed else { return Ok(None) };
        let key = AttemptKey {
            job: parsed(&row, "id")?,
            number: count(&row, "attempts")?,
            fence: get(&row, "fence")?,
        };
        scope.waited(self.now.since(time(&row, "run_at")?));
        if matches!(
            word(&row, "trigger_kind", Trigger::parse)?,
            Trigger::Alert | Trigger::Ladder
        ) {
            let route: Option<String> = get(&row, "route")?;
            breakers::try_with_claimed(scope, key.job, route.as_deref(), self.now).await?;
        }
        Ok(Some(key))
    }

    async fn begin(&self, scope: &mut Scope<'_>, key: &AttemptKey) -> Result<(), StoreError> {
        sqlx::query(INSERT_ATTEMPT)
            .bind(key.job.to_string())
            .bind(key.number)
            .bind(key.fence)
            .bind(self.now.as_micros())
            .bind(&self.worker)
            .execute(&mut *scope.connection)
            .await
            .map_err(database)?;
        let message = format!("claimed for attempt {} by {}", key.number, self.worker);
        about(scope, key, self.now, ("claimed", message)).await
    }
}

/// The run is under way.
pub(super) struct Started {
    pub(super) key: AttemptKey,
    pub(super) now: Timestamp,
    pub(super) start: Option<Start>,
}

#[async_trait]
impl Write for Started {
    type Output = ();

    async fn apply(self, scope: &mut Scope<'_>) -> Result<(), StoreError> {
        let Self { key, now, start } = self;
        let done = sqlx::query(START)
            .bind(key.job.to_string())
            .bind(key.number)
            .bind(key.fence)
            .bind(now.as_micros())
            .bind(start.as_ref().is_some_and(Start::is_warm))
            .bind(start.as_ref().and_then(Start::cold_because))
            .execute(&mut *scope.connection)
            .await
            .map_err(database)?;
        if done.rows_affected() == 0 {
            return Err(StoreError::LostClaim(key));
        }
        let message = match start {
            Some(Start::Warm) => "ansible-playbook was started from a warm interpreter".to_owned(),
            Some(Start::Cold { because }) => format!("ansible-playbook was started cold: {because}"),
            None => "ansible-playbook was started".to_owned(),
        };
        about(scope, &key, now, ("started", message)).await
    }
}

/// Gives a claim back whose run never began.
pub(super) struct Release {
    pub(super) key: AttemptKey,
    pub(super) why: String,
    pub(super) now: Timestamp,
}

#[async_trait]
impl Write for Release {
    type Output = ();

    async fn apply(self, scope: &mut Scope<'_>) -> Result<(), StoreError> {
        give_back(scope, self.key, ("released", &self.why), self.now).await
    }
}

/// Puts a claimed job back into the queue, without its attempt. What happened meanwhile ends it at once.
pub(super) async fn give_back(
    scope: &mut Scope<'_>,
    key: AttemptKey,
    (event, why): (&str, &str),
    now: Timestamp,
) -> Result<(), StoreError> {
    let deleted = sqlx::query(DELETE_ATTEMPT)
        .bind(key.job.to_string())
        .bind(key.number)
        .bind(key.fence)
        .execute(&mut *scope.connection)
        .await
        .map_err(database)?;
    let released = sqlx::query(RELEASE)
        .bind(key.job.to_string())
        .bind(key.fence)
        .fetch_optional(&mut *scope.connection)
        .await
        .map_err(database)?;
    let (1, Some(released)) = (deleted.rows_affected(), released) else {
        return Err(StoreError::LostClaim(key));
    };
    scope.touch(key.job);
    note(scope, &key.job.to_string(), now, (event, "healgate"), why).await?;
    // What happened meanwhile must not be forgotten with the run: a stop, or the end of the alert.
    if let Some(CancelRequest { by, reason }) = cancel_requested(&released)? {
        let by = By {
            name: by,
            at: now,
            comment: None,
        };
        return end_waiting(scope, key.job, &target(&released)?, (reason.as_str(), &by)).await;
    }
    match (get(&released, "episode")?, time_option(&released, "ended_at")?) {
        (Some(_), Some(ended_at)) => {
            let episode: EpisodeId = parsed(&released, "episode")?;
            resolve_jobs(scope, &[(episode, ended_at)], now).await
        }
        (None::<String>, _) | (_, None) => Ok(()),
    }
}

/// Adds to the history of an attempt's job.
pub(super) async fn about(
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
    record(scope, key.job, &event).await
}
