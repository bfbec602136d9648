//! What people did to the gateway as a whole.

use rusqlite::params;

use crate::domain::act::{Act, ActKind};
use crate::domain::pause::Scope as Place;
use crate::domain::timestamp::Timestamp;
use crate::store::sqlite::connection::{Connection, Row};
use crate::store::sqlite::rows::{parsed, time, word};
use crate::store::sqlite::writer::Scope;
use crate::store::{By, StoreError};

const INSERT: &str = "
    -- insert_act
    INSERT INTO acts (at, by_whom, kind, scope, comment) VALUES (?1, ?2, ?3, ?4, ?5)";

/// Whoever pauses and resumes in a loop fills no disk.
const FORGET: &str = "
    -- forget_acts
    DELETE FROM acts WHERE id <= (SELECT MAX(id) FROM acts) - 100";

const LIST: &str = "
    -- list_acts
    SELECT at, by_whom, kind, scope, comment
    FROM   acts
    WHERE  id > (SELECT MAX(id) FROM acts) - 100 AND at >= ?1
    ORDER  BY id DESC
    LIMIT  ?2";

/// Keeps who did that to which place.
pub(super) fn note(scope: &mut Scope<'_>, kind: ActKind, place: &Place, by: &By) -> Result<(), StoreError> {
    let row = params![
        by.at.as_micros(),
        &by.name,
        kind.as_str(),
        place.to_string(),
        &by.comment
    ];
    scope.execute(INSERT, row)?;
    scope.execute(FORGET, [])?;
    scope.noticed();
    Ok(())
}

/// What was done since then, the last first.
pub(super) fn list(connection: &Connection, since: Timestamp, most: u32) -> Result<Vec<Act>, StoreError> {
    let rows = connection.all(LIST, params![since.as_micros(), most])?;
    rows.iter().map(act).collect()
}

fn act(row: &Row) -> Result<Act, StoreError> {
    Ok(Act {
        kind: word(row, "kind", ActKind::parse)?,
        scope: parsed(row, "scope")?,
        by: row.get("by_whom")?,
        at: time(row, "at")?,
        comment: row.get("comment")?,
    })
}
