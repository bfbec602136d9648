//! A job as a line of a list.

use crate::domain::job::{Job, Trigger};
use crate::domain::timestamp::Timestamp;
use crate::http::console::moment::{Length, Moment};
use crate::http::console::status::Badge;
use crate::http::console::words::verdict;

/// The line.
#[derive(Clone, Debug)]
pub(super) struct Row {
    pub(super) id: String,
    pub(super) badge: Badge,
    pub(super) playbook: String,
    pub(super) target: String,
    /// How it stands, in words.
    pub(super) verdict: String,
    /// What made it.
    pub(super) cause: String,
    pub(super) created: Moment,
    /// From its start to its end, or until now.
    pub(super) took: Option<Length>,
    pub(super) is_check: bool,
}

impl Row {
    /// Of a job, at that moment.
    pub(super) fn of(job: &Job, now: Timestamp) -> Self {
        let end = job.finished_at.unwrap_or(now);
        Self {
            id: job.id.to_string(),
            badge: Badge::of(job),
            playbook: job.playbook.clone(),
            target: job.target.to_string(),
            verdict: verdict(job),
            cause: cause(job),
            created: Moment(job.created_at),
            took: job.started_at.map(|started| Length(end.since(started))),
            is_check: job.parameters.check,
        }
    }
}

/// What made the job, in words.
pub(super) fn cause(job: &Job) -> String {
    let alert = job
        .alert
        .as_ref()
        .map(crate::domain::alert::Alert::name)
        .filter(|name| !name.is_empty());
    let about = alert.map(|name| format!(" for {name}")).unwrap_or_default();
    match (job.trigger, &job.route) {
        (Trigger::Alert, Some(route)) => format!("alert{about}, route {route}"),
        (Trigger::Ladder, Some(route)) => format!("next of the ladder{about}, route {route}"),
        (Trigger::Alert | Trigger::Ladder, None) => format!("alert{about}"),
        (Trigger::Rerun, _) => format!("run again by {}{about}", job.triggered_by),
        (Trigger::Manual, _) => format!("run by hand by {}{about}", job.triggered_by),
    }
}
