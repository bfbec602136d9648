//! What is needed to ask about jobs and to write down the answers. Decides nothing.

use std::sync::Arc;

use crate::clock::Clock;
use crate::domain::job::JobEvent;
use crate::domain::promql::Answer;
use crate::peers::{PeerError, Peers};
use crate::store::{Claim, Store};

/// Why nobody knows what a query says, as a sentence.
#[derive(Debug, thiserror::Error)]
pub(super) enum Unasked {
    #[error("healgate.yml names no `prometheus` any more")]
    Nobody,
    #[error("{0}")]
    Peer(#[from] PeerError),
}

/// Whom to ask, and where to keep what they said.
#[derive(Clone)]
pub struct Asking {
    pub store: Arc<dyn Store>,
    pub clock: Arc<dyn Clock>,
    pub peers: Peers,
}

impl Asking {
    /// What Prometheus says, or why nobody knows.
    pub(super) async fn query(&self, expression: &str) -> Result<Answer, Unasked> {
        let prometheus = self.peers.prometheus.as_ref().ok_or(Unasked::Nobody)?;
        Ok(prometheus.query(expression).await?)
    }

    /// Adds to the history of the claimed job; a history that cannot be written stops nothing.
    pub(super) async fn note(&self, claim: &Claim, event: &str, message: &str) {
        let event = JobEvent {
            at: self.clock.now(),
            event: event.to_owned(),
            by: "healgate".to_owned(),
            attempt: Some(claim.key.number),
            message: message.to_owned(),
        };
        if let Err(error) = self.store.note(claim.key.job, event).await {
            tracing::warn!(%error, message, "failed to store an entry of a job's history");
        }
    }
}

impl std::fmt::Debug for Asking {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Asking")
            .field("peers", &self.peers)
            .finish_non_exhaustive()
    }
}
