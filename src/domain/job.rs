//! A job: the durable wish to run one playbook for one reason, and the states that it passes through.

use serde::{Deserialize, Serialize};

use crate::domain::aftercare::Aftercare;
use crate::domain::alert::{Alert, Group};
use crate::domain::attempt::Attempt;
use crate::domain::by_hand::ByHand;
use crate::domain::change::Change;
use crate::domain::checks::Checks;
use crate::domain::ids::{EpisodeId, JobId, Target};
use crate::domain::notify::Notify;
use crate::domain::parameters::Parameters;
use crate::domain::route::OnResolved;
use crate::domain::span::Span;
use crate::domain::timestamp::Timestamp;

macro_rules! words {
    ($(#[$doc:meta])* $name:ident { $($variant:ident = $word:literal),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, utoipa::ToSchema)]
        #[serde(rename_all = "snake_case")]
        pub enum $name { $($variant),+ }

        impl $name {
            /// Every value.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// As the API and the database write it.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $word),+ }
            }

            /// The value with that name.
            pub fn parse(text: &str) -> Option<Self> {
                Self::ALL.iter().copied().find(|value| value.as_str() == text)
            }
        }
    };
}

pub(super) use words;

words!(
    /// Where a job is on its way.
    JobStatus {
        AwaitingApproval = "awaiting_approval",
        Queued = "queued",
        Running = "running",
        Verifying = "verifying",
        Succeeded = "succeeded",
        Failed = "failed",
        Canceled = "canceled",
    }
);

words!(
    /// Why a finished job has its status.
    Reason {
        Healed = "healed",
        Unverified = "unverified",
        NotHealed = "not_healed",
        HostsFailed = "hosts_failed",
        HostsUnreachable = "hosts_unreachable",
        NoHostsMatched = "no_hosts_matched",
        PlaybookError = "playbook_error",
        StartFailed = "start_failed",
        TimedOut = "timed_out",
        Lost = "lost",
        PreconditionFailed = "precondition_failed",
        Silenced = "silenced",
        Canceled = "canceled",
        Rejected = "rejected",
        Expired = "expired",
        ResolvedMeanwhile = "resolved_meanwhile",
    }
);

words!(
    /// What made a job.
    Trigger {
        Alert = "alert",
        Rerun = "rerun",
        Manual = "manual",
        Ladder = "ladder",
    }
);

impl JobStatus {
    /// Whether status and reason can never change again.
    pub const fn is_finished(self) -> bool {
        match self {
            Self::Succeeded | Self::Failed | Self::Canceled => true,
            Self::AwaitingApproval | Self::Queued | Self::Running | Self::Verifying => false,
        }
    }
}

/// A job to be stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewJob {
    pub id: JobId,
    /// `Queued` or `AwaitingApproval`.
    pub status: JobStatus,
    pub playbook: String,
    pub route: Option<String>,
    pub target: Target,
    pub trigger: Trigger,
    /// The name of the token that asked for it; `anonymous` without one.
    pub triggered_by: String,
    pub rerun_of: Option<JobId>,
    pub follows: Option<JobId>,
    pub episode: Option<EpisodeId>,
    pub alert: Option<Alert>,
    pub group: Option<Group>,
    pub parameters: Parameters,
    /// What a person asked for beyond the catalogue; `None` where no person did.
    pub by_hand: Option<ByHand>,
    /// What the catalogue says otherwise than for the job that this one repeats; `None` where it repeats none.
    pub changes: Option<Vec<Change>>,
    pub resolved_within: Option<Span>,
    pub on_resolved: OnResolved,
    pub aftercare: Aftercare,
    /// Whom to tell of what becomes of it; `None` tells nobody.
    pub notify: Option<Notify>,
    pub checks: Checks,
    pub created_at: Timestamp,
    /// Not run any more if it still waits then.
    pub expires_at: Timestamp,
    /// Of one that waits for approval: how long it may wait after that.
    pub runs_within: Option<Span>,
}

/// A job as stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Job {
    pub id: JobId,
    pub status: JobStatus,
    pub reason: Option<Reason>,
    pub playbook: String,
    pub route: Option<String>,
    pub target: Target,
    pub trigger: Trigger,
    pub triggered_by: String,
    pub rerun_of: Option<JobId>,
    pub follows: Option<JobId>,
    pub episode: Option<EpisodeId>,
    pub alert: Option<Alert>,
    pub group: Option<Group>,
    pub parameters: Parameters,
    pub by_hand: Option<ByHand>,
    pub changes: Option<Vec<Change>>,
    pub checks: Checks,
    pub attempts: Vec<Attempt>,
    pub created_at: Timestamp,
    pub run_at: Timestamp,
    pub started_at: Option<Timestamp>,
    pub finished_at: Option<Timestamp>,
    pub healed_at: Option<Timestamp>,
    pub healed_late: bool,
    /// Set once a running job was asked to stop.
    pub cancel_requested: Option<CancelRequest>,
}

/// That a running job is to stop.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CancelRequest {
    /// A token's name, `anonymous` or `healgate`.
    pub by: String,
    /// With which the job ends.
    pub reason: Reason,
}

/// One entry of a job's own history.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct JobEvent {
    #[schema(value_type = String, format = DateTime)]
    pub at: Timestamp,
    /// `queued`, `claimed`, `started`, `stop_requested`, `stopped`, `verifying`, `finished`, …
    pub event: String,
    /// Who made the change: a token's name, `anonymous` or `healgate`.
    pub by: String,
    pub attempt: Option<u32>,
    /// A sentence for people.
    pub message: String,
}
