//! The files of a run directory: written so that a reader sees all or nothing, and that they outlive a power cut.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};
use serde::de::DeserializeOwned;

use crate::ansible::rundir::named;

/// How much of a file is read at once.
pub(crate) const READ_AT_MOST: usize = 1 << 20;

/// Space for `status.json`, so that a full disk cannot swallow how a run ended.
pub(crate) const STATUS_BYTES: usize = 16 << 10;

/// Space for `stop.json`, so that a run can be stopped that fills the disk.
pub(super) const STOP_BYTES: usize = 4 << 10;

/// A random name for one directory.
pub(super) fn ticket() -> io::Result<String> {
    let mut bytes = [0; 8];
    getrandom::fill(&mut bytes).map_err(io::Error::other)?;
    Ok(hex::encode(bytes))
}

/// Makes the directory's entries durable.
pub(super) fn sync_dir(dir: &Path) -> io::Result<()> {
    let sync = || File::open(dir)?.sync_all();
    sync().map_err(|error| named("sync", dir, &error))
}

/// Writes a file that only its owner may read, and syncs it.
pub(crate) fn write_new(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let write = || {
        let mut file = private().truncate(true).open(path)?;
        file.write_all(bytes)?;
        file.sync_all()
    };
    write().map_err(|error| named("write", path, &error))
}

/// Writes a file so that it is there as a whole or not at all, also after a power cut.
pub(crate) fn write_atomically(dir: &Path, name: &str, bytes: &[u8]) -> io::Result<()> {
    let temporary = temporary(dir, name);
    write_new(&temporary, bytes)?;
    publish(&temporary, dir, name)
}

/// Makes a file whose being there is what counts: durable, but perhaps without its content.
pub(crate) fn mark(dir: &Path, name: &str, bytes: &[u8]) -> io::Result<()> {
    let path = dir.join(name);
    let write = || private().open(&path)?.write_all(bytes);
    write().map_err(|error| named("write", &path, &error))?;
    sync_dir(dir)
}

fn publish(temporary: &Path, dir: &Path, name: &str) -> io::Result<()> {
    let path = dir.join(name);
    fs::rename(temporary, &path).map_err(|error| named("write", &path, &error))?;
    sync_dir(dir)
}

/// What the file says, or nothing if there is no such file.
pub(crate) fn read_json<T: DeserializeOwned>(path: &Path) -> io::Result<Option<T>> {
    match fs::read(path) {
        Ok(bytes) => serde_json::from_slice(&bytes)
            .map(Some)
            .map_err(|error| named("read", path, &error.into())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(named("read", path, &error)),
    }
}

/// Opens the file whose lock says that a host lives. Closed on exec, so that no playbook inherits the lock.
pub(crate) fn lock_file(dir: &Path) -> io::Result<File> {
    let path = dir.join("host.lock");
    private()
        .read(true)
        .open(&path)
        .map_err(|error| named("open", &path, &error))
}

/// Whether the lock could be taken; it is held until the file is closed.
pub(crate) fn try_lock(file: &File) -> io::Result<bool> {
    match flock(file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(true),
        Err(rustix::io::Errno::WOULDBLOCK) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// Blocks its thread until the lock could be taken; it is held until the file is closed.
pub(crate) fn wait_for_lock(file: &File, lock: FlockOperation) -> io::Result<()> {
    loop {
        match flock(file, lock) {
            Err(rustix::io::Errno::INTR) => {}
            other => return Ok(other?),
        }
    }
}

fn private() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(false).mode(0o600);
    options
}

/// A file to be, with its space already taken from the disk.
#[derive(Debug)]
pub(crate) struct Reserved {
    file: File,
    temporary: PathBuf,
    dir: PathBuf,
    name: &'static str,
}

impl Reserved {
    pub(crate) fn reserve(dir: &Path, name: &'static str, size: usize) -> io::Result<Self> {
        let reserved = Self::open(dir, name)?;
        // Not synced: it need not outlive anything yet.
        let filled = reserved.file.write_all_at(&vec![b' '; size], 0);
        filled.map_err(|error| named("write", &reserved.temporary, &error))?;
        Ok(reserved)
    }

    /// One that was reserved earlier, perhaps by another process; without its space where it was not.
    pub(super) fn open(dir: &Path, name: &'static str) -> io::Result<Self> {
        let temporary = temporary(dir, name);
        let file = private().open(&temporary);
        Ok(Self {
            file: file.map_err(|error| named("open", &temporary, &error))?,
            temporary,
            dir: dir.to_path_buf(),
            name,
        })
    }

    /// May be tried again after an error.
    pub(crate) fn publish(&self, bytes: &[u8]) -> io::Result<()> {
        let write = || {
            self.file.write_all_at(bytes, 0)?;
            self.file.set_len(bytes.len() as u64)?;
            self.file.sync_all()
        };
        write().map_err(|error| named("write", &self.temporary, &error))?;
        publish(&self.temporary, &self.dir, self.name)
    }
}

fn temporary(dir: &Path, name: &str) -> PathBuf {
    dir.join(format!("{name}.tmp"))
}
