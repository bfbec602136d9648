//! A story in which everything happens once.

use std::collections::BTreeMap;
use std::time::Duration;

use uuid::Uuid;

use super::*;
use crate::domain::decision::DecisionKind;
use crate::domain::ids::{EpisodeId, Fingerprint, NotificationId};
use crate::domain::job::{JobEvent, JobStatus};
use crate::http::fake::{Gateway, job, job_id, now};
use crate::store::read::AlertSummary;

fn at(seconds: u64) -> Timestamp {
    now() + Duration::from_secs(seconds)
}

fn decision(seconds: u64, kind: DecisionKind, by_notification: bool, job: Option<JobId>) -> StoredDecision {
    StoredDecision {
        at: at(seconds),
        notification: by_notification.then(|| NotificationId::new(Uuid::from_u128(7))),
        episode: None,
        fingerprint: Fingerprint::parse("f1").unwrap(),
        alertname: "NginxDown".to_owned(),
        route: Some("nginx-down".to_owned()),
        kind,
        reason: "because".to_owned(),
        job,
        would_run: None,
    }
}

fn event(number: u128, seconds: u64, event: &str, by: &str) -> StoredEvent {
    StoredEvent {
        job: job_id(number),
        event: JobEvent {
            at: at(seconds),
            event: event.to_owned(),
            by: by.to_owned(),
            attempt: None,
            message: event.to_owned(),
        },
    }
}

fn episode(opened: u64, closed: Option<u64>, missed: bool) -> Episode {
    Episode {
        id: EpisodeId::new(Uuid::from_u128(u128::from(opened))),
        starts_at: at(opened),
        opened_at: at(opened),
        last_received_at: at(opened),
        received: 1,
        ended_at: closed.map(at),
        closed_at: closed.map(at),
        missed,
    }
}

/// What is told of these, without what was received when the episode began.
fn told_of(jobs: Vec<Job>, episodes: Vec<Episode>, events: Vec<StoredEvent>) -> Vec<(u64, What, String)> {
    let story = AlertStory {
        jobs,
        episodes,
        events,
        decisions: vec![decision(10, DecisionKind::Queued, true, Some(job_id(1)))],
        ..told()
    };
    let entries = super::story(&story).into_iter().filter(|entry| entry.at > at(10));
    entries
        .map(|entry| {
            let seconds = (entry.at.as_micros() - now().as_micros()) / 1_000_000;
            (u64::try_from(seconds).unwrap(), entry.what, entry.text)
        })
        .collect()
}

fn in_episode(opened: u64, job: Job) -> Job {
    Job {
        episode: Some(episode(opened, None, false).id),
        ..job
    }
}

/// The first job does not heal; the second, its ladder's next, does. Everything is newest first, as the store gives it.
fn told() -> AlertStory {
    let (mut first, mut second) = (job(1, JobStatus::Failed), job(2, JobStatus::Succeeded));
    (first.reason, second.reason) = (Some(Reason::NotHealed), Some(Reason::Healed));
    second.trigger = Trigger::Ladder;
    let (first, second) = (in_episode(10, first), in_episode(10, second));
    let (one, two) = (Some(job_id(1)), Some(job_id(2)));
    AlertStory {
        summary: AlertSummary {
            fingerprint: Fingerprint::parse("f1").unwrap(),
            alertname: "NginxDown".to_owned(),
            labels: BTreeMap::new(),
            annotations: BTreeMap::new(),
            generator_url: String::new(),
            firing: true,
            starts_at: now(),
            last_received_at: at(400),
            episodes: 3,
            jobs: 2,
        },
        episodes: vec![
            episode(400, None, false),
            episode(390, Some(400), true),
            episode(10, Some(300), false),
        ],
        decisions: vec![
            decision(410, DecisionKind::Guarded, false, None),
            decision(300, DecisionKind::Resolved, true, two),
            decision(60, DecisionKind::Attached, true, one),
            decision(10, DecisionKind::Queued, true, one),
        ],
        jobs: vec![second, first],
        events: vec![
            event(2, 300, "finished", "healgate"),
            event(2, 203, "started", "healgate"),
            event(2, 200, "queued", "healgate"),
            event(1, 200, "finished", "healgate"),
            event(1, 100, "verifying", "healgate"),
            event(1, 50, "approved", "ada"),
            event(1, 10, "queued", "alertmanager"),
        ],
    }
}

#[test]
fn what_happened_is_told_in_the_order_of_time() {
    let told: Vec<(i64, What, String)> = story(&told())
        .into_iter()
        .map(|entry| {
            (
                (entry.at.as_micros() - now().as_micros()) / 1_000_000,
                entry.what,
                entry.text,
            )
        })
        .collect();
    let expected = [
        (
            10,
            What::Received,
            "received: the alert fires since 2026-01-31T09:00:10Z",
        ),
        (10, What::Decided, "queued: because"),
        (10, What::Run, "queued (by alertmanager)"),
        (50, What::Run, "approved (by ada)"),
        (60, What::Received, "received: reported again"),
        (60, What::Decided, "attached: because"),
        (100, What::Verified, "verifying"),
        (200, What::Verified, "finished"),
        (200, What::Escalated, "queued"),
        (203, What::Run, "started"),
        (
            300,
            What::Received,
            "received: the alert resolved at 2026-01-31T09:05:00Z",
        ),
        (300, What::Decided, "resolved: because"),
        (300, What::Verified, "finished"),
        (
            390,
            What::Received,
            "received: the alert fires since 2026-01-31T09:06:30Z",
        ),
        (400, What::Received, "received: it fires anew; its resolve was missed"),
        (
            400,
            What::Received,
            "received: the alert fires since 2026-01-31T09:06:40Z",
        ),
        (410, What::Decided, "guarded: because"),
    ];
    assert_eq!(told, expected.map(|(at, what, text)| (at, what, text.to_owned())));
}

#[test]
fn the_ladder_is_told_after_the_end_that_it_follows() {
    let first = Job {
        reason: Some(Reason::NotHealed),
        ..in_episode(10, job(1, JobStatus::Failed))
    };
    let second = Job {
        reason: Some(Reason::HostsFailed),
        trigger: Trigger::Ladder,
        ..in_episode(10, job(2, JobStatus::Failed))
    };
    // Written in the order in which the store writes them, newest first.
    let events = vec![
        event(2, 300, "exhausted", "healgate"),
        event(2, 300, "rung_refused", "healgate"),
        event(2, 300, "finished", "healgate"),
        event(1, 250, "escalated", "healgate"),
        event(2, 250, "queued", "healgate"),
        event(1, 200, "rung_held", "healgate"),
        event(1, 200, "finished", "healgate"),
        event(1, 110, "unanswered", "healgate"),
    ];
    let told = told_of(vec![second, first], vec![episode(10, None, false)], events);
    let expected = [
        (110, What::Verified, "unanswered"),
        (200, What::Verified, "finished"),
        (200, What::Escalated, "rung_held"),
        (250, What::Escalated, "queued"),
        (250, What::Escalated, "escalated"),
        (300, What::Run, "finished"),
        (300, What::Escalated, "rung_refused"),
        (300, What::Escalated, "exhausted"),
    ];
    assert_eq!(told, expected.map(|(at, what, text)| (at, what, text.to_owned())));
}

#[test]
fn a_clean_up_is_no_rung_and_a_resolve_found_by_asking_was_not_received() {
    let first = Job {
        reason: Some(Reason::Healed),
        ..in_episode(10, job(1, JobStatus::Succeeded))
    };
    let cleanup = Job {
        trigger: Trigger::Ladder,
        ..job(2, JobStatus::Queued)
    };
    let events = vec![
        event(1, 210, "rung_refused", "healgate"),
        event(1, 210, "cleaning_up", "healgate"),
        event(2, 210, "queued", "healgate"),
        event(1, 200, "finished", "healgate"),
        event(1, 200, "resolved", "healgate"),
    ];
    let closed = vec![episode(10, Some(200), false)];
    let told = told_of(vec![cleanup, first.clone()], closed.clone(), events);
    let expected = [
        (200, What::Verified, "resolved"),
        (200, What::Verified, "finished"),
        (210, What::Run, "queued"),
        (210, What::Run, "cleaning_up"),
        (210, What::Run, "rung_refused"),
    ];
    assert_eq!(told, expected.map(|(at, what, text)| (at, what, text.to_owned())));
    // Nobody waited for it: the episode tells of it.
    let told = told_of(vec![first], closed, Vec::new());
    assert_eq!(
        told,
        [(200, What::Verified, "resolved: Alertmanager was asked".to_owned())]
    );
}

#[actix_web::test]
async fn the_story_stands_beside_what_an_alert_had_before() {
    let gateway = Gateway::new();
    gateway.store.state().story = Some(told());
    let shown = gateway.get("/api/v1/alerts/f1").await.json();
    assert_eq!(shown["decisions"].as_array().map(Vec::len), Some(4));
    let entry = &shown["story"][3];
    let mut keys: Vec<&str> = entry.as_object().unwrap().keys().map(String::as_str).collect();
    keys.sort_unstable();
    assert_eq!(keys, ["at", "job", "route", "text", "what"]);
    assert_eq!((&entry["what"], &entry["route"]), (&"run".into(), &"nginx-down".into()));
    assert_eq!(entry["job"], job_id(1).to_string());
}
