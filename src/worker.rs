//! Runs jobs: claims them from the store, has Ansible run them, stores what happened. Never decides about alerts.

mod follow;
mod guard;
mod pool;
mod recovery;
mod run;
mod stops;
mod tail;

use std::sync::Arc;

pub use pool::{OnShutdown, Pool, Shutdown};

use crate::ansible::Ansible;
use crate::clock::Clock;
use crate::live::Live;
use crate::store::Store;
use crate::telemetry::Metrics;

/// What every run needs.
#[derive(Clone)]
pub struct Tools {
    pub store: Arc<dyn Store>,
    pub ansible: Arc<Ansible>,
    pub live: Arc<Live>,
    pub clock: Arc<dyn Clock>,
    pub metrics: Metrics,
    /// How this process names itself in attempts.
    pub worker: String,
}

impl std::fmt::Debug for Tools {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tools")
            .field("worker", &self.worker)
            .finish_non_exhaustive()
    }
}
