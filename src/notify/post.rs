//! All couriers: woken by commits, working side by side so that none waits for another, ended in order.

use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::notify::courier::{Courier, Next, Tools};
use crate::notify::sender::Sender;
use crate::store::StoreError;

/// How long to wait after the store has failed before it is asked again.
const PAUSE_AFTER_FAILURE: Duration = Duration::from_secs(1);

/// A due time is looked up again at least this often, in case the wall clock was moved.
const LONGEST_SLEEP: Duration = Duration::from_secs(60);

/// How long messages that are being sent may take when the gateway ends. What is cut off is sent again by the next start.
const PATIENCE: Duration = Duration::from_secs(5);

/// The couriers at work.
#[derive(Debug)]
pub struct Post {
    couriers: JoinSet<()>,
    stop: CancellationToken,
}

impl Post {
    /// Sets a courier to work for each notifier, and has messages to any other one given up.
    pub fn start(tools: &Tools, senders: Vec<Sender>) -> Self {
        let (mut couriers, stop) = (JoinSet::new(), CancellationToken::new());
        let mut names = Vec::with_capacity(senders.len());
        for sender in senders {
            let courier = Courier::new(tools.clone(), sender);
            names.push(courier.name().to_owned());
            couriers.spawn(deliver(courier, tools.clone(), stop.clone()));
        }
        couriers.spawn(give_up_others(names, tools.clone(), stop.clone()));
        Self { couriers, stop }
    }

    /// Sends nothing new, and waits a little for what is being sent; not at all once `hurry` is cancelled.
    pub async fn end(mut self, hurry: &CancellationToken) {
        self.stop.cancel();
        tokio::select! {
            _ = tokio::time::timeout(PATIENCE, async { while self.couriers.join_next().await.is_some() {} }) => {}
            () = hurry.cancelled() => {}
        }
    }
}

async fn deliver(mut courier: Courier, tools: Tools, stop: CancellationToken) {
    let mut news = tools.live.watch_outbox();
    while !stop.is_cancelled() {
        let sleep = match courier.step().await {
            Ok(Next::Now) => continue,
            Ok(Next::At(at)) => at.since(tools.clock.now()).min(LONGEST_SLEEP),
            Ok(Next::Later) => LONGEST_SLEEP,
            Err(error) => {
                tracing::error!(notifier = courier.name(), %error, "failed to look for messages");
                PAUSE_AFTER_FAILURE
            }
        };
        wait(&mut news, sleep, &stop).await;
    }
}

/// A job may be older than the settings: whom it names may be gone.
async fn give_up_others(known: Vec<String>, tools: Tools, stop: CancellationToken) {
    let mut news = tools.live.watch_outbox();
    while !stop.is_cancelled() {
        let sleep = match give_up(&known, &tools).await {
            Ok(()) => LONGEST_SLEEP,
            Err(error) => {
                tracing::error!(%error, "failed to look for messages to notifiers that are gone");
                PAUSE_AFTER_FAILURE
            }
        };
        wait(&mut news, sleep, &stop).await;
    }
}

async fn give_up(known: &[String], tools: &Tools) -> Result<(), StoreError> {
    for notifier in tools.outbox.awaited_notifiers().await? {
        if known.contains(&notifier) {
            continue;
        }
        let why = "healgate.yml has no notifier of this name";
        for event in tools.outbox.drop_messages(&notifier, why, tools.clock.now()).await? {
            tracing::warn!(notifier, event, why, "gave up a message");
            tools.metrics.message(&notifier, &event, "dropped");
        }
    }
    Ok(())
}

async fn wait(news: &mut watch::Receiver<()>, sleep: Duration, stop: &CancellationToken) {
    tokio::select! {
        // The sender lives as long as `live` does, and `tools` hold that.
        _ = news.changed() => {}
        () = tokio::time::sleep(sleep) => {}
        () = stop.cancelled() => {}
    }
}
