//! Finds the interpreter for a run, and has one started for the next where there is none. Holds no lock while it waits
//! for a process, and does nothing while nothing is asked of it.

use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Instant;

use crate::ansible::warm::freshness::Watch;
use crate::ansible::warm::interpreter::{Interpreter, Unfit};
use crate::ansible::warm::key::Key;
use crate::ansible::warm::shelf::{Found, Shelf};
use crate::ansible::warm::{Limits, Usage, memory};

/// How often an interpreter is started anew when files change while it starts.
const TRIES: u32 = 3;

/// An interpreter that others use too. It is the same only as itself.
#[derive(Clone, Debug)]
pub(super) struct Shared(Arc<Interpreter>);

impl PartialEq for Shared {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl std::ops::Deref for Shared {
    type Target = Interpreter;

    fn deref(&self) -> &Interpreter {
        &self.0
    }
}

/// All interpreters of this process.
#[derive(Debug)]
pub(super) struct Registry {
    limits: Limits,
    /// Each has a directory below.
    root: PathBuf,
    /// The interpreters' program.
    source: PathBuf,
    shelf: Mutex<Shelf<Key, Shared, Watch>>,
    started: AtomicU64,
}

impl Registry {
    pub(super) fn new(limits: Limits, root: PathBuf, source: PathBuf) -> Self {
        Self {
            shelf: Mutex::new(Shelf::new(limits.interpreters, limits.idle, limits.retry)),
            limits,
            root,
            source,
            started: AtomicU64::new(0),
        }
    }

    pub(super) fn limits(&self) -> &Limits {
        &self.limits
    }

    /// The interpreter for a run. The error is a sentence that says why the run starts cold.
    pub(super) fn find(self: &Arc<Self>, key: &Key) -> Result<Shared, String> {
        if memory::available().is_some_and(|bytes| bytes < self.limits.available) {
            return Err(format!(
                "memory is short: less than {} MiB are available",
                self.limits.available >> 20
            ));
        }
        let found = self
            .shelf()
            .look(key, Instant::now(), |watched: &Watch| watched.changed().is_some());
        match found {
            Found::Ready(interpreter) => self.checked(key, interpreter),
            Found::Start { because, evicted } => {
                drop(evicted);
                self.start(key);
                Err(because)
            }
            Found::Cold(because) => Err(because),
        }
    }

    fn checked(self: &Arc<Self>, key: &Key, interpreter: Shared) -> Result<Shared, String> {
        match interpreter.fitness(self.limits.resident) {
            Ok(()) => Ok(interpreter),
            Err(Unfit::Replace(because)) => {
                tracing::info!(because, "a warm interpreter is replaced");
                if self.shelf().replace(key, &interpreter) {
                    self.start(key);
                }
                Err(because)
            }
            Err(Unfit::Useless(because)) => {
                self.give_up(key, &interpreter, &because);
                Err(because)
            }
        }
    }

    /// Ends an interpreter that is of no use. Another one is started after a while, or when one of its files has changed.
    pub(super) fn give_up(&self, key: &Key, interpreter: &Shared, because: &str) {
        tracing::warn!(because, "a warm interpreter is given up");
        let failure = (because.to_owned(), Watch::new(key.files(), ""));
        self.shelf().give_up(key, interpreter, Instant::now(), failure);
    }

    /// Starts one for the place that was made for it, in the background.
    fn start(self: &Arc<Self>, key: &Key) {
        let (registry, wanted) = (Arc::clone(self), key.clone());
        let spawned = thread::Builder::new()
            .name("warm start".to_owned())
            .spawn(move || registry.start_now(&wanted));
        if let Err(error) = spawned {
            self.failed(key, &error.to_string());
        }
    }

    fn start_now(&self, key: &Key) {
        let mut overtaken = String::new();
        for _ in 0..TRIES {
            let number = self.started.fetch_add(1, Ordering::Relaxed);
            let dir = self.root.join(format!("{}-{number}", std::process::id()));
            match Interpreter::start(key, &self.source, &dir, self.limits.ready) {
                Ok(interpreter) => match interpreter.overtaken() {
                    None => {
                        let shared = Shared(Arc::new(interpreter));
                        return self.shelf().ready(key, shared, Instant::now());
                    }
                    Some(because) => overtaken = because,
                },
                Err(because) => return self.failed(key, &because),
            }
        }
        self.failed(key, &overtaken);
    }

    fn failed(&self, key: &Key, why: &str) {
        let because = format!("the warm interpreter could not be started: {why}");
        tracing::warn!("{because}");
        let watched = Watch::new(key.files(), "");
        self.shelf().failed(key, Instant::now(), (because, watched));
    }

    pub(super) fn usage(&self) -> Usage {
        let all = self.shelf().all();
        let alive: Vec<&Shared> = all.iter().filter(|interpreter| interpreter.lives()).collect();
        Usage {
            interpreters: alive.len() as u64,
            memory: alive.iter().map(|interpreter| interpreter.resident()).sum(),
        }
    }

    fn shelf(&self) -> MutexGuard<'_, Shelf<Key, Shared, Watch>> {
        self.shelf.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
