//! Tells those who wait and those who count what a commit changed.

use std::sync::Arc;

use crate::live::Live;
use crate::store::observe::{Committed, FinishedJob, Observer};
use crate::telemetry::Metrics;

/// Jobs of one commit whose ends the log names.
const LOGGED: usize = 20;

/// Passes commits on to followers, to the worker pool and to the metrics.
pub(super) struct Announce {
    pub(super) live: Arc<Live>,
    pub(super) metrics: Metrics,
}

impl Observer for Announce {
    fn committed(&self, committed: &Committed) {
        self.metrics.store_commit(committed.took);
        log_ends(&committed.finished);
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
        if committed.noticed {
            self.live.others_moved();
        }
        if committed.queue_moved {
            self.live.queue_changed();
        }
        if committed.outbox_grew {
            self.live.outbox_grew();
        }
    }
}

/// What became of jobs. Those that end in their hundreds, as when an outage is over before they began, are not told one by one.
fn log_ends(jobs: &[FinishedJob]) {
    for job in jobs.iter().take(LOGGED) {
        let heal = job
            .time_to_heal
            .map(|took| tracing::field::display(format!("{} s", took.as_secs())));
        let (status, reason) = (job.status.as_str(), job.reason.as_str());
        tracing::info!(job.id = %job.id, playbook = job.playbook, route = job.route, status, reason, heal, "finished");
    }
    if let Some(more) = jobs.len().checked_sub(LOGGED).filter(|more| *more > 0) {
        tracing::info!(more, "finished, too");
    }
}
