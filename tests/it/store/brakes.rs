//! What holds jobs back, and what lets them go: pauses, cooldowns, caps, runs at once, changed rules.

use std::time::Duration;

use healgate::domain::act::ActKind;
use healgate::domain::attempt::Outcome;
use healgate::domain::decision::DecisionKind;
use healgate::domain::ids::{JobId, Target};
use healgate::domain::job::{JobStatus, Reason};
use healgate::domain::notify::{Notify, NotifyEvent};
use healgate::domain::pause::Scope;
use healgate::domain::route::{Mode, Route};
use healgate::domain::rules::Cap;
use healgate::domain::span::Span;
use healgate::domain::timestamp::Timestamp;

use healgate::store::By;

use super::world::{Report, World, firing, resolved, route};

fn cooling(seconds: u64) -> Route {
    Route {
        cooldown: Span::from_secs(seconds),
        ..route("r")
    }
}

fn capped(caps: &[(u32, u64)]) -> Route {
    let cap = |(jobs, seconds): &(u32, u64)| Cap {
        jobs: *jobs,
        per: Span::from_secs(*seconds),
    };
    Route {
        caps: caps.iter().map(cap).collect(),
        ..route("r")
    }
}

pub(super) fn told() -> Option<Notify> {
    Some(Notify {
        to: vec!["ops".to_owned()],
        events: vec![NotifyEvent::BreakerOpened, NotifyEvent::Storm, NotifyEvent::Exhausted],
    })
}

pub(super) async fn kinds(world: &World, report: Report) -> Vec<DecisionKind> {
    world
        .post(vec![report])
        .await
        .into_iter()
        .map(|decision| decision.kind)
        .collect()
}

/// Posts an alert whose job ends like that.
pub(super) async fn ends(world: &World, fingerprint: &str, route: &Route, outcome: Outcome) -> JobId {
    let id = world
        .job_for(firing(fingerprint, world.ago(9)).via(route.clone(), fingerprint))
        .await;
    let key = world.claim_one().await;
    assert_eq!(key.job, id);
    world.end(key, outcome).await;
    id
}

pub(super) fn after(world: &World, seconds: u64) -> Timestamp {
    world.now() + Duration::from_secs(seconds)
}

#[tokio::test]
async fn what_is_paused_is_recorded_and_decided_again_when_it_goes_on() {
    let target = Target::parse("a").unwrap();
    for scope in [Scope::All, Scope::Route("r".to_owned()), Scope::Target(target)] {
        let world = World::new().await;
        let pause = world.store.pause(scope.clone(), world.by("ada")).await.unwrap();
        assert_eq!((pause.by.as_str(), pause.comment.as_deref()), ("ada", Some("because")));
        let decisions = world.post(vec![firing("a", world.ago(9)).via(route("r"), "a")]).await;
        assert_eq!((decisions[0].kind, decisions[0].job), (DecisionKind::Paused, None));
        assert!(decisions[0].reason.contains("paused by ada") && decisions[0].reason.contains("because"));
        assert_eq!(world.held().await, [(DecisionKind::Paused, None)]);
        assert_eq!(world.decide_due().await, []);

        world.pass(600);
        assert!(world.store.resume(scope.clone(), world.by("bob")).await.unwrap());
        assert!(!world.store.resume(scope, world.by("bob")).await.unwrap());
        let again = world.decide_due().await;
        assert_eq!(again.len(), 1);
        assert_eq!(again[0].kind, DecisionKind::Queued);
        assert_eq!(world.held().await, []);
        assert_eq!(world.claimed(10).await, [again[0].job.unwrap()]);
    }
}

#[tokio::test]
async fn what_waits_is_not_started_while_it_is_paused_and_what_runs_ends() {
    let world = World::new().await;
    let runs = world.job_for(firing("a", world.ago(9)).via(route("r"), "a")).await;
    let key = world.claim_one().await;
    let waits = world.job_for(firing("b", world.ago(9)).via(route("r"), "b")).await;
    let other = world.job_for(firing("c", world.ago(9)).via(route("s"), "c")).await;
    world
        .store
        .pause(Scope::Route("r".to_owned()), world.by("ada"))
        .await
        .unwrap();
    assert_eq!(world.claimed(10).await, [other]);
    world.end(key, Outcome::Ok).await;
    assert_eq!(world.state(runs).await.0, JobStatus::Succeeded);
    assert_eq!(world.claimed(10).await, []);
    world
        .store
        .resume(Scope::Route("r".to_owned()), world.by("ada"))
        .await
        .unwrap();
    assert_eq!(world.claimed(10).await, [waits]);
}

#[tokio::test]
async fn what_resolved_while_it_was_held_back_is_forgotten() {
    let world = World::new().await;
    world.store.pause(Scope::All, world.by("ada")).await.unwrap();
    world.post(vec![firing("a", world.ago(9)).via(route("r"), "a")]).await;
    world.post(vec![resolved("a", world.ago(9), world.ago(1))]).await;
    assert_eq!(world.held().await, []);
    world.store.resume(Scope::All, world.by("ada")).await.unwrap();
    assert_eq!(world.decide_due().await, []);
    assert_eq!(world.claimed(10).await, []);
}

#[tokio::test]
async fn a_cooldown_begins_at_the_end_of_a_job_and_is_over_by_itself() {
    let world = World::new().await;
    let id = world.job_for(firing("a", world.ago(9)).via(cooling(300), "one")).await;
    // Another alert about the same target, while the first one's job waits, runs, and has just ended.
    let other = || firing("b", world.ago(9)).via(cooling(300), "one");
    assert_eq!(kinds(&world, other()).await, [DecisionKind::CoolingDown]);
    let key = world.claim_one().await;
    assert_eq!(kinds(&world, other()).await, [DecisionKind::CoolingDown]);
    assert_eq!(world.held().await, [(DecisionKind::CoolingDown, None)]);
    world.pass(10);
    world.end(key, Outcome::HostsFailed).await;
    assert_eq!(world.state(id).await, (JobStatus::Failed, Some(Reason::HostsFailed)));
    // The end of the job wakes it: now it is known until when.
    assert_eq!(world.decide_due().await, []);
    assert_eq!(
        world.held().await,
        [(DecisionKind::CoolingDown, Some(after(&world, 300)))]
    );
    world.pass(299);
    assert_eq!(world.decide_due().await, []);
    assert_eq!(world.store.next_held().await.unwrap(), Some(after(&world, 1)));
    world.pass(1);
    let again = world.decide_due().await;
    assert_eq!(again[0].kind, DecisionKind::Queued);
    assert_eq!(world.held().await, []);
    // Another target of the route was never held.
    let elsewhere = firing("c", world.ago(9)).via(cooling(300), "two");
    assert_eq!(kinds(&world, elsewhere).await, [DecisionKind::Queued]);
}

#[tokio::test]
async fn a_job_that_never_started_begins_no_cooldown() {
    let world = World::new().await;
    let id = world.job_for(firing("a", world.ago(9)).via(cooling(300), "one")).await;
    world.store.cancel(id, world.by("ada")).await.unwrap();
    let other = firing("b", world.ago(9)).via(cooling(300), "one");
    assert_eq!(kinds(&world, other).await, [DecisionKind::Queued]);
}

#[tokio::test]
async fn caps_count_what_started_in_their_windows_whoever_started_it() {
    let world = World::new().await;
    let route = capped(&[(2, 600), (3, 3_600)]);
    let report = |fingerprint: &str| firing(fingerprint, world.ago(9)).via(route.clone(), "one");
    let first = world.job_for(report("a")).await;
    world.end(world.claim_one().await, Outcome::Ok).await;
    let began = world.now();
    world.pass(100);
    world.rerun(first).await;
    world.end(world.claim_one().await, Outcome::Ok).await;
    let decisions = world.post(vec![report("b")]).await;
    assert_eq!(decisions[0].kind, DecisionKind::Capped);
    assert!(decisions[0].reason.contains("2 per 10m"), "{}", decisions[0].reason);
    assert_eq!(
        world.held().await,
        [(DecisionKind::Capped, Some(began + Duration::from_secs(600)))]
    );
    world.pass(500);
    let again = world.decide_due().await;
    assert_eq!(again[0].kind, DecisionKind::Queued);
    world.end(world.claim_one().await, Outcome::Ok).await;
    // Now the longer window is full.
    world.pass(700);
    let decisions = world.post(vec![report("c")]).await;
    assert!(decisions[0].reason.contains("3 per 1h"), "{}", decisions[0].reason);
    assert_eq!(
        world.held().await,
        [(DecisionKind::Capped, Some(began + Duration::from_secs(3_600)))]
    );
}

#[tokio::test]
async fn waiting_jobs_count_for_caps_until_they_are_gone() {
    let world = World::new().await;
    let route = Route {
        mode: Mode::Approve,
        ..capped(&[(1, 600)])
    };
    let waits = world.job_for(firing("a", world.ago(9)).via(route.clone(), "one")).await;
    assert_eq!(
        kinds(&world, firing("b", world.ago(9)).via(route, "one")).await,
        [DecisionKind::Capped]
    );
    assert_eq!(world.held().await, [(DecisionKind::Capped, None)]);
    world
        .store
        .answer(waits, healgate::store::Answer::Reject, world.by("ada"))
        .await
        .unwrap();
    let again = world.decide_due().await;
    assert_eq!(again[0].kind, DecisionKind::AwaitingApproval);
}

#[tokio::test]
async fn rules_that_changed_are_looked_at_without_waiting_for_their_time() {
    let world = World::new().await;
    let strict = capped(&[(1, 86_400)]);
    ends(&world, "a", &strict, Outcome::Ok).await;
    world.pass(1);
    let second = || firing("b", world.ago(9)).via(strict.clone(), "a");
    assert_eq!(kinds(&world, second()).await, [DecisionKind::Capped]);
    assert_eq!(world.decide_due().await, []);
    world.replace_route(capped(&[(2, 86_400)]));
    world.store.reconsider_held(world.now()).await.unwrap();
    assert_eq!(world.decide_due().await[0].kind, DecisionKind::Queued);
}

#[tokio::test]
async fn who_did_what_to_all_is_kept_when_nothing_else_names_them_any_more() {
    let world = World::new().await;
    let began = world.now();
    let route = Scope::Route("nginx-down".to_owned());
    world.store.pause(Scope::All, world.by("ada")).await.unwrap();
    world.pass(60);
    world.store.open_breaker(route.clone(), world.by("bob")).await.unwrap();
    // What changes nothing is nothing that was done.
    world.store.resume(route.clone(), world.by("bob")).await.unwrap();
    world.store.reset_breaker(Scope::All, world.by("bob")).await.unwrap();
    world.store.release_held(None, world.by("bob")).await.unwrap();
    world.pass(60);
    world.store.resume(Scope::All, world.by("eve")).await.unwrap();
    world.store.reset_breaker(route.clone(), world.by("eve")).await.unwrap();
    let acts = world.store.acts(began, 10).await.unwrap();
    let told: Vec<_> = acts
        .iter()
        .map(|act| (act.kind, &act.scope, act.by.as_str(), act.comment.as_deref()))
        .collect();
    let because = Some("because");
    assert_eq!(
        told,
        [
            (ActKind::ClosedBreaker, &route, "eve", because),
            (ActKind::Resumed, &Scope::All, "eve", because),
            (ActKind::OpenedBreaker, &route, "bob", because),
            (ActKind::Paused, &Scope::All, "ada", because),
        ]
    );
    assert_eq!(acts[0].at, world.now());
    assert_eq!(world.store.acts(world.now(), 10).await.unwrap().len(), 2);
    assert_eq!(world.store.acts(began, 1).await.unwrap(), acts[..1]);
    for _ in 0..120 {
        world.store.pause(Scope::All, world.by("ada")).await.unwrap();
    }
    assert_eq!(world.store.acts(began, 500).await.unwrap().len(), 100);
}

#[tokio::test]
async fn who_pauses_again_pauses_in_place_of_who_did_before_if_they_say_why() {
    let world = World::new().await;
    let first = world.store.pause(Scope::All, world.by("ada")).await.unwrap();
    world.pass(60);
    let by = |comment: Option<&str>| By {
        name: "bob".to_owned(),
        at: world.now(),
        comment: comment.map(str::to_owned),
    };
    assert_eq!(world.store.pause(Scope::All, by(None)).await.unwrap(), first);
    let pause = world.store.pause(Scope::All, by(Some("the disk"))).await.unwrap();
    assert_eq!(
        (pause.by.as_str(), pause.comment.as_deref(), pause.since),
        ("bob", Some("the disk"), world.now())
    );
    assert_eq!(world.store.pauses().await.unwrap().len(), 1);
}

#[tokio::test]
async fn no_more_jobs_of_a_route_run_at_once_than_it_says() {
    let world = World::new().await;
    let route = Route {
        at_once: Some(2),
        ..route("r")
    };
    let mut jobs = Vec::new();
    for fingerprint in ["a", "b", "c"] {
        jobs.push(
            world
                .job_for(firing(fingerprint, world.ago(9)).via(route.clone(), fingerprint))
                .await,
        );
    }
    let claims = world.claim(10).await;
    assert_eq!(claims.iter().map(|claim| claim.key.job).collect::<Vec<_>>(), jobs[..2]);
    assert_eq!(world.claimed(10).await, []);
    world.end(claims[0].key, Outcome::Ok).await;
    assert_eq!(world.claimed(10).await, jobs[2..]);
}

#[tokio::test]
async fn a_route_that_is_gone_lets_go_of_what_it_held_back() {
    let world = World::new().await;
    world.store.pause(Scope::All, world.by("ada")).await.unwrap();
    world.post(vec![firing("a", world.ago(9)).via(route("r"), "a")]).await;
    world.forget_routes();
    world.store.resume(Scope::All, world.by("ada")).await.unwrap();
    let again = world.decide_due().await;
    assert_eq!((again[0].kind, again[0].job), (DecisionKind::Unmatched, None));
    assert_eq!(world.held().await, []);
}
