//! What the gateway asks of its database about messages to people. What jobs have to tell is put there by the changes
//! that cause it, in the same transaction; nothing here knows how a message is sent.

use async_trait::async_trait;

use crate::domain::notify::{Announcement, Message, Sending};
use crate::domain::timestamp::Timestamp;
use crate::store::StoreError;

/// The messages that wait. Every write has been committed to disk when its call returns.
#[async_trait]
pub trait Outbox: Send + Sync {
    /// The message for that notifier that is due first. It may be due only later.
    async fn next_message(&self, notifier: &str) -> Result<Option<Message>, StoreError>;

    /// Notes what came of trying to send a message, also in its job's history.
    async fn tried(&self, message: &Message, sending: Sending, now: Timestamp) -> Result<(), StoreError>;

    /// The notifiers for which messages wait.
    async fn awaited_notifiers(&self) -> Result<Vec<String>, StoreError>;

    /// Gives up all messages that wait for that notifier. Answers with their events.
    async fn drop_messages(&self, notifier: &str, why: &str, now: Timestamp) -> Result<Vec<String>, StoreError>;

    /// Stores what is to be told and is about no single job. Where that event was told with the same key, it changes
    /// nothing.
    async fn announce(&self, announcement: Announcement, now: Timestamp) -> Result<(), StoreError>;
}
