//! Connections that read beside the writer, each on a thread that may wait. They are opened when they are needed, and
//! closed when nobody has read for a while.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::task::spawn_blocking;
use tokio::time::{Instant, sleep_until};

use crate::store::StoreError;
use crate::store::sqlite::connection::Connection;
use crate::store::sqlite::open::read_only;

/// Enough for the API's readers; each costs a thread and a page cache.
const READERS: usize = 4;

/// A connection that nobody needed for so long is closed.
const IDLE: Duration = Duration::from_secs(60);

/// The readers.
#[derive(Clone, Debug)]
pub(super) struct Readers(Arc<Shared>);

struct Shared {
    path: PathBuf,
    turns: Semaphore,
    idle: Mutex<Idle>,
}

/// Connections that wait for the next reader; the one used last is taken first.
#[derive(Default)]
struct Idle {
    connections: Vec<(Connection, Instant)>,
    /// Whether a task waits to close them.
    is_watched: bool,
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared")
            .field("path", &self.path)
            .finish_non_exhaustive()
    }
}

impl Readers {
    /// Opens nothing yet.
    pub(super) fn new(path: &Path) -> Self {
        Self(Arc::new(Shared {
            path: path.to_owned(),
            turns: Semaphore::new(READERS),
            idle: Mutex::default(),
        }))
    }

    /// Reads, all of it as the database is at one moment if it is one statement. Who does not wait for the answer frees
    /// no connection earlier.
    pub(super) async fn read<T, R>(&self, read: R) -> Result<T, StoreError>
    where
        T: Send + 'static,
        R: FnOnce(&Connection) -> Result<T, StoreError> + Send + 'static,
    {
        let closed = |_| StoreError::Unavailable("the database is closed".to_owned());
        let turn = self.0.turns.acquire().await.map_err(closed)?;
        // The turn lasts as long as the reading, also where its caller has gone away.
        turn.forget();
        let shared = Arc::clone(&self.0);
        let done = spawn_blocking(move || {
            let turn = Turn(&shared);
            let connection = turn.connection()?;
            let answer = read(&connection);
            turn.put_back(connection);
            answer
        });
        let answer = done.await;
        self.watch();
        answer.unwrap_or_else(|error| Err(StoreError::Database(format!("a reading failed: {error}"))))
    }

    /// Closes all connections, once what is being read has been read. Nothing is read from then on.
    pub(super) async fn close(self) {
        // They come back when their readers are done.
        if let Ok(turns) = self
            .0
            .turns
            .acquire_many(u32::try_from(READERS).unwrap_or(u32::MAX))
            .await
        {
            self.0.turns.close();
            drop(turns);
        }
        self.0.idle().connections.clear();
    }

    /// Closes idle connections in time.
    fn watch(&self) {
        let mut idle = self.0.idle();
        if idle.is_watched || idle.connections.is_empty() {
            return;
        }
        idle.is_watched = true;
        let shared = Arc::downgrade(&self.0);
        tokio::spawn(async move {
            while let Some(next) = shared.upgrade().and_then(|shared| shared.close_idle()) {
                sleep_until(next).await;
            }
        });
    }
}

impl Shared {
    fn idle(&self) -> MutexGuard<'_, Idle> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Closes what has been idle for long. When to look again, if there is anything left.
    fn close_idle(&self) -> Option<Instant> {
        let mut idle = self.idle();
        let now = Instant::now();
        idle.connections.retain(|(_, since)| *since + IDLE > now);
        let next = idle.connections.iter().map(|(_, since)| *since + IDLE).min();
        idle.is_watched = next.is_some();
        next
    }
}

/// One reading's right to a connection.
struct Turn<'a>(&'a Shared);

impl Turn<'_> {
    fn connection(&self) -> Result<Connection, StoreError> {
        let idle = self.0.idle().connections.pop();
        idle.map_or_else(|| read_only(&self.0.path), |(connection, _)| Ok(connection))
    }

    fn put_back(&self, connection: Connection) {
        self.0.idle().connections.push((connection, Instant::now()));
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.0.turns.add_permits(1);
    }
}
