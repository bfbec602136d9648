use std::time::Duration;

use super::*;
use crate::domain::attempt::Outcome;
use crate::domain::ids::JobId;
use crate::domain::job::{JobStatus, Reason, Trigger};
use crate::domain::notify::{About, MessageId, NotifyEvent};
use crate::http::fake::{attempt, job, now};
use crate::notify::template::{Markup, render};

/// A finished job about an alert that began 83 minutes before now.
fn ended(status: JobStatus, reason: Reason, outcome: Outcome) -> Job {
    let mut job = job(1, status);
    job.reason = Some(reason);
    job.finished_at = Some(now());
    job.attempts = vec![attempt(1, Some(outcome))];
    job
}

/// One that waits since then, about a job or in words of its own.
fn message(event: NotifyEvent, about: About) -> Message {
    Message {
        id: MessageId(2),
        notifier: "ops".to_owned(),
        event,
        about,
        created_at: now(),
        due_at: now(),
        tries: 0,
    }
}

fn desk(message: &Message) -> Desk<'_> {
    Desk {
        message,
        links: Links::new("https://healgate.example.org"),
        now: now() + Duration::from_secs(83 * 60),
    }
}

fn letter(event: NotifyEvent, job: Job, log_tail: &str) -> Letter {
    letter_with(event, job, (&Backstory::default(), log_tail))
}

fn letter_with(event: NotifyEvent, job: Job, (backstory, log_tail): (&Backstory, &str)) -> Letter {
    let message = message(event, About::Job(job.id));
    Letter::about_job(job, backstory, log_tail.to_owned(), desk(&message))
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
    failed: restart on container/nginx

    restart on container/nginx failed: 1 host failed: web1

    Alert: NginxDown
    Since: 2026-01-31T09:00:00Z (1h23m)
    Where: container/nginx
    Playbook: restart (playbooks/restart.yml)
    Route: nginx-down
    State: failed (hosts_failed), 1 attempt
    Failed hosts: web1

    What to do next: see in the log which task failed, and why. To run it again on the hosts that failed: https://healgate.example.org/jobs/0190b6a2-7c1e-7d3a-9f00-000000000001/rerun?hosts=failed.

    Job: https://healgate.example.org/jobs/0190b6a2-7c1e-7d3a-9f00-000000000001
    The alert's story: https://healgate.example.org/alerts/8e3f9b0c7d1a2b4c
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
    *What to do next:* the playbook ran well and did not help, so the cause may be another one. Look at the alert; what was done is in the log. To run it again: https://healgate.example.org/jobs/0190b6a2-7c1e-7d3a-9f00-000000000001/rerun.
    <https://healgate.example.org/jobs/0190b6a2-7c1e-7d3a-9f00-000000000001|Job> · <https://healgate.example.org/alerts/8e3f9b0c7d1a2b4c|Story> · <http://prometheus:9090/graph|Alert>
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
    insta::assert_snapshot!(all.join("\n"), @"
    healed: NginxDown on container/nginx
      NginxDown has resolved after restart on container/nginx.
      (no advice)
    not healed: NginxDown on container/nginx
      restart on container/nginx ran well, but NginxDown did not resolve in time.
      the playbook ran well and did not help, so the cause may be another one. Look at the alert; what was done is in the log. To run it again: https://healgate.example.org/jobs/0190b6a2-7c1e-7d3a-9f00-000000000001/rerun.
    everything was tried: NginxDown on container/nginx
      restart on container/nginx was the last playbook to try for NginxDown, and it has not healed either.
      all playbooks of the route were tried, and none will be tried again. A person has to look.
    lost: restart on container/nginx
      The run of restart on container/nginx has vanished.
      the machine or the run's host process died, and how far the playbook came is unknown. Look at the target first; then, to run it again: https://healgate.example.org/jobs/0190b6a2-7c1e-7d3a-9f00-000000000001/rerun.
    waits for approval: restart on container/nginx
      restart on container/nginx waits for a person's approval.
      look at what would run, then https://healgate.example.org/jobs/0190b6a2-7c1e-7d3a-9f00-000000000001/approve or https://healgate.example.org/jobs/0190b6a2-7c1e-7d3a-9f00-000000000001/reject. It expires if nobody does.
    waits for approval: restart on container/nginx
      restart on container/nginx waits for a person's approval.
      nothing: it does not wait any more.
    ");
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
    hosts_unreachable: see whether the hosts are up and let Ansible in. To run it again on the hosts that failed: https://healgate.example.org/jobs/0190b6a2-7c1e-7d3a-9f00-000000000001/rerun?hosts=failed.
    no_hosts_matched: compare the limit with the inventory: no host of it matched, so nothing was done. A person has to look.
    playbook_error: mend the playbook; Ansible says in the log what is wrong. To run it again: https://healgate.example.org/jobs/0190b6a2-7c1e-7d3a-9f00-000000000001/rerun.
    start_failed: see to what kept the run from starting. To run it again: https://healgate.example.org/jobs/0190b6a2-7c1e-7d3a-9f00-000000000001/rerun.
    timed_out: it took longer than its timeout of 2m and was stopped. See in the log what it was doing. To run it again: https://healgate.example.org/jobs/0190b6a2-7c1e-7d3a-9f00-000000000001/rerun.
    precondition_failed: it was not safe to run the playbook, and it did not run. A person has to look.
    lost: see in the log what happened. To run it again: https://healgate.example.org/jobs/0190b6a2-7c1e-7d3a-9f00-000000000001/rerun.
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
        assert!(text.contains("{{ 7 "), "{text}");
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
    failed: restart on container/nginx

    restart on container/nginx failed.

    Where: container/nginx
    Playbook: restart (playbooks/restart.yml)
    Asked for by: alertmanager
    State: failed (start_failed)

    What to do next: see to what kept the run from starting. To run it again: https://healgate.example.org/jobs/0190b6a2-7c1e-7d3a-9f00-000000000001/rerun.

    Job: https://healgate.example.org/jobs/0190b6a2-7c1e-7d3a-9f00-000000000001
    ");
}

#[test]
fn an_announcement_has_its_own_words() {
    let about = About::Gateway {
        title: "storm\nof jobs".to_owned(),
        text: "101 jobs in 5m.\nLook!".to_owned(),
    };
    let message = message(NotifyEvent::Storm, about);
    let letter = Letter::announcing(("storm\nof jobs", "101 jobs in 5m.\nLook!"), desk(&message));
    insta::assert_snapshot!(text(&letter), @"
    storm of jobs
    ---
    storm of jobs

    101 jobs in 5m.
    Look!

    More: https://healgate.example.org/
    ");
    assert!(letter.job.is_none());
}

/// The headline and the advice of a job that failed, with what its history knows.
fn said_with(event: NotifyEvent, reason: Reason, backstory: &Backstory, by_query: bool) -> String {
    let mut job = ended(JobStatus::Failed, reason, Outcome::HostsFailed);
    job.attempts[0].message = Some("1 host failed: web1".to_owned());
    job.checks.verify_query = by_query.then(|| "up == 1".to_owned());
    if event == NotifyEvent::Healed {
        (job.status, job.reason) = (JobStatus::Succeeded, Some(Reason::Healed));
    }
    let letter = letter_with(event, job, (backstory, ""));
    let [headline, advice] = ["headline", "advice"].map(|name| letter.told.get_attr(name).unwrap().to_string());
    format!("{headline}\n  {advice}")
}

#[test]
fn where_a_query_verifies_nothing_is_said_of_the_alert() {
    let backstory = Backstory::default();
    for (event, reason) in [
        (NotifyEvent::Healed, Reason::Healed),
        (NotifyEvent::NotHealed, Reason::NotHealed),
        (NotifyEvent::Exhausted, Reason::NotHealed),
    ] {
        let said = said_with(event, reason, &backstory, true);
        assert!(!said.contains("resolve") && !said.contains("fires"), "{said}");
    }
    let said = said_with(NotifyEvent::Healed, Reason::Healed, &backstory, true);
    assert_eq!(
        said,
        "The query that verifies restart on container/nginx has become true.\n  "
    );
}

#[test]
fn while_the_ladder_goes_on_nobody_is_told_to_run_anything_again() {
    let backstory = Backstory {
        next: Some("the next rung is recreate on container/nginx (0190b6a2)".to_owned()),
        ..Backstory::default()
    };
    let mut all = vec![said_with(NotifyEvent::NotHealed, Reason::NotHealed, &backstory, false)];
    for reason in [Reason::HostsFailed, Reason::NoHostsMatched, Reason::PreconditionFailed] {
        all.push(said_with(NotifyEvent::Failed, reason, &backstory, false));
    }
    let all = all.join("\n");
    assert!(!all.contains("/rerun") && !all.contains("A person"), "{all}");
    insta::assert_snapshot!(all, @"
    restart on container/nginx ran well, but NginxDown did not resolve in time.
      nothing yet. The playbook ran well and did not help; the ladder goes on: the next rung is recreate on container/nginx (0190b6a2).
    restart on container/nginx failed: 1 host failed: web1
      see in the log which task failed, and why. The ladder goes on: the next rung is recreate on container/nginx (0190b6a2).
    restart on container/nginx failed: 1 host failed: web1
      compare the limit with the inventory: no host of it matched, so nothing was done. The ladder goes on: the next rung is recreate on container/nginx (0190b6a2).
    restart on container/nginx was not run: its precondition does not hold.
      it was not safe to run the playbook, and it did not run. The ladder goes on: the next rung is recreate on container/nginx (0190b6a2).
    ");
}

#[test]
fn a_job_that_was_not_run_says_why_and_not_what_an_earlier_attempt_did() {
    let backstory = Backstory {
        withdrawn: Some("the precondition does not hold: up > 0".to_owned()),
        ..Backstory::default()
    };
    let mut job = ended(JobStatus::Failed, Reason::PreconditionFailed, Outcome::HostsUnreachable);
    job.attempts[0].message = Some("1 host was unreachable: web1".to_owned());
    let text = text(&letter_with(NotifyEvent::Failed, job, (&backstory, "")));
    assert!(
        text.contains("restart on container/nginx was not run: the precondition does not hold: up > 0\n"),
        "{text}"
    );
    assert!(
        !text.contains("unreachable") && !text.contains("Failed hosts"),
        "{text}"
    );
}

#[test]
fn slack_takes_no_markup_from_labels_and_summaries() {
    let mut job = ended(JobStatus::Failed, Reason::NotHealed, Outcome::Ok);
    let alert = job.alert.as_mut().unwrap();
    for (name, value) in [
        ("alertname", "*Down* ```"),
        ("x", "``` _now_ http://evil.example/login"),
    ] {
        alert.labels.insert(name.to_owned(), value.to_owned());
    }
    alert
        .annotations
        .insert("summary".to_owned(), "~https://evil.example~ *all well*".to_owned());
    let letter = letter(NotifyEvent::NotHealed, job, "no such thing");
    let text = render(Markup::Slack, None, &letter.told);
    for markup in ["*Down*", "*all well*", "_now_", "~http", "://evil"] {
        assert!(!text.contains(markup), "{markup} is in {text}");
    }
    assert_eq!(text.matches('`').count(), 6, "{text}");
    assert!(
        text.starts_with("*not healed: ∗Down∗ ˋˋˋ on container/nginx*\n"),
        "{text}"
    );
}

#[test]
fn each_message_has_a_name_of_its_own_that_stays() {
    let name = |event| letter(event, job(1, JobStatus::Failed), "").name();
    let id: JobId = job(1, JobStatus::Failed).id;
    assert_eq!(name(NotifyEvent::Failed), format!("{id}.failed"));
    assert_eq!(name(NotifyEvent::Exhausted), format!("{id}.exhausted"));
}
