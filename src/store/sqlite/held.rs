//! What is held back until its cause ends, and is then decided again.

use rusqlite::params;
use serde::Serialize;

use crate::domain::act::ActKind;
use crate::domain::alert::Group;
use crate::domain::decision::DecisionKind;
use crate::domain::ids::{EpisodeId, JobId, Target};
use crate::domain::pause::Scope as Place;
use crate::domain::policy::Held;
use crate::domain::timestamp::Timestamp;
use crate::store::read::{Page, PageRequest};
use crate::store::sqlite::acts;
use crate::store::sqlite::connection::{Connection, Row};
use crate::store::sqlite::page::cut;
use crate::store::sqlite::rows::{
    count, ids, integer, json, parsed, parsed_option, target, time, time_option, to_json, word,
};
use crate::store::sqlite::writer::{Scope, Write};
use crate::store::{By, HeldBack, StoreError, StormHeld};

/// A repeated report does not lose its turn.
const HOLD: &str = "
    -- hold
    INSERT INTO held (episode, route, decision, reason, target, since, due_at, posted_by, alert, alert_group, follows)
    SELECT value ->> 'episode', value ->> 'route', value ->> 'decision', value ->> 'reason', value ->> 'target', ?2,
           value ->> 'due_at', ?3, value ->> 'alert', ?4, value ->> 'follows'
    FROM   json_each(?1)
    WHERE  true
    ON CONFLICT (episode, route) DO UPDATE
    SET    since = CASE WHEN decision = excluded.decision THEN since ELSE excluded.since END,
           due_at = CASE WHEN decision = 'held' AND excluded.decision = 'held' AND due_at > ?2 THEN MIN(due_at, excluded.due_at)
                         ELSE excluded.due_at END,
           decision = excluded.decision, reason = excluded.reason, target = excluded.target,
           alert = excluded.alert, alert_group = excluded.alert_group, follows = excluded.follows";

const FREE: &str = "
    -- free
    DELETE FROM held
    WHERE  (episode, route) IN (SELECT value ->> 'episode', value ->> 'route' FROM json_each(?1))";

const FREE_EPISODES: &str = "
    -- free_episodes
    DELETE FROM held WHERE episode IN (SELECT value FROM json_each(?1))";

const FREE_DUE: &str = "
    -- free_due
    DELETE FROM held WHERE episode = ?1 AND route = ?2 AND due_at <= ?3";

const FREE_RUNG: &str = "
    -- free_rung
    DELETE FROM held WHERE follows = ?1";

const HOLDS_RUNG: &str = "
    -- holds_rung
    SELECT EXISTS (SELECT 1 FROM held WHERE follows = ?1)";

const WAKE_DECISION: &str = "
    -- wake_decision
    UPDATE held SET due_at = ?2 WHERE decision = ?1";

const WAKE_PLACE: &str = "
    -- wake_place
    UPDATE held INDEXED BY held_of_place
    SET    due_at = ?2
    FROM   json_each(?1) AS ended
    JOIN   jobs ON jobs.id = ended.value
    WHERE  held.route = jobs.route AND held.target = jobs.target AND held.decision IN ('capped', 'cooling_down')";

/// What rules of the catalogue hold back: a reload may have changed them.
const RECONSIDER: &str = "
    -- reconsider
    UPDATE held SET due_at = ?1 WHERE decision IN ('capped', 'cooling_down', 'held', 'flapping')";

const RELEASE_HELD: &str = "
    -- release_held
    UPDATE held SET due_at = ?1, released_by = ?3 WHERE decision = 'held' AND (?2 IS NULL OR route = ?2)";

const STORM_ROUTES: &str = "
    -- storm_routes
    SELECT route, COUNT(*) AS count
    FROM   held INDEXED BY held_by_decision
    WHERE  decision = 'held'
    GROUP  BY route
    ORDER  BY route";

const STORM_NEXT: &str = "
    -- storm_next
    SELECT * FROM held INDEXED BY held_by_decision WHERE decision = 'held' ORDER BY due_at LIMIT ?1";

const DUE: &str = "
    -- due_held
    SELECT * FROM held INDEXED BY held_due WHERE due_at <= ?1 ORDER BY due_at LIMIT ?2";

const NEXT: &str = "
    -- next_held
    SELECT MIN(due_at) AS at FROM held INDEXED BY held_due WHERE due_at IS NOT NULL";

const LIST: &str = "
    -- list_held
    SELECT * FROM held WHERE (episode, route) > (?1, ?2) ORDER BY episode, route LIMIT ?3";

#[derive(Serialize)]
struct HeldRow<'a> {
    episode: EpisodeId,
    route: &'a str,
    decision: &'static str,
    reason: &'a str,
    target: &'a Target,
    due_at: Option<i64>,
    alert: String,
    follows: Option<String>,
}

/// Keeps what is held back now, by an alert or, of a ladder, after a job.
pub(super) fn hold(
    scope: &mut Scope<'_>,
    (now, posted_by, group): (Timestamp, &str, &Group),
    held: &[Held],
) -> Result<(), StoreError> {
    if held.is_empty() {
        return Ok(());
    }
    // An alert may occur twice in a notification, and the last word counts.
    for one in held {
        let row = HeldRow {
            episode: one.episode,
            route: &one.route,
            decision: one.restraint.kind.as_str(),
            reason: &one.restraint.reason,
            target: &one.target,
            due_at: one.restraint.until.map(Timestamp::as_micros),
            alert: to_json(&one.alert)?,
            follows: one.follows.map(|job| job.to_string()),
        };
        scope.execute(
            HOLD,
            params![to_json(&[row])?, now.as_micros(), posted_by, to_json(group)?],
        )?;
    }
    scope.held_back();
    Ok(())
}

/// Lets go of what is held back no longer.
pub(super) fn free(scope: &mut Scope<'_>, freed: &[(EpisodeId, String)]) -> Result<(), StoreError> {
    if freed.is_empty() {
        return Ok(());
    }
    let rows: Vec<_> = freed
        .iter()
        .map(|(episode, route)| serde_json::json!({ "episode": episode, "route": route }))
        .collect();
    scope.execute(FREE, params![to_json(&rows)?]).map(drop)
}

/// The same for what was to be decided again and is not held back anew.
pub(super) fn free_due(scope: &mut Scope<'_>, held: &HeldBack, now: Timestamp) -> Result<(), StoreError> {
    scope
        .execute(
            FREE_DUE,
            params![held.episode.to_string(), &held.route, now.as_micros()],
        )
        .map(drop)
}

/// The same for the rung that was to follow that job.
pub(super) fn free_rung(scope: &mut Scope<'_>, follows: JobId) -> Result<(), StoreError> {
    scope.execute(FREE_RUNG, params![follows.to_string()]).map(drop)
}

/// The same for all of these episodes, which are over.
pub(super) fn free_episodes(scope: &mut Scope<'_>, closed: &[EpisodeId]) -> Result<(), StoreError> {
    scope.execute(FREE_EPISODES, params![to_json(closed)?]).map(drop)
}

/// Whether a rung is held back that is to follow that job.
pub(super) fn holds_rung(scope: &mut Scope<'_>, follows: JobId) -> Result<bool, StoreError> {
    scope.connection.value(HOLDS_RUNG, params![follows.to_string()])
}

/// The cause of that decision has ended: all that it holds back is decided again.
pub(super) fn wake(scope: &mut Scope<'_>, kind: DecisionKind, now: Timestamp) -> Result<(), StoreError> {
    scope.execute(WAKE_DECISION, params![kind.as_str(), now.as_micros()])?;
    scope.held_back();
    Ok(())
}

/// These jobs have ended: what waits for their routes on their targets is decided again.
pub(super) fn wake_places(scope: &mut Scope<'_>, jobs: &[JobId], now: Timestamp) -> Result<(), StoreError> {
    if scope.execute(WAKE_PLACE, params![ids(jobs)?, now.as_micros()])? > 0 {
        scope.held_back();
    }
    Ok(())
}

/// Has what a rule of the catalogue holds back decided again.
pub(super) struct Reconsider(pub(super) Timestamp);

impl Write for Reconsider {
    type Output = ();

    fn apply(self, scope: &mut Scope<'_>) -> Result<(), StoreError> {
        scope.execute(RECONSIDER, params![self.0.as_micros()])?;
        scope.held_back();
        Ok(())
    }
}

/// Lets what the storm limit holds back pass.
pub(super) struct ReleaseHeld {
    pub(super) route: Option<String>,
    pub(super) by: By,
}

impl Write for ReleaseHeld {
    type Output = u64;

    fn apply(self, scope: &mut Scope<'_>) -> Result<u64, StoreError> {
        let done = scope.execute(
            RELEASE_HELD,
            params![self.by.at.as_micros(), &self.route, &self.by.name],
        )?;
        scope.held_back();
        if done > 0 {
            let place = self.route.clone().map_or(Place::All, Place::Route);
            acts::note(scope, ActKind::Released, &place, &self.by)?;
        }
        tracing::warn!(
            route = self.route,
            by = self.by.name,
            comment = self.by.comment,
            released = done,
            "let alerts pass the storm limit"
        );
        Ok(done)
    }
}

/// What is to be decided again by now, the longest due first.
pub(super) fn due(connection: &Connection, now: Timestamp, most: usize) -> Result<Vec<HeldBack>, StoreError> {
    let rows = connection.all(DUE, params![now.as_micros(), integer(most)])?;
    rows.iter().map(held_back).collect()
}

/// When there is something to decide again.
pub(super) fn next(connection: &Connection) -> Result<Option<Timestamp>, StoreError> {
    let row = connection.one(NEXT, [])?;
    time_option(&row, "at")
}

/// All that is held back.
pub(super) fn list(connection: &Connection, page: &PageRequest) -> Result<Page<HeldBack>, StoreError> {
    let (episode, route) = match page.after.as_deref() {
        None => ("", ""),
        Some(after) => after
            .split_once(' ')
            .ok_or_else(|| StoreError::BadCursor(after.to_owned()))?,
    };
    let rows = connection.all(LIST, params![episode, route, i64::from(page.limit) + 1])?;
    let mut items = rows.iter().map(held_back).collect::<Result<Vec<_>, _>>()?;
    let next = cut(&mut items, page, |held| format!("{} {}", held.episode, held.route));
    Ok(Page { items, next })
}

/// What the storm limit holds back.
pub(super) fn of_storm(connection: &Connection, most: u32) -> Result<StormHeld, StoreError> {
    let routes = connection.all(STORM_ROUTES, [])?;
    let next = connection.all(STORM_NEXT, params![most])?;
    Ok(StormHeld {
        routes: routes
            .iter()
            .map(|row| Ok((row.get("route")?, count(row, "count")?)))
            .collect::<Result<_, StoreError>>()?,
        next: next.iter().map(held_back).collect::<Result<_, _>>()?,
    })
}

fn held_back(row: &Row) -> Result<HeldBack, StoreError> {
    Ok(HeldBack {
        episode: parsed(row, "episode")?,
        route: row.get("route")?,
        kind: word(row, "decision", DecisionKind::parse)?,
        reason: row.get("reason")?,
        target: target(row)?,
        since: time(row, "since")?,
        due_at: time_option(row, "due_at")?,
        released_by: row.get("released_by")?,
        posted_by: row.get("posted_by")?,
        alert: json(row, "alert")?,
        group: json(row, "alert_group")?,
        follows: parsed_option(row, "follows")?,
    })
}
