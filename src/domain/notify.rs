//! What people are told, and who is: the events of jobs and of the gateway, and a route's wish to hear of them.

use serde::{Deserialize, Serialize};

use crate::domain::ids::JobId;
use crate::domain::job::{JobStatus, Reason, words};
use crate::domain::timestamp::Timestamp;

words!(
    /// Something that people may want to hear of.
    NotifyEvent {
        Failed = "failed",
        NotHealed = "not_healed",
        Exhausted = "exhausted",
        Healed = "healed",
        AwaitingApproval = "awaiting_approval",
        Lost = "lost",
        BreakerOpened = "breaker_opened",
        Storm = "storm",
        HeartbeatMissed = "heartbeat_missed",
    }
);

impl NotifyEvent {
    /// What a route that names no events hears of: all that may need a person.
    pub const DEFAULT: [Self; 8] = [
        Self::Failed,
        Self::NotHealed,
        Self::Exhausted,
        Self::AwaitingApproval,
        Self::Lost,
        Self::BreakerOpened,
        Self::Storm,
        Self::HeartbeatMissed,
    ];

    /// As which event the end of a job is told: as the first of these that its route wants to hear of. A lost job has
    /// failed, too.
    pub const fn of_ending(status: JobStatus, reason: Reason) -> &'static [Self] {
        match (status, reason) {
            (JobStatus::Succeeded, Reason::Healed) => &[Self::Healed],
            (JobStatus::Failed, Reason::NotHealed) => &[Self::NotHealed],
            (JobStatus::Failed, Reason::Lost) => &[Self::Lost, Self::Failed],
            (JobStatus::Failed, _) => &[Self::Failed],
            (
                JobStatus::AwaitingApproval
                | JobStatus::Queued
                | JobStatus::Running
                | JobStatus::Verifying
                | JobStatus::Succeeded
                | JobStatus::Canceled,
                _,
            ) => &[],
        }
    }
}

/// Whom to tell of which events.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Notify {
    /// Names of notifiers.
    pub to: Vec<String>,
    pub events: Vec<NotifyEvent>,
}

/// Something to be told that is about no single job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Announcement {
    pub event: NotifyEvent,
    /// Names of notifiers.
    pub to: Vec<String>,
    /// What makes it this one: with the same key, an event is told once.
    pub key: String,
    /// A line.
    pub title: String,
    /// Sentences for people: what happened, and what to do next.
    pub text: String,
}

/// Something that waits to be told to one notifier.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    pub id: MessageId,
    pub notifier: String,
    pub event: NotifyEvent,
    pub about: About,
    /// When it happened.
    pub created_at: Timestamp,
    /// Not sent before that.
    pub due_at: Timestamp,
    /// How often it was tried in vain.
    pub tries: u32,
}

/// Names a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MessageId(pub i64);

/// What a message is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum About {
    Job(JobId),
    /// An announcement's own words.
    Gateway {
        title: String,
        text: String,
    },
}

/// What came of trying to send a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Sending {
    /// The other side has taken it.
    Sent,
    /// It has, but not for everybody; for whom not, and why.
    SentInPart { left_out: String },
    /// It has not, for that reason; it is tried again at that time, or not at all.
    Failed { error: String, again_at: Option<Timestamp> },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_end_of_a_job_is_told_as_the_contract_says() {
        let told = |status, reason| {
            let events = NotifyEvent::of_ending(status, reason);
            let events: Vec<&str> = events.iter().map(|event| event.as_str()).collect();
            if events.is_empty() {
                "-".to_owned()
            } else {
                events.join(", ")
            }
        };
        let rows: Vec<String> = Reason::ALL
            .iter()
            .map(|reason| {
                let status = match reason {
                    Reason::Healed | Reason::Unverified => JobStatus::Succeeded,
                    Reason::Silenced
                    | Reason::Canceled
                    | Reason::Rejected
                    | Reason::Expired
                    | Reason::ResolvedMeanwhile => JobStatus::Canceled,
                    _ => JobStatus::Failed,
                };
                format!("{} {}: {}", status.as_str(), reason.as_str(), told(status, *reason))
            })
            .collect();
        insta::assert_snapshot!(rows.join("\n"), @"
        succeeded healed: healed
        succeeded unverified: -
        failed not_healed: not_healed
        failed hosts_failed: failed
        failed hosts_unreachable: failed
        failed no_hosts_matched: failed
        failed playbook_error: failed
        failed start_failed: failed
        failed timed_out: failed
        failed lost: lost, failed
        failed precondition_failed: failed
        canceled silenced: -
        canceled canceled: -
        canceled rejected: -
        canceled expired: -
        canceled resolved_meanwhile: -
        ");
    }

    #[test]
    fn a_job_that_goes_on_is_no_end() {
        for status in [
            JobStatus::AwaitingApproval,
            JobStatus::Queued,
            JobStatus::Running,
            JobStatus::Verifying,
        ] {
            assert!(NotifyEvent::of_ending(status, Reason::Unverified).is_empty());
        }
    }
}
