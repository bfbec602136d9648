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
    pub log_bytes: u64,
    pub log_truncated: bool,
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
