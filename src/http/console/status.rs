//! A job's status as pages show it: a symbol and words, and a tone beside them. Never by the tone alone.

use crate::domain::job::{Job, JobStatus, Reason};

/// What is shown of a status.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Badge {
    /// For the style: `good`, `bad`, `busy`, `wait` or `off`.
    pub(super) tone: &'static str,
    pub(super) symbol: &'static str,
    pub(super) word: &'static str,
}

pub(super) const fn badge(tone: &'static str, symbol: &'static str, word: &'static str) -> Badge {
    Badge { tone, symbol, word }
}

impl Badge {
    /// Of a job.
    pub(super) const fn of(job: &Job) -> Self {
        match job.status {
            JobStatus::AwaitingApproval => badge("wait", "?", "waits for approval"),
            JobStatus::Queued => badge("wait", "…", "queued"),
            JobStatus::Running => badge("busy", "▶", "running"),
            JobStatus::Verifying => badge("busy", "◌", "verifying"),
            JobStatus::Succeeded => match job.reason {
                Some(Reason::Healed) => badge("good", "✓", "healed"),
                _ => badge("good", "✓", "succeeded"),
            },
            JobStatus::Failed => badge("bad", "✗", "failed"),
            JobStatus::Canceled => badge("off", "–", "canceled"),
        }
    }
}
