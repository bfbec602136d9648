//! What commands tell the person at the terminal. Logging goes elsewhere.

use std::fmt::Display;
use std::io::Write;

/// A line on standard output, at once. A reader that has gone away is no reason to fail.
pub(super) fn line(text: &impl Display) {
    let mut out = std::io::stdout().lock();
    let _ = writeln!(out, "{text}").and_then(|()| out.flush());
}

/// A line on standard error.
pub(super) fn error(text: &impl Display) {
    let _ = writeln!(std::io::stderr().lock(), "{text}");
}
