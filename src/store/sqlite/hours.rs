//! Keeps what statistics count of hours that are over. The reading is done beside the writer; what changes meanwhile takes
//! the hour's row away (a trigger does), and then nothing is kept of it until the next time.

use rusqlite::params;

use crate::domain::timestamp::Timestamp;
use crate::store::StoreError;
use crate::store::sqlite::connection::Connection;
use crate::store::sqlite::facts::{self, HOUR};
use crate::store::sqlite::readers::Readers;
use crate::store::sqlite::rows::to_json;
use crate::store::sqlite::writer::{Scope, Write, Writer};

/// Hours that are counted at once: of the busiest gateways some ten thousand jobs.
const AT_ONCE: usize = 24;

/// Of the last job or episode before a moment.
const HOUR_BEFORE: &str = "
    -- hour_before
    SELECT MAX(at) / 3600000000
    FROM   (SELECT MAX(created_at) AS at FROM jobs INDEXED BY jobs_by_creation WHERE created_at < ?1
            UNION ALL
            SELECT MAX(opened_at) FROM episodes INDEXED BY episodes_by_opening WHERE opened_at < ?1) AS ended";

const IS_KEPT: &str = "
    -- is_kept
    SELECT EXISTS (SELECT 1 FROM hours WHERE hour = ?1 AND facts IS NOT NULL)";

const BEGIN_HOURS: &str = "
    -- begin_hours
    INSERT OR REPLACE INTO hours (hour, facts) SELECT value, NULL FROM json_each(?1)";

const KEEP_HOUR: &str = "
    -- keep_hour
    UPDATE hours SET facts = ?2 WHERE hour = ?1 AND facts IS NULL";

/// Some hours are about to be counted.
struct Begin(Vec<i64>);

impl Write for Begin {
    type Output = ();

    fn apply(self, scope: &mut Scope<'_>) -> Result<(), StoreError> {
        scope.execute(BEGIN_HOURS, params![to_json(&self.0)?]).map(drop)
    }
}

/// Hours with what was counted, which is kept where nothing has changed since.
struct Keep(Vec<(i64, String)>);

impl Write for Keep {
    type Output = ();

    fn apply(self, scope: &mut Scope<'_>) -> Result<(), StoreError> {
        for (hour, facts) in &self.0 {
            scope.execute(KEEP_HOUR, params![hour, facts])?;
        }
        Ok(())
    }
}

/// Keeps the last hours that were over at that moment, as many as are counted at once. Where to go on, if there are more.
pub(super) async fn keep(
    writer: &Writer,
    readers: &Readers,
    before: Timestamp,
) -> Result<Option<Timestamp>, StoreError> {
    let before = before.as_micros().div_euclid(HOUR);
    let hours = readers.read(move |connection| uncounted(connection, before)).await?;
    if hours.is_empty() {
        return Ok(None);
    }
    writer.write(Begin(hours.clone())).await?;
    let oldest = hours.last().copied().filter(|_| hours.len() == AT_ONCE);
    let counted = readers.read(move |connection| count(connection, &hours)).await?;
    writer.write(Keep(counted)).await?;
    Ok(oldest.map(|hour| Timestamp::from_micros(hour * HOUR)))
}

/// The last hours before that one in which something happened, and of which nothing is kept.
fn uncounted(connection: &Connection, before: i64) -> Result<Vec<i64>, StoreError> {
    let (mut hours, mut before) = (Vec::new(), before);
    while hours.len() < AT_ONCE
        && let Some(hour) = connection.value::<Option<i64>>(HOUR_BEFORE, params![before * HOUR])?
    {
        if !connection.value(IS_KEPT, params![hour])? {
            hours.push(hour);
        }
        before = hour;
    }
    Ok(hours)
}

fn count(connection: &Connection, hours: &[i64]) -> Result<Vec<(i64, String)>, StoreError> {
    let mut counted = Vec::new();
    for hour in hours {
        facts::of_rows(connection, hour * HOUR, (hour + 1) * HOUR, &mut |_, facts| {
            counted.push((*hour, to_json(facts)));
        })?;
    }
    counted.into_iter().map(|(hour, facts)| Ok((hour, facts?))).collect()
}
