//! Brings the schema up to date, one numbered step at a time. Refuses a schema that is newer than this program.

use sqlx::{Connection, SqliteConnection};

use crate::store::StoreError;
use crate::store::sqlite::rows::database;

/// The steps in order; the schema's version is the number of steps applied.
const STEPS: &[&str] = &[
    include_str!("../../../migrations/sqlite/0001_initial.sql"),
    include_str!("../../../migrations/sqlite/0002_warm.sql"),
    include_str!("../../../migrations/sqlite/0003_changes.sql"),
    include_str!("../../../migrations/sqlite/0004_on_resolved.sql"),
    include_str!("../../../migrations/sqlite/0005_notify.sql"),
    include_str!("../../../migrations/sqlite/0006_peers.sql"),
    include_str!("../../../migrations/sqlite/0007_stats_and_heartbeats.sql"),
    include_str!("../../../migrations/sqlite/0008_policy.sql"),
    include_str!("../../../migrations/sqlite/0009_retention.sql"),
];

/// The version that this program writes.
pub(super) const NEWEST: usize = STEPS.len();

/// Applies the steps that the database lacks, each in a transaction of its own.
pub(super) async fn apply(connection: &mut SqliteConnection) -> Result<(), StoreError> {
    let version = version(connection).await?;
    if version > NEWEST {
        return Err(StoreError::Refused(format!(
            "the database has schema {version}, and this healgate knows schemas up to {NEWEST}: it was written by a newer \
             healgate, which must be used with it"
        )));
    }
    for (index, step) in STEPS.iter().enumerate().skip(version) {
        let mut transaction = connection.begin().await.map_err(database)?;
        sqlx::raw_sql(*step)
            .execute(&mut *transaction)
            .await
            .map_err(database)?;
        let set_version = format!("PRAGMA user_version = {}", index + 1);
        sqlx::raw_sql(sqlx::AssertSqlSafe(set_version))
            .execute(&mut *transaction)
            .await
            .map_err(database)?;
        transaction.commit().await.map_err(database)?;
    }
    Ok(())
}

/// The version of the file's schema.
pub(super) async fn version(connection: &mut SqliteConnection) -> Result<usize, StoreError> {
    let version: i64 = sqlx::query_scalar("PRAGMA user_version")
        .fetch_one(connection)
        .await
        .map_err(database)?;
    usize::try_from(version)
        .map_err(|_| StoreError::Refused(format!("the database has the schema version {version}; it is not ours")))
}
