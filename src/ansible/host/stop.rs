//! Ends a run: Ansible first and politely, then all that its unfinished tasks began. Spares what ended tasks left.

use std::collections::{BTreeMap, HashSet};
use std::time::{Duration, Instant};

use rustix::process::{
    Pid, PidfdFlags, Signal, getpgrp, kill_process, kill_process_group, pidfd_open, pidfd_send_signal,
};

use crate::ansible::events::{EventReader, Progress};
use crate::ansible::host::tree::{Doomed, Identity, Process};
use crate::ansible::host::wakes::pause;
use crate::ansible::rundir::{Killed, Order, RunDir, Stop};

/// How often to look while there is still time, and when there is none.
const CALM: Duration = Duration::from_millis(100);
const QUICK: Duration = Duration::from_millis(10);

/// How often Ansible is interrupted while it is still starting: Python swallows what comes amid some imports, and there is
/// no clean-up yet that could be disturbed.
const NUDGE: Duration = Duration::from_secs(1);

/// Between the last request and the end of all requests.
const LAST_CHANCE: Duration = Duration::from_secs(1);

/// How long to run after processes that flee by forking before everything is looked at again, and how many looks in a
/// row must find none: the kernel's list of children may miss one while others end.
const CHASE: Duration = Duration::from_millis(10);
const EMPTY_LOOKS: u32 = 3;

/// How long what was killed may take to be gone.
const REMAINS_PATIENCE: Duration = Duration::from_secs(5);

/// More would not fit into the status.
const MOST_NAMED: usize = 100;

/// A stop under way.
#[derive(Debug)]
pub(super) struct Stopping {
    stop: Stop,
    play: Pid,
    doomed: Doomed,
    events: EventReader,
    progress: Progress,
    /// When Ansible is interrupted once more, should it have swallowed the first time.
    remind_at: Option<Instant>,
    nudge_at: Instant,
    terminate_at: Instant,
    kill_at: Instant,
    terminated: HashSet<Identity>,
    hit: HashSet<Identity>,
    unreachable: HashSet<Identity>,
    killed: Vec<Killed>,
    out_of_reach: Vec<Killed>,
    /// When to look again.
    look_at: Instant,
    /// How often in a row nothing was found alive: one look at /proc is no snapshot.
    empty_looks: u32,
}

/// Kills at once what unfinished tasks began and a play could not end itself, as it was killed or has crashed.
pub(super) fn end_remains(run: &RunDir, mut doomed: Doomed) -> Vec<Killed> {
    let (mut events, mut progress) = (EventReader::default(), Progress::default());
    while events.follow(run, &mut progress).unwrap_or(false) {}
    kill_until_gone(REMAINS_PATIENCE, || doomed.grow(Some(&progress)))
}

/// Kills what `find` finds, again and again, until it finds nothing or `patience` is over. Blocks its thread.
pub(crate) fn kill_until_gone(patience: Duration, mut find: impl FnMut() -> Vec<Process>) -> Vec<Killed> {
    let mut killed: BTreeMap<Identity, Killed> = BTreeMap::new();
    let give_up = Instant::now() + patience;
    loop {
        let left = find();
        if left.is_empty() || Instant::now() >= give_up {
            return killed.into_values().collect();
        }
        for process in left {
            // One that is another user's stays; so does one that has ended meanwhile.
            if send(&process, Signal::KILL).is_ok() {
                let (identity, pid) = (process.identity(), process.pid);
                let name = process.name;
                killed.insert(identity, Killed { pid, name });
            }
        }
        pause(QUICK);
    }
}

impl Stopping {
    /// Looks what is below the play, and interrupts Ansible. Its own clean-up runs then, it ends its workers and exits
    /// with 99.
    pub(super) fn begin(stop: Stop, order: &Order, mut doomed: Doomed, play: Pid, now: Instant) -> Self {
        let grace = order.grace;
        doomed.grow(None);
        // Not reaped yet, so the pid is still its own.
        let _ = kill_process(play, Signal::INT);
        Self {
            stop,
            play,
            doomed,
            events: EventReader::default(),
            progress: Progress::default(),
            remind_at: Some(now + grace / 2),
            nudge_at: now + NUDGE,
            terminate_at: now + grace,
            kill_at: now + grace + LAST_CHANCE,
            terminated: HashSet::new(),
            hit: HashSet::new(),
            unreachable: HashSet::new(),
            killed: Vec::new(),
            out_of_reach: Vec::new(),
            look_at: now,
            empty_looks: 0,
        }
    }

    /// Does what is due; also before its time when a child has ended.
    pub(super) fn step(&mut self, run: &RunDir, play_lives: bool, child_ended: bool) {
        let now = Instant::now();
        // Output that streams in must not make us look at every process each time.
        if now < self.look_at && !child_ended {
            return;
        }
        while self.events.follow(run, &mut self.progress).unwrap_or(false) {}
        let mut alive = self.doomed.grow(Some(&self.progress));
        alive.retain(|process| !self.unreachable.contains(&process.identity()));
        let mut fleeing = Vec::new();
        if !play_lives {
            // What was asked to end when Ansible had gone has had its time at the end of the grace.
            self.kill_at = self.kill_at.min(self.terminate_at.max(now + LAST_CHANCE));
            fleeing = self.doomed.fleeing(&self.progress);
        }
        // What ended tasks left may come and go for ever.
        let restless = !fleeing.is_empty() && now < self.kill_at + LAST_CHANCE;
        self.empty_looks = if alive.is_empty() && !play_lives && !restless {
            self.empty_looks + 1
        } else {
            0
        };
        if play_lives {
            self.remind(now);
        }
        if now >= self.kill_at {
            alive.iter().for_each(|process| self.kill(process));
            fleeing.iter().for_each(|process| self.kill_group(process));
            self.chase(now + CHASE);
        } else if !play_lives || now >= self.terminate_at {
            alive.iter().for_each(|process| self.terminate(process));
        }
        let is_late = now >= self.kill_at || alive.is_empty();
        self.look_at = now + if is_late { QUICK } else { CALM };
    }

    fn remind(&mut self, now: Instant) {
        let nudge = now >= self.nudge_at && self.events.is_at_start();
        if nudge {
            self.nudge_at = now + NUDGE;
        }
        if nudge || self.remind_at.take_if(|at| now >= *at).is_some() {
            let _ = kill_process(self.play, Signal::INT);
        }
    }

    /// Once each; it has until the end of the grace to clean up.
    fn terminate(&mut self, process: &Process) {
        if self.terminated.insert(process.identity()) {
            self.send(process, Signal::TERM);
            // A process that was halted could not obey.
            self.send(process, Signal::CONT);
        }
    }

    fn kill(&mut self, process: &Process) {
        if self.send(process, Signal::KILL) && self.hit.insert(process.identity()) {
            note(&mut self.killed, process);
        }
    }

    fn kill_group(&mut self, dead: &Process) {
        let group = Pid::from_raw(dead.group).filter(|group| *group != getpgrp());
        let killed = group.is_some_and(|group| kill_process_group(group, Signal::KILL).is_ok());
        if killed && self.hit.insert(dead.identity()) {
            note(&mut self.killed, dead);
        }
    }

    /// A process that forks and exits, again and again, is gone before a look at all processes is over. But whenever its
    /// parent is gone it is our child, and to look at those takes no time.
    fn chase(&mut self, until: Instant) {
        let mut empty_looks = 0;
        while empty_looks < EMPTY_LOOKS && Instant::now() < until {
            let mut orphans = self.doomed.orphans(&self.progress);
            orphans.retain(|process| !self.unreachable.contains(&process.identity()));
            empty_looks = if orphans.is_empty() { empty_looks + 1 } else { 0 };
            orphans.iter().for_each(|process| self.kill(process));
        }
    }

    /// Whether the signal arrived. Another user's process cannot be signaled (a task may become root while the gateway is
    /// not), and waiting for it would be for ever.
    fn send(&mut self, process: &Process, signal: Signal) -> bool {
        let sent = send(process, signal);
        if sent == Err(rustix::io::Errno::PERM) && self.unreachable.insert(process.identity()) {
            note(&mut self.out_of_reach, process);
        }
        sent.is_ok()
    }

    /// How long until `step` is due again.
    pub(super) fn pace(&self) -> Duration {
        self.look_at.saturating_duration_since(Instant::now())
    }

    /// Whether nothing is left that must end.
    pub(super) fn is_over(&self) -> bool {
        self.empty_looks >= 2
    }

    pub(super) fn stop(&self) -> &Stop {
        &self.stop
    }

    pub(super) fn killed(&self) -> &[Killed] {
        &self.killed
    }

    pub(super) fn out_of_reach(&self) -> &[Killed] {
        &self.out_of_reach
    }

    pub(super) fn into_parts(self) -> (Stop, Vec<Killed>) {
        (self.stop, self.killed)
    }
}

fn note(list: &mut Vec<Killed>, process: &Process) {
    if list.len() < MOST_NAMED {
        list.push(Killed {
            pid: process.pid,
            name: process.name.clone(),
        });
    }
}

/// Sends the signal to exactly this process, never to a later one with the same pid.
pub(crate) fn send(process: &Process, signal: Signal) -> rustix::io::Result<()> {
    let Some(pid) = Pid::from_raw(process.pid) else {
        return Err(rustix::io::Errno::SRCH);
    };
    let handle = pidfd_open(pid, PidfdFlags::empty())?;
    // The handle is of whoever has the pid now; from here on it cannot change hands.
    if Process::read(process.pid).is_none_or(|now| now.started != process.started) {
        return Err(rustix::io::Errno::SRCH);
    }
    pidfd_send_signal(handle, signal)
}
