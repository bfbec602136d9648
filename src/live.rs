//! Who waits for what to move: followers of a job, stoppers of a run, the worker pool. Only says that there is more to
//! read; the store has it.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use tokio::sync::broadcast::error::RecvError;
use tokio::sync::{Notify, broadcast, watch};

use crate::domain::ids::JobId;

/// The meeting point of those who change rows and those who wait for changes.
#[derive(Debug, Default)]
pub struct Live {
    /// Each job that is followed, with the number of its last change.
    jobs: Mutex<HashMap<JobId, watch::Sender<u64>>>,
    changes: AtomicU64,
    stops: Mutex<HashMap<JobId, Arc<Asked>>>,
    queue: Notify,
    held: Notify,
    expectations: Notify,
    outbox: watch::Sender<()>,
    verifications: Notify,
    texts: Notify,
    /// Made for the first who follows all jobs.
    moves: OnceLock<broadcast::Sender<Move>>,
}

/// Moves that a follower of all jobs may lag behind; it is told that it missed some then.
const MOVES: usize = 1_024;

/// What has changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Move {
    /// The job's status, log, tasks or history.
    Job(JobId),
    /// What holds jobs back, or more jobs than can be named.
    Others,
}

/// Waits for the changes of all jobs.
#[derive(Debug)]
pub struct Moves(broadcast::Receiver<Move>);

impl Moves {
    /// The next change.
    pub async fn next(&mut self) -> Move {
        match self.0.recv().await {
            Ok(moved) => moved,
            Err(RecvError::Lagged(_)) => Move::Others,
            // The sender lives as long as whoever makes changes.
            Err(RecvError::Closed) => std::future::pending().await,
        }
    }
}

/// Waits for the changes of one job.
#[derive(Debug)]
pub struct Follower {
    live: Arc<Live>,
    job: JobId,
    changes: watch::Receiver<u64>,
}

/// Waits until somebody asks that a run be stopped.
#[derive(Debug)]
pub struct StopSignal {
    live: Arc<Live>,
    job: JobId,
    asked: Arc<Asked>,
}

/// What was asked of a run.
#[derive(Debug, Default)]
struct Asked {
    notify: Notify,
    /// Who asked while the store could not take that.
    by: OnceLock<String>,
}

impl Live {
    /// The job's status, log, tasks or history has grown.
    pub fn job_changed(&self, job: JobId) {
        if let Some(sender) = lock(&self.jobs).get(&job) {
            sender.send_replace(self.next_change());
        }
        self.moved(Move::Job(job));
    }

    fn moved(&self, what: Move) {
        if let Some(moves) = self.moves.get() {
            // Nobody may be there to hear it.
            let _ = moves.send(what);
        }
    }

    /// Registers a follower of all jobs. Register first, read the store then.
    pub fn moves(&self) -> Moves {
        let moves = self.moves.get_or_init(|| broadcast::Sender::new(MOVES));
        Moves(moves.subscribe())
    }

    fn next_change(&self) -> u64 {
        self.changes.fetch_add(1, Ordering::Relaxed) + 1
    }

    /// Registers a follower. Register first, read the store then: a change between the two is not missed.
    pub fn follow(self: &Arc<Self>, job: JobId) -> Follower {
        let changes = lock(&self.jobs)
            .entry(job)
            .or_insert_with(|| watch::Sender::new(self.next_change()))
            .subscribe();
        Follower {
            live: Arc::clone(self),
            job,
            changes,
        }
    }

    /// Jobs may have become ready, or a deadline may have moved.
    pub fn queue_changed(&self) {
        self.queue.notify_one();
        self.verifications.notify_one();
        self.texts.notify_one();
    }

    /// Waits for `queue_changed`; one that came since the last call counts. For the worker pool alone.
    pub async fn queue_to_change(&self) {
        self.queue.notified().await;
    }

    /// Something is held back, or is to be decided again.
    pub fn held_changed(&self) {
        self.held.notify_one();
        self.moved(Move::Others);
    }

    /// Waits for `held_changed`; one that came since the last call counts. For whoever decides again alone.
    pub async fn held_to_change(&self) {
        self.held.notified().await;
    }

    /// Other heartbeats may be expected than before.
    pub fn expectations_changed(&self) {
        self.expectations.notify_one();
    }

    /// Waits for `expectations_changed`; one that came since the last call counts. For whoever watches heartbeats alone.
    pub async fn expectations_to_change(&self) {
        self.expectations.notified().await;
    }

    /// There are new messages to people.
    pub fn outbox_grew(&self) {
        self.outbox.send_replace(());
    }

    /// Registers somebody who sends them. Register first, read the store then.
    pub fn watch_outbox(&self) -> watch::Receiver<()> {
        self.outbox.subscribe()
    }

    /// The same for whoever asks whether jobs have healed.
    pub async fn verifications_to_change(&self) {
        self.verifications.notified().await;
    }

    /// The same for whoever makes what jobs are about quick to find.
    pub async fn texts_to_change(&self) {
        self.texts.notified().await;
    }

    /// Asks the run of that job to stop, if one is under way in this process.
    pub fn ask_stop(&self, job: JobId) {
        if let Some(asked) = lock(&self.stops).get(&job) {
            asked.notify.notify_one();
        }
    }

    /// The same where the store cannot say who asks. Whether a run is under way in this process.
    pub fn ask_stop_unstored(&self, job: JobId, by: &str) -> bool {
        let asked = lock(&self.stops).get(&job).map(Arc::clone);
        if let Some(asked) = &asked {
            asked.by.get_or_init(|| by.to_owned());
            asked.notify.notify_one();
        }
        asked.is_some()
    }

    /// Something changed that those look at who follow all jobs: an alert came, somebody paused.
    pub fn others_moved(&self) {
        self.moved(Move::Others);
    }

    /// Registers a run that can be stopped.
    pub fn stop_signal(self: &Arc<Self>, job: JobId) -> StopSignal {
        let asked = Arc::clone(lock(&self.stops).entry(job).or_default());
        StopSignal {
            live: Arc::clone(self),
            job,
            asked,
        }
    }
}

impl Follower {
    /// The number of the job's last change. What was read of the job after a call that gave this number, or a higher one, is
    /// as new as what would be read now.
    pub fn last_change(&self) -> u64 {
        *self.changes.borrow()
    }

    /// Waits for the next change since the last call, or since the registration.
    pub async fn changed(&mut self) {
        // The sender lives as long as a follower does.
        let _ = self.changes.changed().await;
    }
}

impl Drop for Follower {
    fn drop(&mut self) {
        let mut jobs = lock(&self.live.jobs);
        // This follower's own receiver is still counted.
        if jobs.get(&self.job).is_some_and(|sender| sender.receiver_count() <= 1) {
            jobs.remove(&self.job);
        }
    }
}

impl StopSignal {
    /// Waits until a stop is asked for.
    pub async fn asked(&self) {
        self.asked.notify.notified().await;
    }

    /// Who asked while the store could not take that.
    pub fn unstored_by(&self) -> Option<&str> {
        self.asked.by.get().map(String::as_str)
    }
}

impl Drop for StopSignal {
    fn drop(&mut self) {
        lock(&self.live.stops).remove(&self.job);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Nothing is done under these locks that could panic half-way.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
