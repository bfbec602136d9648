//! What people see at a glance: which alerts fire, and how one of them stands. Small answers, however much there is.

use std::time::Duration;

use async_trait::async_trait;

use crate::domain::act::Act;
use crate::domain::alert::Labels;
use crate::domain::attempt::TaskResult;
use crate::domain::decision::DecisionKind;
use crate::domain::ids::{Fingerprint, JobId};
use crate::domain::timestamp::Timestamp;
use crate::store::read::{AlertStory, Percentiles};
use crate::store::{HeldBack, StoreError};

/// An alert that fires.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FiringAlert {
    pub fingerprint: Fingerprint,
    pub alertname: String,
    pub labels: Labels,
    pub annotations: Labels,
    pub starts_at: Timestamp,
    pub last_received_at: Timestamp,
    /// Why nothing was made of it, where something would have been.
    pub held: Option<HeldWhy>,
}

/// What holds an alert back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeldWhy {
    pub kind: DecisionKind,
    pub reason: String,
}

/// Alerts that fire.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Firing {
    /// The last begun first.
    pub alerts: Vec<FiringAlert>,
    /// How many fire; no more than [`Firing::COUNTED`] are counted.
    pub count: u64,
}

impl Firing {
    /// Whoever has more than that many alerts firing needs no exact number.
    pub const COUNTED: u64 = 1_000;
}

/// What jobs came to within a stretch of time. Check mode is not counted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stretch {
    pub begins: Timestamp,
    /// That were made in it.
    pub jobs: u64,
    pub succeeded: u64,
    pub failed: u64,
    pub healed: u64,
    /// That healed, or were to be verified and failed.
    pub judged: u64,
    pub time_to_heal: Option<Percentiles>,
}

/// What the storm limit holds back.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StormHeld {
    /// How many alerts of each route.
    pub routes: Vec<(String, u64)>,
    /// Those whose turn comes first.
    pub next: Vec<HeldBack>,
}

/// How often something was held back for which reason.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HeldCount {
    pub kind: DecisionKind,
    pub count: u64,
}

/// What people see at a glance.
#[async_trait]
pub trait Overview: Send + Sync {
    /// The alerts that fire, at most so many of them.
    async fn firing(&self, most: u32) -> Result<Firing, StoreError>;

    /// The results of an attempt's tasks that failed, or did not reach their host: the first so many.
    async fn failures(&self, id: JobId, attempt: u32, most: u32) -> Result<Vec<TaskResult>, StoreError>;

    /// What people did to the gateway as a whole since then, the last first: at most so much.
    async fn acts(&self, since: Timestamp, most: u32) -> Result<Vec<Act>, StoreError>;

    /// Whether an alert fires; `None` for one that is not known.
    async fn fires(&self, fingerprint: &Fingerprint) -> Result<Option<bool>, StoreError>;

    /// What jobs came to in each stretch of that length, from the hour of a moment on until now; hours are not divided.
    async fn trend(&self, since: Timestamp, stretch: Duration, now: Timestamp) -> Result<Vec<Stretch>, StoreError>;

    /// What the storm limit holds back, with at most so many of the alerts themselves.
    async fn storm_held(&self, most: u32) -> Result<StormHeld, StoreError>;

    /// How often each kind of decision held something back since then.
    async fn held_since(&self, since: Timestamp) -> Result<Vec<HeldCount>, StoreError>;

    /// What is known of an alert, with at most so many entries of each list.
    async fn alert_story(&self, fingerprint: &Fingerprint, most: u32) -> Result<Option<AlertStory>, StoreError>;
}
