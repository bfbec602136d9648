//! What people ask the list of jobs: each filter, and filters together, with answers that are common, rare and empty.

use std::path::Path;

use healgate::domain::timestamp::Timestamp;
use rusqlite::{Connection, OpenFlags};

use crate::failed::{Failed, failed};

const DAY: i64 = 86_400_000_000;

/// Filters as the API names them, and the column that a value is taken from.
const FIELDS: [&str; 10] = [
    "status",
    "reason",
    "playbook",
    "route",
    "target",
    "alertname",
    "fingerprint",
    "trigger",
    "since",
    "until",
];

/// Jobs whose values are asked for: one of the many, one with a rare end, one of a rare route.
const JOBS: [&str; 3] = [
    "reason = 'healed' AND route = 'service-down'",
    "reason = 'lost' AND route IS NOT NULL AND fingerprint IS NOT NULL",
    "route = 'canary' AND status = 'failed'",
];

/// A question to the API.
#[derive(Debug)]
pub(crate) struct Question {
    /// How many filters it has.
    pub(crate) filters: usize,
    pub(crate) query: String,
}

/// Every filter, every two and every three of them, and all at once: each with the values of one job, which have answers,
/// and with values of several jobs, which mostly have none.
pub(crate) fn all(database: &Path) -> Result<Vec<Question>, Failed> {
    let jobs = jobs(database).map_err(failed("read jobs"))?;
    let mut questions = Vec::new();
    for set in 1_u32..1 << FIELDS.len() {
        let filters = usize::try_from(set.count_ones()).unwrap_or(0);
        if filters > 3 && filters < FIELDS.len() {
            continue;
        }
        let fields: Vec<usize> = (0..FIELDS.len()).filter(|field| set >> field & 1 == 1).collect();
        for mix in 0..=jobs.len() {
            let values = fields.iter().enumerate().map(|(place, field)| {
                let job = if mix < jobs.len() { mix } else { place % jobs.len() };
                format!("{}={}", FIELDS[*field], escaped(&jobs[job][*field]))
            });
            questions.push(Question {
                filters,
                query: values.collect::<Vec<_>>().join("&"),
            });
        }
    }
    Ok(questions)
}

/// The values of each of the jobs, from the middle of the history on.
fn jobs(database: &Path) -> rusqlite::Result<Vec<Vec<String>>> {
    let connection = Connection::open_with_flags(database, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
    let middle: i64 = connection.query_row("SELECT (MIN(created_at) + MAX(created_at)) / 2 FROM jobs", [], |row| {
        row.get(0)
    })?;
    let found = JOBS.iter().map(|what| match job(&connection, what, middle) {
        // Among few jobs there is none of a rare kind.
        Err(rusqlite::Error::QueryReturnedNoRows) => {
            job(&connection, "reason IS NOT NULL AND route IS NOT NULL", middle)
        }
        found => found,
    });
    found.collect()
}

fn job(connection: &Connection, what: &str, middle: i64) -> rusqlite::Result<Vec<String>> {
    let select = format!(
        "SELECT status, reason, playbook, route, target, alertname, fingerprint, trigger_kind, created_at
         FROM   jobs
         WHERE  {what}
         ORDER  BY abs(created_at - {middle})
         LIMIT  1"
    );
    connection.query_row(&select, [], |row| {
        let mut values = (0..8)
            .map(|column| row.get(column))
            .collect::<rusqlite::Result<Vec<String>>>()?;
        let at: i64 = row.get(8)?;
        values.extend([at - DAY, at + DAY].map(|at| Timestamp::from_micros(at).to_string()));
        Ok(values)
    })
}

/// As in a URL's query.
fn escaped(value: &str) -> String {
    value
        .bytes()
        .map(|byte| match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' => char::from(byte).to_string(),
            byte => format!("%{byte:02X}"),
        })
        .collect()
}
