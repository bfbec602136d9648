//! Sends what waits for one notifier, one message after the other. The rows of the outbox are the truth: a message counts
//! as sent once that is stored, so after a crash it may be sent once more, and it is never forgotten.

use std::sync::Arc;

use crate::clock::Clock;
use crate::domain::notify::{About, Message, Sending};
use crate::domain::timestamp::Timestamp;
use crate::live::Live;
use crate::notify::letter::{Desk, Letter};
use crate::notify::pace::{Window, wait_after};
use crate::notify::sender::{Sender, Unsent};
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
        let letter = self.letter(&message).await?;
        self.window.sends(now);
        let sending = self.try_once(&message, letter).await;
        let stored = store(&self.tools, &message, sending.clone()).await;
        if stored.is_err() {
            self.unstored = Some((message, sending));
        }
        stored.map(|()| Next::Now)
    }

    async fn letter(&self, message: &Message) -> Result<Letter, StoreError> {
        let desk = Desk {
            external_url: &self.tools.external_url,
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
                let log_tail = tail::read(store, &job).await?;
                Ok(Letter::about_job(id.to_string(), message.event, job, log_tail, desk))
            }
            About::Gateway { title, text } => {
                let id = format!("{}-{}", message.id.0, message.created_at.as_micros());
                Ok(Letter::announcing(id, message.event, (title, text), desk))
            }
        }
    }

    async fn try_once(&self, message: &Message, letter: Letter) -> Sending {
        let (name, event) = (self.name(), message.event.as_str());
        let (sending, result) = match self.sender.send(letter, self.tools.clock.now()).await {
            Ok(answer) => {
                tracing::info!(notifier = name, event, answer, "notified");
                (Sending::Sent, "sent")
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
