//! Asks Alertmanager and Prometheus. Never decides what an answer means for a job, and stores nothing.

mod alertmanager;
mod client;
pub mod examine;
mod members;
mod prometheus;

use std::sync::Arc;

use async_trait::async_trait;

pub use alertmanager::Cluster;
pub use prometheus::PrometheusServer;

use crate::config::Peer;
use crate::domain::alert::{Alert, Labels};
use crate::domain::attempt::AttemptKey;
use crate::domain::promql::Answer;
use crate::domain::standing::Look;
use crate::domain::timestamp::Timestamp;

/// Why somebody could not be asked, as a sentence that names them.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PeerError {
    /// No connection, or no credentials to ask with.
    #[error("{peer} does not answer: {why}")]
    Unanswered { peer: String, why: String },
    /// No answer in time.
    #[error("{peer} does not answer: {why}")]
    TimedOut { peer: String, why: String },
    /// It answered with an error.
    #[error("{peer} answers {status}: {said}")]
    Refused { peer: String, status: u16, said: String },
    /// Its answer cannot be understood.
    #[error("{peer} answers what cannot be used: {why}")]
    Unusable { peer: String, why: String },
}

/// A silence as its author made it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Silence {
    pub id: String,
    pub created_by: String,
    pub comment: String,
    pub ends_at: Timestamp,
}

/// A silence to be made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewSilence {
    /// Named in the comment: it owns the silence. A later claim of the job has one of its own.
    pub claim: AttemptKey,
    /// The alert's, all of them.
    pub labels: Labels,
    pub starts_at: Timestamp,
    pub ends_at: Timestamp,
    /// For people.
    pub comment: String,
}

/// Who `healgate` is to Alertmanager.
pub const AUTHOR: &str = "healgate";

/// The Alertmanagers of one cluster: each that answers counts for all.
#[async_trait]
pub trait Alertmanagers: Send + Sync {
    /// Which of these alerts are active, by each of them that answers. At least one alert.
    async fn look(&self, alerts: &[&Alert]) -> Look;

    /// The silence of that id.
    async fn find_silence(&self, id: &str) -> Result<Silence, PeerError>;

    /// Makes a silence; answers with its id.
    async fn create_silence(&self, silence: &NewSilence) -> Result<String, PeerError>;

    /// Ends the silences that a claim owns, and answers how many those were.
    async fn end_silences(&self, claim: AttemptKey, labels: &Labels) -> Result<usize, PeerError>;
}

/// A Prometheus, or what speaks its API.
#[async_trait]
pub trait Prometheus: Send + Sync {
    /// What an expression says now.
    async fn query(&self, expression: &str) -> Result<Answer, PeerError>;
}

/// Whom the gateway may ask.
#[derive(Clone, Default)]
pub struct Peers {
    pub alertmanagers: Option<Arc<dyn Alertmanagers>>,
    pub prometheus: Option<Arc<dyn Prometheus>>,
}

impl Peers {
    /// Those of the settings. Connects to nobody yet.
    pub fn new(alertmanagers: &[Peer], prometheus: Option<&Peer>) -> Self {
        let cluster = || -> Arc<dyn Alertmanagers> { Arc::new(Cluster::new(alertmanagers)) };
        let server = |peer: &Peer| -> Arc<dyn Prometheus> { Arc::new(PrometheusServer::new(peer)) };
        Self {
            alertmanagers: (!alertmanagers.is_empty()).then(cluster),
            prometheus: prometheus.map(server),
        }
    }

    /// Whether there is anybody at all.
    pub fn is_empty(&self) -> bool {
        self.alertmanagers.is_none() && self.prometheus.is_none()
    }
}

impl std::fmt::Debug for Peers {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Peers")
            .field("alertmanagers", &self.alertmanagers.is_some())
            .field("prometheus", &self.prometheus.is_some())
            .finish()
    }
}

#[cfg(test)]
mod tests;
