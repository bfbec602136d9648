//! Opens the database file: one process, one writer, a pool of readers, and nothing older than we trust.

use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use sqlx::sqlite::{
    SqliteAutoVacuum, SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteSynchronous,
};
use sqlx::{ConnectOptions, SqliteConnection};

use crate::store::StoreError;
use crate::store::sqlite::migrations;
use crate::store::sqlite::rows::database;

/// Below this, two connections of one file can corrupt it (sqlite.org/wal.html, "the WAL-reset bug").
const OLDEST_SQLITE: (u32, u32, u32) = (3, 51, 3);

/// Enough for the API's readers; each costs a thread and a page cache.
const READERS: u32 = 4;

/// The opened file.
pub(super) struct Opened {
    pub(super) writer: SqliteConnection,
    pub(super) readers: SqlitePool,
    /// Held while the process lives. Beside the database, never on it: closing any descriptor of the database file
    /// would drop SQLite's own locks.
    pub(super) lock: File,
}

/// A process that was killed while it started a run's host holds the lock a moment longer: until that child has executed
/// its program, which closes the descriptor.
const LOCK_TRIES: u32 = 40;
const LOCK_PAUSE: Duration = Duration::from_millis(25);

/// Opens or creates the file and brings its schema up to date.
pub(super) async fn open(path: &Path) -> Result<Opened, StoreError> {
    let lock = lock(path).await?;
    let is_new = fs::metadata(path).is_ok_and(|file| file.len() == 0);
    let mut writer = options(path).create_if_missing(true);
    if is_new {
        // Of a file that has it already this would be a write, and on a full disk the gateway could not even be read.
        writer = writer.auto_vacuum(SqliteAutoVacuum::Incremental);
    }
    let mut writer = writer
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full)
        .pragma("journal_size_limit", "67108864")
        .pragma("cache_size", "-16000")
        .connect()
        .await
        .map_err(database)?;
    check_version(&mut writer).await?;
    migrations::apply(&mut writer).await?;
    let readers = SqlitePoolOptions::new()
        .max_connections(READERS)
        .min_connections(0)
        .test_before_acquire(false)
        .idle_timeout(Duration::from_secs(60))
        .max_lifetime(None)
        .connect_lazy_with(options(path).read_only(true).pragma("query_only", "ON"));
    Ok(Opened { writer, readers, lock })
}

/// What all connections have in common.
pub(super) fn options(path: &Path) -> SqliteConnectOptions {
    SqliteConnectOptions::new()
        .filename(path)
        .foreign_keys(true)
        .busy_timeout(Duration::from_secs(5))
        .pragma("temp_store", "MEMORY")
        .pragma("mmap_size", "0")
        .disable_statement_logging()
}

async fn lock(path: &Path) -> Result<File, StoreError> {
    let mut name = path.as_os_str().to_owned();
    name.push(".lock");
    let name = PathBuf::from(name);
    if let Some(folder) = path.parent() {
        let mut builder = DirBuilder::new();
        builder
            .recursive(true)
            .mode(0o700)
            .create(folder)
            .map_err(|error| StoreError::Refused(format!("failed to create {}: {error}", folder.display())))?;
    }
    let file = private_file(&name)?;
    let mut locked = file.try_lock();
    for _ in 0..LOCK_TRIES {
        if !matches!(locked, Err(TryLockError::WouldBlock)) {
            break;
        }
        tokio::time::sleep(LOCK_PAUSE).await;
        locked = file.try_lock();
    }
    match locked {
        Ok(()) => {
            // SQLite would let everyone read what it makes; its -wal and -shm take the mode of the file beside them.
            private_file(path)?;
            Ok(file)
        }
        Err(TryLockError::WouldBlock) => Err(StoreError::Refused(format!(
            "another healgate uses {}: it holds {}",
            path.display(),
            name.display()
        ))),
        Err(TryLockError::Error(error)) => Err(StoreError::Refused(format!(
            "failed to lock {}: {error}",
            name.display()
        ))),
    }
}

/// Makes the file if it is not there, for its owner alone.
fn private_file(path: &Path) -> Result<File, StoreError> {
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(false).mode(0o600);
    options
        .open(path)
        .map_err(|error| StoreError::Refused(format!("failed to create {}: {error}", path.display())))
}

async fn check_version(connection: &mut SqliteConnection) -> Result<(), StoreError> {
    let version: String = sqlx::query_scalar("SELECT sqlite_version()")
        .fetch_one(connection)
        .await
        .map_err(database)?;
    if is_trusted(&version) {
        return Ok(());
    }
    let (major, minor, patch) = OLDEST_SQLITE;
    Err(StoreError::Refused(format!(
        "this healgate was built with SQLite {version}, which can corrupt its file; it needs {major}.{minor}.{patch} \
         or newer"
    )))
}

fn is_trusted(version: &str) -> bool {
    let mut parts = version.split('.').map(|part| part.parse::<u32>().unwrap_or(0));
    let mut next = || parts.next().unwrap_or(0);
    (next(), next(), next()) >= OLDEST_SQLITE
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sqlite_with_the_corruption_race_is_refused() {
        for old in ["3.51.2", "3.46.0", "3.7.0", "2.99.99", "nonsense", ""] {
            assert!(!is_trusted(old), "{old}");
        }
        for good in ["3.51.3", "3.51.10", "3.52.0", "4.0.0"] {
            assert!(is_trusted(good), "{good}");
        }
    }
}
