//! Ends what a run left behind whose host was killed: the play gets a signal from the kernel, what its workers began
//! does not. Found by the marks that every process of a run carries.

use std::collections::HashSet;
use std::io;
use std::time::{Duration, Instant};

use crate::ansible::events::{EventReader, Progress};
use crate::ansible::host::masters::Masters;
use crate::ansible::host::stop::kill_until_gone;
use crate::ansible::host::tree::{Mark, Process, processes};
use crate::ansible::host::wakes::pause;
use crate::ansible::rundir::{Killed, RunDir, lock_file, read_json, try_lock};

/// How often to look whether a guard is done.
const LOOK: Duration = Duration::from_millis(10);

impl RunDir {
    /// Ends all that unfinished tasks of a vanished run began, and Ansible itself; its guard may have done so already, or
    /// do so now. Answers with what was killed, by either. Returns when none of it lives, or after `patience`, twice
    /// where there is a guard. Blocks its thread.
    pub fn end_leftovers(&self, patience: Duration) -> io::Result<Vec<Killed>> {
        let lock = lock_file(self.path())?;
        let give_up = Instant::now() + patience;
        while !try_lock(&lock)? && Instant::now() < give_up {
            pause(LOOK);
        }
        let mut killed: Vec<Killed> = read_json(&self.file("guard.json"))?.unwrap_or_default();
        killed.extend(self.kill_leftovers(patience)?);
        Ok(killed)
    }

    /// The same, for whoever holds the run's lock.
    pub(in crate::ansible) fn kill_leftovers(&self, patience: Duration) -> io::Result<Vec<Killed>> {
        let order = self.order()?;
        let masters = Masters::of(&order.sockets);
        let (mut events, mut progress) = (EventReader::default(), Progress::default());
        while events.follow(self, &mut progress)? {}
        Ok(kill_until_gone(patience, || {
            leftovers(&order.marker, &masters, &progress)
        }))
    }
}

/// What carries this run's mark, and ssh's masters, with everything below it. A process that cleared its environment and
/// lost its parent is not known as ours any more: without a host, time says nothing about a process.
fn leftovers(marker: &str, masters: &Masters, progress: &Progress) -> Vec<Process> {
    let all = processes();
    let is_ours = |process: &Process| {
        let mark = Mark::of(process.pid);
        mark.run.as_deref() == Some(marker) && mark.task.is_none_or(|number| progress.is_open(number))
            || masters.has(process.pid)
    };
    let mut doomed: HashSet<i32> = all
        .iter()
        .filter(|process| is_ours(process))
        .map(|process| process.pid)
        .collect();
    // As often as there are generations.
    loop {
        let known = doomed.len();
        let below = all.iter().filter(|process| doomed.contains(&process.parent));
        let below: Vec<i32> = below.map(|process| process.pid).collect();
        doomed.extend(below);
        if doomed.len() == known {
            break;
        }
    }
    all.into_iter()
        .filter(|process| !process.zombie && doomed.contains(&process.pid))
        .collect()
}
