//! What the gateway says about itself: metrics in Prometheus' text format, and its log. Never decides anything.

mod backlog;
mod labels;
pub(crate) mod sample;
mod storage;
#[cfg(test)]
mod tests;

use std::fmt;
use std::io::IsTerminal;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use prometheus_client::encoding::text;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::{Family, MetricConstructor};
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::ParseError;

use crate::domain::alert::Sender;
use crate::domain::decision::DecisionKind;
use crate::domain::heartbeat::Pulse;
use crate::domain::job::{JobStatus, Reason};
use crate::domain::timestamp::Timestamp;
use crate::store::read::{Backlog, StatusCount};
use crate::telemetry::backlog::BacklogMetrics;
use crate::telemetry::labels::{
    DecisionLabels, FinishedLabels, MessageLabels, PlaybookLabel, RouteLabel, SenderLabel, StartLabel, StateLabel,
    StatusLabel, VersionLabel,
};
pub use crate::telemetry::storage::StorageMetrics;

/// Seconds from a millisecond to ten, for what a request or a commit takes.
const QUICK: &[f64] = &[
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0,
];

/// Seconds up to an hour, for what a playbook takes, waits for or heals.
const SLOW: &[f64] = &[
    0.1, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1_800.0, 3_600.0,
];

/// The families whose samples end in `_total`: the library names the family without it, as OpenMetrics does, the
/// older text format names it with it.
const COUNTERS: [&str; 8] = [
    "healgate_notifications",
    "healgate_alert_decisions",
    "healgate_jobs_finished",
    "healgate_runs_started",
    "healgate_notifier_messages",
    "healgate_pruned_records",
    "healgate_pruned_log_bytes",
    "healgate_database_given_back_bytes",
];

/// The content type of what [`Metrics::encode`] gives.
pub const METRICS_CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// The gateway's metrics; a clone counts into the same ones.
#[derive(Clone, Debug)]
pub struct Metrics {
    inner: Arc<Inner>,
}

/// How many warm interpreters there are, and how many bytes of memory they have.
type ReadWarmUsage = dyn Fn() -> (u64, u64) + Send + Sync;

/// Who knows that.
struct WarmUsage(Box<ReadWarmUsage>);

impl fmt::Debug for WarmUsage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("WarmUsage")
    }
}

#[derive(Debug)]
struct Inner {
    registry: Registry,
    notifications: Family<SenderLabel, Counter>,
    decisions: Family<DecisionLabels, Counter>,
    jobs: Family<StatusLabel, Gauge<u64, AtomicU64>>,
    jobs_finished: Family<FinishedLabels, Counter>,
    run_duration: Family<PlaybookLabel, Histogram, Buckets>,
    queue_wait: Histogram,
    time_to_heal: Family<RouteLabel, Histogram, Buckets>,
    worker_slots: Family<StateLabel, Gauge<u64, AtomicU64>>,
    runs_started: Family<StartLabel, Counter>,
    messages: Family<MessageLabels, Counter>,
    warm_interpreters: Gauge<u64, AtomicU64>,
    warm_memory: Gauge<u64, AtomicU64>,
    warm_usage: OnceLock<WarmUsage>,
    webhook_duration: Histogram,
    store_commit: Histogram,
    heartbeat_last: Family<RouteLabel, Gauge<u64, AtomicU64>>,
    heartbeat_missed: Family<RouteLabel, Gauge<u64, AtomicU64>>,
    /// The routes that these two have samples of.
    heartbeat_routes: Mutex<Vec<String>>,
    backlog: BacklogMetrics,
    storage: StorageMetrics,
}

/// Makes the histograms of a family.
#[derive(Clone, Copy, Debug)]
struct Buckets(&'static [f64]);

impl MetricConstructor<Histogram> for Buckets {
    fn new_metric(&self) -> Histogram {
        Histogram::new(self.0.iter().copied())
    }
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

impl Metrics {
    /// All of them, at zero.
    pub fn new() -> Self {
        let mut inner = Inner {
            registry: Registry::default(),
            notifications: Family::default(),
            decisions: Family::default(),
            jobs: Family::default(),
            jobs_finished: Family::default(),
            run_duration: Family::new_with_constructor(Buckets(SLOW)),
            queue_wait: Buckets(SLOW).new_metric(),
            time_to_heal: Family::new_with_constructor(Buckets(SLOW)),
            worker_slots: Family::default(),
            runs_started: Family::default(),
            messages: Family::default(),
            warm_interpreters: Gauge::default(),
            warm_memory: Gauge::default(),
            warm_usage: OnceLock::new(),
            webhook_duration: Buckets(QUICK).new_metric(),
            store_commit: Buckets(QUICK).new_metric(),
            heartbeat_last: Family::default(),
            heartbeat_missed: Family::default(),
            heartbeat_routes: Mutex::default(),
            backlog: BacklogMetrics::default(),
            storage: StorageMetrics::default(),
        };
        inner.register();
        let metrics = Self { inner: Arc::new(inner) };
        // So that a rate over them is 0 and not absent before the first notification.
        for sender in [Sender::Alertmanager, Sender::Grafana] {
            let label = SenderLabel {
                sender: sender.as_str(),
            };
            drop(metrics.inner.notifications.get_or_create(&label));
        }
        for start in ["warm", "cold"] {
            drop(metrics.inner.runs_started.get_or_create(&StartLabel { start }));
        }
        metrics
    }

    /// A webhook was accepted.
    pub fn notification(&self, sender: Sender) {
        let sender = sender.as_str();
        self.inner.notifications.get_or_create(&SenderLabel { sender }).inc();
    }

    /// A decision was taken; without a route its label is empty.
    pub fn decision(&self, route: Option<&str>, kind: DecisionKind) {
        let labels = DecisionLabels {
            route: route.unwrap_or_default().to_owned(),
            decision: kind.as_str(),
        };
        self.inner.decisions.get_or_create(&labels).inc();
    }

    /// A job is finished.
    pub fn job_finished(&self, playbook: &str, route: Option<&str>, status: JobStatus, reason: Reason) {
        let labels = FinishedLabels {
            playbook: playbook.to_owned(),
            route: route.unwrap_or_default().to_owned(),
            status: status.as_str(),
            reason: reason.as_str(),
        };
        self.inner.jobs_finished.get_or_create(&labels).inc();
    }

    /// How long one attempt took.
    pub fn run_duration(&self, playbook: &str, took: Duration) {
        let label = PlaybookLabel {
            playbook: playbook.to_owned(),
        };
        self.inner
            .run_duration
            .get_or_create(&label)
            .observe(took.as_secs_f64());
    }

    /// How long a job waited from when it might have run to its claim.
    pub fn queue_wait(&self, waited: Duration) {
        self.inner.queue_wait.observe(waited.as_secs_f64());
    }

    /// How long it took from the episode's begin until it was healed.
    pub fn time_to_heal(&self, route: Option<&str>, took: Duration) {
        let label = RouteLabel {
            route: route.unwrap_or_default().to_owned(),
        };
        self.inner
            .time_to_heal
            .get_or_create(&label)
            .observe(took.as_secs_f64());
    }

    /// How many slots run something now, and how many do not.
    pub fn worker_slots(&self, busy: u64, free: u64) {
        for (state, count) in [("busy", busy), ("free", free)] {
            self.inner.worker_slots.get_or_create(&StateLabel { state }).set(count);
        }
    }

    /// A run has started.
    pub fn run_started(&self, warm: bool) {
        let start = if warm { "warm" } else { "cold" };
        self.inner.runs_started.get_or_create(&StartLabel { start }).inc();
    }

    /// What came of a try to send a message: `sent`, `retried`, `failed` or `dropped`.
    pub fn message(&self, notifier: &str, event: &str, result: &'static str) {
        let labels = MessageLabels {
            notifier: notifier.to_owned(),
            event: event.to_owned(),
            result,
        };
        self.inner.messages.get_or_create(&labels).inc();
    }

    /// Has warm interpreters looked at whenever the metrics are read: how many, and their bytes of memory. Once.
    pub fn watch_warm(&self, read: impl Fn() -> (u64, u64) + Send + Sync + 'static) {
        let _already_watched = self.inner.warm_usage.set(WarmUsage(Box::new(read)));
    }

    /// How long a webhook took from its first byte to its answer.
    pub fn webhook_duration(&self, took: Duration) {
        self.inner.webhook_duration.observe(took.as_secs_f64());
    }

    /// How long one commit took.
    pub fn store_commit(&self, took: Duration) {
        self.inner.store_commit.observe(took.as_secs_f64());
    }

    /// How long ago each heartbeat came, or began to be waited for, and whether it is missed; others have no samples any
    /// more.
    pub fn heartbeats(&self, pulses: &[Pulse], now: Timestamp) {
        let mut known = self
            .inner
            .heartbeat_routes
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        for gone in known
            .iter()
            .filter(|route| pulses.iter().all(|pulse| pulse.route != **route))
        {
            let label = RouteLabel { route: gone.clone() };
            self.inner.heartbeat_last.remove(&label);
            self.inner.heartbeat_missed.remove(&label);
        }
        *known = pulses.iter().map(|pulse| pulse.route.clone()).collect();
        for pulse in pulses {
            let label = RouteLabel {
                route: pulse.route.clone(),
            };
            let age = now.since(pulse.last_sign()).as_secs();
            self.inner.heartbeat_last.get_or_create(&label).set(age);
            let missed = u64::from(pulse.missed_since.is_some());
            self.inner.heartbeat_missed.get_or_create(&label).set(missed);
        }
    }

    /// How long what waits has waited.
    pub fn backlog(&self, backlog: &Backlog, now: Timestamp) {
        self.inner.backlog.show(backlog, now);
    }

    /// Those of the database's file.
    pub fn storage(&self) -> &StorageMetrics {
        &self.inner.storage
    }

    /// All metrics in Prometheus' text format, version 0.0.4; a status that is not in `jobs` has none.
    pub fn encode(&self, jobs: &[StatusCount]) -> String {
        for status in JobStatus::ALL {
            let count = jobs
                .iter()
                .find(|known| known.status == *status)
                .map_or(0, |known| known.count);
            let label = StatusLabel {
                status: status.as_str(),
            };
            self.inner.jobs.get_or_create(&label).set(count);
        }
        if let Some(WarmUsage(read)) = self.inner.warm_usage.get() {
            let (interpreters, bytes) = read();
            self.inner.warm_interpreters.set(interpreters);
            self.inner.warm_memory.set(bytes);
        }
        self.inner.storage.look();
        let mut open_metrics = String::new();
        // Writing into a String cannot fail.
        let _ = text::encode_registry(&mut open_metrics, &self.inner.registry);
        as_text_format(&open_metrics)
    }
}

impl Inner {
    fn register(&mut self) {
        let registry = &mut self.registry;
        registry.register(
            "healgate_notifications",
            "Webhooks accepted",
            self.notifications.clone(),
        );
        registry.register("healgate_alert_decisions", "Decisions taken", self.decisions.clone());
        registry.register("healgate_jobs", "Jobs by status", self.jobs.clone());
        registry.register("healgate_jobs_finished", "Jobs finished", self.jobs_finished.clone());
        let help = "How long attempts took";
        registry.register("healgate_run_duration_seconds", help, self.run_duration.clone());
        let help = "How long jobs waited for their claim";
        registry.register("healgate_queue_wait_seconds", help, self.queue_wait.clone());
        let help = "From an episode's begin until it was healed";
        registry.register("healgate_time_to_heal_seconds", help, self.time_to_heal.clone());
        registry.register("healgate_worker_slots", "Slots by state", self.worker_slots.clone());
        registry.register("healgate_runs_started", "Runs started", self.runs_started.clone());
        let help = "Tries to send messages to notifiers";
        registry.register("healgate_notifier_messages", help, self.messages.clone());
        let help = "Warm interpreters";
        registry.register("healgate_warm_interpreters", help, self.warm_interpreters.clone());
        let help = "Resident memory of warm interpreters";
        registry.register("healgate_warm_memory_bytes", help, self.warm_memory.clone());
        let help = "From a webhook's first byte to its answer";
        registry.register("healgate_webhook_duration_seconds", help, self.webhook_duration.clone());
        let help = "How long commits to the database took";
        registry.register("healgate_store_commit_seconds", help, self.store_commit.clone());
        let help = "Since a route's heartbeat last came";
        registry.register("healgate_heartbeat_last_seconds", help, self.heartbeat_last.clone());
        let help = "1 while a route's heartbeat is missed";
        registry.register("healgate_heartbeat_missed", help, self.heartbeat_missed.clone());
        self.backlog.register(registry);
        self.storage.register(registry);
        let build = Family::<VersionLabel, Gauge<u64, AtomicU64>>::default();
        let version = env!("CARGO_PKG_VERSION");
        build.get_or_create(&VersionLabel { version }).set(1);
        registry.register("healgate_build_info", "The program's version", build);
    }
}

/// Names the families of counters as their samples are named, which is all that the two formats differ in here.
fn as_text_format(open_metrics: &str) -> String {
    let mut text = String::with_capacity(open_metrics.len() + 64);
    for line in open_metrics.lines() {
        let mut words = line.splitn(4, ' ');
        match (words.next(), words.next(), words.next(), words.next()) {
            (Some("#"), Some(keyword), Some(name), Some(rest)) if COUNTERS.contains(&name) => {
                text.extend(["# ", keyword, " ", name, "_total ", rest]);
            }
            _ => text.push_str(line),
        }
        text.push('\n');
    }
    text
}

/// Sends the log to standard error, as JSON lines if `json`, filtered by `filter` as in `info,healgate=debug`.
///
/// # Errors
///
/// The filter cannot be read.
pub fn init_tracing(filter: &str, json: bool) -> Result<(), ParseError> {
    let filter = EnvFilter::builder().parse(filter)?;
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(std::io::stderr().is_terminal())
        .with_writer(std::io::stderr)
        // It would say so on stderr, and panic as that fails too: no full disk, no closed pipe may end the gateway.
        .log_internal_errors(false);
    // Whoever has set a subscriber already keeps it.
    let _already_set = if json {
        builder.json().flatten_event(true).try_init()
    } else {
        builder.try_init()
    };
    Ok(())
}
