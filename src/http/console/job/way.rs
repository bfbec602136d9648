//! The way that a job took: its history, with what each step means.

use crate::domain::job::{Job, JobEvent};
use crate::http::console::moment::{Length, Moment, Told};

/// One entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Step {
    pub(super) at: Moment,
    /// Since the job was made; nothing for the first.
    pub(super) after: Option<Length>,
    pub(super) tone: &'static str,
    pub(super) symbol: &'static str,
    pub(super) message: Told,
    /// The person who did it; nothing where the gateway did.
    pub(super) by: Option<String>,
    pub(super) attempt: Option<u32>,
}

/// The steps, from the first to the last.
pub(super) fn steps(job: &Job, events: &[JobEvent]) -> Vec<Step> {
    events.iter().map(|event| step(job, event)).collect()
}

fn step(job: &Job, event: &JobEvent) -> Step {
    let (tone, symbol) = mark(job, event);
    let after = event.at.since(job.created_at);
    Step {
        at: Moment(event.at),
        after: (!after.is_zero()).then_some(Length(after)),
        tone,
        symbol,
        message: Told(event.message.clone()),
        by: (event.by != "healgate").then(|| event.by.clone()),
        attempt: event.attempt,
    }
}

fn mark(job: &Job, event: &JobEvent) -> (&'static str, &'static str) {
    match event.event.as_str() {
        "queued" => ("off", "…"),
        "awaiting_approval" => ("wait", "?"),
        "approved" => ("good", "✓"),
        "rejected" | "canceled" | "stop_requested" => ("off", "–"),
        "claimed" | "started" => ("busy", "▶"),
        "verifying" => ("busy", "◌"),
        "blocked" => ("wait", "‖"),
        "retry" | "retrying" | "escalated" | "rung_held" => ("wait", "↑"),
        "resolved" | "healed" => ("good", "✓"),
        "finished" => match job.status {
            crate::domain::job::JobStatus::Succeeded => ("good", "✓"),
            crate::domain::job::JobStatus::Failed => ("bad", "✗"),
            _ => ("off", "–"),
        },
        "exhausted" | "lost" => ("bad", "✗"),
        _ => ("off", "·"),
    }
}
