//! What was found out by asking: jobs that must not run, episodes that are over, queries that became true.

use healgate::domain::attempt::Outcome;
use healgate::domain::checks::{Checks, OnError, Precondition};
use healgate::domain::job::{JobEvent, JobStatus, Reason};
use healgate::domain::route::Route;
use healgate::store::{Ended, StoreError, Withdrawal};

use super::world::{Report, World, firing, first, resolved, route, stopped_when_resolved, verified};

fn withdrawal(reason: Reason) -> Withdrawal {
    Withdrawal {
        reason,
        message: "somebody said so".to_owned(),
    }
}

/// A firing alert whose route has these checks.
fn checked(world: &World, fingerprint: &str, route: Route, checks: &Checks) -> Report {
    let mut report = firing(fingerprint, world.ago(60)).via(route, "web1");
    report.reached[0].1.checks = checks.clone();
    report
}

fn by_query() -> Checks {
    Checks {
        verify_query: Some("up == 1".to_owned()),
        ..Checks::default()
    }
}

#[tokio::test]
async fn a_job_that_must_not_run_ends_without_an_attempt_and_frees_its_target() {
    for (reason, status) in [
        (Reason::Silenced, JobStatus::Canceled),
        (Reason::ResolvedMeanwhile, JobStatus::Canceled),
        (Reason::PreconditionFailed, JobStatus::Failed),
    ] {
        let world = World::new().await;
        let job = world.job_for(firing("f1", world.ago(60)).via(route("r"), "web1")).await;
        let next = world.job_for(firing("f2", world.ago(60)).via(route("r"), "web1")).await;
        let key = world.claim_one().await;
        world
            .store
            .withdraw(key, withdrawal(reason), world.now())
            .await
            .unwrap();
        let ended = world.job(job).await;
        assert_eq!((ended.status, ended.reason), (status, Some(reason)));
        assert_eq!((ended.attempts.len(), ended.started_at), (0, None));
        assert_eq!(ended.finished_at, Some(world.now()));
        assert_eq!(world.history(job).await, ["queued", "claimed", "checked", "finished"]);
        assert_eq!(world.claimed(10).await, [next]);
        let heard = world.heard().await;
        assert_eq!((heard.finished.len(), heard.finished[0].reason), (1, reason));
    }
}

#[tokio::test]
async fn a_stop_or_a_resolve_that_came_first_is_how_a_withdrawn_job_ends() {
    let world = World::new().await;
    let job = world.job_for(firing("f1", world.ago(60)).via(route("r"), "web1")).await;
    let key = world.claim_one().await;
    world.store.cancel(job, world.by("ada")).await.unwrap();
    let silenced = withdrawal(Reason::Silenced);
    world.store.withdraw(key, silenced.clone(), world.now()).await.unwrap();
    assert_eq!(world.state(job).await, (JobStatus::Canceled, Some(Reason::Canceled)));

    let job = world.job_for(firing("f2", world.ago(60)).via(route("r"), "web2")).await;
    let key = world.claim_one().await;
    world.post(vec![resolved("f2", world.ago(60), world.now())]).await;
    world.store.withdraw(key, silenced, world.now()).await.unwrap();
    assert_eq!(
        world.state(job).await,
        (JobStatus::Canceled, Some(Reason::ResolvedMeanwhile))
    );
}

#[tokio::test]
async fn only_the_owner_of_a_claim_can_withdraw_it_and_only_before_it_runs() {
    let world = World::new().await;
    let job = world.job_for(firing("f1", world.ago(60)).via(route("r"), "web1")).await;
    let key = world.claim_one().await;
    world.store.release(key, "try again", world.now()).await.unwrap();
    let newer = world.claim_one().await;
    let lost = world
        .store
        .withdraw(key, withdrawal(Reason::Silenced), world.now())
        .await;
    assert!(matches!(lost, Err(StoreError::LostClaim(_))), "{lost:?}");
    world.store.append_log(newer, 0, b"begun".to_vec()).await.unwrap();
    let begun = world
        .store
        .withdraw(newer, withdrawal(Reason::Silenced), world.now())
        .await;
    assert!(matches!(begun, Err(StoreError::LostClaim(_))), "{begun:?}");
    assert_eq!(world.state(job).await, (JobStatus::Running, None));
}

#[tokio::test]
async fn an_episode_that_is_found_over_is_closed_as_by_a_resolve() {
    let world = World::new().await;
    let began = world.ago(60);
    let healing = world.job_for(firing("f1", began).via(verified("r"), "web1")).await;
    let key = world.claim_one().await;
    world.end(key, Outcome::Ok).await;
    let other = firing("f1", began).via(verified("r"), "web1").via(route("s"), "web1");
    let waiting = world.job_for(other).await;
    let stopping = firing("f1", began).via(stopped_when_resolved("t"), "web3");
    let stopping = world.job_for(stopping).await;
    assert_eq!(world.claimed(10).await, [stopping]);

    let episode = world.job(healing).await.episode.unwrap();
    let ended = Ended {
        episode,
        at: world.ago(2),
    };
    world
        .store
        .end_episodes(vec![ended.clone()], world.now())
        .await
        .unwrap();
    let healed = world.job(healing).await;
    assert_eq!(
        (healed.status, healed.reason),
        (JobStatus::Succeeded, Some(Reason::Healed))
    );
    assert_eq!(healed.healed_at, Some(world.ago(2)));
    assert_eq!(
        world.state(waiting).await,
        (JobStatus::Canceled, Some(Reason::ResolvedMeanwhile))
    );
    assert_eq!(world.heard().await.asked_to_stop, [stopping]);
    let events = world.store.job_events(healing, first(100)).await.unwrap().items;
    let told: Vec<&str> = events
        .iter()
        .rev()
        .take(2)
        .map(|event| event.message.as_str())
        .collect();
    assert_eq!(
        told,
        [
            "healed: the alert resolved in time",
            "Alertmanager was asked: the alert has resolved"
        ]
    );

    // What comes later changes nothing.
    world.pass(5);
    world.store.end_episodes(vec![ended], world.now()).await.unwrap();
    world.post(vec![resolved("f1", began, world.now())]).await;
    assert_eq!(world.job(healing).await.healed_at, healed.healed_at);
    // The alert comes back: that is a new episode.
    let again = world
        .job_for(firing("f1", world.ago(1)).via(verified("r"), "web1"))
        .await;
    assert_ne!(world.job(again).await.episode, Some(episode));
}

#[tokio::test]
async fn an_end_that_is_learned_too_late_saves_no_verification() {
    let world = World::new().await;
    let job = world
        .job_for(firing("f1", world.ago(60)).via(verified("r"), "web1"))
        .await;
    let key = world.claim_one().await;
    world.end(key, Outcome::Ok).await;
    assert_eq!(world.store.verifications(world.now()).await.unwrap().len(), 1);
    world.pass(121);
    assert_eq!(world.store.verifications(world.now()).await.unwrap(), []);
    let episode = world.job(job).await.episode.unwrap();
    let ended = Ended {
        episode,
        at: world.ago(10),
    };
    world.store.end_episodes(vec![ended], world.now()).await.unwrap();
    let late = world.job(job).await;
    assert_eq!((late.status, late.reason), (JobStatus::Failed, Some(Reason::NotHealed)));
    assert_eq!((late.healed_at, late.healed_late), (Some(world.ago(10)), true));
}

#[tokio::test]
async fn where_a_query_decides_a_resolve_heals_nothing() {
    let world = World::new().await;
    let began = world.ago(60);
    let job = world.job_for(checked(&world, "f1", verified("r"), &by_query())).await;
    let key = world.claim_one().await;
    world.post(vec![resolved("f1", began, world.now())]).await;
    world.end(key, Outcome::Ok).await;
    assert_eq!(world.state(job).await, (JobStatus::Verifying, None));
    let wanted = world.store.verifications(world.now()).await.unwrap();
    assert_eq!((wanted[0].job, wanted[0].query.as_deref()), (job, Some("up == 1")));

    world.pass(3);
    world
        .store
        .heal(job, "the query became true", world.now())
        .await
        .unwrap();
    let healed = world.job(job).await;
    assert_eq!(
        (healed.status, healed.reason),
        (JobStatus::Succeeded, Some(Reason::Healed))
    );
    assert_eq!(
        (healed.healed_at, healed.finished_at),
        (Some(world.now()), Some(world.now()))
    );
    let took = world.heard().await.finished.last().unwrap().time_to_heal;
    assert_eq!(took, Some(world.now().since(began)));
    // A finished job stays as it is.
    world.pass(3);
    world.store.heal(job, "again", world.now()).await.unwrap();
    assert_eq!(world.job(job).await, healed);
}

#[tokio::test]
async fn a_query_that_does_not_become_true_in_time_is_not_healed_though_the_alert_resolved() {
    let world = World::new().await;
    let job = world.job_for(checked(&world, "f1", verified("r"), &by_query())).await;
    let key = world.claim_one().await;
    world.end(key, Outcome::Ok).await;
    world.post(vec![resolved("f1", world.ago(60), world.now())]).await;
    assert_eq!(world.state(job).await, (JobStatus::Verifying, None));
    world.pass(120);
    world.store.settle_due(world.now()).await.unwrap();
    assert_eq!(world.state(job).await, (JobStatus::Failed, Some(Reason::NotHealed)));
    let events = world.store.job_events(job, first(100)).await.unwrap().items;
    let told = &events.last().unwrap().message;
    assert_eq!(
        told,
        "not healed: the query did not become true in the time that its route allows"
    );
    world.store.heal(job, "too late", world.now()).await.unwrap();
    assert_eq!(world.state(job).await, (JobStatus::Failed, Some(Reason::NotHealed)));
}

#[tokio::test]
async fn what_is_asked_about_a_job_is_frozen_with_it() {
    let world = World::new().await;
    let checks = Checks {
        precondition: Some(Precondition {
            query: "up{x=\"é\\x22\"} == 1".to_owned(),
            on_error: OnError::Proceed,
        }),
        verify_query: Some("vector(1)".to_owned()),
        silence: true,
    };
    let job = world.job_for(checked(&world, "f1", verified("r"), &checks)).await;
    assert_eq!(world.job(job).await.checks, checks);
    assert_eq!(world.claim(1).await[0].job.checks, checks);
    let manual = world.by_hand(world.manual("web2")).await;
    assert_eq!(world.job(manual).await.checks, Checks::default());
}

#[tokio::test]
async fn an_entry_is_added_to_a_jobs_history() {
    let world = World::new().await;
    let job = world.job_for(firing("f1", world.ago(60)).via(route("r"), "web1")).await;
    let event = JobEvent {
        at: world.now(),
        event: "checked".to_owned(),
        by: "healgate".to_owned(),
        attempt: Some(1),
        message: "fine".to_owned(),
    };
    world.store.note(job, event.clone()).await.unwrap();
    let events = world.store.job_events(job, first(100)).await.unwrap().items;
    assert_eq!(events.last(), Some(&event));
    assert!(world.heard().await.touched.contains(&job));
}
