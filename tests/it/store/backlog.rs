//! What waits, and since when: jobs for a slot, a target or a person, and messages.

use healgate::domain::attempt::Outcome;
use healgate::domain::notify::NotifyEvent;
use healgate::domain::pause::Scope;
use healgate::domain::route::Route;
use healgate::domain::rules::Retry;
use healgate::domain::span::Span;
use healgate::store::read::{Backlog, PendingMessages};

use super::world::{World, firing, route, telling};

async fn backlog(world: &World) -> Backlog {
    world.store.backlog(world.now()).await.unwrap()
}

async fn pause(world: &World, scope: &str) {
    let scope: Scope = scope.parse().unwrap();
    world.store.pause(scope, world.by("ada")).await.unwrap();
}

#[tokio::test]
async fn a_job_waits_for_a_slot_until_it_is_claimed_and_the_next_one_for_its_target() {
    let world = World::new().await;
    assert_eq!(backlog(&world).await, Backlog::default());
    let first = world.now();
    world.by_hand(world.manual("one")).await;
    world.pass(5);
    let second = world.now();
    world.by_hand(world.manual("one")).await;
    world.pass(5);
    world.by_hand(world.manual("one")).await;
    let all = Backlog {
        for_slot: Some(first),
        for_target: Some(second),
        ..Backlog::default()
    };
    assert_eq!(backlog(&world).await, all);
    let key = world.claim_one().await;
    let behind = Backlog { for_slot: None, ..all };
    assert_eq!(backlog(&world).await, behind);
    world.end(key, Outcome::Ok).await;
    assert_eq!(backlog(&world).await.for_slot, Some(second));
}

#[tokio::test]
async fn a_job_between_its_attempts_waits_for_nothing_until_its_time_has_come() {
    let world = World::new().await;
    let retrying = Route {
        retry: Some(Retry {
            attempts: 2,
            backoff: Span::from_secs(10),
            max_backoff: Span::from_secs(10),
            outcomes: vec![Outcome::HostsFailed],
        }),
        ..route("r")
    };
    let id = world.job_for(firing("a", world.ago(9)).via(retrying, "one")).await;
    world.end(world.claim_one().await, Outcome::HostsFailed).await;
    assert_eq!(backlog(&world).await, Backlog::default());
    world.pass(60);
    let since = world.job(id).await.run_at;
    assert!(since < world.now());
    assert_eq!(backlog(&world).await.for_slot, Some(since));
}

#[tokio::test]
async fn what_a_pause_keeps_from_starting_waits_for_its_release() {
    let world = World::new().await;
    let since = world.now();
    world.job_for(firing("a", world.ago(9)).via(route("r"), "one")).await;
    let free = Backlog {
        for_slot: Some(since),
        ..Backlog::default()
    };
    let held = Backlog {
        for_release: Some(since),
        ..Backlog::default()
    };
    assert_eq!(backlog(&world).await, free);
    pause(&world, "all").await;
    world.by_hand(world.manual("one")).await;
    assert_eq!(world.claimed(10).await, []);
    assert_eq!(
        backlog(&world).await,
        held,
        "nobody waits for a target that nobody may hold"
    );
    world
        .store
        .resume("all".parse().unwrap(), world.by("ada"))
        .await
        .unwrap();
    assert_eq!(backlog(&world).await.for_slot, Some(since));
    let world = World::new().await;
    world.job_for(firing("a", world.ago(9)).via(route("r"), "one")).await;
    pause(&world, "route:r").await;
    assert_eq!(world.claimed(10).await, []);
    assert_eq!(backlog(&world).await.for_release, Some(since));
    assert_eq!(backlog(&world).await.for_slot, None);
}

#[tokio::test]
async fn messages_wait_by_notifier_until_they_are_sent() {
    let world = World::new().await;
    let since = world.now();
    for target in ["one", "two"] {
        let report = firing(target, world.ago(9)).via(telling(&[NotifyEvent::Failed], route("r")), target);
        world.job_for(report).await;
        world.end(world.claim_one().await, Outcome::HostsFailed).await;
        world.pass(5);
    }
    let pending = PendingMessages {
        notifier: "ops".to_owned(),
        count: 2,
        oldest: since,
    };
    assert_eq!(backlog(&world).await.messages, [pending]);
    assert_eq!(world.messages("ops").await.len(), 2);
    assert_eq!(backlog(&world).await.messages, []);
}
