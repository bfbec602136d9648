//! Runs jobs: claims them from the store, has Ansible run them, stores what happened. Never decides about alerts.

mod asking;
mod before;
mod comebacks;
mod follow;
mod guard;
mod heartbeat;
mod pool;
mod recovery;
mod release;
mod run;
mod silences;
mod stops;
mod tail;
mod verify;

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

pub use asking::Asking;
pub use before::may_start;
pub use comebacks::{look_for_comebacks, watch_for_comebacks};
pub use heartbeat::{Expectations, Watch};
pub use pool::{OnShutdown, Pool, Shutdown};
pub use verify::{Verifier, verify};

use crate::ansible::Ansible;
use crate::clock::Clock;
use crate::live::Live;
use crate::peers::Peers;
use crate::store::Store;
use crate::telemetry::Metrics;

/// How long to wait before what failed is tried again: the store, or passing on a stop.
const PAUSE_AFTER_FAILURE: Duration = Duration::from_secs(1);

/// What every run needs.
#[derive(Clone)]
pub struct Tools {
    pub store: Arc<dyn Store>,
    pub ansible: Arc<Ansible>,
    pub live: Arc<Live>,
    pub clock: Arc<dyn Clock>,
    pub metrics: Metrics,
    /// Whom to ask just before a run.
    pub peers: Peers,
    /// How this process names itself in attempts.
    pub worker: String,
}

impl Tools {
    /// For asking about jobs.
    pub fn asking(&self) -> Asking {
        Asking {
            store: Arc::clone(&self.store),
            clock: Arc::clone(&self.clock),
            peers: self.peers.clone(),
        }
    }
}

/// What the runs of this process are told when it ends.
#[derive(Clone, Debug, Default)]
struct Parting {
    /// Store what there is so far, and let the run go on alone.
    leave: CancellationToken,
    /// Stop the playbook.
    stop: CancellationToken,
}

impl std::fmt::Debug for Tools {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tools")
            .field("worker", &self.worker)
            .finish_non_exhaustive()
    }
}
