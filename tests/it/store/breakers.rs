//! Circuit breakers: opened by failures, tried by one job, closed by its success.

use healgate::domain::attempt::Outcome;
use healgate::domain::decision::DecisionKind;
use healgate::domain::job::Reason;
use healgate::domain::pause::Scope;
use healgate::domain::route::Route;
use healgate::domain::rules::{BreakerRule, Fleet};
use healgate::domain::span::Span;

use healgate::store::Withdrawal;

use super::brakes::{after, ends, kinds, told};
use super::world::{World, firing, route};

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
