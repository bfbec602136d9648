//! Reads what people see at a glance.

use std::time::Duration;

use async_trait::async_trait;
use rusqlite::params;

use crate::domain::act::Act;
use crate::domain::attempt::TaskResult;
use crate::domain::decision::DecisionKind;
use crate::domain::ids::{Fingerprint, JobId};
use crate::domain::timestamp::Timestamp;
use crate::store::StoreError;
use crate::store::overview::{Firing, FiringAlert, HeldCount, HeldWhy, Overview, StormHeld, Stretch};
use crate::store::read::AlertStory;
use crate::store::sqlite::SqliteStore;
use crate::store::sqlite::acts;
use crate::store::sqlite::alerts;
use crate::store::sqlite::connection::{Connection, Row};
use crate::store::sqlite::held;
use crate::store::sqlite::history;
use crate::store::sqlite::rows::{count, fingerprint, json, time, word, word_option};
use crate::store::sqlite::trend;

const LIST_FIRING: &str = "
    -- list_firing
    SELECT fingerprint, alertname, labels, annotations, starts_at, last_received_at,
           (SELECT decision FROM held WHERE episode = episodes.id ORDER BY route LIMIT 1) AS held_by,
           (SELECT reason FROM held WHERE episode = episodes.id ORDER BY route LIMIT 1) AS held_because
    FROM   episodes INDEXED BY episodes_firing
    WHERE  closed_at IS NULL AND opened_at < ?1
    ORDER  BY opened_at DESC
    LIMIT  ?2";

const COUNT_FIRING: &str = "
    -- count_firing
    SELECT COUNT(*)
    FROM   (SELECT 1 FROM episodes INDEXED BY episodes_firing WHERE closed_at IS NULL AND opened_at < ?1 LIMIT ?2)";

const FIRES: &str = "
    -- fires
    SELECT episodes.closed_at IS NULL AS firing
    FROM   alerts
    JOIN   episodes ON episodes.id = alerts.last_episode
    WHERE  alerts.fingerprint = ?1";

const HELD_SINCE: &str = "
    -- held_since
    SELECT decision, COUNT(*) AS count
    FROM   decisions INDEXED BY decisions_held_back
    WHERE  at >= ?1 AND decision IN ('paused', 'tripped', 'held', 'flapping', 'capped', 'cooling_down', 'guarded')
    GROUP  BY decision
    ORDER  BY count DESC, decision";

#[async_trait]
impl Overview for SqliteStore {
    async fn firing(&self, most: u32) -> Result<Firing, StoreError> {
        self.readers.read(move |connection| firing(connection, most)).await
    }

    async fn failures(&self, id: JobId, attempt: u32, most: u32) -> Result<Vec<TaskResult>, StoreError> {
        self.readers
            .read(move |connection| history::failures(connection, id, attempt, most))
            .await
    }

    async fn acts(&self, since: Timestamp, most: u32) -> Result<Vec<Act>, StoreError> {
        self.readers
            .read(move |connection| acts::list(connection, since, most))
            .await
    }

    async fn fires(&self, fingerprint: &Fingerprint) -> Result<Option<bool>, StoreError> {
        let wanted = fingerprint.clone();
        self.readers
            .read(move |connection| connection.optional_value(FIRES, params![wanted.as_str()]))
            .await
    }

    async fn trend(&self, since: Timestamp, stretch: Duration, now: Timestamp) -> Result<Vec<Stretch>, StoreError> {
        self.readers
            .read(move |connection| trend::trend(connection, since, stretch, now))
            .await
    }

    async fn storm_held(&self, most: u32) -> Result<StormHeld, StoreError> {
        self.readers
            .read(move |connection| held::of_storm(connection, most))
            .await
    }

    async fn held_since(&self, since: Timestamp) -> Result<Vec<HeldCount>, StoreError> {
        self.readers.read(move |connection| held_since(connection, since)).await
    }

    async fn alert_story(&self, fingerprint: &Fingerprint, most: u32) -> Result<Option<AlertStory>, StoreError> {
        let wanted = fingerprint.clone();
        self.readers
            .read(move |connection| alerts::find_newest(connection, &wanted, most))
            .await
    }
}

fn firing(connection: &Connection, most: u32) -> Result<Firing, StoreError> {
    let rows = connection.all(LIST_FIRING, params![i64::MAX, most])?;
    let counted: i64 = connection.value(COUNT_FIRING, params![i64::MAX, Firing::COUNTED.cast_signed()])?;
    Ok(Firing {
        alerts: rows.iter().map(alert).collect::<Result<_, _>>()?,
        count: counted.unsigned_abs(),
    })
}

fn held_since(connection: &Connection, since: Timestamp) -> Result<Vec<HeldCount>, StoreError> {
    let rows = connection.all(HELD_SINCE, params![since.as_micros()])?;
    let counted = rows.iter().map(|row| {
        Ok(HeldCount {
            kind: word(row, "decision", DecisionKind::parse)?,
            count: count(row, "count")?,
        })
    });
    counted.collect()
}

fn alert(row: &Row) -> Result<FiringAlert, StoreError> {
    Ok(FiringAlert {
        fingerprint: fingerprint(row)?,
        alertname: row.get("alertname")?,
        labels: json(row, "labels")?,
        annotations: json(row, "annotations")?,
        starts_at: time(row, "starts_at")?,
        last_received_at: time(row, "last_received_at")?,
        held: held_why(row)?,
    })
}

fn held_why(row: &Row) -> Result<Option<HeldWhy>, StoreError> {
    let kind = word_option(row, "held_by", DecisionKind::parse)?;
    let reason = row.get::<Option<String>>("held_because")?;
    Ok(kind.zip(reason).map(|(kind, reason)| HeldWhy { kind, reason }))
}
