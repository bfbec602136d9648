//! Counts what jobs came to since a moment: by route, playbook and target, and the alerts that keep coming back.

use std::cmp::Reverse;
use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use rusqlite::params;

use crate::domain::job::JobStatus;
use crate::domain::timestamp::Timestamp;
use crate::store::StoreError;
use crate::store::read::{Percentiles, RepeatOffender, Statistics, Tally};
use crate::store::sqlite::connection::Connection;
use crate::store::sqlite::facts::{self, Facts, Name, Outcome};
use crate::store::sqlite::rows::{count, fingerprint, to_json};

/// How many routes, playbooks, targets and alerts are told of at most: those with the most jobs or episodes.
const MOST: usize = 100;

const REPEAT_OFFENDERS: &str = "
    -- repeat_offenders
    SELECT again.value ->> 0 AS fingerprint, again.value ->> 1 AS episodes, last.alertname,
           (SELECT COUNT(*)
            FROM   jobs INDEXED BY jobs_by_fingerprint
            WHERE  jobs.fingerprint = again.value ->> 0 AND jobs.created_at >= ?1
            AND    jobs.check_mode = 0) AS jobs,
           (SELECT target
            FROM   jobs INDEXED BY jobs_by_fingerprint
            WHERE  jobs.fingerprint = again.value ->> 0
            ORDER  BY jobs.created_at DESC, jobs.id DESC
            LIMIT  1) AS target
    FROM   json_each(?2) AS again
    JOIN   alerts ON alerts.fingerprint = again.value ->> 0
    JOIN   episodes AS last ON last.id = alerts.last_episode
    ORDER  BY again.key";

/// Of the jobs created, and the episodes opened, since then.
pub(super) fn statistics(connection: &Connection, since: Timestamp) -> Result<Statistics, StoreError> {
    let mut counts = Counts::default();
    facts::since(connection, since.as_micros(), |_, facts| counts.add(facts))?;
    let offenders = repeat_offenders(connection, since, &counts.returned())?;
    Ok(Statistics {
        routes: counts.tallies(|outcome| outcome.route),
        playbooks: counts.tallies(|outcome| Some(outcome.playbook)),
        targets: counts.tallies(|outcome| Some(outcome.target)),
        repeat_offenders: offenders,
    })
}

/// All that happened; names are meant by their place.
#[derive(Debug, Default)]
struct Counts {
    names: Vec<String>,
    places: HashMap<String, u32>,
    outcomes: Vec<Outcome>,
    /// Episodes of each fingerprint.
    opened: HashMap<String, u64>,
}

/// The jobs of one route, playbook or target.
#[derive(Debug, Default)]
struct Counted {
    jobs: u64,
    judged: u64,
    /// There are a few dozen at most.
    ends: Vec<(End, u64)>,
    /// Of those that healed.
    took: Vec<u64>,
}

/// The status and the reason, by their names' places.
type End = (u32, Option<u32>);

impl Counts {
    fn add(&mut self, facts: &Facts<'_>) {
        let places: Vec<u32> = facts.names.iter().map(|name| self.place(&name.0)).collect();
        let place = |of: u32| places[of as usize];
        self.outcomes.extend(facts.outcomes.iter().map(|outcome| Outcome {
            route: outcome.route.map(place),
            playbook: place(outcome.playbook),
            target: place(outcome.target),
            status: place(outcome.status),
            reason: outcome.reason.map(place),
            ..*outcome
        }));
        for Name(fingerprint) in &facts.opened {
            match self.opened.get_mut(&**fingerprint) {
                Some(episodes) => *episodes += 1,
                None => drop(self.opened.insert(fingerprint.to_string(), 1)),
            }
        }
    }

    /// Those with the most jobs, of what an outcome is counted for. There may be tens of thousands, and only of a hundred
    /// all is counted.
    fn tallies(&self, of: impl Fn(&Outcome) -> Option<u32>) -> Vec<Tally> {
        let mut jobs = vec![0_u64; self.names.len()];
        for name in self.outcomes.iter().filter_map(&of) {
            jobs[name as usize] += 1;
        }
        let named = (0..jobs.len()).filter(|name| jobs[*name] > 0);
        let named = most(named.collect(), |name| {
            (Reverse(jobs[*name]), self.names[*name].as_str())
        });
        let mut places = vec![None; self.names.len()];
        for (place, name) in named.iter().enumerate() {
            places[*name] = Some(place);
        }
        let mut counted: Vec<Counted> = named.iter().map(|_| Counted::default()).collect();
        for outcome in &self.outcomes {
            if let Some(place) = of(outcome).and_then(|name| places[name as usize]) {
                counted[place].add(outcome);
            }
        }
        let tallies = named.into_iter().zip(counted);
        tallies
            .map(|(name, counted)| counted.tally(self.names[name].clone(), &self.names))
            .collect()
    }

    fn place(&mut self, name: &str) -> u32 {
        if let Some(place) = self.places.get(name) {
            return *place;
        }
        let place = u32::try_from(self.names.len()).unwrap_or(u32::MAX);
        self.names.push(name.to_owned());
        self.places.insert(name.to_owned(), place);
        place
    }

    /// The alerts that opened more than one episode, with how many, the worst first.
    fn returned(&self) -> Vec<(&str, u64)> {
        let again = self.opened.iter().filter(|(_, episodes)| **episodes > 1);
        let again = again.map(|(name, episodes)| (name.as_str(), *episodes));
        most(again.collect(), |(name, episodes)| (Reverse(*episodes), *name))
    }
}

/// The first hundred in that order, without a look at how the others stand to each other.
fn most<T, K: Ord>(mut all: Vec<T>, order: impl Fn(&T) -> K) -> Vec<T> {
    if all.len() > MOST {
        all.select_nth_unstable_by(MOST, |one, other| order(one).cmp(&order(other)));
        all.truncate(MOST);
    }
    all.sort_unstable_by_key(order);
    all
}

impl Counted {
    fn add(&mut self, outcome: &Outcome) {
        let end = (outcome.status, outcome.reason);
        self.jobs += 1;
        self.judged += u64::from(outcome.judged);
        match self.ends.iter_mut().find(|(known, _)| *known == end) {
            Some((_, jobs)) => *jobs += 1,
            None => self.ends.push((end, 1)),
        }
        self.took.extend(outcome.took);
    }

    fn tally(self, name: String, names: &[String]) -> Tally {
        let ended = |status: JobStatus| {
            let so = self
                .ends
                .iter()
                .filter(|((end, _), _)| names[*end as usize] == status.as_str());
            so.map(|(_, jobs)| jobs).sum()
        };
        let mut reasons = BTreeMap::new();
        for ((_, reason), jobs) in &self.ends {
            if let Some(reason) = reason {
                *reasons.entry(names[*reason as usize].clone()).or_default() += jobs;
            }
        }
        Tally {
            name,
            jobs: self.jobs,
            succeeded: ended(JobStatus::Succeeded),
            failed: ended(JobStatus::Failed),
            judged: self.judged,
            reasons,
            time_to_heal: percentiles(self.took),
        }
    }
}

/// The nearest rank: the smallest time that so many of all do not exceed.
pub(super) fn percentiles(mut took: Vec<u64>) -> Option<Percentiles> {
    took.sort_unstable();
    let rank = |percent: usize| {
        let place = (took.len() * percent).div_ceil(100).checked_sub(1)?;
        took.get(place).copied().map(Duration::from_micros)
    };
    Some(Percentiles {
        p50: rank(50)?,
        p95: rank(95)?,
    })
}

fn repeat_offenders(
    connection: &Connection,
    since: Timestamp,
    again: &[(&str, u64)],
) -> Result<Vec<RepeatOffender>, StoreError> {
    let rows = connection.all(REPEAT_OFFENDERS, params![since.as_micros(), to_json(again)?])?;
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
