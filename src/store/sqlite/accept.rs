//! Stores notifications with all that they cause: one transaction, a few statements however many alerts they have.
//!
//! Those that arrive while the writer is busy are decided as if they had come in one (`gather.rs`).

use std::sync::Arc;

use rusqlite::params;

use crate::domain::alert::AlertStatus;
use crate::domain::decision::Decision;
use crate::domain::ids::{EpisodeId, Fingerprint, JobId, NotificationId};
use crate::domain::job::NewJob;
use crate::domain::policy::{Delivery, EpisodeChange, Verdict, decide, decide_again};
use crate::domain::timestamp::Timestamp;
use crate::store::sqlite::insert::{insert_jobs, note};
use crate::store::sqlite::resolve::{resolve_jobs, settle_due};
use crate::store::sqlite::rows::{ids, integer, to_json};
use crate::store::sqlite::writer::{Scope, Write};
use crate::store::sqlite::{alarms, breakers, episodes, heartbeats, held, ledger};
use crate::store::{HeldBack, Received, StoreError};

const INSERT_NOTIFICATION: &str = "
    -- insert_notification
    INSERT INTO notifications (id, received_at, sender, posted_by, receiver, group_key, alerts, truncated_alerts, body)
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)";

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

const INSERT_DECISION: &str = "
    -- insert_decision
    INSERT INTO decisions (notification, at, episode, fingerprint, alertname, route, decision, reason, job, would_run)
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)";

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

impl Write for Accept {
    /// The decisions about each of them.
    type Output = Vec<Vec<Decision>>;

    fn apply(self, scope: &mut Scope<'_>) -> Result<Self::Output, StoreError> {
        let Self(posts) = self;
        let deliveries: Vec<&Delivery> = posts.iter().map(|post| &post.delivery).collect();
        let Some(now) = deliveries.iter().map(|delivery| delivery.received_at).max() else {
            return Ok(Vec::new());
        };
        scope.noticed();
        // What is over by now must neither count nor be healed.
        settle_due(scope, now)?;
        for post in &posts {
            insert_notification(scope, post)?;
        }
        for delivery in &deliveries {
            heartbeats::hear(scope, delivery)?;
        }
        let mut ledger = ledger::read(scope.connection, &deliveries)?;
        let decide = |delivery: &&Delivery| decide(delivery, &mut ledger);
        let verdicts: Vec<Verdict> = deliveries.iter().map(decide).collect();
        let about: Vec<(&Delivery, &Verdict)> = deliveries.into_iter().zip(&verdicts).collect();
        episodes::change(scope, &about)?;
        carry_out(scope, &about)?;
        confirm_ends(scope, &about)?;
        // After the jobs: one notification may report that an alert began and that it ended.
        resolve_jobs(scope, &closed(&about), now)?;
        for (delivery, verdict) in &about {
            insert_decisions(scope, delivery, &verdict.decisions, Some(delivery.id))?;
        }
        Ok(verdicts.into_iter().map(|verdict| verdict.decisions).collect())
    }
}

/// Alertmanager has said itself that these alerts are over: nobody needs to look at them any more.
fn confirm_ends(scope: &mut Scope<'_>, verdicts: &[(&Delivery, &Verdict)]) -> Result<(), StoreError> {
    let intakes = verdicts.iter().flat_map(|(delivery, _)| &delivery.intakes);
    let resolved = intakes.filter(|intake| intake.alert.status == AlertStatus::Resolved);
    let resolved: Vec<&Fingerprint> = resolved.map(|intake| &intake.alert.fingerprint).collect();
    if resolved.is_empty() {
        return Ok(());
    }
    scope.execute(CONFIRM_ENDS, params![to_json(&resolved)?]).map(drop)
}

/// Makes the jobs of verdicts, and keeps what they hold back.
fn carry_out(scope: &mut Scope<'_>, verdicts: &[(&Delivery, &Verdict)]) -> Result<(), StoreError> {
    let superseded: Vec<JobId> = verdicts
        .iter()
        .flat_map(|(_, verdict)| &verdict.superseded)
        .copied()
        .collect();
    if !superseded.is_empty() {
        scope.execute(SUPERSEDE_JOBS, params![ids(&superseded)?])?;
    }
    let jobs: Vec<_> = verdicts.iter().flat_map(|(_, verdict)| &verdict.jobs).collect();
    insert_jobs(scope, &jobs)?;
    for (delivery, verdict) in verdicts {
        let now = delivery.received_at;
        held::free(scope, &verdict.freed)?;
        alarms::raise(scope, &verdict.held, &delivery.fleet, now)?;
        held::hold(scope, (now, &delivery.posted_by, &delivery.group), &verdict.held)?;
        // After the jobs: one that has to wait for its target tries nothing, and others are asked.
        breakers::begin_trials(scope, &verdict.trials, now)?;
    }
    Ok(())
}

/// Decides once more about what was held back.
pub(super) struct DecideAgain(pub(super) Vec<(HeldBack, Delivery)>);

impl Write for DecideAgain {
    type Output = Vec<Decision>;

    fn apply(self, scope: &mut Scope<'_>) -> Result<Vec<Decision>, StoreError> {
        let mut decisions = Vec::new();
        for (held_back, delivery) in &self.0 {
            let now = delivery.received_at;
            settle_due(scope, now)?;
            let mut ledger = ledger::read(scope.connection, &[delivery])?;
            let verdict = decide_again(delivery, &mut ledger);
            carry_out(scope, &[(delivery, &verdict)])?;
            if let Some(by) = &held_back.released_by {
                let_pass(scope, &verdict.jobs, by, now)?;
            }
            held::free_due(scope, held_back, now)?;
            // They are of the gateway's own accord.
            insert_decisions(scope, delivery, &verdict.decisions, None)?;
            decisions.extend(verdict.decisions);
        }
        Ok(decisions)
    }
}

/// Names the person who let these jobs' alert pass.
fn let_pass(scope: &mut Scope<'_>, jobs: &[NewJob], by: &str, now: Timestamp) -> Result<(), StoreError> {
    for job in jobs {
        note(
            scope,
            &job.id.to_string(),
            now,
            ("let_pass", by),
            "let pass the storm limit",
        )?;
    }
    Ok(())
}

fn insert_notification(scope: &mut Scope<'_>, post: &Post) -> Result<(), StoreError> {
    let (delivery, received) = (&post.delivery, &post.received);
    let row = params![
        delivery.id.to_string(),
        delivery.received_at.as_micros(),
        received.sender.as_str(),
        delivery.posted_by,
        delivery.group.receiver,
        delivery.group.group_key,
        integer(post.alerts()),
        integer(received.truncated_alerts),
        post.compressed,
    ];
    scope.execute(INSERT_NOTIFICATION, row).map(drop)
}

fn insert_decisions(
    scope: &mut Scope<'_>,
    delivery: &Delivery,
    decisions: &[Decision],
    notification: Option<NotificationId>,
) -> Result<(), StoreError> {
    let notification = notification.map(|id| id.to_string());
    for decision in decisions {
        let row = params![
            notification,
            delivery.received_at.as_micros(),
            decision.episode.map(|id| id.to_string()),
            decision.fingerprint.as_str(),
            decision.alertname,
            decision.route,
            decision.kind.as_str(),
            decision.reason,
            decision.job.map(|id| id.to_string()),
            decision.would_run.as_deref().map(to_json).transpose()?,
        ];
        scope.execute(INSERT_DECISION, row)?;
    }
    Ok(())
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
