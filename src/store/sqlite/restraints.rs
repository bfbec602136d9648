//! Reads what holds jobs back: pauses, breakers, and the jobs that caps, cooldowns, the storm limit and flap detection
//! count. A few statements for all alerts together; what caps and the like count is read only where a rule asks for it.

use std::collections::{BTreeSet, HashMap};
use std::time::Duration;

use rusqlite::params;
use serde::Serialize;

use crate::domain::ids::{Fingerprint, Target};
use crate::domain::pause::{Breaker, Pause};
use crate::domain::policy::{Delivery, Heal, PlaceJob, Reached, Restraints};
use crate::domain::rules::StormRule;
use crate::domain::timestamp::Timestamp;
use crate::store::StoreError;
use crate::store::sqlite::connection::{Connection, Row};
use crate::store::sqlite::rows::{
    count, fingerprint, integer, parsed, parsed_option, target, time, time_option, to_json,
};

const PAUSES: &str = "
    -- pauses
    SELECT scope, comment, by_whom, since FROM pauses ORDER BY since, scope";

const OPEN_BREAKERS: &str = "
    -- open_breakers
    SELECT scope, reason, opened_at, until, trial FROM breakers WHERE is_open = 1 ORDER BY scope";

const LATELY: &str = "
    -- lately
    SELECT created_at
    FROM   jobs INDEXED BY jobs_by_creation
    WHERE  trigger_kind = 'alert'
    ORDER  BY created_at DESC, id DESC
    LIMIT  ?1";

/// A job that never started counts only while it waits; one that a person ran in check mode never does.
const PLACE_JOBS: &str = "
    -- place_jobs
    SELECT jobs.route, jobs.target, jobs.id, jobs.started_at, jobs.finished_at
    FROM   json_each(?1) AS wanted
    JOIN   jobs INDEXED BY jobs_of_place
    ON     jobs.route = wanted.value ->> 'route' AND jobs.target = wanted.value ->> 'target'
    AND    jobs.finished_at IS NULL
    WHERE  NOT (jobs.trigger_kind IN ('rerun', 'manual') AND jobs.check_mode)
    UNION  ALL
    SELECT jobs.route, jobs.target, jobs.id, jobs.started_at, jobs.finished_at
    FROM   json_each(?1) AS wanted
    JOIN   jobs INDEXED BY jobs_of_place
    ON     jobs.route = wanted.value ->> 'route' AND jobs.target = wanted.value ->> 'target'
    AND    jobs.finished_at > wanted.value ->> 'since'
    WHERE  jobs.attempts > 0 AND NOT (jobs.trigger_kind IN ('rerun', 'manual') AND jobs.check_mode)";

const WAITING: &str = "
    -- waiting
    SELECT COUNT(*) AS waiting
    FROM   (SELECT 1 FROM held INDEXED BY held_by_decision WHERE decision = 'held' AND due_at > ?1 LIMIT ?2)";

const HEALS: &str = "
    -- heals
    SELECT jobs.fingerprint, jobs.route, jobs.finished_at, jobs.playbook
    FROM   json_each(?1) AS wanted
    JOIN   jobs INDEXED BY jobs_healed
    ON     jobs.fingerprint = wanted.value ->> 'fingerprint' AND jobs.route = wanted.value ->> 'route'
    AND    jobs.finished_at > wanted.value ->> 'since'
    WHERE  jobs.reason = 'healed'
    ORDER  BY jobs.finished_at";

/// A route on a target, as far back as its rules look.
#[derive(PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub(super) struct Place<'a> {
    pub(super) route: &'a str,
    pub(super) target: &'a Target,
    pub(super) since: i64,
}

#[derive(PartialEq, Eq, PartialOrd, Ord, Serialize)]
struct Healed<'a> {
    fingerprint: &'a Fingerprint,
    route: &'a str,
    since: i64,
}

/// What may hold back the jobs of these notifications, whose rules for all routes are the same.
pub(super) fn read(connection: &Connection, deliveries: &[&Delivery]) -> Result<Restraints, StoreError> {
    let Some(now) = deliveries.iter().map(|delivery| delivery.received_at).min() else {
        return Ok(Restraints::default());
    };
    let storm = deliveries.first().and_then(|delivery| delivery.fleet.storm);
    let (mut wanted_places, mut wanted_heals) = (BTreeSet::new(), BTreeSet::new());
    for intake in deliveries.iter().flat_map(|delivery| &delivery.intakes) {
        for reached in &intake.reached {
            wanted_places.extend(places_of(reached, now));
            if let Some(flap) = reached.route.flap {
                wanted_heals.insert(Healed {
                    fingerprint: &intake.alert.fingerprint,
                    route: &reached.route.name,
                    since: (now - flap.within.duration()).as_micros(),
                });
            }
        }
    }
    Ok(Restraints {
        pauses: pauses(connection)?,
        breakers: open_breakers(connection)?,
        lately: lately(connection, storm)?,
        waiting: waiting(connection, storm, now)?,
        places: places(connection, &wanted_places)?,
        heals: heals(connection, &wanted_heals)?,
    })
}

/// Where the route's caps and its cooldown look, with its own playbook and with any rung that may take its place.
fn places_of(reached: &Reached, now: Timestamp) -> Vec<Place<'_>> {
    let route = &reached.route;
    let spans = route.caps.iter().map(|cap| cap.per).chain([route.cooldown]);
    let longest = spans.map(|span| span.duration()).max().unwrap_or_default();
    if longest.is_zero() {
        return Vec::new();
    }
    let own = reached.plan.iter().flatten();
    let rungs = reached.ladder.iter().filter_map(|rung| rung.plan());
    let targets = own.chain(rungs).map(|plan| &plan.target);
    targets.map(|target| place(&route.name, target, now, longest)).collect()
}

/// A route on a target, so far back.
pub(super) fn place<'a>(route: &'a str, target: &'a Target, now: Timestamp, back: Duration) -> Place<'a> {
    Place {
        route,
        target,
        since: (now - back).as_micros(),
    }
}

/// Every pause in force, the oldest first.
pub(super) fn pauses(connection: &Connection) -> Result<Vec<Pause>, StoreError> {
    let rows = connection.all(PAUSES, [])?;
    rows.iter().map(pause).collect()
}

pub(super) fn pause(row: &Row) -> Result<Pause, StoreError> {
    Ok(Pause {
        scope: parsed(row, "scope")?,
        comment: row.get("comment")?,
        by: row.get("by_whom")?,
        since: time(row, "since")?,
    })
}

/// Every breaker that is not closed.
pub(super) fn open_breakers(connection: &Connection) -> Result<Vec<Breaker>, StoreError> {
    let rows = connection.all(OPEN_BREAKERS, [])?;
    let breaker = |row: &Row| {
        Ok(Breaker {
            scope: parsed(row, "scope")?,
            reason: row.get("reason")?,
            opened_at: time(row, "opened_at")?,
            until: time_option(row, "until")?,
            trial: parsed_option(row, "trial")?,
        })
    };
    rows.iter().map(breaker).collect()
}

fn lately(connection: &Connection, storm: Option<StormRule>) -> Result<Vec<Timestamp>, StoreError> {
    let Some(storm) = storm else {
        return Ok(Vec::new());
    };
    let rows = connection.all(LATELY, params![integer(storm.jobs)])?;
    let mut lately = rows
        .iter()
        .map(|row| time(row, "created_at"))
        .collect::<Result<Vec<_>, _>>()?;
    lately.reverse();
    Ok(lately)
}

/// How many alerts the storm limit holds back, and no more than it lets pass.
fn waiting(connection: &Connection, storm: Option<StormRule>, now: Timestamp) -> Result<usize, StoreError> {
    let Some(storm) = storm else {
        return Ok(0);
    };
    let row = connection.one(WAITING, params![now.as_micros(), integer(storm.jobs)])?;
    count(&row, "waiting")
}

/// The jobs of those places.
pub(super) fn places(
    connection: &Connection,
    wanted: &BTreeSet<Place<'_>>,
) -> Result<HashMap<(String, Target), Vec<PlaceJob>>, StoreError> {
    let mut found: HashMap<(String, Target), Vec<PlaceJob>> = HashMap::new();
    if wanted.is_empty() {
        return Ok(found);
    }
    let rows = connection.all(PLACE_JOBS, params![to_json(wanted)?])?;
    for row in &rows {
        let key = (row.get("route")?, target(row)?);
        found.entry(key).or_default().push(PlaceJob {
            id: parsed(row, "id")?,
            started_at: time_option(row, "started_at")?,
            finished_at: time_option(row, "finished_at")?,
        });
    }
    Ok(found)
}

fn heals(
    connection: &Connection,
    wanted: &BTreeSet<Healed<'_>>,
) -> Result<HashMap<(Fingerprint, String), Vec<Heal>>, StoreError> {
    let mut found: HashMap<(Fingerprint, String), Vec<Heal>> = HashMap::new();
    if wanted.is_empty() {
        return Ok(found);
    }
    let rows = connection.all(HEALS, params![to_json(wanted)?])?;
    for row in &rows {
        let key = (fingerprint(row)?, row.get("route")?);
        found.entry(key).or_default().push(Heal {
            at: time(row, "finished_at")?,
            playbook: row.get("playbook")?,
        });
    }
    Ok(found)
}
