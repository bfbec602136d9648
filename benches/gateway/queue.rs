//! Jobs that do nothing, claimed and finished as the worker pool does it, beside a bare loop over SQLite; and the same while
//! a hundred thousand others wait that may not start.

mod least;
mod waiting;

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use healgate::clock::{Clock, SystemClock};
use healgate::domain::attempt::{Ending, Outcome};
use healgate::domain::host_stats::Recap;
use healgate::store::sqlite::SqliteStore;
use healgate::store::{Claim, Store, StoreError};
use serde_json::{Value, json};
use tokio::runtime::Runtime;
use tokio::task::JoinSet;

use self::least::Least;
use self::waiting::Waiting;
use crate::client::Client;
use crate::failed::{Failed, failed};
use crate::folder::Folder;
use crate::load::{alert, new_numbers, notification};
use crate::report::{Row, Section, tenths, whole};
use crate::samples::Samples;
use crate::servers::Servers;

/// Counted rounds of each database.
const ROUNDS: usize = 5;

/// Jobs of a round.
const JOBS: u64 = 2_000;

/// Runs at once.
const SLOTS: usize = 16;

/// One database, and how many jobs a second went through it, one figure per round.
#[derive(Debug)]
struct Queue {
    waiting: Waiting,
    servers: Servers,
    rates: Samples,
    _folder: Folder,
}

pub(crate) async fn measure(root: &Path, runtime: &Runtime) -> Result<Section, Failed> {
    let mut queues = Vec::new();
    for waiting in Waiting::ALL {
        queues.push(Queue::fill(root, runtime, waiting).await?);
    }
    let mut least = Least::open(&queues[0].servers)?;
    let (mut bare, mut shared) = (Samples::default(), Samples::default());
    // Round 0 warms up and is not counted; then who begins changes each time.
    for number in 0..=ROUNDS {
        for index in 0..queues.len() {
            let index = (index + number) % queues.len();
            let queue = &mut queues[index];
            queue.add_jobs().await?;
            if index == 0 {
                least.take_over(&queue.servers)?;
            }
            let (took, per_commit) = queue.work(runtime).await?;
            let rate = per_second(took);
            let bare_rate = if index == 0 {
                Some(per_second(least.work(per_commit)?))
            } else {
                None
            };
            if number > 0 {
                queue.rates.push(rate);
                bare_rate.into_iter().for_each(|rate| bare.push(rate));
                shared.push(per_commit);
            }
        }
    }
    Ok(section(&queues, &bare, &shared))
}

fn per_second(took: Duration) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "a few thousand")]
    let jobs = JOBS as f64;
    jobs / took.as_secs_f64()
}

impl Queue {
    async fn fill(root: &Path, runtime: &Runtime, waiting: Waiting) -> Result<Self, Failed> {
        let folder = Folder::new(root)?;
        let queue = Self {
            waiting,
            servers: Servers::start(&folder, runtime).await?,
            rates: Samples::default(),
            _folder: folder,
        };
        queue.post(1).await?;
        waiting.fill(&queue.servers.database)?;
        queue.work(runtime).await?;
        Ok(queue)
    }

    async fn add_jobs(&self) -> Result<(), Failed> {
        self.post(JOBS).await
    }

    async fn post(&self, count: u64) -> Result<(), Failed> {
        let alerts: Vec<String> = new_numbers(count).map(|number| alert("Down", number, number)).collect();
        let mut client = Client::connect(self.servers.durable).await?;
        client.post(&notification("Down", &alerts)).await.map(drop)
    }

    /// Works off all jobs that may start. How long that took, and how many shared a commit.
    async fn work(&self, runtime: &Runtime) -> Result<(Duration, f64), Failed> {
        let store = Arc::<SqliteStore>::clone(&self.servers.store) as Arc<dyn Store>;
        let (before, _) = self.servers.writer.so_far();
        let work = runtime.spawn(async move {
            let began = Instant::now();
            work_off(&store).await.map(|done| (done, began.elapsed()))
        });
        let (done, took) = work
            .await
            .map_err(failed("work jobs off"))?
            .map_err(failed("work jobs off"))?;
        let (after, _) = self.servers.writer.so_far();
        #[expect(clippy::cast_precision_loss, reason = "a few thousand")]
        let done = done as f64;
        // Each takes part in two: its claim and its end.
        Ok((took, 2.0 * done / (after - before)))
    }
}

/// Claims as many as there are free slots, finishes each, and claims again as soon as one has ended. How many there were.
async fn work_off(store: &Arc<dyn Store>) -> Result<usize, StoreError> {
    let (mut runs, mut done) = (JoinSet::new(), 0);
    loop {
        let free = SLOTS - runs.len();
        for claim in store.claim("bench", free, SystemClock.now()).await? {
            runs.spawn(finish(Arc::clone(store), claim));
            done += 1;
        }
        let Some(ended) = runs.join_next().await else {
            return Ok(done);
        };
        let panicked = |error| StoreError::Database(format!("{error}"));
        ended.map_err(panicked)??;
        while let Some(ended) = runs.try_join_next() {
            ended.map_err(panicked)??;
        }
    }
}

async fn finish(store: Arc<dyn Store>, claim: Claim) -> Result<(), StoreError> {
    let ending = Ending {
        outcome: Outcome::Ok,
        message: None,
        exit_code: Some(0),
        recap: Recap::new(),
        finished_at: SystemClock.now(),
        log_bytes: 0,
        log_truncated: false,
        start: None,
    };
    store.finish(claim.key, ending).await.map(drop)
}

fn section(queues: &[Queue], bare: &Samples, shared: &Samples) -> Section {
    let mut rows = Vec::new();
    let none = &queues[0].rates;
    for queue in queues {
        let rate = Row::new(format!("{}: jobs/s", queue.waiting.name()), whole(queue.rates.median()));
        rows.push(match queue.waiting {
            Waiting::None => rate
                .beside(whole(bare.median()), none.ratios(bare).median())
                .bound("≥ 3000"),
            Waiting::Taken | Waiting::Scheduled | Waiting::Paused => rate
                .beside(whole(none.median()), queue.rates.ratios(none).median())
                .bound("ratio ≥ 0.9"),
        });
    }
    rows.push(Row::new("jobs per commit", tenths(shared.median())));
    let rates = queues
        .iter()
        .map(|queue| (queue.waiting.name().to_owned(), json!(queue.rates.all())));
    Section {
        key: "queue",
        title: "claim and end of jobs that do nothing",
        columns: ["gateway", "a bare loop; nothing waits"],
        rows,
        json: json!({
            "jobs": JOBS,
            "slots": SLOTS,
            "waiting": waiting::JOBS,
            "jobs_per_second": Value::Object(rates.collect()),
            "bare_jobs_per_second": bare.all(),
            "jobs_per_commit": shared.median(),
        }),
    }
}
