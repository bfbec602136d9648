//! Takes a standard stream for our own use and leaves /dev/null in its place, so that nothing we start gets it.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::OwnedFd;

/// What standard input was. Closed on exec.
pub(super) fn take_stdin() -> io::Result<OwnedFd> {
    let taken = rustix::io::fcntl_dupfd_cloexec(io::stdin(), 3)?;
    rustix::stdio::dup2_stdin(File::open("/dev/null")?)?;
    Ok(taken)
}

/// What standard output was. Closed on exec.
pub(super) fn take_stdout() -> io::Result<OwnedFd> {
    let taken = rustix::io::fcntl_dupfd_cloexec(io::stdout(), 3)?;
    rustix::stdio::dup2_stdout(OpenOptions::new().write(true).open("/dev/null")?)?;
    Ok(taken)
}
