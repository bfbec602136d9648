//! A job in a sentence: what it was, how it stands, and what that means for the alert.

use crate::domain::attempt::Attempt;
use crate::domain::change::shortened;
use crate::domain::host_stats::HostStats;
use crate::domain::job::{Job, JobStatus, Reason};
use crate::domain::pause::Scope;
use crate::http::console::moment::Length;

/// Hosts that a sentence names.
const NAMED: usize = 5;

/// What there is to do, or to know, at once. `fires`: whether the job's alert fires now, where that is known.
pub(super) fn headline(job: &Job, fires: Option<bool>) -> String {
    let alert = match fires.filter(|_| tells_of_alert(job)) {
        Some(true) => "; the alert still fires",
        Some(false) => "; the alert has resolved",
        None => "",
    };
    format!("{} {}{alert}", subject(job), verdict(job))
}

/// What the job works on, by which playbook.
pub(super) fn subject(job: &Job) -> String {
    let check = if job.parameters.check { " in check mode" } else { "" };
    format!("{} on {}{check}", job.playbook, job.target)
}

/// Where the sentence says it already, it need not say so again.
fn tells_of_alert(job: &Job) -> bool {
    !matches!(
        job.reason,
        Some(Reason::Healed | Reason::ResolvedMeanwhile | Reason::Silenced)
    )
}

/// How it stands, as a verb.
pub(super) fn verdict(job: &Job) -> String {
    match job.status {
        JobStatus::AwaitingApproval => "waits for approval".to_owned(),
        JobStatus::Queued => match job.attempts.len() {
            0 => "waits to run".to_owned(),
            done => format!("waits for attempt {}", done + 1),
        },
        JobStatus::Running => running(job),
        JobStatus::Verifying => "ran well, and waits for the alert to resolve".to_owned(),
        JobStatus::Succeeded | JobStatus::Failed | JobStatus::Canceled => {
            job.reason.map_or_else(String::new, |reason| ended(job, reason))
        }
    }
}

fn running(job: &Job) -> String {
    if let Some(request) = &job.cancel_requested {
        return format!("is being stopped by {}", request.by);
    }
    match job.attempts.last() {
        Some(last) if last.number > 1 => format!("is running, attempt {}", last.number),
        Some(_) | None => "is running".to_owned(),
    }
}

fn ended(job: &Job, reason: Reason) -> String {
    let last = job.attempts.last();
    match reason {
        Reason::Healed => healed(job),
        Reason::Unverified if job.healed_at.is_some() => "succeeded, and the alert resolved after it".to_owned(),
        Reason::Unverified => "succeeded".to_owned(),
        Reason::NotHealed => "ran well, but the alert did not resolve in time".to_owned(),
        Reason::HostsFailed => hosts_failed(last),
        Reason::HostsUnreachable => hosts_unreachable(last),
        Reason::NoHostsMatched => "matched no host, so nothing ran".to_owned(),
        Reason::PlaybookError => format!("could not run: an error in the playbook{}", why(last)),
        Reason::StartFailed => format!("could not be started{}", why(last)),
        Reason::TimedOut => format!("was stopped after its time limit of {}", job.parameters.timeout),
        Reason::Lost => format!("was lost: its run vanished{}", why(last)),
        Reason::PreconditionFailed => "was not run: its precondition did not hold".to_owned(),
        Reason::Silenced => "was not run: the alert is silenced".to_owned(),
        Reason::Canceled => "was canceled".to_owned(),
        Reason::Rejected => "was rejected".to_owned(),
        Reason::Expired => "waited too long, and was not run".to_owned(),
        Reason::ResolvedMeanwhile => "was not needed: the alert resolved before it ran".to_owned(),
    }
}

/// The attempt's own message, where it is such a sentence already.
fn told(last: Option<&Attempt>, begin: &str) -> Option<String> {
    let message = last?.message.as_deref()?;
    message.starts_with(begin).then(|| brief(message))
}

fn hosts_failed(last: Option<&Attempt>) -> String {
    told(last, "failed on").unwrap_or_else(|| {
        let hosts = hosts(last, |stats| stats.failed > 0 || stats.unreachable > 0);
        let on = if hosts.is_empty() {
            String::new()
        } else {
            format!(" on {}", named(&hosts))
        };
        format!("failed{on}{}", why(last))
    })
}

fn hosts_unreachable(last: Option<&Attempt>) -> String {
    told(last, "could not reach").unwrap_or_else(|| {
        let hosts = hosts(last, |stats| stats.unreachable > 0);
        let what = if hosts.is_empty() {
            "its hosts".to_owned()
        } else {
            named(&hosts)
        };
        format!("could not reach {what}{}", why(last))
    })
}

fn healed(job: &Job) -> String {
    let began = job.alert.as_ref().map(|alert| alert.starts_at);
    match (began, job.healed_at) {
        (Some(began), Some(healed)) => {
            format!("healed the alert, {} after it began", Length(healed.since(began)))
        }
        _ => "healed the alert".to_owned(),
    }
}

/// The attempt's own message, in short.
fn why(last: Option<&Attempt>) -> String {
    let message = last.and_then(|last| last.message.as_deref());
    message.map_or_else(String::new, |message| format!(": {}", brief(message)))
}

/// One line of what may be many.
fn brief(message: &str) -> String {
    let line = message.lines().find(|line| !line.trim().is_empty()).unwrap_or_default();
    let line = line.trim().trim_end_matches('.');
    match line.char_indices().nth(160) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None => line.to_owned(),
    }
}

fn hosts(last: Option<&Attempt>, is_meant: impl Fn(&HostStats) -> bool) -> Vec<&str> {
    let recap = last.into_iter().flat_map(|last| &last.recap);
    recap
        .filter(|(_, stats)| is_meant(stats))
        .map(|(host, _)| host.as_str())
        .collect()
}

/// Names, and how many more there are.
pub(super) fn named(names: &[&str]) -> String {
    let shown: Vec<String> = names.iter().take(NAMED).map(|name| shortened(name)).collect();
    match names.len().saturating_sub(NAMED) {
        0 => shown.join(", "),
        more => format!("{} and {more} more", shown.join(", ")),
    }
}

/// What the kill switch or a breaker is about, within a sentence; `all` is what it says of all.
pub(super) fn scope_named(scope: &Scope, all: &str) -> String {
    match scope {
        Scope::All => all.to_owned(),
        Scope::Route(name) => format!("the route {name}"),
        Scope::Target(target) => format!("the target {target}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::attempt::Outcome;
    use crate::http::fake::{attempt, job, now};

    fn ended_so(status: JobStatus, reason: Reason) -> Job {
        let mut job = job(1, status);
        job.reason = Some(reason);
        job.attempts = vec![attempt(1, Some(Outcome::HostsFailed))];
        job
    }

    #[test]
    fn a_failure_names_its_hosts_its_cause_and_the_alert() {
        let mut job = ended_so(JobStatus::Failed, Reason::HostsFailed);
        job.attempts[0].message = Some("1 of 2 hosts failed.\nmore".to_owned());
        assert_eq!(
            headline(&job, Some(true)),
            "restart on container/nginx failed on web1: 1 of 2 hosts failed; the alert still fires"
        );
    }

    #[test]
    fn what_the_attempt_says_is_not_said_twice() {
        let mut job = ended_so(JobStatus::Failed, Reason::HostsFailed);
        job.attempts[0].message = Some("failed on web1: Restart on web1: no such service".to_owned());
        assert_eq!(verdict(&job), "failed on web1: Restart on web1: no such service");
    }

    #[test]
    fn every_reason_and_status_has_its_words() {
        for reason in Reason::ALL {
            let words = verdict(&ended_so(JobStatus::Failed, *reason));
            assert!(words.len() > 5, "{reason:?}: {words}");
        }
        for status in &JobStatus::ALL[..4] {
            assert!(!verdict(&job(1, *status)).is_empty());
        }
    }

    #[test]
    fn what_healed_says_how_long_the_alert_lasted() {
        let mut job = ended_so(JobStatus::Succeeded, Reason::Healed);
        job.healed_at = Some(now() + std::time::Duration::from_secs(95));
        assert_eq!(
            headline(&job, Some(false)),
            "restart on container/nginx healed the alert, 1 min 35 s after it began"
        );
    }

    #[test]
    fn of_many_hosts_some_are_named() {
        assert_eq!(named(&["a", "b", "c", "d", "e", "f", "g"]), "a, b, c, d, e and 2 more");
    }
}
