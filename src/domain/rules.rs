//! The rules by which routes hold jobs back, try them again, or give up.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::domain::attempt::Outcome;
use crate::domain::ids::JobId;
use crate::domain::span::Span;

/// So many jobs of a route may start on one target in any stretch of that length.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cap {
    pub jobs: u32,
    pub per: Span,
}

impl fmt::Display for Cap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} per {}", self.jobs, self.per)
    }
}

/// When an attempt that ended badly is followed by another one of the same job.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Retry {
    /// In all, with the first.
    pub attempts: u32,
    /// Between the first and the second; twice as long after each.
    pub backoff: Span,
    pub max_backoff: Span,
    pub outcomes: Vec<Outcome>,
}

impl Retry {
    /// What may be tried again, with its names in the configuration.
    pub const OUTCOMES: [(&'static str, Outcome); 4] = [
        ("unreachable", Outcome::HostsUnreachable),
        ("failed", Outcome::HostsFailed),
        ("timed_out", Outcome::TimedOut),
        ("lost", Outcome::Lost),
    ];

    /// The names of those that are.
    pub fn words(&self) -> Vec<&'static str> {
        let named = Self::OUTCOMES.iter();
        let tried = named.filter(|(_, outcome)| self.outcomes.contains(outcome));
        tried.map(|(word, _)| *word).collect()
    }

    /// How long to wait after that attempt; nothing if it was the last, or ended in a way that is not tried again.
    pub fn after(&self, job: JobId, attempt: u32, outcome: Outcome) -> Option<Duration> {
        if attempt >= self.attempts || !self.outcomes.contains(&outcome) {
            return None;
        }
        let doublings = attempt.saturating_sub(1).min(32);
        let wait = self
            .backoff
            .duration()
            .saturating_mul(1_u32.checked_shl(doublings).unwrap_or(u32::MAX));
        let wait = wait.min(self.max_backoff.duration());
        Some(wait + jitter(wait, job, attempt))
    }
}

/// Up to a tenth more, so that jobs that failed together do not come back together. The same for the same attempt.
fn jitter(wait: Duration, job: JobId, attempt: u32) -> Duration {
    let thousandths = job.spread().wrapping_add(attempt.wrapping_mul(389)) % 1000;
    wait / 10 * thousandths / 1000
}

/// When a circuit breaker opens, and for how long.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BreakerRule {
    /// So many failed jobs…
    pub failures: u32,
    /// …in a stretch of that length open it.
    pub within: Span,
    /// After that long one job may try.
    pub pause: Span,
}

/// When an alert that comes back after it was healed counts as flapping.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FlapRule {
    /// Healed so many times…
    pub times: u32,
    /// …in a stretch of that length.
    pub within: Span,
}

/// How many new jobs alerts may make.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StormRule {
    pub jobs: u32,
    pub within: Span,
}

/// The rules for all routes together.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Fleet {
    pub storm: Option<StormRule>,
    pub breaker: Option<BreakerRule>,
    /// The notifiers that any route wants told of a storm.
    pub tell_storm: Vec<String>,
    /// The same for the breaker of all routes.
    pub tell_breaker: Vec<String>,
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    fn retry() -> Retry {
        Retry {
            attempts: 5,
            backoff: Span::from_secs(10),
            max_backoff: Span::from_secs(30),
            outcomes: vec![Outcome::HostsFailed, Outcome::TimedOut],
        }
    }

    #[test]
    fn waits_double_up_to_the_longest_with_up_to_a_tenth_more() {
        let job = JobId::new(Uuid::from_u128(7));
        for (attempt, seconds) in [(1, 10), (2, 20), (3, 30), (4, 30)] {
            let wait = retry().after(job, attempt, Outcome::HostsFailed).unwrap();
            let least = Duration::from_secs(seconds);
            assert!(wait >= least && wait <= least * 11 / 10, "{attempt}: {wait:?}");
        }
        assert_eq!(retry().after(job, 5, Outcome::HostsFailed), None);
        assert_eq!(retry().after(job, 1, Outcome::Lost), None);
    }

    #[test]
    fn jobs_that_fail_together_do_not_come_back_together() {
        let waits: std::collections::BTreeSet<_> = (0..50)
            .map(|number: u128| retry().after(JobId::new(Uuid::from_u128(number * 7919)), 1, Outcome::TimedOut))
            .collect();
        assert!(waits.len() > 25, "{waits:?}");
    }

    #[test]
    fn a_backoff_that_is_too_long_to_hold_is_the_longest() {
        let long = Retry {
            attempts: u32::MAX,
            max_backoff: Span::from_secs(3_600),
            ..retry()
        };
        let wait = long
            .after(JobId::new(Uuid::nil()), 4_000_000, Outcome::TimedOut)
            .unwrap();
        assert!(wait >= Duration::from_secs(3_600) && wait <= Duration::from_secs(3_960));
    }
}
