//! Decides again about what was held back, once its cause has ended and while its alert still fires: Alertmanager would
//! repeat it only after hours. Woken by changes and by due times; the rows are the truth.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use crate::clock::{Clock, Ids};
use crate::domain::policy::{Delivery, Intake};
use crate::domain::route;
use crate::domain::timestamp::Timestamp;
use crate::live::Live;
use crate::remediations::{Catalogue, Remediations, Renderer};
use crate::store::{HeldBack, Store, StoreError};
use crate::telemetry::Metrics;

/// How many are taken at once.
const AT_ONCE: usize = 100;

/// How long to wait after the store has failed before it is asked again.
const PAUSE_AFTER_FAILURE: Duration = Duration::from_secs(1);

/// A due time is looked up again at least this often, in case the wall clock was moved.
const LONGEST_SLEEP: Duration = Duration::from_secs(60);

/// The one that decides again.
pub struct Again {
    pub store: Arc<dyn Store>,
    pub catalogue: Arc<dyn Catalogue>,
    pub clock: Arc<dyn Clock>,
    pub ids: Arc<Ids>,
    pub live: Arc<Live>,
    pub metrics: Metrics,
    /// Ends it.
    pub stopping: CancellationToken,
}

impl fmt::Debug for Again {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Again").finish_non_exhaustive()
    }
}

impl Again {
    /// Works until it is stopped.
    pub async fn run(self) {
        // A start may bring other rules, too.
        let mut known = None;
        while !self.stopping.is_cancelled() {
            let wake = match self.work(&mut known).await {
                Ok(wake) => wake,
                Err(error) => {
                    tracing::error!(%error, "failed to decide again about what is held back");
                    Instant::now() + PAUSE_AFTER_FAILURE
                }
            };
            tokio::select! {
                () = self.live.held_to_change() => {}
                () = sleep_until(wake) => {}
                () = self.stopping.cancelled() => {}
            }
        }
    }

    /// Decides about all that is due. Answers when to look again at the latest.
    async fn work(&self, known: &mut Option<Arc<dyn Remediations>>) -> Result<Instant, StoreError> {
        let in_force = self.catalogue.in_force();
        if !known.as_ref().is_some_and(|known| Arc::ptr_eq(known, &in_force)) {
            self.store.reconsider_held(self.clock.now()).await?;
            *known = Some(in_force);
        }
        loop {
            let due = self.store.due_held(self.clock.now(), AT_ONCE).await?;
            if due.is_empty() {
                break;
            }
            self.decide(due).await?;
        }
        let next = self.store.next_held().await?;
        let sleep = next.map_or(LONGEST_SLEEP, |next| next.since(self.clock.now()).min(LONGEST_SLEEP));
        Ok(Instant::now() + sleep)
    }

    async fn decide(&self, due: Vec<HeldBack>) -> Result<(), StoreError> {
        let (rungs, alerts): (Vec<_>, Vec<_>) = due.into_iter().partition(|held| held.follows.is_some());
        for job in rungs.iter().filter_map(|held| held.follows) {
            self.store.climb_again(job, self.clock.now()).await?;
        }
        if alerts.is_empty() {
            return Ok(());
        }
        let deliveries = self.deliveries(alerts).await?;
        for decision in self.store.decide_again(deliveries).await? {
            tracing::info!(
                alert = %decision.fingerprint, route = decision.route, decision = decision.kind.as_str(),
                reason = decision.reason, "decided again"
            );
            self.metrics.decision(decision.route.as_deref(), decision.kind);
        }
        Ok(())
    }

    /// Playbooks are rendered anew, with the catalogue of now; that may read files.
    async fn deliveries(&self, alerts: Vec<HeldBack>) -> Result<Vec<(HeldBack, Delivery)>, StoreError> {
        let (catalogue, ids, now) = (self.catalogue.in_force(), Arc::clone(&self.ids), self.clock.now());
        let render = move || {
            let deliver = |held: HeldBack| {
                let delivery = delivery(&*catalogue, &ids, &held, now);
                (held, delivery)
            };
            alerts.into_iter().map(deliver).collect()
        };
        let rendered = tokio::task::spawn_blocking(render).await;
        rendered.map_err(|error| StoreError::Database(error.to_string()))
    }
}

/// What was held back, as if it had been reported now; if its route takes the alert no longer, for those that do.
fn delivery(catalogue: &dyn Remediations, ids: &Ids, held: &HeldBack, now: Timestamp) -> Delivery {
    let renderer = Renderer {
        ids,
        catalogue,
        group: &held.group,
        now,
    };
    let mut routes = route::reached(catalogue.routes(), &held.alert.labels);
    if routes.iter().any(|route| route.name == held.route) {
        routes.retain(|route| route.name == held.route);
    }
    let reached = routes.into_iter().map(|route| {
        let mut reached = renderer.reach(route, &held.alert, true);
        reached.is_released = held.released_by.is_some();
        reached
    });
    Delivery {
        id: ids.notification(now),
        received_at: now,
        posted_by: held.posted_by.clone(),
        group: held.group.clone(),
        intakes: vec![Intake {
            reached: reached.collect(),
            alert: held.alert.clone(),
            spare_episode: held.episode,
        }],
        fleet: catalogue.fleet().clone(),
    }
}
