//! What messages say of what really happened in a store, and that no letter that cannot be written keeps others waiting.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use healgate::clock::Clock;
use healgate::config::Rate;
use healgate::domain::attempt::Outcome;
use healgate::domain::job::Reason;
use healgate::domain::notify::NotifyEvent;
use healgate::domain::route::Route;
use healgate::domain::rules::{BreakerRule, FlapRule, Fleet, StormRule};
use healgate::domain::span::Span;
use healgate::domain::timestamp::Timestamp;
use healgate::notify::Next;
use healgate::store::{HeartbeatMiss, Withdrawal};
use serde_json::Value;

use super::couriers::{Story, StoryClock};
use super::world::{World, firing, resolved, route, telling, verified};
use crate::support::receiver::Receiver;

/// What the receiver has got, as JSON.
fn bodies(receiver: &Receiver) -> Vec<Value> {
    receiver.got().iter().map(|got| got.json()).collect()
}

fn text(body: &Value) -> &str {
    body["text"].as_str().unwrap()
}

async fn opens_a_breaker(world: &World) {
    let breaking = Route {
        breaker: Some(BreakerRule {
            failures: 1,
            within: Span::from_secs(600),
            pause: Span::from_secs(300),
        }),
        ..telling(&[NotifyEvent::BreakerOpened], route("breaking"))
    };
    world.job_for(firing("a", world.ago(9)).via(breaking, "a")).await;
    world.end(world.claim_one().await, Outcome::HostsFailed).await;
}

async fn storms(world: &World) {
    let storm = StormRule {
        // One has been made by what came before.
        jobs: 2,
        within: Span::from_secs(300),
    };
    *world.fleet.lock().unwrap() = Fleet {
        storm: Some(storm),
        tell_storm: vec!["ops".to_owned()],
        ..Fleet::default()
    };
    let loud = telling(&[NotifyEvent::Storm], route("loud"));
    let reports = ["b", "c"].map(|name| firing(name, world.ago(9)).via(loud.clone(), name));
    world.post(reports.to_vec()).await;
    *world.fleet.lock().unwrap() = Fleet::default();
    world.end(world.claim_one().await, Outcome::Ok).await;
}

async fn flaps(world: &World) {
    let flapping = Route {
        flap: Some(FlapRule {
            times: 1,
            within: Span::from_secs(3_600),
        }),
        ..telling(&[NotifyEvent::Exhausted], verified("flapping"))
    };
    world.job_for(firing("d", world.now()).via(flapping.clone(), "d")).await;
    world.end(world.claim_one().await, Outcome::Ok).await;
    world.pass(60);
    world.post(vec![resolved("d", world.ago(60), world.now())]).await;
    world.pass(400);
    world.post(vec![firing("d", world.now()).via(flapping, "d")]).await;
}

async fn misses_a_heartbeat(world: &World) {
    let watch = world
        .store
        .watch_heartbeats(vec!["watchdog".to_owned()], vec![], world.now());
    watch.await.unwrap();
    let miss = HeartbeatMiss {
        route: "watchdog".to_owned(),
        last_received_at: None,
        missed_since: world.now(),
        tell: vec!["ops".to_owned()],
    };
    world.store.miss_heartbeats(vec![miss]).await.unwrap();
}

#[tokio::test]
async fn every_announcement_says_first_what_it_is_about_and_leads_there() {
    let receiver = Receiver::start().await;
    let mut story = Story::new(0, receiver.address(), Rate::default()).await;
    let world = Arc::clone(&story.world);
    opens_a_breaker(&world).await;
    storms(&world).await;
    flaps(&world).await;
    misses_a_heartbeat(&world).await;
    assert_eq!(story.work().await, Next::Later);
    let got = bodies(&receiver);
    let said: Vec<String> = got
        .iter()
        .map(|body| {
            let first = text(body).lines().next().unwrap();
            let (event, url) = (body["event"].as_str().unwrap(), body["url"].as_str().unwrap());
            format!("{event}: {first}\n  {url}")
        })
        .collect();
    insta::assert_snapshot!(said.join("\n"), @"
    breaker_opened: The circuit breaker of route:breaking has opened: 1 jobs failed within 10m
      http://gate/
    storm: A storm of alerts: more new jobs than the limit allows
      http://gate/
    exhausted: NginxDown flaps, and is left to people: d
      http://gate/
    heartbeat_missed: The heartbeat of the route watchdog stays away
      http://gate/routes
    ");
    insta::assert_snapshot!(text(&got[2]), @"
    NginxDown flaps, and is left to people: d

    the alert flaps: within 1h this route healed it 1 time, and it came back. The route flapping has no other playbook to try and runs nothing for it before 2026-09-21T15:14:20Z. Find out why it does not last; POST /api/v1/jobs runs a playbook by hand.

    More: http://gate/
    ");
    assert!(got.iter().all(|body| body["job"].is_null()));
}

#[tokio::test]
async fn each_message_has_a_name_that_a_receiver_can_know_it_by_again() {
    let receiver = Receiver::start().await;
    let mut story = Story::new(1, receiver.address(), Rate::default()).await;
    receiver.answer(crate::support::receiver::Answer::Status(500, ""));
    opens_a_breaker(&story.world).await;
    story.work().await;
    story.world.pass(1);
    assert_eq!(story.work().await, Next::Later);
    let mut names: Vec<String> = receiver
        .got()
        .iter()
        .map(|got| got.headers["x-healgate-message"].clone())
        .collect();
    assert_eq!(names.len(), 3);
    names.sort();
    names.dedup();
    assert_eq!(names.len(), 2, "the one that was sent again has a new name: {names:?}");
}

#[tokio::test]
async fn a_rung_that_did_not_heal_says_which_one_is_next() {
    let receiver = Receiver::start().await;
    let mut story = Story::new(0, receiver.address(), Rate::default()).await;
    let ladder = Route {
        otherwise: vec!["recreate".to_owned()],
        ..telling(&[NotifyEvent::NotHealed, NotifyEvent::Failed], verified("r"))
    };
    let world = &story.world;
    world.job_for(firing("a", world.ago(9)).via(ladder, "a")).await;
    world.end(world.claim_one().await, Outcome::Ok).await;
    world.pass(120);
    world.store.settle_due(world.now()).await.unwrap();
    let next = world.claim_one().await.job;
    assert_eq!(story.work().await, Next::Later);
    let got = bodies(&receiver);
    let expected = format!("the ladder goes on: the next rung is recreate on a ({next}).");
    assert!(text(&got[0]).contains(&expected), "{}", text(&got[0]));
}

#[tokio::test]
async fn a_job_that_was_not_run_says_why_and_shows_no_log_of_an_earlier_attempt() {
    let receiver = Receiver::start().await;
    let mut story = Story::new(0, receiver.address(), Rate::default()).await;
    let world = &story.world;
    let told = telling(&[NotifyEvent::Failed], route("r"));
    world.job_for(firing("a", world.ago(9)).via(told, "a")).await;
    let withdrawal = Withdrawal {
        reason: Reason::PreconditionFailed,
        message: "the precondition does not hold: up > 0".to_owned(),
    };
    let key = world.claim_one().await;
    world.store.withdraw(key, withdrawal, world.now()).await.unwrap();
    assert_eq!(story.work().await, Next::Later);
    let got = bodies(&receiver);
    let expected = "restart-container on a was not run: the precondition does not hold: up > 0\n";
    assert!(text(&got[0]).contains(expected), "{}", text(&got[0]));
    assert_eq!(got[0]["log_tail"], "");
}

#[tokio::test]
async fn a_log_that_cannot_be_read_keeps_no_message_from_being_sent() {
    let receiver = Receiver::start().await;
    let mut story = Story::new(0, receiver.address(), Rate::default()).await;
    let world = &story.world;
    let told = telling(&[NotifyEvent::Failed], route("r"));
    world.job_for(firing("a", world.ago(9)).via(told, "a")).await;
    let key = world.claim_one().await;
    world.store.append_log(key, 0, b"PLAY\n".to_vec()).await.unwrap();
    world.end(key, Outcome::HostsFailed).await;
    world.meddle("UPDATE log_chunks SET compressed = 1, data = x'00'");
    assert!(world.store.read_log(key.job, 1, 0, 100).await.is_err());
    assert_eq!(story.work().await, Next::Later);
    let got = bodies(&receiver);
    assert_eq!((got.len(), &got[0]["log_tail"]), (1, &Value::from("")));
    assert_eq!(story.world.told(key.job).await, ["notified: notified ops: failed"]);
}

#[tokio::test]
async fn a_job_that_cannot_be_read_is_tried_again_and_the_others_are_told_of() {
    let receiver = Receiver::start().await;
    let mut story = Story::new(2, receiver.address(), Rate::default()).await;
    story
        .world
        .meddle("UPDATE jobs SET parameters = '{}' WHERE id = (SELECT MIN(id) FROM jobs)");
    assert_eq!(story.work().await, Next::At(story.world.now() + Duration::from_secs(1)));
    assert_eq!(bodies(&receiver).len(), 1);
    let waits = story.world.outbox.next_message("ops").await.unwrap().unwrap();
    assert_eq!(waits.tries, 1);
}

/// A clock that breaks once, when it is looked at for the second time.
#[derive(Debug)]
struct BreaksOnce(StoryClock, AtomicUsize);

impl Clock for BreaksOnce {
    fn now(&self) -> Timestamp {
        assert_ne!(self.1.fetch_add(1, Ordering::SeqCst), 1, "it breaks");
        self.0.now()
    }
}

#[tokio::test]
async fn a_mistake_while_a_letter_is_written_ends_nobody_and_is_tried_again() {
    let receiver = Receiver::start().await;
    let world = Arc::new(World::new().await);
    let told = telling(&[NotifyEvent::Failed], route("r"));
    let job = world.job_for(firing("a", world.ago(9)).via(told, "a")).await;
    world.end(world.claim_one().await, Outcome::HostsFailed).await;
    let clock = Arc::new(BreaksOnce(StoryClock(Arc::clone(&world)), AtomicUsize::new(0)));
    let outbox = Arc::clone(&world.outbox);
    let mut story = Story::of((world, vec![job]), receiver.address(), Rate::default(), (outbox, clock));
    assert!(matches!(story.work().await, Next::At(_)));
    story.world.pass(1);
    assert_eq!(story.work().await, Next::Later);
    let mistake =
        "not_notified: could not notify ops: failed; trying again: a mistake in the program kept it from being sent";
    assert_eq!(story.world.told(job).await, [mistake, "notified: notified ops: failed"]);
}
