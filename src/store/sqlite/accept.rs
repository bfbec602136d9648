//! Stores notifications with all that they cause: one transaction, a few statements however many alerts they have.
//!
//! Those that arrive while the writer is busy are decided as if they had come in one (`gather.rs`).

use std::sync::Arc;

use async_trait::async_trait;
use serde::Serialize;

use crate::domain::alert::AlertStatus;
use crate::domain::decision::{Decision, WouldRun};
use crate::domain::ids::{EpisodeId, Fingerprint, JobId, NotificationId};
use crate::domain::policy::{Delivery, EpisodeChange, Verdict, decide, decide_again};
use crate::domain::timestamp::Timestamp;
use crate::store::sqlite::insert::insert_jobs;
use crate::store::sqlite::resolve::{resolve_jobs, settle_due};
use crate::store::sqlite::rows::{ids, integer, to_json};
use crate::store::sqlite::writer::{Scope, Write};
use crate::store::sqlite::{alarms, breakers, episodes, heartbeats, held, ledger};
use crate::store::{HeldBack, Received, StoreError};

const INSERT_NOTIFICATIONS: &str = "
    -- insert_notifications
    WITH given AS MATERIALIZED (SELECT key, value AS item FROM json_each(?1))
    INSERT INTO notifications (id, received_at, sender, posted_by, receiver, group_key, alerts, truncated_alerts, body)
    SELECT item ->> 'id', item ->> 'received_at', item ->> 'sender', item ->> 'posted_by', item ->> 'receiver',
           item ->> 'group_key', item ->> 'alerts', item ->> 'truncated_alerts', unhex(item ->> 'body')
    FROM   given
    ORDER  BY key";

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
    WITH given AS MATERIALIZED (SELECT key, value AS item FROM json_each(?1))
    INSERT INTO decisions (notification, at, episode, fingerprint, alertname, route, decision, reason, job, would_run)
    SELECT item ->> 'notification', item ->> 'at', item ->> 'episode', item ->> 'fingerprint',
           item ->> 'alertname', item ->> 'route', item ->> 'decision', item ->> 'reason', item ->> 'job', item ->> 'would_run'
    FROM   given
    ORDER  BY key";

/// How hard bodies are compressed: they are repetitive, and this level keeps up with any sender.
const BODY_COMPRESSION: i32 = 1;

/// A notification, ready to be stored.
#[derive(Debug)]
pub(super) struct Post {
    received: Received,
    delivery: Delivery,
    compressed: Vec<u8>,
}

impl Post {
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

    /// How many alerts it has.
    pub(super) fn alerts(&self) -> usize {
        self.delivery.intakes.len()
    }

    /// Whether both are decided by the same rules, so that one reading of the facts does for both.
    pub(super) fn agrees(&self, other: &Self) -> bool {
        self.delivery.fleet == other.delivery.fleet
    }
}

/// The command: notifications in the order in which they came, whose rules for all routes are the same.
pub(super) struct Accept(pub(super) Vec<Arc<Post>>);

#[async_trait]
impl Write for Accept {
    /// The decisions about each of them.
    type Output = Vec<Vec<Decision>>;

    async fn apply(self, scope: &mut Scope<'_>) -> Result<Self::Output, StoreError> {
        let Self(posts) = self;
        let deliveries: Vec<&Delivery> = posts.iter().map(|post| &post.delivery).collect();
        let Some(now) = deliveries.iter().map(|delivery| delivery.received_at).max() else {
            return Ok(Vec::new());
        };
        // What is over by now must neither count nor be healed.
        settle_due(scope, now).await?;
        insert_notifications(scope, &posts).await?;
        for delivery in &deliveries {
            heartbeats::hear(scope, delivery).await?;
        }
        let mut ledger = ledger::read(scope.connection, &deliveries).await?;
        let decide = |delivery: &&Delivery| decide(delivery, &mut ledger);
        let verdicts: Vec<Verdict> = deliveries.iter().map(decide).collect();
        let about: Vec<(&Delivery, &Verdict)> = deliveries.into_iter().zip(&verdicts).collect();
        episodes::change(scope, &about).await?;
        carry_out(scope, &about).await?;
        confirm_ends(scope, &about).await?;
        // After the jobs: one notification may report that an alert began and that it ended.
        resolve_jobs(scope, &closed(&about), now).await?;
        insert_decisions(scope, &about, true).await?;
        Ok(verdicts.into_iter().map(|verdict| verdict.decisions).collect())
    }
}

/// Alertmanager has said itself that these alerts are over: nobody needs to look at them any more.
async fn confirm_ends(scope: &mut Scope<'_>, verdicts: &[(&Delivery, &Verdict)]) -> Result<(), StoreError> {
    let intakes = verdicts.iter().flat_map(|(delivery, _)| &delivery.intakes);
    let resolved = intakes.filter(|intake| intake.alert.status == AlertStatus::Resolved);
    let resolved: Vec<&Fingerprint> = resolved.map(|intake| &intake.alert.fingerprint).collect();
    if resolved.is_empty() {
        return Ok(());
    }
    let statement = sqlx::query(CONFIRM_ENDS).bind(to_json(&resolved)?);
    scope.execute(statement).await.map(drop)
}

/// Makes the jobs of verdicts, and keeps what they hold back.
async fn carry_out(scope: &mut Scope<'_>, verdicts: &[(&Delivery, &Verdict)]) -> Result<(), StoreError> {
    let superseded: Vec<JobId> = verdicts
        .iter()
        .flat_map(|(_, verdict)| &verdict.superseded)
        .copied()
        .collect();
    if !superseded.is_empty() {
        scope
            .execute(sqlx::query(SUPERSEDE_JOBS).bind(ids(&superseded)?))
            .await?;
    }
    let jobs: Vec<_> = verdicts.iter().flat_map(|(_, verdict)| &verdict.jobs).collect();
    insert_jobs(scope, &jobs).await?;
    for (delivery, verdict) in verdicts {
        let now = delivery.received_at;
        held::free(scope, &verdict.freed).await?;
        alarms::raise(scope, &verdict.held, &delivery.fleet, now).await?;
        held::hold(scope, (now, &delivery.posted_by, &delivery.group), &verdict.held).await?;
        // After the jobs: one that has to wait for its target tries nothing, and others are asked.
        breakers::begin_trials(scope, &verdict.trials, now).await?;
    }
    Ok(())
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
            let mut ledger = ledger::read(scope.connection, &[delivery]).await?;
            let verdict = decide_again(delivery, &mut ledger);
            carry_out(scope, &[(delivery, &verdict)]).await?;
            held::free_due(scope, held_back, now).await?;
            // They are of the gateway's own accord.
            insert_decisions(scope, &[(delivery, &verdict)], false).await?;
            decisions.extend(verdict.decisions);
        }
        Ok(decisions)
    }
}

async fn insert_notifications(scope: &mut Scope<'_>, posts: &[Arc<Post>]) -> Result<(), StoreError> {
    let rows: Vec<NotificationRow<'_>> = posts
        .iter()
        .map(|post| NotificationRow {
            id: post.delivery.id,
            received_at: post.delivery.received_at.as_micros(),
            sender: post.received.sender.as_str(),
            posted_by: &post.delivery.posted_by,
            receiver: &post.delivery.group.receiver,
            group_key: &post.delivery.group.group_key,
            alerts: integer(post.alerts()),
            truncated_alerts: integer(post.received.truncated_alerts),
            body: hex::encode(&post.compressed),
        })
        .collect();
    scope.write_rows(INSERT_NOTIFICATIONS, &rows).await
}

async fn insert_decisions(
    scope: &mut Scope<'_>,
    verdicts: &[(&Delivery, &Verdict)],
    is_of_notification: bool,
) -> Result<(), StoreError> {
    let decisions = verdicts
        .iter()
        .flat_map(|(delivery, verdict)| verdict.decisions.iter().map(move |decision| (delivery, decision)));
    let rows: Vec<DecisionRow<'_>> = decisions
        .map(|(delivery, decision)| DecisionRow {
            notification: is_of_notification.then_some(delivery.id),
            at: delivery.received_at.as_micros(),
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
    scope.write_rows(INSERT_DECISIONS, &rows).await
}

/// The episodes that were closed, and their ends.
fn closed(verdicts: &[(&Delivery, &Verdict)]) -> Vec<(EpisodeId, Timestamp)> {
    let changes = verdicts.iter().flat_map(|(_, verdict)| &verdict.episodes);
    changes
        .filter_map(|change| match change {
            EpisodeChange::Close { id, ended_at, .. } => Some((*id, *ended_at)),
            EpisodeChange::Open { .. } | EpisodeChange::Touch { .. } | EpisodeChange::OpenAndClose { .. } => None,
        })
        .collect()
}

/// What `insert_notifications` takes for each notification.
#[derive(Serialize)]
struct NotificationRow<'a> {
    id: NotificationId,
    received_at: i64,
    sender: &'static str,
    posted_by: &'a str,
    receiver: &'a str,
    group_key: &'a str,
    alerts: i64,
    truncated_alerts: i64,
    /// Compressed, in hexadecimal.
    body: String,
}

/// What `insert_decisions` takes for each decision.
#[derive(Serialize)]
struct DecisionRow<'a> {
    notification: Option<NotificationId>,
    at: i64,
    episode: Option<EpisodeId>,
    fingerprint: &'a Fingerprint,
    alertname: &'a str,
    route: Option<&'a str>,
    decision: &'static str,
    reason: &'a str,
    job: Option<JobId>,
    would_run: Option<&'a WouldRun>,
}
