//! Alerts that were found resolved by asking, and that fire again before Alertmanager has said a word about it: it tells
//! nobody of an alert that was gone between two of its notifications.

use async_trait::async_trait;
use sqlx::sqlite::{SqlitePool, SqliteRow};

use crate::domain::alert::{Alert, AlertStatus, Group};
use crate::domain::ids::EpisodeId;
use crate::domain::timestamp::Timestamp;
use crate::store::sqlite::rows::{database, fingerprint, get, json, parsed, time, to_json};
use crate::store::sqlite::writer::{Scope, Write};
use crate::store::{Comeback, StoreError};

const ASKED_EPISODES: &str = "
    -- asked_episodes
    SELECT episodes.id, episodes.fingerprint, episodes.labels, episodes.annotations, episodes.generator_url,
           episodes.closed_at
    FROM   episodes INDEXED BY episodes_asked
    JOIN   alerts ON alerts.fingerprint = episodes.fingerprint AND alerts.last_episode = episodes.id
    WHERE  episodes.asked = 1 AND episodes.closed_at > ?1";

const REOPEN: &str = "
    -- reopen
    INSERT INTO episodes (id, fingerprint, alertname, labels, annotations, generator_url, starts_at, opened_at,
                          last_received_at, received)
    SELECT ?2, old.fingerprint, old.alertname, old.labels, old.annotations, old.generator_url, ?3, ?4, ?4, 0
    FROM   episodes AS old
    JOIN   alerts ON alerts.fingerprint = old.fingerprint AND alerts.last_episode = old.id
    WHERE  old.id = ?1 AND old.asked = 1";

const POINT_ALERT: &str = "
    -- point_alert
    UPDATE alerts SET last_episode = ?2, last_received_at = MAX(last_received_at, ?3) WHERE fingerprint = ?1";

/// For each route that decided about it before, a decision is due. What they worked on is a part of that.
const HOLD_ROUTES: &str = "
    -- hold_routes
    INSERT INTO held (episode, route, decision, reason, target, since, due_at, posted_by, alert, alert_group)
    SELECT ?2, decided.route, 'resolved', 'the alert fires again', COALESCE(before.target, ?5), ?3, ?3,
           COALESCE(before.triggered_by, 'healgate'), ?4, COALESCE(before.alert_group, ?6)
    FROM   (SELECT DISTINCT route FROM decisions INDEXED BY decisions_of_alert
            WHERE  fingerprint = ?5 AND episode = ?1 AND route IS NOT NULL) AS decided
    LEFT   JOIN jobs AS before ON before.id = (SELECT MAX(id) FROM jobs INDEXED BY jobs_of_episode WHERE episode = ?1)";

/// Alerts that were found resolved since then, and have not been heard of any more.
pub(super) async fn asked_episodes(pool: &SqlitePool, since: Timestamp) -> Result<Vec<Comeback>, StoreError> {
    let rows = sqlx::query(ASKED_EPISODES)
        .bind(since.as_micros())
        .fetch_all(pool)
        .await
        .map_err(database)?;
    rows.iter().map(comeback).collect()
}

/// As an alert that fires from the time on at which it was found gone, as far as is known here.
fn comeback(row: &SqliteRow) -> Result<Comeback, StoreError> {
    Ok(Comeback {
        episode: parsed(row, "id")?,
        alert: Alert {
            status: AlertStatus::Firing,
            labels: json(row, "labels")?,
            annotations: json(row, "annotations")?,
            starts_at: time(row, "closed_at")?,
            ends_at: None,
            fingerprint: fingerprint(row)?,
            generator_url: get(row, "generator_url")?,
        },
    })
}

/// The alert fires again: a new episode, and decisions about it.
pub(super) struct ComeBack {
    pub(super) comeback: Comeback,
    pub(super) now: Timestamp,
}

#[async_trait]
impl Write for ComeBack {
    type Output = bool;

    async fn apply(self, scope: &mut Scope<'_>) -> Result<bool, StoreError> {
        let Self { comeback, now } = self;
        let Comeback { episode, alert } = &comeback;
        let reopened: EpisodeId = episode.moved_to(now);
        let statement = sqlx::query(REOPEN)
            .bind(episode.to_string())
            .bind(reopened.to_string())
            .bind(alert.starts_at.as_micros())
            .bind(now.as_micros());
        let opened = scope.execute(statement).await?;
        if opened == 0 {
            return Ok(false);
        }
        let statement = sqlx::query(POINT_ALERT)
            .bind(alert.fingerprint.as_str())
            .bind(reopened.to_string())
            .bind(now.as_micros());
        scope.execute(statement).await?;
        let statement = sqlx::query(HOLD_ROUTES)
            .bind(episode.to_string())
            .bind(reopened.to_string())
            .bind(now.as_micros())
            .bind(to_json(alert)?)
            .bind(alert.fingerprint.as_str())
            .bind(to_json(&Group::default())?);
        scope.execute(statement).await?;
        scope.held_back();
        Ok(true)
    }
}
