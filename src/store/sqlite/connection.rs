//! One connection to the file: statements that are prepared once, and rows whose columns are read by name.
//!
//! Every call blocks its thread, for as long as the disk takes: nothing here may run where futures are polled.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicI32, Ordering};

use rusqlite::config::DbConfig;
use rusqlite::hooks::Wal;
use rusqlite::types::{FromSql, Value, ValueRef};
use rusqlite::{Params, Statement};

use crate::store::StoreError;

/// Statements that stay prepared: more than a connection ever needs.
const PREPARED: usize = 160;

/// SQLite's primary result codes that mean: not now, or not on this disk.
/// Source: <https://www.sqlite.org/rescode.html>.
const NO_WRITES: [(i32, &str); 6] = [
    (5, "it is busy"),
    (8, "it is read-only"),
    (10, "the disk answers with errors"),
    (13, "the disk is full"),
    (14, "it cannot be opened"),
    (23, "access is denied"),
];

/// A connection.
pub(super) struct Connection(rusqlite::Connection);

/// How many pages the write-ahead log has, as the last commit of a connection left it.
#[derive(Clone, Debug, Default)]
pub(super) struct JournalPages(Arc<AtomicI32>);

impl JournalPages {
    pub(super) fn count(&self) -> i32 {
        self.0.load(Ordering::Relaxed)
    }

    /// They are in the database's file, as far as that can be.
    pub(super) fn reset(&self) {
        self.0.store(0, Ordering::Relaxed);
    }
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection").finish_non_exhaustive()
    }
}

/// A row, with its own copy of what it has.
#[derive(Debug)]
pub(super) struct Row {
    columns: Arc<[String]>,
    values: Vec<Value>,
}

impl Connection {
    /// Takes a connection into use. Plans depend on no value that is bound: a statement would be prepared anew with each.
    pub(super) fn new(connection: rusqlite::Connection) -> Result<Self, StoreError> {
        connection.set_prepared_statement_cache_capacity(PREPARED);
        connection
            .set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)
            .map_err(database)?;
        Ok(Self(connection))
    }

    /// Counts the pages of the write-ahead log from now on. SQLite does no checkpoints by itself any more.
    pub(super) fn count_journal(&mut self) -> Result<JournalPages, StoreError> {
        let pages = JournalPages::default();
        let counted = pages.clone();
        let hook = move |_: &mut Wal, pages: i32| {
            counted.0.store(pages, Ordering::Relaxed);
            Ok(())
        };
        self.0.wal_hook(Some(hook)).map_err(database)?;
        Ok(pages)
    }

    /// Runs a statement that answers with no rows. How many rows it changed.
    pub(super) fn execute(&self, sql: &str, params: impl Params) -> Result<u64, StoreError> {
        let mut statement = self.0.prepare_cached(sql).map_err(database)?;
        let changed = statement.execute(params).map_err(database)?;
        Ok(changed as u64)
    }

    /// All rows.
    pub(super) fn all(&self, sql: &str, params: impl Params) -> Result<Vec<Row>, StoreError> {
        self.first(usize::MAX, sql, params)
    }

    /// The same of a statement that may never be asked again: it is not kept, as each one that is takes tens of KiB.
    pub(super) fn all_once(&self, sql: &str, params: impl Params) -> Result<Vec<Row>, StoreError> {
        let mut statement = self.0.prepare(sql).map_err(database)?;
        rows(&mut statement, usize::MAX, params)
    }

    /// The first row, if there is one.
    pub(super) fn optional(&self, sql: &str, params: impl Params) -> Result<Option<Row>, StoreError> {
        self.first(1, sql, params).map(|mut rows| rows.pop())
    }

    /// Calls `tell` with each row, and keeps none.
    pub(super) fn each(
        &self,
        sql: &str,
        params: impl Params,
        mut tell: impl FnMut(&Row) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        let mut statement = self.0.prepare_cached(sql).map_err(database)?;
        let columns = names(&statement);
        let mut rows = statement.query(params).map_err(database)?;
        while let Some(row) = rows.next().map_err(database)? {
            tell(&Row::copy(&columns, row)?)?;
        }
        Ok(())
    }

    fn first(&self, most: usize, sql: &str, params: impl Params) -> Result<Vec<Row>, StoreError> {
        let mut statement = self.0.prepare_cached(sql).map_err(database)?;
        rows(&mut statement, most, params)
    }

    /// The row of a statement that always has one.
    pub(super) fn one(&self, sql: &str, params: impl Params) -> Result<Row, StoreError> {
        self.optional(sql, params)?
            .ok_or_else(|| database(rusqlite::Error::QueryReturnedNoRows))
    }

    /// Its only column.
    pub(super) fn value<T: FromSql>(&self, sql: &str, params: impl Params) -> Result<T, StoreError> {
        self.one(sql, params)?.at(0)
    }

    /// The same of a statement that may have no row.
    pub(super) fn optional_value<T: FromSql>(&self, sql: &str, params: impl Params) -> Result<Option<T>, StoreError> {
        self.optional(sql, params)?.map(|row| row.at(0)).transpose()
    }

    /// Runs statements that are not worth keeping.
    pub(super) fn batch(&self, sql: &str) -> Result<(), StoreError> {
        self.0.execute_batch(sql).map_err(database)
    }

    /// Closes the file.
    pub(super) fn close(self) -> Result<(), StoreError> {
        self.0.close().map_err(|(_, error)| database(error))
    }
}

fn rows(statement: &mut Statement<'_>, most: usize, params: impl Params) -> Result<Vec<Row>, StoreError> {
    let mut rows = statement.query(params).map_err(database)?;
    // Most statements that look for something to do find nothing, and need no names.
    let (mut found, mut columns) = (Vec::new(), None);
    while found.len() < most
        && let Some(row) = rows.next().map_err(database)?
    {
        let columns = columns.get_or_insert_with(|| names(row.as_ref()));
        found.push(Row::copy(columns, row)?);
    }
    Ok(found)
}

fn names(statement: &Statement<'_>) -> Arc<[String]> {
    statement.column_names().map(str::to_owned).collect()
}

impl Row {
    fn copy(columns: &Arc<[String]>, row: &rusqlite::Row<'_>) -> Result<Self, StoreError> {
        let values = (0..columns.len()).map(|column| row.get(column));
        Ok(Self {
            columns: Arc::clone(columns),
            values: values.collect::<Result<_, _>>().map_err(database)?,
        })
    }

    /// A column by its name.
    pub(super) fn get<T: FromSql>(&self, column: &str) -> Result<T, StoreError> {
        let number = self.columns.iter().position(|name| name == column);
        self.at(number.ok_or_else(|| unreadable(column, "there is none"))?)
    }

    fn at<T: FromSql>(&self, column: usize) -> Result<T, StoreError> {
        let value = self.values.get(column).map_or(ValueRef::Null, ValueRef::from);
        let name = self.columns.get(column).map_or("", String::as_str);
        T::column_result(value).map_err(|error| unreadable(name, error))
    }
}

/// Turns SQLite's error into ours.
#[expect(clippy::needless_pass_by_value, reason = "made for map_err")]
pub(super) fn database(error: rusqlite::Error) -> StoreError {
    let code = error.sqlite_error().map(|error| error.extended_code & 0xff);
    match NO_WRITES.iter().find(|(number, _)| Some(*number) == code) {
        Some((_, what)) => StoreError::Unavailable(format!("{what} ({error})")),
        None => StoreError::Database(error.to_string()),
    }
}

/// A column that does not have what it should.
pub(super) fn unreadable(column: &str, error: impl fmt::Display) -> StoreError {
    StoreError::Database(format!("failed to read the column {column}: {error}"))
}
