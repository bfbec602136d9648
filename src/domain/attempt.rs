//! One execution of `ansible-playbook` for a job, and how it ended.

use serde::{Deserialize, Serialize};

use crate::domain::host_stats::Recap;
use crate::domain::ids::JobId;
use crate::domain::job::Reason;
use crate::domain::timestamp::Timestamp;

/// Names an attempt together with the claim that may write to it: a worker whose fence is old has lost the job.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct AttemptKey {
    pub job: JobId,
    /// Counts from 1.
    pub number: u32,
    pub fence: i64,
}

/// How an attempt ended: well, or with one of the reasons of a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    Ok,
    HostsFailed,
    HostsUnreachable,
    NoHostsMatched,
    PlaybookError,
    StartFailed,
    TimedOut,
    Lost,
    Canceled,
}

impl Outcome {
    /// Every outcome.
    pub const ALL: [Self; 9] = [
        Self::Ok,
        Self::HostsFailed,
        Self::HostsUnreachable,
        Self::NoHostsMatched,
        Self::PlaybookError,
        Self::StartFailed,
        Self::TimedOut,
        Self::Lost,
        Self::Canceled,
    ];

    /// As the API writes it.
    pub const fn as_str(self) -> &'static str {
        match self.reason() {
            Some(reason) => reason.as_str(),
            None => "ok",
        }
    }

    /// The outcome with that name.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|outcome| outcome.as_str() == text)
    }

    /// The reason that a job gets whose last attempt ended so; `None` for `ok`.
    pub const fn reason(self) -> Option<Reason> {
        match self {
            Self::Ok => None,
            Self::HostsFailed => Some(Reason::HostsFailed),
            Self::HostsUnreachable => Some(Reason::HostsUnreachable),
            Self::NoHostsMatched => Some(Reason::NoHostsMatched),
            Self::PlaybookError => Some(Reason::PlaybookError),
            Self::StartFailed => Some(Reason::StartFailed),
            Self::TimedOut => Some(Reason::TimedOut),
            Self::Lost => Some(Reason::Lost),
            Self::Canceled => Some(Reason::Canceled),
        }
    }
}

/// How an attempt ended, judged, with what there is to say about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ending {
    pub outcome: Outcome,
    /// A sentence for people: what went wrong, or nothing.
    pub message: Option<String>,
    pub exit_code: Option<i32>,
    pub recap: Recap,
    pub finished_at: Timestamp,
    pub log_bytes: u64,
    pub log_truncated: bool,
    /// As the run's own files have it; nothing if they do not.
    pub start: Option<Start>,
}

/// Where an attempt's `ansible-playbook` came from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "WrittenStart", into = "WrittenStart")]
pub enum Start {
    /// From a warm interpreter.
    Warm,
    /// It was executed anew; the sentence says why it was not warm.
    Cold { because: String },
}

/// No longer reason is kept.
const REASON_CHARS: usize = 500;

impl Start {
    /// A cold one, with the reason as a line of decent length: what a process has said last may be anything.
    pub fn cold(because: &str) -> Self {
        let line = because.split_whitespace().collect::<Vec<_>>().join(" ");
        let because = line.chars().filter(|char| !char.is_control()).take(REASON_CHARS);
        Self::Cold {
            because: because.collect(),
        }
    }

    pub fn is_warm(&self) -> bool {
        matches!(self, Self::Warm)
    }

    /// Why it was not warm.
    pub fn cold_because(&self) -> Option<&str> {
        match self {
            Self::Warm => None,
            Self::Cold { because } => Some(because),
        }
    }
}

/// A start as JSON.
#[derive(Serialize, Deserialize)]
struct WrittenStart {
    warm: bool,
    cold_because: Option<String>,
}

impl From<WrittenStart> for Start {
    fn from(written: WrittenStart) -> Self {
        match written {
            WrittenStart { warm: true, .. } => Self::Warm,
            WrittenStart { cold_because, .. } => Self::Cold {
                because: cold_because.unwrap_or_default(),
            },
        }
    }
}

impl From<Start> for WrittenStart {
    fn from(start: Start) -> Self {
        Self {
            warm: start.is_warm(),
            cold_because: start.cold_because().map(str::to_owned),
        }
    }
}

/// An attempt as stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attempt {
    pub number: u32,
    pub outcome: Option<Outcome>,
    pub message: Option<String>,
    pub exit_code: Option<i32>,
    pub started_at: Timestamp,
    pub finished_at: Option<Timestamp>,
    pub worker: String,
    pub warm: bool,
    /// Why a run that started cold did not start warm, where that is known.
    pub cold_because: Option<String>,
    pub log_bytes: u64,
    pub log_truncated: bool,
    /// The log was removed, for its age or for the room that it took.
    pub log_pruned: bool,
    pub recap: Recap,
}

/// What Ansible did on one host in one task.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct TaskResult {
    pub play: String,
    pub task: String,
    /// `file:line` of the task, where Ansible knows it.
    pub path: Option<String>,
    pub host: String,
    pub action: String,
    /// ok, changed, failed, unreachable, skipped, rescued or ignored.
    pub status: String,
    #[schema(value_type = String, format = DateTime)]
    pub started_at: Timestamp,
    pub seconds: f64,
    pub message: Option<String>,
    #[schema(value_type = Object)]
    pub items: Option<serde_json::Value>,
    #[schema(value_type = Object)]
    pub diff: Option<serde_json::Value>,
}

impl TaskResult {
    /// Whether it failed, or its host could not be reached.
    pub fn has_failed(&self) -> bool {
        matches!(self.status.as_str(), "failed" | "unreachable")
    }
}
