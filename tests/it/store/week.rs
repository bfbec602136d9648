//! A week in minutes: random alerts, flaps, failures, pauses, people and restarts, on a clock that the story moves. Whatever
//! happens, the promises of the policy hold after every step.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use healgate::domain::attempt::{AttemptKey, Outcome};
use healgate::domain::decision::DecisionKind;
use healgate::domain::ids::{JobId, Target};
use healgate::domain::job::{Job, JobStatus, Trigger};
use healgate::domain::pause::{Breaker, Scope};
use healgate::domain::route::{Mode, Route};
use healgate::domain::rules::{BreakerRule, Cap, FlapRule, Fleet, Retry, StormRule};
use healgate::domain::span::Span;
use healgate::domain::timestamp::Timestamp;
use healgate::pruning::Keep;
use healgate::store::Answer;
use healgate::store::read::JobFilter;
use proptest::prelude::{ProptestConfig, Strategy, any, prop, prop_oneof, proptest};
use proptest::sample::{Index, select};

use super::world::{Report, World, firing, first, resolved, route};

const ALERTS: usize = 9;
const TARGETS: usize = 4;
const SLOTS: usize = 3;
const COOLDOWN: Span = Span::from_secs(300);
const STORM: StormRule = StormRule {
    jobs: 5,
    within: Span::from_secs(600),
};

#[derive(Clone, Debug)]
enum Step {
    /// Alerts fire, or resolve.
    Post(Vec<(usize, bool)>),
    Claim,
    End(Index, Outcome),
    Pass(u64),
    Pause(usize),
    Resume(usize),
    Answer(Index, bool),
    Cancel(Index),
    /// A person runs something on a target.
    ByHand(usize),
    /// A person runs a finished job again.
    Rerun(Index),
    Reset,
    Release,
    /// Everything goes that may.
    Prune,
    Restart,
}

fn step() -> impl Strategy<Value = Step> {
    let outcomes = vec![
        Outcome::Ok,
        Outcome::Ok,
        Outcome::HostsFailed,
        Outcome::TimedOut,
        Outcome::Lost,
    ];
    let posts = prop::collection::vec((0..ALERTS, any::<bool>()), 1..4);
    prop_oneof![
        6 => posts.prop_map(Step::Post),
        6 => any::<()>().prop_map(|()| Step::Claim),
        6 => (any::<Index>(), select(outcomes)).prop_map(|(job, outcome)| Step::End(job, outcome)),
        6 => select(vec![1, 30, 120, 700, 4_000, 20_000]).prop_map(Step::Pass),
        1 => (0..3_usize).prop_map(Step::Pause),
        2 => (0..3_usize).prop_map(Step::Resume),
        2 => (any::<Index>(), any::<bool>()).prop_map(|(job, yes)| Step::Answer(job, yes)),
        1 => any::<Index>().prop_map(Step::Cancel),
        2 => (0..TARGETS).prop_map(Step::ByHand),
        1 => any::<Index>().prop_map(Step::Rerun),
        1 => any::<()>().prop_map(|()| Step::Reset),
        1 => any::<()>().prop_map(|()| Step::Release),
        2 => any::<()>().prop_map(|()| Step::Prune),
        1 => any::<()>().prop_map(|()| Step::Restart),
    ]
}

fn caps() -> Vec<Cap> {
    let cap = |jobs, seconds| Cap {
        jobs,
        per: Span::from_secs(seconds),
    };
    vec![cap(2, 3_600), cap(4, 86_400)]
}

/// The routes that an alert reaches, all of them on one target.
fn routes_of(alert: usize) -> Vec<Route> {
    let careful = Route {
        cooldown: COOLDOWN,
        caps: caps(),
        retry: Some(Retry {
            attempts: 2,
            backoff: Span::from_secs(30),
            max_backoff: Span::from_secs(60),
            outcomes: vec![Outcome::HostsFailed],
        }),
        otherwise: vec!["second".to_owned(), "third".to_owned()],
        resolved_within: Some(Span::from_secs(120)),
        ..route("careful")
    };
    let asking = Route {
        mode: Mode::Approve,
        otherwise: vec!["second".to_owned()],
        caps: caps(),
        ..route("asking")
    };
    let looking = Route {
        mode: Mode::Observe,
        ..route("looking")
    };
    let breaking = Route {
        breaker: Some(BreakerRule {
            failures: 2,
            within: Span::from_secs(3_600),
            pause: Span::from_secs(1_800),
        }),
        flap: Some(FlapRule {
            times: 2,
            within: Span::from_secs(7_200),
        }),
        at_once: Some(1),
        resolved_within: Some(Span::from_secs(600)),
        again_after: Some(Span::from_secs(1_800)),
        ..route("breaking")
    };
    match alert % 4 {
        0 => vec![careful],
        1 => vec![asking, looking],
        2 => vec![breaking],
        _ => vec![careful, breaking],
    }
}

fn scope(number: usize) -> Scope {
    match number {
        0 => Scope::All,
        1 => Scope::Route("careful".to_owned()),
        _ => Scope::Target(Target::parse("target-1").unwrap()),
    }
}

fn by_alert(job: &Job) -> bool {
    matches!(job.trigger, Trigger::Alert | Trigger::Ladder)
}

struct Week {
    world: World,
    /// When each alert that fires began.
    fires: HashMap<usize, Timestamp>,
    running: Vec<AttemptKey>,
    paused: HashSet<usize>,
    approved: HashSet<JobId>,
    /// The first starts of jobs, for the caps.
    started: HashMap<(String, Target), Vec<Timestamp>>,
    /// A person has let alerts pass the storm limit.
    released: bool,
}

impl Week {
    async fn begin() -> Self {
        let world = World::new().await;
        *world.fleet.lock().unwrap() = Fleet {
            storm: Some(STORM),
            breaker: Some(BreakerRule {
                failures: 8,
                within: Span::from_secs(3_600),
                pause: Span::from_secs(900),
            }),
            ..Fleet::default()
        };
        Self {
            world,
            fires: HashMap::new(),
            running: Vec::new(),
            paused: HashSet::new(),
            approved: HashSet::new(),
            started: HashMap::new(),
            released: false,
        }
    }

    async fn take(mut self, step: Step) -> Self {
        match step {
            Step::Post(alerts) => self.post(&alerts).await,
            Step::Claim => self.claim().await,
            Step::End(job, outcome) => self.end(&job, outcome).await,
            Step::Pass(seconds) => self.world.pass(i64::try_from(seconds).unwrap()),
            Step::Pause(number) => {
                self.world
                    .store
                    .pause(scope(number), self.world.by("ada"))
                    .await
                    .unwrap();
                self.paused.insert(number);
            }
            Step::Resume(number) => {
                self.world
                    .store
                    .resume(scope(number), self.world.by("ada"))
                    .await
                    .unwrap();
                self.paused.remove(&number);
            }
            Step::Answer(job, yes) => self.answer(&job, yes).await,
            Step::Cancel(job) => {
                let waiting = self
                    .jobs(&[JobStatus::Queued, JobStatus::AwaitingApproval, JobStatus::Verifying])
                    .await;
                if !waiting.is_empty() {
                    let id = job.get(&waiting).id;
                    self.world.store.cancel(id, self.world.by("ada")).await.unwrap();
                }
            }
            Step::ByHand(target) => {
                let job = self.world.manual(&format!("target-{target}"));
                self.world.by_hand(job).await;
            }
            Step::Rerun(job) => {
                let finished = self.jobs(&[JobStatus::Failed, JobStatus::Succeeded]).await;
                if !finished.is_empty() {
                    self.world.rerun(job.get(&finished).id).await;
                }
            }
            Step::Reset => {
                let of = Scope::Route("breaking".to_owned());
                self.world.store.reset_breaker(of, self.world.by("ada")).await.unwrap();
            }
            Step::Release => {
                self.world
                    .store
                    .release_held(None, self.world.by("olaf"))
                    .await
                    .unwrap();
                self.released = true;
            }
            Step::Prune => self.prune().await,
            Step::Restart => return self.restart().await,
        }
        self
    }

    async fn post(&mut self, alerts: &[(usize, bool)]) {
        let now = self.world.now();
        let mut reports: Vec<Report> = Vec::new();
        let mut expected = 0;
        for (alert, is_firing) in alerts {
            let (name, target) = (format!("alert-{alert}"), format!("target-{}", alert % TARGETS));
            let mut report = if *is_firing {
                firing(&name, *self.fires.entry(*alert).or_insert(now))
            } else {
                let began = self.fires.remove(alert).unwrap_or(now);
                resolved(&name, began, now)
            };
            for route in routes_of(*alert) {
                report = report.via(route, &target);
                expected += 1;
            }
            reports.push(report);
        }
        let decisions = self.world.post(reports).await;
        assert_eq!(decisions.len(), expected, "an alert was not decided");
        for decision in &decisions {
            assert!(!decision.reason.trim().is_empty(), "{decision:?}");
            let makes = matches!(decision.kind, DecisionKind::Queued | DecisionKind::AwaitingApproval);
            assert!(!makes || decision.job.is_some(), "{decision:?}");
        }
        // A firing within five minutes of a resolved may be late, and then nothing is open.
        self.world.pass(301);
    }

    async fn claim(&mut self) {
        let breakers = self.world.store.breakers().await.unwrap();
        for claim in self.world.claim(SLOTS - self.running.len()).await {
            let job = &claim.job;
            self.running.push(claim.key);
            if by_alert(job) {
                self.may_start(job);
                self.breakers_let_start(&breakers, job).await;
            }
            if claim.key.number == 1 && by_alert(job) {
                let place = (job.route.clone().unwrap(), job.target.clone());
                self.started.entry(place).or_default().push(self.world.now());
            }
        }
        self.nothing_is_forgotten().await;
    }

    /// None while a breaker is open, and the one that tries while it is half-open.
    async fn breakers_let_start(&self, before: &[Breaker], job: &Job) {
        let now = self.world.now();
        let concerns = |breaker: &&Breaker| breaker.scope.covers(job.route.as_deref(), &job.target);
        for breaker in before.iter().filter(concerns) {
            assert!(
                breaker.until.is_some_and(|until| until <= now),
                "started behind {breaker:?}: {job:#?}"
            );
        }
        for breaker in self.world.store.breakers().await.unwrap().iter().filter(concerns) {
            assert_eq!(breaker.trial, Some(job.id), "it does not try: {job:#?}");
        }
    }

    /// Never while it is paused, for an alert known to have resolved, or outside its mode.
    fn may_start(&self, job: &Job) {
        let route = job.route.as_deref();
        for number in &self.paused {
            assert!(
                !scope(*number).covers(route, &job.target),
                "started while paused: {job:#?}"
            );
        }
        let alert = job.alert.as_ref().unwrap().fingerprint.as_str();
        let number: usize = alert.trim_start_matches("alert-").parse().unwrap();
        assert!(
            self.fires.contains_key(&number),
            "started for an alert that resolved: {job:#?}"
        );
        assert_ne!(
            route,
            Some("looking"),
            "a route that only observes has started something"
        );
        if route == Some("asking") {
            assert!(self.approved.contains(&job.id), "started without approval: {job:#?}");
        }
    }

    async fn end(&mut self, job: &Index, outcome: Outcome) {
        if self.running.is_empty() {
            return;
        }
        let at = job.index(self.running.len());
        let key = self.running.swap_remove(at);
        self.world.end(key, outcome).await;
    }

    async fn answer(&mut self, job: &Index, yes: bool) {
        let waiting = self.jobs(&[JobStatus::AwaitingApproval]).await;
        if waiting.is_empty() {
            return;
        }
        let id = job.get(&waiting).id;
        let answer = if yes { Answer::Approve } else { Answer::Reject };
        // It may have expired just now.
        if self.world.store.answer(id, answer, self.world.by("ada")).await.is_ok() && yes {
            self.approved.insert(id);
        }
    }

    async fn restart(mut self) -> Self {
        let before = self.state().await;
        self.world = self.world.restart().await;
        let after = self.state().await;
        assert_eq!(before, after, "a restart changed something");
        self
    }

    /// As early as can be: what the rules look back at must be there all the same.
    async fn prune(&self) {
        let keep = Keep {
            jobs: Span::from_secs(1),
            logs: Span::from_secs(1),
            size: None,
        };
        let routes: Vec<Route> = (0..4).flat_map(routes_of).collect();
        self.world.pruner(keep, &routes).pass().await.unwrap();
        assert_eq!(self.world.damage(), Vec::<String>::new());
    }

    async fn state(&self) -> String {
        let store = &self.world.store;
        let jobs = store.list_jobs(&JobFilter::default(), first(500)).await.unwrap().items;
        let held = store.list_held(first(500)).await.unwrap().items;
        let (pauses, breakers) = (store.pauses().await.unwrap(), store.breakers().await.unwrap());
        let due = store.next_due(self.world.now()).await.unwrap();
        format!("{jobs:#?}\n{held:#?}\n{pauses:#?}\n{breakers:#?}\n{due:?}")
    }

    async fn jobs(&self, status: &[JobStatus]) -> Vec<Job> {
        let filter = JobFilter {
            status: status.to_vec(),
            ..JobFilter::default()
        };
        self.world.store.list_jobs(&filter, first(500)).await.unwrap().items
    }

    /// What the gateway does by itself, and what must hold after it.
    async fn settle(&self) {
        self.world.store.settle_due(self.world.now()).await.unwrap();
        for decision in self.world.decide_due().await {
            assert!(!decision.reason.trim().is_empty(), "{decision:?}");
        }
        let due = self.world.store.next_held().await.unwrap();
        assert!(
            due.is_none_or(|due| due > self.world.now()),
            "what was due is still held"
        );
        self.rules_hold().await;
        let mut busy = HashSet::new();
        for job in self.jobs(&[JobStatus::Running, JobStatus::Verifying]).await {
            assert!(busy.insert(job.target.clone()), "two jobs on {}", job.target);
        }
        for (place, starts) in &self.started {
            for cap in caps() {
                let within = |last: &Timestamp, at: &Timestamp| at <= last && last.since(*at) < cap.per.duration();
                let most = starts
                    .iter()
                    .map(|last| starts.iter().filter(|at| within(last, at)).count())
                    .max();
                let is_capped = place.0 == "careful" || place.0 == "asking";
                assert!(
                    !is_capped || most <= Some(cap.jobs as usize),
                    "more than {cap} on {place:?}: {starts:?}"
                );
            }
        }
    }

    /// What holds back new jobs of alerts, seen from what has become of all of them.
    async fn rules_hold(&self) {
        let all = self.jobs(&[]).await;
        let running = |job: &&Job| job.route.as_deref() == Some("breaking") && job.status == JobStatus::Running;
        let at_once = all.iter().filter(running).filter(|job| by_alert(job)).count();
        assert!(at_once <= 1, "{at_once} of the route at once");
        let careful = |job: &&Job| job.route.as_deref() == Some("careful");
        for new in all.iter().filter(careful).filter(|job| job.trigger == Trigger::Alert) {
            for old in all.iter().filter(careful).filter(|old| old.target == new.target) {
                let made_before = old.created_at < new.created_at;
                let is_there = old.finished_at.is_none_or(|end| end > new.created_at);
                let cools = old.started_at.is_some()
                    && old
                        .finished_at
                        .is_some_and(|end| new.created_at.since(end) < COOLDOWN.duration());
                assert!(!made_before || !is_there && !cools, "{new:#?} after {old:#?}");
            }
        }
        let mut made: Vec<Timestamp> = all
            .iter()
            .filter(|job| job.trigger == Trigger::Alert)
            .map(|job| job.created_at)
            .collect();
        made.sort();
        let crowded = made.windows(STORM.jobs as usize + 1);
        let most = crowded.map(|some| some[some.len() - 1].since(some[0])).min();
        assert!(
            self.released || most.is_none_or(|most| most >= STORM.within.duration()),
            "a storm was let pass: {made:?}"
        );
    }

    /// What nothing keeps from starting has started while a slot was free.
    async fn nothing_is_forgotten(&self) {
        if self.running.len() == SLOTS {
            return;
        }
        let holds = |job: &&Job| {
            matches!(job.status, JobStatus::Running | JobStatus::Verifying)
                || job.status == JobStatus::Queued && (!job.attempts.is_empty() || job.trigger == Trigger::Ladder)
        };
        let all = self.jobs(&[]).await;
        let busy: HashSet<&Target> = all.iter().filter(holds).map(|job| &job.target).collect();
        for job in all
            .iter()
            .filter(|job| job.status == JobStatus::Queued && !by_alert(job))
        {
            let is_paused = self
                .paused
                .iter()
                .any(|number| scope(*number).covers(job.route.as_deref(), &job.target));
            assert!(is_paused || busy.contains(&job.target), "forgotten: {job:#?}");
        }
    }

    /// Once nothing is in the way, every job that waits gets its turn.
    async fn goes_on(mut self) -> Self {
        for number in 0..3 {
            self = self.take(Step::Resume(number)).await;
        }
        let give_up = self.world.now() + Duration::from_secs(900);
        while self.world.now() < give_up {
            for of in [Scope::All, Scope::Route("breaking".to_owned())] {
                let by = self.world.by("ada");
                self.world.store.reset_breaker(of, by).await.unwrap();
            }
            self.settle().await;
            self.claim().await;
            if self.running.is_empty() {
                self.world.pass(30);
            }
            while let Some(key) = self.running.pop() {
                self.world.end(key, Outcome::Ok).await;
            }
        }
        let verifying = self.jobs(&[JobStatus::Verifying]).await;
        let busy: HashSet<&Target> = verifying.iter().map(|job| &job.target).collect();
        for job in self.jobs(&[JobStatus::Queued]).await {
            let is_next = busy.contains(&job.target) || job.run_at >= self.world.ago(30);
            assert!(is_next, "it never gets its turn: {job:#?}");
        }
        self
    }

    /// Once everything has resolved, nothing is left.
    async fn finish(mut self) {
        let all: Vec<(usize, bool)> = (0..ALERTS).map(|alert| (alert, false)).collect();
        self.post(&all).await;
        self.settle().await;
        while let Some(key) = self.running.pop() {
            self.world.end(key, Outcome::Ok).await;
        }
        self.world.pass(100_000);
        self.settle().await;
        assert_eq!(self.world.held().await, []);
        let left = [
            JobStatus::Queued,
            JobStatus::AwaitingApproval,
            JobStatus::Running,
            JobStatus::Verifying,
        ];
        assert_eq!(self.jobs(&left).await, []);
        for job in self.jobs(&[]).await {
            assert!(job.reason.is_some() && job.finished_at.is_some(), "{job:#?}");
            assert!(job.trigger != Trigger::Ladder || job.follows.is_some(), "{job:#?}");
        }
    }
}

async fn live(steps: Vec<Step>) {
    let mut week = Week::begin().await;
    for step in steps {
        week = week.take(step).await;
        week.settle().await;
    }
    week.goes_on().await.finish().await;
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn whatever_happens_in_a_week_the_policy_holds(steps in prop::collection::vec(step(), 1..160)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(live(steps));
    }
}
