//! Alerts and notifications as they are listed.

use healgate::domain::alert::AlertStatus;
use healgate::domain::decision::DecisionKind;
use healgate::domain::ids::Fingerprint;
use healgate::store::StoreError;
use healgate::store::read::{AlertFilter, AlertSummary, PageRequest};

use super::world::{World, firing, resolved, route};

#[tokio::test]
async fn alerts_are_listed_in_pages_and_the_last_received_comes_first() {
    let world = World::new().await;
    for number in 0..7 {
        world.post(vec![firing(&format!("a {number}"), world.now())]).await;
        world.pass(i64::from(number % 2));
    }
    world.post(vec![firing("a 2", world.ago(1))]).await;
    let listed = all(&world, &AlertFilter::default(), 3).await;
    let names: Vec<&str> = listed.iter().map(|alert| alert.fingerprint.as_str()).collect();
    assert_eq!(names, ["a 6", "a 2", "a 5", "a 4", "a 3", "a 1", "a 0"]);
    for bad in ["", "x", "12", "x y", "é"] {
        let page = PageRequest {
            limit: 3,
            after: Some(bad.to_owned()),
        };
        let listed = world.store.list_alerts(&AlertFilter::default(), page).await;
        assert!(matches!(listed, Err(StoreError::BadCursor(_))), "{bad}");
    }
}

/// All pages of a list.
async fn all(world: &World, filter: &AlertFilter, limit: u32) -> Vec<AlertSummary> {
    let (mut listed, mut after) = (Vec::new(), None);
    loop {
        let page = PageRequest { limit, after };
        let mut page = world.store.list_alerts(filter, page).await.unwrap();
        assert!(page.items.len() <= usize::try_from(limit).unwrap());
        listed.append(&mut page.items);
        after = page.next;
        if after.is_none() {
            return listed;
        }
    }
}

#[tokio::test]
async fn alerts_that_fire_and_those_that_do_not_are_listed_alone_in_the_order_of_the_whole_list() {
    let world = World::new().await;
    let began = world.ago(9);
    let filter = |status: &[AlertStatus]| AlertFilter {
        status: status.to_vec(),
    };
    for number in 0..9 {
        world.post(vec![firing(&format!("a {number}"), began)]).await;
        // Some are received at the same moment.
        world.pass(i64::from(number % 3));
    }
    for number in [0, 3, 4, 8] {
        world
            .post(vec![resolved(&format!("a {number}"), began, world.now())])
            .await;
    }
    world.pass(400);
    // One comes back, one is repeated, and of one a late report comes.
    world.post(vec![firing("a 4", world.ago(1))]).await;
    world.post(vec![firing("a 1", began)]).await;
    world.post(vec![resolved("a 8", began, world.ago(400))]).await;
    let whole = all(&world, &AlertFilter::default(), 99).await;
    for limit in [1, 2, 3, 99] {
        for status in AlertStatus::ALL {
            let fires = *status == AlertStatus::Firing;
            let expected: Vec<_> = whole.iter().filter(|alert| alert.firing == fires).cloned().collect();
            assert_eq!(expected.len(), if fires { 6 } else { 3 });
            assert_eq!(
                all(&world, &filter(&[*status]), limit).await,
                expected,
                "{status:?} by {limit}"
            );
        }
        assert_eq!(all(&world, &filter(AlertStatus::ALL), limit).await, whole);
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
    assert_eq!(&all(&world, &AlertFilter::default(), 9).await[0], summary);
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
