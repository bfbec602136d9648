//! What is put into the outbox, by which change, and what becomes of it there.

use std::time::Duration;

use healgate::domain::attempt::Outcome;
use healgate::domain::job::{JobStatus, Reason};
use healgate::domain::notify::{About, Announcement, Notify, NotifyEvent, Sending};
use healgate::domain::route::Route;
use healgate::store::{Answer, StoreError};

use super::world::{World, asking, firing, resolved, route, telling, verified};

fn all(of: Route) -> Route {
    telling(NotifyEvent::ALL, of)
}

#[tokio::test]
async fn the_end_of_a_job_is_told_in_the_commit_that_ends_it() {
    for (outcome, event) in [
        (Outcome::Ok, None),
        (Outcome::HostsFailed, Some("failed")),
        (Outcome::TimedOut, Some("failed")),
        (Outcome::StartFailed, Some("failed")),
        (Outcome::Lost, Some("lost")),
        (Outcome::Canceled, None),
    ] {
        let world = World::new().await;
        let id = world.job_for(firing("a", world.ago(9)).via(all(route("r")), "a")).await;
        world.end(world.claim_one().await, outcome).await;
        assert_eq!(world.heard().await.outbox_grew, event.is_some(), "{outcome:?}");
        let messages = world.messages("ops").await;
        assert_eq!(
            messages
                .iter()
                .map(|message| message.event.as_str())
                .collect::<Vec<_>>(),
            Vec::from_iter(event)
        );
        for message in messages {
            assert_eq!(
                (message.about, message.due_at, message.tries),
                (About::Job(id), world.now(), 0)
            );
        }
    }
}

#[tokio::test]
async fn both_ends_of_a_verification_are_told() {
    let world = World::new().await;
    let healed = firing("a", world.ago(9)).via(all(verified("r")), "a");
    let not_healed = firing("b", world.ago(9)).via(all(verified("r")), "b");
    for report in [healed, not_healed] {
        world.job_for(report).await;
        world.end(world.claim_one().await, Outcome::Ok).await;
    }
    assert_eq!(world.events_for("ops").await, Vec::<&str>::new());
    world.post(vec![resolved("a", world.ago(9), world.now())]).await;
    assert_eq!(world.events_for("ops").await, ["healed"]);
    world.pass(121);
    world.store.settle_due(world.now()).await.unwrap();
    assert_eq!(world.events_for("ops").await, ["not_healed"]);
}

#[tokio::test]
async fn who_hears_of_failures_alone_hears_of_a_lost_job_too_and_nobody_twice() {
    use NotifyEvent::{Failed, Healed, Lost};
    for (events, told) in [
        (&[Failed][..], &["failed"][..]),
        (&[Failed, Lost], &["lost"]),
        (&[Lost], &["lost"]),
        (&[Healed], &[]),
    ] {
        let world = World::new().await;
        world
            .job_for(firing("a", world.ago(9)).via(telling(events, route("r")), "a"))
            .await;
        world.end(world.claim_one().await, Outcome::Lost).await;
        assert_eq!(world.events_for("ops").await, told);
    }
}

#[tokio::test]
async fn a_job_that_waits_for_approval_is_told_once_and_its_answer_is_not() {
    let world = World::new().await;
    let report = || firing("a", world.ago(9)).via(all(asking("r")), "a");
    let id = world.job_for(report()).await;
    world.post(vec![report()]).await;
    assert_eq!(world.events_for("ops").await, ["awaiting_approval"]);
    world.store.answer(id, Answer::Reject, world.by("ada")).await.unwrap();
    assert_eq!(world.state(id).await, (JobStatus::Canceled, Some(Reason::Rejected)));
    assert_eq!(world.events_for("ops").await, Vec::<&str>::new());
}

#[tokio::test]
async fn each_notifier_is_told_and_jobs_without_a_wish_tell_nobody() {
    let world = World::new().await;
    let notify = Notify {
        to: vec!["ops".to_owned(), "pager".to_owned()],
        events: vec![NotifyEvent::Failed],
    };
    let both = Route {
        notify: Some(notify),
        ..route("r")
    };
    world.job_for(firing("a", world.ago(9)).via(both, "a")).await;
    world.end(world.claim_one().await, Outcome::HostsFailed).await;
    world.job_for(firing("b", world.ago(9)).via(route("s"), "b")).await;
    world.end(world.claim_one().await, Outcome::HostsFailed).await;
    assert_eq!(world.outbox.awaited_notifiers().await.unwrap(), ["ops", "pager"]);
    assert_eq!(
        (world.messages("ops").await.len(), world.messages("pager").await.len()),
        (1, 1)
    );
    assert!(world.outbox.awaited_notifiers().await.unwrap().is_empty());
}

#[tokio::test]
async fn a_try_in_vain_postpones_a_message_and_the_first_and_the_last_are_in_the_jobs_history() {
    let world = World::new().await;
    let id = world.job_for(firing("a", world.ago(9)).via(all(route("r")), "a")).await;
    world.end(world.claim_one().await, Outcome::HostsFailed).await;
    for (error, wait) in [("first", Some(5)), ("second", Some(10)), ("third", None)] {
        let message = world.outbox.next_message("ops").await.unwrap().unwrap();
        let again_at = wait.map(|wait| world.now() + Duration::from_secs(wait));
        let sending = Sending::Failed {
            error: error.to_owned(),
            again_at,
        };
        world.outbox.tried(&message, sending, world.now()).await.unwrap();
        let next = world.outbox.next_message("ops").await.unwrap();
        assert_eq!(next.as_ref().map(|next| next.due_at), again_at);
        assert_eq!(next.map(|next| next.tries), again_at.map(|_| message.tries + 1));
    }
    assert_eq!(
        world.told(id).await,
        [
            "not_notified: could not notify ops: failed; trying again: first",
            "not_notified: could not notify ops: failed; gave up after 3 tries: third"
        ]
    );
}

#[tokio::test]
async fn a_message_is_settled_once() {
    let world = World::new().await;
    let id = world.job_for(firing("a", world.ago(9)).via(all(route("r")), "a")).await;
    world.end(world.claim_one().await, Outcome::HostsFailed).await;
    let message = world.outbox.next_message("ops").await.unwrap().unwrap();
    world.outbox.tried(&message, Sending::Sent, world.now()).await.unwrap();
    let again = world.outbox.tried(&message, Sending::Sent, world.now()).await;
    assert!(matches!(again, Err(StoreError::Conflict(_))), "{again:?}");
    assert_eq!(world.told(id).await, ["notified: notified ops: failed"]);
}

#[tokio::test]
async fn messages_to_a_notifier_that_is_gone_are_given_up() {
    let world = World::new().await;
    let id = world.job_for(firing("a", world.ago(9)).via(all(route("r")), "a")).await;
    world.end(world.claim_one().await, Outcome::HostsFailed).await;
    assert!(
        world
            .outbox
            .drop_messages("other", "gone", world.now())
            .await
            .unwrap()
            .is_empty()
    );
    assert_eq!(
        world.outbox.drop_messages("ops", "gone", world.now()).await.unwrap(),
        ["failed"]
    );
    assert!(world.outbox.awaited_notifiers().await.unwrap().is_empty());
    assert_eq!(
        world.told(id).await,
        ["not_notified: could not notify ops: failed: gone"]
    );
}

#[tokio::test]
async fn an_announcement_is_told_once_for_its_key() {
    let world = World::new().await;
    let storm = |key: &str| Announcement {
        event: NotifyEvent::Storm,
        to: vec!["ops".to_owned(), "pager".to_owned()],
        key: key.to_owned(),
        title: "storm".to_owned(),
        text: "101 jobs in 5m".to_owned(),
    };
    for key in ["one", "one", "two"] {
        world.outbox.announce(storm(key), world.now()).await.unwrap();
    }
    assert!(world.heard().await.outbox_grew);
    let messages = world.messages("ops").await;
    assert_eq!(messages.len(), 2);
    let about = About::Gateway {
        title: "storm".to_owned(),
        text: "101 jobs in 5m".to_owned(),
    };
    assert_eq!((&messages[0].about, messages[0].event), (&about, NotifyEvent::Storm));
    assert_eq!(world.events_for("pager").await, ["storm", "storm"]);
}
