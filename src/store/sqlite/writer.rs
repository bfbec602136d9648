//! The one writer: takes commands from a bounded queue, applies them in batches, answers after the commit.
//!
//! A caller that goes away changes nothing: its command is applied and committed all the same, and no transaction is
//! ever left open by a dropped future.

use std::fmt;
use std::fs::File;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::thread;
use std::time::Instant;

use rusqlite::Params;
use tokio::sync::{mpsc, oneshot};

use crate::domain::attempt::AttemptKey;
use crate::domain::ids::JobId;
use crate::store::StoreError;
use crate::store::observe::{Committed, FinishedJob, Observer};
use crate::store::sqlite::connection::{Connection, JournalPages};

/// Commands that may wait. A full queue makes callers wait, and Alertmanager's own time-out bounds that.
const QUEUE: usize = 1024;

/// Commands of one transaction, which share one fsync.
const BATCH: usize = 256;

/// Pages of the write-ahead log that are brought into the database's file once nobody waits, and those at which that must
/// not wait. The writer alone does it, after its answers; in a commit it would make that one's callers wait.
const CHECKPOINT: i32 = 1_000;
const CHECKPOINT_AT_ONCE: i32 = 4_000;

/// One change of the database.
pub(super) trait Write: Send + 'static {
    type Output: Send + 'static;

    /// Makes the change inside the batch's transaction; on an error its part is rolled back.
    fn apply(self, scope: &mut Scope<'_>) -> Result<Self::Output, StoreError>;
}

/// What a command works with.
pub(super) struct Scope<'a> {
    pub(super) connection: &'a Connection,
    committed: &'a mut Committed,
}

impl Scope<'_> {
    /// Runs a statement that answers with no rows. How many rows it changed.
    pub(super) fn execute(&mut self, sql: &'static str, params: impl Params) -> Result<u64, StoreError> {
        self.connection.execute(sql, params)
    }

    /// The same of a statement that changes what that claim holds; fails if it holds nothing any more.
    pub(super) fn execute_claimed(
        &mut self,
        key: AttemptKey,
        sql: &'static str,
        params: impl Params,
    ) -> Result<(), StoreError> {
        match self.execute(sql, params)? {
            0 => Err(StoreError::LostClaim(key)),
            _ => Ok(()),
        }
    }

    /// Notes that followers of that job have something new to read.
    pub(super) fn grew(&mut self, job: JobId) {
        self.committed.touched.push(job);
    }

    /// Notes that the job has moved on: what may be claimed, and what is due when, may have changed with it.
    pub(super) fn touch(&mut self, job: JobId) {
        self.committed.queue_moved = true;
        self.grew(job);
    }

    /// Notes that something changed that people look at, beside jobs.
    pub(super) fn noticed(&mut self) {
        self.committed.noticed = true;
    }

    /// Notes that something is held back, or is to be decided again.
    pub(super) fn held_back(&mut self) {
        self.committed.held_back = true;
        self.noticed();
    }

    /// Notes that what may be claimed has changed, without any job's doing.
    pub(super) fn moved(&mut self) {
        self.committed.queue_moved = true;
    }

    /// Notes that a running job is to stop.
    pub(super) fn asked_to_stop(&mut self, job: JobId) {
        self.committed.asked_to_stop.push(job);
    }

    /// Notes that a job has finished.
    pub(super) fn finished(&mut self, job: FinishedJob) {
        self.committed.finished.push(job);
    }

    /// Notes that there are new messages to people.
    pub(super) fn told(&mut self) {
        self.committed.outbox_grew = true;
    }

    /// Notes how long a claimed job has waited.
    pub(super) fn waited(&mut self, wait: std::time::Duration) {
        self.committed.waits.push(wait);
    }
}

/// The writer, and the way to it. It has a thread of its own, as every change waits for the disk.
pub(super) struct Writer {
    commands: Commands,
    ended: oneshot::Receiver<()>,
}

/// Sends commands to the writer, which ends when nobody can any more.
#[derive(Clone)]
pub(super) struct Commands(mpsc::Sender<Box<dyn Command>>);

impl fmt::Debug for Writer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Writer")
            .field("free", &self.commands.0.capacity())
            .finish()
    }
}

impl Writer {
    /// Starts the writer on its connection. It ends when the handle is gone: then it does what is still in the queue,
    /// closes the file, and lets go of the lock.
    pub(super) fn start(
        mut connection: Connection,
        lock: File,
        observer: Arc<dyn Observer>,
    ) -> Result<Self, StoreError> {
        let (commands, queue) = mpsc::channel(QUEUE);
        let (end, ended) = oneshot::channel();
        let journal = connection.count_journal()?;
        let write = move || {
            write_batches(&connection, queue, &journal, &*observer);
            if let Err(error) = connection.close() {
                tracing::warn!(%error, "failed to close the database");
            }
            drop(lock);
            // Nobody may wait for it.
            let _ = end.send(());
        };
        thread::Builder::new()
            .name("writer".to_owned())
            .spawn(write)
            .map_err(|error| StoreError::Refused(format!("failed to start the writer of the database: {error}")))?;
        Ok(Self {
            commands: Commands(commands),
            ended,
        })
    }

    /// A way to the writer that may be copied; the writer goes on until all are gone.
    pub(super) fn commands(&self) -> Commands {
        self.commands.clone()
    }

    /// Ends the writer and waits for that.
    pub(super) async fn close(self) {
        let Self { commands, ended } = self;
        drop(commands);
        if ended.await.is_err() {
            tracing::error!("the database's writer ended badly");
        }
    }

    /// Makes a change; answers when it is on disk.
    pub(super) async fn write<W: Write>(&self, write: W) -> Result<W::Output, StoreError> {
        self.commands.write(write).await
    }
}

impl Commands {
    /// Makes a change; answers when it is on disk.
    pub(super) async fn write<W: Write>(&self, write: W) -> Result<W::Output, StoreError> {
        let stopped = || StoreError::Unavailable("the writer has stopped".to_owned());
        let (reply, answer) = oneshot::channel();
        let command = PendingWrite {
            write: Some(write),
            result: None,
            reply,
        };
        self.0.send(Box::new(command)).await.map_err(|_| stopped())?;
        answer.await.map_err(|_| stopped())?
    }
}

trait Command: Send {
    /// Applies the change; whether it succeeded.
    fn apply(&mut self, scope: &mut Scope<'_>) -> bool;

    /// Tells the caller. `failed`: the whole batch could not be committed.
    fn answer(self: Box<Self>, failed: Option<&str>);
}

struct PendingWrite<W: Write> {
    write: Option<W>,
    result: Option<Result<W::Output, StoreError>>,
    reply: oneshot::Sender<Result<W::Output, StoreError>>,
}

impl<W: Write> Command for PendingWrite<W> {
    fn apply(&mut self, scope: &mut Scope<'_>) -> bool {
        if let Some(write) = self.write.take() {
            self.result = Some(write.apply(scope));
        }
        matches!(self.result, Some(Ok(_)))
    }

    fn answer(self: Box<Self>, failed: Option<&str>) {
        let result = match (self.result, failed) {
            (Some(Err(error)), _) => Err(error),
            (_, Some(failure)) => Err(StoreError::Unavailable(failure.to_owned())),
            (Some(result), None) => result,
            (None, None) => Err(StoreError::Unavailable("the change was not applied".to_owned())),
        };
        // A caller that has gone away needs no answer.
        let _ = self.reply.send(result);
    }
}

fn write_batches(
    connection: &Connection,
    mut queue: mpsc::Receiver<Box<dyn Command>>,
    journal: &JournalPages,
    observer: &dyn Observer,
) {
    let mut batch = Vec::with_capacity(BATCH);
    while queue.blocking_recv_many(&mut batch, BATCH) > 0 {
        let began = Instant::now();
        let mut committed = Committed::default();
        // A mistake in one command must not silence the writer for good.
        let transact = AssertUnwindSafe(|| transact(connection, &mut batch, &mut committed));
        let outcome =
            catch_unwind(transact).unwrap_or_else(|_| Err(StoreError::Database("a change panicked".to_owned())));
        let failed = outcome.err().map(|error| error.to_string());
        if let Some(failure) = &failed {
            tracing::error!(failure, writes = batch.len(), "a batch of writes was not committed");
            // The transaction may be gone already; then there is nothing to roll back.
            let _ = connection.batch("ROLLBACK");
            committed = Committed::default();
        }
        committed.took = began.elapsed();
        // Before the answers: who has one finds it counted.
        observer.committed(&committed);
        for command in batch.drain(..) {
            command.answer(failed.as_deref());
        }
        let enough = if queue.is_empty() {
            CHECKPOINT
        } else {
            CHECKPOINT_AT_ONCE
        };
        if journal.count() >= enough {
            checkpoint(connection, journal);
        }
    }
}

/// Brings what the write-ahead log has into the database's file, but for what readers still need; then the log begins anew.
fn checkpoint(connection: &Connection, journal: &JournalPages) {
    journal.reset();
    if let Err(error) = connection.optional("PRAGMA wal_checkpoint(PASSIVE)", []) {
        tracing::debug!(%error, "the write-ahead log could not be brought into the database");
    }
}

fn transact(
    connection: &Connection,
    batch: &mut [Box<dyn Command>],
    committed: &mut Committed,
) -> Result<(), StoreError> {
    connection.execute("BEGIN IMMEDIATE", [])?;
    if let [command] = batch {
        // Without a savepoint SQLite need not keep what the pages were, and a large command is that much quicker.
        let done = command.apply(&mut Scope { connection, committed });
        return connection
            .execute(if done { "COMMIT" } else { "ROLLBACK" }, [])
            .map(drop);
    }
    for command in batch {
        connection.execute("SAVEPOINT command", [])?;
        let mut own = Committed::default();
        let mut scope = Scope {
            connection,
            committed: &mut own,
        };
        if command.apply(&mut scope) {
            committed.add(own);
        } else {
            connection.execute("ROLLBACK TO command", [])?;
        }
        connection.execute("RELEASE command", [])?;
    }
    connection.execute("COMMIT", []).map(drop)
}
