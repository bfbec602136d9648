//! Reads alerts, episodes, notifications and decisions.

use rusqlite::params;

use crate::domain::alert::{AlertStatus, Sender};
use crate::domain::decision::DecisionKind;
use crate::domain::ids::{Fingerprint, JobId, NotificationId};
use crate::domain::job::Job;
use crate::store::StoreError;
use crate::store::read::{
    AlertFilter, AlertStory, AlertSummary, Episode, JobFilter, NotificationDetail, NotificationSummary, Page,
    PageRequest, StoredDecision, StoredEvent,
};
use crate::store::sqlite::connection::{Connection, Row};
use crate::store::sqlite::jobs;
use crate::store::sqlite::page::{after, cut};
use crate::store::sqlite::rows::{
    count, fingerprint, ids, job_event, json, json_option, parsed, parsed_option, time, time_option, word,
};

/// How much of an alert's or a notification's story is told at once.
const STORY: u32 = 500;

const LIST_ALERTS: &str = "
    -- list_alerts
    SELECT alerts.fingerprint, alerts.last_received_at, episodes.alertname, episodes.labels, episodes.annotations,
           episodes.generator_url, episodes.starts_at, episodes.closed_at IS NULL AS firing,
           (SELECT COUNT(*) FROM episodes AS all_of WHERE all_of.fingerprint = alerts.fingerprint) AS episodes,
           (SELECT COUNT(*) FROM jobs WHERE jobs.fingerprint = alerts.fingerprint) AS jobs
    FROM   alerts
    JOIN   episodes ON episodes.id = alerts.last_episode
    WHERE  (alerts.last_received_at, alerts.fingerprint) < (?1, ?2)
    ORDER  BY alerts.last_received_at DESC, alerts.fingerprint DESC
    LIMIT  ?3";

/// What fires are the open episodes, and each is its alert's last one.
const LIST_FIRING_ALERTS: &str = "
    -- list_firing_alerts
    SELECT fingerprint, last_received_at, alertname, labels, annotations, generator_url, starts_at, 1 AS firing,
           (SELECT COUNT(*) FROM episodes AS all_of WHERE all_of.fingerprint = episodes.fingerprint) AS episodes,
           (SELECT COUNT(*) FROM jobs WHERE jobs.fingerprint = episodes.fingerprint) AS jobs
    FROM   episodes INDEXED BY episodes_firing_by_reception
    WHERE  closed_at IS NULL AND (last_received_at, fingerprint) < (?1, ?2)
    ORDER  BY last_received_at DESC, fingerprint DESC
    LIMIT  ?3";

/// Passes over those that fire, which are few beside all that ever did.
const LIST_RESOLVED_ALERTS: &str = "
    -- list_resolved_alerts
    SELECT alerts.fingerprint, alerts.last_received_at, episodes.alertname, episodes.labels, episodes.annotations,
           episodes.generator_url, episodes.starts_at, 0 AS firing,
           (SELECT COUNT(*) FROM episodes AS all_of WHERE all_of.fingerprint = alerts.fingerprint) AS episodes,
           (SELECT COUNT(*) FROM jobs WHERE jobs.fingerprint = alerts.fingerprint) AS jobs
    FROM   alerts INDEXED BY alerts_by_reception
    JOIN   episodes ON episodes.id = alerts.last_episode
    WHERE  (alerts.last_received_at, alerts.fingerprint) < (?1, ?2) AND episodes.closed_at IS NOT NULL
    ORDER  BY alerts.last_received_at DESC, alerts.fingerprint DESC
    LIMIT  ?3";

const FIND_ALERT: &str = "
    -- find_alert
    SELECT alerts.fingerprint, alerts.last_received_at, episodes.alertname, episodes.labels, episodes.annotations,
           episodes.generator_url, episodes.starts_at, episodes.closed_at IS NULL AS firing,
           (SELECT COUNT(*) FROM episodes AS all_of WHERE all_of.fingerprint = alerts.fingerprint) AS episodes,
           (SELECT COUNT(*) FROM jobs WHERE jobs.fingerprint = alerts.fingerprint) AS jobs
    FROM   alerts
    JOIN   episodes ON episodes.id = alerts.last_episode
    WHERE  alerts.fingerprint = ?1";

const LIST_EPISODES: &str = "
    -- list_episodes
    SELECT * FROM episodes WHERE fingerprint = ?1 ORDER BY id DESC LIMIT ?2";

const DECISIONS_OF_ALERT: &str = "
    -- decisions_of_alert
    SELECT * FROM decisions WHERE fingerprint = ?1 ORDER BY id DESC LIMIT ?2";

const EVENTS_OF_JOBS: &str = "
    -- events_of_jobs
    SELECT job_events.*
    FROM   json_each(?1) AS wanted
    JOIN   job_events INDEXED BY job_events_of_job ON job_events.job = wanted.value
    ORDER  BY job_events.id DESC
    LIMIT  ?2";

const DECISIONS_OF_NOTIFICATION: &str = "
    -- decisions_of_notification
    SELECT * FROM decisions WHERE notification = ?1 ORDER BY id";

const LIST_NOTIFICATIONS: &str = "
    -- list_notifications
    SELECT id, received_at, sender, posted_by, receiver, group_key, alerts, truncated_alerts
    FROM   notifications
    WHERE  id < ?1
    ORDER  BY id DESC
    LIMIT  ?2";

const FIND_NOTIFICATION: &str = "
    -- find_notification
    SELECT * FROM notifications WHERE id = ?1";

/// No notification is larger than the webhook's limit of 32 MiB.
const LARGEST_BODY: usize = 32 << 20;

/// Alerts that the filter lets through, the last received first.
pub(super) fn list(
    connection: &Connection,
    filter: &AlertFilter,
    page: &PageRequest,
) -> Result<Page<AlertSummary>, StoreError> {
    let (received, fingerprint) = match page.after.as_deref() {
        None => (i64::MAX, ""),
        Some(after) => after
            .split_once(' ')
            .and_then(|(received, fingerprint)| Some((received.parse().ok()?, fingerprint)))
            .ok_or_else(|| StoreError::BadCursor(after.to_owned()))?,
    };
    let lets_through = |status| filter.status.contains(&status);
    let statement = match (lets_through(AlertStatus::Firing), lets_through(AlertStatus::Resolved)) {
        (true, false) => LIST_FIRING_ALERTS,
        (false, true) => LIST_RESOLVED_ALERTS,
        (true, true) | (false, false) => LIST_ALERTS,
    };
    let rows = connection.all(statement, params![received, fingerprint, i64::from(page.limit) + 1])?;
    let mut items = rows.iter().map(summary).collect::<Result<Vec<_>, _>>()?;
    let next = cut(&mut items, page, |alert| {
        format!("{} {}", alert.last_received_at.as_micros(), alert.fingerprint)
    });
    Ok(Page { items, next })
}

fn summary(row: &Row) -> Result<AlertSummary, StoreError> {
    Ok(AlertSummary {
        fingerprint: fingerprint(row)?,
        alertname: row.get("alertname")?,
        labels: json(row, "labels")?,
        annotations: json(row, "annotations")?,
        generator_url: row.get("generator_url")?,
        firing: row.get("firing")?,
        starts_at: time(row, "starts_at")?,
        last_received_at: time(row, "last_received_at")?,
        episodes: count(row, "episodes")?,
        jobs: count(row, "jobs")?,
    })
}

/// The whole story of one alert.
pub(super) fn find(connection: &Connection, wanted: &Fingerprint) -> Result<Option<AlertStory>, StoreError> {
    find_newest(connection, wanted, STORY)
}

/// The same, no more of each list than that.
pub(super) fn find_newest(
    connection: &Connection,
    wanted: &Fingerprint,
    most: u32,
) -> Result<Option<AlertStory>, StoreError> {
    let row = connection.optional(FIND_ALERT, params![wanted.as_str()])?;
    let Some(row) = row else { return Ok(None) };
    let episodes = connection.all(LIST_EPISODES, params![wanted.as_str(), most])?;
    let decisions = connection.all(DECISIONS_OF_ALERT, params![wanted.as_str(), most])?;
    let filter = JobFilter {
        fingerprint: vec![wanted.as_str().to_owned()],
        ..JobFilter::default()
    };
    let jobs = jobs::list(connection, &filter, &PageRequest::first(most))?;
    let events = events(connection, &jobs.items, most)?;
    Ok(Some(AlertStory {
        summary: summary(&row)?,
        episodes: episodes.iter().map(episode).collect::<Result<_, _>>()?,
        decisions: decisions.iter().map(decision).collect::<Result<_, _>>()?,
        jobs: jobs.items,
        events,
    }))
}

fn events(connection: &Connection, jobs: &[Job], most: u32) -> Result<Vec<StoredEvent>, StoreError> {
    let wanted: Vec<JobId> = jobs.iter().map(|job| job.id).collect();
    let rows = connection.all(EVENTS_OF_JOBS, params![ids(&wanted)?, most])?;
    rows.iter()
        .map(|row| {
            Ok(StoredEvent {
                job: parsed(row, "job")?,
                event: job_event(row)?,
            })
        })
        .collect()
}

fn episode(row: &Row) -> Result<Episode, StoreError> {
    Ok(Episode {
        id: parsed(row, "id")?,
        starts_at: time(row, "starts_at")?,
        opened_at: time(row, "opened_at")?,
        last_received_at: time(row, "last_received_at")?,
        received: count(row, "received")?,
        ended_at: time_option(row, "ended_at")?,
        closed_at: time_option(row, "closed_at")?,
        missed: row.get("missed")?,
    })
}

fn decision(row: &Row) -> Result<StoredDecision, StoreError> {
    Ok(StoredDecision {
        at: time(row, "at")?,
        notification: parsed_option(row, "notification")?,
        episode: parsed_option(row, "episode")?,
        fingerprint: fingerprint(row)?,
        alertname: row.get("alertname")?,
        route: row.get("route")?,
        kind: word(row, "decision", DecisionKind::parse)?,
        reason: row.get("reason")?,
        job: parsed_option(row, "job")?,
        would_run: json_option(row, "would_run")?,
    })
}

/// Notifications, newest first.
pub(super) fn list_notifications(
    connection: &Connection,
    page: &PageRequest,
) -> Result<Page<NotificationSummary>, StoreError> {
    let after: Option<NotificationId> = after(page)?;
    // Every id sorts before this one.
    let before = after.map_or_else(|| "g".to_owned(), |after| after.to_string());
    let rows = connection.all(LIST_NOTIFICATIONS, params![before, i64::from(page.limit) + 1])?;
    let mut items = rows.iter().map(notification).collect::<Result<Vec<_>, _>>()?;
    let next = cut(&mut items, page, |notification| notification.id.to_string());
    Ok(Page { items, next })
}

fn notification(row: &Row) -> Result<NotificationSummary, StoreError> {
    let sender = |text: &str| {
        [Sender::Alertmanager, Sender::Grafana]
            .into_iter()
            .find(|s| s.as_str() == text)
    };
    Ok(NotificationSummary {
        id: parsed(row, "id")?,
        received_at: time(row, "received_at")?,
        sender: word(row, "sender", sender)?,
        posted_by: row.get("posted_by")?,
        receiver: row.get("receiver")?,
        group_key: row.get("group_key")?,
        alerts: count(row, "alerts")?,
        truncated_alerts: count(row, "truncated_alerts")?,
    })
}

/// One notification with its body and decisions.
pub(super) fn find_notification(
    connection: &Connection,
    id: NotificationId,
) -> Result<Option<NotificationDetail>, StoreError> {
    let row = connection.optional(FIND_NOTIFICATION, params![id.to_string()])?;
    let Some(row) = row else { return Ok(None) };
    let decisions = connection.all(DECISIONS_OF_NOTIFICATION, params![id.to_string()])?;
    let compressed: Vec<u8> = row.get("body")?;
    let body = zstd::bulk::decompress(&compressed, LARGEST_BODY)
        .map_err(|error| StoreError::Database(format!("failed to read a notification: {error}")))?;
    Ok(Some(NotificationDetail {
        summary: notification(&row)?,
        body,
        decisions: decisions.iter().map(decision).collect::<Result<_, _>>()?,
    }))
}
