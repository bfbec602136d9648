//! Mails and servers that take their time, or do not take everybody.

use std::sync::Arc;
use std::time::Duration;

use healgate::config::{Channel, Email, Encryption, Notifier, Rate};
use healgate::domain::attempt::Outcome;
use healgate::domain::notify::NotifyEvent;
use healgate::notify::{Letter, Next, Sender};

use super::couriers::Story;
use super::world::{World, firing, route, telling};
use crate::support::mailbox::{Mailbox, Way};

const OPS: &str = "ops@example.org";
const ADA: &str = "ada@example.org";
const GONE: &str = "550 5.1.1 no such user";
const LATER: &str = "451 4.7.1 greylisted";

fn notifier(mailbox: &Mailbox) -> Notifier {
    Notifier {
        name: "ops".to_owned(),
        channel: Channel::Email(Email {
            host: "127.0.0.1".to_owned(),
            port: mailbox.port(),
            encryption: Encryption::None,
            from: "gate@example.org".parse().unwrap(),
            to: vec![OPS.parse().unwrap(), ADA.parse().unwrap()],
            login: None,
            ca_file: None,
        }),
        rate: Rate::default(),
        template: None,
    }
}

/// A failed job of which two people are to be told.
async fn story(mailbox: &Mailbox) -> Story {
    let world = Arc::new(World::new().await);
    let told = telling(&[NotifyEvent::Failed], route("r"));
    let job = world.job_for(firing("a", world.ago(9)).via(told, "a")).await;
    world.end(world.claim_one().await, Outcome::HostsFailed).await;
    Story::to((world, vec![job]), notifier(mailbox))
}

#[tokio::test]
async fn a_server_that_looks_through_a_mail_for_minutes_gets_it_once() {
    let mailbox = Mailbox::start(Way::Plain).await;
    mailbox.think(Duration::from_secs(9 * 60));
    let letter = Letter::test("1".to_owned(), "ops", "http://gate");
    let now = healgate::domain::timestamp::Timestamp::from_micros(0);
    let sender = Sender::new(notifier(&mailbox), "gate1");
    let sending = tokio::spawn(async move { sender.send(letter, now).await });
    mailbox.until_thinking().await;
    tokio::time::pause();
    tokio::time::advance(Duration::from_secs(9 * 60)).await;
    tokio::time::resume();
    let sent = sending.await.unwrap();
    assert_eq!(sent.as_deref(), Ok("answered 250: 2.0.0 kept"));
    assert_eq!(mailbox.got().len(), 1);
}

#[tokio::test]
async fn who_is_refused_is_left_out_and_named_and_the_others_get_the_mail_once() {
    let mailbox = Mailbox::start(Way::Plain).await;
    mailbox.refuse(ADA, GONE);
    let mut story = story(&mailbox).await;
    assert_eq!(story.work().await, Next::Later);
    let got = mailbox.got();
    assert_eq!((got.len(), &got[0].to), (1, &vec![OPS.to_owned()]));
    let told = story.world.told(story.jobs[0]).await;
    assert_eq!(told.len(), 1, "{told:?}");
    let named = format!("notified: notified ops: failed; but not {ADA} (");
    assert!(
        told[0].starts_with(&named) && told[0].contains("no such user"),
        "{told:?}"
    );
}

#[tokio::test]
async fn where_everybody_is_refused_nobody_was_told() {
    let mailbox = Mailbox::start(Way::Plain).await;
    mailbox.refuse(ADA, GONE);
    mailbox.refuse(OPS, LATER);
    let mut story = story(&mailbox).await;
    assert_eq!(story.work().await, Next::At(story.world.now() + Duration::from_secs(1)));
    let told = story.world.told(story.jobs[0]).await;
    assert!(
        told[0].contains("not taken for ops@example.org (") && told[0].contains(ADA),
        "{told:?}"
    );
    assert!(mailbox.got().is_empty());
}

#[tokio::test]
async fn who_is_refused_for_now_is_waited_for_but_not_for_ever() {
    let mailbox = Mailbox::start(Way::Plain).await;
    mailbox.refuse(ADA, LATER);
    let mut story = story(&mailbox).await;
    let mut waited = 0;
    while let Next::At(at) = story.work().await {
        assert!(mailbox.got().is_empty(), "somebody would get it twice");
        let wait = at.since(story.world.now()).as_secs();
        waited += wait;
        story.world.pass(i64::try_from(wait).unwrap());
    }
    // Greylisting takes five minutes.
    assert!((300..900).contains(&waited), "{waited}");
    let got = mailbox.got();
    assert_eq!((got.len(), &got[0].to), (1, &vec![OPS.to_owned()]));
}
