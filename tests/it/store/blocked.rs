//! Jobs that wait and may not start: they are in nobody's way, they go on by themselves, and their alerts are not forgotten.

use std::time::Duration;

use healgate::domain::attempt::{AttemptKey, Outcome};
use healgate::domain::decision::DecisionKind;
use healgate::domain::ids::JobId;
use healgate::domain::job::{JobStatus, Reason};
use healgate::domain::pause::Scope;
use healgate::domain::route::{Mode, Route};
use healgate::domain::rules::{BreakerRule, Retry};
use healgate::domain::span::Span;
use healgate::store::{Answer, Claim};

use super::world::{World, firing, resolved, route, verified};

fn scope(text: &str) -> Scope {
    text.parse().unwrap()
}

async fn pause(world: &World, of: &str) {
    world.store.pause(scope(of), world.by("ada")).await.unwrap();
}

async fn resume(world: &World, of: &str) {
    assert!(world.store.resume(scope(of), world.by("ada")).await.unwrap());
}

async fn waiting(world: &World, fingerprint: &str, route: &Route, target: &str) -> JobId {
    let report = firing(fingerprint, world.ago(9)).via(route.clone(), target);
    world.job_for(report).await
}

/// A breaker that two failures open for five minutes.
fn breaking() -> Route {
    Route {
        breaker: Some(BreakerRule {
            failures: 2,
            within: Span::from_secs(600),
            pause: Span::from_secs(300),
        }),
        ..route("r")
    }
}

/// A second attempt after ten seconds.
fn twice() -> Retry {
    Retry {
        attempts: 2,
        backoff: Span::from_secs(10),
        max_backoff: Span::from_secs(10),
        outcomes: vec![Outcome::HostsFailed],
    }
}

async fn trip(world: &World, route: &Route) {
    for fingerprint in ["x", "y"] {
        let id = waiting(world, fingerprint, route, fingerprint).await;
        let key = world.claim_one().await;
        assert_eq!(key.job, id);
        world.end(key, Outcome::HostsFailed).await;
    }
    assert_eq!(world.store.breakers().await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_job_that_may_not_start_holds_its_target_against_nobody() {
    let world = World::new().await;
    let held_up = waiting(&world, "a", &route("r"), "one").await;
    pause(&world, "route:r").await;
    let other = waiting(&world, "b", &route("s"), "one").await;
    let key = world.claim_one().await;
    assert_eq!(key.job, other);
    assert!(world.history(held_up).await.contains(&"blocked".to_owned()));
    resume(&world, "route:r").await;
    assert_eq!(world.claimed(10).await, [], "the target is busy");
    world.end(key, Outcome::Ok).await;
    assert_eq!(world.claimed(10).await, [held_up]);
}

#[tokio::test]
async fn what_a_person_asks_for_passes_jobs_that_wait_for_a_breaker_or_for_the_routes_limit() {
    let world = World::new().await;
    let narrow = Route {
        at_once: Some(1),
        ..route("narrow")
    };
    waiting(&world, "a", &narrow, "one").await;
    let first = world.claim_one().await;
    let behind = waiting(&world, "b", &narrow, "two").await;
    let tripping = waiting(&world, "c", &breaking(), "three").await;
    world
        .store
        .open_breaker(scope("route:r"), world.by("ada"))
        .await
        .unwrap();
    let by_hand = [
        world.by_hand(world.manual("two")).await,
        world.by_hand(world.manual("three")).await,
    ];
    let claimed: Vec<AttemptKey> = world.claim(10).await.iter().map(|claim| claim.key).collect();
    assert_eq!(claimed.iter().map(|key| key.job).collect::<Vec<_>>(), by_hand);
    for key in claimed {
        world.end(key, Outcome::Ok).await;
    }
    assert_eq!(world.claimed(10).await, []);
    world.end(first, Outcome::Ok).await;
    assert_eq!(world.claimed(10).await, [behind]);
    world
        .store
        .reset_breaker(scope("route:r"), world.by("ada"))
        .await
        .unwrap();
    assert_eq!(world.claimed(10).await, [tripping]);
}

#[tokio::test]
async fn a_job_between_its_attempts_keeps_its_target_though_it_may_not_go_on() {
    let world = World::new().await;
    let retrying = Route {
        retry: Some(twice()),
        ..route("r")
    };
    let id = waiting(&world, "a", &retrying, "one").await;
    world.end(world.claim_one().await, Outcome::HostsFailed).await;
    pause(&world, "route:r").await;
    world.pass(60);
    world.by_hand(world.manual("one")).await;
    assert_eq!(world.claimed(10).await, []);
    resume(&world, "route:r").await;
    assert_eq!(world.claimed(10).await, [id]);
}

#[tokio::test]
async fn more_jobs_than_fit_into_one_step_are_passed_over_and_taken_up_again() {
    let world = World::new().await;
    let many: Vec<_> = (0..450)
        .map(|number| firing(&format!("a{number}"), world.ago(9)).via(route("r"), &format!("t{number}")))
        .collect();
    world.post(many).await;
    pause(&world, "route:r").await;
    let free = waiting(&world, "b", &route("s"), "free").await;
    let mut steps = 0;
    while world.claimed(1).await != [free] {
        steps += 1;
        assert!(steps < 5, "it is never its turn");
    }
    assert!(steps > 0, "all of them in one step");
    resume(&world, "route:r").await;
    let mut claimed = 0;
    loop {
        let step = world.claim(500).await.len();
        claimed += step;
        if step == 0 {
            break;
        }
    }
    assert_eq!(claimed, 450);
}

#[tokio::test]
async fn a_job_that_waited_and_an_alert_that_was_held_back_do_not_stop_each_other_from_trying() {
    let world = World::new().await;
    let waits = waiting(&world, "a", &breaking(), "one").await;
    pause(&world, "target:one").await;
    trip(&world, &breaking()).await;
    resume(&world, "target:one").await;
    let report = firing("b", world.ago(9)).via(breaking(), "one");
    assert_eq!(world.post(vec![report]).await[0].kind, DecisionKind::Tripped);
    assert_eq!(world.claimed(10).await, []);
    world.pass(300);
    let trial = world.decide_due().await[0].job.unwrap();
    let key = world.claim_one().await;
    assert_eq!(key.job, trial, "the one that waited longer is not in its way");
    world.end(key, Outcome::Ok).await;
    assert_eq!(world.store.breakers().await.unwrap(), []);
    assert_eq!(world.claimed(10).await, [waits]);
}

#[tokio::test]
async fn of_the_jobs_that_a_breaker_blocks_one_tries_at_a_time() {
    let world = World::new().await;
    let waits = [
        waiting(&world, "a", &breaking(), "one").await,
        waiting(&world, "b", &breaking(), "two").await,
    ];
    pause(&world, "target:one").await;
    pause(&world, "target:two").await;
    trip(&world, &breaking()).await;
    resume(&world, "target:one").await;
    resume(&world, "target:two").await;
    assert_eq!(world.claimed(10).await, []);
    world.pass(300);
    let key = world.claim_one().await;
    assert_eq!(key.job, waits[0]);
    assert_eq!(world.claimed(10).await, []);
    world.end(key, Outcome::HostsFailed).await;
    assert_eq!(world.claimed(10).await, [], "it is open again");
    world.pass(300);
    let key = world.claim_one().await;
    assert_eq!(key.job, waits[1]);
}

#[tokio::test]
async fn a_trial_that_may_not_go_on_leaves_it_to_others() {
    let world = World::new().await;
    let retrying = Route {
        retry: Some(twice()),
        ..breaking()
    };
    trip(&world, &breaking()).await;
    world.pass(300);
    let trial = waiting(&world, "a", &retrying, "one").await;
    world.end(world.claim_one().await, Outcome::HostsFailed).await;
    let report = firing("b", world.ago(9)).via(breaking(), "two");
    assert_eq!(world.post(vec![report]).await[0].kind, DecisionKind::Tripped);
    pause(&world, "target:one").await;
    world.pass(60);
    assert_eq!(world.claimed(10).await, []);
    assert_eq!(world.state(trial).await.0, JobStatus::Queued);
    let other = world.decide_due().await[0].job.unwrap();
    let key = world.claim_one().await;
    assert_eq!(key.job, other);
    world.end(key, Outcome::Ok).await;
    assert_eq!(world.store.breakers().await.unwrap(), []);
}

#[tokio::test]
async fn a_begun_job_that_a_breaker_stops_and_a_new_one_behind_it_do_not_wait_for_each_other() {
    let world = World::new().await;
    let retrying = Route {
        retry: Some(twice()),
        ..breaking()
    };
    let begun = waiting(&world, "a", &retrying, "one").await;
    world.end(world.claim_one().await, Outcome::HostsFailed).await;
    trip(&world, &breaking()).await;
    world.pass(60);
    assert_eq!(world.claimed(10).await, [], "it is blocked, and holds its target");
    let report = firing("b", world.ago(9)).via(breaking(), "one");
    assert_eq!(world.post(vec![report]).await[0].kind, DecisionKind::Tripped);
    world.pass(300);
    world.decide_due().await;
    let key = world.claim_one().await;
    assert_eq!((key.job, key.number), (begun, 2), "the one that holds the target tries");
    world.end(key, Outcome::Ok).await;
    assert_eq!(world.store.breakers().await.unwrap(), []);
    world.decide_due().await;
    assert_eq!(world.claimed(10).await.len(), 1);
}

#[tokio::test]
async fn a_rung_keeps_the_target_that_it_has_taken_over() {
    let world = World::new().await;
    let narrow = Route {
        at_once: Some(1),
        otherwise: vec!["second".to_owned()],
        ..route("narrow")
    };
    waiting(&world, "a", &narrow, "one").await;
    let key = world.claim_one().await;
    let older = waiting(&world, "b", &narrow, "two").await;
    let other = waiting(&world, "c", &route("s"), "one").await;
    assert_eq!(world.claimed(10).await, []);
    world.pass(1);
    world.end(key, Outcome::HostsFailed).await;
    let next = world.claim_one().await;
    assert_eq!(next.job, older);
    assert_eq!(world.claimed(10).await, [], "nobody gets in between");
    world.end(next, Outcome::Ok).await;
    let rung = world.claim_one().await;
    assert_eq!(world.job(rung.job).await.follows, Some(key.job));
    world.end(rung, Outcome::Ok).await;
    assert_eq!(world.claimed(10).await, [other]);
}

#[tokio::test]
async fn a_trial_that_knows_no_rule_opens_the_breaker_for_as_long_as_before() {
    let world = World::new().await;
    // Made before the route had a breaker.
    waiting(&world, "a", &route("r"), "one").await;
    pause(&world, "target:one").await;
    trip(&world, &breaking()).await;
    resume(&world, "target:one").await;
    world.pass(300);
    world.end(world.claim_one().await, Outcome::HostsFailed).await;
    let breaker = &world.store.breakers().await.unwrap()[0];
    assert_eq!(breaker.until, Some(world.now() + Duration::from_secs(300)));
}

#[tokio::test]
async fn a_clean_up_neither_waits_for_a_breaker_nor_tries_it() {
    let world = World::new().await;
    let cleaning = Route {
        on_resolved: healgate::domain::route::OnResolved::Run("tidy".to_owned()),
        ..breaking()
    };
    waiting(&world, "a", &cleaning, "one").await;
    let key = world.claim_one().await;
    trip(&world, &cleaning).await;
    world.post(vec![resolved("a", world.ago(9), world.now())]).await;
    world.pass(1);
    world.end(key, Outcome::Ok).await;
    let tidy = world.claim(10).await;
    assert_eq!(tidy.len(), 1);
    assert_eq!(tidy[0].job.playbook, "tidy");
    world.pass(300);
    world.end(tidy[0].key, Outcome::HostsFailed).await;
    assert_eq!(world.store.breakers().await.unwrap()[0].trial, None);
}

#[tokio::test]
async fn an_alert_whose_job_expired_while_it_was_paused_is_decided_again_when_it_goes_on() {
    let world = World::new().await;
    let id = waiting(&world, "a", &route("r"), "one").await;
    pause(&world, "all").await;
    world.pass(3_600);
    world.store.settle_due(world.now()).await.unwrap();
    assert_eq!(world.state(id).await, (JobStatus::Canceled, Some(Reason::Expired)));
    let decided = world.decide_due().await;
    assert_eq!(decided[0].kind, DecisionKind::Paused);
    assert_eq!(world.held().await, [(DecisionKind::Paused, None)]);
    resume(&world, "all").await;
    assert_eq!(world.decide_due().await[0].kind, DecisionKind::Queued);
    assert_eq!(world.claimed(10).await.len(), 1);

    // What expired because nothing was free waits for the next report.
    let world = World::new().await;
    waiting(&world, "a", &route("r"), "one").await;
    world.pass(3_600);
    world.store.settle_due(world.now()).await.unwrap();
    assert_eq!(world.held().await, []);
}

#[tokio::test]
async fn a_rung_that_expired_while_its_breaker_was_open_is_made_anew() {
    let world = World::new().await;
    let climbing = Route {
        otherwise: vec!["second".to_owned()],
        ..route("r")
    };
    waiting(&world, "a", &climbing, "one").await;
    let key = world.claim_one().await;
    world
        .store
        .open_breaker(scope("route:r"), world.by("ada"))
        .await
        .unwrap();
    world.end(key, Outcome::HostsFailed).await;
    assert_eq!(world.claimed(10).await, []);
    world.pass(3_600);
    world.store.settle_due(world.now()).await.unwrap();
    world.decide_due().await;
    assert_eq!(world.held().await, [(DecisionKind::Tripped, None)]);
    world.pass(60);
    assert!(
        world
            .store
            .reset_breaker(scope("route:r"), world.by("ada"))
            .await
            .unwrap()
    );
    world.decide_due().await;
    let claimed = world.claim(10).await;
    assert_eq!(claimed.len(), 1);
    assert_eq!(claimed[0].job.playbook, "second");
    assert_eq!(claimed[0].job.follows, Some(key.job));
    assert_eq!(world.held().await, []);
}

#[tokio::test]
async fn what_a_person_approved_late_may_wait_as_long_as_the_routes_jobs_may() {
    let world = World::new().await;
    let careful = Route {
        mode: Mode::Approve,
        approval_expires: Span::from_secs(43_200),
        expires: Span::from_secs(300),
        ..route("r")
    };
    let id = waiting(&world, "a", &careful, "one").await;
    world.pass(40_000);
    world.store.answer(id, Answer::Approve, world.by("ada")).await.unwrap();
    world.pass(299);
    world.store.settle_due(world.now()).await.unwrap();
    assert_eq!(world.state(id).await.0, JobStatus::Queued);
    world.pass(1);
    world.store.settle_due(world.now()).await.unwrap();
    assert_eq!(world.state(id).await, (JobStatus::Canceled, Some(Reason::Expired)));
}

async fn claimed_for(world: &World) -> Claim {
    waiting(world, "a", &verified("r"), "one").await;
    world.claim(1).await.remove(0)
}

#[tokio::test]
async fn what_happens_between_the_claim_and_the_start_counts() {
    let world = World::new().await;
    let claim = claimed_for(&world).await;
    assert!(world.store.confirm(claim.key, world.now()).await.unwrap());
    pause(&world, "target:one").await;
    assert!(!world.store.confirm(claim.key, world.now()).await.unwrap());
    assert_eq!(world.state(claim.key.job).await, (JobStatus::Queued, None));
    assert!(world.store.confirm(claim.key, world.now()).await.is_err(), "it is lost");
    resume(&world, "target:one").await;

    let again = world.claim_one().await;
    assert_eq!((again.job, again.number), (claim.key.job, 1));
    world
        .store
        .open_breaker(scope("route:r"), world.by("ada"))
        .await
        .unwrap();
    assert!(!world.store.confirm(again, world.now()).await.unwrap());
    world
        .store
        .reset_breaker(scope("route:r"), world.by("ada"))
        .await
        .unwrap();

    let again = world.claim_one().await;
    world.post(vec![resolved("a", world.ago(9), world.now())]).await;
    assert!(!world.store.confirm(again, world.now()).await.unwrap());
    assert_eq!(
        world.state(again.job).await,
        (JobStatus::Canceled, Some(Reason::ResolvedMeanwhile))
    );

    let world = World::new().await;
    let claim = claimed_for(&world).await;
    world.store.cancel(claim.key.job, world.by("bob")).await.unwrap();
    assert!(!world.store.confirm(claim.key, world.now()).await.unwrap());
    assert_eq!(
        world.state(claim.key.job).await,
        (JobStatus::Canceled, Some(Reason::Canceled))
    );
}
