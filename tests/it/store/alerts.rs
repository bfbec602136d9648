//! Alerts and notifications as they are listed.

use healgate::domain::decision::DecisionKind;
use healgate::domain::ids::Fingerprint;
use healgate::store::StoreError;
use healgate::store::read::PageRequest;

use super::world::{World, firing, first, resolved, route};

#[tokio::test]
async fn alerts_are_listed_in_pages_and_the_last_received_comes_first() {
    let world = World::new().await;
    for number in 0..7 {
        world.post(vec![firing(&format!("a {number}"), world.now())]).await;
        world.pass(i64::from(number % 2));
    }
    world.post(vec![firing("a 2", world.ago(1))]).await;
    let (mut names, mut after) = (Vec::new(), None);
    loop {
        let page = world.store.list_alerts(PageRequest { limit: 3, after }).await.unwrap();
        names.extend(
            page.items
                .into_iter()
                .map(|alert| alert.fingerprint.as_str().to_owned()),
        );
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    assert_eq!(names, ["a 6", "a 2", "a 5", "a 4", "a 3", "a 1", "a 0"]);
    for bad in ["", "x", "12", "x y", "é"] {
        let page = PageRequest {
            limit: 3,
            after: Some(bad.to_owned()),
        };
        assert!(
            matches!(world.store.list_alerts(page).await, Err(StoreError::BadCursor(_))),
            "{bad}"
        );
    }
}

#[tokio::test]
async fn an_alerts_story_has_its_episodes_decisions_and_jobs_newest_first() {
    let world = World::new().await;
    let began = world.ago(9);
    world.job_for(firing("a", began).via(route("r"), "a")).await;
    world.pass(10);
    world
        .post(vec![resolved("a", began, world.now()).via(route("r"), "a")])
        .await;
    world.pass(400);
    let last = world
        .job_for(firing("a", world.ago(1)).via(route("r"), "a").with("extra", "label"))
        .await;
    let name = Fingerprint::parse("a").unwrap();
    let story = world.store.find_alert(&name).await.unwrap().unwrap();
    let summary = &story.summary;
    assert_eq!((summary.episodes, summary.jobs, summary.firing), (2, 2, true));
    assert_eq!(
        (summary.alertname.as_str(), summary.starts_at),
        ("NginxDown", world.ago(1))
    );
    assert_eq!(summary.labels["extra"], "label");
    assert_eq!(story.jobs[0].id, last);
    let kinds: Vec<_> = story.decisions.iter().map(|decision| decision.kind).collect();
    assert_eq!(
        kinds,
        [DecisionKind::Queued, DecisionKind::Resolved, DecisionKind::Queued]
    );
    assert_eq!(story.episodes[1].starts_at, began);
    assert_eq!(story.episodes[1].ended_at, Some(world.ago(400)));
    assert_eq!((story.episodes[1].received, story.episodes[1].missed), (2, false));
    assert_eq!(&world.store.list_alerts(first(9)).await.unwrap().items[0], summary);
    assert_eq!(
        world.store.find_alert(&Fingerprint::parse("b").unwrap()).await.unwrap(),
        None
    );
}

#[tokio::test]
async fn notifications_are_listed_newest_first_while_new_ones_come() {
    let world = World::new().await;
    let mut sent = Vec::new();
    for _ in 0..5 {
        let delivery = world.delivery(Vec::new());
        sent.insert(0, delivery.id);
        world.deliver(delivery).await.unwrap();
        world.pass(1);
    }
    let (mut listed, mut after) = (Vec::new(), None);
    loop {
        let page = world
            .store
            .list_notifications(PageRequest { limit: 2, after })
            .await
            .unwrap();
        listed.extend(page.items.into_iter().map(|notification| notification.id));
        after = page.next;
        if after.is_none() {
            break;
        }
        world.post(Vec::new()).await;
    }
    assert_eq!(listed, sent);
    let bad = PageRequest {
        limit: 2,
        after: Some("zzz".to_owned()),
    };
    assert!(matches!(
        world.store.list_notifications(bad).await,
        Err(StoreError::BadCursor(_))
    ));
}
