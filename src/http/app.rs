//! What every handler may reach for.

use std::fmt;
use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use crate::clock::{Clock, Ids};
use crate::http::api::Streams;
use crate::http::auth::{Access, Caller};
use crate::http::console::{Forms, Outlines};
use crate::live::Live;
use crate::remediations::Catalogue;
use crate::store::{By, Store};
use crate::telemetry::Metrics;

/// The parts that handlers work with. A clone shares them.
#[derive(Clone)]
pub struct App {
    pub store: Arc<dyn Store>,
    pub catalogue: Arc<dyn Catalogue>,
    pub clock: Arc<dyn Clock>,
    pub ids: Arc<Ids>,
    pub live: Arc<Live>,
    /// The logs that are being followed.
    pub streams: Arc<Streams>,
    pub access: Arc<Access>,
    /// Makes and checks the tokens of the console's forms.
    pub forms: Arc<Forms>,
    /// How the logs that were looked at last are divided.
    pub outlines: Arc<Outlines>,
    pub metrics: Metrics,
    /// Cancelled when the gateway begins to stop: streams end, and `/readyz` answers 503.
    pub stopping: CancellationToken,
}

impl App {
    /// Who changes something now, and what they say about it.
    pub(super) fn by(&self, caller: &Caller, comment: Option<String>) -> By {
        By {
            name: caller.name.clone(),
            at: self.clock.now(),
            comment,
        }
    }
}

impl fmt::Debug for App {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("App")
            .field("access", &self.access)
            .finish_non_exhaustive()
    }
}
