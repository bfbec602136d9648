//! Starts `ansible-playbook` so that it dies with its host, and reads what it says.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, ExitCode, Stdio};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use rustix::fs::OFlags;
use rustix::pipe::{PipeFlags, fcntl_setpipe_size, pipe_with};
use rustix::process::{Pid, Signal, getpid, getppid, set_parent_process_death_signal};
use signal_hook::consts::{SIGCHLD, SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1};

use crate::ansible::command::Environment;
use crate::ansible::host::output::Output;
use crate::ansible::host::raw;
use crate::ansible::host::stdio::take_stdin;
use crate::ansible::rundir::Order;

/// More than the kernel's 64 KiB, so that a play that says much seldom waits for us.
const PIPE_BYTES: usize = 1 << 20;
const READ_BYTES: usize = 256 << 10;

/// A started `ansible-playbook`.
#[derive(Debug)]
pub(super) struct Play {
    pid: Pid,
    /// Nothing once the last writer is gone.
    output: Option<OwnedFd>,
    buffer: Vec<u8>,
}

impl Play {
    /// Starts it by way of `healgate run-host --exec`, which asks for the death signal: there is no safe way to do that
    /// between fork and exec. The error names the command.
    #[expect(clippy::disallowed_methods, reason = "the door to the playbook")]
    pub(super) fn start(order: &Order, env: &Environment) -> io::Result<Self> {
        let (output, writer) = output_pipe()?;
        let (report, reporter) = pipe_with(PipeFlags::CLOEXEC)?;
        // This way also where an upgrade has replaced the binary.
        let mut command = Command::new("/proc/self/exe");
        command
            .args(["run-host", "--exec", &raw(getpid()).to_string(), "--"])
            .args(&order.argv)
            .env_clear()
            .envs(env)
            .current_dir(&order.cwd)
            // A group of its own, so that a stop may kill groups and never meets the host.
            .process_group(0)
            .stdin(Stdio::from(reporter))
            .stdout(Stdio::from(writer.try_clone()?))
            .stderr(Stdio::from(writer));
        let child = command.spawn().map_err(|error| {
            let (what, cwd) = (order.argv.first().map_or("", String::as_str), order.cwd.display());
            io::Error::new(error.kind(), format!("cannot start {what} in {cwd}: {error}"))
        })?;
        // It still holds our copies of the pipes' ends.
        drop(command);
        let mut failure = String::new();
        // Ends when the command has been executed, as that closes the other end.
        File::from(report).read_to_string(&mut failure)?;
        if !failure.is_empty() {
            return Err(io::Error::other(failure));
        }
        Ok(Self::under_way(Pid::from_child(&child), output))
    }

    /// One that has begun, with our end of its pipe.
    pub(super) fn under_way(pid: Pid, output: OwnedFd) -> Self {
        Self {
            pid,
            output: Some(output),
            buffer: vec![0; READ_BYTES],
        }
    }

    pub(super) fn pid(&self) -> Pid {
        self.pid
    }

    /// What to poll for output, while there can be any.
    pub(super) fn output(&self) -> Option<BorrowedFd<'_>> {
        self.output.as_ref().map(AsFd::as_fd)
    }

    /// Copies what there is, once; a play that never stops talking must not keep the host from listening to others.
    pub(super) fn copy_output(&mut self, log: &mut Output) -> usize {
        let Some(output) = &self.output else {
            return 0;
        };
        match rustix::io::read(output, &mut self.buffer) {
            Ok(0) => {
                self.output = None;
                0
            }
            Ok(count) => {
                log.take(&self.buffer[..count]);
                count
            }
            Err(_) => 0,
        }
    }

    /// Copies what the play left in the pipe. Not up to its end: a daemon that the play started may keep it open, and
    /// even write to it for ever.
    pub(super) fn copy_rest(&mut self, log: &mut Output) {
        let waiting = self.output.as_ref().and_then(|fd| rustix::io::ioctl_fionread(fd).ok());
        let mut left = usize::try_from(waiting.unwrap_or(0)).unwrap_or(0);
        while left > 0 {
            match self.copy_output(log) {
                0 => return,
                count => left = left.saturating_sub(count),
            }
        }
    }
}

/// Our end of the pipe for a play's output, and the play's.
pub(super) fn output_pipe() -> io::Result<(OwnedFd, OwnedFd)> {
    let (output, writer) = pipe_with(PipeFlags::CLOEXEC)?;
    // Only our end: Ansible refuses to write to what does not block.
    let flags = rustix::fs::fcntl_getfl(&output)?;
    rustix::fs::fcntl_setfl(&output, flags | OFlags::NONBLOCK)?;
    // More than an unprivileged user may have is refused, and the usual size will do.
    let _ = fcntl_setpipe_size(&output, PIPE_BYTES);
    Ok((output, writer))
}

/// Becomes the playbook: asks to get a signal when the host dies, and executes the command. Standard input is where a
/// failure is told.
pub fn exec(host: i32, argv: &[OsString]) -> ExitCode {
    let Ok(mut report) = take_stdin().map(File::from) else {
        return ExitCode::from(127);
    };
    let error = become_playbook(host, argv);
    let _ = report.write_all(error.to_string().as_bytes());
    ExitCode::from(127)
}

/// Returns only what went wrong.
#[expect(clippy::disallowed_methods, reason = "the door to the playbook")]
fn become_playbook(host: i32, argv: &[OsString]) -> io::Error {
    let Some((program, arguments)) = argv.split_first() else {
        return io::Error::other("there is no command");
    };
    if let Err(error) = reset_ignored_signals() {
        return error;
    }
    if let Err(error) = set_parent_process_death_signal(Some(Signal::TERM)) {
        return error.into();
    }
    // It may have died before we asked.
    if getppid().map(raw) != Some(host) {
        return io::Error::other("the run host is gone");
    }
    // Executing also gives SIGPIPE its default action back and unblocks all signals, as the standard library does.
    let error = Command::new(program).args(arguments).exec();
    let hint = if error.kind() == io::ErrorKind::NotFound && Path::new(program).exists() {
        "; the interpreter that its first line names is missing"
    } else {
        ""
    };
    io::Error::new(
        error.kind(),
        format!("cannot start {}: {error}{hint}", program.display()),
    )
}

/// A gateway that was started in the background by a shell ignores SIGINT, and so would Ansible and every service that
/// it starts. A signal with a handler gets its default action back when a program is executed; so give it one.
pub(in crate::ansible) fn reset_ignored_signals() -> io::Result<()> {
    let status = fs::read_to_string("/proc/self/status")?;
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let ignored = mask
        .and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok())
        .unwrap_or(0);
    for signal in [SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGCHLD] {
        if ignored & (1 << (signal - 1)) != 0 {
            signal_hook::flag::register(signal, Arc::new(AtomicBool::new(false)))?;
        }
    }
    Ok(())
}

/// What `killall` tells the gateway, to reload or to pause, reaches its hosts and guards, too: they must not die of it. With
/// handlers, as what is ignored would be ignored by the playbook, too.
pub(super) fn outlive_signals_to_the_gateway() -> io::Result<()> {
    for signal in [SIGHUP, SIGUSR1] {
        signal_hook::flag::register(signal, Arc::new(AtomicBool::new(false)))?;
    }
    Ok(())
}
