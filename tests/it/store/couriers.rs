//! How messages are carried from a real store to a real receiver, with a clock that the story moves.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use healgate::clock::Clock;
use healgate::config::{Channel, Notifier, Rate, Secret, Webhook};
use healgate::domain::attempt::Outcome;
use healgate::domain::ids::JobId;
use healgate::domain::notify::{Announcement, Message, NotifyEvent, Sending};
use healgate::domain::span::Span;
use healgate::domain::timestamp::Timestamp;
use healgate::live::Live;
use healgate::notify::{Courier, Next, Sender, Tools};
use healgate::store::StoreError;
use healgate::store::outbox::Outbox;
use healgate::telemetry::Metrics;

use super::world::{World, firing, route, telling};
use crate::support::receiver::{Answer, Receiver};

/// The story's clock.
#[derive(Debug)]
pub(super) struct StoryClock(pub(super) Arc<World>);

impl Clock for StoryClock {
    fn now(&self) -> Timestamp {
        self.0.now()
    }
}

impl std::fmt::Debug for World {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("World").finish_non_exhaustive()
    }
}

/// A store with failed jobs, and a courier for their messages.
pub(super) struct Story {
    pub(super) world: Arc<World>,
    pub(super) jobs: Vec<JobId>,
    metrics: Metrics,
    courier: Courier,
}

fn webhook(address: SocketAddr, rate: Rate) -> Notifier {
    Notifier {
        name: "ops".to_owned(),
        channel: Channel::Webhook(Webhook {
            url: Secret::Inline(format!("http://{address}/hook")),
            secret: None,
            ca_file: None,
        }),
        rate,
        template: None,
    }
}

impl Story {
    pub(super) async fn new(failed: usize, address: SocketAddr, rate: Rate) -> Self {
        Self::with_outbox(failed, address, rate, |world| Arc::clone(&world.outbox)).await
    }

    async fn with_outbox(
        failed: usize,
        address: SocketAddr,
        rate: Rate,
        outbox: impl FnOnce(&World) -> Arc<dyn Outbox>,
    ) -> Self {
        let world = Arc::new(World::new().await);
        let outbox = outbox(&world);
        let mut jobs = Vec::new();
        for number in 0..failed {
            let name = format!("a{number}");
            let telling = telling(&[NotifyEvent::Failed], route("r"));
            jobs.push(world.job_for(firing(&name, world.ago(9)).via(telling, &name)).await);
            world.end(world.claim_one().await, Outcome::HostsFailed).await;
        }
        let clock = Arc::new(StoryClock(Arc::clone(&world)));
        Self::of((world, jobs), address, rate, (outbox, clock))
    }

    /// One with another world, or another clock.
    pub(super) fn of(
        (world, jobs): (Arc<World>, Vec<JobId>),
        address: SocketAddr,
        rate: Rate,
        (outbox, clock): (Arc<dyn Outbox>, Arc<dyn Clock>),
    ) -> Self {
        Self::with((world, jobs), webhook(address, rate), (outbox, clock))
    }

    /// One with another notifier.
    pub(super) fn to((world, jobs): (Arc<World>, Vec<JobId>), notifier: Notifier) -> Self {
        let (outbox, clock) = (Arc::clone(&world.outbox), Arc::new(StoryClock(Arc::clone(&world))));
        Self::with((world, jobs), notifier, (outbox, clock))
    }

    fn with(
        (world, jobs): (Arc<World>, Vec<JobId>),
        notifier: Notifier,
        (outbox, clock): (Arc<dyn Outbox>, Arc<dyn Clock>),
    ) -> Self {
        let metrics = Metrics::new();
        let tools = Tools {
            store: Arc::clone(&world.store),
            outbox,
            live: Arc::new(Live::default()),
            clock,
            metrics: metrics.clone(),
            external_url: "http://gate".to_owned(),
        };
        Self {
            world,
            jobs,
            metrics,
            courier: Courier::new(
                tools,
                Sender::new(notifier, "gate1").with_patience(Duration::from_secs(2)),
            ),
        }
    }

    /// Steps until nothing is left to do now.
    pub(super) async fn work(&mut self) -> Next {
        loop {
            match self.courier.step().await.unwrap() {
                Next::Now => {}
                next @ (Next::At(_) | Next::Later) => return next,
            }
        }
    }

    /// How often messages came to that.
    fn counted(&self, result: &str) -> String {
        let sample =
            format!("healgate_notifier_messages_total{{notifier=\"ops\",event=\"failed\",result=\"{result}\"}} ");
        let text = self.metrics.encode(&[]);
        let line = text.lines().find_map(|line| line.strip_prefix(&sample));
        line.unwrap_or("0").to_owned()
    }
}

#[tokio::test]
async fn a_receiver_that_refuses_is_tried_less_and_less_often_and_then_given_up() {
    let receiver = Receiver::start().await;
    let mut story = Story::new(1, receiver.address(), Rate::default()).await;
    let mut waits = Vec::new();
    loop {
        receiver.answer(Answer::Status(500, ""));
        match story.work().await {
            Next::At(at) => {
                let wait = at.since(story.world.now()).as_secs();
                waits.push(wait);
                story.world.pass(i64::try_from(wait).unwrap());
            }
            Next::Now | Next::Later => break,
        }
    }
    assert_eq!(waits[..11], [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 900]);
    assert_eq!(receiver.got().len(), 18);
    assert_eq!(
        story.world.told(story.jobs[0]).await,
        [
            "not_notified: could not notify ops: failed; trying again: answered 500 Internal Server Error: ok",
            "not_notified: could not notify ops: failed; gave up after 18 tries: answered 500 Internal Server Error: ok"
        ]
    );
    assert_eq!(
        (story.counted("retried"), story.counted("failed")),
        ("17".to_owned(), "1".to_owned())
    );
}

#[tokio::test]
async fn a_receiver_that_asks_for_time_gets_it() {
    let receiver = Receiver::start().await;
    receiver.answer(Answer::Status(429, "Retry-After: 90\r\n"));
    let mut story = Story::new(1, receiver.address(), Rate::default()).await;
    assert_eq!(
        story.work().await,
        Next::At(story.world.now() + Duration::from_secs(90))
    );
    story.world.pass(90);
    assert_eq!(story.work().await, Next::Later);
    assert_eq!(receiver.got().len(), 2);
    assert_eq!(story.counted("sent"), "1");
}

#[tokio::test]
async fn no_more_than_the_rate_are_sent_and_the_rest_a_little_later() {
    let receiver = Receiver::start().await;
    let rate = Rate {
        messages: 3,
        within: Span::from_secs(60),
    };
    let mut story = Story::new(8, receiver.address(), rate).await;
    for sent in [3, 6] {
        assert_eq!(
            story.work().await,
            Next::At(story.world.now() + Duration::from_secs(60))
        );
        assert_eq!(receiver.got().len(), sent);
        story.world.pass(60);
    }
    assert_eq!(story.work().await, Next::Later);
    assert_eq!(receiver.got().len(), 8);
}

#[tokio::test]
async fn silence_is_no_answer_and_neither_is_a_redirect_nor_a_closed_door() {
    let receiver = Receiver::start().await;
    let mut story = Story::new(1, receiver.address(), Rate::default()).await;
    receiver.answer(Answer::Silence);
    receiver.answer(Answer::Status(307, "Location: http://127.0.0.1:1/\r\n"));
    for _ in 0..2 {
        assert!(matches!(story.work().await, Next::At(_)), "it was taken");
        story.world.pass(2);
    }
    let told = story.world.told(story.jobs[0]).await;
    assert_eq!(
        told,
        ["not_notified: could not notify ops: failed; trying again: no answer within 2s"]
    );
    assert_eq!(receiver.got().len(), 2);

    let nobody = receiver.address();
    drop(receiver);
    let mut story = Story::new(1, nobody, Rate::default()).await;
    assert!(matches!(story.work().await, Next::At(_)));
    let told = story.world.told(story.jobs[0]).await;
    assert!(
        told[0].contains("onnection refused") && !told[0].contains("/hook"),
        "{told:?}"
    );
}

/// An outbox on a disk that is full.
struct FullDisk {
    outbox: Arc<dyn Outbox>,
    is_full: Arc<AtomicBool>,
}

#[async_trait]
impl Outbox for FullDisk {
    async fn next_message(&self, notifier: &str) -> Result<Option<Message>, StoreError> {
        self.outbox.next_message(notifier).await
    }

    async fn tried(&self, message: &Message, sending: Sending, now: Timestamp) -> Result<(), StoreError> {
        if self.is_full.load(Ordering::SeqCst) {
            return Err(StoreError::Unavailable("the disk is full".to_owned()));
        }
        self.outbox.tried(message, sending, now).await
    }

    async fn awaited_notifiers(&self) -> Result<Vec<String>, StoreError> {
        self.outbox.awaited_notifiers().await
    }

    async fn drop_messages(&self, notifier: &str, why: &str, now: Timestamp) -> Result<Vec<String>, StoreError> {
        self.outbox.drop_messages(notifier, why, now).await
    }

    async fn announce(&self, announcement: Announcement, now: Timestamp) -> Result<(), StoreError> {
        self.outbox.announce(announcement, now).await
    }
}

#[tokio::test]
async fn a_full_disk_does_not_have_one_message_sent_again_and_again() {
    let receiver = Receiver::start().await;
    let is_full = Arc::new(AtomicBool::new(true));
    let full = Arc::clone(&is_full);
    let full_disk = |world: &World| -> Arc<dyn Outbox> {
        Arc::new(FullDisk {
            outbox: Arc::clone(&world.outbox),
            is_full: full,
        })
    };
    let mut story = Story::with_outbox(2, receiver.address(), Rate::default(), full_disk).await;
    for _ in 0..5 {
        let error = story.courier.step().await.unwrap_err();
        assert!(matches!(error, StoreError::Unavailable(_)), "{error}");
    }
    assert_eq!(receiver.got().len(), 1);
    is_full.store(false, Ordering::SeqCst);
    assert_eq!(story.work().await, Next::Later);
    assert_eq!(receiver.got().len(), 2);
    for job in &story.jobs {
        assert_eq!(story.world.told(*job).await, ["notified: notified ops: failed"]);
    }
}

#[tokio::test]
async fn an_answer_counts_once_its_status_is_known_however_long_its_body_is() {
    let receiver = Receiver::start().await;
    let mut story = Story::new(2, receiver.address(), Rate::default()).await;
    receiver.answer(Answer::Endless(200));
    receiver.answer(Answer::Endless(500));
    let again_at = story.world.now() + Duration::from_secs(1);
    assert_eq!(story.work().await, Next::At(again_at));
    assert_eq!(receiver.got().len(), 2);
    assert_eq!(
        story.world.told(story.jobs[0]).await,
        ["notified: notified ops: failed"]
    );
    assert_eq!(
        story.world.told(story.jobs[1]).await,
        ["not_notified: could not notify ops: failed; trying again: answered 500 Internal Server Error: so far"]
    );
}
