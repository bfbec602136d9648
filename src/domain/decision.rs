//! What the gateway did about one alert of one notification for one route, and why.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::domain::ids::{EpisodeId, Fingerprint, JobId, Target};

/// The decision's word, as the API, the database and the metrics write it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum DecisionKind {
    Unmatched,
    Resolved,
    Refused,
    Attached,
    /// By the route's `unless`, or as Grafana could not evaluate the rule.
    Guarded,
    Paused,
    /// A breaker is open.
    Tripped,
    /// The storm limit.
    Held,
    Flapping,
    Capped,
    CoolingDown,
    Observed,
    AwaitingApproval,
    Queued,
}

impl DecisionKind {
    /// Every kind, in the order of precedence.
    pub const ALL: [Self; 14] = [
        Self::Unmatched,
        Self::Resolved,
        Self::Refused,
        Self::Attached,
        Self::Guarded,
        Self::Paused,
        Self::Tripped,
        Self::Held,
        Self::Flapping,
        Self::Capped,
        Self::CoolingDown,
        Self::Observed,
        Self::AwaitingApproval,
        Self::Queued,
    ];

    /// As the API writes it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Unmatched => "unmatched",
            Self::Resolved => "resolved",
            Self::Refused => "refused",
            Self::Attached => "attached",
            Self::Guarded => "guarded",
            Self::Paused => "paused",
            Self::Tripped => "tripped",
            Self::Held => "held",
            Self::Flapping => "flapping",
            Self::Capped => "capped",
            Self::CoolingDown => "cooling_down",
            Self::Observed => "observed",
            Self::AwaitingApproval => "awaiting_approval",
            Self::Queued => "queued",
        }
    }

    /// The kind with that name.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == text)
    }
}

/// What a route that only observes would have run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct WouldRun {
    pub playbook: String,
    #[schema(value_type = String)]
    pub target: Target,
    pub argv: Vec<String>,
    #[schema(value_type = Object)]
    pub vars: Map<String, Value>,
}

/// One decision, in the order of the notification's alerts and then of the routes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decision {
    pub fingerprint: Fingerprint,
    pub alertname: String,
    /// `None` when no route was reached.
    pub route: Option<String>,
    pub kind: DecisionKind,
    /// A sentence that a person understands.
    pub reason: String,
    pub job: Option<JobId>,
    pub would_run: Option<Box<WouldRun>>,
    /// The rung of the ladder that runs in place of the route's own playbook, by the name of its job. Not stored.
    pub rung: Option<JobId>,
    pub episode: Option<EpisodeId>,
}
