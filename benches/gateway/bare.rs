//! A bare loop over SQLite that writes the rows which durable posts made, in transactions of as many: the least that the
//! database costs. The same schema with its indexes, the same settings, statements that are prepared once, no decisions.

use std::ops::Range;
use std::path::Path;
use std::time::{Duration, Instant};

use rusqlite::types::Value;
use rusqlite::{Connection, OpenFlags, params_from_iter};

use crate::failed::{Failed, failed};

/// What one post with one new alert writes a row of, in an order that foreign keys allow, and how its decision names it.
const TABLES: [(&str, &str); 6] = [
    ("notifications", "id = decision.notification"),
    ("episodes", "id = decision.episode"),
    ("alerts", "fingerprint = decision.fingerprint"),
    ("jobs", "id = decision.job"),
    ("job_events", "job = decision.job"),
    ("decisions", "id = decision.id"),
];

/// As the store's writer has them.
pub(crate) const SETTINGS: &str = "
    PRAGMA synchronous = FULL;
    PRAGMA foreign_keys = ON;
    PRAGMA temp_store = MEMORY;
    PRAGMA journal_size_limit = 67108864;
    PRAGMA cache_size = -16000;";

/// The database that the loop fills.
#[derive(Debug)]
pub(crate) struct Bare {
    connection: Connection,
    /// Rows of each table that are there.
    written: usize,
}

/// Rows of each table, one for each post, in the order of [`TABLES`].
#[derive(Debug)]
pub(crate) struct Rows(Vec<Vec<Vec<Value>>>);

impl Bare {
    /// Over an empty database that has the schema.
    pub(crate) fn open(path: &Path) -> Result<Self, Failed> {
        let connection = Connection::open(path).map_err(failed("open the bare database"))?;
        connection
            .execute_batch(SETTINGS)
            .map_err(failed("set up the bare database"))?;
        Ok(Self { connection, written: 0 })
    }

    /// The rows of the durable server's database that are not here yet.
    pub(crate) fn missing(&self, durable: &Path) -> Result<Rows, Failed> {
        let source = Connection::open_with_flags(durable, OpenFlags::SQLITE_OPEN_READ_ONLY)
            .map_err(failed("open the durable database"))?;
        let read = |(table, of): &(&str, &str)| read(&source, (table, of), self.written);
        Ok(Rows(TABLES.iter().map(read).collect::<Result<_, _>>()?))
    }

    /// Writes rows, so many posts in a transaction. How long that took, and for how many posts.
    pub(crate) fn write(&mut self, rows: &Rows, posts_per_commit: usize) -> Result<(Duration, usize), Failed> {
        let Rows(tables) = rows;
        let posts = tables.iter().map(Vec::len).min().unwrap_or(0);
        let inserts = TABLES.iter().zip(tables).map(|((table, _), rows)| {
            let marks = vec!["?"; rows.first().map_or(0, Vec::len)].join(", ");
            format!("INSERT INTO {table} VALUES ({marks})")
        });
        let inserts: Vec<String> = inserts.collect();
        let began = Instant::now();
        for from in (0..posts).step_by(posts_per_commit.max(1)) {
            let until = posts.min(from + posts_per_commit.max(1));
            self.commit(&inserts, tables, from..until)
                .map_err(failed("write a batch"))?;
        }
        self.written += posts;
        Ok((began.elapsed(), posts))
    }

    fn commit(&mut self, inserts: &[String], tables: &[Vec<Vec<Value>>], posts: Range<usize>) -> rusqlite::Result<()> {
        let transaction = self
            .connection
            .transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
        for post in posts {
            for (insert, rows) in inserts.iter().zip(tables) {
                transaction
                    .prepare_cached(insert)?
                    .execute(params_from_iter(&rows[post]))?;
            }
        }
        transaction.commit()
    }
}

/// All columns, in the order in which they were written, from that row on.
fn read(source: &Connection, (table, of): (&str, &str), from: usize) -> Result<Vec<Vec<Value>>, Failed> {
    let select = format!(
        "SELECT {table}.* FROM decisions AS decision JOIN {table} ON {table}.{of} ORDER BY decision.id LIMIT -1 OFFSET {from}"
    );
    let rows = || -> rusqlite::Result<Vec<Vec<Value>>> {
        let mut statement = source.prepare(&select)?;
        let columns = statement.column_count();
        let rows = statement.query_map([], |row| (0..columns).map(|column| row.get(column)).collect())?;
        rows.collect()
    };
    rows().map_err(failed("read what the posts wrote"))
}
