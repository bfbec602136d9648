//! A bare loop over SQLite that claims and finishes the same jobs, in transactions of as many: the least that this costs the
//! database. The same schema and settings, statements that are prepared once, nothing asked and nothing decided.

use std::time::{Duration, Instant};

use rusqlite::{Connection, Transaction, TransactionBehavior, params};

use crate::bare;
use crate::failed::{Failed, failed};
use crate::servers::Servers;

const CLAIM: &str = "
    UPDATE jobs
    SET    status = 'running', fence = fence + 1, attempts = attempts + 1, started_at = ?2
    WHERE  id = ?1";

const BEGIN: &str = "INSERT INTO attempts (job, number, fence, started_at, worker) VALUES (?1, 1, 1, ?2, 'bench')";

const FINISH: &str = "
    UPDATE jobs
    SET    status = 'succeeded', reason = 'unverified', finished_at = ?2, front = 0
    WHERE  id = ?1";

/// The jobs that the store has and this does not, with what they refer to.
const TAKE_OVER: &str = "
    INSERT INTO episodes SELECT * FROM durable.episodes WHERE id NOT IN (SELECT id FROM episodes);
    INSERT INTO jobs SELECT * FROM durable.jobs WHERE id NOT IN (SELECT id FROM jobs) AND status = 'queued';";

/// A database that the loop alone has open.
#[derive(Debug)]
pub(super) struct Least(Connection);

impl Least {
    pub(super) fn open(servers: &Servers) -> Result<Self, Failed> {
        let open = || {
            let connection = Connection::open(&servers.spare)?;
            connection.execute_batch(bare::SETTINGS)?;
            connection.execute("ATTACH ?1 AS durable", [servers.database.display().to_string()])?;
            Ok::<_, rusqlite::Error>(connection)
        };
        open().map(Self).map_err(failed("open the bare database"))
    }

    /// Copies the jobs that wait.
    pub(super) fn take_over(&self, servers: &Servers) -> Result<(), Failed> {
        let doing = format!("copy the jobs of {}", servers.database.display());
        self.0.execute_batch(TAKE_OVER).map_err(failed(doing))
    }

    /// Claims and finishes all that wait, so many in a transaction.
    pub(super) fn work(&mut self, jobs_per_commit: f64) -> Result<Duration, Failed> {
        self.work_off(jobs_per_commit).map_err(failed("work jobs off"))
    }

    #[expect(clippy::cast_sign_loss, clippy::cast_possible_truncation, reason = "a few thousand")]
    fn work_off(&mut self, jobs_per_commit: f64) -> rusqlite::Result<Duration> {
        let jobs: Vec<String> = {
            let mut waiting = self
                .0
                .prepare("SELECT id FROM main.jobs WHERE status = 'queued' ORDER BY id")?;
            waiting.query_map([], |row| row.get(0))?.collect::<Result<_, _>>()?
        };
        let began = Instant::now();
        for together in jobs.chunks((jobs_per_commit.round() as usize).max(1)) {
            self.commit(together, |transaction, job, at| {
                transaction.prepare_cached(CLAIM)?.execute(params![job, at])?;
                transaction.prepare_cached(BEGIN)?.execute(params![job, at]).map(drop)
            })?;
            self.commit(together, |transaction, job, at| {
                transaction.prepare_cached(FINISH)?.execute(params![job, at]).map(drop)
            })?;
        }
        Ok(began.elapsed())
    }

    fn commit(
        &mut self,
        jobs: &[String],
        each: impl Fn(&Transaction<'_>, &str, i64) -> rusqlite::Result<()>,
    ) -> rusqlite::Result<()> {
        let transaction = self.0.transaction_with_behavior(TransactionBehavior::Immediate)?;
        for (job, at) in jobs.iter().zip(1..) {
            each(&transaction, job, at)?;
        }
        transaction.commit()
    }
}
