//! Who is signed in to the console. A session is known by the digest of what its cookie says, never by that itself.

use async_trait::async_trait;

use crate::domain::timestamp::Timestamp;
use crate::store::StoreError;

/// SHA-256 of a cookie's value.
pub type SessionKey = [u8; 32];

/// That somebody has signed in with a token.
#[derive(Clone, PartialEq, Eq)]
pub struct Session {
    pub token_name: String,
    /// The session ends with the token that it was opened with, and not with its name.
    pub token_sha256: [u8; 32],
    pub created_at: Timestamp,
    pub expires_at: Timestamp,
}

impl std::fmt::Debug for Session {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Session")
            .field("token_name", &self.token_name)
            .field("expires_at", &self.expires_at)
            .finish_non_exhaustive()
    }
}

/// The sessions of the console.
#[async_trait]
pub trait Sessions: Send + Sync {
    /// Begins a session.
    async fn open_session(&self, key: SessionKey, session: Session) -> Result<(), StoreError>;

    /// The session with that key, unless it has expired by now.
    async fn find_session(&self, key: SessionKey, now: Timestamp) -> Result<Option<Session>, StoreError>;

    /// Ends a session. Whether there was one.
    async fn end_session(&self, key: SessionKey) -> Result<bool, StoreError>;
}
