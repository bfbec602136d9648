//! Heartbeats of routes: when each came last, and when it was missed.

use rusqlite::params;

use crate::domain::alert::AlertStatus;
use crate::domain::heartbeat::Pulse;
use crate::domain::notify::{Announcement, NotifyEvent};
use crate::domain::policy::Delivery;
use crate::domain::timestamp::Timestamp;
use crate::store::sqlite::connection::{Connection, Row};
use crate::store::sqlite::outbox::announce;
use crate::store::sqlite::rows::{time, time_option, to_json};
use crate::store::sqlite::writer::{Scope, Write};
use crate::store::{HeartbeatMiss, StoreError};

const LIST_PULSES: &str = "
    -- list_pulses
    SELECT heartbeats.route, heartbeats.watched_since, heartbeats.last_received_at, misses.missed_since
    FROM   heartbeats
    LEFT   JOIN heartbeat_misses AS misses INDEXED BY heartbeat_misses_open
           ON misses.route = heartbeats.route AND misses.back_at IS NULL
    ORDER  BY heartbeats.route";

const HEAR: &str = "
    -- hear
    INSERT INTO heartbeats (route, watched_since, last_received_at)
    SELECT value, ?2, ?2 FROM json_each(?1) WHERE true
    ON CONFLICT (route) DO UPDATE SET last_received_at = MAX(COALESCE(last_received_at, 0), excluded.last_received_at)";

const END_MISSES: &str = "
    -- end_misses
    UPDATE heartbeat_misses INDEXED BY heartbeat_misses_open
    SET    back_at = ?2
    FROM   json_each(?1) AS heard
    WHERE  heartbeat_misses.route = heard.value AND heartbeat_misses.back_at IS NULL
    RETURNING heartbeat_misses.route, heartbeat_misses.last_received_at, heartbeat_misses.missed_since";

const WATCH_HEARTBEATS: &str = "
    -- watch_heartbeats
    INSERT INTO heartbeats (route, watched_since)
    SELECT value, ?2 FROM json_each(?1) WHERE true
    ON CONFLICT (route) DO NOTHING";

const FORGET_HEARTBEATS: &str = "
    -- forget_heartbeats
    DELETE FROM heartbeats WHERE route IN (SELECT value FROM json_each(?1))";

const FORGET_MISSES: &str = "
    -- forget_misses
    DELETE FROM heartbeat_misses WHERE route IN (SELECT value FROM json_each(?1)) AND back_at IS NULL";

const BEGIN_MISS: &str = "
    -- begin_miss
    INSERT INTO heartbeat_misses (route, last_received_at, missed_since)
    SELECT route, last_received_at, ?2
    FROM   heartbeats
    WHERE  route = ?1 AND last_received_at IS ?3
    ON CONFLICT DO NOTHING
    RETURNING route, last_received_at, missed_since";

/// What is known of every heartbeat that is waited for, by route.
pub(super) fn list(connection: &Connection) -> Result<Vec<Pulse>, StoreError> {
    let rows = connection.all(LIST_PULSES, [])?;
    rows.iter()
        .map(|row| {
            Ok(Pulse {
                route: row.get("route")?,
                watched_since: time(row, "watched_since")?,
                last_received_at: time_option(row, "last_received_at")?,
                missed_since: time_option(row, "missed_since")?,
            })
        })
        .collect()
}

/// Notes the heartbeats that a notification brings.
pub(super) fn hear(scope: &mut Scope<'_>, delivery: &Delivery) -> Result<(), StoreError> {
    let mut heard: Vec<&str> = delivery
        .intakes
        .iter()
        .filter(|intake| intake.alert.status == AlertStatus::Firing)
        .flat_map(|intake| &intake.reached)
        .filter(|reached| reached.route.heartbeat.is_some())
        .map(|reached| reached.route.name.as_str())
        .collect();
    if heard.is_empty() {
        return Ok(());
    }
    heard.sort_unstable();
    heard.dedup();
    let (heard, now) = (to_json(&heard)?, delivery.received_at);
    change(scope, HEAR, (&heard, now))?;
    let rows = scope.connection.all(END_MISSES, params![&heard, now.as_micros()])?;
    for row in &rows {
        tell_back(&miss(row)?, now);
    }
    Ok(())
}

/// Begins and ends to wait for heartbeats, as the catalogue asks.
pub(super) struct Watch {
    pub(super) begin: Vec<String>,
    pub(super) end: Vec<String>,
    pub(super) now: Timestamp,
}

impl Write for Watch {
    type Output = ();

    fn apply(self, scope: &mut Scope<'_>) -> Result<(), StoreError> {
        let (begin, end) = (to_json(&self.begin)?, to_json(&self.end)?);
        change(scope, WATCH_HEARTBEATS, (&begin, self.now))?;
        for statement in [FORGET_HEARTBEATS, FORGET_MISSES] {
            scope.execute(statement, params![&end])?;
        }
        Ok(())
    }
}

/// Notes that heartbeats have stayed away too long; one that came meanwhile has not.
pub(super) struct Miss(pub(super) Vec<HeartbeatMiss>);

impl Write for Miss {
    type Output = Vec<HeartbeatMiss>;

    fn apply(self, scope: &mut Scope<'_>) -> Result<Vec<HeartbeatMiss>, StoreError> {
        let mut misses = Vec::new();
        for overdue in &self.0 {
            let row = scope.connection.optional(
                BEGIN_MISS,
                params![
                    &overdue.route,
                    overdue.missed_since.as_micros(),
                    overdue.last_received_at.map(Timestamp::as_micros)
                ],
            )?;
            if let Some(row) = row {
                let miss = HeartbeatMiss {
                    tell: overdue.tell.clone(),
                    ..miss(&row)?
                };
                tell_missed(scope, &miss)?;
                misses.push(miss);
            }
        }
        Ok(misses)
    }
}

/// The one place where a heartbeat becomes missed: within the transaction that notes it, once for each miss.
fn tell_missed(scope: &mut Scope<'_>, miss: &HeartbeatMiss) -> Result<(), StoreError> {
    let (route, since) = (&miss.route, miss.missed_since);
    let last = match miss.last_received_at {
        Some(last) => format!("it last came at {last}"),
        None => "it never came".to_owned(),
    };
    tracing::warn!(route, %since, last, "a heartbeat is missed");
    let announcement = Announcement {
        event: NotifyEvent::HeartbeatMissed,
        to: miss.tell.clone(),
        key: format!("{route} {}", since.as_micros()),
        title: format!("The heartbeat of the route {route} stays away"),
        text: format!(
            "It should have come by {since}; {last}. Alerts may not arrive any more, and nothing would be healed then: look \
             whether Prometheus evaluates its rules, and Alertmanager reaches this gateway."
        ),
    };
    announce(scope, &announcement, since)
}

/// The one place where a missed heartbeat comes back.
fn tell_back(miss: &HeartbeatMiss, back_at: Timestamp) {
    tracing::info!(route = miss.route, missed_since = %miss.missed_since, %back_at, "a heartbeat is back");
}

/// Of a row with `route`, `last_received_at` and `missed_since`.
fn miss(row: &Row) -> Result<HeartbeatMiss, StoreError> {
    Ok(HeartbeatMiss {
        route: row.get("route")?,
        last_received_at: time_option(row, "last_received_at")?,
        missed_since: time(row, "missed_since")?,
        tell: Vec::new(),
    })
}

fn change(scope: &mut Scope<'_>, statement: &'static str, (routes, now): (&str, Timestamp)) -> Result<(), StoreError> {
    scope.execute(statement, params![routes, now.as_micros()])?;
    Ok(())
}
