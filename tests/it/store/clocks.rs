//! A wall clock that steps back or forth by a day: what waits for nothing is not held up, and what waits for a time waits
//! for what the clock says, no more and no less.

use healgate::domain::attempt::Outcome;
use healgate::domain::decision::DecisionKind;
use healgate::domain::job::{JobStatus, Reason};
use healgate::domain::route::Route;
use healgate::domain::span::Span;
use healgate::store::Answer;

use super::world::{World, asking, firing, resolved, route, verified};

const DAY: i64 = 86_400;

#[tokio::test]
async fn a_clock_that_goes_back_keeps_no_job_from_starting() {
    let world = World::new().await;
    let of_alert = world.job_for(firing("a", world.ago(1)).via(route("r"), "a")).await;
    let approved = world.job_for(firing("b", world.ago(1)).via(asking("ask"), "b")).await;
    world.pass(30);
    world
        .store
        .answer(approved, Answer::Approve, world.by("ada"))
        .await
        .unwrap();
    let by_hand = world.by_hand(world.manual("c")).await;
    let second = world.by_hand(world.manual("c")).await;
    for step in [-1, -DAY] {
        world.pass(step);
        let claims = world.claim(10).await;
        for claim in &claims {
            world
                .store
                .release(claim.key, "it never began", world.now())
                .await
                .unwrap();
        }
        let mut claimed: Vec<_> = claims.iter().map(|claim| claim.key.job).collect();
        claimed.sort();
        let mut ready = [of_alert, approved, by_hand];
        ready.sort();
        // A small step may make what was approved before it wait as long.
        claimed.retain(|job| *job != approved || step == -DAY);
        ready
            .iter()
            .filter(|job| **job != approved || step == -DAY)
            .for_each(|job| assert!(claimed.contains(job)));
        assert_eq!(claimed.len(), if step == -DAY { 3 } else { 2 }, "{claimed:?}");
    }
    // The line behind them goes on, too.
    for claim in world.claim(10).await {
        world.end(claim.key, Outcome::Ok).await;
    }
    assert_eq!(world.claimed(10).await, [second]);
}

#[tokio::test]
async fn a_clock_that_steps_in_mid_run_ends_no_run_and_shortens_no_verification() {
    for step in [DAY, -DAY] {
        let world = World::new().await;
        let job = world.job_for(firing("a", world.ago(1)).via(verified("r"), "a")).await;
        let key = world.claim_one().await;
        world.pass(step);
        assert_eq!(world.store.settle_due(world.now()).await.unwrap(), []);
        assert_eq!(world.state(job).await, (JobStatus::Running, None));
        world.end(key, Outcome::Ok).await;
        world.pass(119);
        assert_eq!(world.store.settle_due(world.now()).await.unwrap(), []);
        assert_eq!(world.state(job).await, (JobStatus::Verifying, None));
        world.post(vec![resolved("a", world.ago(1), world.now())]).await;
        assert_eq!(world.state(job).await, (JobStatus::Succeeded, Some(Reason::Healed)));
    }
}

#[tokio::test]
async fn what_waits_for_a_time_waits_for_what_the_clock_says() {
    let world = World::new().await;
    let brief = Route {
        expires: Span::from_secs(60),
        ..route("brief")
    };
    let waits = world.job_for(firing("a", world.ago(1)).via(brief, "a")).await;
    world.pass(-DAY);
    world.pass(DAY + 59);
    assert_eq!(world.store.settle_due(world.now()).await.unwrap(), [], "too early");
    world.pass(1);
    assert_eq!(world.store.settle_due(world.now()).await.unwrap(), [waits]);

    let cooling = || Route {
        cooldown: Span::from_secs(300),
        ..route("cooling")
    };
    world.job_for(firing("b", world.ago(1)).via(cooling(), "b")).await;
    let key = world.claim_one().await;
    world.end(key, Outcome::Ok).await;
    let ended_at = world.now();
    world.pass(-DAY);
    let decided = world.post(vec![firing("c", world.ago(1)).via(cooling(), "b")]).await;
    assert_eq!(decided[0].kind, DecisionKind::CoolingDown);
    assert_eq!(
        world.held().await,
        [(
            DecisionKind::CoolingDown,
            Some(ended_at + cooling().cooldown.duration())
        )]
    );
    world.pass(DAY + 300);
    assert_eq!(world.decide_due().await[0].kind, DecisionKind::Queued);
}
