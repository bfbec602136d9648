//! One attempt, from its claim to its start.

use tracing::Instrument;

use crate::ansible::HostProcess;
use crate::ansible::rundir::RunDir;
use crate::domain::attempt::Start;
use crate::store::{Claim, StoreError};
use crate::worker::before::may_start;
use crate::worker::follow::{self, Ends, finish};
use crate::worker::release;
use crate::worker::silences;
use crate::worker::tail::Tail;
use crate::worker::{Parting, Tools};

/// Runs the claimed job's playbook and stores how it ended.
pub(super) async fn run(tools: Tools, claim: Claim, parting: Parting) {
    let key = claim.key;
    let span = tracing::info_span!("run", job.id = %key.job, attempt.number = key.number);
    run_in_span(tools, claim, parting).instrument(span).await;
}

async fn run_in_span(tools: Tools, claim: Claim, parting: Parting) {
    let key = claim.key;
    let asking = tools.asking();
    if !may_start(&asking, &claim).await {
        return;
    }
    let (dir, host) = match start(&tools, &claim).await {
        Ok(started) => started,
        Err(message) => {
            start_failed(&tools, &claim, message).await;
            return silences::end(&asking, &claim).await;
        }
    };
    let begun = host.start().cloned();
    let warm = begun.as_ref().map(Start::is_warm);
    if let Some(warm) = warm {
        tools.metrics.run_started(warm);
    }
    match tools.store.started(key, tools.clock.now(), begun).await {
        Ok(()) => tracing::info!(playbook = claim.job.playbook, warm, "started"),
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
            ends: Ends::Child(Box::new(host)),
        },
        parting,
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
    finish(tools, claim.key, release::start_failed(tools, message)).await;
    follow::remove(&tools.ansible.runs().open(claim.key.job, claim.key.number));
}
