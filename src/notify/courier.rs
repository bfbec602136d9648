//! Sends what waits for one notifier, one message after the other. The rows of the outbox are the truth: a message counts
//! as sent once that is stored, so after a crash it may be sent once more, and it is never forgotten.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use futures_util::FutureExt;

use crate::clock::Clock;
use crate::domain::notify::{About, Message, Sending};
use crate::domain::timestamp::Timestamp;
use crate::live::Live;
use crate::notify::backstory::Backstory;
use crate::notify::letter::{Desk, Letter};
use crate::notify::links::Links;
use crate::notify::pace::{Window, wait_after};
use crate::notify::sender::{Sender, Taken, Unsent};
use crate::notify::tail;
use crate::store::outbox::Outbox;
use crate::store::{Store, StoreError};
use crate::telemetry::Metrics;

/// What every courier needs.
#[derive(Clone)]
pub struct Tools {
    pub store: Arc<dyn Store>,
    pub outbox: Arc<dyn Outbox>,
    pub live: Arc<Live>,
    pub clock: Arc<dyn Clock>,
    pub metrics: Metrics,
    /// What links begin with; without a slash at its end.
    pub external_url: String,
}

impl std::fmt::Debug for Tools {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tools")
            .field("external_url", &self.external_url)
            .finish_non_exhaustive()
    }
}

/// Carries messages to one notifier.
#[derive(Debug)]
pub struct Courier {
    tools: Tools,
    sender: Sender,
    window: Window,
    /// What came of a try that could not be stored yet. Nothing else is sent before it is: a full disk must not have
    /// one message sent again and again.
    unstored: Option<(Message, Sending)>,
}

/// When there may be more to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    Now,
    At(Timestamp),
    /// When the outbox grows.
    Later,
}

impl Courier {
    pub fn new(tools: Tools, sender: Sender) -> Self {
        Self {
            window: Window::new(sender.notifier().rate),
            tools,
            sender,
            unstored: None,
        }
    }

    /// The name of its notifier.
    pub fn name(&self) -> &str {
        &self.sender.notifier().name
    }

    /// Sends one message, if one is due and the rate allows it.
    pub async fn step(&mut self) -> Result<Next, StoreError> {
        if let Some((message, sending)) = &self.unstored {
            store(&self.tools, message, sending.clone()).await?;
            self.unstored = None;
        }
        let now = self.tools.clock.now();
        let Some(message) = self.tools.outbox.next_message(self.name()).await? else {
            return Ok(Next::Later);
        };
        if message.due_at > now {
            return Ok(Next::At(message.due_at));
        }
        if let Some(at) = self.window.full_until(now) {
            return Ok(Next::At(at));
        }
        self.window.sends(now);
        let sending = self.try_once(&message).await;
        let stored = store(&self.tools, &message, sending.clone()).await;
        if stored.is_err() {
            self.unstored = Some((message, sending));
        }
        stored.map(|()| Next::Now)
    }

    /// A letter that cannot be written is one that could not be sent: it must not keep the others waiting for ever.
    async fn try_once(&self, message: &Message) -> Sending {
        let writing = AssertUnwindSafe(self.letter(message)).catch_unwind();
        let sent = match writing.await {
            Ok(Ok(letter)) => self.sender.try_once(letter, self.tools.clock.now()).await,
            Ok(Err(error)) => Err(Unsent::new(format!("failed to read what it is about: {error}"))),
            Err(_) => Err(Unsent::by_mistake()),
        };
        self.settle(message, sent)
    }

    async fn letter(&self, message: &Message) -> Result<Letter, StoreError> {
        let desk = Desk {
            message,
            links: Links::new(&self.tools.external_url),
            now: self.tools.clock.now(),
        };
        match &message.about {
            About::Job(id) => {
                let store = &*self.tools.store;
                let found = store.find_job(*id).await?;
                let job = found.ok_or_else(|| StoreError::NotFound {
                    what: "job",
                    id: id.to_string(),
                })?;
                let (backstory, log_tail) = (Backstory::of(store, &job).await, tail::of(store, &job).await);
                Ok(Letter::about_job(job, &backstory, log_tail, desk))
            }
            About::Gateway { title, text } => Ok(Letter::announcing((title, text), desk)),
        }
    }

    /// What a try comes to, also in the log and the metrics.
    fn settle(&self, message: &Message, sent: Result<Taken, Unsent>) -> Sending {
        let (name, event) = (self.name(), message.event.as_str());
        let (sending, result) = match sent {
            Ok(Taken { said, left_out: None }) => {
                tracing::info!(notifier = name, event, answer = said, "notified");
                (Sending::Sent, "sent")
            }
            Ok(Taken {
                said,
                left_out: Some(left_out),
            }) => {
                tracing::warn!(
                    notifier = name,
                    event,
                    answer = said,
                    left_out,
                    "notified, but not everybody"
                );
                (Sending::SentInPart { left_out }, "sent")
            }
            Err(Unsent { why: error, wait }) => {
                let tries = message.tries.saturating_add(1);
                let again_at = wait_after(tries, wait).map(|wait| self.tools.clock.now() + wait);
                tracing::warn!(
                    notifier = name,
                    event,
                    tries,
                    error,
                    gave_up = again_at.is_none(),
                    "failed to notify"
                );
                let result = if again_at.is_some() { "retried" } else { "failed" };
                (Sending::Failed { error, again_at }, result)
            }
        };
        self.tools.metrics.message(name, event, result);
        sending
    }
}

async fn store(tools: &Tools, message: &Message, sending: Sending) -> Result<(), StoreError> {
    match tools.outbox.tried(message, sending, tools.clock.now()).await {
        // Somebody else has settled it; so be it.
        Err(StoreError::Conflict(_)) | Ok(()) => Ok(()),
        Err(error) => Err(error),
    }
}
