//! What the table of jobs must look like after each command, told in plain structures. Knows no SQL and asks the store
//! nothing: what it cannot know, such as new ids, it is told.

mod alerts;
mod work;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::Duration;

use healgate::domain::attempt::{AttemptKey, Outcome};
use healgate::domain::decision::DecisionKind;
use healgate::domain::ids::{EpisodeId, JobId};
use healgate::domain::job::{JobStatus, Reason, Trigger};
use healgate::domain::pause::Scope;
use healgate::domain::timestamp::Timestamp;

/// What a route of the story asks for. Its jobs all run on the target of their alert.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Terms {
    pub(super) route: &'static str,
    pub(super) asks: bool,
    pub(super) waits: Duration,
    pub(super) runs_within: Option<Duration>,
    pub(super) again_after: Option<Duration>,
    pub(super) resolved_within: Option<Duration>,
    /// How many attempts an end with failed hosts allows.
    pub(super) attempts: usize,
    pub(super) stops_when_resolved: bool,
}

/// How long after a `resolved` a `firing` of the same stretch is late.
const LATE: Duration = Duration::from_secs(300);

/// What readers see of a job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Row {
    pub(super) status: JobStatus,
    pub(super) reason: Option<Reason>,
    pub(super) route: Option<String>,
    pub(super) target: String,
    pub(super) trigger: Trigger,
    pub(super) created_at: Timestamp,
    pub(super) run_at: Timestamp,
    pub(super) started_at: Option<Timestamp>,
    pub(super) finished_at: Option<Timestamp>,
    pub(super) healed_at: Option<Timestamp>,
    pub(super) healed_late: bool,
    /// It was asked to stop, and will end for that reason.
    pub(super) stop: Option<Reason>,
    /// How its attempts ended, and when.
    pub(super) attempts: Vec<Option<(Outcome, Timestamp)>>,
}

/// A job, with what readers do not see.
#[derive(Clone, Debug)]
struct Entry {
    row: Row,
    /// What its route asked for when it was made.
    terms: Terms,
    episode: Option<(usize, EpisodeId)>,
    expires_at: Timestamp,
    verify_until: Option<Timestamp>,
    /// First in its target's line.
    front: bool,
    blocked: Option<Cause>,
    superseded: bool,
    /// The claim that owns it, and what is stored of its run.
    owner: Option<(Claimed, Stored)>,
}

/// What keeps a job from starting, in the order in which claims look at causes.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Cause {
    BreakerOfRoute(&'static str),
    PauseOfTarget(String),
}

/// What is stored of a run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Stored {
    pub(super) log_bytes: u64,
    pub(super) tasks: u64,
}

impl Entry {
    fn by_alert(&self) -> bool {
        self.row.trigger == Trigger::Alert
    }

    fn waits(&self) -> bool {
        matches!(self.row.status, JobStatus::Queued | JobStatus::AwaitingApproval)
    }
}

/// The last stretch of an alert.
#[derive(Clone, Copy, Debug)]
struct Stretch {
    id: EpisodeId,
    starts_at: Timestamp,
    last_received_at: Timestamp,
    /// When it ended, and when that was learned.
    closed: Option<(Timestamp, Timestamp)>,
    /// That was learned by asking.
    asked: bool,
}

/// A claim that a worker once got. Known by its number: whether its key still opens anything is the store's to say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Claimed {
    pub(super) number: usize,
    pub(super) key: AttemptKey,
}

/// What a report says.
#[derive(Clone, Copy, Debug)]
pub(super) struct Said {
    pub(super) alert: usize,
    pub(super) starts_at: Timestamp,
    /// It has resolved.
    pub(super) ends_at: Option<Timestamp>,
}

/// An alert that is held back.
#[derive(Clone, Debug)]
struct Held {
    terms: Terms,
    alert: usize,
    target: String,
    /// A pause or a breaker; nothing where it is only decided again.
    by: Option<DecisionKind>,
    due_at: Option<Timestamp>,
}

/// What the store must answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Answered {
    Done,
    LostClaim,
    Conflict,
}

use Answered::{Conflict, Done};

/// The table.
#[derive(Clone, Debug, Default)]
pub(super) struct Table {
    jobs: BTreeMap<JobId, Entry>,
    alerts: HashMap<usize, Stretch>,
    paused: BTreeSet<Scope>,
    /// Routes whose breaker a person has opened.
    broken: BTreeSet<&'static str>,
    held: BTreeMap<(EpisodeId, &'static str), Held>,
    /// When each stretch ended that is over.
    ended: HashMap<EpisodeId, Timestamp>,
    /// Stretches about which something was decided.
    decided: BTreeSet<EpisodeId>,
}

/// What a decision makes of an alert: the kind, and the job that it names.
pub(super) type Decided = (DecisionKind, Option<JobId>);

impl Table {
    pub(super) fn rows(&self) -> BTreeMap<JobId, Row> {
        self.jobs.iter().map(|(id, job)| (*id, job.row.clone())).collect()
    }

    /// The claims that own a job now.
    pub(super) fn owners(&self) -> Vec<Claimed> {
        let owners = self.jobs.values().filter_map(|job| job.owner);
        owners.map(|(claimed, _)| claimed).collect()
    }

    /// What is stored of that claim's run.
    pub(super) fn stored(&self, claimed: Claimed) -> Stored {
        let owner = self.jobs[&claimed.key.job].owner;
        let owner = owner.filter(|(owner, _)| *owner == claimed);
        owner.map_or_else(Stored::default, |(_, stored)| stored)
    }

    /// Jobs that stand behind another one in the line of their target.
    pub(super) fn behind(&self) -> Vec<JobId> {
        let has_front = |target: &str| self.jobs.values().any(|job| job.front && job.row.target == target);
        let waits = |job: &Entry| job.row.status == JobStatus::Queued && !job.front && job.blocked.is_none();
        self.find(|job| waits(job) && has_front(&job.row.target))
    }

    /// Jobs in that state, the oldest name first.
    pub(super) fn in_state(&self, concerned: impl Fn(JobStatus) -> bool) -> Vec<JobId> {
        let concerned = self.jobs.iter().filter(|(_, job)| concerned(job.row.status));
        concerned.map(|(id, _)| *id).collect()
    }

    pub(super) fn verifications(&self, now: Timestamp) -> BTreeMap<JobId, Timestamp> {
        let verifying = self
            .jobs
            .iter()
            .filter(|(_, job)| job.row.status == JobStatus::Verifying);
        let until = verifying.filter_map(|(id, job)| Some((*id, job.verify_until?)));
        until.filter(|(_, until)| *until > now).collect()
    }

    pub(super) fn next_due(&self, now: Timestamp) -> Option<Timestamp> {
        let due = self.jobs.values().filter_map(|job| match job.row.status {
            JobStatus::Verifying => job.verify_until,
            _ if job.waits() && job.row.attempts.is_empty() => Some(job.expires_at),
            JobStatus::Queued if job.front => Some(job.row.run_at).filter(|at| *at > now),
            _ => None,
        });
        due.min()
    }

    pub(super) fn held(&self) -> Vec<(EpisodeId, &'static str, Option<Timestamp>)> {
        let held = self.held.iter();
        held.map(|((episode, route), held)| (*episode, *route, held.due_at))
            .collect()
    }

    /// The open stretch of an alert.
    pub(super) fn open(&self, alert: usize) -> Option<EpisodeId> {
        let last = self.alerts.get(&alert)?;
        last.closed.is_none().then_some(last.id)
    }

    fn is_paused(&self, target: &str) -> bool {
        let covers = |scope: &Scope| match scope {
            Scope::All => true,
            Scope::Target(of) => of.as_str() == target,
            Scope::Route(_) => false,
        };
        self.paused.iter().any(covers)
    }

    pub(super) fn pause(&mut self, scope: Scope) {
        self.paused.insert(scope);
    }

    pub(super) fn resume(&mut self, scope: &Scope, now: Timestamp) {
        self.paused.remove(scope);
        self.wake(DecisionKind::Paused, now);
    }

    /// What that holds back is decided again.
    fn wake(&mut self, by: DecisionKind, now: Timestamp) {
        for held in self.held.values_mut().filter(|held| held.by == Some(by)) {
            held.due_at = Some(now);
        }
    }

    pub(super) fn open_breaker(&mut self, route: &'static str, now: Timestamp) {
        self.broken.insert(route);
        self.wake(DecisionKind::Tripped, now);
    }

    /// Whether it was open.
    pub(super) fn reset_breaker(&mut self, route: &'static str, now: Timestamp) -> bool {
        self.wake(DecisionKind::Tripped, now);
        self.broken.remove(route)
    }

    pub(super) fn broken(&self) -> &BTreeSet<&'static str> {
        &self.broken
    }

    /// What keeps an alert from making a job.
    fn stopped(&self, target: &str, route: &str) -> Option<DecisionKind> {
        let tripped = || self.broken.contains(route).then_some(DecisionKind::Tripped);
        let paused = self.is_paused(target).then_some(DecisionKind::Paused);
        paused.or_else(tripped)
    }

    /// What keeps a job from starting. Breakers let pass what a person has asked for.
    fn cause(&self, job: &Entry) -> Option<Cause> {
        let target = &job.row.target;
        let paused = self.is_paused(target).then(|| Cause::PauseOfTarget(target.clone()));
        let is_broken = job.by_alert() && self.broken.contains(job.terms.route);
        paused.or_else(|| is_broken.then_some(Cause::BreakerOfRoute(job.terms.route)))
    }

    /// Lets go of what is not blocked any more.
    fn unblock(&mut self) {
        let causes: BTreeSet<Cause> = self.jobs.values().filter_map(|job| job.blocked.clone()).collect();
        for cause in causes {
            let lasts = match &cause {
                Cause::PauseOfTarget(target) => self.is_paused(target),
                Cause::BreakerOfRoute(route) => self.broken.contains(route),
            };
            let freed = self.find(|job| job.row.status == JobStatus::Queued && job.blocked.as_ref() == Some(&cause));
            if !lasts {
                freed.iter().for_each(|id| self.job(*id).blocked = None);
                self.promote_for(&freed);
            }
        }
    }

    /// Ends what has waited too long. Answers with these jobs.
    pub(super) fn settle(&mut self, now: Timestamp) -> BTreeSet<JobId> {
        let is_due = |job: &Entry| job.waits() && job.row.attempts.is_empty() && job.expires_at <= now;
        let expired = self.find(is_due);
        for id in &expired {
            self.end(*id, (JobStatus::Canceled, Reason::Expired), now);
        }
        for id in &expired {
            self.keep_expired(*id, now);
        }
        self.promote_for(&expired);
        let is_over =
            |job: &Entry| job.row.status == JobStatus::Verifying && job.verify_until.is_some_and(|until| until <= now);
        let given_up = self.find(is_over);
        for id in &given_up {
            self.end(*id, (JobStatus::Failed, Reason::NotHealed), now);
        }
        self.promote_for(&given_up);
        expired.into_iter().chain(given_up).collect()
    }

    /// A pause or a breaker kept it from starting: its alert is not forgotten.
    fn keep_expired(&mut self, id: JobId, now: Timestamp) {
        let job = &self.jobs[&id];
        let Some((alert, episode)) = job.episode.filter(|_| job.by_alert()) else {
            return;
        };
        if self.open(alert) == Some(episode) && self.stopped(&job.row.target, job.terms.route).is_some() {
            let held = Held {
                terms: job.terms,
                alert,
                target: job.row.target.clone(),
                by: None,
                due_at: Some(now),
            };
            self.held.entry((episode, job.terms.route)).or_insert(held);
        }
    }

    fn find(&self, wanted: impl Fn(&Entry) -> bool) -> Vec<JobId> {
        let found = self.jobs.iter().filter(|(_, job)| wanted(job));
        found.map(|(id, _)| *id).collect()
    }

    fn job(&mut self, id: JobId) -> &mut Entry {
        self.jobs.get_mut(&id).unwrap()
    }

    fn end(&mut self, id: JobId, (status, reason): (JobStatus, Reason), now: Timestamp) {
        let job = self.job(id);
        job.row.status = status;
        job.row.reason = Some(reason);
        job.row.finished_at = Some(now);
        job.front = false;
        job.owner = None;
    }

    fn promote_for(&mut self, jobs: &[JobId]) {
        for id in jobs {
            let target = self.jobs[id].row.target.clone();
            self.promote(&target);
        }
    }

    /// The oldest that waits comes to the front of a line that has none.
    fn promote(&mut self, target: &str) {
        let of_target = |job: &Entry| job.row.target == target;
        if self.jobs.values().any(|job| of_target(job) && job.front) {
            return;
        }
        let in_line = |job: &Entry| of_target(job) && job.row.status == JobStatus::Queued && job.blocked.is_none();
        let next = self.find(in_line).into_iter();
        if let Some(next) = next.min_by_key(|id| (self.jobs[id].row.created_at, *id)) {
            self.job(next).front = true;
        }
    }

    /// A person runs something on a target.
    pub(super) fn by_hand(&mut self, id: JobId, target: &str, now: Timestamp) {
        let job = new_entry(JobStatus::Queued, Trigger::Manual, target, now);
        self.insert(id, job);
    }

    /// A person runs a finished job again. It joins the open stretch of its alert, if there is one.
    pub(super) fn rerun(&mut self, id: JobId, of: JobId, now: Timestamp) {
        let of = self.jobs[&of].clone();
        let episode = of
            .episode
            .map(|(alert, episode)| (alert, self.open(alert).unwrap_or(episode)));
        let terms = Terms {
            route: of.terms.route,
            resolved_within: Some(Duration::from_secs(120)),
            ..Terms::default()
        };
        let job = Entry {
            terms,
            episode,
            ..new_entry(JobStatus::Queued, Trigger::Rerun, &of.row.target, now)
        };
        self.insert(id, job);
    }

    /// What a person asks for. What is refused changes nothing, not even what was due.
    pub(super) fn asked(&mut self, change: impl FnOnce(&mut Self) -> Answered) -> Answered {
        let before = self.clone();
        let answered = change(self);
        if answered == Conflict {
            *self = before;
        }
        answered
    }

    pub(super) fn cancel(&mut self, id: JobId, now: Timestamp) -> Answered {
        self.settle(now);
        match self.jobs[&id].row.status {
            JobStatus::Running => {
                let stop = &mut self.job(id).row.stop;
                *stop = stop.or(Some(Reason::Canceled));
                Done
            }
            status if status.is_finished() => Conflict,
            _ => {
                self.end(id, (JobStatus::Canceled, Reason::Canceled), now);
                self.promote_for(&[id]);
                Done
            }
        }
    }

    pub(super) fn answer(&mut self, id: JobId, approves: bool, now: Timestamp) -> Answered {
        self.settle(now);
        if self.jobs[&id].row.status != JobStatus::AwaitingApproval {
            return Conflict;
        }
        if approves {
            let job = self.job(id);
            job.row.status = JobStatus::Queued;
            job.row.run_at = now;
            job.expires_at = now + job.terms.runs_within.unwrap();
        } else {
            self.end(id, (JobStatus::Canceled, Reason::Rejected), now);
        }
        self.promote_for(&[id]);
        Done
    }
}

pub(super) fn name_of(alert: usize) -> String {
    format!("alert-{alert}")
}

/// Where the jobs of an alert run.
pub(super) fn target_of(alert: usize) -> String {
    format!("target-{}", alert % 3)
}

fn new_entry(status: JobStatus, trigger: Trigger, target: &str, now: Timestamp) -> Entry {
    Entry {
        row: Row {
            status,
            reason: None,
            route: None,
            target: target.to_owned(),
            trigger,
            created_at: now,
            run_at: now,
            started_at: None,
            finished_at: None,
            healed_at: None,
            healed_late: false,
            stop: None,
            attempts: Vec::new(),
        },
        terms: Terms::default(),
        episode: None,
        expires_at: now + Duration::from_secs(3_600),
        verify_until: None,
        front: false,
        blocked: None,
        superseded: false,
        owner: None,
    }
}
