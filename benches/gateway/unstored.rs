//! The baseline of the webhooks: a store that decides about every alert, as the real one does, and keeps nothing.

use std::time::Duration;

use async_trait::async_trait;
use healgate::domain::act::Act;
use healgate::domain::attempt::{Attempt, AttemptKey, Ending, Start, TaskResult};
use healgate::domain::decision::Decision;
use healgate::domain::heartbeat::Pulse;
use healgate::domain::ids::{Fingerprint, JobId, NotificationId};
use healgate::domain::job::{Job, JobEvent, NewJob};
use healgate::domain::pause::{Breaker, Pause, Scope};
use healgate::domain::policy::{Delivery, Ledger, decide};
use healgate::domain::timestamp::Timestamp;
use healgate::domain::verification::Verification;
use healgate::store::read::{
    AlertFilter, AlertStory, AlertSummary, Backlog, JobFilter, LogHead, NotificationDetail, NotificationSummary, Page,
    PageRequest, Statistics, StatusCount,
};
use healgate::store::{
    ActiveRun, Answer, Brakes, By, Canceled, Claim, Comeback, Ended, Firing, HeartbeatMiss, HeldBack, HeldCount,
    Overview, Received, Session, SessionKey, Sessions, Store, StoreError, StormHeld, Stretch, Withdrawal,
};

/// Every alert is new to it.
#[derive(Debug)]
pub(crate) struct Unstored;

fn nothing_stored<T>() -> Result<T, StoreError> {
    Err(StoreError::Refused("nothing is stored here".to_owned()))
}

#[async_trait]
impl Brakes for Unstored {
    async fn decide_again(&self, _: Vec<(HeldBack, Delivery)>) -> Result<Vec<Decision>, StoreError> {
        nothing_stored()
    }

    async fn climb_again(&self, _: JobId, _: Timestamp) -> Result<(), StoreError> {
        nothing_stored()
    }

    async fn due_held(&self, _: Timestamp, _: usize) -> Result<Vec<HeldBack>, StoreError> {
        nothing_stored()
    }

    async fn next_held(&self) -> Result<Option<Timestamp>, StoreError> {
        nothing_stored()
    }

    async fn list_held(&self, _: PageRequest) -> Result<Page<HeldBack>, StoreError> {
        nothing_stored()
    }

    async fn release_held(&self, _: Option<String>, _: By) -> Result<u64, StoreError> {
        nothing_stored()
    }

    async fn reconsider_held(&self, _: Timestamp) -> Result<(), StoreError> {
        nothing_stored()
    }

    async fn pause(&self, _: Scope, _: By) -> Result<Pause, StoreError> {
        nothing_stored()
    }

    async fn resume(&self, _: Scope, _: By) -> Result<bool, StoreError> {
        nothing_stored()
    }

    async fn pauses(&self) -> Result<Vec<Pause>, StoreError> {
        nothing_stored()
    }

    async fn breakers(&self) -> Result<Vec<Breaker>, StoreError> {
        nothing_stored()
    }

    async fn open_breaker(&self, _: Scope, _: By) -> Result<(), StoreError> {
        nothing_stored()
    }

    async fn reset_breaker(&self, _: Scope, _: By) -> Result<bool, StoreError> {
        nothing_stored()
    }
}

#[async_trait]
impl Overview for Unstored {
    async fn firing(&self, _: u32) -> Result<Firing, StoreError> {
        nothing_stored()
    }

    async fn failures(&self, _: JobId, _: u32, _: u32) -> Result<Vec<TaskResult>, StoreError> {
        nothing_stored()
    }

    async fn acts(&self, _: Timestamp, _: u32) -> Result<Vec<Act>, StoreError> {
        nothing_stored()
    }

    async fn fires(&self, _: &Fingerprint) -> Result<Option<bool>, StoreError> {
        nothing_stored()
    }

    async fn trend(&self, _: Timestamp, _: Duration, _: Timestamp) -> Result<Vec<Stretch>, StoreError> {
        nothing_stored()
    }

    async fn storm_held(&self, _: u32) -> Result<StormHeld, StoreError> {
        nothing_stored()
    }

    async fn held_since(&self, _: Timestamp) -> Result<Vec<HeldCount>, StoreError> {
        nothing_stored()
    }

    async fn alert_story(&self, _: &Fingerprint, _: u32) -> Result<Option<AlertStory>, StoreError> {
        nothing_stored()
    }
}

#[async_trait]
impl Sessions for Unstored {
    async fn open_session(&self, _: SessionKey, _: Session) -> Result<(), StoreError> {
        nothing_stored()
    }

    async fn find_session(&self, _: SessionKey, _: Timestamp) -> Result<Option<Session>, StoreError> {
        nothing_stored()
    }

    async fn end_session(&self, _: SessionKey) -> Result<bool, StoreError> {
        nothing_stored()
    }
}

#[async_trait]
impl Store for Unstored {
    async fn accept(&self, _: Received, delivery: Delivery) -> Result<Vec<Decision>, StoreError> {
        Ok(decide(&delivery, &mut Ledger::default()).decisions)
    }

    async fn ledger(&self, _: &Delivery) -> Result<Ledger, StoreError> {
        nothing_stored()
    }

    async fn claim(&self, _: &str, _: usize, _: Timestamp) -> Result<Vec<Claim>, StoreError> {
        nothing_stored()
    }

    async fn started(&self, _: AttemptKey, _: Timestamp, _: Option<Start>) -> Result<(), StoreError> {
        nothing_stored()
    }

    async fn release(&self, _: AttemptKey, _: &str, _: Timestamp) -> Result<(), StoreError> {
        nothing_stored()
    }

    async fn confirm(&self, _: AttemptKey, _: Timestamp) -> Result<bool, StoreError> {
        nothing_stored()
    }

    async fn withdraw(&self, _: AttemptKey, _: Withdrawal, _: Timestamp) -> Result<(), StoreError> {
        nothing_stored()
    }

    async fn end_episodes(&self, _: Vec<Ended>, _: Timestamp) -> Result<(), StoreError> {
        nothing_stored()
    }

    async fn asked_episodes(&self, _: Timestamp) -> Result<Vec<Comeback>, StoreError> {
        nothing_stored()
    }

    async fn come_back(&self, _: Comeback, _: Timestamp) -> Result<bool, StoreError> {
        nothing_stored()
    }

    async fn heal(&self, _: JobId, _: &str, _: Timestamp) -> Result<(), StoreError> {
        nothing_stored()
    }

    async fn note(&self, _: JobId, _: JobEvent) -> Result<(), StoreError> {
        nothing_stored()
    }

    async fn verifications(&self, _: Timestamp) -> Result<Vec<Verification>, StoreError> {
        nothing_stored()
    }

    async fn append_log(&self, _: AttemptKey, _: u64, _: Vec<u8>) -> Result<(), StoreError> {
        nothing_stored()
    }

    async fn seal_log(&self, _: AttemptKey, _: u64, _: Vec<u8>) -> Result<(), StoreError> {
        nothing_stored()
    }

    async fn record_tasks(&self, _: AttemptKey, _: u64, _: Vec<TaskResult>) -> Result<(), StoreError> {
        nothing_stored()
    }

    async fn finish(&self, _: AttemptKey, _: Ending) -> Result<Job, StoreError> {
        nothing_stored()
    }

    async fn cancel(&self, _: JobId, _: By) -> Result<Canceled, StoreError> {
        nothing_stored()
    }

    async fn answer(&self, _: JobId, _: Answer, _: By) -> Result<(), StoreError> {
        nothing_stored()
    }

    async fn insert_job(&self, _: NewJob) -> Result<(), StoreError> {
        nothing_stored()
    }

    async fn settle_due(&self, _: Timestamp) -> Result<Vec<JobId>, StoreError> {
        nothing_stored()
    }

    async fn next_due(&self, _: Timestamp) -> Result<Option<Timestamp>, StoreError> {
        nothing_stored()
    }

    async fn probe(&self) -> Result<(), StoreError> {
        nothing_stored()
    }

    async fn active_runs(&self) -> Result<Vec<ActiveRun>, StoreError> {
        nothing_stored()
    }

    async fn find_job(&self, _: JobId) -> Result<Option<Job>, StoreError> {
        nothing_stored()
    }

    async fn list_jobs(&self, _: &JobFilter, _: PageRequest) -> Result<Page<Job>, StoreError> {
        nothing_stored()
    }

    async fn job_events(&self, _: JobId, _: PageRequest) -> Result<Page<JobEvent>, StoreError> {
        nothing_stored()
    }

    async fn find_attempt(&self, _: JobId, _: Option<u32>) -> Result<Option<Attempt>, StoreError> {
        nothing_stored()
    }

    async fn tasks(&self, _: JobId, _: u32, _: PageRequest) -> Result<Page<TaskResult>, StoreError> {
        nothing_stored()
    }

    async fn log_head(&self, _: JobId, _: u32) -> Result<LogHead, StoreError> {
        nothing_stored()
    }

    async fn read_log(&self, _: JobId, _: u32, _: u64, _: usize) -> Result<Vec<u8>, StoreError> {
        nothing_stored()
    }

    async fn list_alerts(&self, _: &AlertFilter, _: PageRequest) -> Result<Page<AlertSummary>, StoreError> {
        nothing_stored()
    }

    async fn find_alert(&self, _: &Fingerprint) -> Result<Option<AlertStory>, StoreError> {
        nothing_stored()
    }

    async fn list_notifications(&self, _: PageRequest) -> Result<Page<NotificationSummary>, StoreError> {
        nothing_stored()
    }

    async fn find_notification(&self, _: NotificationId) -> Result<Option<NotificationDetail>, StoreError> {
        nothing_stored()
    }

    async fn count_jobs(&self) -> Result<Vec<StatusCount>, StoreError> {
        nothing_stored()
    }

    async fn backlog(&self, _: Timestamp) -> Result<Backlog, StoreError> {
        nothing_stored()
    }

    async fn statistics(&self, _: Timestamp) -> Result<Statistics, StoreError> {
        nothing_stored()
    }

    async fn heartbeats(&self) -> Result<Vec<Pulse>, StoreError> {
        nothing_stored()
    }

    async fn watch_heartbeats(&self, _: Vec<String>, _: Vec<String>, _: Timestamp) -> Result<(), StoreError> {
        nothing_stored()
    }

    async fn miss_heartbeats(&self, _: Vec<HeartbeatMiss>) -> Result<Vec<HeartbeatMiss>, StoreError> {
        nothing_stored()
    }
}
