//! Hostile texts come back as they went in.

use healgate::domain::ids::{Fingerprint, Target};
use healgate::store::read::JobFilter;

use super::world::{Report, World, firing, first, route};

const TEXTS: [&str; 9] = [
    "a\0b",
    "\0",
    "it's \"quoted\" \\ and \\u0000",
    "🧯\u{202e}é\u{feff}\u{fffd}\u{10ffff}",
    "line\nline\r\n\ttab",
    "'; DROP TABLE jobs; --",
    "{{ lookup('pipe', 'id') }}",
    "123",
    "null",
];

fn report(world: &World, text: &str) -> Report {
    let mut report = firing(text, world.ago(9)).with("alertname", text).with(text, text);
    report.alert.annotations.insert(text.to_owned(), text.to_owned());
    report.alert.generator_url = text.to_owned();
    let mut report = report.via(route(text), text);
    let plan = &mut report.reached[0].1;
    plan.playbook = text.to_owned();
    plan.parameters.vars.insert(text.to_owned(), text.into());
    report
}

#[tokio::test]
async fn any_text_comes_back_equal_in_a_job_and_a_notification() {
    let world = World::new().await;
    for text in TEXTS {
        world.pass(1);
        let report = report(&world, text);
        let mut delivery = world.delivery(vec![report.clone()]);
        delivery.posted_by = text.to_owned();
        (delivery.group.receiver, delivery.group.group_key) = (text.to_owned(), text.to_owned());
        let decisions = world.deliver(delivery.clone()).await.unwrap();
        let job = world.job(decisions[0].job.unwrap()).await;
        assert_eq!(job.alert.as_ref(), Some(&report.alert));
        assert_eq!(job.group, Some(delivery.group));
        assert_eq!((job.route.as_deref(), job.playbook.as_str()), (Some(text), text));
        assert_eq!(
            (job.target, job.triggered_by.as_str()),
            (Target::parse(text).unwrap(), text)
        );
        assert_eq!(job.parameters, report.reached[0].1.parameters);

        let stored = world.store.find_notification(delivery.id).await.unwrap().unwrap();
        let summary = &stored.summary;
        assert_eq!((summary.receiver.as_str(), summary.group_key.as_str()), (text, text));
        let decision = &stored.decisions[0];
        assert_eq!(decision.reason, decisions[0].reason);
        assert!(decision.reason.contains(text));
        assert_eq!(decision.fingerprint, report.alert.fingerprint);
        assert_eq!(
            (decision.alertname.as_str(), decision.route.as_deref()),
            (text, Some(text))
        );
    }
    assert_eq!(
        world.claim(100).await.len(),
        TEXTS.len(),
        "each text is a target of its own"
    );
}

#[tokio::test]
async fn any_text_is_found_again_as_an_alert_and_by_every_filter() {
    let world = World::new().await;
    for text in TEXTS {
        world.pass(1);
        let report = report(&world, text);
        let job = world.job_for(report.clone()).await;
        let again = world.post(vec![report.clone()]).await;
        assert_eq!(again[0].job, Some(job), "{text:?}");
        let name = Fingerprint::parse(text).unwrap();
        let summary = world.store.find_alert(&name).await.unwrap().unwrap().summary;
        assert_eq!(summary.labels, report.alert.labels);
        assert_eq!(summary.annotations, report.alert.annotations);
        assert_eq!(summary.generator_url, text);
        let filter = JobFilter {
            target: vec![text.to_owned()],
            alertname: vec![text.to_owned()],
            fingerprint: vec![text.to_owned()],
            route: vec![text.to_owned()],
            playbook: vec![text.to_owned()],
            q: vec![text.to_owned()],
            ..JobFilter::default()
        };
        let found = world.store.list_jobs(&filter, first(10)).await.unwrap().items;
        assert_eq!(found.iter().map(|job| job.id).collect::<Vec<_>>(), [job], "{text:?}");
    }
}

#[tokio::test]
async fn a_target_that_differs_after_a_nul_is_another_target() {
    let world = World::new().await;
    for (fingerprint, target) in [("x\0a", "t\0a"), ("x\0b", "t\0b"), ("x\0c", "t\0a")] {
        world
            .job_for(firing(fingerprint, world.ago(1)).via(route("r"), target))
            .await;
    }
    assert_eq!(world.claim(10).await.len(), 2);
}

#[tokio::test]
async fn a_label_of_a_mebibyte_survives() {
    let world = World::new().await;
    let long = "x\0\"é🧯".repeat(1 << 17);
    let report = firing("a", world.ago(1)).with("long", &long).via(route("r"), &long);
    let job = world.job_for(report.clone()).await;
    let job = world.job(job).await;
    assert_eq!(job.alert, Some(report.alert));
    assert_eq!(job.target.as_str(), long);
}
