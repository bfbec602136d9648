//! The section `retention`: how long records are kept.

use crate::config::fields::{Fields, Keys};
use crate::domain::span::Span;

pub(super) const KEYS: Keys = Keys::of(&["jobs", "logs"]);

/// How long finished things are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retention {
    pub jobs: Span,
    pub logs: Span,
}

impl Retention {
    pub(super) fn read(fields: &Fields<'_>) -> Self {
        Self {
            jobs: fields.positive_span("jobs", Span::from_secs(90 * 86_400)),
            logs: fields.positive_span("logs", Span::from_secs(30 * 86_400)),
        }
    }
}
