//! Which processes there are, and which of them a stop must end. Reads /proc; signals nothing.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fs;

use crate::ansible::events::Progress;
use crate::ansible::host::masters::Masters;
use crate::ansible::rundir::Order;

/// A process as /proc shows it. Pid and start together name it for ever: pids are used again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Process {
    pub(crate) pid: i32,
    pub(crate) parent: i32,
    /// Its process group.
    pub(crate) group: i32,
    /// In clock ticks since the machine was booted.
    pub(crate) started: u64,
    pub(crate) name: String,
    /// It has ended, and only waits for its parent to notice.
    pub(crate) zombie: bool,
}

/// A process's name for ever.
pub(crate) type Identity = (i32, u64);

impl Process {
    pub(crate) fn identity(&self) -> Identity {
        (self.pid, self.started)
    }

    /// The process with that pid, if there is one.
    pub(crate) fn read(pid: i32) -> Option<Self> {
        parse_stat(&fs::read(format!("/proc/{pid}/stat")).ok()?)
    }
}

/// See proc_pid_stat(5). The name is in parentheses and may hold any byte.
fn parse_stat(stat: &[u8]) -> Option<Process> {
    let open = stat.iter().position(|byte| *byte == b'(')?;
    let close = stat.iter().rposition(|byte| *byte == b')')?;
    let fields: Vec<&str> = std::str::from_utf8(stat.get(close + 2..)?).ok()?.split(' ').collect();
    Some(Process {
        pid: std::str::from_utf8(&stat[..open]).ok()?.trim().parse().ok()?,
        parent: fields.get(1)?.parse().ok()?,
        group: fields.get(2)?.parse().ok()?,
        started: fields.get(19)?.parse().ok()?,
        name: String::from_utf8_lossy(&stat[open + 1..close]).into_owned(),
        zombie: matches!(*fields.first()?, "Z" | "X"),
    })
}

/// All processes of the machine.
pub(crate) fn processes() -> Vec<Process> {
    let Ok(entries) = fs::read_dir("/proc") else {
        return Vec::new();
    };
    entries
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .filter_map(Process::read)
        .collect()
}

/// What a process was marked with when it was started; empty for one that cleared its environment or is another user's.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Mark {
    pub(crate) run: Option<String>,
    /// The number of the task that began it.
    pub(crate) task: Option<u64>,
}

impl Mark {
    pub(crate) fn of(pid: i32) -> Self {
        fs::read(format!("/proc/{pid}/environ")).map_or_else(|_| Self::default(), |environ| Self::parse(&environ))
    }

    fn parse(environ: &[u8]) -> Self {
        let value = |name: &[u8]| {
            let found = environ
                .split(|byte| *byte == 0)
                .find_map(|entry| entry.strip_prefix(name));
            found.map(|value| String::from_utf8_lossy(value).into_owned())
        };
        Self {
            run: value(b"HEALGATE_RUN="),
            task: value(b"HEALGATE_TASK=").and_then(|number| number.parse().ok()),
        }
    }
}

/// The processes that a stop must end. Grows while the stop goes on, as they may start more.
#[derive(Debug)]
pub(crate) struct Doomed {
    host: i32,
    play: i32,
    guard: Option<Identity>,
    marker: String,
    masters: Masters,
    known: HashMap<Identity, String>,
    spared: HashSet<Identity>,
}

impl Doomed {
    /// `guard` is the host's, and no part of the run.
    pub(crate) fn new(host: i32, play: i32, guard: Option<Identity>, order: &Order) -> Self {
        Self {
            host,
            play,
            guard,
            marker: order.marker.clone(),
            masters: Masters::of(&order.sockets),
            known: HashMap::new(),
            spared: HashSet::new(),
        }
    }

    /// Takes in what is below the play, and below the host what unfinished tasks began: a process whose parent ended
    /// becomes the host's child. Without `progress`, orphans are left for the next time. Answers with those that live.
    pub(crate) fn grow(&mut self, progress: Option<&Progress>) -> Vec<Process> {
        let all = processes();
        let mut children: BTreeMap<i32, Vec<&Process>> = BTreeMap::new();
        for process in &all {
            children.entry(process.parent).or_default().push(process);
        }
        let mut roots: Vec<&Process> = Vec::new();
        for process in &all {
            let own = process.pid == self.play && process.parent == self.host;
            let orphan = process.parent == self.host && process.pid != self.play && !self.is_guard(process);
            if own
                || self.known.contains_key(&process.identity())
                || orphan && progress.is_some_and(|progress| self.is_doomed(process, progress))
            {
                roots.push(process);
            }
        }
        while let Some(process) = roots.pop() {
            let is_new = self.known.insert(process.identity(), process.name.clone()).is_none();
            let below = children.get(&process.pid).into_iter().flatten();
            roots.extend(below.filter(|child| is_new || !self.known.contains_key(&child.identity())));
        }
        all.into_iter()
            .filter(|process| !process.zombie && self.known.contains_key(&process.identity()))
            .collect()
    }

    /// Those of the host's own children that must end, at once. None where the kernel lists no children.
    pub(crate) fn orphans(&mut self, progress: &Progress) -> Vec<Process> {
        let mut found = self.children();
        found.retain(|process| {
            let known = self.known.contains_key(&process.identity());
            !process.zombie && (known || self.is_doomed(process, progress))
        });
        for process in &found {
            self.known.insert(process.identity(), process.name.clone());
        }
        found
    }

    /// Processes that fork and exit, again and again, are gone before a look at them is over; but they leave dead ones to
    /// us. Answers with a dead one of each process group that holds nothing else. As long as it is not reaped, its group
    /// keeps its number.
    pub(crate) fn fleeing(&self, progress: &Progress) -> Vec<Process> {
        let mut dead = self.children();
        // A dead process shows no mark.
        dead.retain(|process| process.zombie && self.is_from_open_task(process, progress));
        dead.sort_by_key(|process| process.group);
        dead.dedup_by_key(|process| process.group);
        if !dead.is_empty() {
            let mut others = processes();
            others.retain(|process| !process.zombie && !self.is_from_open_task(process, progress));
            dead.retain(|process| others.iter().all(|other| other.group != process.group));
        }
        dead
    }

    fn is_from_open_task(&self, process: &Process, progress: &Progress) -> bool {
        self.known.contains_key(&process.identity())
            || began_in_progress(process, &Mark::of(process.pid), &self.marker, progress)
    }

    fn children(&self) -> Vec<Process> {
        let host = self.host;
        let children = fs::read_to_string(format!("/proc/{host}/task/{host}/children")).unwrap_or_default();
        let pids = children.split_whitespace().filter_map(|pid| pid.parse().ok());
        let children = pids.filter(|pid| *pid != self.play).filter_map(Process::read);
        children.filter(|process| !self.is_guard(process)).collect()
    }

    fn is_guard(&self, process: &Process) -> bool {
        self.guard == Some(process.identity())
    }

    /// Whether an orphan was begun by a task that is still in progress, or belongs to the run as a whole.
    fn is_doomed(&mut self, orphan: &Process, progress: &Progress) -> bool {
        if orphan.zombie || self.spared.contains(&orphan.identity()) {
            return false;
        }
        let doomed =
            self.masters.has(orphan.pid) || began_in_progress(orphan, &Mark::of(orphan.pid), &self.marker, progress);
        if !doomed {
            self.spared.insert(orphan.identity());
        }
        doomed
    }
}

/// A process that carries our mark says itself which task began it; one without a number is Ansible's own. For one that
/// shows no mark (it cleared its environment, as nginx does, or became another user's) the time must do: it began after
/// a task that is still in progress.
pub(crate) fn began_in_progress(process: &Process, mark: &Mark, marker: &str, progress: &Progress) -> bool {
    if mark.run.as_deref() == Some(marker) {
        return mark.task.is_none_or(|number| progress.is_open(number));
    }
    let ticks = rustix::param::clock_ticks_per_second();
    progress
        .earliest_open(ticks)
        .is_some_and(|tick| process.started >= tick)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn orphan(started: u64) -> Process {
        Process {
            pid: 7,
            parent: 1,
            group: 7,
            started,
            name: "x".into(),
            zombie: false,
        }
    }

    fn marked(task: Option<u64>) -> Mark {
        Mark {
            run: Some("j/1".into()),
            task,
        }
    }

    fn progress() -> Progress {
        let mut progress = Progress::default();
        progress.started(1, 10.0);
        progress.ended(1);
        progress.started(2, 20.0);
        progress
    }

    #[test]
    fn a_name_with_parentheses_and_spaces_is_read() {
        let stat = b"42 (a) b (c) S 7 42 42 0 -1 4194560 1 0 0 0 0 0 0 0 20 0 1 0 9911 1 1 1";
        let process = parse_stat(stat).unwrap();
        assert_eq!((process.pid, process.parent, process.started), (42, 7, 9911));
        assert_eq!(process.name, "a) b (c");
    }

    #[test]
    fn we_are_in_the_list_of_processes() {
        let own = i32::try_from(std::process::id()).unwrap();
        assert!(processes().iter().any(|process| process.pid == own && !process.zombie));
    }

    #[test]
    fn what_an_ended_task_began_is_spared_and_what_an_open_one_began_is_not() {
        assert!(!began_in_progress(&orphan(9_999), &marked(Some(1)), "j/1", &progress()));
        assert!(began_in_progress(&orphan(1), &marked(Some(2)), "j/1", &progress()));
        assert!(began_in_progress(&orphan(1), &marked(None), "j/1", &progress()));
    }

    #[test]
    fn without_a_mark_the_time_decides() {
        let ticks = rustix::param::clock_ticks_per_second();
        for mark in [
            Mark::default(),
            Mark {
                run: Some("other/1".into()),
                task: Some(1),
            },
        ] {
            assert!(!began_in_progress(&orphan(15 * ticks), &mark, "j/1", &progress()));
            assert!(began_in_progress(&orphan(21 * ticks), &mark, "j/1", &progress()));
            assert!(!began_in_progress(
                &orphan(21 * ticks),
                &mark,
                "j/1",
                &Progress::default()
            ));
        }
    }

    #[test]
    fn marks_are_read_from_an_environment() {
        let mark = Mark::parse(b"PATH=/bin\0HEALGATE_RUN=j/1\0HEALGATE_TASK=12\0");
        assert_eq!(mark, marked(Some(12)));
        assert_eq!(Mark::parse(b""), Mark::default());
    }
}
