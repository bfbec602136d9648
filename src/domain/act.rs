//! What a person did to the gateway as a whole, and not to a job.

use serde::{Deserialize, Serialize};

use crate::domain::job::words;
use crate::domain::pause::Scope;
use crate::domain::timestamp::Timestamp;

words!(
    /// What they did.
    ActKind {
        Paused = "paused",
        Resumed = "resumed",
        OpenedBreaker = "opened_breaker",
        ClosedBreaker = "closed_breaker",
        Released = "released",
    }
);

/// Who did what, when and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Act {
    pub kind: ActKind,
    pub scope: Scope,
    pub by: String,
    pub at: Timestamp,
    pub comment: Option<String>,
}
