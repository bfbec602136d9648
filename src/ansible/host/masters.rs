//! ssh's control masters of a run (ControlPersist): a task that has ended began them, they overwrite their environment, and
//! once the play is over they serve nobody. Knows them by the run's own folder of sockets, so that no other ssh is touched.

use std::fs;
use std::path::Path;
use std::time::Duration;

use rustix::process::{Signal, getpid};

use crate::ansible::host::raw;
use crate::ansible::host::stop::send;
use crate::ansible::host::tree::{Process, processes};
use crate::ansible::host::wakes::pause;

/// A master that was asked to end removes its socket and is gone within milliseconds.
const PATIENCE: Duration = Duration::from_secs(1);
const LOOK_EVERY: Duration = Duration::from_millis(10);

/// How the masters of one run are known.
#[derive(Clone, Debug)]
pub(crate) struct Masters {
    /// The end of their sockets' folder.
    folder: Vec<u8>,
}

impl Masters {
    pub(crate) fn of(sockets: &Path) -> Self {
        let path = sockets.as_os_str().as_encoded_bytes();
        // ssh writes other bytes as escapes into its title. The end of the path is ours and plain.
        let plain = |byte: &u8| byte.is_ascii_graphic() && *byte != b'\\';
        let begin = path.iter().rposition(|byte| !plain(byte)).map_or(0, |at| at + 1);
        let mut folder = path[begin..].to_vec();
        folder.push(b'/');
        Self { folder }
    }

    /// Whether that process is a master of the run: it calls itself `ssh: <socket> [mux]`.
    pub(crate) fn has(&self, pid: i32) -> bool {
        fs::read(format!("/proc/{pid}/cmdline")).is_ok_and(|title| self.is_title(&title))
    }

    fn is_title(&self, title: &[u8]) -> bool {
        title.starts_with(b"ssh: ") && title.windows(self.folder.len()).any(|part| part == self.folder)
    }
}

/// Ends the masters of a play that has ended by itself. They are children of this process, as their parents are gone.
pub(super) fn dismiss(sockets: &Path) {
    // Without a socket there is no master, or one that ends by itself.
    if fs::read_dir(sockets).map_or(true, |mut entries| entries.next().is_none()) {
        return;
    }
    let (masters, host) = (Masters::of(sockets), raw(getpid()));
    let all = processes().into_iter();
    let mut left: Vec<Process> = all
        .filter(|process| process.parent == host && masters.has(process.pid))
        .collect();
    signal(&left, Signal::TERM);
    let mut waited = Duration::ZERO;
    while !left.is_empty() && waited < PATIENCE {
        pause(LOOK_EVERY);
        waited += LOOK_EVERY;
        left.retain(lives);
    }
    signal(&left, Signal::KILL);
}

fn signal(processes: &[Process], signal: Signal) {
    for process in processes {
        let _ = send(process, signal);
    }
}

fn lives(process: &Process) -> bool {
    Process::read(process.pid).is_some_and(|now| now.started == process.started && !now.zombie)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_master_is_known_by_the_folder_of_its_socket() {
        let masters = Masters::of("/srv/größe/runs/j/1/cp".as_ref());
        assert!(masters.is_title(b"ssh: /srv/gr\\303\\266\\303\\237e/runs/j/1/cp/4a5b6c [mux]\0"));
        assert!(!masters.is_title(b"ssh: /srv/gr\\303\\266\\303\\237e/runs/j/11/cp/4a5b6c [mux]\0"));
        assert!(!masters.is_title(b"ssh: /home/me/.ansible/cp/4a5b6c [mux]\0"));
        assert!(!masters.is_title(b"vi\0/srv/runs/j/1/cp/x\0"));
    }
}
