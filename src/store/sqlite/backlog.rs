//! Says what waits, and since when. Lets nothing go.

use rusqlite::params;

use crate::domain::timestamp::Timestamp;
use crate::store::StoreError;
use crate::store::read::{Backlog, PendingMessages};
use crate::store::sqlite::connection::Connection;
use crate::store::sqlite::rows::{count, time, time_option};

/// While everything is paused nobody looks at single jobs, so they are not marked as blocked.
const WAITING_JOBS: &str = "
    -- waiting_jobs
    SELECT (SELECT MIN(run_at) FROM jobs INDEXED BY jobs_ready
            WHERE  status = 'queued' AND front = 1 AND blocked_by IS NULL AND run_at <= ?1) AS ready,
           (SELECT MIN(run_at) FROM jobs INDEXED BY jobs_in_line
            WHERE  status = 'queued' AND front = 0 AND blocked_by IS NULL) AS in_line,
           (SELECT MIN(run_at) FROM jobs INDEXED BY jobs_blocked
            WHERE  status = 'queued' AND blocked_by IS NOT NULL) AS blocked,
           EXISTS (SELECT 1 FROM pauses WHERE scope = 'all') AS all_is_paused";

const PENDING_MESSAGES: &str = "
    -- pending_messages
    SELECT notifier, COUNT(*) AS number, MIN(created_at) AS oldest
    FROM   outbox INDEXED BY outbox_due
    WHERE  state = 'pending'
    GROUP  BY notifier";

/// What waits now.
pub(super) fn read(connection: &Connection, now: Timestamp) -> Result<Backlog, StoreError> {
    let row = connection.one(WAITING_JOBS, params![now.as_micros()])?;
    let ready = time_option(&row, "ready")?;
    let in_line = time_option(&row, "in_line")?;
    let blocked = time_option(&row, "blocked")?;
    let messages = pending_messages(connection)?;
    if row.get("all_is_paused")? {
        return Ok(Backlog {
            for_release: [ready, in_line, blocked].into_iter().flatten().min(),
            messages,
            ..Backlog::default()
        });
    }
    Ok(Backlog {
        for_slot: ready,
        for_target: in_line,
        for_release: blocked,
        messages,
    })
}

fn pending_messages(connection: &Connection) -> Result<Vec<PendingMessages>, StoreError> {
    let rows = connection.all(PENDING_MESSAGES, [])?;
    rows.iter()
        .map(|row| {
            Ok(PendingMessages {
                notifier: row.get("notifier")?,
                count: count(row, "number")?,
                oldest: time(row, "oldest")?,
            })
        })
        .collect()
}
