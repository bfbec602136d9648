//! Brings the schema up to date, one numbered step at a time. Refuses a schema that is newer than this program.

use crate::store::StoreError;
use crate::store::sqlite::connection::Connection;

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
    include_str!("../../../migrations/sqlite/0010_lists.sql"),
    include_str!("../../../migrations/sqlite/0011_counted.sql"),
    include_str!("../../../migrations/sqlite/0012_sessions.sql"),
    include_str!("../../../migrations/sqlite/0013_held_back.sql"),
    include_str!("../../../migrations/sqlite/0014_search.sql"),
    include_str!("../../../migrations/sqlite/0015_firing.sql"),
    include_str!("../../../migrations/sqlite/0016_acts.sql"),
];

/// The version that this program writes.
pub(super) const NEWEST: usize = STEPS.len();

/// Applies the steps that the database lacks, each in a transaction of its own.
pub(super) fn apply(connection: &Connection) -> Result<(), StoreError> {
    let version = version(connection)?;
    if version > NEWEST {
        return Err(StoreError::Refused(format!(
            "the database has schema {version}, and this healgate knows schemas up to {NEWEST}: it was written by a newer \
             healgate, which must be used with it"
        )));
    }
    for (index, step) in STEPS.iter().enumerate().skip(version) {
        let number = index + 1;
        connection.batch(&format!("BEGIN; {step}; PRAGMA user_version = {number}; COMMIT"))?;
    }
    Ok(())
}

/// The version of the file's schema.
pub(super) fn version(connection: &Connection) -> Result<usize, StoreError> {
    let version: i64 = connection.value("PRAGMA user_version", [])?;
    usize::try_from(version)
        .map_err(|_| StoreError::Refused(format!("the database has the schema version {version}; it is not ours")))
}
