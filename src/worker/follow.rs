//! Follows a run to its end, whether this process started it or an earlier one: moves its output into the store, passes
//! on stops, judges how it ended.

use std::time::Duration;

use tokio::time::{MissedTickBehavior, interval, sleep};
use tokio_util::sync::CancellationToken;

use crate::ansible::HostProcess;
use crate::ansible::outcome::{TAIL_BYTES, judge};
use crate::ansible::rundir::{Killed, RunDir, RunState, StopKind, names};
use crate::domain::attempt::{AttemptKey, Ending, Outcome};
use crate::domain::host_stats::Recap;
use crate::store::{Claim, StoreError};
use crate::worker::release::release;
use crate::worker::silences;
use crate::worker::stops::{Stops, request_stop};
use crate::worker::tail::{Tail, TailError};
use crate::worker::{PAUSE_AFTER_FAILURE, Parting, Tools};

/// How often a run's files are looked at while it goes on: a line is readable well within half a second.
const LOOK: Duration = Duration::from_millis(100);

/// Looks at an adopted run that may fail in a row: half a minute.
const FAILED_LOOKS: u32 = 300;

/// How often what a run left behind is read before it counts as unreadable.
const UNREADABLE_TRIES: u32 = 30;

/// How long killed processes may take to be gone.
const LEFTOVERS_PATIENCE: Duration = Duration::from_secs(5);

/// How the end of a run is noticed.
#[derive(Debug)]
pub(super) enum Ends {
    /// Its host is a child of this process.
    Child(Box<HostProcess>),
    /// Its host was started by an earlier process: its lock tells. Counts the looks in a row that failed.
    Lock { failed: u32 },
}

/// A run and how far it has been followed.
#[derive(Debug)]
pub(super) struct Followed {
    pub(super) dir: RunDir,
    pub(super) tail: Tail,
    pub(super) ends: Ends,
}

/// Follows until the run has ended and its end is stored, or until it is left to the next start.
pub(super) async fn follow(tools: Tools, claim: Claim, mut run: Followed, parting: Parting) {
    let key = claim.key;
    let (ending, took) = loop {
        match to_the_end(&tools, key, &mut run, &parting).await {
            Ok(Reached::End) => {}
            Ok(Reached::Parting) => return,
            Err(Lost) => {
                tracing::error!("another claim owns this job; its run is stopped");
                return abandon(&tools, &run.dir);
            }
        }
        match complete(&tools, &mut run).await {
            Some(Ended::Judged(ending, took)) => break (ending, took),
            Some(Ended::NeverBegan) => {
                release(&tools, key, &run.dir).await;
                return silences::end(&tools.asking(), &claim).await;
            }
            // What told its end was wrong, as when nothing could be read.
            Some(Ended::NotYet) => run.ends = Ends::Lock { failed: 0 },
            None => return abandon(&tools, &run.dir),
        }
    };
    let took = took.unwrap_or_else(|| ending.finished_at.since(started_at(&claim, &ending)));
    tracing::info!(outcome = ending.outcome.as_str(), "ended");
    tools.metrics.run_duration(&claim.job.playbook, took);
    // The silence is for the run; a database that takes nothing must not prolong it.
    let asking = tools.asking();
    let (finished, ()) = tokio::join!(finish(&tools, key, ending), silences::end(&asking, &claim));
    if finished {
        remove(&run.dir);
    }
}

/// The claim is lost.
struct Lost;

/// How far a run was followed.
enum Reached {
    End,
    /// The run goes on without this process.
    Parting,
}

/// Watches over the run and moves what it says, side by side: however much that is, a stop is passed on at once.
async fn to_the_end(tools: &Tools, key: AttemptKey, run: &mut Followed, parting: &Parting) -> Result<Reached, Lost> {
    let over = CancellationToken::new();
    let watching = async {
        let reached = tokio::select! {
            reached = watch(tools, key, (&mut run.ends, &run.dir), parting) => Ok(reached),
            () = over.cancelled() => Err(Lost),
        };
        over.cancel();
        reached
    };
    let moving = async {
        let moved = keep_moving(tools, &mut run.tail, &over).await;
        if moved.is_err() {
            over.cancel();
        }
        moved
    };
    let (reached, moved) = tokio::join!(watching, moving);
    moved?;
    let reached = reached?;
    if matches!(reached, Reached::Parting) {
        advance(tools, &mut run.tail).await?;
    }
    Ok(reached)
}

async fn watch(tools: &Tools, key: AttemptKey, (ends, dir): (&mut Ends, &RunDir), parting: &Parting) -> Reached {
    let stop = tools.live.stop_signal(key.job);
    // Begins with a look: a stop may have been asked for before the signal was registered.
    let mut stops = Stops::new(&stop);
    let mut look = interval(LOOK);
    look.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut stopping = false;
    loop {
        tokio::select! {
            () = has_ended(ends, dir) => return Reached::End,
            _ = look.tick() => {}
            () = stop.asked() => stops.asked(),
            () = parting.leave.cancelled() => return Reached::Parting,
            () = parting.stop.cancelled(), if !stopping => {
                stopping = true;
                stops.shutdown();
            }
        }
        stops.pass_on(tools, key, dir).await;
    }
}

/// Moves what there is, again and again. Never interrupted within a piece, as the store may have taken it.
async fn keep_moving(tools: &Tools, tail: &mut Tail, over: &CancellationToken) -> Result<(), Lost> {
    let mut pause = Duration::ZERO;
    loop {
        tokio::select! {
            () = sleep(pause) => {}
            () = over.cancelled() => return Ok(()),
        }
        pause = LOOK;
        loop {
            match advance_a_piece(tools, tail).await? {
                Some(true) if over.is_cancelled() => return Ok(()),
                Some(true) => {}
                Some(false) => break,
                None => {
                    pause = PAUSE_AFTER_FAILURE;
                    break;
                }
            }
        }
    }
}

async fn has_ended(ends: &mut Ends, dir: &RunDir) {
    match ends {
        Ends::Child(host) => {
            if let Err(error) = host.wait().await {
                tracing::warn!(%error, "failed to wait for a run's host");
            }
        }
        Ends::Lock { failed } => loop {
            // A look that fails says nothing, the next one may; but a job must not run for ever.
            match dir.state() {
                Ok(RunState::Live) => *failed = 0,
                Err(_) if *failed < FAILED_LOOKS => *failed += 1,
                Ok(RunState::Ended(_) | RunState::NeverStarted | RunState::Vanished) | Err(_) => return,
            }
            sleep(LOOK).await;
        },
    }
}

/// Moves all that there is, unless the store does not take it.
async fn advance(tools: &Tools, tail: &mut Tail) -> Result<(), Lost> {
    while advance_a_piece(tools, tail).await? == Some(true) {}
    Ok(())
}

/// Whether there may be more; nothing if the store did not take it.
async fn advance_a_piece(tools: &Tools, tail: &mut Tail) -> Result<Option<bool>, Lost> {
    match tail.advance_a_piece(tools.store.as_ref()).await {
        Ok(more) => Ok(Some(more)),
        Err(TailError::Store(StoreError::LostClaim(_))) => Err(Lost),
        Err(error) => {
            // Nothing is lost: the run's files keep it until the store takes it.
            tracing::warn!(%error, "failed to store a run's output; trying again");
            Ok(None)
        }
    }
}

/// Nobody will ask for this run's end any more.
pub(super) fn abandon(tools: &Tools, dir: &RunDir) {
    let _ = request_stop(tools, dir, "healgate", StopKind::Shutdown);
}

/// Ends a run that this process cannot follow, and says so in its job.
pub(super) async fn give_up(tools: &Tools, key: AttemptKey) {
    let dir = tools.ansible.runs().open(key.job, key.number);
    abandon(tools, &dir);
    has_ended(&mut Ends::Lock { failed: 0 }, &dir).await;
    end_leftovers(&dir).await;
    let ending = Ending {
        outcome: Outcome::Lost,
        message: Some("the gateway failed to follow the run".to_owned()),
        exit_code: None,
        recap: Recap::new(),
        finished_at: tools.clock.now(),
        log_bytes: 0,
        log_truncated: true,
        start: dir.start(),
    };
    if finish(tools, key, ending).await {
        remove(&dir);
        silences::end_of(&tools.asking(), key).await;
    }
}

/// What an ended run comes to.
enum Ended {
    /// And how long it took, as its host measured that.
    Judged(Ending, Option<Duration>),
    /// Its host died before it could begin anything.
    NeverBegan,
    /// Its host lives.
    NotYet,
}

/// Moves the rest into the store, however long that takes, and judges. Nothing if the claim is lost.
async fn complete(tools: &Tools, run: &mut Followed) -> Option<Ended> {
    let mut unreadable = 0;
    loop {
        match move_rest(tools, run).await {
            Ok(()) => break,
            Err(TailError::Store(StoreError::LostClaim(_))) => {
                tracing::error!("another claim owns this job; its run's end is dropped");
                return None;
            }
            Err(error @ TailError::Store(_)) => {
                tracing::error!(%error, "failed to store the rest of a run's output; trying again");
                sleep(PAUSE_AFTER_FAILURE).await;
            }
            Err(error @ TailError::Files(_)) if unreadable < UNREADABLE_TRIES => {
                unreadable += 1;
                tracing::warn!(%error, "failed to read the rest of a run's output; trying again");
                sleep(PAUSE_AFTER_FAILURE).await;
            }
            Err(error @ TailError::Files(_)) => {
                tracing::error!(%error, "the rest of a run's output is lost");
                break;
            }
        }
    }
    Some(judged(tools, run).await)
}

/// Says how the run ended, once all that it said is in the store.
async fn judged(tools: &Tools, run: &Followed) -> Ended {
    let tail = read_or_none(run.dir.output_tail(TAIL_BYTES)).unwrap_or_default();
    let summary = run.tail.summary();
    let mut ending = Ending {
        outcome: Outcome::Lost,
        message: None,
        exit_code: None,
        recap: summary.recap.clone().unwrap_or_default(),
        finished_at: tools.clock.now(),
        log_bytes: run.tail.log_bytes(),
        log_truncated: false,
        start: run.dir.start(),
    };
    let mut took = None;
    match state(&run.dir).await {
        Some(RunState::Ended(status)) => {
            took = status.took;
            (ending.outcome, ending.message) = judge(Some(&status), summary, &tail);
            ending.exit_code = status.exit_code();
            ending.finished_at = status.finished_at;
            ending.log_truncated = status.log_truncated;
            ending.start = status.start.or(ending.start);
        }
        Some(RunState::NeverStarted) => {
            // What it said is stored, and a job that is given back has no place for it.
            let silent = run.tail.is_empty();
            let spoke = || (!silent).then(|| "the run's host died before the run began".to_owned());
            let Some(why) = run.dir.host_error().or_else(spoke) else {
                return Ended::NeverBegan;
            };
            (ending.outcome, ending.message) = (Outcome::StartFailed, Some(why));
        }
        Some(RunState::Live) => return Ended::NotYet,
        Some(RunState::Vanished) | None => {
            let killed = end_leftovers(&run.dir).await;
            (ending.outcome, ending.message) = judge(None, summary, &tail);
            if let (Some(message), false) = (&mut ending.message, killed.is_empty()) {
                message.push_str(&format!("; killed what it left: {}", names(&killed)));
            }
        }
    }
    Ended::Judged(ending, took)
}

/// A killed host could not stop anything; what unfinished tasks began must not outlive the job.
async fn end_leftovers(dir: &RunDir) -> Vec<Killed> {
    let dir = dir.clone();
    let ended = tokio::task::spawn_blocking(move || dir.end_leftovers(LEFTOVERS_PATIENCE)).await;
    match ended.map_err(std::io::Error::other).flatten() {
        Ok(killed) => killed,
        Err(error) => {
            tracing::error!(%error, "failed to end what a vanished run has left behind");
            Vec::new()
        }
    }
}

/// What became of the run; nothing if that cannot be read for long. A lack of file descriptors passes, and must not make
/// a run that ended well a lost one.
async fn state(dir: &RunDir) -> Option<RunState> {
    for _ in 0..UNREADABLE_TRIES {
        match read_or_none(dir.state()) {
            None => sleep(PAUSE_AFTER_FAILURE).await,
            known => return known,
        }
    }
    None
}

fn read_or_none<T>(read: std::io::Result<T>) -> Option<T> {
    read.inspect_err(|error| tracing::error!(%error, "failed to read how a run ended"))
        .ok()
}

async fn move_rest(tools: &Tools, run: &mut Followed) -> Result<(), TailError> {
    run.tail.advance(tools.store.as_ref()).await?;
    run.tail.seal_rest(tools.store.as_ref()).await
}

/// Stores the end, however long that takes. Whether this process still owned the job.
pub(super) async fn finish(tools: &Tools, key: AttemptKey, ending: Ending) -> bool {
    loop {
        match tools.store.finish(key, ending.clone()).await {
            Ok(_) => return true,
            Err(StoreError::LostClaim(_)) => {
                tracing::error!("another claim owns this job; its end is dropped");
                return false;
            }
            Err(error) => {
                tracing::error!(%error, "failed to store how a run ended; trying again");
                sleep(PAUSE_AFTER_FAILURE).await;
            }
        }
    }
}

fn started_at(claim: &Claim, ending: &Ending) -> crate::domain::timestamp::Timestamp {
    claim
        .job
        .attempts
        .last()
        .map_or(ending.finished_at, |attempt| attempt.started_at)
}

/// Removes the directory of a run whose end is stored.
pub(super) fn remove(dir: &RunDir) {
    if let Err(error) = dir.remove() {
        tracing::warn!(%error, "failed to remove a run's directory");
    }
}
