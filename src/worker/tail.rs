//! Moves what a run has written since the last look into the store, in pieces that fit it.

use std::io;

use crate::ansible::events::{EventReader, Summary};
use crate::ansible::rundir::RunDir;
use crate::domain::attempt::{AttemptKey, TaskResult};
use crate::store::{LOG_BLOCK, Store, StoreError};

/// A sealed piece of a log. No stored chunk crosses a multiple of this, so that whole blocks can be sealed.
const BLOCK: u64 = LOG_BLOCK as u64;

/// Blocks that are stored in one command, where there are so many.
const BLOCKS_AT_ONCE: u64 = 4;

/// Task results that are stored in one command.
const TASKS_AT_ONCE: usize = 500;

/// Why a run's files could not be moved into the store.
#[derive(Debug, thiserror::Error)]
pub(super) enum TailError {
    #[error("failed to read the run's files: {0}")]
    Files(#[from] io::Error),
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// How far a run's files have been moved.
#[derive(Debug)]
pub(super) struct Tail {
    key: AttemptKey,
    dir: RunDir,
    events: EventReader,
    log_bytes: u64,
    sealed: u64,
    /// Results read but not stored yet.
    pending: Vec<TaskResult>,
    tasks: u64,
    /// Results at the head of the file that an earlier process stored already.
    skip: u64,
}

impl Tail {
    /// Goes on from what is stored of the attempt: nothing, for a new one.
    pub(super) fn new(key: AttemptKey, dir: RunDir, log_bytes: u64, tasks: u64) -> Self {
        let events = EventReader::default();
        let sealed = log_bytes - log_bytes % BLOCK;
        Self {
            key,
            dir,
            events,
            log_bytes,
            sealed,
            pending: Vec::new(),
            tasks,
            skip: tasks,
        }
    }

    /// What the events come to so far.
    pub(super) fn summary(&self) -> &Summary {
        self.events.summary()
    }

    /// Whether there has been nothing to move so far.
    pub(super) fn is_empty(&self) -> bool {
        self.log_bytes == 0 && self.tasks == 0
    }

    /// How much of the log is stored.
    pub(super) fn log_bytes(&self) -> u64 {
        self.log_bytes
    }

    /// Moves all that there is.
    pub(super) async fn advance(&mut self, store: &dyn Store) -> Result<(), TailError> {
        while self.advance_a_piece(store).await? {}
        Ok(())
    }

    /// Moves a block of the log, or once there is none, what else was told. Whether there may be more.
    pub(super) async fn advance_a_piece(&mut self, store: &dyn Store) -> Result<bool, TailError> {
        if self.advance_log(store).await? {
            return Ok(true);
        }
        self.advance_tasks(store).await?;
        Ok(false)
    }

    /// Seals what is left, once the run has ended and all was moved.
    pub(super) async fn seal_rest(&mut self, store: &dyn Store) -> Result<(), TailError> {
        if self.sealed < self.log_bytes {
            self.seal(store, self.log_bytes).await?;
        }
        Ok(())
    }

    /// Whether there was something to move.
    async fn advance_log(&mut self, store: &dyn Store) -> Result<bool, TailError> {
        let begun = self.log_bytes % BLOCK;
        let room = if begun == 0 {
            BLOCKS_AT_ONCE * BLOCK
        } else {
            BLOCK - begun
        };
        let mut bytes = self
            .dir
            .read_output(self.log_bytes, usize::try_from(room).unwrap_or(usize::MAX))?;
        if bytes.is_empty() {
            return Ok(false);
        }
        let rest = bytes.len() as u64 % BLOCK;
        let is_whole = bytes.len() as u64 >= BLOCK;
        if is_whole {
            bytes.truncate(bytes.len() - usize::try_from(rest).unwrap_or(0));
        }
        let length = bytes.len() as u64;
        store.append_log(self.key, self.log_bytes, bytes).await?;
        self.log_bytes += length;
        if is_whole {
            // The store has compressed whole blocks at once.
            self.sealed = self.log_bytes;
        } else if self.log_bytes - self.sealed == BLOCK {
            self.seal(store, self.log_bytes).await?;
        }
        Ok(true)
    }

    async fn seal(&mut self, store: &dyn Store, end: u64) -> Result<(), TailError> {
        let length = usize::try_from(end - self.sealed).unwrap_or(usize::MAX);
        let bytes = self.dir.read_output(self.sealed, length)?;
        if bytes.len() == length {
            store.seal_log(self.key, self.sealed, bytes).await?;
            self.sealed = end;
        }
        Ok(())
    }

    async fn advance_tasks(&mut self, store: &dyn Store) -> Result<(), TailError> {
        loop {
            while !self.pending.is_empty() {
                let batch: Vec<TaskResult> = self.pending.iter().take(TASKS_AT_ONCE).cloned().collect();
                let length = batch.len();
                store.record_tasks(self.key, self.tasks, batch).await?;
                self.pending.drain(..length);
                self.tasks += length as u64;
            }
            let read = self.events.read(&self.dir)?;
            if read.is_empty() {
                return Ok(());
            }
            for result in read {
                if self.skip > 0 {
                    self.skip -= 1;
                } else {
                    self.pending.push(result);
                }
            }
        }
    }
}
