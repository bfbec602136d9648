//! Reads the database of a gateway that was killed, and what its runs have witnessed: is an alert lost, did a job run twice?

use std::collections::HashMap;
use std::fs;

use rusqlite::Connection;
use serde_json::{Value, json};

use crate::failed::{Failed, failed};
use crate::folder::Folder;

/// One episode and one job for each alert, and every report of it counted.
const EPISODES: &str = "
    SELECT fingerprint, COUNT(*), SUM(received), SUM((SELECT COUNT(*) FROM jobs WHERE jobs.episode = episodes.id))
    FROM   episodes
    GROUP  BY fingerprint";

const DECISIONS: &str = "SELECT COUNT(*) FROM decisions";

const ENDED: &str = "SELECT id FROM jobs WHERE status = 'succeeded'";

const ATTEMPTS: &str = "SELECT job, COUNT(*) FROM attempts GROUP BY job";

/// Attempts on one target of which one began before the other ended.
const OVERLAPS: &str = "
    WITH runs AS (
        SELECT jobs.target, attempts.id, attempts.started_at, attempts.finished_at,
               LAG(attempts.finished_at) OVER (PARTITION BY jobs.target ORDER BY attempts.started_at) AS before
        FROM   attempts JOIN jobs ON jobs.id = attempts.job)
    SELECT COUNT(*) FROM runs WHERE started_at < before";

/// What was found. All but the runs should be zero.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Verdict {
    /// Alerts that do not belong to exactly one episode with exactly one job, or of which a report is missing.
    pub(super) lost: i64,
    /// Jobs of which more than one run was claimed or witnessed, or whose run was not witnessed.
    pub(super) not_once: i64,
    /// Runs that shared their target with another at the same time.
    pub(super) overlaps: i64,
    /// Jobs that have ended well so far.
    pub(super) ran: i64,
}

/// `sent`: how many times each fingerprint was acknowledged.
pub(super) fn judge(folder: &Folder, sent: &HashMap<String, i64>) -> Result<Verdict, Failed> {
    let witness = fs::read_to_string(folder.path("witness")).unwrap_or_default();
    look(folder, sent, &witness).map_err(failed("judge the database"))
}

fn look(folder: &Folder, sent: &HashMap<String, i64>, witness: &str) -> rusqlite::Result<Verdict> {
    let database = Connection::open(folder.path("var/healgate.db"))?;
    let mut found = HashMap::new();
    let mut statement = database.prepare(EPISODES)?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let counts: (i64, i64, i64) = (row.get(1)?, row.get(2)?, row.get(3)?);
        found.insert(row.get::<_, String>(0)?, counts);
    }
    let is_whole = |(fingerprint, count): &(&String, &i64)| found.get(*fingerprint) == Some(&(1, **count, 1));
    let mut verdict = Verdict {
        lost: count(sent.iter().filter(|alert| !is_whole(alert)).count()),
        ..Verdict::default()
    };
    // A report without a decision is as lost as an alert without a job.
    let decisions: i64 = database.query_row(DECISIONS, [], |row| row.get(0))?;
    verdict.lost += (sent.values().sum::<i64>() - decisions).abs();
    verdict.overlaps = database.query_row(OVERLAPS, [], |row| row.get(0))?;
    let mut runs: HashMap<&str, i64> = HashMap::new();
    for job in witness.lines().filter_map(|line| line.split('/').next()) {
        *runs.entry(job).or_default() += 1;
    }
    let mut statement = database.prepare(ENDED)?;
    let ended: Vec<String> = statement.query_map([], |row| row.get(0))?.collect::<Result<_, _>>()?;
    let mut statement = database.prepare(ATTEMPTS)?;
    let attempts = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
    let attempts: HashMap<String, i64> = attempts.collect::<Result<_, _>>()?;
    let more_than_once = attempts.values().filter(|count| **count > 1).count();
    let witnessed_wrongly = runs
        .iter()
        .filter(|(job, count)| **count > 1 || !attempts.contains_key(**job));
    let not_witnessed = ended.iter().filter(|job| !runs.contains_key(job.as_str()));
    verdict.not_once = count(more_than_once + witnessed_wrongly.count() + not_witnessed.count());
    verdict.ran = count(ended.len());
    Ok(verdict)
}

fn count(number: usize) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

impl Verdict {
    pub(super) fn json(self) -> Value {
        json!({ "lost": self.lost, "not_once": self.not_once, "overlaps": self.overlaps, "ran": self.ran })
    }
}
