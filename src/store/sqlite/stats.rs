//! Counts what jobs came to since a moment: by route, playbook and target, and the alerts that keep coming back.

use std::collections::BTreeMap;
use std::time::Duration;

use rusqlite::params;
use serde::Serialize;

use crate::domain::timestamp::Timestamp;
use crate::store::StoreError;
use crate::store::read::{Percentiles, RepeatOffender, Statistics, Tally};
use crate::store::sqlite::connection::{Connection, Row};
use crate::store::sqlite::rows::{count, fingerprint, json, to_json, word};

/// How many routes, playbooks, targets and alerts are told of at most: those with the most jobs or episodes.
const MOST: i64 = 100;

/// Judged are jobs that were verified, and those that were to be and failed before. What a person asked for is to be
/// verified only if the alert still fires when the run ends.
const COUNT_OUTCOMES: &str = "
    -- count_outcomes
    WITH counted AS MATERIALIZED (
        SELECT route, playbook, target, status, reason, reason IN ('healed', 'not_healed') AS judged
        FROM   jobs INDEXED BY jobs_ended
        WHERE  created_at >= ?1 AND reason IS NOT NULL AND check_mode = 0
        AND    (status <> 'failed' OR reason = 'not_healed')
        UNION ALL
        SELECT route, playbook, target, status, reason,
               resolved_within IS NOT NULL
               AND (trigger_kind IN ('alert', 'ladder')
                    OR EXISTS (SELECT 1
                               FROM   episodes
                               WHERE  episodes.id = jobs.episode
                               AND    (episodes.closed_at IS NULL OR episodes.closed_at >= jobs.finished_at)))
        FROM   jobs INDEXED BY jobs_ended
        WHERE  created_at >= ?1 AND reason IS NOT NULL AND check_mode = 0
        AND    status = 'failed' AND reason <> 'not_healed'
        UNION ALL
        SELECT route, playbook, target, status, NULL, 0
        FROM   jobs INDEXED BY jobs_by_kind
        WHERE  status IN ('awaiting_approval', 'queued', 'running', 'verifying') AND created_at >= ?1
        AND    check_mode = 0),
    named AS (
        SELECT 'route' AS kind, route AS name, status, reason, judged FROM counted WHERE route IS NOT NULL
        UNION ALL
        SELECT 'playbook', playbook, status, reason, judged FROM counted
        UNION ALL
        SELECT 'target', target, status, reason, judged FROM counted),
    reasons AS (
        SELECT kind, name, reason, COUNT(*) AS jobs, SUM(status = 'succeeded') AS succeeded,
               SUM(status = 'failed') AS failed, SUM(judged) AS judged
        FROM   named
        GROUP  BY kind, name, reason),
    summed AS (
        SELECT kind, name, SUM(jobs) AS jobs, SUM(succeeded) AS succeeded, SUM(failed) AS failed, SUM(judged) AS judged,
               json_group_object(reason, jobs) FILTER (WHERE reason IS NOT NULL) AS reasons
        FROM   reasons
        GROUP  BY kind, name),
    placed AS (
        SELECT *, ROW_NUMBER() OVER (PARTITION BY kind ORDER BY jobs DESC, name) AS place FROM summed)
    SELECT kind, name, jobs, succeeded, failed, judged, reasons FROM placed WHERE place <= ?2 ORDER BY kind, place";

/// The nearest rank: the smallest time that so many of all do not exceed.
const TIMES_TO_HEAL: &str = "
    -- times_to_heal
    WITH healed AS MATERIALIZED (
        SELECT jobs.route, jobs.playbook, jobs.target, MAX(jobs.healed_at - episodes.starts_at, 0) AS took
        FROM   jobs INDEXED BY jobs_ended
        JOIN   episodes ON episodes.id = jobs.episode
        WHERE  jobs.created_at >= ?1 AND jobs.reason = 'healed' AND jobs.check_mode = 0),
    named AS (
        SELECT 'route' AS kind, route AS name, took FROM healed WHERE route IS NOT NULL
        UNION ALL
        SELECT 'playbook', playbook, took FROM healed
        UNION ALL
        SELECT 'target', target, took FROM healed),
    ranked AS (
        SELECT kind, name, took, ROW_NUMBER() OVER (PARTITION BY kind, name ORDER BY took) AS place,
               COUNT(*) OVER (PARTITION BY kind, name) AS times
        FROM   named
        WHERE  (kind, name) IN (SELECT value ->> 'kind', value ->> 'name' FROM json_each(?2)))
    SELECT kind, name, MAX(took) FILTER (WHERE place = (times + 1) / 2) AS p50,
           MAX(took) FILTER (WHERE place = (times * 95 + 99) / 100) AS p95
    FROM   ranked
    GROUP  BY kind, name";

const REPEAT_OFFENDERS: &str = "
    -- repeat_offenders
    WITH again AS MATERIALIZED (
        SELECT fingerprint, COUNT(*) AS episodes
        FROM   episodes INDEXED BY episodes_by_opening
        WHERE  opened_at >= ?1
        GROUP  BY fingerprint
        HAVING COUNT(*) > 1
        ORDER  BY episodes DESC, fingerprint
        LIMIT  ?2)
    SELECT again.fingerprint, again.episodes, last.alertname,
           (SELECT COUNT(*)
            FROM   jobs INDEXED BY jobs_by_fingerprint
            WHERE  jobs.fingerprint = again.fingerprint AND jobs.created_at >= ?1
            AND    jobs.check_mode = 0) AS jobs,
           (SELECT target
            FROM   jobs INDEXED BY jobs_by_fingerprint
            WHERE  jobs.fingerprint = again.fingerprint
            ORDER  BY jobs.created_at DESC, jobs.id DESC
            LIMIT  1) AS target
    FROM   again
    JOIN   alerts ON alerts.fingerprint = again.fingerprint
    JOIN   episodes AS last ON last.id = alerts.last_episode
    ORDER  BY again.episodes DESC, again.fingerprint";

/// What a tally is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum Kind {
    Route,
    Playbook,
    Target,
}

impl Kind {
    fn parse(text: &str) -> Option<Self> {
        match text {
            "route" => Some(Self::Route),
            "playbook" => Some(Self::Playbook),
            "target" => Some(Self::Target),
            _ => None,
        }
    }
}

/// A name of that kind.
#[derive(Serialize)]
struct Named<'a> {
    kind: Kind,
    name: &'a str,
}

/// Of the jobs created, and the episodes opened, since then.
pub(super) fn statistics(connection: &Connection, since: Timestamp) -> Result<Statistics, StoreError> {
    let rows = connection.all(COUNT_OUTCOMES, params![since.as_micros(), MOST])?;
    let mut tallies = rows.iter().map(tally).collect::<Result<Vec<_>, _>>()?;
    add_times(connection, since, &mut tallies)?;
    let mut statistics = Statistics::default();
    for (kind, tally) in tallies {
        match kind {
            Kind::Route => statistics.routes.push(tally),
            Kind::Playbook => statistics.playbooks.push(tally),
            Kind::Target => statistics.targets.push(tally),
        }
    }
    statistics.repeat_offenders = repeat_offenders(connection, since)?;
    Ok(statistics)
}

fn tally(row: &Row) -> Result<(Kind, Tally), StoreError> {
    let reasons: Option<String> = row.get("reasons")?;
    let tally = Tally {
        name: row.get("name")?,
        jobs: count(row, "jobs")?,
        succeeded: count(row, "succeeded")?,
        failed: count(row, "failed")?,
        judged: count(row, "judged")?,
        reasons: match reasons {
            Some(_) => json(row, "reasons")?,
            None => BTreeMap::new(),
        },
        time_to_heal: None,
    };
    Ok((word(row, "kind", Kind::parse)?, tally))
}

fn add_times(connection: &Connection, since: Timestamp, tallies: &mut [(Kind, Tally)]) -> Result<(), StoreError> {
    let healed = tallies.iter().filter(|(_, tally)| tally.healed() > 0);
    let named: Vec<Named<'_>> = healed
        .map(|(kind, tally)| Named {
            kind: *kind,
            name: &tally.name,
        })
        .collect();
    if named.is_empty() {
        return Ok(());
    }
    let rows = connection.all(TIMES_TO_HEAL, params![since.as_micros(), to_json(&named)?])?;
    for row in &rows {
        let (kind, name): (Kind, String) = (word(row, "kind", Kind::parse)?, row.get("name")?);
        let found = tallies
            .iter_mut()
            .find(|(known, tally)| *known == kind && tally.name == name);
        if let Some((_, tally)) = found {
            tally.time_to_heal = Some(Percentiles {
                p50: micros(row, "p50")?,
                p95: micros(row, "p95")?,
            });
        }
    }
    Ok(())
}

fn micros(row: &Row, column: &str) -> Result<Duration, StoreError> {
    count(row, column).map(Duration::from_micros)
}

fn repeat_offenders(connection: &Connection, since: Timestamp) -> Result<Vec<RepeatOffender>, StoreError> {
    let rows = connection.all(REPEAT_OFFENDERS, params![since.as_micros(), MOST])?;
    rows.iter()
        .map(|row| {
            Ok(RepeatOffender {
                fingerprint: fingerprint(row)?,
                alertname: row.get("alertname")?,
                target: row.get("target")?,
                episodes: count(row, "episodes")?,
                jobs: count(row, "jobs")?,
            })
        })
        .collect()
}
