//! What the gateway asks of its database. Adapters below hold the only SQL; nothing here knows one.

pub mod brakes;
pub mod observe;
pub mod outbox;
pub mod overview;
pub mod read;
pub mod sessions;
pub mod sqlite;
pub mod upkeep;

use async_trait::async_trait;

pub use brakes::{Brakes, HeldBack};
pub use overview::{Firing, FiringAlert, HeldCount, Overview, StormHeld, Stretch};
pub use sessions::{Session, SessionKey, Sessions};

use crate::domain::alert::Alert;
use crate::domain::attempt::{Attempt, AttemptKey, Ending, Start, TaskResult};
use crate::domain::decision::Decision;
use crate::domain::heartbeat::Pulse;
use crate::domain::ids::{EpisodeId, Fingerprint, JobId, NotificationId};
use crate::domain::job::{Job, JobEvent, NewJob, Reason};
use crate::domain::policy::{Delivery, Ledger};
use crate::domain::timestamp::Timestamp;
use crate::domain::verification::Verification;
use crate::store::read::{
    AlertFilter, AlertStory, AlertSummary, Backlog, JobFilter, LogHead, NotificationDetail, NotificationSummary, Page,
    PageRequest, Statistics, StatusCount,
};

/// Bytes of a whole block of a log, which is stored compressed.
pub const LOG_BLOCK: usize = 256 * 1024;

/// Why the store could not do what was asked.
#[derive(Clone, Debug, thiserror::Error)]
pub enum StoreError {
    /// The database cannot take a write now: the disk is full or broken, or the gateway is overloaded or stopping.
    #[error("the database does not take writes: {0}")]
    Unavailable(String),
    #[error("no such {what}: {id}")]
    NotFound { what: &'static str, id: String },
    /// The thing is in a state that does not allow it.
    #[error("{0}")]
    Conflict(String),
    /// A newer claim owns the job: whoever still works on it must stop.
    #[error("job {job} attempt {number} belongs to a newer claim", job = .0.job, number = .0.number)]
    LostClaim(AttemptKey),
    /// A cursor that no list of this store has made.
    #[error("{0:?} is not a cursor of this list")]
    BadCursor(String),
    #[error("the database answered: {0}")]
    Database(String),
    /// The database file is not one that this program may open.
    #[error("{0}")]
    Refused(String),
}

/// A notification as it came in, to be kept beside what was decided about it.
#[derive(Clone, Debug)]
pub struct Received {
    pub sender: crate::domain::alert::Sender,
    /// The request's body, byte for byte.
    pub body: Vec<u8>,
    pub truncated_alerts: u64,
}

/// A job that a worker may now run.
#[derive(Clone, Debug)]
pub struct Claim {
    pub key: AttemptKey,
    pub job: Job,
}

/// A job that was running when the gateway was last stopped.
#[derive(Clone, Debug)]
pub struct ActiveRun {
    pub key: AttemptKey,
    pub job: Job,
    /// How much of its log is stored.
    pub log_bytes: u64,
    /// How many task results are stored.
    pub tasks: u64,
}

/// A heartbeat that stayed away.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeartbeatMiss {
    pub route: String,
    /// `None`: it never came.
    pub last_received_at: Option<Timestamp>,
    /// When it should have come at the latest.
    pub missed_since: Timestamp,
    /// The notifiers that hear of it.
    pub tell: Vec<String>,
}

/// That a claimed job is not to run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Withdrawal {
    /// `PreconditionFailed` makes the job `failed`; others make it `canceled`.
    pub reason: Reason,
    /// For the job's history.
    pub message: String,
}

/// An episode that is over, as was found out by asking.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ended {
    pub episode: EpisodeId,
    /// When the alert ended, as far as that is known.
    pub at: Timestamp,
}

/// An alert that was found resolved by asking, in that episode, as it fires again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Comeback {
    pub episode: EpisodeId,
    pub alert: Alert,
}

/// What a cancel did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Canceled {
    /// The job is finished now.
    Finished,
    /// It runs, and its worker was asked to stop it.
    Asked,
}

/// A person's answer to a job that waits for approval.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    Approve,
    Reject,
}

/// Who changes something, when, and what they say about it.
#[derive(Clone, Debug)]
pub struct By {
    pub name: String,
    pub at: Timestamp,
    pub comment: Option<String>,
}

/// The durable state of the gateway. Every write has been committed to disk when its call returns.
#[async_trait]
pub trait Store: Brakes + Overview + Sessions {
    /// Decides about a notification with the facts of the moment and stores it with all that it causes, or nothing.
    async fn accept(&self, received: Received, delivery: Delivery) -> Result<Vec<Decision>, StoreError>;

    /// The facts that `accept` would decide with, for explaining.
    async fn ledger(&self, delivery: &Delivery) -> Result<Ledger, StoreError>;

    /// Takes up to `free` jobs whose target is free, oldest first, for `worker`. Each starts a new attempt.
    async fn claim(&self, worker: &str, free: usize, now: Timestamp) -> Result<Vec<Claim>, StoreError>;

    /// The attempt's run is under way. `start` is nothing where its host has not told yet.
    async fn started(&self, key: AttemptKey, now: Timestamp, start: Option<Start>) -> Result<(), StoreError>;

    /// Whether a claimed job that was asked about may still start. One that was paused meanwhile is given back; one that was
    /// asked to stop, or whose alert resolved, ends.
    async fn confirm(&self, key: AttemptKey, now: Timestamp) -> Result<bool, StoreError>;

    /// Gives back a claim whose run never began and ends the job, in one step. A job that was asked to stop, or whose alert
    /// resolved meanwhile, ends for that reason.
    async fn withdraw(&self, key: AttemptKey, withdrawal: Withdrawal, now: Timestamp) -> Result<(), StoreError>;

    /// Gives back a claim whose run provably never began. A job that was asked to stop meanwhile ends `canceled`.
    async fn release(&self, key: AttemptKey, why: &str, now: Timestamp) -> Result<(), StoreError>;

    /// Stores log bytes that begin at `offset`, which must be the end of what is stored: otherwise `LostClaim`. Whole
    /// blocks of 256 KiB, counted from there, are stored as `seal_log` does it.
    async fn append_log(&self, key: AttemptKey, offset: u64, bytes: Vec<u8>) -> Result<(), StoreError>;

    /// Replaces the stored chunks that begin at `offset` and cover exactly `bytes` by one compressed chunk; `Conflict`
    /// where no chunks do.
    async fn seal_log(&self, key: AttemptKey, offset: u64, bytes: Vec<u8>) -> Result<(), StoreError>;

    /// Stores task results; the first one is number `first` of the attempt, counted from 0.
    async fn record_tasks(&self, key: AttemptKey, first: u64, results: Vec<TaskResult>) -> Result<(), StoreError>;

    /// Records how the attempt ended and moves the job on. Log and tasks must be complete.
    async fn finish(&self, key: AttemptKey, ending: Ending) -> Result<Job, StoreError>;

    /// Stops a job: a waiting or verifying one at once, a running one by asking its worker.
    async fn cancel(&self, job: JobId, by: By) -> Result<Canceled, StoreError>;

    /// Approves or rejects a job that waits for it.
    async fn answer(&self, job: JobId, answer: Answer, by: By) -> Result<(), StoreError>;

    /// Stores a job that a person asked for. One about an alert joins the alert's open episode, if there is one: that is
    /// what its run may heal.
    async fn insert_job(&self, job: NewJob) -> Result<(), StoreError>;

    /// Closes those of these episodes that are open, as a `resolved` does, because Alertmanager was asked.
    async fn end_episodes(&self, ended: Vec<Ended>, now: Timestamp) -> Result<(), StoreError>;

    /// The alerts whose last episode was closed since then because Alertmanager was asked, as if they fired again.
    async fn asked_episodes(&self, since: Timestamp) -> Result<Vec<Comeback>, StoreError>;

    /// Opens a new episode of an alert that fires again, and has the routes that decided about it before decide again. Nothing
    /// happens, and the answer is no, where the alert was heard of meanwhile.
    async fn come_back(&self, comeback: Comeback, now: Timestamp) -> Result<bool, StoreError>;

    /// Ends a verification whose query became true; nothing happens to a job that does not wait for one any more.
    async fn heal(&self, job: JobId, message: &str, now: Timestamp) -> Result<(), StoreError>;

    /// Adds to a job's history.
    async fn note(&self, job: JobId, event: JobEvent) -> Result<(), StoreError>;

    /// Ends what has waited too long: expired jobs, verifications whose time is over. Answers with the jobs changed.
    async fn settle_due(&self, now: Timestamp) -> Result<Vec<JobId>, StoreError>;

    /// When `settle_due` has something to do next, or a job may begin its next attempt that may not do so `now`. One
    /// that may begin already waits for a slot, not for a time.
    async fn next_due(&self, now: Timestamp) -> Result<Option<Timestamp>, StoreError>;

    /// Proves that the database takes writes.
    async fn probe(&self) -> Result<(), StoreError>;

    /// Jobs that are `running`, with what is stored of their last attempt.
    async fn active_runs(&self) -> Result<Vec<ActiveRun>, StoreError>;

    /// Jobs that are `verifying` and whose time is not over.
    async fn verifications(&self, now: Timestamp) -> Result<Vec<Verification>, StoreError>;

    async fn find_job(&self, id: JobId) -> Result<Option<Job>, StoreError>;
    async fn list_jobs(&self, filter: &JobFilter, page: PageRequest) -> Result<Page<Job>, StoreError>;
    async fn job_events(&self, id: JobId, page: PageRequest) -> Result<Page<JobEvent>, StoreError>;
    /// The attempt with that number, or the last one.
    async fn find_attempt(&self, id: JobId, number: Option<u32>) -> Result<Option<Attempt>, StoreError>;
    async fn tasks(&self, id: JobId, attempt: u32, page: PageRequest) -> Result<Page<TaskResult>, StoreError>;
    /// How long the attempt's log is, and whether it is complete.
    async fn log_head(&self, id: JobId, attempt: u32) -> Result<LogHead, StoreError>;
    /// Log bytes from `offset` on, at most `most`, perhaps fewer; empty only when there are none yet.
    async fn read_log(&self, id: JobId, attempt: u32, offset: u64, most: usize) -> Result<Vec<u8>, StoreError>;
    async fn list_alerts(&self, filter: &AlertFilter, page: PageRequest) -> Result<Page<AlertSummary>, StoreError>;
    async fn find_alert(&self, fingerprint: &Fingerprint) -> Result<Option<AlertStory>, StoreError>;
    async fn list_notifications(&self, page: PageRequest) -> Result<Page<NotificationSummary>, StoreError>;
    async fn find_notification(&self, id: NotificationId) -> Result<Option<NotificationDetail>, StoreError>;
    async fn count_jobs(&self) -> Result<Vec<StatusCount>, StoreError>;
    /// The jobs that might run now and do not, and the messages that wait.
    async fn backlog(&self, now: Timestamp) -> Result<Backlog, StoreError>;
    /// What became of the jobs created, and of the episodes opened, since then.
    async fn statistics(&self, since: Timestamp) -> Result<Statistics, StoreError>;

    /// What is known of every heartbeat that is waited for, by route.
    async fn heartbeats(&self) -> Result<Vec<Pulse>, StoreError>;
    /// Begins to wait for the heartbeats of some routes, and ends to wait for those of others.
    async fn watch_heartbeats(&self, begin: Vec<String>, end: Vec<String>, now: Timestamp) -> Result<(), StoreError>;
    /// Notes heartbeats that are overdue: those that still have come last when it says here, and are not missed yet.
    /// Answers with these.
    async fn miss_heartbeats(&self, overdue: Vec<HeartbeatMiss>) -> Result<Vec<HeartbeatMiss>, StoreError>;
}
