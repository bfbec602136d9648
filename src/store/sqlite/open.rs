//! Opens the database file: one process, one writer, a pool of readers, and nothing older than we trust.

use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::OpenFlags;
use tokio::task::spawn_blocking;

use crate::store::StoreError;
use crate::store::sqlite::connection::{Connection, database};
use crate::store::sqlite::migrations;
use crate::store::sqlite::readers::Readers;

/// Below this, two connections of one file can corrupt it (sqlite.org/wal.html, "the WAL-reset bug").
const OLDEST_SQLITE: (u32, u32, u32) = (3, 51, 3);

/// The opened file.
pub(super) struct Opened {
    pub(super) writer: Connection,
    pub(super) readers: Readers,
    /// Held while the process lives. Beside the database, never on it: closing any descriptor of the database file
    /// would drop SQLite's own locks.
    pub(super) lock: File,
}

/// A process that was killed while it started a run's host holds the lock a moment longer: until that child has executed
/// its program, which closes the descriptor.
const LOCK_TRIES: u32 = 40;
const LOCK_PAUSE: Duration = Duration::from_millis(25);

/// How long a connection waits for another process that holds the file: one that looks at it, or copies it.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// Opens or creates the file and brings its schema up to date. What is committed is on disk.
pub(super) async fn open(path: &Path) -> Result<Opened, StoreError> {
    open_with(path, "FULL").await
}

/// The same with another word for `synchronous`, to see what the promise is worth.
pub(super) async fn open_with(path: &Path, synchronous: &'static str) -> Result<Opened, StoreError> {
    let lock = lock(path).await?;
    let file = path.to_owned();
    let writer = spawn_blocking(move || open_writer(&file, synchronous)).await;
    Ok(Opened {
        writer: writer
            .unwrap_or_else(|error| Err(StoreError::Database(format!("failed to open the database: {error}"))))?,
        readers: Readers::new(path),
        lock,
    })
}

fn open_writer(path: &Path, synchronous: &str) -> Result<Connection, StoreError> {
    let is_new = fs::metadata(path).is_ok_and(|file| file.len() == 0);
    let writer = connect(path, OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE)?;
    if is_new {
        // Of a file that has it already this would be a write, and on a full disk the gateway could not even be read.
        writer.batch("PRAGMA auto_vacuum = INCREMENTAL")?;
    }
    writer.batch(&format!(
        "PRAGMA journal_mode = WAL;
         PRAGMA synchronous = {synchronous};
         PRAGMA journal_size_limit = 67108864;
         PRAGMA cache_size = -16000;"
    ))?;
    check_version(&writer)?;
    migrations::apply(&writer)?;
    Ok(writer)
}

/// A connection that only reads.
pub(super) fn read_only(path: &Path) -> Result<Connection, StoreError> {
    connect(path, OpenFlags::SQLITE_OPEN_READ_ONLY)
}

fn connect(path: &Path, flags: OpenFlags) -> Result<Connection, StoreError> {
    // Each connection is used by one thread at a time.
    let flags = flags | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = rusqlite::Connection::open_with_flags(path, flags).map_err(database)?;
    connection.busy_timeout(BUSY_TIMEOUT).map_err(database)?;
    let connection = Connection::new(connection)?;
    let settings = "
        PRAGMA foreign_keys = ON;
        PRAGMA temp_store = MEMORY;
        PRAGMA mmap_size = 0;";
    connection.batch(settings)?;
    Ok(connection)
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

fn check_version(connection: &Connection) -> Result<(), StoreError> {
    let version: String = connection.value("SELECT sqlite_version()", [])?;
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
