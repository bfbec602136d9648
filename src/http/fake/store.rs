//! A store in memory: just enough of one for the HTTP side.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard};
use std::time::Duration;

use async_trait::async_trait;

use crate::domain::act::Act;
use crate::domain::attempt::{Attempt, AttemptKey, Ending, Start, TaskResult};
use crate::domain::decision::Decision;
use crate::domain::heartbeat::Pulse;
use crate::domain::ids::{Fingerprint, JobId, NotificationId};
use crate::domain::job::{Job, JobEvent, JobStatus, NewJob, Reason};
use crate::domain::pause::{Breaker, Pause, Scope};
use crate::domain::policy::{Delivery, Heal, Ledger, Restraints, decide};
use crate::domain::timestamp::Timestamp;
use crate::domain::verification::Verification;
use crate::store::read::{
    AlertFilter, AlertStory, AlertSummary, Backlog, JobFilter, LogHead, NotificationDetail, NotificationSummary, Page,
    PageRequest, Statistics, StatusCount,
};
use crate::store::{
    ActiveRun, Answer, Brakes, By, Canceled, Claim, Comeback, Ended, Firing, HeartbeatMiss, HeldBack, HeldCount,
    Overview, Received, Session, SessionKey, Sessions, Store, StoreError, StormHeld, Stretch, Withdrawal,
};

#[derive(Default)]
pub(crate) struct FakeStore {
    state: Mutex<State>,
    broken: AtomicBool,
}

#[derive(Default)]
pub(crate) struct State {
    pub(crate) jobs: Vec<Job>,
    pub(crate) logs: HashMap<(JobId, u32), (Vec<u8>, bool)>,
    pub(crate) notifications: Vec<NotificationDetail>,
    pub(crate) inserted: Vec<NewJob>,
    pub(crate) pauses: Vec<Pause>,
    pub(crate) breakers: Vec<Breaker>,
    pub(crate) heals: HashMap<(Fingerprint, String), Vec<Heal>>,
    pub(crate) posted_by: Vec<String>,
    pub(crate) changed_by: Vec<By>,
    pub(crate) filters: Vec<JobFilter>,
    pub(crate) story: Option<AlertStory>,
    pub(crate) statistics: Statistics,
    pub(crate) counted_since: Vec<Timestamp>,
    pub(crate) pulses: Vec<Pulse>,
    pub(crate) backlog: Backlog,
    pub(crate) firing: Firing,
    pub(crate) trend: Vec<Stretch>,
    pub(crate) events: Vec<JobEvent>,
    pub(crate) tasks: Vec<TaskResult>,
    pub(crate) held: Vec<HeldBack>,
    pub(crate) sessions: HashMap<SessionKey, Session>,
}

impl FakeStore {
    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    /// From now on the database is broken.
    pub(crate) fn break_it(&self) {
        self.broken.store(true, Ordering::SeqCst);
    }

    fn check(&self) -> Result<(), StoreError> {
        if self.broken.load(Ordering::SeqCst) {
            return Err(StoreError::Database("secret: /var/db is on fire".to_owned()));
        }
        Ok(())
    }

    fn position(&self, id: JobId) -> Result<usize, StoreError> {
        self.check()?;
        let at = self.state().jobs.iter().position(|job| job.id == id);
        at.ok_or_else(|| StoreError::NotFound {
            what: "job",
            id: id.to_string(),
        })
    }
}

fn stored(new: &NewJob) -> Job {
    Job {
        id: new.id,
        status: new.status,
        reason: None,
        playbook: new.playbook.clone(),
        route: new.route.clone(),
        target: new.target.clone(),
        trigger: new.trigger,
        triggered_by: new.triggered_by.clone(),
        rerun_of: new.rerun_of,
        follows: new.follows,
        episode: new.episode,
        alert: new.alert.clone(),
        group: new.group.clone(),
        parameters: new.parameters.clone(),
        by_hand: new.by_hand.clone(),
        changes: new.changes.clone(),
        checks: new.checks.clone(),
        attempts: Vec::new(),
        created_at: new.created_at,
        run_at: new.created_at,
        started_at: None,
        finished_at: None,
        healed_at: None,
        healed_late: false,
        cancel_requested: None,
    }
}

fn empty<T>() -> Page<T> {
    Page {
        items: Vec::new(),
        next: None,
    }
}

fn not_in_the_fake<T>() -> Result<T, StoreError> {
    Err(StoreError::Database("the fake cannot do that".to_owned()))
}

#[async_trait]
impl Brakes for FakeStore {
    async fn decide_again(&self, _: Vec<(HeldBack, Delivery)>) -> Result<Vec<Decision>, StoreError> {
        not_in_the_fake()
    }

    async fn climb_again(&self, _: JobId, _: Timestamp) -> Result<(), StoreError> {
        not_in_the_fake()
    }

    async fn due_held(&self, _: Timestamp, _: usize) -> Result<Vec<HeldBack>, StoreError> {
        not_in_the_fake()
    }

    async fn next_held(&self) -> Result<Option<Timestamp>, StoreError> {
        not_in_the_fake()
    }

    async fn list_held(&self, _: PageRequest) -> Result<Page<HeldBack>, StoreError> {
        self.check()?;
        Ok(Page {
            items: self.state().held.clone(),
            next: None,
        })
    }

    async fn release_held(&self, _: Option<String>, _: By) -> Result<u64, StoreError> {
        self.check().map(|()| 0)
    }

    async fn reconsider_held(&self, _: Timestamp) -> Result<(), StoreError> {
        not_in_the_fake()
    }

    async fn pause(&self, scope: Scope, by: By) -> Result<Pause, StoreError> {
        self.check()?;
        let pause = Pause {
            scope,
            comment: by.comment.clone(),
            by: by.name.clone(),
            since: by.at,
        };
        let mut state = self.state();
        state.pauses.push(pause.clone());
        state.changed_by.push(by);
        Ok(pause)
    }

    async fn resume(&self, scope: Scope, by: By) -> Result<bool, StoreError> {
        self.check()?;
        let mut state = self.state();
        state.changed_by.push(by);
        let before = state.pauses.len();
        state.pauses.retain(|pause| pause.scope != scope);
        Ok(state.pauses.len() < before)
    }

    async fn pauses(&self) -> Result<Vec<Pause>, StoreError> {
        self.check()?;
        Ok(self.state().pauses.clone())
    }

    async fn breakers(&self) -> Result<Vec<Breaker>, StoreError> {
        self.check()?;
        Ok(self.state().breakers.clone())
    }

    async fn open_breaker(&self, _: Scope, by: By) -> Result<(), StoreError> {
        self.check()?;
        self.state().changed_by.push(by);
        Ok(())
    }

    async fn reset_breaker(&self, _: Scope, by: By) -> Result<bool, StoreError> {
        self.check()?;
        self.state().changed_by.push(by);
        Ok(false)
    }
}

#[async_trait]
impl Overview for FakeStore {
    async fn firing(&self, most: u32) -> Result<Firing, StoreError> {
        self.check()?;
        let mut firing = self.state().firing.clone();
        firing.alerts.truncate(usize::try_from(most).unwrap());
        Ok(firing)
    }

    async fn failures(&self, _: JobId, _: u32, most: u32) -> Result<Vec<TaskResult>, StoreError> {
        let tasks = self.state().tasks.clone().into_iter();
        let failed = tasks.filter(TaskResult::has_failed);
        Ok(failed.take(usize::try_from(most).unwrap()).collect())
    }

    async fn acts(&self, _: Timestamp, _: u32) -> Result<Vec<Act>, StoreError> {
        self.check().map(|()| Vec::new())
    }

    async fn fires(&self, fingerprint: &Fingerprint) -> Result<Option<bool>, StoreError> {
        self.check()?;
        let firing = self.state().firing.clone();
        Ok(Some(
            firing.alerts.iter().any(|alert| alert.fingerprint == *fingerprint),
        ))
    }

    async fn trend(&self, _: Timestamp, _: Duration, _: Timestamp) -> Result<Vec<Stretch>, StoreError> {
        self.check().map(|()| self.state().trend.clone())
    }

    async fn storm_held(&self, _: u32) -> Result<StormHeld, StoreError> {
        self.check().map(|()| StormHeld::default())
    }

    async fn held_since(&self, _: Timestamp) -> Result<Vec<HeldCount>, StoreError> {
        self.check().map(|()| Vec::new())
    }

    async fn alert_story(&self, fingerprint: &Fingerprint, _: u32) -> Result<Option<AlertStory>, StoreError> {
        self.find_alert(fingerprint).await
    }
}

#[async_trait]
impl Sessions for FakeStore {
    async fn open_session(&self, key: SessionKey, session: Session) -> Result<(), StoreError> {
        self.check()?;
        self.state().sessions.insert(key, session);
        Ok(())
    }

    async fn find_session(&self, key: SessionKey, now: Timestamp) -> Result<Option<Session>, StoreError> {
        self.check()?;
        let session = self.state().sessions.get(&key).cloned();
        Ok(session.filter(|session| session.expires_at > now))
    }

    async fn end_session(&self, key: SessionKey) -> Result<bool, StoreError> {
        self.check()?;
        Ok(self.state().sessions.remove(&key).is_some())
    }
}

#[async_trait]
impl Store for FakeStore {
    async fn accept(&self, received: Received, delivery: Delivery) -> Result<Vec<Decision>, StoreError> {
        self.check()?;
        let verdict = decide(&delivery, &mut Ledger::default());
        let mut state = self.state();
        state.jobs.extend(verdict.jobs.iter().map(stored));
        state.posted_by.push(delivery.posted_by.clone());
        state.notifications.push(NotificationDetail {
            summary: NotificationSummary {
                id: delivery.id,
                received_at: delivery.received_at,
                sender: received.sender,
                posted_by: delivery.posted_by,
                receiver: delivery.group.receiver,
                group_key: delivery.group.group_key,
                alerts: u64::try_from(delivery.intakes.len()).unwrap(),
                truncated_alerts: received.truncated_alerts,
            },
            body: received.body,
            decisions: Vec::new(),
        });
        Ok(verdict.decisions)
    }

    async fn ledger(&self, _: &Delivery) -> Result<Ledger, StoreError> {
        self.check()?;
        let state = self.state();
        let restraints = Restraints {
            pauses: state.pauses.clone(),
            breakers: state.breakers.clone(),
            heals: state.heals.clone(),
            ..Restraints::default()
        };
        Ok(Ledger::new(HashMap::new(), restraints))
    }

    async fn claim(&self, _: &str, _: usize, _: Timestamp) -> Result<Vec<Claim>, StoreError> {
        not_in_the_fake()
    }

    async fn started(&self, _: AttemptKey, _: Timestamp, _: Option<Start>) -> Result<(), StoreError> {
        not_in_the_fake()
    }

    async fn release(&self, _: AttemptKey, _: &str, _: Timestamp) -> Result<(), StoreError> {
        not_in_the_fake()
    }

    async fn confirm(&self, _: AttemptKey, _: Timestamp) -> Result<bool, StoreError> {
        not_in_the_fake()
    }

    async fn withdraw(&self, _: AttemptKey, _: Withdrawal, _: Timestamp) -> Result<(), StoreError> {
        not_in_the_fake()
    }

    async fn append_log(&self, _: AttemptKey, _: u64, _: Vec<u8>) -> Result<(), StoreError> {
        not_in_the_fake()
    }

    async fn seal_log(&self, _: AttemptKey, _: u64, _: Vec<u8>) -> Result<(), StoreError> {
        not_in_the_fake()
    }

    async fn record_tasks(&self, _: AttemptKey, _: u64, _: Vec<TaskResult>) -> Result<(), StoreError> {
        not_in_the_fake()
    }

    async fn finish(&self, _: AttemptKey, _: Ending) -> Result<Job, StoreError> {
        not_in_the_fake()
    }

    async fn cancel(&self, job: JobId, by: By) -> Result<Canceled, StoreError> {
        let at = self.position(job)?;
        let mut state = self.state();
        if state.jobs[at].status.is_finished() {
            return Err(StoreError::Conflict("the job is finished".to_owned()));
        }
        state.jobs[at].status = JobStatus::Canceled;
        state.jobs[at].reason = Some(Reason::Canceled);
        state.changed_by.push(by);
        Ok(Canceled::Finished)
    }

    async fn answer(&self, job: JobId, answer: Answer, by: By) -> Result<(), StoreError> {
        let at = self.position(job)?;
        let mut state = self.state();
        if state.jobs[at].status != JobStatus::AwaitingApproval {
            return Err(StoreError::Conflict("the job does not wait for approval".to_owned()));
        }
        state.jobs[at].status = match answer {
            Answer::Approve => JobStatus::Queued,
            Answer::Reject => JobStatus::Canceled,
        };
        state.changed_by.push(by);
        Ok(())
    }

    async fn insert_job(&self, job: NewJob) -> Result<(), StoreError> {
        self.check()?;
        let mut state = self.state();
        state.jobs.push(stored(&job));
        state.inserted.push(job);
        Ok(())
    }

    async fn end_episodes(&self, _: Vec<Ended>, _: Timestamp) -> Result<(), StoreError> {
        not_in_the_fake()
    }

    async fn asked_episodes(&self, _: Timestamp) -> Result<Vec<Comeback>, StoreError> {
        not_in_the_fake()
    }

    async fn come_back(&self, _: Comeback, _: Timestamp) -> Result<bool, StoreError> {
        not_in_the_fake()
    }

    async fn heal(&self, _: JobId, _: &str, _: Timestamp) -> Result<(), StoreError> {
        not_in_the_fake()
    }

    async fn note(&self, _: JobId, _: JobEvent) -> Result<(), StoreError> {
        not_in_the_fake()
    }

    async fn verifications(&self, _: Timestamp) -> Result<Vec<Verification>, StoreError> {
        not_in_the_fake()
    }

    async fn settle_due(&self, _: Timestamp) -> Result<Vec<JobId>, StoreError> {
        not_in_the_fake()
    }

    async fn next_due(&self, _: Timestamp) -> Result<Option<Timestamp>, StoreError> {
        not_in_the_fake()
    }

    async fn probe(&self) -> Result<(), StoreError> {
        self.check()
    }

    async fn active_runs(&self) -> Result<Vec<ActiveRun>, StoreError> {
        not_in_the_fake()
    }

    async fn find_job(&self, id: JobId) -> Result<Option<Job>, StoreError> {
        self.check()?;
        Ok(self.state().jobs.iter().find(|job| job.id == id).cloned())
    }

    async fn list_jobs(&self, filter: &JobFilter, page: PageRequest) -> Result<Page<Job>, StoreError> {
        self.check()?;
        let mut state = self.state();
        state.filters.push(filter.clone());
        let begin = page.after.map_or(0, |after| after.parse::<usize>().unwrap());
        let end = begin + usize::try_from(page.limit).unwrap();
        let items: Vec<Job> = state.jobs.iter().take(end).skip(begin).cloned().collect();
        let next = (end < state.jobs.len()).then(|| end.to_string());
        Ok(Page { items, next })
    }

    async fn job_events(&self, _: JobId, _: PageRequest) -> Result<Page<JobEvent>, StoreError> {
        Ok(Page {
            items: self.state().events.clone(),
            next: None,
        })
    }

    async fn find_attempt(&self, id: JobId, number: Option<u32>) -> Result<Option<Attempt>, StoreError> {
        let at = self.position(id)?;
        let state = self.state();
        let attempts = &state.jobs[at].attempts;
        Ok(match number {
            Some(number) => attempts.iter().find(|attempt| attempt.number == number).cloned(),
            None => attempts.last().cloned(),
        })
    }

    async fn tasks(&self, _: JobId, _: u32, _: PageRequest) -> Result<Page<TaskResult>, StoreError> {
        Ok(Page {
            items: self.state().tasks.clone(),
            next: None,
        })
    }

    async fn log_head(&self, id: JobId, attempt: u32) -> Result<LogHead, StoreError> {
        self.check()?;
        let state = self.state();
        let (log, complete) = state.logs.get(&(id, attempt)).cloned().unwrap_or_default();
        Ok(LogHead {
            bytes: u64::try_from(log.len()).unwrap(),
            complete,
        })
    }

    async fn read_log(&self, id: JobId, attempt: u32, offset: u64, most: usize) -> Result<Vec<u8>, StoreError> {
        self.check()?;
        let state = self.state();
        let (log, _) = state.logs.get(&(id, attempt)).cloned().unwrap_or_default();
        let offset = usize::try_from(offset).unwrap();
        // Small pieces, so that readers meet many.
        Ok(log.into_iter().skip(offset).take(most.min(5)).collect())
    }

    async fn list_alerts(&self, _: &AlertFilter, _: PageRequest) -> Result<Page<AlertSummary>, StoreError> {
        self.check().map(|()| empty())
    }

    async fn find_alert(&self, wanted: &Fingerprint) -> Result<Option<AlertStory>, StoreError> {
        self.check()?;
        let state = self.state();
        Ok(state.story.clone().filter(|story| story.summary.fingerprint == *wanted))
    }

    async fn list_notifications(&self, _: PageRequest) -> Result<Page<NotificationSummary>, StoreError> {
        self.check().map(|()| empty())
    }

    async fn find_notification(&self, id: NotificationId) -> Result<Option<NotificationDetail>, StoreError> {
        self.check()?;
        let state = self.state();
        Ok(state.notifications.iter().find(|known| known.summary.id == id).cloned())
    }

    async fn count_jobs(&self) -> Result<Vec<StatusCount>, StoreError> {
        self.check().map(|()| Vec::new())
    }

    async fn backlog(&self, _: Timestamp) -> Result<Backlog, StoreError> {
        self.check().map(|()| self.state().backlog.clone())
    }

    async fn statistics(&self, since: Timestamp) -> Result<Statistics, StoreError> {
        self.check()?;
        let mut state = self.state();
        state.counted_since.push(since);
        Ok(state.statistics.clone())
    }

    async fn heartbeats(&self) -> Result<Vec<Pulse>, StoreError> {
        self.check().map(|()| self.state().pulses.clone())
    }

    async fn watch_heartbeats(&self, _: Vec<String>, _: Vec<String>, _: Timestamp) -> Result<(), StoreError> {
        not_in_the_fake()
    }

    async fn miss_heartbeats(&self, _: Vec<HeartbeatMiss>) -> Result<Vec<HeartbeatMiss>, StoreError> {
        not_in_the_fake()
    }
}
