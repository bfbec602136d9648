//! Accepting notifications: what they cause, once, however they come.

use std::sync::Arc;
use std::time::Instant;

use futures_util::future::join_all;
use healgate::domain::alert::Sender;
use healgate::domain::decision::Decision;
use healgate::domain::decision::DecisionKind::{Attached, Queued, Resolved};
use healgate::domain::job::{JobStatus, Reason, Trigger};
use healgate::domain::span::Span;
use healgate::store::Received;
use healgate::store::read::{AlertFilter, JobFilter};

use super::world::{Report, World, firing, first, parameters, resolved, route, verified};

#[tokio::test]
async fn what_was_accepted_reads_back_as_it_came() {
    let world = World::new().await;
    let report = firing("a", world.ago(10)).via(verified("nginx-down"), "container/nginx");
    let body: Vec<u8> = (0..=255).cycle().take(100_000).collect();
    let delivery = world.delivery(vec![report.clone(), firing("b", world.ago(5))]);
    let (id, job) = (delivery.id, delivery.intakes[0].reached[0].job);
    let received = Received {
        sender: Sender::Grafana,
        body: body.clone(),
        truncated_alerts: 7,
    };
    let decisions = world.store.accept(received, delivery.clone()).await.unwrap();

    let notification = world.store.find_notification(id).await.unwrap().unwrap();
    assert_eq!(notification.body, body);
    let summary = &notification.summary;
    assert_eq!((summary.alerts, summary.truncated_alerts), (2, 7));
    assert_eq!((summary.id, summary.received_at), (id, world.now()));
    assert_eq!(
        (summary.sender, summary.receiver.as_str()),
        (Sender::Grafana, "healgate")
    );
    assert_eq!(summary.posted_by, "alertmanager");
    assert_eq!(notification.decisions.len(), decisions.len());
    for (stored, decision) in notification.decisions.iter().zip(&decisions) {
        assert_eq!((stored.at, stored.notification), (world.now(), Some(id)));
        assert_eq!(stored.fingerprint, decision.fingerprint);
        assert_eq!(
            (&stored.alertname, &stored.route),
            (&decision.alertname, &decision.route)
        );
        assert_eq!((stored.kind, &stored.reason), (decision.kind, &decision.reason));
        assert_eq!((stored.job, stored.episode), (decision.job, decision.episode));
    }

    let job = world.job(job).await;
    assert_eq!(
        (job.status, job.reason, job.trigger),
        (JobStatus::Queued, None, Trigger::Alert)
    );
    assert_eq!(job.alert, Some(report.alert));
    assert_eq!(job.group, Some(delivery.group));
    assert_eq!(job.parameters, parameters());
    assert_eq!(
        (job.route.as_deref(), job.target.as_str()),
        (Some("nginx-down"), "container/nginx")
    );
    assert_eq!((job.created_at, job.run_at), (world.now(), world.now()));
    assert_eq!(
        (job.triggered_by.as_str(), job.episode),
        ("alertmanager", decisions[0].episode)
    );
    assert_eq!(world.history(job.id).await, ["queued"]);
    assert_eq!(
        world
            .store
            .find_notification(world.unknown_notification())
            .await
            .unwrap(),
        None
    );
}

#[tokio::test]
async fn a_repeated_notification_attaches_and_makes_no_job() {
    let world = World::new().await;
    let report = firing("a", world.ago(10)).via(route("nginx-down"), "nginx");
    let job = world.job_for(report.clone()).await;
    for _ in 0..3 {
        world.pass(60);
        let decisions = world.post(vec![report.clone()]).await;
        assert_eq!((decisions[0].kind, decisions[0].job), (Attached, Some(job)));
    }
    let story = world
        .store
        .find_alert(&report.alert.fingerprint)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(
        (story.episodes.len(), story.jobs.len(), story.decisions.len()),
        (1, 1, 4)
    );
    assert_eq!(
        (story.episodes[0].received, story.episodes[0].last_received_at),
        (4, world.now())
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_same_alert_from_many_senders_at_once_makes_one_job() {
    let world = Arc::new(World::new().await);
    let report = firing("a", world.ago(10)).via(route("nginx-down"), "nginx");
    let posts = (0..50).map(|_| {
        let (world, report) = (Arc::clone(&world), report.clone());
        tokio::spawn(async move { world.post(vec![report]).await })
    });
    let decisions: Vec<_> = join_all(posts).await.into_iter().flat_map(Result::unwrap).collect();
    assert_eq!(decisions.iter().filter(|decision| decision.kind == Queued).count(), 1);
    assert_eq!(
        decisions.iter().filter(|decision| decision.kind == Attached).count(),
        49
    );
    assert!(decisions.iter().all(|decision| decision.job == decisions[0].job));
    let jobs = world.store.list_jobs(&JobFilter::default(), first(500)).await.unwrap();
    assert_eq!(jobs.items.len(), 1);
}

#[tokio::test]
async fn an_alert_that_ended_in_the_notification_that_began_it_runs_nothing() {
    let world = World::new().await;
    let began = firing("a", world.ago(10)).via(route("nginx-down"), "nginx");
    let ended = resolved("a", world.ago(10), world.ago(1)).via(route("nginx-down"), "nginx");
    let decisions = world.post(vec![began, ended]).await;
    assert_eq!((decisions[0].kind, decisions[1].kind), (Queued, Resolved));
    let job = decisions[0].job.unwrap();
    assert_eq!(
        world.state(job).await,
        (JobStatus::Canceled, Some(Reason::ResolvedMeanwhile))
    );
    assert!(world.claim(10).await.is_empty());
}

#[tokio::test]
async fn an_alert_that_is_reported_twice_in_a_notification_is_received_twice() {
    let world = World::new().await;
    let report = firing("a", world.ago(10)).via(route("nginx-down"), "nginx");
    let mut changed = report.clone();
    changed
        .alert
        .annotations
        .insert("summary".to_owned(), "still down".to_owned());
    world.post(vec![report.clone(), report, changed.clone()]).await;
    let story = world
        .store
        .find_alert(&changed.alert.fingerprint)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(story.episodes[0].received, 3);
    assert_eq!(story.summary.annotations, changed.alert.annotations);
}

#[tokio::test]
async fn a_missed_resolved_closes_the_old_episode_and_begins_a_new_one() {
    let world = World::new().await;
    let first = firing("a", world.ago(10)).via(route("nginx-down"), "nginx");
    let old = world.job_for(first.clone()).await;
    world.pass(600);
    let again = firing("a", world.ago(30)).via(route("nginx-down"), "nginx");
    let new = world.job_for(again.clone()).await;
    assert_eq!(
        world.state(old).await,
        (JobStatus::Canceled, Some(Reason::ResolvedMeanwhile))
    );
    assert_eq!(world.claimed(10).await, [new]);
    let story = world.store.find_alert(&first.alert.fingerprint).await.unwrap().unwrap();
    let [open, closed] = &story.episodes[..] else {
        panic!("{story:#?}")
    };
    assert!(closed.missed && closed.closed_at == Some(world.now()));
    assert!(!open.missed && open.closed_at.is_none() && open.starts_at == again.alert.starts_at);
    assert!(story.summary.firing);
}

#[tokio::test]
async fn a_job_whose_time_is_over_when_its_alert_comes_again_is_replaced_at_once() {
    let world = World::new().await;
    let brief = healgate::domain::route::Route {
        expires: Span::from_secs(60),
        ..route("nginx-down")
    };
    let report = firing("a", world.ago(10)).via(brief, "nginx");
    let old = world.job_for(report.clone()).await;
    world.pass(60);
    let new = world.job_for(report).await;
    assert_eq!(world.state(old).await, (JobStatus::Canceled, Some(Reason::Expired)));
    assert_eq!(world.claimed(10).await, [new]);
}

#[tokio::test]
async fn a_notification_that_cannot_be_stored_leaves_nothing() {
    let world = World::new().await;
    let report = firing("a", world.ago(10)).via(route("nginx-down"), "nginx");
    let delivery = world.delivery(vec![report.clone()]);
    world.deliver(delivery.clone()).await.unwrap();
    let mut twice = world.delivery(vec![firing("b", world.ago(1)).via(route("nginx-down"), "b")]);
    twice.id = delivery.id;
    world.deliver(twice).await.unwrap_err();
    let jobs = world.store.list_jobs(&JobFilter::default(), first(10)).await.unwrap();
    assert_eq!(jobs.items.len(), 1);
    assert_eq!(
        world
            .store
            .list_alerts(&AlertFilter::default(), first(10))
            .await
            .unwrap()
            .items
            .len(),
        1
    );
}

#[tokio::test]
async fn what_comes_together_is_stored_though_one_of_it_cannot_be() {
    let world = World::new().await;
    let mut deliveries: Vec<_> = (0..50)
        .map(|number| {
            let name = format!("a{number}");
            world.delivery(vec![firing(&name, world.ago(10)).via(route("nginx-down"), &name)])
        })
        .collect();
    deliveries[30].id = deliveries[20].id;
    let answers = join_all(deliveries.into_iter().map(|delivery| world.deliver(delivery))).await;
    for (number, answer) in answers.iter().enumerate() {
        match answer {
            Ok(decisions) => assert_eq!((decisions.len(), decisions[0].kind), (1, Queued)),
            Err(error) => assert_eq!(number, 30, "{error}"),
        }
    }
    assert!(answers[30].is_err());
    let jobs = world.store.list_jobs(&JobFilter::default(), first(500)).await.unwrap();
    assert_eq!(jobs.items.len(), 49);
    let notifications = world.store.list_notifications(first(500)).await.unwrap();
    assert_eq!(notifications.items.len(), 49);
}

#[tokio::test]
async fn what_comes_together_follows_each_other_as_if_it_came_one_by_one() {
    let world = World::new().await;
    let start = world.ago(10);
    let report = |name: &str| firing(name, start).via(route("nginx-down"), name);
    let ended = resolved("a", start, world.ago(1)).via(route("nginx-down"), "a");
    let again = firing("a", world.now()).via(route("nginx-down"), "a");
    let together = [
        vec![report("a"), report("b")],
        vec![report("a")],
        vec![ended],
        vec![report("b"), report("c")],
        vec![again],
    ];
    let deliveries: Vec<_> = together.into_iter().map(|reports| world.delivery(reports)).collect();
    let answers = join_all(deliveries.into_iter().map(|delivery| world.deliver(delivery))).await;
    let kinds = |decisions: &Vec<_>| decisions.iter().map(|one: &Decision| one.kind).collect::<Vec<_>>();
    let kinds: Vec<_> = answers.iter().map(|answer| kinds(answer.as_ref().unwrap())).collect();
    let expected = [
        vec![Queued, Queued],
        vec![Attached],
        vec![Resolved],
        vec![Attached, Queued],
        vec![Queued],
    ];
    assert_eq!(kinds, expected);
    let job = |answer: usize| answers[answer].as_ref().unwrap()[0].job.unwrap();
    assert_eq!(
        world.state(job(0)).await,
        (JobStatus::Canceled, Some(Reason::ResolvedMeanwhile))
    );
    assert_eq!(world.state(job(4)).await, (JobStatus::Queued, None));
}

#[tokio::test]
async fn no_alerts_are_accepted_too() {
    let world = World::new().await;
    assert_eq!(world.post(Vec::new()).await, []);
    assert_eq!(world.store.list_notifications(first(10)).await.unwrap().items.len(), 1);
}

#[tokio::test]
async fn ten_thousand_alerts_are_one_notification() {
    let world = World::new().await;
    let reports = |make: &dyn Fn(&str) -> Report| (0..10_000).map(|n| make(&format!("{n:016x}"))).collect::<Vec<_>>();
    let start = world.ago(10);
    let firing = reports(&|name| firing(name, start).via(verified("nginx-down"), name));
    let resolved = reports(&|name| resolved(name, start, start).via(verified("nginx-down"), name));
    for (what, reports, expected) in [
        ("first", firing.clone(), Queued),
        ("repeated", firing, Attached),
        ("resolved", resolved, Resolved),
    ] {
        world.pass(1);
        let delivery = world.delivery(reports);
        let began = Instant::now();
        let decisions = world.deliver(delivery).await.unwrap();
        println!("10,000 alerts, {what}: {:?}", began.elapsed());
        assert_eq!(decisions.len(), 10_000);
        assert!(decisions.iter().all(|decision| decision.kind == expected));
    }
    assert!(world.claim(10).await.is_empty());
}
