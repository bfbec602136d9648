//! What notifications do to the table of episodes: they begin, go on and end.

use std::collections::HashSet;

use serde::Serialize;

use crate::domain::alert::Alert;
use crate::domain::ids::{EpisodeId, Fingerprint};
use crate::domain::policy::{Delivery, EpisodeChange, Verdict};
use crate::domain::timestamp::Timestamp;
use crate::store::StoreError;
use crate::store::sqlite::rows::to_json;
use crate::store::sqlite::writer::Scope;

const OPEN_EPISODES: &str = "
    -- open_episodes
    WITH given AS MATERIALIZED (SELECT key, value AS item FROM json_each(?1))
    INSERT INTO episodes (id, fingerprint, alertname, labels, annotations, generator_url, starts_at, opened_at,
                          last_received_at, received, ended_at, closed_at)
    SELECT item ->> 'id', item ->> 'fingerprint', item ->> 'alertname', item ->> 'labels',
           item ->> 'annotations', item ->> 'generator_url', item ->> 'starts_at', item ->> 'at', item ->> 'at', 1,
           item ->> 'ended_at', item ->> 'closed_at'
    FROM   given";

const POINT_ALERTS: &str = "
    -- point_alerts
    WITH given AS MATERIALIZED (SELECT key, value AS item FROM json_each(?1))
    INSERT INTO alerts (fingerprint, last_episode, last_received_at)
    SELECT item ->> 'fingerprint', item ->> 'id', item ->> 'at'
    FROM   given
    WHERE  true
    ON CONFLICT (fingerprint) DO UPDATE
    SET    last_episode = excluded.last_episode,
           last_received_at = MAX(last_received_at, excluded.last_received_at)";

const TOUCH_EPISODES: &str = "
    -- touch_episodes
    UPDATE episodes
    SET    last_received_at = MAX(last_received_at, touched.value ->> 'at'), received = received + 1,
           annotations = touched.value ->> 'annotations', generator_url = touched.value ->> 'generator_url'
    FROM   json_each(?1) AS touched
    WHERE  episodes.id = touched.value ->> 'id'";

const CLOSE_EPISODES: &str = "
    -- close_episodes
    UPDATE episodes
    SET    closed_at = closed.value ->> 'at', ended_at = closed.value ->> 'ended_at', missed = closed.value ->> 'missed'
    FROM   json_each(?1) AS closed
    WHERE  episodes.id = closed.value ->> 'id'";

/// The kinds of change, in an order that is right for the changes of any one alert.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Phase {
    CloseMissed,
    Open,
    Touch,
    Close,
}

fn phase(change: &EpisodeChange) -> Phase {
    match change {
        EpisodeChange::Close { missed: true, .. } => Phase::CloseMissed,
        EpisodeChange::Open { .. } | EpisodeChange::OpenAndClose { .. } => Phase::Open,
        EpisodeChange::Touch { .. } => Phase::Touch,
        EpisodeChange::Close { missed: false, .. } => Phase::Close,
    }
}

/// Changes the table as notifications say. Where every alert occurs once, changes of one kind go together; otherwise their order is kept.
pub(super) async fn change(scope: &mut Scope<'_>, verdicts: &[(&Delivery, &Verdict)]) -> Result<(), StoreError> {
    let distinct = are_distinct(verdicts);
    let mut changes: Vec<(&EpisodeChange, Timestamp)> = verdicts
        .iter()
        .flat_map(|(delivery, verdict)| verdict.episodes.iter().map(|change| (change, delivery.received_at)))
        .collect();
    if distinct {
        changes.sort_by_key(|(change, _)| phase(change));
    }
    // A statement changes a row once, so reports of one alert are never joined.
    for run in changes.chunk_by(|(one, _), (other, _)| distinct && phase(one) == phase(other)) {
        let rows = run
            .iter()
            .map(|(change, at)| row(change, *at))
            .collect::<Result<Vec<_>, _>>()?;
        let statements: &[&'static str] = match run.first().map(|(change, _)| phase(change)) {
            Some(Phase::Open) => &[OPEN_EPISODES, POINT_ALERTS],
            Some(Phase::Touch) => &[TOUCH_EPISODES, POINT_ALERTS],
            Some(Phase::CloseMissed | Phase::Close) => &[CLOSE_EPISODES],
            None => &[],
        };
        for statement in statements {
            scope.write_rows(statement, &rows).await?;
        }
    }
    Ok(())
}

/// What the statements about episodes take for each change; each of them reads what it needs.
#[derive(Serialize)]
struct EpisodeRow<'a> {
    id: EpisodeId,
    /// When it was reported.
    at: i64,
    #[serde(flatten)]
    alert: Option<AlertRow<'a>>,
    ended_at: Option<i64>,
    closed_at: Option<i64>,
    missed: bool,
}

#[derive(Serialize)]
struct AlertRow<'a> {
    fingerprint: &'a Fingerprint,
    alertname: &'a str,
    labels: String,
    annotations: String,
    generator_url: &'a str,
    starts_at: i64,
}

fn row(change: &EpisodeChange, at: Timestamp) -> Result<EpisodeRow<'_>, StoreError> {
    let (id, alert, ended_at) = match change {
        EpisodeChange::Open { id, alert } | EpisodeChange::Touch { id, alert } => (id, Some(alert), None),
        EpisodeChange::OpenAndClose { id, alert, ended_at } => (id, Some(alert), Some(ended_at)),
        EpisodeChange::Close { id, ended_at, .. } => (id, None, Some(ended_at)),
    };
    Ok(EpisodeRow {
        id: *id,
        at: at.as_micros(),
        alert: alert.map(described).transpose()?,
        ended_at: ended_at.map(|ended_at| ended_at.as_micros()),
        closed_at: ended_at.map(|_| at.as_micros()),
        missed: matches!(change, EpisodeChange::Close { missed: true, .. }),
    })
}

fn described(alert: &Alert) -> Result<AlertRow<'_>, StoreError> {
    Ok(AlertRow {
        fingerprint: &alert.fingerprint,
        alertname: alert.name(),
        labels: to_json(&alert.labels)?,
        annotations: to_json(&alert.annotations)?,
        generator_url: &alert.generator_url,
        starts_at: alert.starts_at.as_micros(),
    })
}

fn are_distinct(verdicts: &[(&Delivery, &Verdict)]) -> bool {
    let mut seen = HashSet::new();
    let intakes = verdicts.iter().flat_map(|(delivery, _)| &delivery.intakes);
    let mut alerts = intakes.map(|intake| &intake.alert.fingerprint);
    alerts.all(|fingerprint| seen.insert(fingerprint))
}
