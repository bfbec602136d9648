//! The one writer: takes commands from a bounded queue, applies them in batches, answers after the commit.
//!
//! A caller that goes away changes nothing: its command is applied and committed all the same, and no transaction is
//! ever left open by a dropped future.

use std::fmt;
use std::fs::File;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Instant;

use async_trait::async_trait;
use futures_util::FutureExt;
use serde::Serialize;
use sqlx::query::Query;
use sqlx::sqlite::SqliteArguments;
use sqlx::{Sqlite, SqliteConnection};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;

use crate::domain::ids::JobId;
use crate::store::StoreError;
use crate::store::observe::{Committed, FinishedJob, Observer};
use crate::store::sqlite::rows::{database, to_json};

/// Commands that may wait. A full queue makes callers wait, and Alertmanager's own time-out bounds that.
const QUEUE: usize = 1024;

/// Commands of one transaction, which share one fsync.
const BATCH: usize = 256;

/// One change of the database.
#[async_trait]
pub(super) trait Write: Send + 'static {
    type Output: Send + 'static;

    /// Makes the change inside the batch's transaction; on an error its part is rolled back.
    async fn apply(self, scope: &mut Scope<'_>) -> Result<Self::Output, StoreError>;
}

/// What a command works with.
pub(super) struct Scope<'a> {
    pub(super) connection: &'a mut SqliteConnection,
    committed: &'a mut Committed,
}

/// A statement with what it is bound to.
pub(super) type Statement<'q> = Query<'q, Sqlite, SqliteArguments>;

impl Scope<'_> {
    /// Runs a statement that answers with no rows. How many rows it changed.
    pub(super) async fn execute(&mut self, statement: Statement<'_>) -> Result<u64, StoreError> {
        let done = statement.execute(&mut *self.connection).await.map_err(database)?;
        Ok(done.rows_affected())
    }

    /// Runs a statement that takes its rows as JSON. One that names many columns reads each row into an `item` first, as
    /// `json_each` writes its `value` anew wherever that is named.
    pub(super) async fn write_rows<T: Serialize>(
        &mut self,
        statement: &'static str,
        rows: &[T],
    ) -> Result<(), StoreError> {
        self.execute(sqlx::query(statement).bind(to_json(rows)?))
            .await
            .map(drop)
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

    /// Notes that something is held back, or is to be decided again.
    pub(super) fn held_back(&mut self) {
        self.committed.held_back = true;
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

/// The writer, and the way to it.
pub(super) struct Writer {
    commands: Commands,
    task: JoinHandle<()>,
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
    pub(super) fn start(connection: SqliteConnection, lock: File, observer: Arc<dyn Observer>) -> Self {
        let (commands, queue) = mpsc::channel(QUEUE);
        let task = tokio::spawn(async move {
            write_batches(connection, queue, observer).await;
            drop(lock);
        });
        Self {
            commands: Commands(commands),
            task,
        }
    }

    /// A way to the writer that may be copied; the writer goes on until all are gone.
    pub(super) fn commands(&self) -> Commands {
        self.commands.clone()
    }

    /// Ends the writer and waits for that.
    pub(super) async fn close(self) {
        let Self { commands, task } = self;
        drop(commands);
        if let Err(error) = task.await {
            tracing::error!(%error, "the database's writer ended badly");
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

#[async_trait]
trait Command: Send {
    /// Applies the change; whether it succeeded.
    async fn apply(&mut self, scope: &mut Scope<'_>) -> bool;

    /// Tells the caller. `failed`: the whole batch could not be committed.
    fn answer(self: Box<Self>, failed: Option<&str>);
}

struct PendingWrite<W: Write> {
    write: Option<W>,
    result: Option<Result<W::Output, StoreError>>,
    reply: oneshot::Sender<Result<W::Output, StoreError>>,
}

#[async_trait]
impl<W: Write> Command for PendingWrite<W> {
    async fn apply(&mut self, scope: &mut Scope<'_>) -> bool {
        if let Some(write) = self.write.take() {
            self.result = Some(write.apply(scope).await);
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

async fn write_batches(
    mut connection: SqliteConnection,
    mut queue: mpsc::Receiver<Box<dyn Command>>,
    observer: Arc<dyn Observer>,
) {
    let mut batch = Vec::with_capacity(BATCH);
    while queue.recv_many(&mut batch, BATCH).await > 0 {
        let began = Instant::now();
        let mut committed = Committed::default();
        // A mistake in one command must not silence the writer for good.
        let outcome = AssertUnwindSafe(transact(&mut connection, &mut batch, &mut committed))
            .catch_unwind()
            .await
            .unwrap_or_else(|_| Err(StoreError::Database("a change panicked".to_owned())));
        let failed = outcome.err().map(|error| error.to_string());
        if let Some(failure) = &failed {
            tracing::error!(failure, writes = batch.len(), "a batch of writes was not committed");
            // The transaction may be gone already; then there is nothing to roll back.
            let _ = sqlx::raw_sql("ROLLBACK").execute(&mut connection).await;
            committed = Committed::default();
        }
        for command in batch.drain(..) {
            command.answer(failed.as_deref());
        }
        committed.took = began.elapsed();
        observer.committed(&committed);
    }
    if let Err(error) = sqlx::Connection::close(connection).await {
        tracing::warn!(%error, "failed to close the database");
    }
}

async fn transact(
    connection: &mut SqliteConnection,
    batch: &mut [Box<dyn Command>],
    committed: &mut Committed,
) -> Result<(), StoreError> {
    run(connection, "BEGIN IMMEDIATE").await?;
    for command in batch {
        run(connection, "SAVEPOINT command").await?;
        let mut own = Committed::default();
        let mut scope = Scope {
            connection: &mut *connection,
            committed: &mut own,
        };
        if command.apply(&mut scope).await {
            committed.add(own);
        } else {
            run(connection, "ROLLBACK TO command").await?;
        }
        run(connection, "RELEASE command").await?;
    }
    run(connection, "COMMIT").await
}

async fn run(connection: &mut SqliteConnection, statement: &'static str) -> Result<(), StoreError> {
    sqlx::query(statement).execute(connection).await.map_err(database)?;
    Ok(())
}
