//! Alerts that were found resolved by asking, and that fire again before Alertmanager has said a word about it: it tells
//! nobody of an alert that was gone between two of its notifications.

use rusqlite::params;

use crate::domain::alert::{Alert, AlertStatus, Group};
use crate::domain::ids::EpisodeId;
use crate::domain::timestamp::Timestamp;
use crate::store::sqlite::connection::{Connection, Row};
use crate::store::sqlite::episodes;
use crate::store::sqlite::rows::{fingerprint, json, parsed, time, to_json};
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
pub(super) fn asked_episodes(connection: &Connection, since: Timestamp) -> Result<Vec<Comeback>, StoreError> {
    let rows = connection.all(ASKED_EPISODES, params![since.as_micros()])?;
    rows.iter().map(comeback).collect()
}

/// As an alert that fires from the time on at which it was found gone, as far as is known here.
fn comeback(row: &Row) -> Result<Comeback, StoreError> {
    Ok(Comeback {
        episode: parsed(row, "id")?,
        alert: Alert {
            status: AlertStatus::Firing,
            labels: json(row, "labels")?,
            annotations: json(row, "annotations")?,
            starts_at: time(row, "closed_at")?,
            ends_at: None,
            fingerprint: fingerprint(row)?,
            generator_url: row.get("generator_url")?,
        },
    })
}

/// The alert fires again: a new episode, and decisions about it.
pub(super) struct ComeBack {
    pub(super) comeback: Comeback,
    pub(super) now: Timestamp,
}

impl Write for ComeBack {
    type Output = bool;

    fn apply(self, scope: &mut Scope<'_>) -> Result<bool, StoreError> {
        let Self { comeback, now } = self;
        let Comeback { episode, alert } = &comeback;
        let reopened: EpisodeId = episode.moved_to(now);
        let opened = scope.execute(
            REOPEN,
            params![
                episode.to_string(),
                reopened.to_string(),
                alert.starts_at.as_micros(),
                now.as_micros()
            ],
        )?;
        if opened == 0 {
            return Ok(false);
        }
        episodes::point(scope, (reopened, alert), now)?;
        scope.execute(
            HOLD_ROUTES,
            params![
                episode.to_string(),
                reopened.to_string(),
                now.as_micros(),
                to_json(alert)?,
                alert.fingerprint.as_str(),
                to_json(&Group::default())?
            ],
        )?;
        scope.held_back();
        Ok(true)
    }
}
