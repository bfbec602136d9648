//! Claims: who may work on what, one at a time for each target, and what a claim that was lost may not do.

use healgate::domain::attempt::{AttemptKey, Ending, Outcome, Start};
use healgate::domain::job::{JobStatus, Reason};
use healgate::domain::span::Span;
use healgate::store::StoreError;
use healgate::store::{Answer, Canceled};

use super::world::{World, asking, ending, firing, first, resolved, route, task, verified};

#[tokio::test]
async fn the_oldest_jobs_are_claimed_first_and_no_more_than_are_wanted() {
    let world = World::new().await;
    let mut jobs = Vec::new();
    for target in ["a", "b", "c", "d"] {
        jobs.push(
            world
                .job_for(firing(target, world.ago(1)).via(route("r"), target))
                .await,
        );
        world.pass(1);
    }
    assert!(world.claimed(0).await.is_empty());
    assert_eq!(world.claimed(1).await, jobs[..1]);
    assert_eq!(world.claimed(2).await, jobs[1..3]);
    assert_eq!(world.claimed(10).await, jobs[3..]);
    assert!(world.claimed(10).await.is_empty());
}

#[tokio::test]
async fn a_claim_begins_an_attempt_with_a_new_fence() {
    let world = World::new().await;
    let id = world.job_for(firing("a", world.ago(1)).via(route("r"), "a")).await;
    world.pass(3);
    let claim = world.claim(1).await.remove(0);
    assert_eq!((claim.key.job, claim.key.number), (id, 1));
    assert_eq!(
        (claim.job.status, claim.job.started_at),
        (JobStatus::Running, Some(world.now()))
    );
    let attempt = &claim.job.attempts[0];
    assert_eq!(
        (attempt.number, attempt.worker.as_str(), attempt.outcome),
        (1, "worker-1", None)
    );
    assert_eq!(claim.job, world.job(id).await);
    let waits = world.heard().await.waits.clone();
    assert_eq!(waits, [std::time::Duration::from_secs(3)]);
    world.pass(2);
    world
        .store
        .started(claim.key, world.now(), Some(Start::Warm))
        .await
        .unwrap();
    assert_eq!(world.job(id).await.attempts[0].started_at, world.now());
    assert_eq!(world.history(id).await, ["queued", "claimed", "started"]);
}

#[tokio::test]
async fn how_a_run_started_is_in_its_attempt_and_its_history() {
    let cold = Start::Cold {
        because: "it is late".to_owned(),
    };
    let said = "ansible-playbook was started cold: it is late";
    for (told, at_the_end, warm, cold_because, message) in [
        (Some(cold.clone()), None, false, Some("it is late"), said),
        (Some(cold.clone()), Some(cold.clone()), false, Some("it is late"), said),
        (
            Some(Start::Warm),
            None,
            true,
            None,
            "ansible-playbook was started from a warm interpreter",
        ),
        // The gateway was killed before the host could tell it.
        (None, Some(Start::Warm), true, None, "ansible-playbook was started"),
        (
            None,
            Some(cold),
            false,
            Some("it is late"),
            "ansible-playbook was started",
        ),
        (None, None, false, None, "ansible-playbook was started"),
    ] {
        let world = World::new().await;
        let id = world.job_for(firing("a", world.ago(1)).via(route("r"), "a")).await;
        let claim = world.claim(1).await.remove(0);
        world.store.started(claim.key, world.now(), told).await.unwrap();
        let start = at_the_end;
        let ending = Ending {
            start,
            ..ending(Outcome::Ok, world.now())
        };
        let job = world.store.finish(claim.key, ending).await.unwrap();
        let attempt = &job.attempts[0];
        assert_eq!((attempt.warm, attempt.cold_because.as_deref()), (warm, cold_because));
        let events = world.store.job_events(id, first(10)).await.unwrap().items;
        let started = events.iter().find(|event| event.event == "started").unwrap();
        assert_eq!(started.message, message);
    }
}

/// Three alerts that work on one target, in order.
async fn line(world: &World) -> Vec<healgate::domain::ids::JobId> {
    let mut jobs = Vec::new();
    for name in ["a", "b", "c"] {
        jobs.push(
            world
                .job_for(firing(name, world.ago(1)).via(verified("r"), "shared"))
                .await,
        );
        world.pass(1);
    }
    jobs
}

#[tokio::test]
async fn one_job_at_a_time_works_on_a_target_and_the_next_comes_when_it_ended() {
    let world = World::new().await;
    let mut jobs = Vec::new();
    for name in ["a", "b", "c"] {
        jobs.push(
            world
                .job_for(firing(name, world.ago(1)).via(route("r"), "shared"))
                .await,
        );
    }
    for job in jobs {
        let key = world.claim_one().await;
        assert_eq!(key.job, job);
        assert!(world.claim(10).await.is_empty());
        world.end(key, Outcome::Ok).await;
    }
}

#[tokio::test]
async fn a_verifying_job_keeps_its_target_until_its_alert_resolves() {
    let world = World::new().await;
    let jobs = line(&world).await;
    let key = world.claim_one().await;
    world.end(key, Outcome::Ok).await;
    assert_eq!(world.state(jobs[0]).await, (JobStatus::Verifying, None));
    assert!(world.claim(10).await.is_empty());
    world.post(vec![resolved("a", world.ago(1), world.now())]).await;
    assert_eq!(world.claimed(10).await, [jobs[1]]);
}

#[tokio::test]
async fn a_verification_that_is_over_gives_its_target_to_the_next() {
    let world = World::new().await;
    let jobs = line(&world).await;
    let key = world.claim_one().await;
    world.end(key, Outcome::Ok).await;
    world.pass(120);
    assert_eq!(world.store.settle_due(world.now()).await.unwrap(), [jobs[0]]);
    assert_eq!(world.claimed(10).await, [jobs[1]]);
}

#[tokio::test]
async fn the_next_in_line_takes_the_place_of_one_that_was_canceled_expired_or_resolved() {
    let world = World::new().await;
    let jobs = line(&world).await;
    let canceled = world.store.cancel(jobs[0], world.by("ada")).await.unwrap();
    assert_eq!(canceled, Canceled::Finished);
    world.post(vec![resolved("b", world.ago(9), world.now())]).await;
    assert_eq!(world.claimed(10).await, [jobs[2]]);

    let world = World::new().await;
    let brief = healgate::domain::route::Route {
        expires: Span::from_secs(60),
        ..route("r")
    };
    world.job_for(firing("a", world.ago(1)).via(brief, "shared")).await;
    let next = world.job_for(firing("b", world.ago(1)).via(route("r"), "shared")).await;
    world.pass(60);
    assert!(world.claim(10).await.is_empty(), "an expired job is never claimed");
    world.store.settle_due(world.now()).await.unwrap();
    assert_eq!(world.claimed(10).await, [next]);
}

#[tokio::test]
async fn a_job_in_the_middle_of_the_line_leaves_it_without_a_gap() {
    let world = World::new().await;
    let jobs = line(&world).await;
    world.store.cancel(jobs[1], world.by("ada")).await.unwrap();
    let key = world.claim_one().await;
    assert_eq!(key.job, jobs[0]);
    assert!(world.claim(10).await.is_empty());
    world.end(key, Outcome::HostsFailed).await;
    assert_eq!(world.claimed(10).await, [jobs[2]]);
}

#[tokio::test]
async fn jobs_that_wait_for_approval_hold_nothing() {
    let world = World::new().await;
    let asked = world
        .job_for(firing("a", world.ago(1)).via(asking("ask"), "shared"))
        .await;
    world.pass(1);
    let other = world.job_for(firing("b", world.ago(1)).via(route("r"), "shared")).await;
    let key = world.claim_one().await;
    assert_eq!(key.job, other);
    world
        .store
        .answer(asked, Answer::Approve, world.by("ada"))
        .await
        .unwrap();
    assert!(world.claim(10).await.is_empty());
    world.end(key, Outcome::Ok).await;
    assert_eq!(world.claimed(10).await, [asked]);
}

async fn assert_lost(world: &World, stale: AttemptKey) {
    let store = &world.store;
    let now = world.now();
    let lost =
        |result: Result<(), StoreError>| assert!(matches!(result, Err(StoreError::LostClaim(key)) if key == stale));
    lost(store.started(stale, now, None).await);
    lost(store.append_log(stale, 0, b"stale".to_vec()).await);
    lost(store.append_log(stale, 0, Vec::new()).await);
    lost(store.seal_log(stale, 0, Vec::new()).await);
    lost(store.record_tasks(stale, 0, vec![task("stale")]).await);
    lost(store.record_tasks(stale, 0, Vec::new()).await);
    lost(store.release(stale, "stale", now).await);
    lost(store.finish(stale, ending(Outcome::Ok, now)).await.map(drop));
}

#[tokio::test]
async fn a_claim_that_was_lost_can_change_nothing() {
    let world = World::new().await;
    let id = world.job_for(firing("a", world.ago(1)).via(route("r"), "a")).await;
    let stale = world.claim_one().await;
    world.store.release(stale, "not started", world.now()).await.unwrap();
    assert_lost(&world, stale).await;
    let key = world.claim_one().await;
    assert_eq!((key.job, key.number), (id, 1));
    assert!(key.fence > stale.fence);
    let before = (world.job(id).await, world.history(id).await);
    assert_lost(&world, stale).await;
    assert_eq!((world.job(id).await, world.history(id).await), before);
    world.store.append_log(key, 0, b"mine".to_vec()).await.unwrap();
    world.end(key, Outcome::Ok).await;
    // What is finished is finished, also for the owner.
    assert_lost(&world, key).await;
    let nobody = AttemptKey {
        job: world.unknown_job(),
        ..key
    };
    assert_lost(&world, nobody).await;
}

#[tokio::test]
async fn a_released_job_goes_back_to_the_queue_as_if_it_had_not_been_claimed() {
    let world = World::new().await;
    let jobs = line(&world).await;
    let before = world.job(jobs[0]).await;
    let key = world.claim_one().await;
    world.pass(5);
    world
        .store
        .release(key, "the gateway stopped", world.now())
        .await
        .unwrap();
    assert_eq!(world.job(jobs[0]).await, before);
    assert_eq!(world.history(jobs[0]).await, ["queued", "claimed", "released"]);
    assert_eq!(world.claimed(10).await, [jobs[0]]);
    assert_eq!(world.job(jobs[0]).await.attempts.len(), 1);
}

#[tokio::test]
async fn a_run_that_wrote_anything_cannot_be_released() {
    let world = World::new().await;
    world.job_for(firing("a", world.ago(1)).via(route("r"), "a")).await;
    let key = world.claim_one().await;
    world.store.append_log(key, 0, b"PLAY".to_vec()).await.unwrap();
    world.store.release(key, "never began", world.now()).await.unwrap_err();
    assert_eq!(world.state(key.job).await.0, JobStatus::Running);
    assert_eq!(world.store.log_head(key.job, 1).await.unwrap().bytes, 4);
}

#[tokio::test]
async fn a_job_that_was_asked_to_stop_ends_when_its_claim_is_released() {
    let world = World::new().await;
    let jobs = line(&world).await;
    let key = world.claim_one().await;
    assert_eq!(
        world.store.cancel(jobs[0], world.by("ada")).await.unwrap(),
        Canceled::Asked
    );
    world
        .store
        .release(key, "the gateway stopped", world.now())
        .await
        .unwrap();
    assert_eq!(
        world.state(jobs[0]).await,
        (JobStatus::Canceled, Some(Reason::Canceled))
    );
    assert_eq!(world.claimed(10).await, [jobs[1]]);
}

#[tokio::test]
async fn a_job_whose_alert_resolved_after_its_claim_is_not_run_when_the_claim_is_released() {
    let world = World::new().await;
    let jobs = line(&world).await;
    let by_hand = world.by_hand(world.manual("by hand")).await;
    let claims = world.claim(10).await;
    world.pass(5);
    world.post(vec![resolved("a", world.ago(60), world.ago(1))]).await;
    assert_eq!(world.state(jobs[0]).await, (JobStatus::Running, None));
    for claim in claims {
        world
            .store
            .release(claim.key, "never began", world.now())
            .await
            .unwrap();
    }
    assert_eq!(
        world.state(jobs[0]).await,
        (JobStatus::Canceled, Some(Reason::ResolvedMeanwhile))
    );
    assert_eq!(world.state(by_hand).await, (JobStatus::Queued, None));
    assert_eq!(world.claimed(10).await, [jobs[1], by_hand]);
}

#[tokio::test]
async fn active_runs_are_those_that_run_with_what_is_stored_of_them() {
    let world = World::new().await;
    let jobs = line(&world).await;
    let other = world.job_for(firing("d", world.ago(1)).via(route("r"), "other")).await;
    let claims = world.claim(10).await;
    assert_eq!(
        claims.iter().map(|claim| claim.key.job).collect::<Vec<_>>(),
        [jobs[0], other]
    );
    world
        .store
        .append_log(claims[0].key, 0, b"PLAY".to_vec())
        .await
        .unwrap();
    let tasks = vec![task("one"), task("two")];
    world.store.record_tasks(claims[0].key, 0, tasks).await.unwrap();
    world.end(claims[1].key, Outcome::Ok).await;
    let runs = world.store.active_runs().await.unwrap();
    assert_eq!(runs.len(), 1);
    assert_eq!((runs[0].key, runs[0].log_bytes, runs[0].tasks), (claims[0].key, 4, 2));
    assert_eq!(runs[0].job, world.job(jobs[0]).await);
}
