//! The file as a whole: how large it is, whether it is sound, a copy of it, and its free room given back.
//!
//! Copies and checks read the file beside the gateway that uses it, through SQLite alone: they take no lock that a writer
//! waits for.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use rusqlite::params;
use rustix::fs::{CWD, RenameFlags, renameat_with};

use crate::domain::timestamp::Timestamp;
use crate::store::StoreError;
use crate::store::sqlite::connection::{Connection, Row};
use crate::store::sqlite::migrations;
use crate::store::sqlite::open;
use crate::store::sqlite::rows::count;
use crate::store::sqlite::writer::{Scope, Write};
use crate::store::upkeep::{Record, Room};

const ROOM: &str = "
    -- room
    SELECT page_size, page_count, freelist_count FROM pragma_page_size, pragma_page_count, pragma_freelist_count";

/// Without looking for what still refers to them.
const COUNT_OLD: &str = "
    -- count_old
    SELECT (SELECT COUNT(*) FROM attempts INDEXED BY attempts_with_log
            WHERE  finished_at IS NOT NULL AND finished_at < ?2 AND log_bytes > 0 AND log_pruned < 2) AS logs,
           (SELECT COUNT(*) FROM decisions WHERE at < ?1) AS decisions,
           (SELECT COUNT(*) FROM notifications WHERE received_at < ?1) AS notifications,
           (SELECT COUNT(*) FROM jobs INDEXED BY jobs_by_creation
            WHERE  created_at < ?1 AND finished_at < ?1) AS jobs,
           (SELECT COUNT(*) FROM episodes INDEXED BY episodes_by_opening
            WHERE  opened_at < ?1 AND closed_at < ?1) AS episodes,
           (SELECT COUNT(*) FROM outbox WHERE job IS NULL AND settled_at < ?1) AS messages,
           (SELECT COUNT(*) FROM heartbeat_misses WHERE back_at < ?1) AS heartbeats,
           (SELECT COUNT(*) FROM sessions WHERE expires_at <= ?3) AS sessions";

/// Gives free pages at the end of the file back to the disk.
pub(super) struct GiveBack(pub(super) u64);

impl Write for GiveBack {
    type Output = u64;

    fn apply(self, scope: &mut Scope<'_>) -> Result<u64, StoreError> {
        let before = room_of(scope.connection)?;
        let pages = self.0 / before.page_size.max(1);
        if pages == 0 || before.free == 0 {
            return Ok(0);
        }
        scope.connection.batch(&format!("PRAGMA incremental_vacuum({pages})"))?;
        let after = room_of(scope.connection)?;
        Ok(before.pages.saturating_sub(after.pages) * before.page_size)
    }
}

struct Pages {
    page_size: u64,
    pages: u64,
    free: u64,
}

fn room_of(connection: &Connection) -> Result<Pages, StoreError> {
    let row = connection.one(ROOM, [])?;
    Ok(Pages {
        page_size: count(&row, "page_size")?,
        pages: count(&row, "page_count")?,
        free: count(&row, "freelist_count")?,
    })
}

/// How large the database is.
pub(super) fn room(connection: &Connection) -> Result<Room, StoreError> {
    let pages = room_of(connection)?;
    Ok(Room {
        bytes: pages.pages * pages.page_size,
        free: pages.free * pages.page_size,
    })
}

/// What a look at a database file has found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checkup {
    /// The version of its schema, and the one that this program writes.
    pub schema: usize,
    pub newest: usize,
    /// What is wrong with it, a line each; nothing where it is sound.
    pub findings: Vec<String>,
}

/// Reads the whole file and checks it: its pages, its indexes, and whether what is referred to is there.
///
/// # Errors
///
/// It cannot be read, or is no database.
pub fn check(path: &Path) -> Result<Checkup, StoreError> {
    let connection = read_only(path)?;
    let schema = migrations::version(&connection)?;
    let mut findings = Vec::new();
    for row in connection.all("PRAGMA integrity_check", [])? {
        let line: String = row.get("integrity_check")?;
        findings.extend(Some(line).filter(|line| line != "ok"));
    }
    for row in connection.all("PRAGMA foreign_key_check", [])? {
        findings.push(dangling(&row)?);
    }
    let newest = migrations::NEWEST;
    if schema > newest {
        findings.push(format!(
            "it has schema {schema}, and this healgate knows schemas up to {newest}"
        ));
    }
    connection.close()?;
    Ok(Checkup {
        schema,
        newest,
        findings,
    })
}

fn dangling(row: &Row) -> Result<String, StoreError> {
    let (table, parent): (String, String) = (row.get("table")?, row.get("parent")?);
    let number: Option<i64> = row.get("rowid")?;
    let number = number.map_or_else(String::new, |number| format!(" {number}"));
    Ok(format!(
        "the row{number} of {table} refers to a row of {parent} that is not there"
    ))
}

/// Copies the database as it is at this moment to a new file, for its owner alone, while a gateway writes. Answers with its
/// bytes, which are on the disk then.
///
/// # Errors
///
/// The file is there already, the database cannot be read, or the disk is full; nothing is left behind then.
pub fn backup(path: &Path, file: &Path) -> Result<u64, StoreError> {
    let refused = |what: &str, file: &Path| {
        let what = format!("failed to {what} {}", file.display());
        move |error: io::Error| StoreError::Refused(format!("{what}: {error}"))
    };
    if fs::symlink_metadata(file).is_ok() {
        let taken = io::Error::from(io::ErrorKind::AlreadyExists);
        return Err(refused("write", file)(taken));
    }
    let connection = read_only(path)?;
    let mut unfinished = file.as_os_str().to_owned();
    unfinished.push(".unfinished");
    let unfinished = Unfinished(PathBuf::from(unfinished));
    // SQLite writes into an empty file, and leaves its mode as it is.
    let mut new = OpenOptions::new();
    new.write(true).create_new(true).mode(0o600);
    new.open(&unfinished.0).map_err(refused("create", &unfinished.0))?;
    let name = unfinished.0.to_str().ok_or_else(|| not_text(file))?;
    connection.execute("VACUUM INTO ?1", params![name])?;
    connection.close()?;
    let copy = File::open(&unfinished.0).map_err(refused("open", &unfinished.0))?;
    copy.sync_all().map_err(refused("sync", &unfinished.0))?;
    let bytes = copy.metadata().map_err(refused("read", &unfinished.0))?.len();
    renameat_with(CWD, &unfinished.0, CWD, file, RenameFlags::NOREPLACE)
        .map_err(|error| refused("write", file)(error.into()))?;
    let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty());
    File::open(folder.unwrap_or(Path::new(".")))
        .and_then(|folder| folder.sync_all())
        .map_err(refused("sync the folder of", file))?;
    Ok(bytes)
}

fn not_text(file: &Path) -> StoreError {
    StoreError::Refused(format!("{} is not a name in UTF-8", file.display()))
}

/// A file that is removed again unless it got another name.
struct Unfinished(PathBuf);

impl Drop for Unfinished {
    fn drop(&mut self) {
        // It is not there any more if all went well.
        let _ = fs::remove_file(&self.0);
    }
}

/// How many records are old enough to go; those that something kept refers to are counted too.
///
/// # Errors
///
/// The file cannot be read, or has another schema than this program's.
pub fn count_old(
    path: &Path,
    (jobs, logs): (Timestamp, Timestamp),
    now: Timestamp,
) -> Result<Vec<(Record, u64)>, StoreError> {
    let connection = read_only(path)?;
    let schema = migrations::version(&connection)?;
    if schema != migrations::NEWEST {
        return Err(StoreError::Refused(format!(
            "{} has schema {schema}, and this healgate counts in schema {} alone",
            path.display(),
            migrations::NEWEST
        )));
    }
    let row = connection.one(COUNT_OLD, params![jobs.as_micros(), logs.as_micros(), now.as_micros()])?;
    let counts = Record::ALL.map(|record| Ok((record, count(&row, record.as_str())?)));
    connection.close()?;
    counts.into_iter().collect()
}

fn read_only(path: &Path) -> Result<Connection, StoreError> {
    open::read_only(path).map_err(|error| StoreError::Refused(format!("failed to open {}: {error}", path.display())))
}
