//! The pool: as many runs at once as there are slots, woken by events, drained at shutdown.

use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until, timeout};
use tokio_util::sync::CancellationToken;

use crate::store::{Claim, StoreError};
use crate::worker::guard::guarded;
use crate::worker::{PAUSE_AFTER_FAILURE, Parting, Tools, recovery, run};

/// A due time is looked up again at least this often, in case the wall clock was moved.
const LONGEST_SLEEP: Duration = Duration::from_secs(60);

/// How long stopped runs may take to end and to be stored: their grace, and time to move what they said. A database
/// that takes nothing must not hold up the end for ever.
const STOP_PATIENCE: Duration = Duration::from_secs(30);

/// How long the runs may take to store what they have said so far before they are left alone.
const LEAVE_PATIENCE: Duration = Duration::from_secs(2);

/// What happens to playbooks that still run at a shutdown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnShutdown {
    /// They go on under their run hosts; the next start takes them up.
    Leave,
    /// They are waited for, then stopped, and their jobs end `canceled`.
    Stop,
}

/// How to end.
#[derive(Clone, Debug)]
pub struct Shutdown {
    /// Nothing new is claimed from then on.
    pub stopping: CancellationToken,
    /// Waiting for playbooks ends at once.
    pub hurry: CancellationToken,
    /// How long `OnShutdown::Stop` waits.
    pub drain_timeout: Duration,
    pub on_shutdown: OnShutdown,
}

impl Shutdown {
    /// How long it may take, with room for requests that are under way.
    pub fn longest(&self) -> Duration {
        let runs = match self.on_shutdown {
            OnShutdown::Leave => LEAVE_PATIENCE,
            OnShutdown::Stop => self.drain_timeout.saturating_add(STOP_PATIENCE),
        };
        runs.saturating_add(Duration::from_secs(10))
    }
}

/// Claims and runs jobs until it is told to end.
#[derive(Debug)]
pub struct Pool {
    tools: Tools,
    slots: usize,
    shutdown: Shutdown,
    runs: JoinSet<()>,
    parting: Parting,
}

impl Pool {
    /// Takes up what an earlier process left behind. Must be done before anything is claimed.
    pub async fn recover(tools: Tools, slots: usize, shutdown: Shutdown) -> Result<Self, StoreError> {
        let parting = Parting::default();
        let mut runs = JoinSet::new();
        recovery::take_up(&tools, &parting, &mut runs).await?;
        Ok(Self {
            tools,
            slots,
            shutdown,
            runs,
            parting,
        })
    }

    /// Runs until shutdown, and then until the runs have ended or may be left alone.
    pub async fn run(mut self) {
        while !self.shutdown.stopping.is_cancelled() {
            let wake = self.work().await;
            self.wait(wake).await;
        }
        self.drain().await;
    }

    /// Settles what is due and fills the free slots. Answers when to look again at the latest.
    async fn work(&mut self) -> Instant {
        while self.runs.try_join_next().is_some() {}
        match self.try_work().await {
            Ok(wake) => wake,
            Err(error) => {
                tracing::error!(%error, "failed to look for work");
                Instant::now() + PAUSE_AFTER_FAILURE
            }
        }
    }

    async fn try_work(&mut self) -> Result<Instant, StoreError> {
        let now = self.tools.clock.now();
        let mut next = self.tools.store.next_due(now).await?;
        if next.is_some_and(|due| due <= now) {
            self.tools.store.settle_due(now).await?;
            next = self.tools.store.next_due(now).await?;
        }
        let free = self.slots.saturating_sub(self.runs.len());
        if free > 0 && !self.shutdown.stopping.is_cancelled() {
            for claim in self.tools.store.claim(&self.tools.worker, free, now).await? {
                self.begin(claim);
            }
        }
        let busy = self.runs.len();
        self.tools
            .metrics
            .worker_slots(busy as u64, self.slots.saturating_sub(busy) as u64);
        // What was claimed meanwhile can only make this too early.
        let sleep = next.map_or(LONGEST_SLEEP, |next| {
            next.since(self.tools.clock.now()).min(LONGEST_SLEEP)
        });
        Ok(Instant::now() + sleep)
    }

    fn begin(&mut self, claim: Claim) {
        let (tools, parting, key) = (self.tools.clone(), self.parting.clone(), claim.key);
        let work = run::run(tools.clone(), claim, parting.clone());
        self.runs.spawn(guarded(tools, key, parting, work));
    }

    async fn wait(&mut self, wake: Instant) {
        tokio::select! {
            () = self.tools.live.queue_to_change() => {}
            Some(_) = self.runs.join_next() => {}
            () = sleep_until(wake) => {}
            () = self.shutdown.stopping.cancelled() => {}
        }
    }

    async fn drain(&mut self) {
        if self.runs.is_empty() {
            return;
        }
        match self.shutdown.on_shutdown {
            OnShutdown::Leave => self.leave().await,
            OnShutdown::Stop => self.stop().await,
        }
    }

    async fn leave(&mut self) {
        let hurry = self.shutdown.hurry.clone();
        self.parting.leave.cancel();
        tokio::select! {
            _ = timeout(LEAVE_PATIENCE, self.runs_to_end()) => {}
            () = hurry.cancelled() => {}
        }
        tracing::info!("left running playbooks to the next start");
    }

    async fn stop(&mut self) {
        tracing::info!(running = self.runs.len(), "waiting for running playbooks");
        let give_up = Instant::now() + self.shutdown.drain_timeout;
        let hurry = self.shutdown.hurry.clone();
        tokio::select! {
            () = self.runs_to_end() => return,
            () = sleep_until(give_up) => {}
            () = hurry.cancelled() => {}
        }
        tracing::info!(running = self.runs.len(), "stopping running playbooks");
        self.parting.stop.cancel();
        if timeout(STOP_PATIENCE, self.runs_to_end()).await.is_err() {
            tracing::error!(
                running = self.runs.len(),
                "could not store how all runs ended; the next start does"
            );
        }
    }

    async fn runs_to_end(&mut self) {
        while self.runs.join_next().await.is_some() {}
    }
}
