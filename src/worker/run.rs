//! One attempt, from its claim to its start.

use tokio_util::sync::CancellationToken;
use tracing::Instrument;

use crate::ansible::HostProcess;
use crate::ansible::rundir::RunDir;
use crate::domain::attempt::{Ending, Outcome};
use crate::domain::host_stats::Recap;
use crate::store::{Claim, StoreError};
use crate::worker::Tools;
use crate::worker::follow::{self, Ended, finish};
use crate::worker::tail::Tail;

/// Runs the claimed job's playbook and stores how it ended.
pub(super) async fn run(tools: Tools, claim: Claim, stop_runs: CancellationToken) {
    let key = claim.key;
    let span = tracing::info_span!("run", job.id = %key.job, attempt.number = key.number);
    run_in_span(tools, claim, stop_runs).instrument(span).await;
}

async fn run_in_span(tools: Tools, claim: Claim, stop_runs: CancellationToken) {
    let key = claim.key;
    let (dir, host) = match start(&tools, &claim).await {
        Ok(started) => started,
        Err(message) => return start_failed(&tools, &claim, message).await,
    };
    match tools.store.started(key, tools.clock.now()).await {
        Ok(()) => tracing::info!(playbook = claim.job.playbook, "started"),
        Err(StoreError::LostClaim(_)) => {
            tracing::error!("another claim owns this job; its run is stopped");
            follow::abandon(&tools, &dir);
            return;
        }
        // The run is under way whatever the database says; its end is stored when that is possible again.
        Err(error) => tracing::warn!(%error, "failed to store that the run has started"),
    }
    let tail = Tail::new(key, dir.clone(), 0, 0);
    follow::follow(
        tools,
        claim,
        follow::Followed {
            dir,
            tail,
            ended: Ended::Child(host),
        },
        stop_runs,
    )
    .await;
}

async fn start(tools: &Tools, claim: &Claim) -> Result<(RunDir, HostProcess), String> {
    let ansible = tools.ansible.clone();
    let claim = claim.clone();
    let prepared = tokio::task::spawn_blocking(move || {
        let dir = ansible
            .prepare(&claim.job, claim.key.number)
            .map_err(|error| error.to_string())?;
        let host = ansible.start(&dir).map_err(|error| error.to_string())?;
        Ok((dir, host))
    });
    prepared.await.map_err(|error| error.to_string())?
}

async fn start_failed(tools: &Tools, claim: &Claim, message: String) {
    tracing::error!(message, "failed to start");
    let ending = Ending {
        outcome: Outcome::StartFailed,
        message: Some(message),
        exit_code: None,
        recap: Recap::new(),
        finished_at: tools.clock.now(),
        log_bytes: 0,
        log_truncated: false,
    };
    finish(tools, claim.key, ending).await;
    follow::remove(&tools.ansible.runs().open(claim.key.job, claim.key.number));
}
