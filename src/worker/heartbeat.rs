//! Watches that heartbeats keep coming, and notes those that do not. Decides about no alert.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tokio_util::sync::CancellationToken;

use crate::clock::Clock;
use crate::domain::heartbeat::{Expected, Pulse};
use crate::domain::timestamp::Timestamp;
use crate::store::{HeartbeatMiss, Store, StoreError};

/// How long to look away at most, in case the wall clock was moved.
const LONGEST_SLEEP: Duration = Duration::from_secs(60);

/// How long to wait after the store has failed.
const PAUSE_AFTER_FAILURE: Duration = Duration::from_secs(5);

/// Which routes wait for heartbeats now.
#[async_trait]
pub trait Expectations: Send + Sync {
    /// Each of them.
    fn heartbeats(&self) -> Vec<Expected>;

    /// Waits until others may wait for them; a change since the last call counts.
    async fn changed(&self);
}

/// Watches until it is told to end.
pub struct Watch {
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
    expectations: Arc<dyn Expectations>,
    listening_since: Timestamp,
}

impl fmt::Debug for Watch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Watch")
            .field("listening_since", &self.listening_since)
            .finish_non_exhaustive()
    }
}

impl Watch {
    /// From now on heartbeats can be heard.
    pub fn new(store: Arc<dyn Store>, clock: Arc<dyn Clock>, expectations: Arc<dyn Expectations>) -> Self {
        let listening_since = clock.now();
        Self {
            store,
            clock,
            expectations,
            listening_since,
        }
    }

    /// Looks again and again.
    pub async fn run(self, stopping: CancellationToken) {
        loop {
            let sleep = self.look().await.unwrap_or_else(|error| {
                tracing::error!(%error, "failed to look after heartbeats");
                PAUSE_AFTER_FAILURE
            });
            tokio::select! {
                () = tokio::time::sleep(sleep) => {}
                () = self.expectations.changed() => {}
                () = stopping.cancelled() => return,
            }
        }
    }

    /// Notes what is missed by now. Answers with how long nothing more can be.
    pub async fn look(&self) -> Result<Duration, StoreError> {
        let now = self.clock.now();
        let expected = self.expectations.heartbeats();
        let pulses = self.agree(&expected, now).await?;
        let mut overdue = Vec::new();
        let mut sleep = LONGEST_SLEEP;
        for pulse in pulses {
            let Some(expected) = expected.iter().find(|expected| expected.route == pulse.route) else {
                continue;
            };
            match pulse.due(&expected.heartbeat, self.listening_since) {
                Some(due) if due <= now => overdue.push(miss(pulse, due, expected)),
                Some(due) => sleep = sleep.min(due.since(now)),
                None => {}
            }
        }
        if !overdue.is_empty() {
            self.store.miss_heartbeats(overdue).await?;
        }
        Ok(sleep)
    }

    /// Waits for what the catalogue names, and for nothing else. Writes only where that has changed.
    async fn agree(&self, expected: &[Expected], now: Timestamp) -> Result<Vec<Pulse>, StoreError> {
        let pulses = self.store.heartbeats().await?;
        let is_known = |route: &str| pulses.iter().any(|pulse| pulse.route == route);
        let is_expected = |route: &str| expected.iter().any(|expected| expected.route == route);
        let begin = expected.iter().map(|expected| expected.route.clone());
        let begin: Vec<String> = begin.filter(|route| !is_known(route)).collect();
        let end = pulses.iter().map(|pulse| pulse.route.clone());
        let end: Vec<String> = end.filter(|route| !is_expected(route)).collect();
        if begin.is_empty() && end.is_empty() {
            return Ok(pulses);
        }
        self.store.watch_heartbeats(begin, end, now).await?;
        self.store.heartbeats().await
    }
}

fn miss(pulse: Pulse, missed_since: Timestamp, expected: &Expected) -> HeartbeatMiss {
    HeartbeatMiss {
        route: pulse.route,
        last_received_at: pulse.last_received_at,
        missed_since,
        tell: expected.tell.clone(),
    }
}
