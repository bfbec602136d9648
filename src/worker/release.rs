//! Gives back the claim of a run that never began, but not for ever: a machine that kills every host would try again
//! without end. Starts nothing.

use tokio::time::sleep;

use crate::ansible::rundir::RunDir;
use crate::domain::attempt::{AttemptKey, Ending, Outcome};
use crate::domain::host_stats::Recap;
use crate::store::StoreError;
use crate::store::read::PageRequest;
use crate::worker::follow::{finish, remove};
use crate::worker::{PAUSE_AFTER_FAILURE, Tools};

/// How often one job's hosts may die before they begin.
const TRIES: usize = 3;

/// In the job's history, and how its tries are counted.
const WHY: &str = "the run's host died before the run began; back in the queue";

/// More events than a job has that never ran.
const EVENTS: u32 = 500;

/// Puts the job back into the queue, or ends it when that was done too often. However long that takes.
pub(super) async fn release(tools: &Tools, key: AttemptKey, dir: &RunDir) {
    // First, as the next claim's directory will have the same name.
    remove(dir);
    loop {
        match try_release(tools, key).await {
            Ok(true) => return tracing::warn!("{WHY}"),
            Ok(false) => break,
            Err(StoreError::LostClaim(_)) => return tracing::error!("another claim owns this job"),
            Err(error) => {
                tracing::error!(%error, "failed to give back a job; trying again");
                sleep(PAUSE_AFTER_FAILURE).await;
            }
        }
    }
    let message =
        format!("the run's host died before the run began, {TRIES} times; was it killed, or is memory short?");
    tracing::error!(message, "failed to start");
    finish(tools, key, start_failed(tools, message)).await;
}

/// Whether the job may still try.
async fn try_release(tools: &Tools, key: AttemptKey) -> Result<bool, StoreError> {
    let all = PageRequest::first(EVENTS);
    let events = tools.store.job_events(key.job, all).await?;
    let tries = events.items.iter().filter(|event| event.message == WHY).count() + 1;
    if tries < TRIES {
        tools.store.release(key, WHY, tools.clock.now()).await?;
    }
    Ok(tries < TRIES)
}

/// How an attempt ends that could not begin.
pub(super) fn start_failed(tools: &Tools, message: String) -> Ending {
    Ending {
        outcome: Outcome::StartFailed,
        message: Some(message),
        exit_code: None,
        recap: Recap::new(),
        finished_at: tools.clock.now(),
        log_bytes: 0,
        log_truncated: false,
        start: None,
    }
}
