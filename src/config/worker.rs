//! The section `worker`: how many runs at once, and what a shutdown does with them.

use crate::config::fields::{Fields, Key, Keys};
use crate::domain::span::Span;

pub(super) const KEYS: Keys = Keys::of(&[
    Key::of("slots", "`4`", "playbooks that run at once: 1 to 1000"),
    Key::of("drain_timeout", "`5m`", "how long `stop` waits first"),
    Key::of(
        "on_shutdown",
        "`leave`",
        "what a shutdown does with running playbooks: `leave` them to the next start, at once, or wait for them and `stop` them",
    ),
]);

/// How jobs are worked on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Worker {
    /// Runs at once, 1 to 1000.
    pub slots: usize,
    /// How long a shutdown waits for running playbooks; zero does not wait.
    pub drain_timeout: Span,
    pub on_shutdown: OnShutdown,
}

/// What becomes of a run that outlasts the drain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnShutdown {
    /// It goes on and is adopted at the next start.
    Leave,
    /// It is canceled.
    Stop,
}

impl Worker {
    pub(super) fn read(fields: &Fields<'_>) -> Self {
        let slots = fields.get("slots").and_then(|slot| slot.count(1..=1000));
        let drain_timeout = fields.get("drain_timeout").and_then(|slot| slot.span());
        Self {
            slots: slots.and_then(|slots| usize::try_from(slots).ok()).unwrap_or(4),
            drain_timeout: drain_timeout.unwrap_or(Span::from_secs(300)),
            on_shutdown: fields.word(
                "on_shutdown",
                &[("leave", OnShutdown::Leave), ("stop", OnShutdown::Stop)],
                OnShutdown::Leave,
            ),
        }
    }
}
