//! Stores a notification with all that it causes: one transaction, a few statements however many alerts it has.

use std::collections::HashSet;

use async_trait::async_trait;
use serde::Serialize;

use crate::domain::alert::{Alert, AlertStatus};
use crate::domain::decision::{Decision, WouldRun};
use crate::domain::ids::{EpisodeId, Fingerprint, JobId, NotificationId};
use crate::domain::policy::{Delivery, EpisodeChange, Verdict, decide, decide_again};
use crate::domain::timestamp::Timestamp;
use crate::store::sqlite::insert::insert_jobs;
use crate::store::sqlite::resolve::{resolve_jobs, settle_due};
use crate::store::sqlite::rows::{database, ids, integer, to_json};
use crate::store::sqlite::writer::{Scope, Write};
use crate::store::sqlite::{alarms, breakers, heartbeats, held, ledger};
use crate::store::{HeldBack, Received, StoreError};

const INSERT_NOTIFICATION: &str = "
    -- insert_notification
    INSERT INTO notifications (id, received_at, sender, posted_by, receiver, group_key, alerts, truncated_alerts, body)
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)";

const OPEN_EPISODES: &str = "
    -- open_episodes
    INSERT INTO episodes (id, fingerprint, alertname, labels, annotations, generator_url, starts_at, opened_at,
                          last_received_at, received, ended_at, closed_at)
    SELECT value ->> 'id', value ->> 'fingerprint', value ->> 'alertname', value ->> 'labels',
           value ->> 'annotations', value ->> 'generator_url', value ->> 'starts_at', ?2, ?2, 1,
           value ->> 'ended_at', value ->> 'closed_at'
    FROM   json_each(?1)";

const POINT_ALERTS: &str = "
    -- point_alerts
    INSERT INTO alerts (fingerprint, last_episode, last_received_at)
    SELECT value ->> 'fingerprint', value ->> 'id', ?2
    FROM   json_each(?1)
    WHERE  true
    ON CONFLICT (fingerprint) DO UPDATE
    SET    last_episode = excluded.last_episode,
           last_received_at = MAX(last_received_at, excluded.last_received_at)";

const TOUCH_EPISODES: &str = "
    -- touch_episodes
    UPDATE episodes
    SET    last_received_at = MAX(last_received_at, ?2), received = received + 1,
           annotations = touched.value ->> 'annotations', generator_url = touched.value ->> 'generator_url'
    FROM   json_each(?1) AS touched
    WHERE  episodes.id = touched.value ->> 'id'";

const CLOSE_EPISODES: &str = "
    -- close_episodes
    UPDATE episodes
    SET    closed_at = ?2, ended_at = closed.value ->> 'ended_at', missed = closed.value ->> 'missed'
    FROM   json_each(?1) AS closed
    WHERE  episodes.id = closed.value ->> 'id'";

const CONFIRM_ENDS: &str = "
    -- confirm_ends
    UPDATE episodes
    SET    asked = 0
    FROM   json_each(?1) AS closed
    JOIN   alerts ON alerts.fingerprint = closed.value
    WHERE  episodes.id = alerts.last_episode AND episodes.asked = 1";

const SUPERSEDE_JOBS: &str = "
    -- supersede_jobs
    UPDATE jobs SET superseded = 1 WHERE id IN (SELECT value FROM json_each(?1))";

const INSERT_DECISIONS: &str = "
    -- insert_decisions
    INSERT INTO decisions (notification, at, episode, fingerprint, alertname, route, decision, reason, job, would_run)
    SELECT ?2, ?3, value ->> 'episode', value ->> 'fingerprint', value ->> 'alertname', value ->> 'route',
           value ->> 'decision', value ->> 'reason', value ->> 'job', value ->> 'would_run'
    FROM   json_each(?1)
    ORDER  BY key";

/// How hard bodies are compressed: they are repetitive, and this level keeps up with any sender.
const BODY_COMPRESSION: i32 = 1;

/// The command.
pub(super) struct Accept {
    received: Received,
    delivery: Delivery,
    compressed: Vec<u8>,
}

impl Accept {
    /// Compresses the body, so that the writer need not.
    pub(super) fn new(received: Received, delivery: Delivery) -> Result<Self, StoreError> {
        let compressed = zstd::bulk::compress(&received.body, BODY_COMPRESSION)
            .map_err(|error| StoreError::Database(format!("failed to compress the notification: {error}")))?;
        Ok(Self {
            received,
            delivery,
            compressed,
        })
    }
}

#[async_trait]
impl Write for Accept {
    type Output = Vec<Decision>;

    async fn apply(self, scope: &mut Scope<'_>) -> Result<Vec<Decision>, StoreError> {
        let now = self.delivery.received_at;
        // What is over by now must neither count nor be healed.
        settle_due(scope, now).await?;
        self.insert_notification(scope).await?;
        heartbeats::hear(scope, &self.delivery).await?;
        let mut ledger = ledger::read(scope.connection, &self.delivery).await?;
        let verdict = decide(&self.delivery, &mut ledger);
        change_episodes(scope, now, &verdict.episodes, are_distinct(&self.delivery)).await?;
        carry_out(scope, &self.delivery, &verdict).await?;
        confirm_ends(scope, &self.delivery).await?;
        // After the jobs: one notification may report that an alert began and that it ended.
        resolve_jobs(scope, &closed(&verdict.episodes), now).await?;
        insert_decisions(scope, (Some(self.delivery.id), now), &verdict.decisions).await?;
        Ok(verdict.decisions)
    }
}

/// Alertmanager has said itself that these alerts are over: nobody needs to look at them any more.
async fn confirm_ends(scope: &mut Scope<'_>, delivery: &Delivery) -> Result<(), StoreError> {
    let resolved = delivery
        .intakes
        .iter()
        .filter(|intake| intake.alert.status == AlertStatus::Resolved);
    let resolved: Vec<&Fingerprint> = resolved.map(|intake| &intake.alert.fingerprint).collect();
    if resolved.is_empty() {
        return Ok(());
    }
    let statement = sqlx::query(CONFIRM_ENDS).bind(to_json(&resolved)?);
    scope.execute(statement).await.map(drop)
}

/// Makes the jobs of a verdict, and keeps what it holds back.
async fn carry_out(scope: &mut Scope<'_>, delivery: &Delivery, verdict: &Verdict) -> Result<(), StoreError> {
    if !verdict.superseded.is_empty() {
        scope
            .execute(sqlx::query(SUPERSEDE_JOBS).bind(ids(&verdict.superseded)?))
            .await?;
    }
    insert_jobs(scope, &verdict.jobs).await?;
    held::free(scope, &verdict.freed).await?;
    alarms::raise(scope, &verdict.held, &delivery.fleet, delivery.received_at).await?;
    let whose = (delivery.received_at, delivery.posted_by.as_str(), &delivery.group);
    held::hold(scope, whose, &verdict.held).await?;
    // After that: a job that has to wait for its target tries nothing, and others are asked.
    breakers::begin_trials(scope, &verdict.trials, delivery.received_at).await
}

/// Decides once more about what was held back.
pub(super) struct DecideAgain(pub(super) Vec<(HeldBack, Delivery)>);

#[async_trait]
impl Write for DecideAgain {
    type Output = Vec<Decision>;

    async fn apply(self, scope: &mut Scope<'_>) -> Result<Vec<Decision>, StoreError> {
        let mut decisions = Vec::new();
        for (held_back, delivery) in &self.0 {
            let now = delivery.received_at;
            settle_due(scope, now).await?;
            let mut ledger = ledger::read(scope.connection, delivery).await?;
            let verdict = decide_again(delivery, &mut ledger);
            carry_out(scope, delivery, &verdict).await?;
            held::free_due(scope, held_back, now).await?;
            insert_decisions(scope, (None, now), &verdict.decisions).await?;
            decisions.extend(verdict.decisions);
        }
        Ok(decisions)
    }
}

impl Accept {
    async fn insert_notification(&self, scope: &mut Scope<'_>) -> Result<(), StoreError> {
        let Self {
            received,
            delivery,
            compressed,
        } = self;
        sqlx::query(INSERT_NOTIFICATION)
            .bind(delivery.id.to_string())
            .bind(delivery.received_at.as_micros())
            .bind(received.sender.as_str())
            .bind(&delivery.posted_by)
            .bind(&delivery.group.receiver)
            .bind(&delivery.group.group_key)
            .bind(integer(delivery.intakes.len()))
            .bind(integer(received.truncated_alerts))
            .bind(compressed)
            .execute(&mut *scope.connection)
            .await
            .map_err(database)?;
        Ok(())
    }
}

/// Of a notification, or of the gateway's own accord.
async fn insert_decisions(
    scope: &mut Scope<'_>,
    (notification, now): (Option<NotificationId>, Timestamp),
    decisions: &[Decision],
) -> Result<(), StoreError> {
    let rows: Vec<DecisionRow<'_>> = decisions
        .iter()
        .map(|decision| DecisionRow {
            episode: decision.episode,
            fingerprint: &decision.fingerprint,
            alertname: &decision.alertname,
            route: decision.route.as_deref(),
            decision: decision.kind.as_str(),
            reason: &decision.reason,
            job: decision.job,
            would_run: decision.would_run.as_deref(),
        })
        .collect();
    sqlx::query(INSERT_DECISIONS)
        .bind(to_json(&rows)?)
        .bind(notification.map(|id| id.to_string()))
        .bind(now.as_micros())
        .execute(&mut *scope.connection)
        .await
        .map_err(database)?;
    Ok(())
}

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

/// Where every alert occurs once, changes of one kind go together; otherwise their order is kept.
async fn change_episodes(
    scope: &mut Scope<'_>,
    now: Timestamp,
    changes: &[EpisodeChange],
    distinct: bool,
) -> Result<(), StoreError> {
    let mut changes: Vec<&EpisodeChange> = changes.iter().collect();
    if distinct {
        changes.sort_by_key(|change| phase(change));
    }
    // A statement changes a row once, so reports of one alert are never joined.
    for run in changes.chunk_by(|one, other| distinct && phase(one) == phase(other)) {
        let rows = run
            .iter()
            .map(|change| row(change, now))
            .collect::<Result<Vec<_>, _>>()?;
        let rows = to_json(&rows)?;
        let statements: &[&'static str] = match run.first().map(|change| phase(change)) {
            Some(Phase::Open) => &[OPEN_EPISODES, POINT_ALERTS],
            Some(Phase::Touch) => &[TOUCH_EPISODES, POINT_ALERTS],
            Some(Phase::CloseMissed | Phase::Close) => &[CLOSE_EPISODES],
            None => &[],
        };
        for statement in statements {
            timed(scope, statement, &rows, now.as_micros()).await?;
        }
    }
    Ok(())
}

/// The episodes that were closed, and their ends.
fn closed(changes: &[EpisodeChange]) -> Vec<(EpisodeId, Timestamp)> {
    changes
        .iter()
        .filter_map(|change| match change {
            EpisodeChange::Close { id, ended_at, .. } => Some((*id, *ended_at)),
            EpisodeChange::Open { .. } | EpisodeChange::Touch { .. } | EpisodeChange::OpenAndClose { .. } => None,
        })
        .collect()
}

/// What `insert_decisions` takes for each decision.
#[derive(Serialize)]
struct DecisionRow<'a> {
    episode: Option<EpisodeId>,
    fingerprint: &'a Fingerprint,
    alertname: &'a str,
    route: Option<&'a str>,
    decision: &'static str,
    reason: &'a str,
    job: Option<JobId>,
    would_run: Option<&'a WouldRun>,
}

/// What the statements about episodes take for each change; each of them reads what it needs.
#[derive(Serialize)]
struct EpisodeRow<'a> {
    id: EpisodeId,
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

fn row(change: &EpisodeChange, now: Timestamp) -> Result<EpisodeRow<'_>, StoreError> {
    let (id, alert, ended_at) = match change {
        EpisodeChange::Open { id, alert } | EpisodeChange::Touch { id, alert } => (id, Some(alert), None),
        EpisodeChange::OpenAndClose { id, alert, ended_at } => (id, Some(alert), Some(ended_at)),
        EpisodeChange::Close { id, ended_at, .. } => (id, None, Some(ended_at)),
    };
    Ok(EpisodeRow {
        id: *id,
        alert: alert.map(described).transpose()?,
        ended_at: ended_at.map(|ended_at| ended_at.as_micros()),
        closed_at: ended_at.map(|_| now.as_micros()),
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

fn are_distinct(delivery: &Delivery) -> bool {
    let mut seen = HashSet::with_capacity(delivery.intakes.len());
    let mut alerts = delivery.intakes.iter().map(|intake| &intake.alert.fingerprint);
    alerts.all(|fingerprint| seen.insert(fingerprint))
}

async fn timed(scope: &mut Scope<'_>, statement: &'static str, rows: &str, now: i64) -> Result<(), StoreError> {
    sqlx::query(statement)
        .bind(rows)
        .bind(now)
        .execute(&mut *scope.connection)
        .await
        .map_err(database)?;
    Ok(())
}
