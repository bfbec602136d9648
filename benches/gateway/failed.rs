//! Why something could not be measured.

use std::fmt::Display;

/// What was being done, and why it failed.
#[derive(Debug, thiserror::Error)]
#[error("failed to {what}: {why}")]
pub(crate) struct Failed {
    what: String,
    why: String,
}

impl Failed {
    pub(crate) fn new(what: impl Into<String>, why: impl Display) -> Self {
        Self {
            what: what.into(),
            why: why.to_string(),
        }
    }
}

/// For `map_err`.
pub(crate) fn failed<E: Display>(what: impl Into<String>) -> impl FnOnce(E) -> Failed {
    move |why| Failed::new(what, why)
}
