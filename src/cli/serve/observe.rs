//! Tells those who wait and those who count what a commit changed.

use std::sync::Arc;

use crate::live::Live;
use crate::store::observe::{Committed, Observer};
use crate::telemetry::Metrics;

/// Passes commits on to followers, to the worker pool and to the metrics.
pub(super) struct Announce {
    pub(super) live: Arc<Live>,
    pub(super) metrics: Metrics,
}

impl Observer for Announce {
    fn committed(&self, committed: &Committed) {
        self.metrics.store_commit(committed.took);
        for job in &committed.finished {
            self.metrics
                .job_finished(&job.playbook, job.route.as_deref(), job.status, job.reason);
            if let Some(took) = job.time_to_heal {
                self.metrics.time_to_heal(job.route.as_deref(), took);
            }
        }
        for wait in &committed.waits {
            self.metrics.queue_wait(*wait);
        }
        for job in &committed.asked_to_stop {
            self.live.ask_stop(*job);
        }
        for job in &committed.touched {
            self.live.job_changed(*job);
        }
        if committed.held_back {
            self.live.held_changed();
        }
        if committed.queue_moved {
            self.live.queue_changed();
        }
        if committed.outbox_grew {
            self.live.outbox_grew();
        }
    }
}
