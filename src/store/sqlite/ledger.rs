//! Reads the facts that decisions rest on, in a few statements for all alerts together.

use std::collections::{BTreeSet, HashMap};

use rusqlite::params;

use crate::domain::decision::DecisionKind;
use crate::domain::ids::{EpisodeId, Fingerprint};
use crate::domain::job::{JobStatus, Reason, Trigger};
use crate::domain::policy::{ClosedEpisode, Delivery, EpisodeFacts, HeldFacts, JobFacts, Ledger, OpenEpisode};
use crate::store::StoreError;
use crate::store::sqlite::connection::{Connection, Row};
use crate::store::sqlite::restraints;
use crate::store::sqlite::rows::{fingerprint, parsed, time, time_option, to_json, word, word_option};

const LAST_EPISODES: &str = "
    -- last_episodes
    SELECT alerts.fingerprint, episodes.id, episodes.starts_at, episodes.last_received_at, episodes.ended_at,
           episodes.closed_at
    FROM   json_each(?1) AS wanted
    JOIN   alerts   ON alerts.fingerprint = wanted.value
    JOIN   episodes ON episodes.id = alerts.last_episode";

const COUNTED_JOBS: &str = "
    -- counted_jobs
    SELECT jobs.episode, jobs.id, jobs.route, jobs.status, jobs.reason, jobs.finished_at, jobs.trigger_kind
    FROM   json_each(?1) AS wanted
    JOIN   jobs INDEXED BY jobs_of_episode ON jobs.episode = wanted.value
    WHERE  jobs.trigger_kind IN ('alert', 'ladder') AND jobs.superseded = 0 AND jobs.route IS NOT NULL
    ORDER  BY jobs.id";

const HELD: &str = "
    -- held
    SELECT held.episode, held.route, held.decision, held.follows IS NOT NULL AS is_rung
    FROM   json_each(?1) AS wanted
    JOIN   held ON held.episode = wanted.value";

/// The facts of each alert that was seen before, and what holds jobs back.
pub(super) fn read(connection: &Connection, deliveries: &[&Delivery]) -> Result<Ledger, StoreError> {
    let facts = facts(connection, deliveries)?;
    Ok(Ledger::new(facts, restraints::read(connection, deliveries)?))
}

fn facts(connection: &Connection, deliveries: &[&Delivery]) -> Result<HashMap<Fingerprint, EpisodeFacts>, StoreError> {
    let intakes = deliveries.iter().flat_map(|delivery| &delivery.intakes);
    let fingerprints: BTreeSet<&Fingerprint> = intakes.map(|intake| &intake.alert.fingerprint).collect();
    let mut facts = HashMap::with_capacity(fingerprints.len());
    let mut owners: HashMap<EpisodeId, Fingerprint> = HashMap::with_capacity(fingerprints.len());
    let rows = connection.all(LAST_EPISODES, params![to_json(&fingerprints)?])?;
    for row in rows {
        let fingerprint = fingerprint(&row)?;
        let id: EpisodeId = parsed(&row, "id")?;
        owners.insert(id, fingerprint.clone());
        facts.insert(fingerprint, episode_facts(&row, id)?);
    }
    if owners.is_empty() {
        return Ok(facts);
    }
    let episodes: Vec<EpisodeId> = owners.keys().copied().collect();
    let episodes = to_json(&episodes)?;
    let rows = connection.all(COUNTED_JOBS, params![&episodes])?;
    for row in rows {
        let episode: EpisodeId = parsed(&row, "episode")?;
        let owner: Option<&mut EpisodeFacts> = owners.get(&episode).and_then(|owner| facts.get_mut(owner));
        if let Some(owner) = owner {
            let job = JobFacts {
                id: parsed(&row, "id")?,
                route: row.get("route")?,
                status: word(&row, "status", JobStatus::parse)?,
                reason: word_option(&row, "reason", Reason::parse)?,
                finished_at: time_option(&row, "finished_at")?,
            };
            match word(&row, "trigger_kind", Trigger::parse)? {
                Trigger::Ladder => owner.climbed(&job),
                Trigger::Alert | Trigger::Rerun | Trigger::Manual => owner.jobs.push(job),
            }
        }
    }
    for (episode, held) in held_back(connection, &episodes)? {
        if let Some(owner) = owners.get(&episode).and_then(|owner| facts.get_mut(owner)) {
            owner.held.push(held);
        }
    }
    Ok(facts)
}

fn held_back(connection: &Connection, episodes: &str) -> Result<Vec<(EpisodeId, HeldFacts)>, StoreError> {
    let rows = connection.all(HELD, params![episodes])?;
    let held = rows.iter().map(|row| {
        let held = HeldFacts {
            route: row.get("route")?,
            kind: word(row, "decision", DecisionKind::parse)?,
            is_rung: row.get("is_rung")?,
        };
        Ok((parsed(row, "episode")?, held))
    });
    held.collect()
}

fn episode_facts(row: &Row, id: EpisodeId) -> Result<EpisodeFacts, StoreError> {
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
