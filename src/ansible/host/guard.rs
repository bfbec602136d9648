//! The process beside a host that outlives it: should the host be killed, it ends what the run has left, whether or not
//! a gateway runs then. Afterwards it reads what daemons of the run still say, so that they do not die of a pipe that
//! nobody holds.

use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, poll};
use rustix::fs::FlockOperation;
use rustix::pipe::{PipeFlags, pipe_with};
use rustix::process::setsid;

use crate::ansible::host::play::outlive_signals_to_the_gateway;
use crate::ansible::host::stdio::take_stdout;
use crate::ansible::host::tree::{Identity, Process};
use crate::ansible::rundir::{RunDir, wait_for_lock, write_new};

/// How long what was killed may take to be gone.
const PATIENCE: Duration = Duration::from_secs(5);

/// A guard at work, for the one host that has this.
#[derive(Debug)]
pub(super) struct Guard {
    identity: Option<Identity>,
    /// Nobody else holds this end, so it closes with us, however we end.
    _line: OwnedFd,
}

impl Guard {
    /// Starts it. `output` is where the play's output can be read.
    #[expect(clippy::disallowed_methods, reason = "the door to the guard")]
    pub(super) fn start(run: &RunDir, output: Option<BorrowedFd<'_>>) -> io::Result<Self> {
        let (watched, line) = pipe_with(PipeFlags::CLOEXEC)?;
        let output = output.map(|fd| fd.try_clone_to_owned()).transpose()?;
        let child = Command::new("/proc/self/exe")
            .arg("run-guard")
            .arg(run.path())
            .env_clear()
            .current_dir("/")
            .stdin(Stdio::from(watched))
            .stdout(output.map_or_else(Stdio::null, Stdio::from))
            .spawn()?;
        let identity = i32::try_from(child.id()).ok().and_then(Process::read);
        Ok(Self {
            identity: identity.map(|process| process.identity()),
            _line: line,
        })
    }

    /// Who it is, so that no stop takes it for a part of the run.
    pub(super) fn identity(&self) -> Option<Identity> {
        self.identity
    }
}

/// Guards that run until its host has ended, and longer where daemons still write to the run's output. Standard input
/// ends with the host, standard output is where the play's output can be read.
pub fn guard(dir: &Path) -> io::Result<()> {
    // No signal to the host's group reaches us.
    let _ = setsid();
    outlive_signals_to_the_gateway()?;
    let run = RunDir::at(dir);
    let ticket = run.order()?.ticket;
    // Opened now, as later the directory may be another's; and never made, as it may be on its way out.
    let lock = File::open(run.file("host.lock"))?;
    let output = take_stdout()?;
    let _ = io::stdin().read(&mut [0])?;
    wait_for_lock(&lock, FlockOperation::LockExclusive)?;
    let is_lost = matches!(run.status(), Ok(None)) && run.order().is_ok_and(|order| order.ticket == ticket);
    if is_lost {
        let killed = run.kill_leftovers(PATIENCE)?;
        write_new(&run.file("guard.json"), &serde_json::to_vec(&killed)?)?;
    }
    drop(lock);
    swallow(&output)
}

/// Reads up to the end and keeps nothing.
fn swallow(output: &OwnedFd) -> io::Result<()> {
    let mut buffer = vec![0; 64 << 10];
    loop {
        match rustix::io::read(output, &mut buffer) {
            // Not a pipe that can be read: the host had none either.
            Ok(0) | Err(rustix::io::Errno::BADF) => return Ok(()),
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(rustix::io::Errno::AGAIN) => {
                let mut fds = [PollFd::from_borrowed_fd(output.as_fd(), PollFlags::IN)];
                let _ = poll(&mut fds, None);
            }
            Err(error) => return Err(error.into()),
        }
    }
}
