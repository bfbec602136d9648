//! The SQLite adapter: one file, one writer with group commit, a pool of readers. The only SQL of the gateway.

mod accept;
mod acts;
mod alarms;
mod alerts;
mod asked;
mod backlog;
mod blocked;
mod brakes;
mod breakers;
mod change;
mod claim;
mod comebacks;
mod connection;
mod due;
mod episodes;
mod facts;
mod finish;
mod gather;
mod give_back;
mod heartbeats;
mod held;
mod history;
mod hours;
mod insert;
mod jobs;
mod ladder;
mod ledger;
mod list_jobs;
mod log;
mod migrations;
mod open;
mod outbox;
mod overview;
mod page;
mod pauses;
mod prune;
mod prune_jobs;
mod readers;
mod resolve;
mod restraints;
mod rows;
mod search_index;
mod search_jobs;
mod sessions;
mod stats;
mod trend;
mod upkeep;
mod writer;

use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;

use crate::domain::attempt::{Attempt, AttemptKey, Ending, Start, TaskResult};
use crate::domain::decision::Decision;
use crate::domain::heartbeat::Pulse;
use crate::domain::ids::{Fingerprint, JobId, NotificationId};
use crate::domain::job::{Job, JobEvent, NewJob};
use crate::domain::notify::{Announcement, Message, Sending};
use crate::domain::policy::{Delivery, Ledger};
use crate::domain::timestamp::Timestamp;
use crate::domain::verification::Verification;
use crate::store::observe::Observer;
use crate::store::outbox::Outbox;
use crate::store::read::{
    AlertFilter, AlertStory, AlertSummary, Backlog, JobFilter, LogHead, NotificationDetail, NotificationSummary, Page,
    PageRequest, Statistics, StatusCount,
};
use crate::store::sqlite::gather::Gatherer;
use crate::store::sqlite::open::Opened;
use crate::store::sqlite::readers::Readers;
pub use crate::store::sqlite::upkeep::{Checkup, backup, check, count_old};
use crate::store::sqlite::writer::{Scope, Write, Writer};
use crate::store::upkeep::{Portion, Removed, Room, Upkeep};
use crate::store::{
    ActiveRun, Answer, By, Canceled, Claim, Comeback, Ended, HeartbeatMiss, Received, Store, StoreError, Withdrawal,
};

/// The gateway's state in one SQLite file.
#[derive(Debug)]
pub struct SqliteStore {
    writer: Writer,
    gatherer: Gatherer,
    readers: Readers,
}

impl SqliteStore {
    /// Opens the file, or makes it, and brings its schema up to date. Fails if another process has it open, if its
    /// schema is newer than this program, or if SQLite itself is too old to be trusted.
    pub async fn open(path: &Path, observer: Arc<dyn Observer>) -> Result<Self, StoreError> {
        Self::over(open::open(path).await?, observer)
    }

    fn over(opened: Opened, observer: Arc<dyn Observer>) -> Result<Self, StoreError> {
        let writer = Writer::start(opened.writer, opened.lock, observer)?;
        Ok(Self {
            gatherer: Gatherer::start(writer.commands()),
            writer,
            readers: opened.readers,
        })
    }

    /// Finishes what was begun and closes the file, so that it may be opened again at once.
    pub async fn close(self) {
        let Self {
            writer,
            gatherer,
            readers,
        } = self;
        readers.close().await;
        drop(gatherer);
        writer.close().await;
    }
}

/// Proves that the database takes writes.
struct Probe;

impl Write for Probe {
    type Output = ();

    fn apply(self, scope: &mut Scope<'_>) -> Result<(), StoreError> {
        scope.execute("UPDATE probe SET count = count + 1", []).map(drop)
    }
}

#[async_trait]
impl Store for SqliteStore {
    async fn accept(&self, received: Received, delivery: Delivery) -> Result<Vec<Decision>, StoreError> {
        self.gatherer.accept(accept::Post::new(received, delivery)?).await
    }

    async fn ledger(&self, delivery: &Delivery) -> Result<Ledger, StoreError> {
        let delivery = delivery.clone();
        self.readers
            .read(move |connection| ledger::read(connection, &[&delivery]))
            .await
    }

    async fn claim(&self, worker: &str, free: usize, now: Timestamp) -> Result<Vec<Claim>, StoreError> {
        self.writer
            .write(claim::ClaimJobs {
                worker: worker.to_owned(),
                free,
                now,
            })
            .await
    }

    async fn started(&self, key: AttemptKey, now: Timestamp, start: Option<Start>) -> Result<(), StoreError> {
        self.writer.write(claim::Started { key, now, start }).await
    }

    async fn release(&self, key: AttemptKey, why: &str, now: Timestamp) -> Result<(), StoreError> {
        self.writer
            .write(give_back::Release {
                key,
                why: why.to_owned(),
                now,
            })
            .await
    }

    async fn confirm(&self, key: AttemptKey, now: Timestamp) -> Result<bool, StoreError> {
        self.writer.write(give_back::Confirm { key, now }).await
    }

    async fn withdraw(&self, key: AttemptKey, withdrawal: Withdrawal, now: Timestamp) -> Result<(), StoreError> {
        self.writer.write(asked::Withdraw { key, withdrawal, now }).await
    }

    async fn append_log(&self, key: AttemptKey, offset: u64, bytes: Vec<u8>) -> Result<(), StoreError> {
        self.writer.write(log::AppendLog::new(key, offset, bytes)?).await
    }

    async fn seal_log(&self, key: AttemptKey, offset: u64, bytes: Vec<u8>) -> Result<(), StoreError> {
        self.writer.write(log::SealLog::new(key, offset, &bytes)?).await
    }

    async fn record_tasks(&self, key: AttemptKey, first: u64, results: Vec<TaskResult>) -> Result<(), StoreError> {
        self.writer.write(log::RecordTasks { key, first, results }).await
    }

    async fn finish(&self, key: AttemptKey, ending: Ending) -> Result<Job, StoreError> {
        self.writer.write(finish::Finish { key, ending }).await
    }

    async fn cancel(&self, job: JobId, by: By) -> Result<Canceled, StoreError> {
        self.writer.write(change::Cancel { job, by }).await
    }

    async fn answer(&self, job: JobId, answer: Answer, by: By) -> Result<(), StoreError> {
        self.writer.write(change::AnswerJob { job, answer, by }).await
    }

    async fn insert_job(&self, job: NewJob) -> Result<(), StoreError> {
        self.writer.write(insert::InsertJob(job)).await
    }

    async fn end_episodes(&self, ended: Vec<Ended>, now: Timestamp) -> Result<(), StoreError> {
        self.writer.write(asked::EndEpisodes { ended, now }).await
    }

    async fn asked_episodes(&self, since: Timestamp) -> Result<Vec<Comeback>, StoreError> {
        self.readers
            .read(move |connection| comebacks::asked_episodes(connection, since))
            .await
    }

    async fn come_back(&self, comeback: Comeback, now: Timestamp) -> Result<bool, StoreError> {
        self.writer.write(comebacks::ComeBack { comeback, now }).await
    }

    async fn heal(&self, job: JobId, message: &str, now: Timestamp) -> Result<(), StoreError> {
        self.writer
            .write(asked::Heal {
                job,
                message: message.to_owned(),
                now,
            })
            .await
    }

    async fn note(&self, job: JobId, event: JobEvent) -> Result<(), StoreError> {
        self.writer.write(asked::Note { job, event }).await
    }

    async fn settle_due(&self, now: Timestamp) -> Result<Vec<JobId>, StoreError> {
        self.writer.write(resolve::SettleDue(now)).await
    }

    async fn next_due(&self, now: Timestamp) -> Result<Option<Timestamp>, StoreError> {
        self.readers.read(move |connection| due::next(connection, now)).await
    }

    async fn probe(&self) -> Result<(), StoreError> {
        self.writer.write(Probe).await
    }

    async fn active_runs(&self) -> Result<Vec<ActiveRun>, StoreError> {
        self.readers.read(jobs::active_runs).await
    }

    async fn verifications(&self, now: Timestamp) -> Result<Vec<Verification>, StoreError> {
        self.readers
            .read(move |connection| asked::verifications(connection, now))
            .await
    }

    async fn find_job(&self, id: JobId) -> Result<Option<Job>, StoreError> {
        self.readers.read(move |connection| jobs::find(connection, id)).await
    }

    async fn list_jobs(&self, filter: &JobFilter, page: PageRequest) -> Result<Page<Job>, StoreError> {
        let filter = filter.clone();
        self.readers
            .read(move |connection| jobs::list(connection, &filter, &page))
            .await
    }

    async fn job_events(&self, id: JobId, page: PageRequest) -> Result<Page<JobEvent>, StoreError> {
        self.readers
            .read(move |connection| history::events(connection, id, &page))
            .await
    }

    async fn find_attempt(&self, id: JobId, number: Option<u32>) -> Result<Option<Attempt>, StoreError> {
        self.readers
            .read(move |connection| history::find_attempt(connection, id, number))
            .await
    }

    async fn tasks(&self, id: JobId, attempt: u32, page: PageRequest) -> Result<Page<TaskResult>, StoreError> {
        self.readers
            .read(move |connection| history::tasks(connection, id, attempt, &page))
            .await
    }

    async fn log_head(&self, id: JobId, attempt: u32) -> Result<LogHead, StoreError> {
        self.readers
            .read(move |connection| history::log_head(connection, id, attempt))
            .await
    }

    async fn read_log(&self, id: JobId, attempt: u32, offset: u64, most: usize) -> Result<Vec<u8>, StoreError> {
        self.readers
            .read(move |connection| history::read_log(connection, (id, attempt), offset, most))
            .await
    }

    async fn list_alerts(&self, filter: &AlertFilter, page: PageRequest) -> Result<Page<AlertSummary>, StoreError> {
        let filter = filter.clone();
        self.readers
            .read(move |connection| alerts::list(connection, &filter, &page))
            .await
    }

    async fn find_alert(&self, fingerprint: &Fingerprint) -> Result<Option<AlertStory>, StoreError> {
        let fingerprint = fingerprint.clone();
        self.readers
            .read(move |connection| alerts::find(connection, &fingerprint))
            .await
    }

    async fn list_notifications(&self, page: PageRequest) -> Result<Page<NotificationSummary>, StoreError> {
        self.readers
            .read(move |connection| alerts::list_notifications(connection, &page))
            .await
    }

    async fn find_notification(&self, id: NotificationId) -> Result<Option<NotificationDetail>, StoreError> {
        self.readers
            .read(move |connection| alerts::find_notification(connection, id))
            .await
    }

    async fn count_jobs(&self) -> Result<Vec<StatusCount>, StoreError> {
        self.readers.read(jobs::count_jobs).await
    }

    async fn backlog(&self, now: Timestamp) -> Result<Backlog, StoreError> {
        self.readers
            .read(move |connection| backlog::read(connection, now))
            .await
    }

    async fn statistics(&self, since: Timestamp) -> Result<Statistics, StoreError> {
        self.readers
            .read(move |connection| stats::statistics(connection, since))
            .await
    }

    async fn heartbeats(&self) -> Result<Vec<Pulse>, StoreError> {
        self.readers.read(heartbeats::list).await
    }

    async fn watch_heartbeats(&self, begin: Vec<String>, end: Vec<String>, now: Timestamp) -> Result<(), StoreError> {
        self.writer.write(heartbeats::Watch { begin, end, now }).await
    }

    async fn miss_heartbeats(&self, overdue: Vec<HeartbeatMiss>) -> Result<Vec<HeartbeatMiss>, StoreError> {
        self.writer.write(heartbeats::Miss(overdue)).await
    }
}

#[async_trait]
impl Outbox for SqliteStore {
    async fn next_message(&self, notifier: &str) -> Result<Option<Message>, StoreError> {
        let notifier = notifier.to_owned();
        self.readers
            .read(move |connection| outbox::next(connection, &notifier))
            .await
    }

    async fn tried(&self, message: &Message, sending: Sending, now: Timestamp) -> Result<(), StoreError> {
        let message = message.clone();
        self.writer.write(outbox::Tried { message, sending, now }).await
    }

    async fn awaited_notifiers(&self) -> Result<Vec<String>, StoreError> {
        self.readers.read(outbox::awaited).await
    }

    async fn drop_messages(&self, notifier: &str, why: &str, now: Timestamp) -> Result<Vec<String>, StoreError> {
        let (notifier, why) = (notifier.to_owned(), why.to_owned());
        self.writer.write(outbox::DropMessages { notifier, why, now }).await
    }

    async fn announce(&self, announcement: Announcement, now: Timestamp) -> Result<(), StoreError> {
        self.writer.write(outbox::Announce { announcement, now }).await
    }
}

#[async_trait]
impl Upkeep for SqliteStore {
    async fn prune(&self, portion: Portion) -> Result<Removed, StoreError> {
        self.writer.write(prune::Prune(portion)).await
    }

    async fn give_back(&self, bytes: u64) -> Result<u64, StoreError> {
        self.writer.write(upkeep::GiveBack(bytes)).await
    }

    async fn room(&self) -> Result<Room, StoreError> {
        self.readers.read(upkeep::room).await
    }

    async fn index_texts(&self) -> Result<bool, StoreError> {
        search_index::step(&self.writer, &self.readers).await
    }

    async fn keep_hours(&self, before: Timestamp) -> Result<Option<Timestamp>, StoreError> {
        hours::keep(&self.writer, &self.readers, before).await
    }
}

#[cfg(test)]
mod tests;
