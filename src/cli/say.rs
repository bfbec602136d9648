//! What commands tell the person at the terminal. Logging goes elsewhere.

use std::fmt::Display;
use std::io::{ErrorKind, Write};

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use crate::cli::failure::Failure;

/// Who reads standard output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reader {
    There,
    /// Closed its end of a pipe. That is no failure: it has what it wants.
    Gone,
}

/// A line on standard output, at once.
pub(super) fn line(text: &impl Display) -> Result<Reader, Failure> {
    write(format!("{text}\n").as_bytes())
}

/// The same without an end of a line.
pub(super) fn write(bytes: &[u8]) -> Result<Reader, Failure> {
    let mut out = std::io::stdout().lock();
    match out.write_all(bytes).and_then(|()| out.flush()) {
        Ok(()) => Ok(Reader::There),
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(Reader::Gone),
        Err(error) => Err(Failure::from(format!("failed to write to standard output: {error}"))),
    }
}

/// Whether anybody still reads standard output, without a word to them.
pub(super) fn reader() -> Reader {
    let out = std::io::stdout();
    let mut asked = [PollFd::new(&out, PollFlags::empty())];
    match poll(&mut asked, Some(&Timespec::default())) {
        // A pipe says so when its other end is closed.
        Ok(1..) if asked[0].revents().contains(PollFlags::ERR) => Reader::Gone,
        _ => Reader::There,
    }
}

/// A line on standard error.
pub(super) fn error(text: &impl Display) {
    let _ = writeln!(std::io::stderr().lock(), "{text}");
}
