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
    pub(super) outcomes: Vec<Outcome>,
    /// Of the episodes that it opened, the fingerprints.
    #[serde(borrow)]
    pub(super) opened: Vec<Name<'t>>,
}

/// A name, which stays in the text that it is read from.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Name<'t>(#[serde(borrow)] pub(super) Cow<'t, str>);

/// What became of a job. In the rows of `hours` it is a list of these, in this order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Listed", into = "Listed")]
pub(super) struct Outcome {
    pub(super) route: Option<usize>,
    pub(super) playbook: usize,
    pub(super) target: usize,
    pub(super) status: usize,
    pub(super) reason: Option<usize>,
    pub(super) judged: bool,
    /// Microseconds from the alert's start to its end, if it healed.
    pub(super) took: Option<u64>,
}

type Listed = (Option<usize>, usize, usize, usize, Option<usize>, u8, Option<u64>);

impl From<Listed> for Outcome {
    fn from((route, playbook, target, status, reason, judged, took): Listed) -> Self {
        Self {
            route,
            playbook,
            target,
            status,
            reason,
            judged: judged != 0,
            took,
        }
    }
}

impl From<Outcome> for Listed {
    fn from(of: Outcome) -> Self {
        let judged = u8::from(of.judged);
        (of.route, of.playbook, of.target, of.status, of.reason, judged, of.took)
    }
}

/// Facts as they grow.
#[derive(Debug, Default)]
struct Gathered {
    facts: Facts<'static>,
    places: HashMap<String, usize>,
}

impl Gathered {
    fn place(&mut self, name: String) -> usize {
        *self.places.entry(name).or_insert_with_key(|name| {
            self.facts.names.push(Name(Cow::Owned(name.clone())));
            self.facts.names.len() - 1
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
