//! What happened to a job, in a title and a sentence. Only words.

use crate::domain::alert::Alert;
use crate::domain::job::{Job, Reason};
use crate::domain::notify::NotifyEvent;
use crate::notify::backstory::Backstory;
use crate::notify::letter::{FACT_CHARS, NAME_CHARS, TITLE_CHARS};
use crate::notify::text::line;

/// What is said first.
pub(super) struct Words {
    /// One line.
    pub(super) title: String,
    /// A sentence, in one line too.
    pub(super) headline: String,
}

impl Words {
    pub(super) fn about(event: NotifyEvent, job: &Job, backstory: &Backstory) -> Self {
        let (alert, playbook) = (alert_name(job), &job.playbook);
        let work = format!("{playbook} on {}", job.target);
        let by_query = job.checks.verify_query.is_some();
        let (what, sentence) = match event {
            NotifyEvent::Failed => (format!("failed: {playbook}"), failed(&work, job, backstory)),
            NotifyEvent::NotHealed => (format!("not healed: {alert}"), not_healed(&work, &alert, by_query)),
            NotifyEvent::Exhausted => (
                format!("everything was tried: {alert}"),
                format!("{work} was the last playbook to try for {alert}, and it has not healed either."),
            ),
            NotifyEvent::Healed => (format!("healed: {alert}"), healed(&work, &alert, by_query)),
            NotifyEvent::AwaitingApproval => (
                format!("waits for approval: {playbook}"),
                format!("{work} waits for a person's approval."),
            ),
            NotifyEvent::Lost => (
                format!("lost: {playbook}"),
                format!("The run of {work} has vanished{}", because(job)),
            ),
            // These are announced, in words of their own.
            NotifyEvent::BreakerOpened | NotifyEvent::Storm | NotifyEvent::HeartbeatMissed => {
                (format!("{}: {playbook}", event.as_str()), format!("{work}."))
            }
        };
        Self {
            title: line(&format!("{what} on {}", job.target), TITLE_CHARS),
            headline: line(&sentence, FACT_CHARS),
        }
    }
}

fn alert_name(job: &Job) -> String {
    let name = job.alert.as_ref().map_or("", Alert::name);
    let name = line(name, NAME_CHARS);
    if name.is_empty() { "the alert".to_owned() } else { name }
}

fn failed(work: &str, job: &Job, backstory: &Backstory) -> String {
    match (job.reason, &backstory.withdrawn) {
        (Some(Reason::PreconditionFailed), Some(why)) => format!("{work} was not run: {why}"),
        (Some(Reason::PreconditionFailed), None) => format!("{work} was not run: its precondition does not hold."),
        _ => format!("{work} failed{}", because(job)),
    }
}

/// In the words of the last attempt.
fn because(job: &Job) -> String {
    let message = job.attempts.last().and_then(|attempt| attempt.message.as_deref());
    message.map_or_else(|| ".".to_owned(), |message| format!(": {message}"))
}

/// Where a query decides, nobody has looked at the alert.
fn not_healed(work: &str, alert: &str, by_query: bool) -> String {
    if by_query {
        format!("{work} ran well, but the query that verifies it did not become true in time.")
    } else {
        format!("{work} ran well, but {alert} did not resolve in time.")
    }
}

fn healed(work: &str, alert: &str, by_query: bool) -> String {
    if by_query {
        format!("The query that verifies {work} has become true.")
    } else {
        format!("{alert} has resolved after {work}.")
    }
}
