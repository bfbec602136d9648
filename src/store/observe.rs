//! What a commit changed, told to those who count and to those who wait.

use std::time::Duration;

use crate::domain::ids::JobId;
use crate::domain::job::{JobStatus, Reason};

/// Hears of every commit, before those who asked for it get their answers. Must not block.
pub trait Observer: Send + Sync {
    fn committed(&self, committed: &Committed);
}

/// What one transaction changed.
#[derive(Clone, Debug, Default)]
pub struct Committed {
    /// How long it took, from its first command until it was on disk.
    pub took: Duration,
    /// Jobs whose status, log, tasks or history changed. May name one twice.
    pub touched: Vec<JobId>,
    /// Something that people look at changed beside jobs: an alert came, somebody paused.
    pub noticed: bool,
    /// Jobs may have become ready, or a deadline may have moved.
    pub queue_moved: bool,
    /// Something is held back, or is to be decided again.
    pub held_back: bool,
    /// Running jobs that were asked to stop.
    pub asked_to_stop: Vec<JobId>,
    /// Jobs that reached their end.
    pub finished: Vec<FinishedJob>,
    /// How long each claimed job had waited.
    pub waits: Vec<Duration>,
    /// There are new messages to people.
    pub outbox_grew: bool,
}

/// A job that reached its end.
#[derive(Clone, Debug)]
pub struct FinishedJob {
    pub id: JobId,
    pub playbook: String,
    pub route: Option<String>,
    pub status: JobStatus,
    pub reason: Reason,
    /// From the alert's start to its end, where the job healed it.
    pub time_to_heal: Option<Duration>,
}

impl Committed {
    pub(crate) fn add(&mut self, other: Self) {
        self.touched.extend(other.touched);
        self.noticed |= other.noticed;
        self.queue_moved |= other.queue_moved;
        self.held_back |= other.held_back;
        self.asked_to_stop.extend(other.asked_to_stop);
        self.finished.extend(other.finished);
        self.waits.extend(other.waits);
        self.outbox_grew |= other.outbox_grew;
    }
}
