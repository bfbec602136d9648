//! What notifications do to the table of episodes: they begin, go on and end.

use rusqlite::params;

use crate::domain::alert::Alert;
use crate::domain::ids::EpisodeId;
use crate::domain::policy::{Delivery, EpisodeChange, Verdict};
use crate::domain::timestamp::Timestamp;
use crate::store::StoreError;
use crate::store::sqlite::rows::to_json;
use crate::store::sqlite::writer::Scope;

const OPEN_EPISODE: &str = "
    -- open_episode
    INSERT INTO episodes (id, fingerprint, alertname, labels, annotations, generator_url, starts_at, opened_at,
                          last_received_at, received, ended_at, closed_at)
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?8, 1, ?9, IIF(?9 IS NULL, NULL, ?8))";

const POINT_ALERT: &str = "
    -- point_alert
    INSERT INTO alerts (fingerprint, last_episode, last_received_at)
    VALUES (?1, ?2, ?3)
    ON CONFLICT (fingerprint) DO UPDATE
    SET    last_episode = excluded.last_episode,
           last_received_at = MAX(last_received_at, excluded.last_received_at)";

const TOUCH_EPISODE: &str = "
    -- touch_episode
    UPDATE episodes
    SET    last_received_at = MAX(last_received_at, ?2), received = received + 1, annotations = ?3, generator_url = ?4
    WHERE  id = ?1";

const CLOSE_EPISODE: &str = "
    -- close_episode
    UPDATE episodes SET closed_at = ?2, ended_at = ?3, missed = ?4 WHERE id = ?1";

/// Changes the table as notifications say, in their order.
pub(super) fn change(scope: &mut Scope<'_>, verdicts: &[(&Delivery, &Verdict)]) -> Result<(), StoreError> {
    for (delivery, verdict) in verdicts {
        let at = delivery.received_at;
        for change in &verdict.episodes {
            match change {
                EpisodeChange::Open { id, alert } => open(scope, (*id, alert), at, None)?,
                EpisodeChange::OpenAndClose { id, alert, ended_at } => open(scope, (*id, alert), at, Some(*ended_at))?,
                EpisodeChange::Touch { id, alert } => touch(scope, (*id, alert), at)?,
                EpisodeChange::Close { id, ended_at, missed } => {
                    let row = params![id.to_string(), at.as_micros(), ended_at.as_micros(), missed];
                    scope.execute(CLOSE_EPISODE, row)?;
                }
            }
        }
    }
    Ok(())
}

fn open(
    scope: &mut Scope<'_>,
    (id, alert): (EpisodeId, &Alert),
    at: Timestamp,
    ended_at: Option<Timestamp>,
) -> Result<(), StoreError> {
    let row = params![
        id.to_string(),
        alert.fingerprint.as_str(),
        alert.name(),
        to_json(&alert.labels)?,
        to_json(&alert.annotations)?,
        alert.generator_url,
        alert.starts_at.as_micros(),
        at.as_micros(),
        ended_at.map(Timestamp::as_micros),
    ];
    scope.execute(OPEN_EPISODE, row)?;
    point(scope, (id, alert), at)
}

fn touch(scope: &mut Scope<'_>, (id, alert): (EpisodeId, &Alert), at: Timestamp) -> Result<(), StoreError> {
    let row = params![
        id.to_string(),
        at.as_micros(),
        to_json(&alert.annotations)?,
        alert.generator_url,
    ];
    scope.execute(TOUCH_EPISODE, row)?;
    point(scope, (id, alert), at)
}

/// That one is the alert's last episode.
pub(super) fn point(scope: &mut Scope<'_>, (id, alert): (EpisodeId, &Alert), at: Timestamp) -> Result<(), StoreError> {
    let row = params![alert.fingerprint.as_str(), id.to_string(), at.as_micros()];
    scope.execute(POINT_ALERT, row).map(drop)
}
