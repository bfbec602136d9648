//! What to do next, for each event and each way in which a job ends. Only words.

use crate::domain::job::{Job, JobStatus, Reason};
use crate::domain::notify::NotifyEvent;

/// Sentences for the person who is told. `api` is the job's address in the API; empty where there is nothing to do.
pub(super) fn advice(event: NotifyEvent, job: &Job, api: &str) -> String {
    match event {
        NotifyEvent::Failed => failed(job, api),
        NotifyEvent::NotHealed => format!(
            "the playbook ran well and did not help, so the cause may be another one. Look at the alert; what was done \
             is in the log. To run it again: POST {api}/rerun."
        ),
        NotifyEvent::Exhausted => {
            "all playbooks of the route were tried, and none will be tried again. A person has to look.".to_owned()
        }
        NotifyEvent::Healed => String::new(),
        NotifyEvent::AwaitingApproval if job.status == JobStatus::AwaitingApproval => {
            format!("look at what would run, then POST {api}/approve or {api}/reject. It expires if nobody does.")
        }
        NotifyEvent::AwaitingApproval => "nothing: it does not wait any more.".to_owned(),
        NotifyEvent::Lost => format!(
            "the machine or the run's host process died, and how far the playbook came is unknown. Look at the target \
             first; then, to run it again: POST {api}/rerun."
        ),
        NotifyEvent::BreakerOpened | NotifyEvent::Storm | NotifyEvent::HeartbeatMissed => String::new(),
    }
}

fn failed(job: &Job, api: &str) -> String {
    let again = format!("To run it again: POST {api}/rerun.");
    let on_failed =
        format!("To run it again on the hosts that failed: POST {api}/rerun with {{\"hosts\": \"failed\"}}.");
    match job.reason {
        Some(Reason::HostsFailed) => format!("see in the log which task failed, and why. {on_failed}"),
        Some(Reason::HostsUnreachable) => {
            format!("see whether the hosts are up and let Ansible in. {on_failed}")
        }
        Some(Reason::NoHostsMatched) => {
            "compare the limit with the inventory: no host of it matched, so nothing was done.".to_owned()
        }
        Some(Reason::PlaybookError) => format!("mend the playbook; Ansible says in the log what is wrong. {again}"),
        Some(Reason::StartFailed) => format!("see to what kept the run from starting. {again}"),
        Some(Reason::TimedOut) => format!(
            "it took longer than its timeout of {} and was stopped. See in the log what it was doing. {again}",
            job.parameters.timeout
        ),
        Some(Reason::PreconditionFailed) => {
            "it was not safe to run the playbook, and it did not run. A person has to look.".to_owned()
        }
        _ => format!("see in the log what happened. {again}"),
    }
}
