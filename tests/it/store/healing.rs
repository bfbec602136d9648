//! What an end of a run and an end of an alert mean for each other.

use std::time::Duration;

use healgate::domain::attempt::Outcome;
use healgate::domain::job::{JobStatus, Reason};
use healgate::store::Answer;

use super::world::{World, asking, ending, firing, resolved, route, stopped_when_resolved, verified};

const HEALED: (JobStatus, Option<Reason>) = (JobStatus::Succeeded, Some(Reason::Healed));
const NOT_HEALED: (JobStatus, Option<Reason>) = (JobStatus::Failed, Some(Reason::NotHealed));
const WITHDRAWN: (JobStatus, Option<Reason>) = (JobStatus::Canceled, Some(Reason::ResolvedMeanwhile));

#[tokio::test]
async fn an_attempt_is_stored_as_it_ended() {
    let world = World::new().await;
    let id = world.job_for(firing("a", world.ago(9)).via(route("r"), "a")).await;
    let key = world.claim_one().await;
    world.pass(5);
    let mut ended = ending(Outcome::HostsFailed, world.now());
    (ended.message, ended.log_truncated) = (Some("1 host failed".to_owned()), true);
    let job = world.store.finish(key, ended.clone()).await.unwrap();
    assert_eq!(job, world.job(id).await);
    assert_eq!((job.status, job.reason), (JobStatus::Failed, Some(Reason::HostsFailed)));
    assert_eq!(job.finished_at, Some(world.now()));
    let attempt = &job.attempts[0];
    assert_eq!(
        (attempt.outcome, attempt.exit_code),
        (Some(Outcome::HostsFailed), Some(1))
    );
    assert_eq!((&attempt.message, attempt.log_truncated), (&ended.message, true));
    assert_eq!((&attempt.recap, attempt.finished_at), (&ended.recap, Some(world.now())));
    assert_eq!(world.history(id).await, ["queued", "claimed", "ended", "finished"]);
}

#[tokio::test]
async fn every_outcome_but_ok_ends_the_job_with_its_reason() {
    for outcome in Outcome::ALL {
        let world = World::new().await;
        world.job_for(firing("a", world.ago(9)).via(route("r"), "a")).await;
        let job = world.end(world.claim_one().await, outcome).await;
        let expected = match outcome {
            Outcome::Ok => (JobStatus::Succeeded, Some(Reason::Unverified)),
            Outcome::Canceled => (JobStatus::Canceled, Some(Reason::Canceled)),
            _ => (JobStatus::Failed, outcome.reason()),
        };
        assert_eq!((job.status, job.reason), expected);
    }
}

#[tokio::test]
async fn an_alert_that_resolves_in_time_is_healed() {
    let world = World::new().await;
    let id = world.job_for(firing("a", world.ago(30)).via(verified("r"), "a")).await;
    let job = world.end(world.claim_one().await, Outcome::Ok).await;
    assert_eq!((job.status, job.finished_at), (JobStatus::Verifying, None));
    assert_eq!(
        world.store.next_due(world.now()).await.unwrap(),
        Some(world.now() + Duration::from_secs(120))
    );
    world.pass(119);
    world.post(vec![resolved("a", world.ago(149), world.ago(4))]).await;
    let job = world.job(id).await;
    assert_eq!((job.status, job.reason), HEALED);
    assert_eq!((job.healed_at, job.healed_late), (Some(world.ago(4)), false));
    assert_eq!(job.finished_at, Some(world.now()));
    let heard = world.heard().await.finished.clone();
    assert_eq!(heard.len(), 1);
    assert_eq!(
        (heard[0].reason, heard[0].time_to_heal),
        (Reason::Healed, Some(Duration::from_secs(145)))
    );
    assert_eq!(world.store.next_due(world.now()).await.unwrap(), None);
}

#[tokio::test]
async fn an_alert_that_resolved_during_the_run_is_healed_at_once() {
    let world = World::new().await;
    let id = world.job_for(firing("a", world.ago(30)).via(verified("r"), "a")).await;
    let key = world.claim_one().await;
    world.post(vec![resolved("a", world.ago(30), world.ago(2))]).await;
    assert_eq!(world.state(id).await, (JobStatus::Running, None));
    let job = world.end(key, Outcome::Ok).await;
    assert_eq!((job.status, job.reason), HEALED);
    assert_eq!((job.healed_at, job.healed_late), (Some(world.ago(2)), false));
}

#[tokio::test]
async fn a_running_job_is_asked_to_stop_when_its_alert_resolves_where_its_route_says_so() {
    let world = World::new().await;
    let ask = |name, fingerprint| firing(fingerprint, world.ago(30)).via(stopped_when_resolved(name), fingerprint);
    let stopped = world.job_for(ask("r", "a")).await;
    let key = world.claim_one().await;
    let quick = world.job_for(ask("r", "b")).await;
    let quick_key = world.claim_one().await;
    let other = world.job_for(firing("c", world.ago(30)).via(verified("s"), "c")).await;
    world.claim_one().await;
    world
        .post(
            ["a", "b", "c"]
                .map(|name| resolved(name, world.ago(30), world.ago(2)))
                .into(),
        )
        .await;

    let heard = world.heard().await.asked_to_stop.clone();
    assert_eq!(heard, [stopped, quick]);
    let asked = world.job(stopped).await.cancel_requested.unwrap();
    assert_eq!(
        (asked.by.as_str(), asked.reason),
        ("healgate", Reason::ResolvedMeanwhile)
    );
    assert_eq!(world.job(other).await.cancel_requested, None);
    // A person who comes later changes nothing.
    world.store.cancel(stopped, world.by("ada")).await.unwrap();
    let job = world.end(key, Outcome::Canceled).await;
    assert_eq!(
        (job.status, job.reason),
        (JobStatus::Canceled, Some(Reason::ResolvedMeanwhile))
    );
    // One that was quicker than the stop has healed.
    let job = world.end(quick_key, Outcome::Ok).await;
    assert_eq!((job.id, job.status, job.reason), (quick, HEALED.0, HEALED.1));
}

#[tokio::test]
async fn a_verification_gives_up_when_its_time_is_over_and_a_late_resolve_is_noted() {
    for settled in [true, false] {
        let world = World::new().await;
        let id = world.job_for(firing("a", world.ago(30)).via(verified("r"), "a")).await;
        world.end(world.claim_one().await, Outcome::Ok).await;
        world.pass(119);
        assert_eq!(world.store.settle_due(world.now()).await.unwrap(), []);
        world.pass(1);
        if settled {
            assert_eq!(world.store.settle_due(world.now()).await.unwrap(), [id]);
            assert_eq!(world.state(id).await, NOT_HEALED);
        }
        world.pass(9);
        world.post(vec![resolved("a", world.ago(159), world.ago(1))]).await;
        let job = world.job(id).await;
        assert_eq!((job.status, job.reason), NOT_HEALED, "what is finished does not change");
        assert_eq!((job.healed_at, job.healed_late), (Some(world.ago(1)), true));
    }
}

#[tokio::test]
async fn a_late_resolve_is_noted_on_the_last_job_that_ran() {
    let world = World::new().await;
    // The first job has to wait for its target, so that the second one runs before it.
    let busy = world.by_hand(world.manual("shared")).await;
    let key = world.claim_one().await;
    assert_eq!(key.job, busy);
    let report = firing("a", world.ago(9))
        .via(route("one"), "shared")
        .via(route("two"), "free");
    let decisions = world.post(vec![report.via(asking("ask"), "ask")]).await;
    let ids: Vec<_> = decisions.iter().map(|decision| decision.job.unwrap()).collect();
    world.pass(1);
    world.end(world.claim_one().await, Outcome::HostsFailed).await;
    world.end(key, Outcome::Ok).await;
    world.pass(1);
    world.end(world.claim_one().await, Outcome::HostsFailed).await;
    world.pass(60);
    world.post(vec![resolved("a", world.ago(71), world.now())]).await;
    let late = [
        world.job(ids[0]).await,
        world.job(ids[1]).await,
        world.job(ids[2]).await,
    ]
    .map(|job| job.healed_late);
    assert_eq!(late, [true, false, false]);
    assert_eq!(world.state(ids[2]).await, WITHDRAWN);
}

#[tokio::test]
async fn jobs_that_wait_for_anything_are_withdrawn_when_their_alert_resolves() {
    let world = World::new().await;
    let report = firing("a", world.ago(9)).via(route("r"), "a").via(asking("ask"), "b");
    let decisions = world.post(vec![report]).await;
    world.post(vec![resolved("a", world.ago(9), world.now())]).await;
    for decision in decisions {
        let job = world.job(decision.job.unwrap()).await;
        assert_eq!((job.status, job.reason), WITHDRAWN);
        assert_eq!(
            (job.healed_at, job.healed_late, job.finished_at),
            (None, false, Some(world.now()))
        );
        let refused = world.store.answer(job.id, Answer::Approve, world.by("ada")).await;
        refused.unwrap_err();
    }
    assert!(world.claim(10).await.is_empty());
}

#[tokio::test]
async fn a_re_run_ignores_whether_its_alert_still_fires() {
    let world = World::new().await;
    let id = world.job_for(firing("a", world.ago(9)).via(verified("r"), "a")).await;
    world.end(world.claim_one().await, Outcome::HostsFailed).await;
    let rerun = world.rerun(id).await;
    world.post(vec![resolved("a", world.ago(9), world.now())]).await;
    let key = world.claim_one().await;
    assert_eq!(key.job, rerun);
    let job = world.end(key, Outcome::Ok).await;
    assert_eq!((job.reason, job.healed_at), (Some(Reason::Unverified), None));
    assert_eq!(job.rerun_of, Some(id));
}

#[tokio::test]
async fn a_re_run_is_verified_while_its_alert_fires() {
    let world = World::new().await;
    let id = world.job_for(firing("a", world.ago(9)).via(verified("r"), "a")).await;
    world.end(world.claim_one().await, Outcome::HostsFailed).await;
    let rerun = world.rerun(id).await;
    world.end(world.claim_one().await, Outcome::Ok).await;
    assert_eq!(world.state(rerun).await, (JobStatus::Verifying, None));
    world.post(vec![resolved("a", world.ago(9), world.now())]).await;
    assert_eq!(world.state(rerun).await, HEALED);
    assert!(!world.job(id).await.healed_late);
}

#[tokio::test]
async fn a_re_run_that_is_given_back_heals_nothing_that_ran_before() {
    let world = World::new().await;
    let id = world.job_for(firing("a", world.ago(9)).via(verified("r"), "one")).await;
    world.end(world.claim_one().await, Outcome::Ok).await;
    world.post(vec![resolved("a", world.ago(9), world.now())]).await;
    world.pass(60);
    let first = world.rerun(id).await;
    world.end(world.claim_one().await, Outcome::Ok).await;
    world.rerun(id).await;
    let key = world.claim_one().await;
    world.store.release(key, "it never began", world.now()).await.unwrap();
    let job = world.job(first).await;
    assert_eq!((job.healed_at, job.healed_late), (None, false));
}
