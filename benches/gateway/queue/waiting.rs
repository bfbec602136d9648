//! A hundred thousand jobs that wait and may not start, written beside the store while it has nothing to do: copies of a
//! real one.

use std::path::Path;

use rusqlite::{Connection, params};

use crate::failed::{Failed, failed};

/// How many wait.
pub(super) const JOBS: i64 = 100_000;

/// Targets that a running job holds.
const TARGETS: i64 = 1_000;

/// Why they may not start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Waiting {
    /// There are none.
    None,
    /// A running job holds their target.
    Taken,
    /// Their next attempt may begin in a day.
    Scheduled,
    /// Their route is paused.
    Paused,
}

/// As a person would have asked for them, so that no two belong to one episode. Of those that hold a target, one in front of
/// each.
const FILL: &str = "
    WITH RECURSIVE numbers (number) AS (SELECT 1 UNION ALL SELECT number + 1 FROM numbers WHERE number < ?1)
    INSERT INTO jobs (id, status, playbook, route, target, trigger_kind, triggered_by, alertname, fingerprint, alert,
                      alert_group, parameters, aftercare, checks, created_at, run_at, expires_at, started_at, front,
                      fence, attempts, blocked_by)
    SELECT printf('00000000-0000-7000-8000-%012x', number + ?2), ?3, playbook, ?4,
           CASE ?5 WHEN 0 THEN 'waiting ' || number ELSE 'taken ' || (number % ?5) END,
           'manual', triggered_by, alertname, fingerprint, alert, alert_group, parameters, aftercare, checks,
           created_at, run_at + ?6, expires_at + 864000000000, IIF(?3 = 'running', run_at, NULL), ?7,
           ?8, ?8, ?9
    FROM   numbers, (SELECT * FROM jobs LIMIT 1)";

impl Waiting {
    pub(super) const ALL: [Self; 4] = [Self::None, Self::Taken, Self::Scheduled, Self::Paused];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::None => "nothing waits",
            Self::Taken => "100,000 wait for targets that are taken",
            Self::Scheduled => "100,000 are to begin later",
            Self::Paused => "100,000 are paused",
        }
    }

    /// Into a database that has one real job.
    pub(super) fn fill(self, database: &Path) -> Result<(), Failed> {
        self.write(database)
            .map_err(failed(format!("fill a database: {}", self.name())))
    }

    fn write(self, database: &Path) -> rusqlite::Result<()> {
        let database = Connection::open(database)?;
        let none: Option<&str> = None;
        match self {
            Self::None => {}
            Self::Taken => {
                let holders = params![TARGETS, 1_000_000, "running", "other", TARGETS, 0, true, 1, none];
                database.execute(FILL, holders)?;
                let waiting = params![JOBS, 0, "queued", "other", TARGETS, 0, false, 0, none];
                database.execute(FILL, waiting)?;
            }
            Self::Scheduled => {
                const DAY: i64 = 86_400_000_000;
                let waiting = params![JOBS, 0, "queued", "other", 0, DAY, true, 1, none];
                database.execute(FILL, waiting)?;
            }
            Self::Paused => {
                database.execute(
                    "INSERT INTO pauses (scope, by_whom, since) VALUES ('route:other', 'bench', 0)",
                    [],
                )?;
                let waiting = params![JOBS, 0, "queued", "other", 0, 0, false, 0, "pause route:other"];
                database.execute(FILL, waiting)?;
            }
        }
        database.execute_batch("PRAGMA wal_checkpoint(TRUNCATE)")
    }
}
