//! What statistics count, hour by hour: of the rows themselves, or of what was kept when the hour was over. Only reads.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};

use rusqlite::params;
use serde::{Deserialize, Serialize};

use crate::store::StoreError;
use crate::store::sqlite::connection::{Connection, Row, unreadable};

/// Microseconds.
pub(super) const HOUR: i64 = 3_600_000_000;

/// Judged are jobs that were verified, and those that were to be and failed before. What a person asked for is to be
/// verified only if the alert still fires when the run ends.
const OUTCOMES: &str = "
    -- outcomes
    SELECT created_at, route, playbook, target, status, reason,
           reason IS NOT NULL AND CASE
               WHEN status <> 'failed' OR reason = 'not_healed' THEN reason IN ('healed', 'not_healed')
               ELSE resolved_within IS NOT NULL
                    AND (trigger_kind IN ('alert', 'ladder')
                         OR EXISTS (SELECT 1
                                    FROM   episodes
                                    WHERE  episodes.id = jobs.episode
                                    AND    (episodes.closed_at IS NULL OR episodes.closed_at >= jobs.finished_at)))
               END AS judged,
           CASE WHEN reason = 'healed'
                THEN (SELECT MAX(jobs.healed_at - episodes.starts_at, 0) FROM episodes WHERE episodes.id = jobs.episode)
                END AS took
    FROM   jobs INDEXED BY jobs_by_creation
    WHERE  created_at >= ?1 AND created_at < ?2 AND check_mode = 0";

const OPENED: &str = "
    -- opened
    SELECT opened_at, fingerprint FROM episodes INDEXED BY episodes_by_opening WHERE opened_at >= ?1 AND opened_at < ?2";

const KEPT_HOURS: &str = "
    -- kept_hours
    SELECT hour, facts FROM hours WHERE hour >= ?1 AND hour > ?2 AND facts IS NOT NULL ORDER BY hour LIMIT ?3";

/// Hours that are read at once.
const AT_ONCE: i64 = 24;

/// What happened in an hour. Names are told once, and meant by their place after that.
#[derive(Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Facts<'t> {
    #[serde(borrow)]
    pub(super) names: Vec<Name<'t>>,
    /// Of the jobs that were made in it, check mode excepted.
    #[serde(with = "numbers")]
    pub(super) outcomes: Vec<Outcome>,
    /// Of the episodes that it opened, the fingerprints.
    #[serde(borrow)]
    pub(super) opened: Vec<Name<'t>>,
}

/// A name, which stays in the text that it is read from.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Name<'t>(#[serde(borrow)] pub(super) Cow<'t, str>);

/// What became of a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Outcome {
    pub(super) route: Option<u32>,
    pub(super) playbook: u32,
    pub(super) target: u32,
    pub(super) status: u32,
    pub(super) reason: Option<u32>,
    pub(super) judged: bool,
    /// Microseconds from the alert's start to its end, if it healed.
    pub(super) took: Option<u64>,
}

/// Outcomes as one list of numbers, which is read twice as fast as a list of lists.
mod numbers {
    use serde::de::Error as _;
    use serde::{Deserialize, Deserializer, Serializer};

    use super::Outcome;

    /// Of what there is none.
    const NONE: i64 = -1;

    pub(super) fn serialize<S: Serializer>(outcomes: &[Outcome], serializer: S) -> Result<S::Ok, S::Error> {
        let place = |place: Option<u32>| place.map_or(NONE, i64::from);
        serializer.collect_seq(outcomes.iter().flat_map(|outcome| {
            [
                place(outcome.route),
                i64::from(outcome.playbook),
                i64::from(outcome.target),
                i64::from(outcome.status),
                place(outcome.reason),
                i64::from(outcome.judged),
                outcome.took.map_or(NONE, u64::cast_signed),
            ]
        }))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Outcome>, D::Error> {
        let numbers = Vec::<i64>::deserialize(deserializer)?;
        let (outcomes, rest) = numbers.as_chunks::<7>();
        let outcomes: Option<Vec<Outcome>> = outcomes.iter().map(outcome).collect();
        outcomes
            .filter(|_| rest.is_empty())
            .ok_or_else(|| D::Error::custom("seven numbers make an outcome"))
    }

    fn outcome(numbers: &[i64; 7]) -> Option<Outcome> {
        let [route, playbook, target, status, reason, judged, took] = *numbers;
        Some(Outcome {
            route: u32::try_from(route).ok(),
            playbook: u32::try_from(playbook).ok()?,
            target: u32::try_from(target).ok()?,
            status: u32::try_from(status).ok()?,
            reason: u32::try_from(reason).ok(),
            judged: judged != 0,
            took: u64::try_from(took).ok(),
        })
    }
}

/// Facts as they grow.
#[derive(Debug, Default)]
struct Gathered {
    facts: Facts<'static>,
    places: HashMap<String, u32>,
}

impl Gathered {
    fn place(&mut self, name: String) -> u32 {
        *self.places.entry(name).or_insert_with_key(|name| {
            self.facts.names.push(Name(Cow::Owned(name.clone())));
            u32::try_from(self.facts.names.len() - 1).unwrap_or(u32::MAX)
        })
    }

    fn add(&mut self, row: &Row) -> Result<(), StoreError> {
        let (route, reason): (Option<String>, Option<String>) = (row.get("route")?, row.get("reason")?);
        let took: Option<i64> = row.get("took")?;
        let outcome = Outcome {
            route: route.map(|route| self.place(route)),
            playbook: self.place(row.get("playbook")?),
            target: self.place(row.get("target")?),
            status: self.place(row.get("status")?),
            reason: reason.map(|reason| self.place(reason)),
            judged: row.get("judged")?,
            took: took.map(i64::unsigned_abs),
        };
        self.facts.outcomes.push(outcome);
        Ok(())
    }
}

/// Of all hours from a moment on, in their order.
pub(super) fn since(
    connection: &Connection,
    since: i64,
    mut tell: impl FnMut(i64, &Facts<'_>),
) -> Result<(), StoreError> {
    // The first hour counts in part, so what is kept of it says too much.
    let first = since.div_euclid(HOUR) + i64::from(since.rem_euclid(HOUR) > 0);
    let (mut told, mut last) = (since, i64::MIN);
    loop {
        let rows = connection.all(KEPT_HOURS, params![first, last, AT_ONCE])?;
        for row in &rows {
            last = row.get("hour")?;
            of_rows(connection, told, last * HOUR, &mut tell)?;
            let facts: String = row.get("facts")?;
            tell(
                last,
                &serde_json::from_str(&facts).map_err(|error| unreadable("facts", error))?,
            );
            told = (last + 1) * HOUR;
        }
        if rows.len() < usize::try_from(AT_ONCE).unwrap_or(usize::MAX) {
            return of_rows(connection, told, i64::MAX, &mut tell);
        }
    }
}

/// Of the hours between two moments, by the rows.
pub(super) fn of_rows(
    connection: &Connection,
    from: i64,
    until: i64,
    tell: &mut impl FnMut(i64, &Facts<'_>),
) -> Result<(), StoreError> {
    if from >= until {
        return Ok(());
    }
    let mut hours: BTreeMap<i64, Gathered> = BTreeMap::new();
    connection.each(OUTCOMES, params![from, until], |row| {
        let at: i64 = row.get("created_at")?;
        hours.entry(at.div_euclid(HOUR)).or_default().add(row)
    })?;
    connection.each(OPENED, params![from, until], |row| {
        let at: i64 = row.get("opened_at")?;
        let hour = hours.entry(at.div_euclid(HOUR)).or_default();
        hour.facts.opened.push(Name(Cow::Owned(row.get("fingerprint")?)));
        Ok(())
    })?;
    for (hour, gathered) in &hours {
        tell(*hour, &gathered.facts);
    }
    Ok(())
}
