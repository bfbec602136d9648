//! What to do next, for each event and each way in which a job ends. Only words.

use crate::domain::job::{Job, JobStatus, Reason};
use crate::domain::notify::NotifyEvent;
use crate::notify::backstory::Backstory;

/// Sentences for the person who is told. `page` is the job's page, below which the console asks before it acts. Empty
/// where there is nothing to do.
pub(super) fn advice(event: NotifyEvent, job: &Job, backstory: &Backstory, page: &str) -> String {
    match (event, &backstory.next) {
        (NotifyEvent::Failed, next) => failed(job, next.as_deref(), page),
        (NotifyEvent::NotHealed, None) => format!(
            "the playbook ran well and did not help, so the cause may be another one. Look at the alert; what was done \
             is in the log. To run it again: {page}/rerun."
        ),
        (NotifyEvent::NotHealed, Some(next)) => {
            format!("nothing yet. The playbook ran well and did not help; the ladder goes on: {next}.")
        }
        (NotifyEvent::Exhausted, _) => {
            "all playbooks of the route were tried, and none will be tried again. A person has to look.".to_owned()
        }
        (NotifyEvent::Healed, _) => String::new(),
        (NotifyEvent::AwaitingApproval, _) if job.status == JobStatus::AwaitingApproval => {
            format!("look at what would run, then {page}/approve or {page}/reject. It expires if nobody does.")
        }
        (NotifyEvent::AwaitingApproval, _) => "nothing: it does not wait any more.".to_owned(),
        (NotifyEvent::Lost, _) => format!(
            "the machine or the run's host process died, and how far the playbook came is unknown. Look at the target \
             first; then, to run it again: {page}/rerun."
        ),
        (NotifyEvent::BreakerOpened | NotifyEvent::Storm | NotifyEvent::HeartbeatMissed, _) => String::new(),
    }
}

/// Whoever runs a job again while the ladder goes on meets it on the same target.
fn failed(job: &Job, next: Option<&str>, page: &str) -> String {
    let or_next = |again: String| next.map_or(again, |next| format!("The ladder goes on: {next}."));
    let again = or_next(format!("To run it again: {page}/rerun."));
    let on_failed = or_next(format!(
        "To run it again on the hosts that failed: {page}/rerun?hosts=failed."
    ));
    let person = or_next("A person has to look.".to_owned());
    match job.reason {
        Some(Reason::HostsFailed) => format!("see in the log which task failed, and why. {on_failed}"),
        Some(Reason::HostsUnreachable) => {
            format!("see whether the hosts are up and let Ansible in. {on_failed}")
        }
        Some(Reason::NoHostsMatched) => {
            format!("compare the limit with the inventory: no host of it matched, so nothing was done. {person}")
        }
        Some(Reason::PlaybookError) => format!("mend the playbook; Ansible says in the log what is wrong. {again}"),
        Some(Reason::StartFailed) => format!("see to what kept the run from starting. {again}"),
        Some(Reason::TimedOut) => format!(
            "it took longer than its timeout of {} and was stopped. See in the log what it was doing. {again}",
            job.parameters.timeout
        ),
        Some(Reason::PreconditionFailed) => {
            format!("it was not safe to run the playbook, and it did not run. {person}")
        }
        _ => format!("see in the log what happened. {again}"),
    }
}
