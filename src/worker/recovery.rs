//! What an earlier process left behind: runs that go on, runs that ended, claims that never became runs.

use std::collections::HashSet;
use std::io;

use futures_util::stream::{self, StreamExt, TryStreamExt};

use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::ansible::rundir::{RunDir, RunState};
use crate::domain::attempt::AttemptKey;
use crate::domain::ids::JobId;
use crate::store::{ActiveRun, Claim, StoreError};
use crate::worker::follow::{Ends, Followed, abandon, follow, remove};
use crate::worker::guard::guarded;
use crate::worker::silences;
use crate::worker::tail::Tail;
use crate::worker::{Parting, Tools};

/// How many run directories are looked at together: each look may wait for the disk.
const AT_ONCE: usize = 16;

/// Brings every job that is stored as running to a true state: followed, finished, lost, or back in the queue.
pub(super) async fn take_up(tools: &Tools, parting: &Parting, runs: &mut JoinSet<()>) -> Result<(), StoreError> {
    let began = Instant::now();
    let active = tools.store.active_runs().await?;
    let known: HashSet<(JobId, u32)> = active.iter().map(|run| (run.key.job, run.key.number)).collect();
    let count = active.len();
    let all = stream::iter(active).map(|run| take_up_one(tools, run));
    let taken_up: Vec<_> = all.buffer_unordered(AT_ONCE).try_collect().await?;
    // Only now, as what ended runs still need takes longer than a look.
    for (claim, followed) in taken_up.into_iter().flatten() {
        let key = claim.key;
        let work = follow(tools.clone(), claim, followed, parting.clone());
        runs.spawn(guarded(tools.clone(), key, parting.clone(), work));
    }
    sweep(tools, &known);
    if count > 0 {
        let took_ms = began.elapsed().as_millis();
        tracing::info!(runs = count, took_ms, "took up the runs of an earlier process");
    }
    Ok(())
}

/// Goes on with a run of this process whose task has failed.
pub(super) async fn resume(tools: &Tools, key: AttemptKey, parting: &Parting) -> Result<(), StoreError> {
    let active = tools.store.active_runs().await?;
    match active.into_iter().find(|run| run.key == key) {
        Some(run) => {
            if let Some((claim, followed)) = take_up_one(tools, run).await? {
                follow(tools.clone(), claim, followed, parting.clone()).await;
            }
        }
        // Its end was stored; nobody needs the directory.
        None => remove(&tools.ansible.runs().open(key.job, key.number)),
    }
    Ok(())
}

/// What is to be followed now; nothing if the job is back in the queue.
async fn take_up_one(tools: &Tools, run: ActiveRun) -> Result<Option<(Claim, Followed)>, StoreError> {
    let ActiveRun {
        key,
        job,
        log_bytes,
        tasks,
    } = run;
    let dir = tools.ansible.runs().open(key.job, key.number);
    let state = look(&dir).await;
    tracing::info!(job.id = %key.job, attempt.number = key.number, ?state, "took up a run");
    // What a host says that was stopped before it began may be stored already; then there is something to tell.
    let tail = Tail::new(key, dir.clone(), log_bytes, tasks);
    if matches!(state, Ok(RunState::NeverStarted)) && tail.is_empty() {
        let why = "the gateway stopped before the run began; back in the queue";
        // First, as the next claim's directory will have the same name.
        remove(&dir);
        match tools.store.release(key, why, tools.clock.now()).await {
            Ok(()) => {
                // It may have been made just before the gateway stopped. Nobody waits for that: the gateway is starting.
                let (asking, claim) = (tools.asking(), Claim { key, job });
                tokio::spawn(async move { silences::end(&asking, &claim).await });
                return Ok(None);
            }
            // A full disk must not keep the gateway from starting: whoever follows it gives it back later.
            Err(StoreError::Unavailable(error)) => tracing::error!(error, "failed to give back a job; trying again"),
            Err(error) => return Err(error),
        }
    }
    let followed = Followed {
        dir,
        tail,
        ends: Ends::Lock { failed: 0 },
    };
    Ok(Some((Claim { key, job }, followed)))
}

async fn look(dir: &RunDir) -> io::Result<RunState> {
    let dir = dir.clone();
    let looked = tokio::task::spawn_blocking(move || dir.state()).await;
    looked.map_err(io::Error::other).flatten()
}

/// Removes directories that no job needs any more: their ends are stored.
fn sweep(tools: &Tools, known: &HashSet<(JobId, u32)>) {
    let found = tools.ansible.runs().list().unwrap_or_default();
    for (job, number) in found.into_iter().filter(|run| !known.contains(run)) {
        let dir = tools.ansible.runs().open(job, number);
        match dir.state() {
            Ok(RunState::Live) => abandon(tools, &dir),
            Ok(RunState::Ended(_) | RunState::NeverStarted | RunState::Vanished) => remove(&dir),
            Err(error) => tracing::warn!(%error, "failed to look at a run's directory"),
        }
    }
    if let Err(error) = tools.ansible.runs().remove_empty() {
        tracing::warn!(%error, "failed to look for empty directories");
    }
}
