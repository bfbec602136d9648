//! Sees to it that a run whose task panics is not forgotten: its job would stay `running` until the next start. Never
//! panics itself.

use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::time::Duration;

use futures_util::FutureExt;
use tokio::time::sleep;

use crate::domain::attempt::AttemptKey;
use crate::worker::follow::give_up;
use crate::worker::{Parting, Tools, recovery};

/// How often a run is taken up again before it is given up.
const TRIES: u32 = 3;

const PAUSE: Duration = Duration::from_secs(1);

/// Does the work of that run; if it panics, the run is taken up as a new start would do it, and given up if that does
/// not help.
pub(super) async fn guarded(tools: Tools, key: AttemptKey, parting: Parting, work: impl Future<Output = ()>) {
    let again = || resume(&tools, key, &parting);
    if !survives(work, again, PAUSE).await && !is_calm(give_up(&tools, key)).await {
        tracing::error!(job.id = %key.job, "a run could not be followed; the next start takes it up");
    }
}

/// Whether the work, or one of the tries after it, came to its end.
async fn survives<F: Future<Output = ()>>(
    work: impl Future<Output = ()>,
    again: impl Fn() -> F,
    pause: Duration,
) -> bool {
    if is_calm(work).await {
        return true;
    }
    for _ in 0..TRIES {
        sleep(pause).await;
        if is_calm(again()).await {
            return true;
        }
    }
    false
}

async fn is_calm(work: impl Future<Output = ()>) -> bool {
    // What it shares with others is behind locks that are not held across a panic, or in the database.
    let ended = AssertUnwindSafe(work).catch_unwind().await;
    if ended.is_err() {
        tracing::error!("the task of a run has panicked");
    }
    ended.is_ok()
}

async fn resume(tools: &Tools, key: AttemptKey, parting: &Parting) {
    while let Err(error) = recovery::resume(tools, key, parting).await {
        tracing::error!(%error, "failed to take up a run again; trying again");
        sleep(PAUSE).await;
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    async fn tries_until(good: u32) -> (bool, u32) {
        let tries = AtomicU32::new(0);
        let again = || async {
            let number = tries.fetch_add(1, Ordering::Relaxed) + 1;
            assert!(number >= good, "not yet");
        };
        let survived = survives(async { panic!("at once") }, again, Duration::ZERO).await;
        (survived, tries.load(Ordering::Relaxed))
    }

    #[tokio::test]
    async fn work_that_panics_is_taken_up_again_until_it_ends() {
        assert_eq!(tries_until(1).await, (true, 1));
        assert_eq!(tries_until(3).await, (true, 3));
    }

    #[tokio::test]
    async fn work_that_always_panics_is_given_up() {
        assert_eq!(tries_until(u32::MAX).await, (false, TRIES));
    }

    #[tokio::test]
    async fn work_that_ends_is_not_taken_up_again() {
        let again = || async { panic!("nothing failed") };
        assert!(survives(async {}, again, Duration::ZERO).await);
    }
}
