//! Keeps what texts are looked for in: every target and every alert's labels, once, by the parts of their words. The reading
//! is done beside the writer, some time after the jobs were made; until then they are looked at one by one.

use std::collections::BTreeMap;

use rusqlite::params;

use crate::store::StoreError;
use crate::store::sqlite::connection::Connection;
use crate::store::sqlite::readers::Readers;
use crate::store::sqlite::rows::{integer, to_json};
use crate::store::sqlite::writer::{Scope, Write, Writer};

/// Jobs that are looked at in one step.
const JOBS: usize = 500;

/// Characters of new texts that are written in one step: a few milliseconds of the writer's time.
const TEXT: usize = 8 * 1024;

/// How much of an alert's labels is indexed, in characters. What lies beyond is found only among the newest jobs.
const LABELS_MOST: usize = 16 * 1024;

/// The newest first: people look for what has just happened. Of a job that is gone there is nothing to keep.
const BACKLOG: &str = "
    -- search_backlog
    SELECT search_backlog.job, jobs.target, jobs.fingerprint,
           NOT EXISTS (SELECT 1 FROM search_names WHERE kind = 'target' AND name = jobs.target) AS is_new_target,
           NOT EXISTS (SELECT 1 FROM search_names WHERE kind = 'fingerprint' AND name = jobs.fingerprint) AS is_new_alert
    FROM   search_backlog
    LEFT   JOIN jobs ON jobs.id = search_backlog.job
    ORDER  BY search_backlog.job DESC
    LIMIT  ?1";

const LABELS: &str = "
    -- labels_of_job
    SELECT substr(COALESCE(alert ->> 'labels', ''), 1, ?2) AS labels FROM jobs WHERE id = ?1";

const ADD_NAME: &str = "
    -- add_search_name
    INSERT INTO search_names (kind, name) VALUES (?1, ?2) ON CONFLICT DO NOTHING RETURNING id";

/// In lower case, as it is asked for.
const ADD_TEXT: &str = "
    -- add_search_text
    INSERT INTO search_texts (rowid, text) VALUES (?1, lower(?2))";

const DONE: &str = "
    -- done_search_backlog
    DELETE FROM search_backlog WHERE job IN (SELECT value FROM json_each(?1))";

/// Names that no job has any more, of those that are given.
const STALE: &str = "
    -- stale_search_names
    SELECT search_names.id
    FROM   json_each(?1) AS wanted
    JOIN   search_names ON search_names.kind = wanted.value ->> 0 AND search_names.name = wanted.value ->> 1
    WHERE  CASE search_names.kind
           WHEN 'target' THEN NOT EXISTS (SELECT 1 FROM jobs INDEXED BY jobs_by_target WHERE target = search_names.name)
           ELSE NOT EXISTS (SELECT 1 FROM jobs INDEXED BY jobs_by_fingerprint WHERE fingerprint = search_names.name)
           END";

const REMOVE_TEXTS: &str = "
    -- remove_search_texts
    DELETE FROM search_texts WHERE rowid IN (SELECT value FROM json_each(?1))";

const REMOVE_NAMES: &str = "
    -- remove_search_names
    DELETE FROM search_names WHERE id IN (SELECT value FROM json_each(?1))";

const HAS_LONG_BACKLOG: &str = "
    -- has_long_search_backlog
    SELECT COUNT(*) > ?1 FROM (SELECT 1 FROM search_backlog LIMIT ?1 + 1) AS waiting";

/// What a step has found.
#[derive(Default)]
struct Found {
    jobs: Vec<String>,
    /// By kind and name, the text to look in.
    names: BTreeMap<(&'static str, String), String>,
    /// How long these texts are together.
    length: usize,
}

impl Found {
    fn add(&mut self, key: (&'static str, String), text: String) {
        self.length += text.len();
        self.names.insert(key, text);
    }
}

/// Writes down what a step has found.
struct Keep(Found);

impl Write for Keep {
    type Output = ();

    fn apply(self, scope: &mut Scope<'_>) -> Result<(), StoreError> {
        for ((kind, name), text) in &self.0.names {
            if let Some(row) = scope.connection.optional(ADD_NAME, params![kind, name])? {
                let id: i64 = row.get("id")?;
                scope.execute(ADD_TEXT, params![id, text])?;
            }
        }
        scope.execute(DONE, params![to_json(&self.0.jobs)?]).map(drop)
    }
}

/// A step. Whether there are more.
pub(super) async fn step(writer: &Writer, readers: &Readers) -> Result<bool, StoreError> {
    let (found, is_over) = readers.read(look).await?;
    if !found.jobs.is_empty() {
        writer.write(Keep(found)).await?;
    }
    Ok(!is_over)
}

/// What waits, as much as fits into a step, and whether that is all.
fn look(connection: &Connection) -> Result<(Found, bool), StoreError> {
    let mut found = Found::default();
    let rows = connection.all(BACKLOG, params![integer(JOBS)])?;
    let count = rows.len();
    for row in &rows {
        if found.length >= TEXT {
            break;
        }
        let job: String = row.get("job")?;
        if let (Some(target), true) = (row.get::<Option<String>>("target")?, row.get("is_new_target")?) {
            found.add(("target", target.clone()), target);
        }
        if let (Some(fingerprint), true) = (row.get::<Option<String>>("fingerprint")?, row.get("is_new_alert")?) {
            let key = ("fingerprint", fingerprint);
            if !found.names.contains_key(&key) {
                let labels = connection.value(LABELS, params![&job, integer(LABELS_MOST)])?;
                found.add(key, labels);
            }
        }
        found.jobs.push(job);
    }
    let is_over = found.jobs.len() == count && count < JOBS;
    Ok((found, is_over))
}

/// Forgets those of these names that no job has any more: pairs of a kind and a name.
pub(super) fn forget(scope: &mut Scope<'_>, names: &[(&str, String)]) -> Result<(), StoreError> {
    let rows = scope.connection.all(STALE, params![to_json(names)?])?;
    let stale: Vec<i64> = rows.iter().map(|row| row.get("id")).collect::<Result<_, _>>()?;
    if stale.is_empty() {
        return Ok(());
    }
    let stale = to_json(&stale)?;
    scope.execute(REMOVE_TEXTS, params![&stale])?;
    scope.execute(REMOVE_NAMES, params![&stale]).map(drop)
}

/// Whether more jobs wait than should be looked at one by one.
pub(super) fn has_long_backlog(connection: &Connection, most: usize) -> Result<bool, StoreError> {
    connection.value(HAS_LONG_BACKLOG, params![integer(most)])
}
