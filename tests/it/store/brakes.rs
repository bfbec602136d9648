//! What holds jobs back, and what lets them go: pauses, cooldowns, caps, breakers, storms, flapping.

use std::time::Duration;

use healgate::domain::attempt::Outcome;
use healgate::domain::decision::DecisionKind;
use healgate::domain::ids::{JobId, Target};
use healgate::domain::job::{JobStatus, Reason};
use healgate::domain::notify::{Notify, NotifyEvent};
use healgate::domain::pause::Scope;
use healgate::domain::route::{Mode, Route};
use healgate::domain::rules::{BreakerRule, Cap, FlapRule, Fleet, StormRule};
use healgate::domain::span::Span;
use healgate::domain::timestamp::Timestamp;

use healgate::store::{By, Withdrawal};

use super::world::{Report, World, firing, resolved, route, verified};

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

fn told() -> Option<Notify> {
    Some(Notify {
        to: vec!["ops".to_owned()],
        events: vec![NotifyEvent::BreakerOpened, NotifyEvent::Storm, NotifyEvent::Exhausted],
    })
}

fn breaking() -> Route {
    Route {
        notify: told(),
        breaker: Some(BreakerRule {
            failures: 2,
            within: Span::from_secs(600),
            pause: Span::from_secs(300),
        }),
        ..route("r")
    }
}

async fn kinds(world: &World, report: Report) -> Vec<DecisionKind> {
    world
        .post(vec![report])
        .await
        .into_iter()
        .map(|decision| decision.kind)
        .collect()
}

/// Posts an alert whose job ends like that.
async fn ends(world: &World, fingerprint: &str, route: &Route, outcome: Outcome) -> JobId {
    let id = world
        .job_for(firing(fingerprint, world.ago(9)).via(route.clone(), fingerprint))
        .await;
    let key = world.claim_one().await;
    assert_eq!(key.job, id);
    world.end(key, outcome).await;
    id
}

fn after(world: &World, seconds: u64) -> Timestamp {
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
async fn a_breaker_opens_after_failures_lets_one_try_and_closes_when_that_goes_well() {
    let world = World::new().await;
    for fingerprint in ["a", "b"] {
        ends(&world, fingerprint, &breaking(), Outcome::HostsFailed).await;
    }
    let open = world.store.breakers().await.unwrap();
    assert_eq!(open.len(), 1);
    assert_eq!(open[0].until, Some(after(&world, 300)));
    assert_eq!(world.events_for("ops").await, ["breaker_opened"]);
    for fingerprint in ["c", "d"] {
        let report = firing(fingerprint, world.ago(9)).via(breaking(), fingerprint);
        assert_eq!(kinds(&world, report).await, [DecisionKind::Tripped]);
    }
    // Another route goes on.
    let other = firing("e", world.ago(9)).via(route("s"), "e");
    assert_eq!(kinds(&world, other).await, [DecisionKind::Queued]);
    world.end(world.claim_one().await, Outcome::Ok).await;

    world.pass(300);
    let again = world.decide_due().await;
    assert_eq!(again.len(), 1, "one of them tries: {again:#?}");
    let trial = again[0].job.unwrap();
    assert_eq!(world.store.breakers().await.unwrap()[0].trial, Some(trial));
    assert_eq!(world.held().await, [(DecisionKind::Tripped, None)]);
    world.end(world.claim_one().await, Outcome::Ok).await;
    assert_eq!(world.store.breakers().await.unwrap(), []);
    assert_eq!(world.decide_due().await[0].kind, DecisionKind::Queued);
    // What failed before it closed does not count any more.
    world.end(world.claim_one().await, Outcome::HostsFailed).await;
    assert_eq!(world.store.breakers().await.unwrap(), []);
}

#[tokio::test]
async fn what_was_not_allowed_to_run_opens_no_breaker_and_closes_none() {
    let world = World::new().await;
    let refused = Withdrawal {
        reason: Reason::PreconditionFailed,
        message: "the precondition does not hold".to_owned(),
    };
    for fingerprint in ["a", "b", "c"] {
        world
            .job_for(firing(fingerprint, world.ago(9)).via(breaking(), fingerprint))
            .await;
        let key = world.claim_one().await;
        world.store.withdraw(key, refused.clone(), world.now()).await.unwrap();
    }
    assert_eq!(world.store.breakers().await.unwrap(), []);

    for fingerprint in ["d", "e"] {
        ends(&world, fingerprint, &breaking(), Outcome::HostsFailed).await;
    }
    world.pass(300);
    let until = world.store.breakers().await.unwrap()[0].until;
    let trial = world.job_for(firing("f", world.ago(9)).via(breaking(), "f")).await;
    let key = world.claim_one().await;
    world.store.withdraw(key, refused, world.now()).await.unwrap();
    assert_eq!(world.state(trial).await.1, Some(Reason::PreconditionFailed));
    let breaker = world.store.breakers().await.unwrap().remove(0);
    assert_eq!((breaker.until, breaker.trial), (until, None), "the next one tries");
    assert_eq!(world.events_for("ops").await, ["breaker_opened"]);
}

#[tokio::test]
async fn a_trial_that_fails_opens_the_breaker_again_and_one_that_is_canceled_leaves_it_to_the_next() {
    let world = World::new().await;
    for fingerprint in ["a", "b"] {
        ends(&world, fingerprint, &breaking(), Outcome::HostsFailed).await;
    }
    world.pass(300);
    let report = |fingerprint: &str| firing(fingerprint, world.ago(9)).via(breaking(), fingerprint);
    let trial = world.job_for(report("c")).await;
    world.store.cancel(trial, world.by("ada")).await.unwrap();
    world.job_for(report("d")).await;
    world.end(world.claim_one().await, Outcome::HostsFailed).await;
    assert_eq!(world.store.breakers().await.unwrap()[0].until, Some(after(&world, 300)));
    assert_eq!(kinds(&world, report("e")).await, [DecisionKind::Tripped]);
}

#[tokio::test]
async fn a_job_that_waits_is_not_started_while_its_breaker_is_open_unless_a_person_made_it() {
    let world = World::new().await;
    let mut waiting = Vec::new();
    for fingerprint in ["a", "b"] {
        waiting.push(
            world
                .job_for(firing(fingerprint, world.ago(9)).via(breaking(), fingerprint))
                .await,
        );
    }
    world
        .store
        .open_breaker(Scope::Route("r".to_owned()), world.by("ada"))
        .await
        .unwrap();
    assert_eq!(world.claimed(10).await, []);
    let by_hand = world.by_hand(world.manual("by hand")).await;
    assert_eq!(world.claimed(10).await, [by_hand]);
    world.pass(3_000);
    assert_eq!(world.claimed(10).await, [], "only a person closes what a person opened");
    assert!(
        world
            .store
            .reset_breaker(Scope::Route("r".to_owned()), world.by("ada"))
            .await
            .unwrap()
    );
    assert!(
        !world
            .store
            .reset_breaker(Scope::Route("r".to_owned()), world.by("ada"))
            .await
            .unwrap()
    );
    assert_eq!(world.claimed(10).await, waiting);
}

#[tokio::test]
async fn of_the_jobs_that_waited_for_a_breaker_one_tries_first() {
    let world = World::new().await;
    for fingerprint in ["a", "b"] {
        world
            .job_for(firing(fingerprint, world.ago(9)).via(breaking(), fingerprint))
            .await;
    }
    let claims = world.claim(10).await;
    let mut waiting = Vec::new();
    for fingerprint in ["c", "d"] {
        waiting.push(
            world
                .job_for(firing(fingerprint, world.ago(9)).via(breaking(), fingerprint))
                .await,
        );
    }
    for claim in claims {
        world.end(claim.key, Outcome::HostsFailed).await;
    }
    assert_eq!(world.claimed(10).await, []);
    world.pass(300);
    let trial = world.claim_one().await;
    assert_eq!(trial.job, waiting[0]);
    assert_eq!(world.claimed(10).await, []);
    world.end(trial, Outcome::Ok).await;
    assert_eq!(world.claimed(10).await, [waiting[1]]);
}

#[tokio::test]
async fn the_breaker_of_all_routes_counts_every_failure() {
    let world = World::new().await;
    *world.fleet.lock().unwrap() = Fleet {
        breaker: breaking().breaker,
        tell_breaker: vec!["ops".to_owned()],
        ..Fleet::default()
    };
    ends(&world, "a", &route("r"), Outcome::HostsFailed).await;
    ends(&world, "b", &route("s"), Outcome::TimedOut).await;
    assert_eq!(world.store.breakers().await.unwrap()[0].scope, Scope::All);
    assert_eq!(
        world.events_for("ops").await,
        ["breaker_opened"],
        "whatever route did it"
    );
    let report = firing("c", world.ago(9)).via(route("t"), "c");
    assert_eq!(kinds(&world, report).await, [DecisionKind::Tripped]);
}

/// Two jobs in five minutes.
fn two_per_window() -> Fleet {
    Fleet {
        storm: Some(StormRule {
            jobs: 2,
            within: Span::from_secs(300),
        }),
        tell_storm: vec!["ops".to_owned()],
        ..Fleet::default()
    }
}

#[tokio::test]
async fn a_storm_is_held_until_the_window_allows_or_a_person_lets_it_pass() {
    let world = World::new().await;
    *world.fleet.lock().unwrap() = two_per_window();
    let loud = Route {
        notify: told(),
        ..route("r")
    };
    let reports = |names: &[&str]| -> Vec<Report> {
        let report = |name: &&str| firing(name, world.ago(9)).via(loud.clone(), name);
        names.iter().map(report).collect()
    };
    let decisions = world.post(reports(&["a", "b", "c", "d"])).await;
    let decided: Vec<DecisionKind> = decisions.iter().map(|decision| decision.kind).collect();
    use DecisionKind::{Held, Queued};
    assert_eq!(decided, [Queued, Queued, Held, Held]);
    world.post(reports(&["c"])).await;
    assert_eq!(world.events_for("ops").await, ["storm"], "it is told once");
    assert_eq!(world.held().await, [(Held, Some(after(&world, 300))); 2]);
    assert_eq!(
        world
            .store
            .release_held(Some("other".to_owned()), world.now())
            .await
            .unwrap(),
        0
    );
    assert_eq!(world.store.release_held(None, world.now()).await.unwrap(), 2);
    let again: Vec<DecisionKind> = world
        .decide_due()
        .await
        .into_iter()
        .map(|decision| decision.kind)
        .collect();
    assert_eq!(again, [Queued, Queued]);

    world.pass(1);
    assert_eq!(world.post(reports(&["e"])).await[0].kind, Held);
    world.pass(299);
    assert_eq!(world.decide_due().await[0].kind, Queued);
}

#[tokio::test]
async fn an_alert_that_comes_back_again_and_again_is_not_healed_for_ever() {
    for ladder in [vec![], vec!["recreate".to_owned()]] {
        let world = World::new().await;
        let flapping = Route {
            flap: Some(FlapRule {
                times: 2,
                within: Span::from_secs(3_600),
            }),
            otherwise: ladder.clone(),
            notify: told(),
            ..verified("r")
        };
        let began = world.now();
        for _ in 0..2 {
            world.job_for(firing("a", world.now()).via(flapping.clone(), "a")).await;
            world.end(world.claim_one().await, Outcome::Ok).await;
            world.pass(60);
            world.post(vec![resolved("a", world.ago(60), world.now())]).await;
            world.pass(400);
        }
        let decisions = world
            .post(vec![firing("a", world.now()).via(flapping.clone(), "a")])
            .await;
        assert!(
            decisions[0].reason.contains("the alert flaps"),
            "{}",
            decisions[0].reason
        );
        if ladder.is_empty() {
            assert_eq!(decisions[0].kind, DecisionKind::Flapping);
            let until = began + Duration::from_secs(60 + 3_600);
            assert_eq!(world.held().await, [(DecisionKind::Flapping, Some(until))]);
            world.post(vec![resolved("a", world.ago(1), world.now())]).await;
            world.pass(60);
            world.post(vec![firing("a", world.now()).via(flapping, "a")]).await;
            assert_eq!(world.events_for("ops").await, ["exhausted"], "people are told once");
        } else {
            assert_eq!(decisions[0].kind, DecisionKind::Queued);
            let job = world.job(decisions[0].job.unwrap()).await;
            assert_eq!(job.playbook, "recreate");
        }
    }
}

#[tokio::test]
async fn an_alert_that_flaps_goes_up_the_ladder_and_then_to_people() {
    let world = World::new().await;
    let flapping = Route {
        flap: Some(FlapRule {
            times: 2,
            within: Span::from_secs(36_000),
        }),
        otherwise: vec!["second".to_owned(), "third".to_owned()],
        notify: told(),
        ..verified("r")
    };
    let mut tried = Vec::new();
    for _ in 0..4 {
        let id = world.job_for(firing("a", world.now()).via(flapping.clone(), "a")).await;
        tried.push(world.job(id).await.playbook);
        world.end(world.claim_one().await, Outcome::Ok).await;
        world.pass(60);
        world.post(vec![resolved("a", world.ago(60), world.now())]).await;
        world.pass(400);
    }
    assert_eq!(
        tried,
        ["restart-container", "restart-container", "second", "third"],
        "each heals, and none for long"
    );
    let decisions = world.post(vec![firing("a", world.now()).via(flapping, "a")]).await;
    assert_eq!(decisions[0].kind, DecisionKind::Flapping);
    assert_eq!(world.events_for("ops").await, ["exhausted"]);
}

#[tokio::test]
async fn the_last_rung_of_an_alert_that_flaps_is_the_end_of_the_ladder_too() {
    let world = World::new().await;
    let flapping = Route {
        flap: Some(FlapRule {
            times: 1,
            within: Span::from_secs(36_000),
        }),
        otherwise: vec!["second".to_owned()],
        notify: told(),
        ..verified("r")
    };
    world.job_for(firing("a", world.now()).via(flapping.clone(), "a")).await;
    world.end(world.claim_one().await, Outcome::Ok).await;
    world.post(vec![resolved("a", world.now(), world.now())]).await;
    world.pass(400);
    let id = world.job_for(firing("a", world.now()).via(flapping, "a")).await;
    assert_eq!(world.job(id).await.playbook, "second");
    world.end(world.claim_one().await, Outcome::HostsFailed).await;
    assert_eq!(world.events_for("ops").await, ["exhausted"]);
}

#[tokio::test]
async fn what_a_storm_holds_waits_for_its_turn_and_the_storm_is_told_of_once_in_its_window() {
    let world = World::new().await;
    *world.fleet.lock().unwrap() = two_per_window();
    let report = |name: &str| firing(name, world.ago(9)).via(route("quiet"), name);
    world.post(vec![report("a")]).await;
    world.pass(100);
    world
        .post(vec![report("b"), report("c"), report("d"), report("e")])
        .await;
    let turns = [after(&world, 200), after(&world, 300), after(&world, 300)];
    assert_eq!(world.held().await, turns.map(|turn| (DecisionKind::Held, Some(turn))));
    // A repeat does not lose its turn.
    world.post(vec![report("c")]).await;
    assert_eq!(world.held().await, turns.map(|turn| (DecisionKind::Held, Some(turn))));
    world.pass(200);
    let again = world.decide_due().await;
    assert_eq!(again.len(), 1);
    assert_eq!(
        (again[0].kind, again[0].fingerprint.as_str()),
        (DecisionKind::Queued, "c")
    );
    assert_eq!(
        world.events_for("ops").await,
        ["storm"],
        "also where its route tells nobody"
    );
    world.store.release_held(None, world.now()).await.unwrap();
    world.decide_due().await;
    assert_eq!(world.post(vec![report("f")]).await[0].kind, DecisionKind::Held);
    assert_eq!(world.events_for("ops").await, [""; 0], "it is the same storm still");
    world.pass(700);
    world.decide_due().await;
    world.post(vec![report("g"), report("h"), report("i")]).await;
    assert_eq!(world.events_for("ops").await, ["storm"]);
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
async fn who_pauses_again_pauses_in_place_of_who_did_before() {
    let world = World::new().await;
    world.store.pause(Scope::All, world.by("ada")).await.unwrap();
    world.pass(60);
    let by = By {
        name: "bob".to_owned(),
        at: world.now(),
        comment: None,
    };
    let pause = world.store.pause(Scope::All, by).await.unwrap();
    assert_eq!(
        (pause.by.as_str(), pause.comment, pause.since),
        ("bob", None, world.now())
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
