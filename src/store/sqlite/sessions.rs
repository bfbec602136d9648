//! Sessions of the console: opened, found, ended.

use async_trait::async_trait;
use rusqlite::params;

use crate::domain::timestamp::Timestamp;
use crate::store::sqlite::SqliteStore;
use crate::store::sqlite::connection::{Connection, Row, unreadable};
use crate::store::sqlite::rows::time;
use crate::store::sqlite::writer::{Scope, Write};
use crate::store::{Session, SessionKey, Sessions, StoreError};

const OPEN_SESSION: &str = "
    -- open_session
    INSERT INTO sessions (key, token_name, token_sha256, created_at, expires_at) VALUES (?1, ?2, ?3, ?4, ?5)";

const FIND_SESSION: &str = "
    -- find_session
    SELECT token_name, token_sha256, created_at, expires_at FROM sessions WHERE key = ?1 AND expires_at > ?2";

const END_SESSION: &str = "
    -- end_session
    DELETE FROM sessions WHERE key = ?1";

struct OpenSession(SessionKey, Session);

impl Write for OpenSession {
    type Output = ();

    fn apply(self, scope: &mut Scope<'_>) -> Result<(), StoreError> {
        let Self(key, session) = self;
        let row = params![
            key.as_slice(),
            &session.token_name,
            session.token_sha256.as_slice(),
            session.created_at.as_micros(),
            session.expires_at.as_micros()
        ];
        scope.execute(OPEN_SESSION, row).map(drop)
    }
}

struct EndSession(SessionKey);

impl Write for EndSession {
    type Output = bool;

    fn apply(self, scope: &mut Scope<'_>) -> Result<bool, StoreError> {
        Ok(scope.execute(END_SESSION, params![self.0.as_slice()])? > 0)
    }
}

#[async_trait]
impl Sessions for SqliteStore {
    async fn open_session(&self, key: SessionKey, session: Session) -> Result<(), StoreError> {
        self.writer.write(OpenSession(key, session)).await
    }

    async fn find_session(&self, key: SessionKey, now: Timestamp) -> Result<Option<Session>, StoreError> {
        self.readers.read(move |connection| find(connection, &key, now)).await
    }

    async fn end_session(&self, key: SessionKey) -> Result<bool, StoreError> {
        self.writer.write(EndSession(key)).await
    }
}

fn find(connection: &Connection, key: &SessionKey, now: Timestamp) -> Result<Option<Session>, StoreError> {
    let row = connection.optional(FIND_SESSION, params![key.as_slice(), now.as_micros()])?;
    row.map(|row| session(&row)).transpose()
}

fn session(row: &Row) -> Result<Session, StoreError> {
    let digest: Vec<u8> = row.get("token_sha256")?;
    let token_sha256 = digest.try_into();
    Ok(Session {
        token_name: row.get("token_name")?,
        token_sha256: token_sha256.map_err(|_| unreadable("token_sha256", "it has another length"))?,
        created_at: time(row, "created_at")?,
        expires_at: time(row, "expires_at")?,
    })
}
