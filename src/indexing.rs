//! Makes what jobs are about quick to find: some time after they were made, and in small steps with a rest after each, so
//! that webhooks need not wait.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use crate::live::Live;
use crate::store::StoreError;
use crate::store::upkeep::Upkeep;

/// What comes within this time is indexed together. Until then it is looked at job by job.
const GATHERED: Duration = Duration::from_secs(2);

/// After a failure: a disk may be full, and what is missing here only makes searches slower.
const AGAIN: Duration = Duration::from_secs(60);

/// So many times as long as a step took, others have the writer.
const REST: u32 = 3;

/// The one that does it.
pub struct Indexer {
    pub store: Arc<dyn Upkeep>,
    pub live: Arc<Live>,
    /// Ends it.
    pub stopping: CancellationToken,
}

impl fmt::Debug for Indexer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Indexer").finish_non_exhaustive()
    }
}

impl Indexer {
    /// Works until it is stopped: at the start for what was left, and then after new jobs.
    pub async fn run(self) {
        let stopping = self.stopping.clone();
        tokio::select! {
            () = self.work() => {}
            () = stopping.cancelled() => {}
        }
    }

    async fn work(&self) {
        loop {
            if let Err(error) = self.catch_up().await {
                tracing::error!(%error, "failed to index what jobs are searched by; searches take longer meanwhile");
                sleep(AGAIN).await;
            }
            self.live.texts_to_change().await;
            sleep(GATHERED).await;
        }
    }

    async fn catch_up(&self) -> Result<(), StoreError> {
        loop {
            let began = Instant::now();
            if !self.store.index_texts().await? {
                return Ok(());
            }
            sleep(began.elapsed() * REST).await;
        }
    }
}
