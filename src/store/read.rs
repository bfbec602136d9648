//! What reading from the store takes and gives: filters, pages, and the shapes that only readers need.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Serialize;

use crate::domain::alert::{AlertStatus, Labels, Sender};
use crate::domain::decision::{DecisionKind, WouldRun};
use crate::domain::ids::{EpisodeId, Fingerprint, JobId, NotificationId};
use crate::domain::job::{Job, JobEvent, JobStatus, Reason, Trigger};
use crate::domain::timestamp::Timestamp;

/// A part of a list: at most `limit` items, after the one that `after` names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PageRequest {
    /// 1 to 500.
    pub limit: u32,
    /// The sort key of the last item of the page before; adapters make and read it.
    pub after: Option<String>,
}

impl PageRequest {
    /// The first page.
    pub fn first(limit: u32) -> Self {
        Self { limit, after: None }
    }
}

/// Items, and where the next page begins, if there is one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page<T> {
    pub items: Vec<T>,
    pub next: Option<String>,
}

/// Which jobs to list. Within one field any of the values will do; all fields must hold.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct JobFilter {
    pub status: Vec<JobStatus>,
    pub reason: Vec<Reason>,
    pub playbook: Vec<String>,
    pub route: Vec<String>,
    pub target: Vec<String>,
    pub alertname: Vec<String>,
    pub fingerprint: Vec<String>,
    pub trigger: Vec<Trigger>,
    /// `created_at` not before.
    pub since: Option<Timestamp>,
    /// `created_at` not after.
    pub until: Option<Timestamp>,
    /// Any of the texts must occur in the job's id, playbook, route, target or labels, in any case.
    pub q: Vec<String>,
}

/// Which alerts to list.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AlertFilter {
    /// Any of these will do; all, where none is named.
    pub status: Vec<AlertStatus>,
}

/// How far a log goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogHead {
    pub bytes: u64,
    /// Nothing will be added.
    pub complete: bool,
}

/// An alert in the list of alerts: its last episode.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AlertSummary {
    pub fingerprint: Fingerprint,
    pub alertname: String,
    pub labels: Labels,
    pub annotations: Labels,
    pub generator_url: String,
    pub firing: bool,
    pub starts_at: Timestamp,
    pub last_received_at: Timestamp,
    pub episodes: u64,
    pub jobs: u64,
}

/// One stretch of an alert.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Episode {
    pub id: EpisodeId,
    pub starts_at: Timestamp,
    pub opened_at: Timestamp,
    pub last_received_at: Timestamp,
    /// How many reports of it came.
    pub received: u64,
    pub ended_at: Option<Timestamp>,
    pub closed_at: Option<Timestamp>,
    /// Its `resolved` never came; a later episode showed that it was over.
    pub missed: bool,
}

/// A decision as stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredDecision {
    pub at: Timestamp,
    pub notification: Option<NotificationId>,
    pub episode: Option<EpisodeId>,
    pub fingerprint: Fingerprint,
    pub alertname: String,
    pub route: Option<String>,
    pub kind: DecisionKind,
    pub reason: String,
    pub job: Option<JobId>,
    pub would_run: Option<WouldRun>,
}

/// All that is known of one alert, newest first; each list is capped at 500.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AlertStory {
    pub summary: AlertSummary,
    pub episodes: Vec<Episode>,
    pub decisions: Vec<StoredDecision>,
    pub jobs: Vec<Job>,
    /// Of these jobs.
    pub events: Vec<StoredEvent>,
}

/// An entry of a job's history.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredEvent {
    pub job: JobId,
    pub event: JobEvent,
}

/// A notification in the list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NotificationSummary {
    pub id: NotificationId,
    pub received_at: Timestamp,
    pub sender: Sender,
    pub posted_by: String,
    pub receiver: String,
    pub group_key: String,
    pub alerts: u64,
    pub truncated_alerts: u64,
}

/// A notification with its body and what was decided.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NotificationDetail {
    pub summary: NotificationSummary,
    /// As received, byte for byte.
    pub body: Vec<u8>,
    pub decisions: Vec<StoredDecision>,
}

/// How many jobs have a status.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct StatusCount {
    pub status: JobStatus,
    pub count: u64,
}

/// What waits, and since when the oldest of it does; `None` where nothing waits.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Backlog {
    /// Jobs that may start, as soon as somebody claims them.
    pub for_slot: Option<Timestamp>,
    /// Jobs whose target another one holds.
    pub for_target: Option<Timestamp>,
    /// Jobs that a pause, a breaker or `at_once` keeps from starting.
    pub for_release: Option<Timestamp>,
    pub messages: Vec<PendingMessages>,
}

/// The messages that wait to be sent to one notifier.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PendingMessages {
    pub notifier: String,
    pub count: u64,
    pub oldest: Timestamp,
}

/// What jobs came to within a window of time. Each list is capped, and begins with those that have the most.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Statistics {
    pub routes: Vec<Tally>,
    pub playbooks: Vec<Tally>,
    pub targets: Vec<Tally>,
    pub repeat_offenders: Vec<RepeatOffender>,
}

/// The jobs of one route, playbook or target. Check mode is not counted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tally {
    pub name: String,
    pub jobs: u64,
    pub succeeded: u64,
    pub failed: u64,
    /// Of these, those that healed, or were to be verified and failed.
    pub judged: u64,
    /// How many finished for which reason.
    pub reasons: BTreeMap<String, u64>,
    /// From the alert's start to its end, of those that healed; `None` if none did.
    pub time_to_heal: Option<Percentiles>,
}

impl Tally {
    /// How many healed.
    pub fn healed(&self) -> u64 {
        self.reasons.get(Reason::Healed.as_str()).copied().unwrap_or(0)
    }
}

/// Of durations, by the nearest rank.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Percentiles {
    pub p50: Duration,
    pub p95: Duration,
}

/// An alert that came back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RepeatOffender {
    pub fingerprint: Fingerprint,
    pub alertname: String,
    /// Of its last job.
    pub target: Option<String>,
    pub episodes: u64,
    pub jobs: u64,
}
