//! Passes on to a run's host that somebody wants it to end, until the host can read it: a full disk or a busy database
//! must not swallow a stop.

use tokio::time::Instant;

use crate::ansible::rundir::{RunDir, Stop, StopKind};
use crate::domain::attempt::AttemptKey;
use crate::domain::job::{CancelRequest, Reason};
use crate::live::StopSignal;
use crate::worker::{PAUSE_AFTER_FAILURE, Tools};

/// What has still to be passed on.
#[derive(Debug)]
pub(super) struct Stops<'a> {
    signal: &'a StopSignal,
    /// The store may know of somebody who wants the run to end.
    asked: bool,
    /// This process ends, and takes its runs with it.
    shutdown: bool,
    not_before: Instant,
}

impl<'a> Stops<'a> {
    /// For a run that may have been asked to stop already.
    pub(super) fn new(signal: &'a StopSignal) -> Self {
        Self {
            signal,
            asked: true,
            shutdown: false,
            not_before: Instant::now(),
        }
    }

    pub(super) fn asked(&mut self) {
        self.asked = true;
        self.not_before = Instant::now();
    }

    pub(super) fn shutdown(&mut self) {
        self.shutdown = true;
        self.not_before = Instant::now();
    }

    /// Passes on what is due.
    pub(super) async fn pass_on(&mut self, tools: &Tools, key: AttemptKey, dir: &RunDir) {
        if Instant::now() < self.not_before {
            return;
        }
        if self.asked {
            self.asked = !self.pass_on_cancel(tools, key, dir).await;
        }
        if self.shutdown {
            self.shutdown = !request_stop(tools, dir, "healgate", StopKind::Shutdown);
        }
        if self.asked || self.shutdown {
            self.not_before = Instant::now() + PAUSE_AFTER_FAILURE;
        }
    }

    /// Asks the run's host to stop, if somebody asked that of the job. Whether nothing is left to do.
    async fn pass_on_cancel(&self, tools: &Tools, key: AttemptKey, dir: &RunDir) -> bool {
        if let Some(by) = self.signal.unstored_by() {
            return request_stop(tools, dir, by, StopKind::Cancel);
        }
        match tools.store.find_job(key.job).await {
            Ok(Some(job)) => job.cancel_requested.is_none_or(|CancelRequest { by, reason }| {
                let kind = match reason {
                    Reason::ResolvedMeanwhile => StopKind::Resolved,
                    _ => StopKind::Cancel,
                };
                request_stop(tools, dir, &by, kind)
            }),
            Ok(None) => true,
            Err(error) => {
                tracing::error!(%error, "failed to look who wants the run to stop; trying again");
                false
            }
        }
    }
}

/// Whether the host can read it now.
pub(super) fn request_stop(tools: &Tools, dir: &RunDir, by: &str, kind: StopKind) -> bool {
    let stop = Stop {
        by: by.to_owned(),
        kind,
        at: tools.clock.now(),
    };
    let requested = dir.request_stop(&stop);
    if let Err(error) = &requested {
        tracing::error!(%error, "failed to ask the run's host to stop");
    }
    requested.is_ok()
}
