//! Starts runs from Python processes that have imported Ansible already. Only ever a shorter way to the same run: what
//! cannot start warm starts cold, and the reason is told. Never decides whether a run may begin; its host does.

mod freshness;
mod interpreter;
mod key;
mod memory;
mod registry;
pub(super) mod request;
mod script;
mod shelf;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use crate::ansible::command::Environment;
use crate::ansible::host::play::reset_ignored_signals;
use crate::ansible::rundir::{Order, RunDir, RunState, named};
use crate::ansible::warm::interpreter::Interpreter;
use crate::ansible::warm::key::Key;
use crate::ansible::warm::registry::Registry;
use crate::ansible::warm::request::{Heard, Line};
use crate::domain::attempt::Start;

pub(super) use script::executable;

const SWITCHED_OFF: &str = "warm starts are switched off (ansible.warm: never)";

/// What warm starts may take.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Interpreters at once.
    pub interpreters: usize,
    /// One that was not used for so long may make room for another.
    pub idle: Duration,
    /// One that could not be started is not tried again for so long.
    pub retry: Duration,
    /// How long one may take to get ready.
    pub ready: Duration,
    /// How long a run's host may take to say how the run starts.
    pub answer: Duration,
    /// No interpreter is started or used with less memory available on the machine, in bytes.
    pub available: u64,
    /// One that has become larger is replaced, in bytes.
    pub resident: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            interpreters: 4,
            idle: Duration::from_secs(600),
            retry: Duration::from_secs(60),
            ready: Duration::from_secs(60),
            answer: Duration::from_secs(10),
            available: 256 << 20,
            resident: 512 << 20,
        }
    }
}

/// What the interpreters take now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    pub interpreters: u64,
    /// Their resident memory, in bytes.
    pub memory: u64,
}

/// Warm starts, or the lack of them.
#[derive(Clone, Debug)]
pub(super) struct Warm {
    /// Nothing where they are switched off.
    registry: Option<Arc<Registry>>,
    /// The binary that has `run-host`, by a name that means the same to every process.
    host: PathBuf,
}

/// How often a folder is removed again because something was put into it meanwhile.
const CLEARED: u32 = 1_000;

/// What came of an attempt to start a run warm.
#[derive(Debug)]
pub(super) enum Attempted {
    /// A host has the run. It may have started it cold; nothing is known if it ended without a word.
    Begun(Line, Option<Start>),
    /// No host knows of the run.
    Cold(String),
    /// A host that comes late will find that it is not wanted, and so would any other: the directory is spent.
    Spent(String),
}

impl Warm {
    /// Without limits warm starts are switched off. `source` is the interpreter's program.
    pub(super) fn new(limits: Option<Limits>, data_dir: &Path, source: PathBuf, healgate: &Path) -> io::Result<Self> {
        let root = data_dir.join("warm");
        // Of an earlier gateway: its interpreters end with it.
        clear(&root).map_err(|error| named("remove", &root, &error))?;
        if limits.is_some() {
            // What this process ignores, interpreters and their plays would ignore too.
            reset_ignored_signals()?;
        }
        Ok(Self {
            registry: limits.map(|limits| Arc::new(Registry::new(limits, root, source))),
            host: for_everybody(healgate),
        })
    }

    /// Has a warm interpreter start the run's host, if there is one that fits. Blocks until the host has told how the
    /// run starts.
    pub(super) fn start(&self, run: &RunDir, order: &Order) -> Attempted {
        let Some(registry) = &self.registry else {
            return Attempted::Cold(SWITCHED_OFF.to_owned());
        };
        let command = order.argv.first().map_or("", String::as_str);
        // Its host will say why it cannot begin without them.
        let env = order.secrets.resolve(&order.env).map_err(|error| error.to_string());
        let found = env
            .and_then(|(env, _)| Key::of(command, &env, &order.cwd))
            .and_then(|key| Ok((registry.find(&key)?, key)));
        let (interpreter, key) = match found {
            Ok(found) => found,
            Err(because) => return Attempted::Cold(because),
        };
        let attempted = match interpreter.request(&self.host, run.path(), &order.ticket) {
            Ok(line) => attempt(run, line, registry.limits().answer),
            Err(error) => Attempted::Cold(format!("the warm interpreter takes no runs: {error}")),
        };
        match attempted.failure() {
            // Whatever it was, it may well be the same with the next run.
            Some(because) => registry.give_up(&key, &interpreter, because),
            None => interpreter.has_served(),
        }
        attempted
    }

    /// Starts an interpreter in the background for runs with that environment, if there is none and there is room.
    pub(super) fn prepare_for(&self, command: &str, env: &Environment, cwd: &Path) {
        let Some(registry) = &self.registry else { return };
        // A run of it says why it could not start warm.
        if let Ok(key) = Key::of(command, env, cwd) {
            let _ = registry.find(&key);
        }
    }

    pub(super) fn usage(&self) -> Usage {
        self.registry
            .as_ref()
            .map_or_else(Usage::default, |registry| registry.usage())
    }
}

impl Attempted {
    /// Why an interpreter did not do what it is there for.
    fn failure(&self) -> Option<&str> {
        match self {
            Self::Begun(_, Some(start)) => start.cold_because(),
            Self::Begun(_, None) => Some("the run's host did not tell how it started"),
            Self::Cold(because) | Self::Spent(because) => Some(because),
        }
    }
}

/// Starts one interpreter as for runs of that command, and ends it. `source` is its program, `dir` a folder to be made for it.
/// The error is a sentence.
pub(super) fn try_out(
    command: &str,
    env: &Environment,
    cwd: &Path,
    (source, dir): (&Path, &Path),
) -> Result<(), String> {
    let key = Key::of(command, env, cwd)?;
    Interpreter::start(&key, source, dir, Limits::default().ready).map(drop)
}

/// Waits until it is known how the run starts.
fn attempt(run: &RunDir, mut line: Line, patience: Duration) -> Attempted {
    match line.first(patience) {
        Heard::Start(start) => Attempted::Begun(line, Some(start)),
        Heard::Refused(because) => settle(run, line, because),
        Heard::Nothing => {
            let patience = patience.as_secs_f32();
            let because = format!("the warm interpreter did not answer within {patience} s");
            settle(run, line, because)
        }
        Heard::End => {
            // The host closes the line by ending, and a moment later its lock is free.
            let _ = run.wait_for_host();
            settle(run, line, "the warm interpreter ended before the run began".to_owned())
        }
    }
}

/// Nobody said how the run starts; its directory tells whether a host has it.
fn settle(run: &RunDir, line: Line, because: String) -> Attempted {
    match run.state() {
        Ok(RunState::NeverStarted) => Attempted::Spent(because),
        Ok(RunState::Live | RunState::Ended(_) | RunState::Vanished) => Attempted::Begun(line, None),
        Err(error) => {
            tracing::warn!(%error, "failed to look what became of a warm start");
            Attempted::Begun(line, None)
        }
    }
}

/// The same file for other processes: theirs is another `/proc/self`.
fn for_everybody(path: &Path) -> PathBuf {
    match path.strip_prefix("/proc/self") {
        Ok(rest) => Path::new("/proc").join(std::process::id().to_string()).join(rest),
        Err(_) => path.to_path_buf(),
    }
}

/// Removes a folder in which an interpreter may still write, which learns just now that its gateway was killed.
fn clear(folder: &Path) -> io::Result<()> {
    let mut left = CLEARED;
    loop {
        match fs::remove_dir_all(folder) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) if error.kind() == io::ErrorKind::DirectoryNotEmpty && left > 0 => left -= 1,
            done => return done,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_removed_while_somebody_still_writes_in_it() {
        let folder = tempfile::tempdir().unwrap();
        let warm = folder.path().join("warm");
        fs::create_dir_all(&warm).unwrap();
        let writer = std::thread::spawn({
            let warm = warm.clone();
            move || {
                (0..20_000)
                    .take_while(|n| fs::write(warm.join(n.to_string()), "").is_ok())
                    .count()
            }
        });
        clear(&warm).unwrap();
        writer.join().unwrap();
        assert!(!warm.exists());
        clear(&warm).unwrap();
    }

    #[test]
    fn a_path_of_this_process_is_one_for_others_too() {
        let own = std::process::id();
        assert_eq!(
            for_everybody("/proc/self/exe".as_ref()),
            PathBuf::from(format!("/proc/{own}/exe"))
        );
        assert_eq!(for_everybody("/usr/bin/x".as_ref()), PathBuf::from("/usr/bin/x"));
    }
}
