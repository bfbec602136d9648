//! Queued jobs that something keeps from starting: they hold no target, and claims pass them over until its end. And those
//! that expired like that, whose alerts are decided again.

use rusqlite::params;

use crate::domain::ids::{JobId, Target};
use crate::domain::timestamp::Timestamp;
use crate::store::StoreError;
use crate::store::sqlite::breakers;
use crate::store::sqlite::connection::Row;
use crate::store::sqlite::insert::{note, promote};
use crate::store::sqlite::rows::{ids, integer, target};
use crate::store::sqlite::writer::Scope;

/// How many jobs change from ready to blocked, or back, in one transaction: others want to write, too.
pub(super) const AT_ONCE: usize = 200;

/// What has begun holds its target all the same, and so does a rung that has taken it over.
const BLOCK: &str = "
    -- block
    UPDATE jobs
    SET    blocked_by = ?2,
           front = attempts > 0
                   OR EXISTS (SELECT 1 FROM jobs AS before WHERE before.id = jobs.follows AND before.target = jobs.target)
    WHERE  id = ?1
    RETURNING target";

/// Each cause, and how many of its jobs may go on now: of a half-open breaker, one that tries.
const CAUSES: &str = "
    -- causes
    WITH RECURSIVE causes (cause) AS (
        SELECT MIN(blocked_by) FROM jobs INDEXED BY jobs_blocked WHERE status = 'queued' AND blocked_by IS NOT NULL
        UNION ALL
        SELECT (SELECT MIN(blocked_by) FROM jobs INDEXED BY jobs_blocked
                WHERE  status = 'queued' AND blocked_by > causes.cause)
        FROM   causes
        WHERE  cause IS NOT NULL),
    named (cause, kind, name) AS (
        SELECT cause, substr(cause, 1, instr(cause, ' ') - 1), substr(cause, instr(cause, ' ') + 1)
        FROM   causes
        WHERE  cause IS NOT NULL)
    SELECT cause,
           CASE kind
           WHEN 'pause' THEN IIF(EXISTS (SELECT 1 FROM pauses WHERE scope = name), 0, ?2)
           WHEN 'breaker' THEN COALESCE((SELECT IIF(until <= ?1, trial IS NULL, 0)
                                         FROM   breakers WHERE scope = name AND is_open = 1), ?2)
           ELSE (SELECT COALESCE(aftercare ->> 'at_once', ?2) FROM jobs INDEXED BY jobs_blocked
                 WHERE  status = 'queued' AND blocked_by = cause ORDER BY created_at, id LIMIT 1)
                - (SELECT COUNT(*) FROM jobs INDEXED BY jobs_running_of_route
                   WHERE  route = name AND status = 'running')
           END AS may_go
    FROM   named";

const UNBLOCK: &str = "
    -- unblock
    UPDATE jobs
    SET    blocked_by = NULL
    WHERE  id IN (SELECT id FROM jobs INDEXED BY jobs_blocked
                  WHERE  status = 'queued' AND blocked_by = ?1
                  ORDER  BY created_at, id
                  LIMIT  ?2)
    RETURNING target";

/// They are due at once: a new decision says what holds them back now.
const KEEP_EXPIRED: &str = "
    -- keep_expired
    INSERT INTO held (episode, route, decision, reason, target, since, due_at, posted_by, alert, alert_group, follows)
    SELECT expired.episode, expired.route, 'queued', 'its job expired while it could not start', expired.target, ?2, ?2,
           expired.triggered_by, expired.alert, expired.alert_group,
           CASE WHEN expired.trigger_kind = 'ladder' THEN expired.follows END
    FROM   json_each(?1) AS ended
    JOIN   jobs AS expired ON expired.id = ended.value
    JOIN   episodes        ON episodes.id = expired.episode
    WHERE  expired.trigger_kind IN ('alert', 'ladder') AND expired.route IS NOT NULL AND episodes.closed_at IS NULL
    AND    (EXISTS (SELECT 1 FROM pauses
                    WHERE  scope IN ('all', 'route:' || expired.route, 'target:' || expired.target))
            OR EXISTS (SELECT 1 FROM breakers
                       WHERE  scope IN ('all', 'route:' || expired.route) AND is_open = 1
                       AND    (until IS NULL OR until > ?2 OR trial IS NOT NULL)))
    ON CONFLICT DO NOTHING";

/// Takes a job out of the line until its cause ends; the next one for its target comes forward.
pub(super) fn block(scope: &mut Scope<'_>, job: JobId, cause: &str, now: Timestamp) -> Result<(), StoreError> {
    let row = scope.connection.one(BLOCK, params![job.to_string(), cause])?;
    let message = format!("does not start yet: {}", sentence(cause));
    note(scope, &job.to_string(), now, ("blocked", "healgate"), &message)?;
    scope.touch(job);
    breakers::drop_trials(scope, job, now)?;
    promote(scope, &[&target(&row)?])
}

fn sentence(cause: &str) -> String {
    match cause.split_once(' ') {
        Some(("pause", of)) => format!("{of} is paused"),
        Some(("breaker", of)) => format!("the breaker of {of} is open"),
        Some((_, route)) => format!("as many jobs of the route {route} run as may at once"),
        None => cause.to_owned(),
    }
}

/// Lets go of what is not blocked any more, the oldest first.
pub(super) fn unblock(scope: &mut Scope<'_>, now: Timestamp) -> Result<(), StoreError> {
    let causes = scope
        .connection
        .all(CAUSES, params![now.as_micros(), integer(AT_ONCE)])?;
    for row in &causes {
        let (cause, may_go): (String, i64) = (row.get("cause")?, row.get("may_go")?);
        if may_go > 0 {
            let freed = unblock_some(scope, &cause, may_go)?;
            promote(scope, &freed.iter().collect::<Vec<_>>())?;
            if freed.len() == AT_ONCE {
                scope.moved();
            }
        }
    }
    Ok(())
}

fn unblock_some(scope: &mut Scope<'_>, cause: &str, most: i64) -> Result<Vec<Target>, StoreError> {
    let rows: Vec<Row> = scope.connection.all(UNBLOCK, params![cause, most])?;
    rows.iter().map(target).collect()
}

/// Of the jobs that have just expired, those that a pause or a breaker kept from starting: their alerts are not forgotten.
pub(super) fn keep_expired(scope: &mut Scope<'_>, expired: &[JobId], now: Timestamp) -> Result<(), StoreError> {
    if expired.is_empty() {
        return Ok(());
    }
    let kept = scope.execute(KEEP_EXPIRED, params![ids(expired)?, now.as_micros()])?;
    if kept > 0 {
        scope.held_back();
    }
    Ok(())
}
