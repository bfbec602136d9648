//! Removes old records, a portion in each transaction. What something kept still refers to stays.

use std::time::Instant;

use rusqlite::params;

use crate::store::StoreError;
use crate::store::sqlite::connection::Row;
use crate::store::sqlite::prune_jobs;
use crate::store::sqlite::rows::{count, to_json};
use crate::store::sqlite::writer::{Scope, Write};
use crate::store::upkeep::{Portion, Record, Removed};

/// What an alert is decided by is the last word of each route about its open episode.
const OLD_DECISIONS: &str = "
    -- old_decisions
    SELECT decisions.id AS key, decisions.at BETWEEN ?1 AND ?4 AS is_young,
           (decisions.episode IS NULL
            OR EXISTS (SELECT 1 FROM episodes WHERE episodes.id = decisions.episode AND episodes.closed_at < ?1)
            OR EXISTS (SELECT 1 FROM decisions AS later INDEXED BY decisions_of_alert
                       WHERE  later.fingerprint = decisions.fingerprint AND later.id > decisions.id
                       AND    later.episode = decisions.episode AND later.route IS decisions.route)) AS may_go
    FROM   decisions
    WHERE  decisions.id > CAST(?2 AS INTEGER)
    ORDER  BY decisions.id
    LIMIT  ?3";

const REMOVE_DECISIONS: &str = "
    -- remove_decisions
    DELETE FROM decisions WHERE id IN (SELECT CAST(value AS INTEGER) FROM json_each(?1))";

const OLD_NOTIFICATIONS: &str = "
    -- old_notifications
    SELECT id AS key, received_at BETWEEN ?1 AND ?4 AS is_young,
           NOT EXISTS (SELECT 1 FROM decisions WHERE decisions.notification = notifications.id) AS may_go
    FROM   notifications
    WHERE  id > ?2
    ORDER  BY id
    LIMIT  ?3";

const REMOVE_NOTIFICATIONS: &str = "
    -- remove_notifications
    DELETE FROM notifications WHERE id IN (SELECT value FROM json_each(?1))";

/// The last episode of an alert takes the alert with it, so it stays until nothing else of the alert is left.
const OLD_EPISODES: &str = "
    -- old_episodes
    SELECT episodes.id AS key, episodes.opened_at BETWEEN ?1 AND ?4 AS is_young,
           COALESCE(episodes.closed_at < ?1, 0)
           AND NOT EXISTS (SELECT 1 FROM jobs INDEXED BY jobs_of_episode WHERE jobs.episode = episodes.id)
           AND NOT EXISTS (SELECT 1 FROM decisions INDEXED BY decisions_of_episode
                           WHERE  decisions.episode = episodes.id)
           AND NOT EXISTS (SELECT 1 FROM held WHERE held.episode = episodes.id)
           AND (NOT EXISTS (SELECT 1 FROM alerts WHERE alerts.last_episode = episodes.id)
                OR NOT (EXISTS (SELECT 1 FROM episodes AS other
                                WHERE  other.fingerprint = episodes.fingerprint AND other.id <> episodes.id)
                        OR EXISTS (SELECT 1 FROM jobs AS other INDEXED BY jobs_by_fingerprint
                                   WHERE  other.fingerprint = episodes.fingerprint)
                        OR EXISTS (SELECT 1 FROM decisions AS other INDEXED BY decisions_of_alert
                                   WHERE  other.fingerprint = episodes.fingerprint))) AS may_go
    FROM   episodes
    WHERE  episodes.id > ?2
    ORDER  BY episodes.id
    LIMIT  ?3";

const REMOVE_ALERTS: &str = "
    -- remove_alerts
    DELETE FROM alerts WHERE last_episode IN (SELECT value FROM json_each(?1))";

const REMOVE_EPISODES: &str = "
    -- remove_episodes
    DELETE FROM episodes WHERE id IN (SELECT value FROM json_each(?1))";

/// Messages about a job go with it.
const OLD_MESSAGES: &str = "
    -- old_messages
    SELECT id AS key, created_at BETWEEN ?1 AND ?4 AS is_young, job IS NULL AND COALESCE(settled_at < ?1, 0) AS may_go
    FROM   outbox
    WHERE  id > CAST(?2 AS INTEGER)
    ORDER  BY id
    LIMIT  ?3";

const REMOVE_MESSAGES: &str = "
    -- remove_messages
    DELETE FROM outbox WHERE id IN (SELECT CAST(value AS INTEGER) FROM json_each(?1))";

const OLD_MISSES: &str = "
    -- old_misses
    SELECT id AS key, missed_since BETWEEN ?1 AND ?4 AS is_young, COALESCE(back_at < ?1, 0) AS may_go
    FROM   heartbeat_misses
    WHERE  id > CAST(?2 AS INTEGER)
    ORDER  BY id
    LIMIT  ?3";

const REMOVE_MISSES: &str = "
    -- remove_misses
    DELETE FROM heartbeat_misses WHERE id IN (SELECT CAST(value AS INTEGER) FROM json_each(?1))";

/// In the order in which they expire: all last equally long.
const OLD_SESSIONS: &str = "
    -- old_sessions
    SELECT id AS key, expires_at > ?4 AS is_young, 1 AS may_go
    FROM   sessions
    WHERE  id > CAST(?2 AS INTEGER)
    ORDER  BY id
    LIMIT  ?3";

const REMOVE_SESSIONS: &str = "
    -- remove_sessions
    DELETE FROM sessions WHERE id IN (SELECT CAST(value AS INTEGER) FROM json_each(?1))";

/// The oldest logs first. One that is gone is not found any more, so no portion needs to know where the last one ended.
const OLD_LOGS: &str = "
    -- old_logs
    SELECT attempts.id
    FROM   attempts INDEXED BY attempts_with_log
    JOIN   jobs ON jobs.id = attempts.job
    WHERE  attempts.finished_at IS NOT NULL AND attempts.finished_at < ?1 AND attempts.log_bytes > 0
    AND    attempts.log_pruned < 2 AND jobs.finished_at IS NOT NULL
    ORDER  BY attempts.finished_at
    LIMIT  ?2";

const LAST_CHUNKS: &str = "
    -- last_chunks
    SELECT start, length(data) AS bytes FROM log_chunks WHERE attempt = ?1 ORDER BY start DESC LIMIT ?2";

const REMOVE_CHUNKS: &str = "
    -- remove_chunks
    DELETE FROM log_chunks WHERE attempt = ?1 AND start >= ?2";

const MARK_LOG: &str = "
    -- mark_log
    UPDATE attempts SET log_pruned = ?2 WHERE id = ?1";

/// Chunks of one log that go at once: a sealed one may have 256 KiB.
const CHUNKS: i64 = 16;

/// Bytes of logs that go in one transaction, about.
const BYTES: u64 = 1 << 20;

/// The command.
pub(super) struct Prune(pub(super) Portion);

impl Write for Prune {
    type Output = Removed;

    fn apply(self, scope: &mut Scope<'_>) -> Result<Removed, StoreError> {
        let began = Instant::now();
        let portion = &self.0;
        let removed = match portion.record {
            Record::Logs => logs(scope, portion),
            Record::Decisions => walk(scope, portion, OLD_DECISIONS, &[REMOVE_DECISIONS]),
            Record::Notifications => walk(scope, portion, OLD_NOTIFICATIONS, &[REMOVE_NOTIFICATIONS]),
            Record::Jobs => prune_jobs::jobs(scope, portion),
            Record::Episodes => walk(scope, portion, OLD_EPISODES, &[REMOVE_ALERTS, REMOVE_EPISODES]),
            Record::Messages => walk(scope, portion, OLD_MESSAGES, &[REMOVE_MESSAGES]),
            Record::Heartbeats => walk(scope, portion, OLD_MISSES, &[REMOVE_MISSES]),
            Record::Sessions => walk(scope, portion, OLD_SESSIONS, &[REMOVE_SESSIONS]),
        }?;
        Ok(Removed {
            took: began.elapsed(),
            ..removed
        })
    }
}

/// Goes through a table in the order in which its rows were made, up to the first one that is too young. Rows of a time that
/// is yet to come were made while the clock was wrong, and say nothing about those after them.
fn walk(
    scope: &mut Scope<'_>,
    portion: &Portion,
    find: &'static str,
    remove: &[&'static str],
) -> Result<Removed, StoreError> {
    // Before every id and every number of a row.
    let first = "0";
    let rows = scope.connection.all(
        find,
        params![
            portion.before.as_micros(),
            portion.after.as_deref().unwrap_or(first),
            portion.most,
            portion.now.as_micros()
        ],
    )?;
    let mut going = Vec::new();
    let mut last = None;
    let mut is_over = rows.len() < usize::try_from(portion.most).unwrap_or(usize::MAX);
    for row in &rows {
        if row.get("is_young")? {
            is_over = true;
            break;
        }
        let key = key(row)?;
        if row.get("may_go")? {
            going.push(key.clone());
        }
        last = Some(key);
    }
    let keys = to_json(&going)?;
    let mut records = 0;
    if !going.is_empty() {
        for statement in remove {
            records = scope.execute(statement, params![&keys])?;
        }
    }
    Ok(Removed {
        records,
        next: last.filter(|_| !is_over),
        ..Removed::default()
    })
}

/// Of a row whose `key` is a number or a text.
fn key(row: &Row) -> Result<String, StoreError> {
    let number: Result<i64, _> = row.get("key");
    number.map_or_else(|_| row.get("key"), |number| Ok(number.to_string()))
}

fn logs(scope: &mut Scope<'_>, portion: &Portion) -> Result<Removed, StoreError> {
    let rows = scope
        .connection
        .all(OLD_LOGS, params![portion.before.as_micros(), portion.most])?;
    let (removed, are_gone) = remove_logs(scope, &rows)?;
    let is_over = are_gone && rows.len() < usize::try_from(portion.most).unwrap_or(usize::MAX);
    Ok(Removed {
        next: (!is_over).then(String::new),
        ..removed
    })
}

/// Removes the logs of attempts, rows with their `id`, as many as go in one transaction. Whether nothing is left of any.
pub(super) fn remove_logs(scope: &mut Scope<'_>, attempts: &[Row]) -> Result<(Removed, bool), StoreError> {
    let (mut removed, mut are_gone) = (Removed::default(), true);
    for row in attempts {
        if removed.log_bytes >= BYTES {
            return Ok((removed, false));
        }
        let (bytes, is_gone) = remove_log(scope, row.get("id")?)?;
        removed.log_bytes += bytes;
        removed.records += u64::from(is_gone);
        are_gone &= is_gone;
    }
    Ok((removed, are_gone))
}

/// Removes an attempt's log, or its end if it is long. How many bytes, and whether nothing of it is left.
///
/// From its end: nobody may find bytes at another place than theirs.
fn remove_log(scope: &mut Scope<'_>, attempt: i64) -> Result<(u64, bool), StoreError> {
    let chunks = scope.connection.all(LAST_CHUNKS, params![attempt, CHUNKS])?;
    let mut bytes = 0;
    for chunk in &chunks {
        bytes += count::<u64>(chunk, "bytes")?;
    }
    if let Some(last) = chunks.last() {
        let start: i64 = last.get("start")?;
        scope.execute(REMOVE_CHUNKS, params![attempt, start])?;
    }
    let is_gone = chunks.len() < usize::try_from(CHUNKS).unwrap_or(usize::MAX);
    let state = if is_gone { 2 } else { 1 };
    scope.execute(MARK_LOG, params![attempt, state])?;
    Ok((bytes, is_gone))
}
