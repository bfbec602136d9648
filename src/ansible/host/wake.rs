//! Turns a play in waiting, which a warm interpreter forked as this host's child, into the run's playbook. It does
//! nothing before it hears `go`; one that is not woken is ended.

use std::io::{self, Write};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::time::Duration;

use rustix::process::{Pid, Signal, WaitOptions, kill_process, waitpid};

use crate::ansible::command::Environment;
use crate::ansible::host::play::{Play, output_pipe};
use crate::ansible::host::stdio::{take_stdin, take_stdout};
use crate::ansible::rundir::Order;
use crate::ansible::warm::executable;
use crate::ansible::warm::request::{Answer, Wanted, answer, send_line};

/// How long it may take to answer.
const PATIENCE: Duration = Duration::from_secs(5);

const DIED: &str = "the warm play has died";

/// A play in waiting. Ended with the value.
#[derive(Debug)]
pub(super) struct Sleeper {
    /// Nothing once it was told to go.
    pid: Option<Pid>,
    link: UnixStream,
}

/// One that is ready to become this run's playbook.
#[derive(Debug)]
pub(super) struct Prepared {
    sleeper: Sleeper,
    output: OwnedFd,
}

/// Takes the link to the play and the line to the gateway from where the interpreter left them: standard input and
/// output.
pub(super) fn take(play: i32) -> io::Result<(Sleeper, UnixStream)> {
    let link = take_stdin()?;
    let line = take_stdout()?;
    let pid = Pid::from_raw(play).ok_or_else(|| io::Error::other("0 is no play"))?;
    let sleeper = Sleeper {
        pid: Some(pid),
        link: link.into(),
    };
    Ok((sleeper, line.into()))
}

impl Sleeper {
    /// Tells it what it is to become. The error is a sentence; then it has ended.
    pub(super) fn prepare(mut self, order: &Order, env: &Environment) -> Result<Prepared, String> {
        let output = self.offer(order, env).map_err(|error| match error.kind() {
            io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset => DIED.to_owned(),
            _ => format!("the warm play takes no order: {error}"),
        })?;
        match answer(&mut self.link, PATIENCE) {
            Answer::Ready => Ok(Prepared { sleeper: self, output }),
            Answer::Refused(because) => Err(because),
            Answer::End => Err(DIED.to_owned()),
            Answer::Nothing => Err(format!("the warm play did not answer within {} s", PATIENCE.as_secs())),
        }
    }

    fn offer(&mut self, order: &Order, env: &Environment) -> io::Result<OwnedFd> {
        let (output, writer) = output_pipe()?;
        let mut argv = order.argv.clone();
        if let Some(command) = argv.first_mut()
            && let Some(found) = executable(command, env, &order.cwd)
        {
            // A script sees itself by the path that it was found under.
            *command = found;
        }
        let wanted = Wanted {
            argv: &argv,
            env,
            cwd: &order.cwd,
        };
        self.link.set_write_timeout(Some(PATIENCE))?;
        send_line(&mut self.link, &wanted, &writer)?;
        Ok(output)
    }
}

impl Prepared {
    /// From here on it is the playbook. The error is a sentence; then it never became that, and has ended.
    pub(super) fn go(mut self) -> Result<Play, String> {
        // A line that could not be written as a whole was not heard: it waits for the end of it.
        if self.sleeper.link.write_all(b"go\n").is_err() {
            return Err(DIED.to_owned());
        }
        match self.sleeper.pid.take() {
            Some(pid) => Ok(Play::under_way(pid, self.output)),
            None => Err("the warm play has gone already".to_owned()),
        }
    }
}

impl Drop for Sleeper {
    fn drop(&mut self) {
        if let Some(pid) = self.pid {
            let _ = kill_process(pid, Signal::KILL);
            // Our child, so nobody else can have its pid before this.
            let _ = waitpid(Some(pid), WaitOptions::empty());
        }
    }
}
