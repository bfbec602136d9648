//! The names of things: identifiers that sort by time, fingerprints and targets.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::domain::timestamp::Timestamp;

macro_rules! uuid_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(Uuid);

        impl $name {
            /// Wraps a UUID that the caller made (version 7, so that ids sort by time).
            pub const fn new(uuid: Uuid) -> Self {
                Self(uuid)
            }

            /// The name that this one would be if it had been made at that time: a UUIDv7 begins with its milliseconds.
            pub fn moved_to(self, at: Timestamp) -> Self {
                let mut bytes = *self.0.as_bytes();
                let millis = u64::try_from(at.as_micros() / 1_000).unwrap_or(0).to_be_bytes();
                bytes[..6].copy_from_slice(&millis[2..]);
                Self(Uuid::from_bytes(bytes))
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.hyphenated().fmt(f)
            }
        }

        impl FromStr for $name {
            type Err = InvalidId;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                // Only the hyphenated form: one thing has one name.
                Uuid::parse_str(text)
                    .ok()
                    .filter(|_| text.len() == 36)
                    .map(Self)
                    .ok_or_else(|| InvalidId(text.to_owned()))
            }
        }
    };
}

/// The text is not an id of ours.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not an id: ids are UUIDs such as 0190b6a2-7c1e-7d3a-9f00-0123456789ab")]
pub struct InvalidId(String);

uuid_id!(
    /// Names a job.
    JobId
);
uuid_id!(
    /// Names one accepted webhook POST.
    NotificationId
);
uuid_id!(
    /// Names one stretch of an alert.
    EpisodeId
);

impl JobId {
    /// A number that differs from job to job, also of those made at the same time.
    pub fn spread(self) -> u32 {
        let bytes = self.0.as_bytes();
        // The last bytes of a UUIDv7 are random.
        u32::from_be_bytes([bytes[12], bytes[13], bytes[14], bytes[15]])
    }
}

/// The sender's identity of an alert's label set, as sent.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Fingerprint(String);

/// A fingerprint is empty or too long.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a fingerprint must have 1 to 128 characters, this one has {0}")]
pub struct InvalidFingerprint(usize);

impl Fingerprint {
    /// Takes the text as it is; it must have 1 to 128 characters.
    pub fn parse(raw: &str) -> Result<Self, InvalidFingerprint> {
        match raw.chars().count() {
            1..=128 => Ok(Self(raw.to_owned())),
            length => Err(InvalidFingerprint(length)),
        }
    }

    /// Of a hash, as Alertmanager writes it.
    pub fn of_hash(hash: u64) -> Self {
        Self(format!("{hash:016x}"))
    }

    /// As sent.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The rendered `lock` of a job: what must never be worked on twice at once.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Target(String);

/// A `lock` rendered to nothing, which would let any two jobs run at once.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the lock is empty; it must name what the playbook works on")]
pub struct EmptyTarget;

impl Target {
    /// Any text that is not blank; surrounding white space is dropped.
    pub fn parse(raw: &str) -> Result<Self, EmptyTarget> {
        let trimmed = raw.trim();
        if trimmed.is_empty() {
            return Err(EmptyTarget);
        }
        Ok(Self(trimmed.to_owned()))
    }

    /// The rendered text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
