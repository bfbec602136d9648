//! What follows a job: another attempt, the next rung of its route's ladder, a clean-up.

use std::time::Duration;

use healgate::domain::attempt::Outcome;
use healgate::domain::decision::DecisionKind;
use healgate::domain::ids::JobId;
use healgate::domain::job::{Job, JobStatus, Reason, Trigger};
use healgate::domain::notify::{Notify, NotifyEvent};
use healgate::domain::route::{Mode, OnResolved, Route};
use healgate::domain::rules::{Cap, Retry};
use healgate::domain::span::Span;
use healgate::store::read::JobFilter;
use healgate::store::{Answer, By};

use super::world::{World, firing, first, resolved, route, verified};

fn retrying() -> Route {
    Route {
        retry: Some(Retry {
            attempts: 3,
            backoff: Span::from_secs(10),
            max_backoff: Span::from_secs(300),
            outcomes: vec![Outcome::HostsFailed],
        }),
        ..route("r")
    }
}

fn ladder() -> Route {
    Route {
        otherwise: vec!["second".to_owned(), "third".to_owned()],
        ..verified("r")
    }
}

/// All jobs, in the order in which they were made.
async fn jobs(world: &World) -> Vec<Job> {
    let page = world.store.list_jobs(&JobFilter::default(), first(500)).await.unwrap();
    let mut jobs = page.items;
    jobs.reverse();
    jobs
}

async fn follower(world: &World, of: JobId) -> Option<Job> {
    jobs(world).await.into_iter().find(|job| job.follows == Some(of))
}

fn by(world: &World) -> By {
    world.by("ada")
}

#[tokio::test]
async fn an_attempt_that_failed_is_tried_again_after_growing_waits_and_each_keeps_what_it_said() {
    let world = World::new().await;
    let id = world.job_for(firing("a", world.ago(9)).via(retrying(), "a")).await;
    for (number, wait) in [(1, 10), (2, 20)] {
        let key = world.claim_one().await;
        assert_eq!(key.number, number);
        world
            .store
            .append_log(key, 0, format!("attempt {number}\n").into_bytes())
            .await
            .unwrap();
        world.end(key, Outcome::HostsFailed).await;
        let job = world.job(id).await;
        assert_eq!((job.status, job.attempts.len()), (JobStatus::Queued, number as usize));
        let waits = job.run_at.since(world.now());
        let least = Duration::from_secs(wait);
        assert!(waits >= least && waits <= least * 11 / 10, "{waits:?}");
        assert_eq!(world.store.next_due(world.now()).await.unwrap(), Some(job.run_at));
        assert_eq!(world.claimed(10).await, []);
        world.pass(25);
    }
    // Another job on the target waits all the while.
    let other = world.job_for(firing("b", world.ago(9)).via(route("s"), "a")).await;
    let key = world.claim_one().await;
    assert_eq!((key.job, key.number), (id, 3));
    world.end(key, Outcome::HostsFailed).await;
    assert_eq!(world.state(id).await, (JobStatus::Failed, Some(Reason::HostsFailed)));
    assert_eq!(world.claimed(10).await, [other]);
    for number in [1, 2] {
        let log = world.store.read_log(id, number, 0, 100).await.unwrap();
        assert_eq!(log, format!("attempt {number}\n").as_bytes());
    }
    assert_eq!(
        world.history(id).await,
        [
            "queued", "claimed", "ended", "retrying", "claimed", "ended", "retrying", "claimed", "ended", "finished"
        ]
    );
}

#[tokio::test]
async fn other_outcomes_stops_and_resolved_alerts_are_not_tried_again() {
    for (outcome, stopped, is_resolved, expected) in [
        (
            Outcome::TimedOut,
            false,
            false,
            (JobStatus::Failed, Some(Reason::TimedOut)),
        ),
        (Outcome::Lost, false, false, (JobStatus::Failed, Some(Reason::Lost))),
        (
            Outcome::HostsFailed,
            true,
            false,
            (JobStatus::Failed, Some(Reason::HostsFailed)),
        ),
        (
            Outcome::HostsFailed,
            false,
            true,
            (JobStatus::Failed, Some(Reason::HostsFailed)),
        ),
    ] {
        let world = World::new().await;
        let id = world.job_for(firing("a", world.ago(9)).via(retrying(), "a")).await;
        let key = world.claim_one().await;
        if stopped {
            world.store.cancel(id, by(&world)).await.unwrap();
        }
        if is_resolved {
            world.post(vec![resolved("a", world.ago(9), world.ago(1))]).await;
        }
        world.end(key, outcome).await;
        assert_eq!(world.state(id).await, expected, "{outcome:?}");
    }
}

#[tokio::test]
async fn a_job_that_waits_for_its_next_attempt_is_withdrawn_when_its_alert_resolves() {
    let world = World::new().await;
    let id = world.job_for(firing("a", world.ago(9)).via(retrying(), "a")).await;
    world.end(world.claim_one().await, Outcome::HostsFailed).await;
    world.post(vec![resolved("a", world.ago(9), world.ago(1))]).await;
    assert_eq!(
        world.state(id).await,
        (JobStatus::Canceled, Some(Reason::ResolvedMeanwhile))
    );
}

#[tokio::test]
async fn what_did_not_heal_is_followed_by_the_next_rung_which_takes_the_target_over() {
    let world = World::new().await;
    let id = world.job_for(firing("a", world.ago(9)).via(ladder(), "one")).await;
    let key = world.claim_one().await;
    let rival = world.job_for(firing("b", world.ago(9)).via(route("s"), "one")).await;
    world.end(key, Outcome::Ok).await;
    world.pass(121);
    world.store.settle_due(world.now()).await.unwrap();
    assert_eq!(world.state(id).await, (JobStatus::Failed, Some(Reason::NotHealed)));

    let second = follower(&world, id).await.unwrap();
    assert_eq!(
        (second.playbook.as_str(), second.trigger, second.triggered_by.as_str()),
        ("second", Trigger::Ladder, "healgate")
    );
    assert_eq!(
        (second.route.as_deref(), &second.target),
        (Some("r"), &world.job(id).await.target)
    );
    // Reports of the alert attach to the ladder.
    let decisions = world.post(vec![firing("a", world.ago(130)).via(ladder(), "one")]).await;
    assert_eq!(decisions[0].kind, DecisionKind::Attached);
    let key = world.claim_one().await;
    assert_eq!(key.job, second.id, "the rival got the target");
    world.end(key, Outcome::HostsFailed).await;
    let third = follower(&world, second.id).await.unwrap();
    assert_eq!(third.playbook, "third");

    // It heals.
    world.end(world.claim_one().await, Outcome::Ok).await;
    world.post(vec![resolved("a", world.ago(130), world.now())]).await;
    assert_eq!(
        world.state(third.id).await,
        (JobStatus::Succeeded, Some(Reason::Healed))
    );
    assert_eq!(world.claimed(10).await, [rival]);
    assert_eq!(jobs(&world).await.len(), 4);
}

#[tokio::test]
async fn the_end_of_the_ladder_is_told() {
    let world = World::new().await;
    let told = Route {
        notify: Some(Notify {
            to: vec!["ops".to_owned()],
            events: vec![NotifyEvent::Failed, NotifyEvent::Exhausted],
        }),
        ..ladder()
    };
    let mut id = world.job_for(firing("a", world.ago(9)).via(told, "one")).await;
    for _ in 0..2 {
        world.end(world.claim_one().await, Outcome::HostsFailed).await;
        assert!(world.history(id).await.contains(&"escalated".to_owned()));
        id = follower(&world, id).await.unwrap().id;
    }
    world.end(world.claim_one().await, Outcome::HostsFailed).await;
    assert!(world.history(id).await.contains(&"exhausted".to_owned()));
    let events = world.events_for("ops").await;
    assert_eq!(events, ["failed", "failed", "failed", "exhausted"]);
    assert_eq!(follower(&world, id).await, None);
    assert_eq!(world.claimed(10).await, []);
}

#[tokio::test]
async fn a_lost_a_stopped_or_a_resolved_job_has_no_next_rung() {
    for (outcome, is_resolved) in [
        (Outcome::Lost, false),
        (Outcome::Canceled, false),
        (Outcome::HostsFailed, true),
    ] {
        let world = World::new().await;
        let id = world.job_for(firing("a", world.ago(9)).via(ladder(), "one")).await;
        let key = world.claim_one().await;
        if is_resolved {
            world.post(vec![resolved("a", world.ago(9), world.ago(1))]).await;
        }
        world.end(key, outcome).await;
        assert_eq!(follower(&world, id).await, None, "{outcome:?}");
    }
}

#[tokio::test]
async fn rungs_of_a_route_that_asks_for_approval_wait_for_it_too() {
    let world = World::new().await;
    let route = Route {
        mode: Mode::Approve,
        ..ladder()
    };
    let id = world.job_for(firing("a", world.ago(9)).via(route, "one")).await;
    world.store.answer(id, Answer::Approve, by(&world)).await.unwrap();
    world.end(world.claim_one().await, Outcome::HostsFailed).await;
    let second = follower(&world, id).await.unwrap();
    assert_eq!(second.status, JobStatus::AwaitingApproval);
    assert_eq!(world.claimed(10).await, []);
    world
        .store
        .answer(second.id, Answer::Approve, by(&world))
        .await
        .unwrap();
    assert_eq!(world.claimed(10).await, [second.id]);
}

#[tokio::test]
async fn caps_hold_back_rungs_and_let_them_go_on_later() {
    let world = World::new().await;
    let route = Route {
        caps: vec![Cap {
            jobs: 1,
            per: Span::from_secs(600),
        }],
        ..ladder()
    };
    let id = world.job_for(firing("a", world.ago(9)).via(route, "one")).await;
    world.end(world.claim_one().await, Outcome::HostsFailed).await;
    assert_eq!(follower(&world, id).await, None);
    let until = world.now() + Duration::from_secs(600);
    assert_eq!(world.held().await, [(DecisionKind::Capped, Some(until))]);
    world.pass(600);
    world.decide_due().await;
    assert_eq!(follower(&world, id).await.unwrap().playbook, "second");
    assert_eq!(world.held().await, []);
}

#[tokio::test]
async fn a_clean_up_runs_after_a_job_whose_alert_resolved_while_it_ran() {
    let world = World::new().await;
    let route = Route {
        on_resolved: OnResolved::Run("tidy".to_owned()),
        ..verified("r")
    };
    let id = world.job_for(firing("a", world.ago(9)).via(route.clone(), "one")).await;
    let key = world.claim_one().await;
    world.post(vec![resolved("a", world.ago(9), world.ago(1))]).await;
    world.pass(1);
    world.end(key, Outcome::Ok).await;
    assert_eq!(world.state(id).await, (JobStatus::Succeeded, Some(Reason::Healed)));
    let tidy = follower(&world, id).await.unwrap();
    assert_eq!((tidy.playbook.as_str(), tidy.episode), ("tidy", None));
    let key = world.claim_one().await;
    assert_eq!(key.job, tidy.id);
    world.end(key, Outcome::Ok).await;
    assert_eq!(
        world.state(tidy.id).await,
        (JobStatus::Succeeded, Some(Reason::Unverified))
    );

    // Not after one that was healed while it was being verified.
    let id = world.job_for(firing("b", world.ago(9)).via(route, "two")).await;
    world.end(world.claim_one().await, Outcome::Ok).await;
    world.pass(1);
    world.post(vec![resolved("b", world.ago(9), world.now())]).await;
    assert_eq!(world.state(id).await, (JobStatus::Succeeded, Some(Reason::Healed)));
    assert_eq!(follower(&world, id).await, None);
}

#[tokio::test]
async fn a_clean_up_also_runs_where_a_query_decides_whether_it_healed() {
    let world = World::new().await;
    let route = Route {
        on_resolved: OnResolved::Run("tidy".to_owned()),
        ..verified("r")
    };
    let mut report = firing("a", world.ago(9)).via(route, "one");
    report.reached[0].1.checks.verify_query = Some("up == 1".to_owned());
    let id = world.job_for(report).await;
    let key = world.claim_one().await;
    world.post(vec![resolved("a", world.ago(9), world.ago(1))]).await;
    world.pass(1);
    world.end(key, Outcome::Ok).await;
    assert_eq!(follower(&world, id).await, None, "its query has not become true yet");
    world
        .store
        .heal(id, "the query became true", world.now())
        .await
        .unwrap();
    assert_eq!(follower(&world, id).await.unwrap().playbook, "tidy");
}

#[tokio::test]
async fn a_rung_is_newer_than_all_that_was_made_before_it() {
    let world = World::new().await;
    let mut report = firing("a", world.ago(9)).via(ladder(), "one");
    report.reached[0]
        .1
        .parameters
        .vars
        .insert("me".to_owned(), "JOB".into());
    let id = world.job_for(report).await;
    let key = world.claim_one().await;
    world.pass(60);
    let between = world.by_hand(world.manual("two")).await;
    world.pass(60);
    world.end(key, Outcome::HostsFailed).await;
    let names: Vec<JobId> = jobs(&world).await.into_iter().map(|job| job.id).collect();
    let rung = follower(&world, id).await.unwrap().id;
    assert_eq!(names, [id, between, rung]);
}

#[tokio::test]
async fn a_ladder_that_begins_anew_forgets_the_rung_that_waited() {
    let world = World::new().await;
    let route = Route {
        caps: vec![Cap {
            jobs: 2,
            per: Span::from_secs(3_600),
        }],
        again_after: Some(Span::from_secs(600)),
        ..ladder()
    };
    let report = || firing("a", world.ago(9)).via(route.clone(), "one");
    let id = world.job_for(report()).await;
    world.end(world.claim_one().await, Outcome::HostsFailed).await;
    world.end(world.claim_one().await, Outcome::HostsFailed).await;
    assert_eq!(world.held().await.len(), 1, "the third may not run yet");
    // A repeat changes nothing about it.
    assert_eq!(world.post(vec![report()]).await[0].kind, DecisionKind::Attached);
    assert_eq!(world.held().await.len(), 1);
    world.pass(3_599);
    assert_eq!(world.post(vec![report()]).await[0].kind, DecisionKind::Capped);
    world.pass(1);
    let again = world.decide_due().await;
    assert_eq!(again[0].kind, DecisionKind::Queued);
    assert_ne!(again[0].job, Some(id));
    assert_eq!(world.held().await, []);
    assert_eq!(
        world.claimed(10).await,
        [again[0].job.unwrap()],
        "and no old rung beside it"
    );
}

#[tokio::test]
async fn a_rung_that_was_let_go_since_it_became_due_is_over() {
    let world = World::new().await;
    let route = Route {
        caps: vec![Cap {
            jobs: 1,
            per: Span::from_secs(600),
        }],
        on_resolved: OnResolved::Run("tidy".to_owned()),
        ..ladder()
    };
    let id = world.job_for(firing("a", world.ago(9)).via(route, "one")).await;
    world.end(world.claim_one().await, Outcome::HostsFailed).await;
    world.pass(600);
    let due = world.store.due_held(world.now(), 10).await.unwrap();
    world.post(vec![resolved("a", world.ago(700), world.now())]).await;
    world
        .store
        .climb_again(due[0].follows.unwrap(), world.now())
        .await
        .unwrap();
    assert_eq!(follower(&world, id).await, None);
}
