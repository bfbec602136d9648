//! Notifications and decisions as the API shows them.

use serde::Serialize;
use serde_json::value::{RawValue, to_raw_value};

use crate::domain::alert::Sender;
use crate::domain::decision::{Decision, DecisionKind, WouldRun};
use crate::domain::ids::{EpisodeId, Fingerprint, JobId, NotificationId};
use crate::domain::timestamp::Timestamp;
use crate::store::read::{NotificationDetail, NotificationSummary, StoredDecision};

/// What an accepted webhook is answered with.
#[derive(Debug, Serialize, utoipa::ToSchema)]
#[schema(as = Accepted)]
pub(crate) struct AcceptedView {
    #[schema(value_type = String, format = "uuid")]
    pub(crate) notification: NotificationId,
    /// In the order of the alerts, then of the routes.
    pub(crate) decisions: Vec<DecisionView>,
}

/// What was done about one alert for one route.
#[derive(Debug, Serialize, utoipa::ToSchema)]
#[schema(as = Decision)]
pub(crate) struct DecisionView {
    #[schema(value_type = String)]
    fingerprint: Fingerprint,
    alertname: String,
    route: Option<String>,
    decision: DecisionKind,
    /// A sentence for people.
    reason: String,
    #[schema(value_type = Option<String>, format = "uuid")]
    job: Option<JobId>,
}

/// A decision with when and about what it was taken.
#[derive(Debug, Serialize, utoipa::ToSchema)]
#[schema(as = StoredDecision)]
pub(super) struct StoredDecisionView {
    #[schema(value_type = String, format = DateTime)]
    at: Timestamp,
    #[schema(value_type = Option<String>, format = "uuid")]
    notification: Option<NotificationId>,
    #[schema(value_type = Option<String>, format = "uuid")]
    episode: Option<EpisodeId>,
    #[serde(flatten)]
    decision: DecisionView,
    /// Of a route that only observes: what it would have run.
    would_run: Option<WouldRun>,
}

/// One accepted webhook.
#[derive(Debug, Serialize, utoipa::ToSchema)]
#[schema(as = Notification)]
pub(crate) struct NotificationView {
    #[schema(value_type = String, format = "uuid")]
    id: NotificationId,
    #[schema(value_type = String, format = DateTime)]
    received_at: Timestamp,
    #[schema(value_type = String, pattern = "^(alertmanager|grafana)$")]
    sender: Sender,
    /// The name of the token that posted it.
    posted_by: String,
    receiver: String,
    group_key: String,
    /// How many alerts it carried.
    alerts: u64,
    /// How many the sender left out.
    truncated_alerts: u64,
}

/// One accepted webhook with its body and what was decided.
#[derive(Debug, Serialize, utoipa::ToSchema)]
#[schema(as = NotificationDetail)]
pub(crate) struct NotificationDetailView {
    #[serde(flatten)]
    summary: NotificationView,
    /// The body as received: JSON, or a text where it is none.
    #[schema(value_type = Object)]
    received: Option<Box<RawValue>>,
    decisions: Vec<StoredDecisionView>,
}

impl From<Decision> for DecisionView {
    fn from(decision: Decision) -> Self {
        Self {
            fingerprint: decision.fingerprint,
            alertname: decision.alertname,
            route: decision.route,
            decision: decision.kind,
            reason: decision.reason,
            job: decision.job,
        }
    }
}

impl From<StoredDecision> for StoredDecisionView {
    fn from(stored: StoredDecision) -> Self {
        Self {
            at: stored.at,
            notification: stored.notification,
            episode: stored.episode,
            decision: DecisionView {
                fingerprint: stored.fingerprint,
                alertname: stored.alertname,
                route: stored.route,
                decision: stored.kind,
                reason: stored.reason,
                job: stored.job,
            },
            would_run: stored.would_run,
        }
    }
}

impl From<NotificationSummary> for NotificationView {
    fn from(summary: NotificationSummary) -> Self {
        Self {
            id: summary.id,
            received_at: summary.received_at,
            sender: summary.sender,
            posted_by: summary.posted_by,
            receiver: summary.receiver,
            group_key: summary.group_key,
            alerts: summary.alerts,
            truncated_alerts: summary.truncated_alerts,
        }
    }
}

impl From<NotificationDetail> for NotificationDetailView {
    fn from(detail: NotificationDetail) -> Self {
        Self {
            summary: detail.summary.into(),
            received: as_received(&detail.body),
            decisions: detail.decisions.into_iter().map(StoredDecisionView::from).collect(),
        }
    }
}

/// The body itself where it is JSON, so that nothing in it is reordered or rounded.
fn as_received(body: &[u8]) -> Option<Box<RawValue>> {
    serde_json::from_slice(body)
        .or_else(|_| to_raw_value(&String::from_utf8_lossy(body)))
        .ok()
}
