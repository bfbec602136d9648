//! The table of jobs against a model of it: random commands, also of workers that lost their claims, crashes between them,
//! and a clock that jumps. After each command the store shows what the model says. `week.rs` tells of the policy; this
//! tells of the table.
//!
//! And what the model is worth: it finds a table whose fences do not rise, and one without either unique index.

mod model;

use std::collections::{BTreeMap, BTreeSet, HashMap};

use healgate::domain::attempt::{Attempt, Ending, Outcome};
use healgate::domain::decision::Decision;
use healgate::domain::ids::{JobId, Target};
use healgate::domain::job::{Job, JobStatus, Reason};
use healgate::domain::pause::Scope;
use healgate::domain::policy::decide;
use healgate::domain::route::{Mode, OnResolved, Route};
use healgate::domain::rules::Retry;
use healgate::domain::span::Span;
use healgate::domain::timestamp::Timestamp;
use healgate::store::read::JobFilter;
use healgate::store::{ActiveRun, Answer, Comeback, Ended, StoreError, Withdrawal};
use proptest::prelude::{ProptestConfig, Strategy, any, prop, prop_oneof};
use proptest::sample::{Index, select};
use proptest::test_runner::{RngAlgorithm, TestError, TestRng, TestRunner};

use self::model::{Answered, Claimed, Row, Said, Stored, Table, Terms, name_of, target_of};
use super::world::{Report, World, ending, firing, first, resolved, route, task};
use crate::support::told;

/// `make soak` takes more.
const CASES: u32 = 24;
const ALERTS: usize = 7;
const DAY: i64 = 86_400;

/// What a run says at a time.
const SAYS: &[u8] = b"says\n";

#[derive(Clone, Debug)]
enum Step {
    /// The alert fires, or still does. `anew`: it has resolved meanwhile, and nobody was told.
    Fire {
        alert: usize,
        anew: bool,
    },
    /// Two gateways decide about one firing with the facts of before, and both write.
    FireAtTwo(usize),
    Resolve(usize),
    /// Alertmanager was asked, and has the alert no more.
    Gone(usize),
    /// It was asked again, and has an alert again that it had no more at some time.
    ComeBack(Index),
    Claim(usize),
    Started(Which),
    Say(Which),
    Seal(Which),
    Task(Which),
    Confirm(Which),
    Release(Which),
    Withdraw(Which, Reason),
    Finish(Which, Outcome),
    Cancel(Index),
    Answer(Index, bool),
    ByHand(usize),
    Rerun(Index),
    Pause(usize),
    Resume(usize),
    OpenBreaker(usize),
    ResetBreaker(usize),
    /// The query of a verification became true.
    Heal(Index),
    Settle,
    Reload,
    DecideAgain,
    Pass(i64),
    Crash,
    /// Somebody who knows only what was true before lets a second job to a target.
    Intrude(Index),
}

/// A claim, of those that own their job or of all that ever were.
#[derive(Clone, Debug)]
struct Which(Index, bool);

fn which() -> impl Strategy<Value = Which> {
    (any::<Index>(), prop::bool::weighted(0.7)).prop_map(|(which, owns)| Which(which, owns))
}

fn of_worker() -> impl Strategy<Value = Step> {
    let outcomes = Outcome::ALL
        .into_iter()
        .chain([Outcome::Ok; 4])
        .chain([Outcome::HostsFailed; 2]);
    let outcome = select(outcomes.collect::<Vec<_>>());
    let reason = select(vec![Reason::PreconditionFailed, Reason::Silenced]);
    prop_oneof![
        6 => (0..4_usize).prop_map(Step::Claim),
        1 => which().prop_map(Step::Started),
        1 => which().prop_map(Step::Say),
        1 => which().prop_map(Step::Seal),
        1 => which().prop_map(Step::Task),
        1 => which().prop_map(Step::Confirm),
        2 => which().prop_map(Step::Release),
        1 => (which(), reason).prop_map(|(which, reason)| Step::Withdraw(which, reason)),
        6 => (which(), outcome).prop_map(|(which, outcome)| Step::Finish(which, outcome)),
    ]
}

fn of_person() -> impl Strategy<Value = Step> {
    prop_oneof![
        2 => any::<Index>().prop_map(Step::Cancel),
        3 => (any::<Index>(), any::<bool>()).prop_map(|(job, yes)| Step::Answer(job, yes)),
        3 => (0..3_usize).prop_map(Step::ByHand),
        2 => any::<Index>().prop_map(Step::Rerun),
        1 => (0..3_usize).prop_map(Step::Pause),
        2 => (0..3_usize).prop_map(Step::Resume),
        1 => (0..2_usize).prop_map(Step::OpenBreaker),
        2 => (0..2_usize).prop_map(Step::ResetBreaker),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    let alert = || 0..ALERTS;
    let passes = vec![0, 1, 5, 40, 130, 700, 4_000, DAY, -3, -DAY];
    prop_oneof![
        6 => (alert(), prop::bool::weighted(0.1)).prop_map(|(alert, anew)| Step::Fire { alert, anew }),
        2 => alert().prop_map(Step::FireAtTwo),
        3 => alert().prop_map(Step::Resolve),
        2 => alert().prop_map(Step::Gone),
        2 => any::<Index>().prop_map(Step::ComeBack),
        1 => any::<Index>().prop_map(Step::Heal),
        16 => of_worker(),
        9 => of_person(),
        2 => any::<()>().prop_map(|()| Step::Settle),
        2 => any::<()>().prop_map(|()| Step::DecideAgain),
        1 => any::<()>().prop_map(|()| Step::Reload),
        5 => select(passes).prop_map(Step::Pass),
        1 => any::<()>().prop_map(|()| Step::Crash),
        1 => any::<Index>().prop_map(Step::Intrude),
    ]
}

const HOUR: Span = Span::from_secs(3_600);
const WITHIN: Span = Span::from_secs(120);
const AGAIN_AFTER: Span = Span::from_secs(600);
const RUNS_WITHIN: Span = Span::from_secs(700);

/// The one route of an alert.
fn route_of(alert: usize) -> Route {
    match alert % 4 {
        0 => Route {
            again_after: Some(AGAIN_AFTER),
            ..route("plain")
        },
        1 => Route {
            retry: Some(Retry {
                attempts: 2,
                backoff: Span::from_secs(30),
                max_backoff: Span::from_secs(60),
                outcomes: vec![Outcome::HostsFailed],
            }),
            resolved_within: Some(WITHIN),
            ..route("careful")
        },
        2 => Route {
            mode: Mode::Approve,
            expires: RUNS_WITHIN,
            approval_expires: HOUR,
            ..route("asking")
        },
        _ => Route {
            on_resolved: OnResolved::Cancel,
            resolved_within: Some(WITHIN),
            ..route("stopped")
        },
    }
}

/// What the model must know of it.
fn terms_of(alert: usize) -> Terms {
    let terms = Terms {
        waits: HOUR.duration(),
        attempts: 1,
        ..Terms::default()
    };
    match alert % 4 {
        0 => Terms {
            route: "plain",
            again_after: Some(AGAIN_AFTER.duration()),
            ..terms
        },
        1 => Terms {
            route: "careful",
            attempts: 2,
            resolved_within: Some(WITHIN.duration()),
            ..terms
        },
        2 => Terms {
            route: "asking",
            asks: true,
            runs_within: Some(RUNS_WITHIN.duration()),
            ..terms
        },
        _ => Terms {
            route: "stopped",
            stops_when_resolved: true,
            resolved_within: Some(WITHIN.duration()),
            ..terms
        },
    }
}

fn scope(number: usize) -> Scope {
    match number {
        0 => Scope::All,
        target => Scope::Target(Target::parse(&target_of(target)).unwrap()),
    }
}

fn breaker(alert: usize) -> Scope {
    Scope::Route(terms_of(alert).route.to_owned())
}

/// What is wrong with the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Flaw {
    None,
    /// A job that waits again forgets how often it was claimed.
    NoFence,
    NoIndexOfEpisodeAndRoute,
    NoIndexOfFront,
}

impl Flaw {
    const fn statement(self) -> Option<&'static str> {
        match self {
            Self::None => None,
            Self::NoFence => Some(
                "CREATE TRIGGER no_fence AFTER UPDATE OF status ON jobs WHEN NEW.status = 'queued'
                 BEGIN UPDATE jobs SET fence = 0 WHERE id = NEW.id; END",
            ),
            Self::NoIndexOfEpisodeAndRoute => Some("DROP INDEX jobs_one_per_episode_and_route"),
            Self::NoIndexOfFront => Some(
                "DROP INDEX jobs_front_of_target;
                 CREATE INDEX jobs_front_of_target ON jobs (target) WHERE front = 1",
            ),
        }
    }
}

struct Story {
    world: World,
    table: Table,
    /// When each alert that fires began.
    fires: HashMap<usize, Timestamp>,
    claims: Vec<Claimed>,
    /// Stretches that were found over by asking, as they might begin again, and their alerts.
    comebacks: Vec<(Comeback, usize)>,
}

impl Story {
    async fn begin(flaw: Flaw) -> Self {
        let world = World::new().await;
        if let Some(statement) = flaw.statement() {
            world.meddle(statement);
        }
        Self {
            world,
            table: Table::default(),
            fires: HashMap::new(),
            claims: Vec::new(),
            comebacks: Vec::new(),
        }
    }

    async fn take(mut self, step: &Step) -> Self {
        let now = self.world.now();
        match step {
            Step::Fire { alert, anew } => {
                if *anew {
                    self.fires.remove(alert);
                }
                self.fire(*alert).await;
            }
            Step::FireAtTwo(alert) => self.fire_at_two(*alert).await,
            Step::Resolve(alert) => self.resolve(*alert).await,
            Step::Gone(_) | Step::ComeBack(_) | Step::Heal(_) => self.asked(step).await,
            Step::Pause(_) | Step::Resume(_) | Step::OpenBreaker(_) | Step::ResetBreaker(_) => self.switch(step).await,
            // The rules of these routes hold nothing back.
            Step::Reload => self.world.store.reconsider_held(now).await.unwrap(),
            Step::Settle => {
                let settled = self.world.store.settle_due(now).await.unwrap();
                assert_eq!(settled.into_iter().collect::<BTreeSet<_>>(), self.table.settle(now));
            }
            Step::DecideAgain => self.decide_again().await,
            Step::Pass(seconds) => self.world.pass(*seconds),
            Step::Crash => self.world = self.world.restart().await,
            Step::Intrude(job) => {
                let behind = self.table.behind();
                if !behind.is_empty() {
                    let to_front = format!("UPDATE jobs SET front = 1 WHERE id = '{}'", job.get(&behind));
                    // Whatever came of it: the table is as it was.
                    let _ = self.world.intrude(&to_front);
                }
            }
            Step::Cancel(_) | Step::Answer(..) | Step::ByHand(_) | Step::Rerun(_) => self.person(step).await,
            _ => self.worker(step).await,
        }
        self
    }

    /// What the gateway learns by asking others.
    async fn asked(&mut self, step: &Step) {
        // No two things happen in one millisecond: what comes back is named after it.
        self.world.tick();
        let (store, now) = (&self.world.store, self.world.now());
        match step {
            Step::Gone(alert) => {
                self.fires.remove(alert);
                if let Some(episode) = self.table.open(*alert) {
                    store.end_episodes(vec![Ended { episode, at: now }], now).await.unwrap();
                    self.table.close_asked(*alert, now, now);
                }
                let asked = store.asked_episodes(Timestamp::from_micros(0)).await.unwrap();
                let asked = asked.into_iter().map(|comeback| {
                    let alert = (0..ALERTS).find(|alert| comeback.alert.fingerprint.as_str() == name_of(*alert));
                    (comeback, alert.unwrap())
                });
                let asked: Vec<_> = asked.collect();
                let episodes: BTreeSet<_> = asked
                    .iter()
                    .map(|(comeback, alert)| (comeback.episode, *alert))
                    .collect();
                assert_eq!(episodes, self.table.asked_episodes());
                self.comebacks.extend(asked);
            }
            Step::ComeBack(which) if !self.comebacks.is_empty() => {
                let (comeback, alert) = which.get(&self.comebacks).clone();
                let must = self.table.come_back((comeback.episode, alert), terms_of(alert), now);
                assert_eq!(store.come_back(comeback, now).await.unwrap(), must);
            }
            Step::Heal(which) => {
                let verifying = self.table.in_state(|status| status == JobStatus::Verifying);
                let all = self.table.in_state(|_| true);
                let choice = if verifying.is_empty() { all } else { verifying };
                if !choice.is_empty() {
                    let job = *which.get(&choice);
                    store.heal(job, "the query is true", now).await.unwrap();
                    self.table.heal(job, now);
                }
            }
            _ => {}
        }
    }

    /// What a person stops, or lets go on.
    async fn switch(&mut self, step: &Step) {
        let (store, by) = (&self.world.store, self.world.by("ada"));
        let now = by.at;
        match step {
            Step::Pause(number) => {
                store.pause(scope(*number), by).await.unwrap();
                self.table.pause(scope(*number));
            }
            Step::Resume(number) => {
                store.resume(scope(*number), by).await.unwrap();
                self.table.resume(&scope(*number), now);
            }
            Step::OpenBreaker(number) => {
                store.open_breaker(breaker(*number), by).await.unwrap();
                self.table.open_breaker(terms_of(*number).route, now);
            }
            Step::ResetBreaker(number) => {
                let was_open = store.reset_breaker(breaker(*number), by).await.unwrap();
                assert_eq!(was_open, self.table.reset_breaker(terms_of(*number).route, now));
            }
            _ => {}
        }
    }

    fn said(&mut self, alert: usize, ends_at: Option<Timestamp>) -> (Said, Report) {
        let now = self.world.now();
        let name = name_of(alert);
        let starts_at = match ends_at {
            None => *self.fires.entry(alert).or_insert(now),
            Some(_) => self.fires.remove(&alert).unwrap_or(now),
        };
        let report = match ends_at {
            None => firing(&name, starts_at),
            Some(ends_at) => resolved(&name, starts_at, ends_at),
        };
        let said = Said {
            alert,
            starts_at,
            ends_at,
        };
        (said, report.via(route_of(alert), &target_of(alert)))
    }

    async fn post(&mut self, said: Said, report: Report) {
        let delivery = self.world.delivery(vec![report]);
        let ids = (delivery.intakes[0].spare_episode, delivery.intakes[0].reached[0].job);
        let decisions = self.world.deliver(delivery).await.unwrap();
        let expected = self.table.accept(said, terms_of(said.alert), ids, self.world.now());
        assert_eq!(decisions.len(), 1);
        assert_eq!(decided(&decisions[0]), expected, "{decisions:#?}");
    }

    async fn fire(&mut self, alert: usize) {
        let (said, report) = self.said(alert, None);
        self.post(said, report).await;
    }

    async fn resolve(&mut self, alert: usize) {
        let (said, report) = self.said(alert, Some(self.world.now()));
        self.post(said, report).await;
    }

    async fn fire_at_two(&mut self, alert: usize) {
        let (said, report) = self.said(alert, None);
        let other = self.world.delivery(vec![report.clone()]);
        let mut facts = self.world.store.ledger(&other).await.unwrap();
        self.post(said, report).await;
        for job in decide(&other, &mut facts).jobs {
            // Whatever came of it: the alert has its job.
            let _ = self.world.store.insert_job(job).await;
        }
    }

    async fn decide_again(&mut self) {
        let now = self.world.now();
        let due = self.table.due_held(now);
        let mut decisions = self.world.decide_due().await;
        for (episode, route) in due {
            let concerns =
                |decision: &Decision| decision.episode == Some(episode) && decision.route.as_deref() == Some(route);
            let at = decisions.iter().position(concerns);
            let decision = at.map(|at| decisions.remove(at));
            let made = decision.as_ref().and_then(|decision| decision.job);
            let expected = self.table.decide_again((episode, route), made, now);
            assert_eq!(decision.as_ref().map(decided), expected, "{decision:#?}");
        }
        assert!(decisions.is_empty(), "{decisions:#?}");
    }

    async fn person(&mut self, step: &Step) {
        let (store, by) = (&self.world.store, self.world.by("ada"));
        let all = self.table.in_state(|_| true);
        match step {
            Step::ByHand(target) => {
                let job = self.world.manual(&target_of(*target));
                self.table.by_hand(job.id, job.target.as_str(), by.at);
                self.world.by_hand(job).await;
            }
            Step::Rerun(of) => {
                let finished = self.table.in_state(JobStatus::is_finished);
                if !finished.is_empty() {
                    let of = *of.get(&finished);
                    let job = self.world.rerun(of).await;
                    self.table.rerun(job, of, by.at);
                }
            }
            Step::Cancel(job) if !all.is_empty() => {
                let job = *job.get(&all);
                let answered = answered(&store.cancel(job, by.clone()).await);
                assert_eq!(answered, self.table.asked(|table| table.cancel(job, by.at)));
            }
            Step::Answer(job, approves) if !all.is_empty() => {
                let waiting = self.table.in_state(|status| status == JobStatus::AwaitingApproval);
                let job = *job.get(if waiting.is_empty() { &all } else { &waiting });
                let answer = if *approves { Answer::Approve } else { Answer::Reject };
                let answered = answered(&store.answer(job, answer, by.clone()).await);
                assert_eq!(answered, self.table.asked(|table| table.answer(job, *approves, by.at)));
            }
            _ => {}
        }
    }

    async fn worker(&mut self, step: &Step) {
        let which = match step {
            Step::Claim(free) => return self.claim(*free).await,
            Step::Started(which)
            | Step::Say(which)
            | Step::Seal(which)
            | Step::Task(which)
            | Step::Confirm(which)
            | Step::Release(which)
            | Step::Withdraw(which, _)
            | Step::Finish(which, _) => which,
            _ => return,
        };
        let owners = self.table.owners();
        let choice = if which.1 && !owners.is_empty() {
            &owners
        } else {
            &self.claims
        };
        if choice.is_empty() {
            return;
        }
        let claimed = *which.0.get(choice);
        let (is, must_be) = match step {
            Step::Started(_) | Step::Say(_) | Step::Seal(_) | Step::Task(_) => self.goes_on(step, claimed).await,
            Step::Finish(_, outcome) => self.finish(claimed, *outcome).await,
            _ => self.does_not_begin(step, claimed).await,
        };
        assert_eq!(is, must_be, "{step:?} of {claimed:?}");
    }

    /// What the store answered, and what it must.
    async fn goes_on(&mut self, step: &Step, claimed: Claimed) -> (Answered, Answered) {
        let (store, key) = (&self.world.store, claimed.key);
        let stored = self.table.stored(claimed);
        match step {
            Step::Started(_) => {
                let started = store.started(key, self.world.now(), None).await;
                (answered(&started), self.table.started(claimed))
            }
            Step::Seal(_) => {
                let all = SAYS.repeat(usize::try_from(stored.log_bytes).unwrap() / SAYS.len());
                let sealed = store.seal_log(key, 0, all).await;
                (answered(&sealed), self.table.store(claimed, Stored::default()))
            }
            Step::Task(_) => {
                let recorded = store.record_tasks(key, stored.tasks, vec![task("a task")]).await;
                let more = Stored { tasks: 1, log_bytes: 0 };
                (answered(&recorded), self.table.store(claimed, more))
            }
            _ => {
                let said = store.append_log(key, stored.log_bytes, SAYS.to_vec()).await;
                let log_bytes = SAYS.len() as u64;
                (
                    answered(&said),
                    self.table.store(claimed, Stored { log_bytes, tasks: 0 }),
                )
            }
        }
    }

    async fn finish(&mut self, claimed: Claimed, outcome: Outcome) -> (Answered, Answered) {
        let now = self.world.now();
        let ending = Ending {
            log_bytes: self.table.stored(claimed).log_bytes,
            ..ending(outcome, now)
        };
        let finished = self.world.store.finish(claimed.key, ending).await;
        let again_at = finished.as_ref().ok().map(|job| job.run_at);
        (answered(&finished), self.table.finish(claimed, outcome, again_at, now))
    }

    async fn does_not_begin(&mut self, step: &Step, claimed: Claimed) -> (Answered, Answered) {
        let (store, key, now) = (&self.world.store, claimed.key, self.world.now());
        match step {
            Step::Confirm(_) => {
                let confirmed = store.confirm(key, now).await;
                let must_be = self.table.confirm(claimed, now);
                assert_eq!(confirmed.as_ref().ok(), must_be.as_ref().ok());
                (answered(&confirmed), must_be.err().unwrap_or(Answered::Done))
            }
            Step::Withdraw(_, reason) => {
                let withdrawal = Withdrawal {
                    reason: *reason,
                    message: "it is not wanted".to_owned(),
                };
                let withdrawn = store.withdraw(key, withdrawal, now).await;
                (answered(&withdrawn), self.table.withdraw(claimed, *reason, now))
            }
            _ => {
                let released = store.release(key, "it never began", now).await;
                (answered(&released), self.table.give_back(claimed, now))
            }
        }
    }

    async fn claim(&mut self, free: usize) {
        let claims = self.world.claim(free).await;
        let jobs: Vec<JobId> = claims.iter().map(|claim| claim.key.job).collect();
        assert_eq!(
            jobs,
            self.table.claim(free, self.world.now()),
            "claimed, and to be claimed"
        );
        for claim in claims {
            let claimed = Claimed {
                number: self.claims.len(),
                key: claim.key,
            };
            self.claims.push(claimed);
            self.table.own(claimed);
        }
    }

    /// The store shows what the model says.
    async fn check(&self) {
        let (store, now) = (&self.world.store, self.world.now());
        let rows: BTreeMap<JobId, Row> = self.all().await.iter().map(|job| (job.id, row(job))).collect();
        let must_be = self.table.rows();
        for id in rows.keys().chain(must_be.keys()) {
            assert_eq!(rows.get(id), must_be.get(id), "job {id} is, and must be");
        }
        one_holder(&rows);
        let runs = store.active_runs().await.unwrap();
        let stored = |run: &ActiveRun| Stored {
            log_bytes: run.log_bytes,
            tasks: run.tasks,
        };
        let mut runs: Vec<_> = runs.iter().map(|run| (run.key, stored(run))).collect();
        runs.sort_by_key(|(key, _)| key.job);
        let owners = self.table.owners().into_iter();
        let owners: Vec<_> = owners.map(|owner| (owner.key, self.table.stored(owner))).collect();
        assert_eq!(runs, owners);
        let verifications = store.verifications(now).await.unwrap();
        let verifications: BTreeMap<_, _> = verifications.into_iter().map(|one| (one.job, one.until)).collect();
        assert_eq!(verifications, self.table.verifications(now));
        assert_eq!(store.next_due(now).await.unwrap(), self.table.next_due(now));
        let open: BTreeSet<_> = store
            .breakers()
            .await
            .unwrap()
            .into_iter()
            .map(|open| open.scope)
            .collect();
        let must_be = self.table.broken().iter();
        assert_eq!(open, must_be.map(|route| Scope::Route((*route).to_owned())).collect());
        let held = store.list_held(first(500)).await.unwrap().items;
        let held: BTreeSet<_> = held
            .into_iter()
            .map(|held| (held.episode, held.route, held.due_at))
            .collect();
        let must_be = self.table.held().into_iter();
        assert_eq!(
            held,
            must_be
                .map(|(episode, route, due)| (episode, route.to_owned(), due))
                .collect()
        );
    }

    async fn all(&self) -> Vec<Job> {
        let page = self
            .world
            .store
            .list_jobs(&JobFilter::default(), first(500))
            .await
            .unwrap();
        assert!(page.next.is_none());
        page.items
    }
}

fn decided(decision: &Decision) -> model::Decided {
    let resolved = decision.kind == healgate::domain::decision::DecisionKind::Resolved;
    (decision.kind, decision.job.filter(|_| !resolved))
}

fn answered<T>(answer: &Result<T, StoreError>) -> Answered {
    match answer {
        Ok(_) => Answered::Done,
        Err(StoreError::LostClaim(_)) => Answered::LostClaim,
        Err(StoreError::Conflict(_)) => Answered::Conflict,
        Err(other) => panic!("{other}"),
    }
}

fn row(job: &Job) -> Row {
    let ended = |attempt: &Attempt| attempt.outcome.zip(attempt.finished_at);
    Row {
        status: job.status,
        reason: job.reason,
        route: job.route.clone(),
        target: job.target.as_str().to_owned(),
        trigger: job.trigger,
        created_at: job.created_at,
        run_at: job.run_at,
        started_at: job.started_at,
        finished_at: job.finished_at,
        healed_at: job.healed_at,
        healed_late: job.healed_late,
        stop: job.cancel_requested.as_ref().map(|asked| asked.reason),
        attempts: job.attempts.iter().map(ended).collect(),
    }
}

/// Said once more without the model's help.
fn one_holder(rows: &BTreeMap<JobId, Row>) {
    let mut held = BTreeSet::new();
    for (id, row) in rows {
        let begun = row.status == JobStatus::Queued && !row.attempts.is_empty();
        if begun || matches!(row.status, JobStatus::Running | JobStatus::Verifying) {
            assert!(held.insert(&row.target), "{id} is the second one on {}", row.target);
        }
    }
}

async fn live(flaw: Flaw, steps: Vec<Step>) {
    let mut story = Story::begin(flaw).await;
    for step in &steps {
        story = story.take(step).await;
        story.check().await;
    }
}

/// Tells many stories, and what went wrong in the shortest one that went wrong.
fn tell(flaw: Flaw, runner: &mut TestRunner) -> Result<(), TestError<Vec<Step>>> {
    runner.run(&prop::collection::vec(step(), 1..150), |steps| {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        runtime.block_on(live(flaw, steps));
        Ok(())
    })
}

#[test]
fn the_table_of_jobs_is_what_its_model_says_whatever_happens() {
    let config = ProptestConfig {
        cases: told::number("CASES").map_or(CASES, |cases| cases.try_into().unwrap()),
        failure_persistence: None,
        max_shrink_iters: 1_000,
        ..ProptestConfig::default()
    };
    if let Err(error) = tell(Flaw::None, &mut TestRunner::new(config)) {
        panic!("{error}");
    }
}

#[test]
fn a_table_with_a_flaw_is_found_out_in_as_many_stories() {
    for flaw in [Flaw::NoFence, Flaw::NoIndexOfEpisodeAndRoute, Flaw::NoIndexOfFront] {
        let config = ProptestConfig {
            cases: CASES,
            failure_persistence: None,
            max_shrink_iters: 0,
            ..ProptestConfig::default()
        };
        // The same stories each time: this is about the model.
        let always = TestRng::deterministic_rng(RngAlgorithm::ChaCha);
        let found = tell(flaw, &mut TestRunner::new_with_rng(config, always));
        let Err(TestError::Fail(why, steps)) = found else {
            panic!("{flaw:?} was not found out: {found:?}");
        };
        println!("{flaw:?}: found out in a story of {} steps: {why}", steps.len());
    }
}
