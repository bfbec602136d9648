use super::*;
use crate::domain::attempt::Outcome;
use crate::domain::job::{JobStatus, Reason};
use crate::http::fake::{attempt, job, now};
use crate::notify::template::{Markup, render};

const DESK: Desk<'static> = Desk {
    external_url: "https://healgate.example.org",
    now: Timestamp::from_micros(0),
};

/// A finished job about an alert that began 83 minutes before now.
fn ended(status: JobStatus, reason: Reason, outcome: Outcome) -> Job {
    let mut job = job(1, status);
    job.reason = Some(reason);
    job.finished_at = Some(now());
    job.attempts = vec![attempt(1, Some(outcome))];
    job
}

fn letter(event: NotifyEvent, job: Job, log_tail: &str) -> Letter {
    let desk = Desk {
        now: now() + Duration::from_secs(83 * 60),
        ..DESK
    };
    Letter::about_job("1".to_owned(), event, job, log_tail.to_owned(), desk)
}

fn text(letter: &Letter) -> String {
    format!("{}\n---\n{}", letter.title, render(Markup::None, None, &letter.told))
}

#[test]
fn a_failure_says_what_where_since_when_why_and_what_to_do() {
    let mut job = ended(JobStatus::Failed, Reason::HostsFailed, Outcome::HostsFailed);
    job.attempts[0].message = Some("1 host failed: web1".to_owned());
    let letter = letter(NotifyEvent::Failed, job, "TASK [restart] ***\nfatal: [web1]: FAILED!");
    insta::assert_snapshot!(text(&letter), @r#"
    failed: restart on container/nginx
    ---
    restart on container/nginx failed: 1 host failed: web1

    Alert: NginxDown
    Since: 2026-01-31T09:00:00Z (1h23m)
    Where: container/nginx
    Playbook: restart (playbooks/restart.yml)
    Route: nginx-down
    State: failed (hosts_failed), 1 attempt
    Failed hosts: web1

    What to do next: see in the log which task failed, and why. To run it again on the hosts that failed: POST https://healgate.example.org/api/v1/jobs/0190b6a2-7c1e-7d3a-9f00-000000000001/rerun with {"hosts": "failed"}.

    Job: https://healgate.example.org/jobs/0190b6a2-7c1e-7d3a-9f00-000000000001
    Alert: http://prometheus:9090/graph

    The last lines of the log:

    TASK [restart] ***
    fatal: [web1]: FAILED!
    "#);
}

#[test]
fn slack_is_told_the_same() {
    let job = ended(JobStatus::Failed, Reason::NotHealed, Outcome::Ok);
    let letter = letter(NotifyEvent::NotHealed, job, "PLAY RECAP\nok");
    insta::assert_snapshot!(render(Markup::Slack, None, &letter.told), @"
    *not healed: NginxDown on container/nginx*
    restart on container/nginx ran well, but NginxDown did not resolve in time.
    • *Alert:* NginxDown
    • *Since:* 2026-01-31T09:00:00Z (1h23m)
    • *Where:* container/nginx
    • *Playbook:* restart (playbooks/restart.yml)
    • *Route:* nginx-down
    • *State:* failed (not_healed), 1 attempt
    • *Failed hosts:* web1
    *What to do next:* the playbook ran well and did not help, so the cause may be another one. Look at the alert; what was done is in the log. To run it again: POST https://healgate.example.org/api/v1/jobs/0190b6a2-7c1e-7d3a-9f00-000000000001/rerun.
    <https://healgate.example.org/jobs/0190b6a2-7c1e-7d3a-9f00-000000000001|Job> · <http://prometheus:9090/graph|Alert>
    ```
    PLAY RECAP
    ok
    ```
    ");
}

/// The title, the sentence and the advice.
fn said(event: NotifyEvent, status: JobStatus, reason: Option<Reason>) -> [String; 3] {
    let mut job = ended(status, Reason::Lost, Outcome::Lost);
    job.reason = reason;
    let letter = letter(event, job, "");
    ["title", "headline", "advice"].map(|name| letter.told.get_attr(name).unwrap().to_string())
}

#[test]
fn every_event_has_its_title_its_sentence_and_its_advice() {
    let all = [
        (NotifyEvent::Healed, JobStatus::Succeeded, Some(Reason::Healed)),
        (NotifyEvent::NotHealed, JobStatus::Failed, Some(Reason::NotHealed)),
        (NotifyEvent::Exhausted, JobStatus::Failed, Some(Reason::NotHealed)),
        (NotifyEvent::Lost, JobStatus::Failed, Some(Reason::Lost)),
        (NotifyEvent::AwaitingApproval, JobStatus::AwaitingApproval, None),
        (NotifyEvent::AwaitingApproval, JobStatus::Queued, None),
    ];
    let all = all.map(|(event, status, reason)| {
        let [title, headline, advice] = said(event, status, reason);
        let advice = if advice.is_empty() { "(no advice)" } else { &advice };
        format!("{title}\n  {headline}\n  {advice}")
    });
    insta::assert_snapshot!(all.join("\n"), @r#"
    healed: NginxDown on container/nginx
      NginxDown has resolved after restart on container/nginx.
      (no advice)
    not healed: NginxDown on container/nginx
      restart on container/nginx ran well, but NginxDown did not resolve in time.
      the playbook ran well and did not help, so the cause may be another one. Look at the alert; what was done is in the log. To run it again: POST https://healgate.example.org/api/v1/jobs/0190b6a2-7c1e-7d3a-9f00-000000000001/rerun.
    everything was tried: NginxDown on container/nginx
      NginxDown still fires, and restart on container/nginx was the last playbook to try.
      all playbooks of the route were tried, and none will be tried again. A person has to look.
    lost: restart on container/nginx
      The run of restart on container/nginx has vanished.
      the machine or the run's host process died, and how far the playbook came is unknown. Look at the target first; then, to run it again: POST https://healgate.example.org/api/v1/jobs/0190b6a2-7c1e-7d3a-9f00-000000000001/rerun.
    waits for approval: restart on container/nginx
      restart on container/nginx waits for a person's approval.
      look at what would run, then POST https://healgate.example.org/api/v1/jobs/0190b6a2-7c1e-7d3a-9f00-000000000001/approve or https://healgate.example.org/api/v1/jobs/0190b6a2-7c1e-7d3a-9f00-000000000001/reject. It expires if nobody does.
    waits for approval: restart on container/nginx
      restart on container/nginx waits for a person's approval.
      nothing: it does not wait any more.
    "#);
}

#[test]
fn each_way_of_failing_has_its_advice() {
    let all = [
        Reason::HostsUnreachable,
        Reason::NoHostsMatched,
        Reason::PlaybookError,
        Reason::StartFailed,
        Reason::TimedOut,
        Reason::PreconditionFailed,
        Reason::Lost,
    ];
    let all = all.map(|reason| {
        let [_, _, advice] = said(NotifyEvent::Failed, JobStatus::Failed, Some(reason));
        format!("{}: {advice}", reason.as_str())
    });
    insta::assert_snapshot!(all.join("\n"), @r#"
    hosts_unreachable: see whether the hosts are up and let Ansible in. To run it again on the hosts that failed: POST https://healgate.example.org/api/v1/jobs/0190b6a2-7c1e-7d3a-9f00-000000000001/rerun with {"hosts": "failed"}.
    no_hosts_matched: compare the limit with the inventory: no host of it matched, so nothing was done.
    playbook_error: mend the playbook; Ansible says in the log what is wrong. To run it again: POST https://healgate.example.org/api/v1/jobs/0190b6a2-7c1e-7d3a-9f00-000000000001/rerun.
    start_failed: see to what kept the run from starting. To run it again: POST https://healgate.example.org/api/v1/jobs/0190b6a2-7c1e-7d3a-9f00-000000000001/rerun.
    timed_out: it took longer than its timeout of 2m and was stopped. See in the log what it was doing. To run it again: POST https://healgate.example.org/api/v1/jobs/0190b6a2-7c1e-7d3a-9f00-000000000001/rerun.
    precondition_failed: it was not safe to run the playbook, and it did not run. A person has to look.
    lost: see in the log what happened. To run it again: POST https://healgate.example.org/api/v1/jobs/0190b6a2-7c1e-7d3a-9f00-000000000001/rerun.
    "#);
}

#[test]
fn hostile_labels_break_neither_lines_nor_links() {
    let mut job = ended(JobStatus::Failed, Reason::HostsFailed, Outcome::HostsFailed);
    let alert = job.alert.as_mut().unwrap();
    alert
        .labels
        .insert("alertname".to_owned(), "Down\r\nBcc: evil@example.org\x07".to_owned());
    alert
        .labels
        .insert("x".to_owned(), "{{ 7 * 7 }}<!channel>\u{202e}".to_owned());
    alert.annotations.insert("summary".to_owned(), "a\n\nb".repeat(10_000));
    alert
        .annotations
        .insert("runbook_url".to_owned(), "javascript:alert(1)".to_owned());
    alert.generator_url = "http://p/|evil> <http://q".to_owned();
    let letter = letter(NotifyEvent::Failed, job, "");
    assert!(!letter.title.contains(['\r', '\n', '\x07']), "{:?}", letter.title);
    for markup in [Markup::None, Markup::Slack] {
        let text = render(markup, None, &letter.told);
        assert!(text.contains("{{ 7 * 7 }}"), "{text}");
        assert!(
            !text.contains("evil>") && !text.contains("javascript") && !text.contains('\u{202e}'),
            "{text}"
        );
        assert!(text.lines().all(|line| line.chars().count() < 600), "{text}");
        assert_eq!(text.contains("<!channel>"), markup == Markup::None);
    }
}

#[test]
fn a_job_without_an_alert_and_without_a_run_can_be_told_of_too() {
    let mut job = ended(JobStatus::Failed, Reason::StartFailed, Outcome::StartFailed);
    (job.alert, job.route) = (None, None);
    job.trigger = Trigger::Manual;
    job.attempts.clear();
    insta::assert_snapshot!(text(&letter(NotifyEvent::Failed, job, "")), @"
    failed: restart on container/nginx
    ---
    restart on container/nginx failed.

    Where: container/nginx
    Playbook: restart (playbooks/restart.yml)
    Asked for by: alertmanager
    State: failed (start_failed)

    What to do next: see to what kept the run from starting. To run it again: POST https://healgate.example.org/api/v1/jobs/0190b6a2-7c1e-7d3a-9f00-000000000001/rerun.

    Job: https://healgate.example.org/jobs/0190b6a2-7c1e-7d3a-9f00-000000000001
    ");
}

#[test]
fn an_announcement_has_its_own_words() {
    let letter = Letter::announcing(
        "2".to_owned(),
        NotifyEvent::Storm,
        ("storm\nof jobs", "101 jobs in 5m.\nLook!"),
        DESK,
    );
    insta::assert_snapshot!(text(&letter), @"
    storm of jobs
    ---
    101 jobs in 5m.
    Look!

    More: https://healgate.example.org/
    ");
    assert!(letter.job.is_none());
}

#[test]
fn how_long_it_lasts_is_rounded() {
    for (seconds, said) in [
        (0, "0s"),
        (59, "59s"),
        (3_599, "59m59s"),
        (4_983, "1h23m"),
        (90_061, "1d1h"),
    ] {
        assert_eq!(lasting(Duration::from_secs(seconds)), said);
    }
}
