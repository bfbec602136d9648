//! What people and time do to jobs: cancel, approve, reject, expire.

use std::time::Duration;

use healgate::domain::attempt::Outcome;
use healgate::domain::job::{JobStatus, Reason};
use healgate::store::{Answer, Canceled, StoreError};

use super::world::{World, asking, firing, route, verified};

const CANCELED: (JobStatus, Option<Reason>) = (JobStatus::Canceled, Some(Reason::Canceled));

fn conflict<T: std::fmt::Debug>(result: &Result<T, StoreError>) {
    assert!(matches!(result, Err(StoreError::Conflict(_))), "{result:?}");
}

#[tokio::test]
async fn a_job_that_does_not_run_is_canceled_at_once() {
    let world = World::new().await;
    let report = firing("a", world.ago(9)).via(route("r"), "a").via(asking("ask"), "b");
    let waiting: Vec<_> = world
        .post(vec![report])
        .await
        .iter()
        .map(|decision| decision.job.unwrap())
        .collect();
    for id in waiting {
        assert_eq!(
            world.store.cancel(id, world.by("ada")).await.unwrap(),
            Canceled::Finished
        );
        assert_eq!(world.state(id).await, CANCELED);
        conflict(&world.store.cancel(id, world.by("ada")).await);
    }
    let id = world.job_for(firing("b", world.ago(9)).via(verified("r"), "a")).await;
    world.end(world.claim_one().await, Outcome::Ok).await;
    assert_eq!(
        world.store.cancel(id, world.by("ada")).await.unwrap(),
        Canceled::Finished
    );
    assert_eq!(world.state(id).await, CANCELED);
    let events = world.store.job_events(id, super::world::first(50)).await.unwrap().items;
    let last = events.last().unwrap();
    assert_eq!((last.event.as_str(), last.by.as_str()), ("canceled", "ada"));
    assert_eq!(last.message, "canceled: because");
}

#[tokio::test]
async fn a_running_job_is_asked_to_stop_by_whoever_asked_first() {
    let world = World::new().await;
    let id = world.job_for(firing("a", world.ago(9)).via(route("r"), "a")).await;
    let key = world.claim_one().await;
    for name in ["ada", "bob"] {
        assert_eq!(world.store.cancel(id, world.by(name)).await.unwrap(), Canceled::Asked);
    }
    let job = world.job(id).await;
    assert_eq!(job.status, JobStatus::Running);
    let asked = job.cancel_requested.unwrap();
    assert_eq!((asked.by.as_str(), asked.reason), ("ada", Reason::Canceled));
    world.end(key, Outcome::Canceled).await;
    assert_eq!(world.state(id).await, CANCELED);
}

#[tokio::test]
async fn what_is_finished_or_unknown_cannot_be_canceled_or_answered() {
    let world = World::new().await;
    let id = world.job_for(firing("a", world.ago(9)).via(route("r"), "a")).await;
    conflict(&world.store.answer(id, Answer::Approve, world.by("ada")).await);
    world.end(world.claim_one().await, Outcome::Ok).await;
    conflict(&world.store.cancel(id, world.by("ada")).await);
    conflict(&world.store.answer(id, Answer::Reject, world.by("ada")).await);
    let unknown = world.store.cancel(world.unknown_job(), world.by("ada")).await;
    assert!(
        matches!(unknown, Err(StoreError::NotFound { what: "job", .. })),
        "{unknown:?}"
    );
}

#[tokio::test]
async fn an_approved_job_is_queued_and_a_rejected_one_is_over() {
    let world = World::new().await;
    let yes = world.job_for(firing("a", world.ago(9)).via(asking("ask"), "a")).await;
    let no = world.job_for(firing("b", world.ago(9)).via(asking("ask"), "b")).await;
    assert!(world.claim(10).await.is_empty());
    world.pass(60);
    world.store.answer(yes, Answer::Approve, world.by("ada")).await.unwrap();
    world.store.answer(no, Answer::Reject, world.by("ada")).await.unwrap();
    assert_eq!(world.state(yes).await, (JobStatus::Queued, None));
    assert_eq!(world.state(no).await, (JobStatus::Canceled, Some(Reason::Rejected)));
    assert_eq!(world.job(yes).await.run_at, world.now());
    assert_eq!(world.claimed(10).await, [yes]);
    assert_eq!(world.history(yes).await, ["awaiting_approval", "approved", "claimed"]);
    assert_eq!(world.history(no).await, ["awaiting_approval", "rejected"]);
}

#[tokio::test]
async fn an_approval_that_comes_after_its_time_is_refused() {
    let world = World::new().await;
    let id = world.job_for(firing("a", world.ago(9)).via(asking("ask"), "a")).await;
    world.pass(3_600);
    conflict(&world.store.answer(id, Answer::Approve, world.by("ada")).await);
    world.store.settle_due(world.now()).await.unwrap();
    assert_eq!(world.state(id).await, (JobStatus::Canceled, Some(Reason::Expired)));
}

#[tokio::test]
async fn what_waits_too_long_expires_and_what_runs_does_not() {
    let world = World::new().await;
    assert_eq!(world.store.next_due(world.now()).await.unwrap(), None);
    let running = world.job_for(firing("a", world.ago(9)).via(route("r"), "a")).await;
    world.claim_one().await;
    assert_eq!(world.store.next_due(world.now()).await.unwrap(), None);
    let waiting = world.job_for(firing("b", world.ago(9)).via(route("r"), "a")).await;
    let due = world.now() + Duration::from_secs(3_600);
    assert_eq!(world.store.next_due(world.now()).await.unwrap(), Some(due));
    world.pass(3_599);
    assert_eq!(world.store.settle_due(world.now()).await.unwrap(), []);
    world.pass(1);
    assert_eq!(world.store.settle_due(world.now()).await.unwrap(), [waiting]);
    assert_eq!(world.state(waiting).await, (JobStatus::Canceled, Some(Reason::Expired)));
    assert_eq!(world.state(running).await, (JobStatus::Running, None));
    assert_eq!(world.store.next_due(world.now()).await.unwrap(), None);
}

#[tokio::test]
async fn the_store_takes_writes() {
    World::new().await.store.probe().await.unwrap();
}
