//! What keeps the database at its size: records that are older than the settings say go, in small portions, and the room
//! that they took is given back. What is not finished, or is still referred to, stays.

use std::time::Duration;

use async_trait::async_trait;

use crate::domain::timestamp::Timestamp;
use crate::store::StoreError;

/// A kind of record that is removed once it is old enough.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Record {
    /// Of finished attempts of finished jobs; the attempts stay, and say so.
    Logs,
    /// Those of episodes that are over, and of others all but the last one of each route.
    Decisions,
    /// Without decisions.
    Notifications,
    /// Finished jobs with all that belongs to them: attempts, logs, tasks, history, messages.
    Jobs,
    /// Those that are over and have neither jobs nor decisions. The alert goes with its last one.
    Episodes,
    /// Announcements that were sent or given up.
    Messages,
    /// Times at which a heartbeat stayed away and came back.
    Heartbeats,
    /// Of the console, once they have expired, however long other things are kept.
    Sessions,
}

impl Record {
    /// In the order in which they are removed: what refers to others goes before them.
    pub const ALL: [Self; 8] = [
        Self::Logs,
        Self::Decisions,
        Self::Notifications,
        Self::Jobs,
        Self::Episodes,
        Self::Messages,
        Self::Heartbeats,
        Self::Sessions,
    ];

    /// As in the metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Logs => "logs",
            Self::Decisions => "decisions",
            Self::Notifications => "notifications",
            Self::Jobs => "jobs",
            Self::Episodes => "episodes",
            Self::Messages => "messages",
            Self::Heartbeats => "heartbeats",
            Self::Sessions => "sessions",
        }
    }
}

/// Records to be looked at in one transaction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Portion {
    pub record: Record,
    /// Nothing that happened later goes.
    pub before: Timestamp,
    /// What seems to have happened later still was recorded while the clock was wrong.
    pub now: Timestamp,
    /// Where the portion before ended; adapters make and read it.
    pub after: Option<String>,
    /// How many are looked at.
    pub most: u32,
}

/// What came of a portion.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Removed {
    pub records: u64,
    /// Of logs, as stored.
    pub log_bytes: u64,
    /// Where the next portion begins; nothing if all have been looked at.
    pub next: Option<String>,
    /// How long the writer was busy with it, without waiting for its turn and for the disk.
    pub took: Duration,
}

/// The room that the database takes on the disk.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Room {
    /// Of the file as of its last commit, without what its journal holds.
    pub bytes: u64,
    /// Of these, bytes that hold nothing and can be given back.
    pub free: u64,
}

/// What the one who removes old records asks of the store.
#[async_trait]
pub trait Upkeep: Send + Sync {
    /// Removes what may go of a portion.
    async fn prune(&self, portion: Portion) -> Result<Removed, StoreError>;

    /// Makes the file smaller by at most so many of its free bytes. Answers with those that it gave back.
    async fn give_back(&self, bytes: u64) -> Result<u64, StoreError>;

    async fn room(&self) -> Result<Room, StoreError>;

    /// Keeps what statistics count of some hours that are over before that moment, the last ones first. Where to go on, if
    /// there are more. Statistics are the same without it, and slower.
    async fn keep_hours(&self, before: Timestamp) -> Result<Option<Timestamp>, StoreError>;

    /// Makes texts of some new jobs quick to find. Whether there are more. Searches find the same without it, and slower.
    async fn index_texts(&self) -> Result<bool, StoreError>;
}
