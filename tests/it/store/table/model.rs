//! What the table of jobs must look like after each command, told in plain structures. Knows no SQL and asks the store
//! nothing: what it cannot know, such as new ids, it is told.

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

use Answered::{Conflict, Done, LostClaim};

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

    /// A report of an alert. `ids` are for the stretch and the job that it may begin.
    pub(super) fn accept(&mut self, said: Said, terms: Terms, ids: (EpisodeId, JobId), now: Timestamp) -> Decided {
        self.settle(now);
        let decided = self.report(said, terms, ids, now);
        if let Some(last) = self.alerts.get_mut(&said.alert) {
            self.decided.insert(last.id);
            // Alertmanager has said itself that it is over.
            last.asked = last.asked && said.ends_at.is_none();
        }
        decided
    }

    fn report(&mut self, said: Said, terms: Terms, ids: (EpisodeId, JobId), now: Timestamp) -> Decided {
        let last = self.alerts.get(&said.alert).copied();
        let Some(ends_at) = said.ends_at else {
            return self.fires(said, terms, ids, now);
        };
        match last {
            Some(open) if open.closed.is_none() => self.close(said.alert, ends_at, now),
            Some(Stretch {
                closed: Some((ended_at, _)),
                ..
            }) if said.starts_at <= ended_at => {}
            _ => {
                let stretch = Stretch {
                    id: ids.0,
                    starts_at: said.starts_at,
                    last_received_at: now,
                    closed: Some((ends_at, now)),
                    asked: false,
                };
                self.alerts.insert(said.alert, stretch);
            }
        }
        (DecisionKind::Resolved, None)
    }

    fn fires(&mut self, said: Said, terms: Terms, (spare, job): (EpisodeId, JobId), now: Timestamp) -> Decided {
        let began = Stretch {
            id: spare,
            starts_at: said.starts_at,
            last_received_at: now,
            closed: None,
            asked: false,
        };
        let mut missed = None;
        match self.alerts.get(&said.alert).copied() {
            Some(open) if open.closed.is_none() => {
                if said.starts_at > open.last_received_at && said.starts_at != open.starts_at {
                    missed = Some(open.id);
                    self.alerts.insert(said.alert, began);
                } else if let Some(open) = self.alerts.get_mut(&said.alert) {
                    open.last_received_at = open.last_received_at.max(now);
                }
            }
            Some(Stretch {
                closed: Some((ended_at, closed_at)),
                ..
            }) if said.starts_at <= ended_at && now.since(closed_at) < LATE => return (DecisionKind::Resolved, None),
            _ => {
                self.alerts.insert(said.alert, began);
            }
        }
        let decided = self.decide((said.alert, terms), target_of(said.alert), job, now);
        if let Some(missed) = missed {
            self.resolve(missed, said.starts_at, now);
        }
        decided
    }

    /// Decides about an alert that fires.
    fn decide(&mut self, (alert, terms): (usize, Terms), target: String, spare: JobId, now: Timestamp) -> Decided {
        let episode = self.open(alert).unwrap();
        let place = (episode, terms.route);
        let counts = |job: &Entry| {
            job.by_alert()
                && !job.superseded
                && job.episode == Some((alert, episode))
                && job.row.route.as_deref() == Some(terms.route)
        };
        let before = self.find(counts).into_iter().next();
        let still = before.filter(|before| {
            let row = &self.jobs[before].row;
            let since = row.finished_at.map(|end| now.since(end));
            let is_old = terms.again_after.zip(since).is_some_and(|(after, since)| since > after);
            row.reason != Some(Reason::Expired) && !is_old
        });
        if let Some(job) = still {
            self.held.remove(&place);
            return (DecisionKind::Attached, Some(job));
        }
        if let Some(by) = self.stopped(&target, terms.route) {
            let held = Held {
                terms,
                alert,
                target,
                by: Some(by),
                due_at: None,
            };
            self.held.insert(place, held);
            return (by, None);
        }
        self.held.remove(&place);
        if let Some(before) = before {
            self.job(before).superseded = true;
        }
        let status = if terms.asks {
            JobStatus::AwaitingApproval
        } else {
            JobStatus::Queued
        };
        let job = Entry {
            terms,
            episode: Some((alert, episode)),
            expires_at: now + terms.waits,
            ..new_entry(status, Trigger::Alert, &target, now)
        };
        self.insert(spare, job);
        let kind = if terms.asks {
            DecisionKind::AwaitingApproval
        } else {
            DecisionKind::Queued
        };
        (kind, Some(spare))
    }

    fn insert(&mut self, id: JobId, mut job: Entry) {
        job.row.route = Some(job.terms.route)
            .filter(|route| !route.is_empty())
            .map(str::to_owned);
        let target = job.row.target.clone();
        let before = self.jobs.insert(id, job);
        assert!(before.is_none(), "two jobs have one name: {id}");
        self.promote(&target);
    }

    /// What is to be decided again by now, in the order in which that happens.
    pub(super) fn due_held(&self, now: Timestamp) -> Vec<(EpisodeId, &'static str)> {
        let due = self
            .held
            .iter()
            .filter(|(_, held)| held.due_at.is_some_and(|due| due <= now));
        let mut due: Vec<_> = due.map(|(place, held)| (held.due_at, *place)).collect();
        due.sort();
        due.into_iter().map(|(_, place)| place).collect()
    }

    /// Decides about one of these again. `made` is the job that the store says it made, if it made one. Answers with
    /// what must have been decided; nothing where that is what was decided before.
    pub(super) fn decide_again(
        &mut self,
        place: (EpisodeId, &'static str),
        made: Option<JobId>,
        now: Timestamp,
    ) -> Option<Decided> {
        self.settle(now);
        let held = self.held[&place].clone();
        let made = made.unwrap_or(JobId::new(uuid::Uuid::nil()));
        let decided = self.decide((held.alert, held.terms), held.target, made, now);
        let is_news = held.by != Some(decided.0);
        if is_news {
            self.decided.insert(place.0);
        }
        is_news.then_some(decided)
    }

    /// Alertmanager was asked: the alert is over.
    pub(super) fn close_asked(&mut self, alert: usize, at: Timestamp, now: Timestamp) {
        self.settle(now);
        let at = self.alerts.get(&alert).map_or(at, |open| open.starts_at.max(at));
        if let Some(open) = self.alerts.get_mut(&alert) {
            open.asked = true;
        }
        self.close(alert, at, now);
    }

    /// The stretches that were found over by asking, and their alerts.
    pub(super) fn asked_episodes(&self) -> BTreeSet<(EpisodeId, usize)> {
        let asked = self.alerts.iter().filter(|(_, last)| last.asked);
        asked.map(|(alert, last)| (last.id, *alert)).collect()
    }

    /// The alert of that stretch fires again, if it was the last one and was found over by asking.
    pub(super) fn come_back(&mut self, (episode, alert): (EpisodeId, usize), terms: Terms, now: Timestamp) -> bool {
        let last = self.alerts[&alert];
        let Some((_, closed_at)) = last.closed.filter(|_| last.asked && last.id == episode) else {
            return false;
        };
        let id = episode.moved_to(now);
        let began = Stretch {
            id,
            starts_at: closed_at,
            last_received_at: now,
            closed: None,
            asked: false,
        };
        self.alerts.insert(alert, began);
        if self.decided.contains(&episode) {
            let before = self.find(|job| job.episode == Some((alert, episode))).pop();
            let held = Held {
                terms,
                alert,
                target: before.map_or_else(|| name_of(alert), |before| self.jobs[&before].row.target.clone()),
                by: None,
                due_at: Some(now),
            };
            self.held.insert((id, terms.route), held);
        }
        true
    }

    /// The query of a verification became true.
    pub(super) fn heal(&mut self, id: JobId, now: Timestamp) {
        self.settle(now);
        if self.jobs[&id].row.status == JobStatus::Verifying {
            self.end(id, (JobStatus::Succeeded, Reason::Healed), now);
            self.job(id).row.healed_at = Some(now);
            self.promote_for(&[id]);
        }
    }

    fn close(&mut self, alert: usize, ended_at: Timestamp, now: Timestamp) {
        if let Some(open) = self.alerts.get_mut(&alert) {
            open.closed = Some((ended_at, now));
            open.last_received_at = open.last_received_at.max(now);
            let id = open.id;
            self.resolve(id, ended_at, now);
        }
    }

    /// What the end of a stretch means for its jobs.
    fn resolve(&mut self, episode: EpisodeId, ended_at: Timestamp, now: Timestamp) {
        self.ended.insert(episode, ended_at);
        self.held.retain(|(of, _), _| *of != episode);
        let of_episode = |job: &Entry| job.episode.is_some_and(|(_, of)| of == episode);
        let withdrawn = self.find(|job| of_episode(job) && job.by_alert() && job.waits());
        for id in &withdrawn {
            self.end(*id, (JobStatus::Canceled, Reason::ResolvedMeanwhile), now);
        }
        self.promote_for(&withdrawn);
        let healed = self.find(|job| of_episode(job) && job.row.status == JobStatus::Verifying);
        for id in &healed {
            self.end(*id, (JobStatus::Succeeded, Reason::Healed), now);
            self.job(*id).row.healed_at = Some(ended_at);
        }
        self.promote_for(&healed);
        let runs = |job: &Entry| of_episode(job) && job.row.status == JobStatus::Running;
        for id in self.find(|job| runs(job) && job.terms.stops_when_resolved && job.row.stop.is_none()) {
            self.job(id).row.stop = Some(Reason::ResolvedMeanwhile);
        }
        let ran = self
            .find(|job| of_episode(job) && !job.row.attempts.is_empty())
            .into_iter();
        if let Some(last) = ran.max_by_key(|id| (self.jobs[id].row.started_at, *id)) {
            let row = &mut self.job(last).row;
            if row.finished_at.is_some() && row.healed_at.is_none() {
                row.healed_at = Some(ended_at);
                row.healed_late = true;
            }
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

    /// The jobs that a claim must get, in order.
    pub(super) fn claim(&mut self, free: usize, now: Timestamp) -> Vec<JobId> {
        if self.paused.contains(&Scope::All) {
            return Vec::new();
        }
        self.unblock();
        let targets: BTreeSet<String> = self.jobs.values().map(|job| job.row.target.clone()).collect();
        targets.iter().for_each(|target| self.promote(target));
        // The clock went back: what waits for no time does not wait for it to come that far again.
        if self.jobs.values().any(|job| job.row.created_at > now) {
            let has_not_begun = |job: &Entry| job.row.status == JobStatus::Queued && job.row.attempts.is_empty();
            for id in self.find(|job| has_not_begun(job) && job.front && job.blocked.is_none()) {
                let row = &mut self.job(id).row;
                row.run_at = row.run_at.min(now);
            }
        }
        let mut claimed = Vec::new();
        while claimed.len() < free {
            let may_start = |job: &Entry| {
                let begun = !job.row.attempts.is_empty();
                let in_time = job.row.run_at <= now && (begun || job.expires_at > now);
                job.row.status == JobStatus::Queued && job.front && job.blocked.is_none() && in_time
            };
            let ready = self.find(may_start).into_iter();
            let Some(id) = ready.min_by_key(|id| (self.jobs[id].row.run_at, *id)) else {
                break;
            };
            if let Some(cause) = self.cause(&self.jobs[&id]) {
                let job = self.job(id);
                job.blocked = Some(cause);
                job.front = !job.row.attempts.is_empty();
                self.promote_for(&[id]);
                continue;
            }
            let job = self.job(id);
            job.row.status = JobStatus::Running;
            job.row.started_at = job.row.started_at.or(Some(now));
            job.row.attempts.push(None);
            claimed.push(id);
        }
        // Where one made room for another one, that may have waited longer.
        claimed.sort_by_key(|id| (self.jobs[id].row.run_at, *id));
        claimed
    }

    /// The claim that owns a job from now on.
    pub(super) fn own(&mut self, claimed: Claimed) {
        let job = self.job(claimed.key.job);
        assert_eq!(job.row.attempts.len(), claimed.key.number as usize, "{claimed:?}");
        job.owner = Some((claimed, Stored::default()));
    }

    fn owns(&self, claimed: Claimed) -> bool {
        let owner = self.jobs[&claimed.key.job].owner;
        owner.is_some_and(|(owner, _)| owner == claimed)
    }

    pub(super) fn started(&self, claimed: Claimed) -> Answered {
        if self.owns(claimed) { Done } else { LostClaim }
    }

    /// More of its run is stored.
    pub(super) fn store(&mut self, claimed: Claimed, more: Stored) -> Answered {
        if !self.owns(claimed) {
            return LostClaim;
        }
        if let Some((_, stored)) = &mut self.job(claimed.key.job).owner {
            stored.log_bytes += more.log_bytes;
            stored.tasks += more.tasks;
        }
        Done
    }

    /// Whether a claimed job may still start; one that may not is given back.
    pub(super) fn confirm(&mut self, claimed: Claimed, now: Timestamp) -> Result<bool, Answered> {
        if !self.owns(claimed) {
            return Err(LostClaim);
        }
        let job = &self.jobs[&claimed.key.job];
        let is_over = job.by_alert() && !self.is_open(job);
        if job.row.stop.is_none() && !is_over && self.cause(job).is_none() {
            return Ok(true);
        }
        match self.give_back(claimed, now) {
            Done => Ok(false),
            other => Err(other),
        }
    }

    fn is_open(&self, job: &Entry) -> bool {
        job.episode
            .is_some_and(|(alert, episode)| self.open(alert) == Some(episode))
    }

    /// A claim whose run never began. What happened meanwhile ends its job.
    pub(super) fn give_back(&mut self, claimed: Claimed, now: Timestamp) -> Answered {
        if !self.owns(claimed) || self.stored(claimed) != Stored::default() {
            return LostClaim;
        }
        let job = self.job(claimed.key.job);
        job.owner = None;
        job.row.status = JobStatus::Queued;
        job.row.attempts.pop();
        if job.row.attempts.is_empty() {
            job.row.started_at = None;
        }
        let job = self.jobs[&claimed.key.job].clone();
        if let Some(reason) = job.row.stop {
            self.end(claimed.key.job, (JobStatus::Canceled, reason), now);
            self.promote(&job.row.target);
        } else if let (true, false, Some((_, episode))) = (job.by_alert(), self.is_open(&job), job.episode) {
            self.resolve(episode, self.ended[&episode], now);
        }
        Done
    }

    /// The same, and the job ends for what was found out.
    pub(super) fn withdraw(&mut self, claimed: Claimed, reason: Reason, now: Timestamp) -> Answered {
        let answered = self.give_back(claimed, now);
        if answered == Done && self.jobs[&claimed.key.job].row.status == JobStatus::Queued {
            let failed = reason == Reason::PreconditionFailed;
            let status = if failed { JobStatus::Failed } else { JobStatus::Canceled };
            self.end(claimed.key.job, (status, reason), now);
            self.promote_for(&[claimed.key.job]);
        }
        answered
    }

    /// `again_at`: when the store says that the next attempt may begin, if it says so.
    pub(super) fn finish(
        &mut self,
        claimed: Claimed,
        outcome: Outcome,
        again_at: Option<Timestamp>,
        now: Timestamp,
    ) -> Answered {
        if !self.owns(claimed) {
            return LostClaim;
        }
        let is_open = self.jobs[&claimed.key.job]
            .episode
            .map(|_| self.is_open(&self.jobs[&claimed.key.job]));
        let ended_at = self.jobs[&claimed.key.job]
            .episode
            .and_then(|(_, episode)| self.ended.get(&episode).copied());
        let job = self.job(claimed.key.job);
        job.owner = None;
        *job.row.attempts.last_mut().unwrap() = Some((outcome, now));
        let may_retry = job.row.attempts.len() < job.terms.attempts && job.row.stop.is_none();
        if outcome == Outcome::HostsFailed && may_retry && is_open != Some(false) {
            let at = again_at.unwrap();
            let wait = at.since(now).as_secs_f64();
            assert!((30.0..=33.0).contains(&wait), "{wait} s until the next attempt");
            job.row.status = JobStatus::Queued;
            job.row.run_at = at;
            return Done;
        }
        let by_hand = !job.by_alert();
        let end = match (outcome.reason(), job.terms.resolved_within, is_open) {
            (Some(Reason::Canceled), ..) => (JobStatus::Canceled, job.row.stop.unwrap_or(Reason::Canceled)),
            (Some(reason), ..) => (JobStatus::Failed, reason),
            (None, Some(within), Some(true)) => {
                job.row.status = JobStatus::Verifying;
                job.verify_until = Some(now + within);
                return Done;
            }
            (None, Some(_), Some(false)) if !by_hand => (JobStatus::Succeeded, Reason::Healed),
            (None, ..) => (JobStatus::Succeeded, Reason::Unverified),
        };
        if end.0 == JobStatus::Succeeded && is_open == Some(false) && !by_hand {
            job.row.healed_at = ended_at;
        }
        self.end(claimed.key.job, end, now);
        self.promote_for(&[claimed.key.job]);
        Done
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
