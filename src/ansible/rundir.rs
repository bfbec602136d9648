//! A run's directory: all that passes between the gateway and a run passes through it, so that either may die and the
//! other knows where it stands. Starts nothing and stops nothing.
//!
//! | file | written by | means |
//! |---|---|---|
//! | `run.json`, `vars.yml`, `limit` | gateway | what to start; `limit` only where it is too long for an argument |
//! | `host.lock` | host | flocked for as long as the host lives |
//! | `started.json` | host, holding the lock | from here on the playbook may have begun; warm or cold, and why |
//! | `output.log`, `events.jsonl` | host, callback plugin | what happens |
//! | `stop.json` | gateway | end the run |
//! | `status.json` | host, once | how it ended; everything else is complete |
//! | `guard.json` | guard, holding the lock | what it had to kill after the host was killed |
//! | `abandoned` | gateway, holding the lock | a host that comes late must not begin |

mod files;
mod list;
mod start;
mod state;

use std::fs::{self, DirBuilder, File};
use std::io;
use std::os::unix::fs::{DirBuilderExt, FileExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::ansible::command::Environment;
use crate::ansible::secrets::SecretFiles;
use crate::domain::attempt::Start;
use crate::domain::ids::JobId;
use crate::domain::timestamp::Timestamp;

use files::STOP_BYTES;
pub(crate) use files::{
    READ_AT_MOST, Reserved, STATUS_BYTES, lock_file, mark, read_json, try_lock, wait_for_lock, write_atomically,
    write_new,
};
pub(crate) use list::names;
pub use state::RunState;

/// All run directories: `<data_dir>/runs/<job>/<attempt>`.
#[derive(Clone, Debug)]
pub struct Runs {
    root: PathBuf,
}

/// What a new run directory says.
#[derive(Clone, Debug)]
pub struct RunSpec {
    pub job: JobId,
    pub attempt: u32,
    pub argv: Vec<String>,
    pub env: Environment,
    /// Read when the run begins.
    pub secrets: SecretFiles,
    pub cwd: PathBuf,
    /// The content of `vars.yml`.
    pub vars: Vec<u8>,
    /// The content of `limit`, where the command line names that file.
    pub limit: Option<Vec<u8>>,
    pub time_limit: Duration,
    /// How long a stopped run may take to end by itself.
    pub grace: Duration,
    /// The log keeps its beginning and its end when it grows beyond so many bytes.
    pub log_cap: u64,
    /// Where ssh's control sockets are.
    pub sockets: PathBuf,
}

/// The content of `run.json`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Order {
    /// Ties a host to this directory: one that was started for an earlier directory of the same name must not begin.
    pub(crate) ticket: String,
    pub(crate) marker: String,
    pub(crate) argv: Vec<String>,
    pub(crate) env: Environment,
    #[serde(flatten)]
    pub(crate) secrets: SecretFiles,
    pub(crate) cwd: PathBuf,
    pub(crate) time_limit: Duration,
    pub(crate) grace: Duration,
    pub(crate) log_cap: u64,
    pub(crate) sockets: PathBuf,
}

/// One run's directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunDir {
    path: PathBuf,
}

/// Why somebody wants a run to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StopKind {
    Cancel,
    /// The alert resolved.
    Resolved,
    Shutdown,
    TimeLimit,
}

impl StopKind {
    /// As status.json and the log write it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Cancel => "cancel",
            Self::Resolved => "alert resolved",
            Self::Shutdown => "shutdown",
            Self::TimeLimit => "time limit",
        }
    }
}

/// That a run must end: who wants it, why and since when. The content of `stop.json`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stop {
    pub by: String,
    pub kind: StopKind,
    pub at: Timestamp,
}

/// How `ansible-playbook` ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "how", rename_all = "snake_case")]
pub enum How {
    Exited {
        code: i32,
    },
    Signaled {
        signal: i32,
    },
    /// It could not be started; the message names the command.
    StartFailed {
        message: String,
    },
    /// It was stopped before it was started.
    NotStarted,
}

/// A process that did not end by itself when it should.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Killed {
    pub pid: i32,
    pub name: String,
}

/// How a run ended. The content of `status.json`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    #[serde(flatten)]
    pub how: How,
    pub stopped: Option<Stop>,
    pub started_at: Timestamp,
    pub finished_at: Timestamp,
    /// How long it took, by a clock that never steps; nothing if it never began or an older host wrote this.
    #[serde(default)]
    pub took: Option<Duration>,
    pub log_bytes: u64,
    pub log_truncated: bool,
    /// Bytes that could not be written, because the disk was full.
    #[serde(default)]
    pub log_lost: u64,
    /// What had to be killed.
    #[serde(default)]
    pub killed: Vec<Killed>,
    /// How it started; nothing if it never did.
    #[serde(flatten)]
    pub start: Option<Start>,
}

impl Runs {
    /// The run directories below that folder, which need not exist yet.
    pub fn new(data_dir: &Path) -> Self {
        Self {
            root: data_dir.join("runs"),
        }
    }

    /// Where the directory of that run is or would be.
    pub fn path(&self, job: JobId, attempt: u32) -> PathBuf {
        self.root.join(job.to_string()).join(attempt.to_string())
    }

    /// The directory of that run, whether it exists or not.
    pub fn open(&self, job: JobId, attempt: u32) -> RunDir {
        RunDir {
            path: self.path(job, attempt),
        }
    }

    /// Makes the directory with all that a host needs, on disk when this returns. An older directory of the same name
    /// is replaced if no host lives in it.
    pub fn create(&self, spec: &RunSpec) -> io::Result<RunDir> {
        let run = self.open(spec.job, spec.attempt);
        run.clear()?;
        let job_dir = run.path.parent().unwrap_or(&self.root).to_path_buf();
        let mut builder = DirBuilder::new();
        builder.recursive(true).mode(0o700);
        // The second time, as the job's directory may be removed with its last attempt just now.
        builder
            .create(&run.path)
            .or_else(|_| builder.create(&run.path))
            .map_err(|error| named("create", &run.path, &error))?;
        if let Err(error) = run.fill(spec) {
            let _ = fs::remove_dir_all(&spec.sockets);
            let _ = run.remove();
            return Err(error);
        }
        for dir in [&run.path, &job_dir, &self.root] {
            files::sync_dir(dir)?;
        }
        Ok(run)
    }
}

impl RunDir {
    /// Whatever lies at that path.
    pub(crate) fn at(path: &Path) -> Self {
        Self {
            path: path.to_path_buf(),
        }
    }

    /// The directory.
    pub fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    fn fill(&self, spec: &RunSpec) -> io::Result<()> {
        let mut builder = DirBuilder::new();
        builder.recursive(true).mode(0o700);
        let tmp = self.file("tmp");
        builder.create(&tmp).map_err(|error| named("create", &tmp, &error))?;
        let order = Order {
            ticket: files::ticket()?,
            marker: format!("{}/{}", spec.job, spec.attempt),
            argv: spec.argv.clone(),
            env: spec.env.clone(),
            secrets: spec.secrets.clone(),
            cwd: spec.cwd.clone(),
            time_limit: spec.time_limit,
            grace: spec.grace,
            log_cap: spec.log_cap,
            sockets: spec.sockets.clone(),
        };
        write_new(&self.file("vars.yml"), &spec.vars)?;
        if let Some(limit) = &spec.limit {
            write_new(&self.file("limit"), limit)?;
        }
        Reserved::reserve(&self.path, "stop.json", STOP_BYTES)?;
        write_new(&self.file("run.json"), &serde_json::to_vec(&order)?)?;
        // After run.json, which is how a later start knows of it. Made anew, as it may lie where anybody can make
        // directories.
        builder.recursive(false);
        builder
            .create(&spec.sockets)
            .map_err(|error| named("create", &spec.sockets, &error))?;
        lock_file(&self.path)?;
        Ok(())
    }

    /// Removes what an earlier claim left here; an error if a host lives in it.
    fn clear(&self) -> io::Result<()> {
        if !self.path.exists() {
            return Ok(());
        }
        if matches!(self.state()?, RunState::Live) {
            let message = format!("a run still lives in {}", self.path.display());
            return Err(io::Error::new(io::ErrorKind::AlreadyExists, message));
        }
        self.remove()
    }

    pub(crate) fn order(&self) -> io::Result<Order> {
        let path = self.file("run.json");
        let bytes = fs::read(&path).map_err(|error| named("read", &path, &error))?;
        Ok(serde_json::from_slice(&bytes)?)
    }

    /// Asks the host to end the run. It sees the request at once; one that is made before the run begins keeps it from
    /// beginning. A second request changes nothing.
    pub fn request_stop(&self, stop: &Stop) -> io::Result<()> {
        if self.file("stop.json").exists() {
            return Ok(());
        }
        Reserved::open(&self.path, "stop.json")?.publish(&serde_json::to_vec(stop)?)
    }

    /// The request to end the run, if there is one.
    pub fn stop_requested(&self) -> io::Result<Option<Stop>> {
        read_json(&self.file("stop.json"))
    }

    /// How the run ended, once it has.
    pub fn status(&self) -> io::Result<Option<Status>> {
        read_json(&self.file("status.json"))
    }

    /// Bytes of the log from `offset` on, at most `max`; empty when there are no more yet.
    pub fn read_output(&self, offset: u64, max: usize) -> io::Result<Vec<u8>> {
        read_at(&self.file("output.log"), offset, max)
    }

    /// Bytes of the events' file from `offset` on, at most `max`.
    pub(crate) fn read_events(&self, offset: u64, max: usize) -> io::Result<Vec<u8>> {
        read_at(&self.file("events.jsonl"), offset, max)
    }

    /// The last bytes of the log, at most `max`: what to judge an ending from.
    pub fn output_tail(&self, max: usize) -> io::Result<Vec<u8>> {
        let length = match fs::metadata(self.file("output.log")) {
            Ok(metadata) => metadata.len(),
            Err(error) if error.kind() == io::ErrorKind::NotFound => 0,
            Err(error) => return Err(error),
        };
        self.read_output(length.saturating_sub(max as u64), max)
    }

    /// What the host said when it could not begin, for a run that never started.
    pub fn host_error(&self) -> Option<String> {
        let said = fs::read_to_string(self.file("host.log")).ok()?;
        let last = said.lines().next_back()?.trim();
        (!last.is_empty()).then(|| last.to_owned())
    }

    /// Takes the lock, if that is possible; a host that holds it is on its way out and is not waited for.
    fn lock_out(&self) -> Option<File> {
        let lock = self.path.exists().then(|| lock_file(&self.path).ok()).flatten()?;
        try_lock(&lock).ok()?;
        Some(lock)
    }

    /// Removes the directory with everything in it, and that of its job if it was the last one.
    pub fn remove(&self) -> io::Result<()> {
        // Held until nothing is left: a host that comes late must not find the directory without its `abandoned`.
        let _lock = self.lock_out();
        if let Ok(order) = self.order() {
            // Nothing but sockets is in it, and most often it lies inside.
            let _ = fs::remove_dir_all(&order.sockets);
        }
        for name in ["run.json", "host.lock"] {
            // Without these two nothing can begin here, should the rest outlive us.
            let _ = fs::remove_file(self.file(name));
        }
        match fs::remove_dir_all(&self.path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(named("remove", &self.path, &error)),
            _ => {}
        }
        if let Some(job) = self.path.parent() {
            // Other attempts may lie there.
            let _ = fs::remove_dir(job);
        }
        Ok(())
    }
}

fn read_at(path: &Path, offset: u64, max: usize) -> io::Result<Vec<u8>> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let left = file.metadata()?.len().saturating_sub(offset);
    let mut bytes = vec![0; max.min(usize::try_from(left).unwrap_or(usize::MAX))];
    let mut filled = 0;
    while filled < bytes.len() {
        match file.read_at(&mut bytes[filled..], offset + filled as u64)? {
            0 => break,
            read => filled += read,
        }
    }
    bytes.truncate(filled);
    Ok(bytes)
}

/// The error with what was being done to which file, as it is shown to people.
pub(crate) fn named(doing: &str, path: &Path, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("cannot {doing} {}: {error}", path.display()))
}
