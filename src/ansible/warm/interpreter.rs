//! One resident Python that has imported Ansible. Ends with the value, and by itself when this process is gone.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use rustix::net::sockopt::{Timeout, set_socket_timeout};
use rustix::net::{AddressFamily, RecvFlags, SocketFlags, SocketType, recv, socketpair};
use serde::Deserialize;

use crate::ansible::rundir::named;
use crate::ansible::warm::freshness::{Watch, now};
use crate::ansible::warm::key::Key;
use crate::ansible::warm::memory;
use crate::ansible::warm::request::{Line, Request, send_with};
use crate::stamp::Moment;

/// How long an interpreter may be too busy to take a packet.
const BUSY: Duration = Duration::from_secs(5);

/// The process.
#[derive(Debug)]
pub(super) struct Interpreter {
    child: Mutex<Child>,
    pid: u32,
    control: OwnedFd,
    dir: PathBuf,
    watch: Watch,
    /// What was known to count before it was started, as it was then.
    before: Watch,
    begun: Moment,
    served: AtomicBool,
}

/// Why an interpreter must not be used any more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Unfit {
    /// Another one will do: a sentence.
    Replace(String),
    /// Another one would most likely do no better.
    Useless(String),
}

/// The first thing that it says.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Hello {
    Ready {
        ready: bool,
        ansible: String,
        python: String,
    },
    Error {
        error: String,
    },
}

impl Interpreter {
    /// Starts one in a directory of its own, and waits until it is ready. The error is a sentence.
    pub(super) fn start(key: &Key, source: &Path, dir: &Path, patience: Duration) -> Result<Self, String> {
        let (begun, before) = (now(), Watch::new(key.files(), ""));
        let (control, theirs) = control().map_err(|error| error.to_string())?;
        let child = spawn(key, source, dir, theirs).map_err(|error| {
            let _ = fs::remove_dir_all(dir);
            error.to_string()
        })?;
        let mut interpreter = Self {
            pid: child.id(),
            child: Mutex::new(child),
            control,
            dir: dir.to_path_buf(),
            watch: Watch::default(),
            before,
            begun,
            served: AtomicBool::new(false),
        };
        interpreter.wait_until_ready(patience)?;
        let list = fs::read_to_string(dir.join("watch")).map_err(|error| error.to_string())?;
        interpreter.watch = Watch::new(key.files(), &list);
        Ok(interpreter)
    }

    fn wait_until_ready(&self, patience: Duration) -> Result<(), String> {
        let wait = || -> io::Result<Vec<u8>> {
            set_socket_timeout(&self.control, Timeout::Recv, Some(patience))?;
            set_socket_timeout(&self.control, Timeout::Send, Some(BUSY))?;
            let mut buffer = vec![0; 64 << 10];
            let (read, _) = recv(&self.control, &mut buffer[..], RecvFlags::empty())?;
            buffer.truncate(read);
            Ok(buffer)
        };
        let said = match wait() {
            Ok(said) => said,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                return Err(format!("it was not ready within {} s", patience.as_secs()));
            }
            Err(_) => Vec::new(),
        };
        match serde_json::from_slice(&said) {
            Ok(Hello::Ready {
                ready: true,
                ansible,
                python,
            }) => {
                tracing::info!(pid = self.pid, ansible, python, "a warm interpreter is ready");
                Ok(())
            }
            Ok(Hello::Error { error }) => Err(error),
            Ok(Hello::Ready { .. }) | Err(_) => Err(self.last_words()),
        }
    }

    /// What it left in its log when it ended.
    fn last_words(&self) -> String {
        let log = fs::read_to_string(self.dir.join("log")).unwrap_or_default();
        let last = log.lines().next_back().map(str::trim).filter(|line| !line.is_empty());
        last.map_or_else(|| "it ended without a word".to_owned(), str::to_owned)
    }

    /// A file that was changed while it may have been reading it.
    pub(super) fn overtaken(&self) -> Option<String> {
        let known = self.before.changed();
        known.or_else(|| self.watch.touched_since(self.begun))
    }

    /// Whether the next run would be the same as a cold one.
    pub(super) fn fitness(&self, most_resident: u64) -> Result<(), Unfit> {
        if !self.lives() {
            let because = "the warm interpreter has died".to_owned();
            return Err(if self.served.load(Ordering::Relaxed) {
                Unfit::Replace(because)
            } else {
                Unfit::Useless(because)
            });
        }
        if let Some(because) = self.watch.changed() {
            return Err(Unfit::Replace(because));
        }
        if self.resident() > most_resident {
            let most = most_resident >> 20;
            return Err(Unfit::Replace(format!(
                "the warm interpreter has grown beyond {most} MiB"
            )));
        }
        Ok(())
    }

    pub(super) fn lives(&self) -> bool {
        let mut child = self.child.lock().unwrap_or_else(PoisonError::into_inner);
        matches!(child.try_wait(), Ok(None))
    }

    pub(super) fn resident(&self) -> u64 {
        memory::resident(self.pid)
    }

    /// It has brought a run to its start.
    pub(super) fn has_served(&self) {
        self.served.store(true, Ordering::Relaxed);
    }

    /// Asks it to fork a run host for that directory. After an error there will be none.
    pub(super) fn request(&self, host: &Path, dir: &Path, ticket: &str) -> io::Result<Line> {
        let not_text = || io::Error::other("a path that is not text");
        let packet = serde_json::to_vec(&Request {
            host: host.to_str().ok_or_else(not_text)?,
            ticket,
            dir: dir.to_str().ok_or_else(not_text)?,
        })?;
        let (ours, theirs) = UnixStream::pair()?;
        // Packets are whole or not sent at all.
        send_with(&self.control, &packet, theirs.as_fd())?;
        Ok(Line::new(ours))
    }
}

impl Drop for Interpreter {
    /// Nothing waits in it: whoever asks it for a run keeps it until that run has started.
    fn drop(&mut self) {
        let child = self.child.get_mut().unwrap_or_else(PoisonError::into_inner);
        let _ = child.kill();
        let _ = child.wait();
        let _ = fs::remove_dir_all(&self.dir);
    }
}

/// Our end and the interpreter's.
fn control() -> io::Result<(OwnedFd, OwnedFd)> {
    Ok(socketpair(
        AddressFamily::UNIX,
        SocketType::SEQPACKET,
        SocketFlags::CLOEXEC,
        None,
    )?)
}

#[expect(clippy::disallowed_methods, reason = "the door to warm interpreters")]
fn spawn(key: &Key, source: &Path, dir: &Path, control: OwnedFd) -> io::Result<Child> {
    let (tmp, sockets) = (dir.join("tmp"), dir.join("cp"));
    let mut builder = DirBuilder::new();
    builder.recursive(true).mode(0o700);
    for folder in [dir, &tmp, &sockets] {
        builder
            .create(folder)
            .map_err(|error| named("create", folder, &error))?;
    }
    let (python, flags) = key
        .script
        .python
        .split_first()
        .ok_or_else(|| io::Error::other("the script names no Python"))?;
    Command::new(python)
        .args(flags)
        .arg(source)
        .arg(&key.script.path)
        .arg(dir.join("watch"))
        .env_clear()
        .envs(&key.env)
        .env("ANSIBLE_LOCAL_TEMP", tmp)
        .env("ANSIBLE_SSH_CONTROL_PATH_DIR", sockets)
        .current_dir(&key.cwd)
        .stdin(Stdio::from(control))
        .stdout(Stdio::null())
        .stderr(Stdio::from(log(dir)?))
        // No signal from the gateway's terminal reaches it; the gateway's end does.
        .process_group(0)
        .spawn()
        .map_err(|error| named("start", python.as_ref(), &error))
}

fn log(dir: &Path) -> io::Result<File> {
    let path = dir.join("log");
    let mut options = OpenOptions::new();
    options.append(true).create(true).mode(0o600);
    options.open(&path).map_err(|error| named("open", &path, &error))
}
