//! What was found out by asking Alertmanager and Prometheus, and what it means for jobs. Asks nobody.

use serde_json::{Value, json};

use rusqlite::params;

use crate::domain::attempt::AttemptKey;
use crate::domain::checks::Checks;
use crate::domain::ids::{EpisodeId, JobId};
use crate::domain::job::{JobEvent, JobStatus, Reason};
use crate::domain::timestamp::Timestamp;
use crate::domain::verification::Verification;
use crate::store::sqlite::connection::Connection;
use crate::store::sqlite::give_back::give_back;
use crate::store::sqlite::insert::record;
use crate::store::sqlite::resolve::{conclude, note_all, resolve_jobs, settle_due};
use crate::store::sqlite::rows::{json as column, json_option, parsed, parsed_option, time, to_json};
use crate::store::sqlite::writer::{Scope, Write};
use crate::store::{Ended, StoreError, Withdrawal};

const END_WITHDRAWN: &str = "
    -- end_withdrawn
    UPDATE jobs
    SET    status = ?2, reason = ?3, finished_at = ?4, front = 0
    WHERE  id = ?1 AND status = 'queued'
    RETURNING id, target, playbook, route, status, reason, NULL AS healed_at, NULL AS episode_starts_at";

const END_EPISODES: &str = "
    -- end_episodes
    UPDATE episodes
    SET    closed_at = ?2, asked = 1, ended_at = MAX(episodes.starts_at, closed.value ->> 'ended_at')
    FROM   json_each(?1) AS closed
    WHERE  episodes.id = closed.value ->> 'id' AND episodes.closed_at IS NULL
    RETURNING episodes.id, episodes.ended_at";

const UNFINISHED_JOBS: &str = "
    -- unfinished_jobs
    SELECT jobs.id
    FROM   json_each(?1) AS closed
    JOIN   jobs INDEXED BY jobs_of_episode ON jobs.episode = closed.value
    WHERE  jobs.finished_at IS NULL";

const HEAL_BY_QUERY: &str = "
    -- heal_by_query
    UPDATE jobs
    SET    status = 'succeeded', reason = 'healed', finished_at = ?2, healed_at = ?2, front = 0
    WHERE  id = ?1 AND status = 'verifying'
    RETURNING id, target, playbook, route, status, reason, healed_at,
              (SELECT starts_at FROM episodes WHERE episodes.id = jobs.episode) AS episode_starts_at";

const VERIFICATIONS: &str = "
    -- verifications
    SELECT   id, episode, alert, verify_until, checks
    FROM     jobs INDEXED BY jobs_verifying
    WHERE    status = 'verifying' AND verify_until > ?1
    ORDER BY verify_until";

/// Ends a claimed job that is not to run.
pub(super) struct Withdraw {
    pub(super) key: AttemptKey,
    pub(super) withdrawal: Withdrawal,
    pub(super) now: Timestamp,
}

impl Write for Withdraw {
    type Output = ();

    fn apply(self, scope: &mut Scope<'_>) -> Result<(), StoreError> {
        let Self { key, withdrawal, now } = self;
        let Withdrawal { reason, message } = withdrawal;
        give_back(scope, key, ("checked", &message), now)?;
        let status = match reason {
            Reason::PreconditionFailed => JobStatus::Failed,
            _ => JobStatus::Canceled,
        };
        let rows = scope.connection.all(
            END_WITHDRAWN,
            params![key.job.to_string(), status.as_str(), reason.as_str(), now.as_micros()],
        )?;
        let end = format!("{} ({})", status.as_str(), reason.as_str());
        conclude(scope, &rows, now, &end).map(drop)
    }
}

/// Closes episodes as a `resolved` does.
pub(super) struct EndEpisodes {
    pub(super) ended: Vec<Ended>,
    pub(super) now: Timestamp,
}

impl Write for EndEpisodes {
    type Output = ();

    fn apply(self, scope: &mut Scope<'_>) -> Result<(), StoreError> {
        // A verification whose time is over is not saved by what is learned later.
        settle_due(scope, self.now)?;
        let closed = self.close(scope)?;
        let episodes: Vec<EpisodeId> = closed.iter().map(|(episode, _)| *episode).collect();
        let jobs = unfinished(scope, &episodes)?;
        let event = ("resolved", "Alertmanager was asked: the alert has resolved");
        note_all(scope, &jobs, self.now, event)?;
        resolve_jobs(scope, &closed, self.now)
    }
}

impl EndEpisodes {
    fn close(&self, scope: &mut Scope<'_>) -> Result<Vec<(EpisodeId, Timestamp)>, StoreError> {
        let row = |ended: &Ended| json!({ "id": ended.episode, "ended_at": ended.at.as_micros() });
        let ended: Vec<Value> = self.ended.iter().map(row).collect();
        let rows = scope
            .connection
            .all(END_EPISODES, params![to_json(&ended)?, self.now.as_micros()])?;
        rows.iter()
            .map(|row| Ok((parsed(row, "id")?, time(row, "ended_at")?)))
            .collect()
    }
}

fn unfinished(scope: &mut Scope<'_>, episodes: &[EpisodeId]) -> Result<Vec<JobId>, StoreError> {
    let rows = scope.connection.all(UNFINISHED_JOBS, params![to_json(episodes)?])?;
    rows.iter().map(|row| parsed(row, "id")).collect()
}

/// Ends a verification whose query became true.
pub(super) struct Heal {
    pub(super) job: JobId,
    pub(super) message: String,
    pub(super) now: Timestamp,
}

impl Write for Heal {
    type Output = ();

    fn apply(self, scope: &mut Scope<'_>) -> Result<(), StoreError> {
        settle_due(scope, self.now)?;
        let rows = scope
            .connection
            .all(HEAL_BY_QUERY, params![self.job.to_string(), self.now.as_micros()])?;
        conclude(scope, &rows, self.now, &self.message).map(drop)
    }
}

/// One more entry of a job's history.
pub(super) struct Note {
    pub(super) job: JobId,
    pub(super) event: JobEvent,
}

impl Write for Note {
    type Output = ();

    fn apply(self, scope: &mut Scope<'_>) -> Result<(), StoreError> {
        record(scope, self.job, &self.event)
    }
}

/// Jobs whose healing is waited for now.
pub(super) fn verifications(connection: &Connection, now: Timestamp) -> Result<Vec<Verification>, StoreError> {
    let rows = connection.all(VERIFICATIONS, params![now.as_micros()])?;
    let read = rows.iter().map(|row| {
        let checks: Checks = column(row, "checks")?;
        Ok(Verification {
            job: parsed(row, "id")?,
            episode: parsed_option(row, "episode")?,
            alert: json_option(row, "alert")?,
            until: time(row, "verify_until")?,
            query: checks.verify_query,
        })
    });
    read.collect()
}
