//! Reads the facts that decisions rest on: for a whole notification, in two statements.

use std::collections::HashMap;

use sqlx::SqliteConnection;

use crate::domain::ids::{EpisodeId, Fingerprint};
use crate::domain::job::{JobStatus, Reason};
use crate::domain::policy::{ClosedEpisode, EpisodeFacts, JobFacts, Ledger, OpenEpisode};
use crate::store::StoreError;
use crate::store::sqlite::rows::{database, fingerprint, get, parsed, time, time_option, to_json, word, word_option};

const LAST_EPISODES: &str = "
    -- last_episodes
    SELECT alerts.fingerprint, episodes.id, episodes.starts_at, episodes.last_received_at, episodes.ended_at,
           episodes.closed_at
    FROM   json_each(?1) AS wanted
    JOIN   alerts   ON alerts.fingerprint = wanted.value
    JOIN   episodes ON episodes.id = alerts.last_episode";

const COUNTED_JOBS: &str = "
    -- counted_jobs
    SELECT jobs.episode, jobs.id, jobs.route, jobs.status, jobs.reason, jobs.finished_at
    FROM   json_each(?1) AS wanted
    JOIN   jobs INDEXED BY jobs_of_episode ON jobs.episode = wanted.value
    WHERE  jobs.trigger_kind = 'alert' AND jobs.superseded = 0 AND jobs.route IS NOT NULL";

/// The facts of each alert that was seen before.
pub(super) async fn read(
    connection: &mut SqliteConnection,
    fingerprints: &[Fingerprint],
) -> Result<Ledger, StoreError> {
    let mut facts = HashMap::with_capacity(fingerprints.len());
    let mut owners: HashMap<EpisodeId, Fingerprint> = HashMap::with_capacity(fingerprints.len());
    let rows = sqlx::query(LAST_EPISODES)
        .bind(to_json(fingerprints)?)
        .fetch_all(&mut *connection)
        .await
        .map_err(database)?;
    for row in rows {
        let fingerprint = fingerprint(&row)?;
        let id: EpisodeId = parsed(&row, "id")?;
        owners.insert(id, fingerprint.clone());
        facts.insert(fingerprint, episode_facts(&row, id)?);
    }
    if owners.is_empty() {
        return Ok(Ledger::new(facts));
    }
    let episodes: Vec<EpisodeId> = owners.keys().copied().collect();
    let rows = sqlx::query(COUNTED_JOBS)
        .bind(to_json(&episodes)?)
        .fetch_all(connection)
        .await
        .map_err(database)?;
    for row in rows {
        let episode: EpisodeId = parsed(&row, "episode")?;
        let owner: Option<&mut EpisodeFacts> = owners.get(&episode).and_then(|owner| facts.get_mut(owner));
        if let Some(owner) = owner {
            owner.jobs.push(JobFacts {
                id: parsed(&row, "id")?,
                route: get(&row, "route")?,
                status: word(&row, "status", JobStatus::parse)?,
                reason: word_option(&row, "reason", Reason::parse)?,
                finished_at: time_option(&row, "finished_at")?,
            });
        }
    }
    Ok(Ledger::new(facts))
}

fn episode_facts(row: &sqlx::sqlite::SqliteRow, id: EpisodeId) -> Result<EpisodeFacts, StoreError> {
    let Some(closed_at) = time_option(row, "closed_at")? else {
        return Ok(EpisodeFacts {
            open: Some(OpenEpisode {
                id,
                starts_at: time(row, "starts_at")?,
                last_received_at: time(row, "last_received_at")?,
            }),
            ..EpisodeFacts::default()
        });
    };
    let ended_at = time_option(row, "ended_at")?.unwrap_or(closed_at);
    Ok(EpisodeFacts {
        closed: Some(ClosedEpisode {
            id,
            ended_at,
            closed_at,
        }),
        ..EpisodeFacts::default()
    })
}
