//! What follows when an attempt ended: the job is done, tries again, or waits for the alert to resolve.

use crate::domain::attempt::Outcome;
use crate::domain::ids::JobId;
use crate::domain::job::{JobStatus, Reason};
use crate::domain::rules::Retry;
use crate::domain::span::Span;
use crate::domain::timestamp::Timestamp;

/// What is known when an attempt ended.
#[derive(Clone, Copy, Debug)]
pub struct RunFacts<'a> {
    pub job: JobId,
    /// Counts from 1.
    pub attempt: u32,
    pub outcome: Outcome,
    pub retry: Option<&'a Retry>,
    pub finished_at: Timestamp,
    /// The verification that the job asks for.
    pub resolved_within: Option<Span>,
    pub check: bool,
    /// Whether the job belongs to an episode at all, and whether that one is still open.
    pub episode_open: Option<bool>,
    /// With which the job ends if its run was stopped.
    pub cancel_reason: Reason,
    /// Its query decides whether it healed, and not its alert.
    pub by_query: bool,
    /// A re-run or manual job, which is verified only if the episode is open when the run ends.
    pub by_hand: bool,
}

/// The job's next state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AfterRun {
    Finish {
        status: JobStatus,
        reason: Reason,
    },
    /// The alert has until then to resolve.
    Verify {
        until: Timestamp,
    },
    /// The next attempt may begin then.
    Retry {
        at: Timestamp,
    },
}

/// An attempt that ended badly is tried again as its route allows, while its alert fires. A run that ended well is healed at once if its alert resolved meanwhile, waits for that while its route allows, and
/// is `unverified` where nobody asked. Every other ending is final.
pub fn after_run(facts: &RunFacts<'_>) -> AfterRun {
    if let Some(wait) = facts
        .retry
        .and_then(|retry| retry.after(facts.job, facts.attempt, facts.outcome))
        && facts.episode_open != Some(false)
    {
        return AfterRun::Retry {
            at: facts.finished_at + wait,
        };
    }
    match facts.outcome.reason() {
        None => after_success(facts),
        Some(Reason::Canceled) => AfterRun::Finish {
            status: JobStatus::Canceled,
            reason: facts.cancel_reason,
        },
        Some(reason) => AfterRun::Finish {
            status: JobStatus::Failed,
            reason,
        },
    }
}

fn after_success(facts: &RunFacts<'_>) -> AfterRun {
    let unverified = AfterRun::Finish {
        status: JobStatus::Succeeded,
        reason: Reason::Unverified,
    };
    let Some(within) = facts.resolved_within else {
        return unverified;
    };
    if facts.check {
        return unverified;
    }
    match facts.episode_open {
        // That the alert has resolved is not enough where a query decides.
        Some(open) if open || (facts.by_query && !facts.by_hand) => AfterRun::Verify {
            until: facts.finished_at + within.duration(),
        },
        Some(_) if !facts.by_hand => AfterRun::Finish {
            status: JobStatus::Succeeded,
            reason: Reason::Healed,
        },
        Some(_) | None => unverified,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts(outcome: Outcome) -> RunFacts<'static> {
        RunFacts {
            job: JobId::new(uuid::Uuid::nil()),
            attempt: 1,
            outcome,
            retry: None,
            finished_at: Timestamp::from_micros(0),
            resolved_within: Some(Span::from_secs(60)),
            check: false,
            episode_open: Some(true),
            cancel_reason: Reason::Canceled,
            by_query: false,
            by_hand: false,
        }
    }

    #[test]
    fn a_run_that_ended_well_waits_for_its_alert_to_resolve() {
        let until = Timestamp::from_micros(60_000_000);
        assert_eq!(after_run(&facts(Outcome::Ok)), AfterRun::Verify { until });
    }

    #[test]
    fn what_ended_badly_is_tried_again_while_its_alert_fires() {
        let retry = Retry {
            attempts: 2,
            backoff: Span::from_secs(10),
            max_backoff: Span::from_secs(60),
            outcomes: vec![Outcome::HostsFailed],
        };
        let failed = RunFacts {
            retry: Some(&retry),
            ..facts(Outcome::HostsFailed)
        };
        assert!(matches!(after_run(&failed), AfterRun::Retry { at } if at >= Timestamp::from_micros(10_000_000)));
        let finish = AfterRun::Finish {
            status: JobStatus::Failed,
            reason: Reason::HostsFailed,
        };
        let last = RunFacts { attempt: 2, ..failed };
        let resolved = RunFacts {
            episode_open: Some(false),
            ..failed
        };
        for over in [last, resolved] {
            assert_eq!(after_run(&over), finish);
        }
        let other = RunFacts {
            outcome: Outcome::Canceled,
            ..failed
        };
        assert!(matches!(after_run(&other), AfterRun::Finish { .. }));
    }

    #[test]
    fn an_alert_that_resolved_during_the_run_is_healed_at_once() {
        let after = after_run(&RunFacts {
            episode_open: Some(false),
            ..facts(Outcome::Ok)
        });
        assert_eq!(
            after,
            AfterRun::Finish {
                status: JobStatus::Succeeded,
                reason: Reason::Healed
            }
        );
    }

    #[test]
    fn a_query_decides_also_where_the_alert_resolved_during_the_run() {
        let by_query = RunFacts {
            episode_open: Some(false),
            by_query: true,
            ..facts(Outcome::Ok)
        };
        let until = Timestamp::from_micros(60_000_000);
        assert_eq!(after_run(&by_query), AfterRun::Verify { until });
    }

    #[test]
    fn what_nobody_asked_to_verify_is_unverified() {
        let unverified = AfterRun::Finish {
            status: JobStatus::Succeeded,
            reason: Reason::Unverified,
        };
        for facts in [
            RunFacts {
                resolved_within: None,
                ..facts(Outcome::Ok)
            },
            RunFacts {
                check: true,
                ..facts(Outcome::Ok)
            },
            RunFacts {
                episode_open: None,
                ..facts(Outcome::Ok)
            },
            RunFacts {
                episode_open: Some(false),
                by_hand: true,
                ..facts(Outcome::Ok)
            },
            RunFacts {
                episode_open: Some(false),
                by_query: true,
                by_hand: true,
                ..facts(Outcome::Ok)
            },
        ] {
            assert_eq!(after_run(&facts), unverified, "{facts:?}");
        }
    }

    #[test]
    fn only_an_attempt_that_ended_well_can_succeed() {
        for outcome in Outcome::ALL {
            let AfterRun::Finish { status, reason } = after_run(&facts(outcome)) else {
                assert_eq!(outcome, Outcome::Ok);
                continue;
            };
            let expected = if outcome == Outcome::Canceled {
                JobStatus::Canceled
            } else {
                JobStatus::Failed
            };
            assert_eq!((status, Some(reason)), (expected, outcome.reason()));
        }
    }
}
