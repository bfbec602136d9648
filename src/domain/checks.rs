//! What a route has asked of Prometheus and Alertmanager. Asks nothing itself.

use serde::{Deserialize, Serialize};

/// In a route the queries are templates; in a job they are rendered, and frozen with it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Checks {
    /// What must hold for the job to start.
    pub precondition: Option<Precondition>,
    /// What must become true after the run; it decides instead of the alert.
    pub verify_query: Option<String>,
    /// Whether the alert is silenced while the playbook runs.
    pub silence: bool,
}

/// A query that must hold just before a start.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Precondition {
    pub query: String,
    pub on_error: OnError,
}

/// What becomes of the job when Prometheus gives no answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum OnError {
    /// It does not run.
    #[default]
    Refuse,
    /// It runs as if the query held.
    Proceed,
}
