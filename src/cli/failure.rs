//! Why a command did not do what it was asked for, and the exit code that says so. Asks nobody.

use std::fmt;
use std::process::ExitCode;

use crate::cli::say;

/// What went wrong, in words for the person at the terminal.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Failure {
    kind: Kind,
    text: String,
    answer: Option<Answer>,
}

/// What somebody answered, where somebody did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Answer {
    /// Of HTTP.
    pub(super) status: u16,
    /// Why, as they say; may be empty.
    pub(super) said: String,
}

/// What kind of thing; its number is the exit code. docs/command-line.md lists them: they never change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Kind {
    /// The answer is no, or it did not work here.
    Failed = 1,
    /// What was asked is wrong: the command line, or what it sent to the gateway.
    Usage = 2,
    /// No gateway answers, or it cannot do this now.
    Unreachable = 3,
    /// The token is missing or wrong, or may not do this.
    Refused = 4,
    /// There is no such thing.
    NotFound = 5,
    /// The state of the thing does not allow it.
    Conflict = 6,
    /// By Ctrl-C, as shells write it.
    Interrupted = 130,
}

impl Failure {
    pub(super) fn new(kind: Kind, text: impl Into<String>) -> Self {
        Self {
            kind,
            text: text.into(),
            answer: None,
        }
    }

    /// With what was answered.
    pub(super) fn after(self, status: u16, said: impl Into<String>) -> Self {
        let said = said.into();
        Self {
            answer: Some(Answer { status, said }),
            ..self
        }
    }

    /// `None`: nobody answered, or nobody was asked.
    pub(super) const fn answer(&self) -> Option<&Answer> {
        self.answer.as_ref()
    }

    /// What was asked is wrong.
    pub(super) fn usage(text: impl Into<String>) -> Self {
        Self::new(Kind::Usage, text)
    }

    pub(super) const fn kind(&self) -> Kind {
        self.kind
    }
}

impl From<String> for Failure {
    fn from(text: String) -> Self {
        Self::new(Kind::Failed, text)
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// Ends a command: what it was to say is said already.
pub(super) fn conclude(done: Result<(), Failure>) -> ExitCode {
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            if !failure.text.is_empty() {
                say::error(&failure);
            }
            ExitCode::from(failure.kind as u8)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_docs_have_every_exit_code() {
        let docs = include_str!("../../docs/command-line.md");
        for kind in [
            Kind::Failed,
            Kind::Usage,
            Kind::Unreachable,
            Kind::Refused,
            Kind::NotFound,
            Kind::Conflict,
            Kind::Interrupted,
        ] {
            assert!(docs.contains(&format!("\n| {} | ", kind as u8)), "{kind:?}");
        }
    }
}
