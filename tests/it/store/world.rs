//! A store on a fresh folder, a clock that the story moves, and short words for what senders and workers do.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use healgate::clock::{Clock, Ids};
use healgate::domain::aftercare::{Aftercare, Rung};
use healgate::domain::alert::{Alert, AlertStatus, Group, Sender};
use healgate::domain::attempt::{AttemptKey, Ending, Outcome, TaskResult};
use healgate::domain::checks::Checks;
use healgate::domain::decision::{Decision, DecisionKind};
use healgate::domain::host_stats::HostStats;
use healgate::domain::ids::{Fingerprint, JobId, NotificationId, Target};
use healgate::domain::job::{Job, JobStatus, NewJob, Reason, Trigger};
use healgate::domain::notify::{Message, Notify, NotifyEvent, Sending};
use healgate::domain::parameters::{Parameters, Plan};
use healgate::domain::policy::{Delivery, Intake, Reached};
use healgate::domain::route::{Mode, OnResolved, Route};
use healgate::domain::rules::Fleet;
use healgate::domain::span::Span;
use healgate::domain::timestamp::Timestamp;
use healgate::store::observe::{Committed, Observer};
use healgate::store::outbox::Outbox;
use healgate::store::read::PageRequest;
use healgate::store::sqlite::{self, SqliteStore};
use healgate::store::upkeep::Upkeep;
use healgate::store::{By, Claim, HeldBack, Received, Store, StoreError};

use rusqlite::Connection;

use crate::support::wait::until;

/// Remembers what the commits said.
#[derive(Debug, Default)]
pub(super) struct Heard(pub(super) Mutex<Committed>);

impl Observer for Heard {
    fn committed(&self, committed: &Committed) {
        let mut all = self.0.lock().unwrap();
        all.touched.extend(&committed.touched);
        all.asked_to_stop.extend(&committed.asked_to_stop);
        all.finished.extend(committed.finished.iter().cloned());
        all.waits.extend(&committed.waits);
        all.outbox_grew |= committed.outbox_grew;
    }
}

/// Moved by the story.
#[derive(Debug)]
struct StoryClock(Arc<AtomicI64>);

impl Clock for StoryClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_micros(self.0.load(Ordering::SeqCst))
    }
}

pub(super) async fn open(folder: &Path, heard: Arc<Heard>) -> Result<SqliteStore, StoreError> {
    SqliteStore::open(&folder.join("healgate.db"), heard).await
}

pub(super) struct World {
    pub(super) store: Arc<dyn Store>,
    pub(super) outbox: Arc<dyn Outbox>,
    pub(super) upkeep: Arc<dyn Upkeep>,
    pub(super) heard: Arc<Heard>,
    ids: Ids,
    now: Arc<AtomicI64>,
    /// The rules for all routes together.
    pub(super) fleet: Mutex<Fleet>,
    /// The catalogue: every route that an alert has reached so far.
    routes: Mutex<Vec<Route>>,
    _folder: tempfile::TempDir,
}

impl World {
    pub(super) async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let heard = Arc::new(Heard::default());
        let store = Arc::new(open(folder.path(), Arc::clone(&heard)).await.unwrap());
        Self {
            store: Arc::<SqliteStore>::clone(&store),
            upkeep: Arc::<SqliteStore>::clone(&store),
            outbox: store,
            heard,
            ids: Ids::default(),
            now: Arc::new(AtomicI64::new(1_790_000_000_000_000)),
            fleet: Mutex::default(),
            routes: Mutex::default(),
            _folder: folder,
        }
    }

    /// The same world after the store was closed, however that went, and opened again.
    pub(super) async fn restart(self) -> Self {
        let Self {
            store,
            outbox,
            upkeep,
            heard,
            _folder,
            ..
        } = self;
        drop((store, outbox, upkeep));
        // The writer lets go of the file a moment later.
        let opened = until("the store is open again", || async {
            open(_folder.path(), Arc::clone(&heard)).await.ok()
        });
        let store = Arc::new(opened.await);
        Self {
            store: Arc::<SqliteStore>::clone(&store),
            upkeep: Arc::<SqliteStore>::clone(&store),
            outbox: store,
            heard,
            _folder,
            ..self
        }
    }

    /// A file of the world's folder; its database is `healgate.db`.
    pub(super) fn path(&self, name: &str) -> PathBuf {
        self._folder.path().join(name)
    }

    /// What the commits of all that was answered have said.
    pub(super) async fn heard(&self) -> MutexGuard<'_, Committed> {
        // They are told of after the answer, but before the next commit.
        self.store.probe().await.unwrap();
        self.heard.0.lock().unwrap()
    }

    /// What is wrong with the database's pages, indexes and references, and with what it counts.
    pub(super) fn damage(&self) -> Vec<String> {
        let mut damage = sqlite::check(&self.path("healgate.db")).unwrap().findings;
        let database = Connection::open(self.path("healgate.db")).unwrap();
        let wrong = "SELECT COUNT(*) FROM ended_jobs AS counted
                     WHERE  counted.jobs <> (SELECT COUNT(*) FROM jobs WHERE jobs.status = counted.status)";
        let wrong: i64 = database.query_row(wrong, [], |row| row.get(0)).unwrap();
        damage.extend((wrong > 0).then(|| "ended jobs are counted wrongly".to_owned()));
        damage
    }

    /// Changes the database behind the store's back.
    pub(super) fn meddle(&self, statement: &'static str) {
        let connection = Connection::open(self.path("healgate.db")).unwrap();
        connection.execute_batch(statement).unwrap();
    }

    /// The same, and what came of it.
    pub(super) fn intrude(&self, statement: &str) -> Result<(), rusqlite::Error> {
        let database = Connection::open(self.path("healgate.db"))?;
        database.busy_timeout(Duration::from_secs(5))?;
        database.execute_batch(statement)
    }

    pub(super) fn now(&self) -> Timestamp {
        Timestamp::from_micros(self.now.load(Ordering::SeqCst))
    }

    /// The same time for whoever asks a clock.
    pub(super) fn clock(&self) -> Arc<dyn Clock> {
        Arc::new(StoryClock(Arc::clone(&self.now)))
    }

    pub(super) fn ago(&self, seconds: u64) -> Timestamp {
        self.now() - Duration::from_secs(seconds)
    }

    pub(super) fn pass(&self, seconds: i64) {
        self.now.fetch_add(seconds * 1_000_000, Ordering::SeqCst);
    }

    /// A millisecond passes.
    pub(super) fn tick(&self) {
        self.now.fetch_add(1_000, Ordering::SeqCst);
    }

    /// A delivery, as the webhook would make it.
    pub(super) fn delivery(&self, reports: Vec<Report>) -> Delivery {
        let now = self.now();
        let intakes = reports.into_iter().map(|report| Intake {
            reached: report
                .reached
                .into_iter()
                .map(|(route, plan)| self.reach(route, plan))
                .collect(),
            alert: report.alert,
            spare_episode: self.ids.episode(now),
        });
        Delivery {
            intakes: intakes.collect(),
            id: self.ids.notification(now),
            received_at: now,
            posted_by: "alertmanager".to_owned(),
            group: Group {
                receiver: "healgate".to_owned(),
                group_key: "{}:{alertname=\"NginxDown\"}".to_owned(),
                ..Group::default()
            },
            fleet: self.fleet.lock().unwrap().clone(),
        }
    }

    /// The route's playbook, its ladder and its clean-up, all on the plan's target.
    fn reach(&self, route: Route, plan: Plan) -> Reached {
        self.replace_route(route.clone());
        let rung = |playbook: &String| {
            let of_rung = Plan {
                playbook: playbook.clone(),
                ..plan.clone()
            };
            Rung::new(self.ids.job(self.now()), playbook, Ok(of_rung))
        };
        let job = self.ids.job(self.now());
        Reached {
            ladder: route.otherwise.iter().map(rung).collect(),
            cleanup: match &route.on_resolved {
                OnResolved::Run(playbook) => Some(rung(playbook)),
                OnResolved::Ignore | OnResolved::Cancel => None,
            },
            argv: HashMap::from([(job, vec!["ansible-playbook".to_owned(), plan.parameters.path.clone()])]),
            plan: Some(Ok(plan)),
            job,
            is_released: false,
            route,
        }
    }

    /// Decides again about all that is due, as the gateway does.
    pub(super) async fn decide_due(&self) -> Vec<Decision> {
        let mut again = Vec::new();
        for held in self.store.due_held(self.now(), 100).await.unwrap() {
            match held.follows {
                Some(job) => self.store.climb_again(job, self.now()).await.unwrap(),
                None => again.push((held.clone(), self.again(&held))),
            }
        }
        self.store.decide_again(again).await.unwrap()
    }

    fn again(&self, held: &HeldBack) -> Delivery {
        let known = self
            .routes
            .lock()
            .unwrap()
            .iter()
            .find(|route| route.name == held.route)
            .cloned();
        let reached = known.map(|route| {
            let mut reached = self.reach(route, plan(held.target.as_str()));
            reached.is_released = held.released_by.is_some();
            reached
        });
        let mut delivery = self.delivery(vec![]);
        delivery.intakes.push(Intake {
            reached: reached.into_iter().collect(),
            alert: held.alert.clone(),
            spare_episode: held.episode,
        });
        delivery
    }

    /// As if a reload had changed that route.
    pub(super) fn replace_route(&self, route: Route) {
        let mut routes = self.routes.lock().unwrap();
        routes.retain(|known| known.name != route.name);
        routes.push(route);
    }

    /// As if a reload had taken every route out of the catalogue.
    pub(super) fn forget_routes(&self) {
        self.routes.lock().unwrap().clear();
    }

    /// What is held back now, and until when.
    pub(super) async fn held(&self) -> Vec<(DecisionKind, Option<Timestamp>)> {
        let page = self.store.list_held(first(500)).await.unwrap();
        page.items.into_iter().map(|held| (held.kind, held.due_at)).collect()
    }

    pub(super) async fn deliver(&self, delivery: Delivery) -> Result<Vec<Decision>, StoreError> {
        self.store.accept(received(), delivery).await
    }

    /// Posts a notification.
    pub(super) async fn post(&self, reports: Vec<Report>) -> Vec<Decision> {
        self.deliver(self.delivery(reports)).await.unwrap()
    }

    /// Posts a firing alert and answers with the job that it made.
    pub(super) async fn job_for(&self, report: Report) -> JobId {
        let decisions = self.post(vec![report]).await;
        let made = decisions
            .iter()
            .find(|decision| matches!(decision.kind, DecisionKind::Queued | DecisionKind::AwaitingApproval));
        made.unwrap().job.unwrap()
    }

    /// Inserts a job that a person asked for.
    pub(super) async fn by_hand(&self, job: NewJob) -> JobId {
        let id = job.id;
        self.store.insert_job(job).await.unwrap();
        id
    }

    pub(super) fn manual(&self, target: &str) -> NewJob {
        NewJob {
            id: self.ids.job(self.now()),
            status: JobStatus::Queued,
            playbook: "restart-container".to_owned(),
            route: None,
            target: Target::parse(target).unwrap(),
            trigger: Trigger::Manual,
            triggered_by: "ada".to_owned(),
            rerun_of: None,
            follows: None,
            episode: None,
            alert: None,
            group: None,
            parameters: parameters(),
            by_hand: None,
            changes: None,
            resolved_within: None,
            on_resolved: OnResolved::Ignore,
            aftercare: Aftercare::default(),
            notify: None,
            checks: Checks::default(),
            created_at: self.now(),
            expires_at: self.now() + Duration::from_secs(3_600),
            runs_within: None,
        }
    }

    /// A re-run of a finished job.
    pub(super) async fn rerun(&self, of: JobId) -> JobId {
        let job = self.job(of).await;
        self.by_hand(NewJob {
            trigger: Trigger::Rerun,
            rerun_of: Some(of),
            route: job.route,
            episode: job.episode,
            alert: job.alert,
            group: job.group,
            resolved_within: Some(Span::from_secs(120)),
            ..self.manual(job.target.as_str())
        })
        .await
    }

    pub(super) async fn claim(&self, free: usize) -> Vec<Claim> {
        self.store.claim("worker-1", free, self.now()).await.unwrap()
    }

    /// Claims the one job that is ready.
    pub(super) async fn claim_one(&self) -> AttemptKey {
        let claims = self.claim(10).await;
        assert_eq!(claims.len(), 1, "{claims:#?}");
        claims[0].key
    }

    pub(super) async fn claimed(&self, free: usize) -> Vec<JobId> {
        self.claim(free).await.into_iter().map(|claim| claim.key.job).collect()
    }

    pub(super) async fn end(&self, key: AttemptKey, outcome: Outcome) -> Job {
        self.store.finish(key, ending(outcome, self.now())).await.unwrap()
    }

    pub(super) async fn job(&self, id: JobId) -> Job {
        self.store.find_job(id).await.unwrap().unwrap()
    }

    /// The job's status and reason.
    pub(super) async fn state(&self, id: JobId) -> (JobStatus, Option<Reason>) {
        let job = self.job(id).await;
        (job.status, job.reason)
    }

    /// The words of the job's history.
    pub(super) async fn history(&self, id: JobId) -> Vec<String> {
        let page = self.store.job_events(id, first(500)).await.unwrap();
        page.items.into_iter().map(|event| event.event).collect()
    }

    /// The words and sentences of the job's history that are about telling people.
    pub(super) async fn told(&self, id: JobId) -> Vec<String> {
        let page = self.store.job_events(id, first(500)).await.unwrap();
        let about = page.items.into_iter().filter(|event| event.event.contains("notified"));
        about
            .map(|event| format!("{}: {}", event.event, event.message))
            .collect()
    }

    /// Takes the messages to a notifier out of the outbox, as if each were sent.
    pub(super) async fn messages(&self, notifier: &str) -> Vec<Message> {
        let mut messages = Vec::new();
        while let Some(message) = self.outbox.next_message(notifier).await.unwrap() {
            self.outbox.tried(&message, Sending::Sent, self.now()).await.unwrap();
            messages.push(message);
        }
        messages
    }

    /// The events of these.
    pub(super) async fn events_for(&self, notifier: &str) -> Vec<&'static str> {
        let messages = self.messages(notifier).await;
        messages.iter().map(|message| message.event.as_str()).collect()
    }

    pub(super) fn by(&self, name: &str) -> By {
        By {
            name: name.to_owned(),
            at: self.now(),
            comment: Some("because".to_owned()),
        }
    }

    pub(super) fn unknown_job(&self) -> JobId {
        self.ids.job(self.now())
    }

    pub(super) fn unknown_notification(&self) -> NotificationId {
        self.ids.notification(self.now())
    }
}

/// One alert of a notification, and what its routes would run.
#[derive(Clone, Debug)]
pub(super) struct Report {
    pub(super) alert: Alert,
    pub(super) reached: Vec<(Route, Plan)>,
}

impl Report {
    pub(super) fn via(mut self, route: Route, target: &str) -> Self {
        self.reached.push((route, plan(target)));
        self
    }

    pub(super) fn with(mut self, label: &str, value: &str) -> Self {
        self.alert.labels.insert(label.to_owned(), value.to_owned());
        self
    }
}

/// A firing alert with that fingerprint, which began then.
pub(super) fn firing(fingerprint: &str, starts_at: Timestamp) -> Report {
    let labels = [("alertname", "NginxDown"), ("container", "nginx")];
    Report {
        alert: Alert {
            status: AlertStatus::Firing,
            labels: labels
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .into_iter()
                .collect(),
            annotations: BTreeMap::from([("summary".to_owned(), "nginx is down".to_owned())]),
            starts_at,
            ends_at: None,
            fingerprint: Fingerprint::parse(fingerprint).unwrap(),
            generator_url: "http://prometheus:9090/graph".to_owned(),
        },
        reached: Vec::new(),
    }
}

/// The same alert, resolved.
pub(super) fn resolved(fingerprint: &str, starts_at: Timestamp, ends_at: Timestamp) -> Report {
    let mut report = firing(fingerprint, starts_at);
    report.alert.status = AlertStatus::Resolved;
    report.alert.ends_at = Some(ends_at);
    report
}

pub(super) fn route(name: &str) -> Route {
    Route {
        name: name.to_owned(),
        matchers: Vec::new(),
        playbook: Some("restart-container".to_owned()),
        mode: Mode::Auto,
        goes_on: true,
        resolved_within: None,
        on_resolved: OnResolved::Ignore,
        expires: Span::from_secs(3_600),
        again_after: None,
        approval_expires: Span::from_secs(3_600),
        cooldown: Span::default(),
        caps: Vec::new(),
        retry: None,
        otherwise: Vec::new(),
        breaker: None,
        flap: None,
        at_once: None,
        unless: Vec::new(),
        heartbeat: None,
        notify: None,
        checks: Checks::default(),
    }
}

/// A route that has a running job stopped when its alert resolves.
pub(super) fn stopped_when_resolved(name: &str) -> Route {
    Route {
        on_resolved: OnResolved::Cancel,
        ..verified(name)
    }
}

/// A route that gives the alert two minutes to resolve.
pub(super) fn verified(name: &str) -> Route {
    Route {
        resolved_within: Some(Span::from_secs(120)),
        ..route(name)
    }
}

/// That route, with `ops` being told of these events.
pub(super) fn telling(events: &[NotifyEvent], route: Route) -> Route {
    let notify = Notify {
        to: vec!["ops".to_owned()],
        events: events.to_vec(),
    };
    Route {
        notify: Some(notify),
        ..route
    }
}

/// A route that asks a person.
pub(super) fn asking(name: &str) -> Route {
    Route {
        mode: Mode::Approve,
        ..route(name)
    }
}

pub(super) fn parameters() -> Parameters {
    Parameters {
        path: "playbooks/restart_container.yml".to_owned(),
        inventory: "inventory/hosts.yml".to_owned(),
        limit: None,
        vars: serde_json::Map::from_iter([("container".to_owned(), "nginx".into())]),
        tags: Vec::new(),
        skip_tags: Vec::new(),
        check: false,
        diff: false,
        forks: None,
        verbosity: 0,
        env: BTreeMap::new(),
        env_files: BTreeMap::new(),
        secrets: Vec::new(),
        vault_password_file: None,
        private_key_file: None,
        remote_user: None,
        become_root: false,
        timeout: Span::from_secs(600),
        playbook_sha256: None,
    }
}

fn plan(target: &str) -> Plan {
    Plan {
        playbook: "restart-container".to_owned(),
        target: Target::parse(target).unwrap(),
        parameters: parameters(),
        checks: Checks::default(),
    }
}

pub(super) fn received() -> Received {
    Received {
        sender: Sender::Alertmanager,
        body: b"{\"version\": \"4\",\n \"alerts\": []}\n".to_vec(),
        truncated_alerts: 0,
    }
}

pub(super) fn ending(outcome: Outcome, finished_at: Timestamp) -> Ending {
    let stats = HostStats {
        ok: 1,
        failed: u64::from(outcome == Outcome::HostsFailed),
        ..HostStats::default()
    };
    Ending {
        outcome,
        message: None,
        exit_code: Some(i32::from(outcome != Outcome::Ok)),
        recap: BTreeMap::from([("web1".to_owned(), stats)]),
        finished_at,
        log_bytes: 0,
        log_truncated: false,
        start: None,
    }
}

pub(super) fn task(name: &str) -> TaskResult {
    TaskResult {
        play: "Restart".to_owned(),
        task: name.to_owned(),
        path: Some("playbooks/restart_container.yml:7".to_owned()),
        host: "web1".to_owned(),
        action: "ansible.builtin.command".to_owned(),
        status: "changed".to_owned(),
        started_at: Timestamp::from_micros(1_790_000_000_123_456),
        seconds: 0.1,
        message: None,
        items: None,
        diff: Some(serde_json::json!({"before": "a", "after": "b"})),
    }
}

/// The first page of that many.
pub(super) fn first(limit: u32) -> PageRequest {
    PageRequest { limit, after: None }
}
