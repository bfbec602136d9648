//! When time alone will move a job or a breaker. Moves none itself.

use rusqlite::params;

use crate::domain::timestamp::Timestamp;
use crate::store::StoreError;
use crate::store::sqlite::connection::Connection;

const NEXT_DUE: &str = "
    -- next_due
    SELECT MIN(at) AS at
    FROM   (SELECT MIN(expires_at) AS at
            FROM   jobs INDEXED BY jobs_expiring
            WHERE  status IN ('queued', 'awaiting_approval') AND attempts = 0
            UNION ALL
            SELECT MIN(verify_until) FROM jobs INDEXED BY jobs_verifying WHERE status = 'verifying'
            UNION ALL
            SELECT MIN(run_at)
            FROM   jobs INDEXED BY jobs_retrying
            WHERE  status = 'queued' AND front = 1 AND attempts > 0 AND run_at > ?1
            UNION ALL
            SELECT MIN(until) FROM breakers WHERE is_open = 1 AND until > ?1)";

/// The first such moment, if there is one to come.
pub(super) fn next(connection: &Connection, now: Timestamp) -> Result<Option<Timestamp>, StoreError> {
    let micros: Option<i64> = connection.value(NEXT_DUE, params![now.as_micros()])?;
    Ok(micros.map(Timestamp::from_micros))
}
