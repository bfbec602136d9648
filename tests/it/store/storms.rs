//! Too many alerts at once, and those that come back again and again: held back, told of, let pass in turn.

use std::time::Duration;

use healgate::domain::attempt::Outcome;
use healgate::domain::decision::DecisionKind;
use healgate::domain::route::Route;
use healgate::domain::rules::{FlapRule, Fleet, StormRule};
use healgate::domain::span::Span;
use healgate::store::read::JobFilter;

use super::brakes::{after, told};
use super::world::{Report, World, firing, first, resolved, route, verified};

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
            .release_held(Some("other".to_owned()), world.by("olaf"))
            .await
            .unwrap(),
        0
    );
    let storm = world.store.storm_held(1).await.unwrap();
    assert_eq!((storm.routes, storm.next.len()), (vec![("r".to_owned(), 2)], 1));
    assert_eq!(world.store.release_held(None, world.by("olaf")).await.unwrap(), 2);
    let again: Vec<DecisionKind> = world
        .decide_due()
        .await
        .into_iter()
        .map(|decision| decision.kind)
        .collect();
    assert_eq!(again, [Queued, Queued]);
    let passed = world
        .store
        .list_jobs(&JobFilter::default(), first(2))
        .await
        .unwrap()
        .items;
    for job in passed {
        let events = world.store.job_events(job.id, first(9)).await.unwrap().items;
        let told: Vec<(&str, &str)> = events
            .iter()
            .map(|event| (event.event.as_str(), event.by.as_str()))
            .collect();
        assert_eq!(told[1], ("let_pass", "olaf"), "{told:?}");
    }

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
    world.store.release_held(None, world.by("olaf")).await.unwrap();
    world.decide_due().await;
    assert_eq!(world.post(vec![report("f")]).await[0].kind, DecisionKind::Held);
    assert_eq!(world.events_for("ops").await, [""; 0], "it is the same storm still");
    world.pass(700);
    world.decide_due().await;
    world.post(vec![report("g"), report("h"), report("i")]).await;
    assert_eq!(world.events_for("ops").await, ["storm"]);
}
