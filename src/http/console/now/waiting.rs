//! Why a queued job has not begun.

use std::collections::HashMap;

use crate::domain::job::{Job, Trigger};
use crate::domain::pause::{Breaker, BreakerState, Pause};
use crate::domain::timestamp::Timestamp;
use crate::http::console::moment::Length;
use crate::http::console::words::verdict;

/// What may keep jobs from beginning.
pub(super) struct Waits<'a> {
    pauses: &'a [Pause],
    breakers: &'a [Breaker],
    /// The jobs that hold targets, by target.
    holders: HashMap<&'a str, &'a Job>,
    now: Timestamp,
}

impl<'a> Waits<'a> {
    /// `running` are the jobs that run or are verified.
    pub(super) fn new((pauses, breakers): (&'a [Pause], &'a [Breaker]), running: &'a [Job], now: Timestamp) -> Self {
        Self {
            pauses,
            breakers,
            holders: running.iter().map(|job| (job.target.as_str(), job)).collect(),
            now,
        }
    }

    /// For what the job waits, as far as that can be seen.
    pub(super) fn cause(&self, job: &Job) -> String {
        let covers = |pause: &&Pause| pause.scope.covers(job.route.as_deref(), &job.target);
        if let Some(pause) = self.pauses.iter().find(covers) {
            return format!("{} is paused by {}", pause.scope, pause.by);
        }
        if let Some(breaker) = self.breaker(job) {
            return format!("the breaker of {} is open", breaker.scope);
        }
        if job.run_at > self.now {
            return format!("the next attempt begins in {}", Length(job.run_at.since(self.now)));
        }
        match self.holders.get(job.target.as_str()) {
            Some(holder) => format!("for its target: {} {}", holder.playbook, verdict(holder)),
            None => "for a free slot, or for its turn".to_owned(),
        }
    }

    /// The breaker that keeps the job from starting. People's own jobs pass it.
    fn breaker(&self, job: &Job) -> Option<&Breaker> {
        let is_ours = matches!(job.trigger, Trigger::Alert | Trigger::Ladder);
        let stops = |breaker: &&Breaker| {
            let is_shut = match breaker.state(self.now) {
                BreakerState::Open => true,
                BreakerState::HalfOpen => false,
                BreakerState::Trying(trial) => trial != job.id,
            };
            is_shut && breaker.scope.covers(job.route.as_deref(), &job.target)
        };
        self.breakers.iter().filter(|_| is_ours).find(stops)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::domain::job::JobStatus;
    use crate::domain::pause::Scope;
    use crate::http::fake::{job, now};

    #[test]
    fn a_waiting_job_says_for_what() {
        let waiting = job(1, JobStatus::Queued);
        let running = [job(2, JobStatus::Running)];
        assert_eq!(
            Waits::new((&[], &[]), &running, now()).cause(&waiting),
            "for its target: restart is running"
        );
        assert_eq!(
            Waits::new((&[], &[]), &[], now()).cause(&waiting),
            "for a free slot, or for its turn"
        );
        let mut later = waiting.clone();
        later.run_at = now() + Duration::from_secs(90);
        assert_eq!(
            Waits::new((&[], &[]), &running, now()).cause(&later),
            "the next attempt begins in 1 min 30 s"
        );
        let pauses = [Pause {
            scope: Scope::All,
            comment: None,
            by: "olaf".to_owned(),
            since: now(),
        }];
        assert_eq!(
            Waits::new((&pauses, &[]), &running, now()).cause(&waiting),
            "all is paused by olaf"
        );
        let mut breaker = Breaker {
            scope: Scope::All,
            reason: "3 jobs failed within 10m".to_owned(),
            opened_at: now(),
            until: None,
            trial: None,
        };
        let cause = |breaker: &Breaker, job: &Job| {
            let breakers = std::slice::from_ref(breaker);
            Waits::new((&[], breakers), &[], now()).cause(job)
        };
        let turn = "for a free slot, or for its turn";
        assert_eq!(cause(&breaker, &waiting), "the breaker of all is open");
        let mut by_hand = waiting.clone();
        by_hand.trigger = Trigger::Manual;
        assert_eq!(cause(&breaker, &by_hand), turn);
        breaker.until = Some(now());
        assert_eq!(cause(&breaker, &waiting), turn, "it may try");
        breaker.trial = Some(waiting.id);
        assert_eq!(cause(&breaker, &waiting), turn, "it tries");
        breaker.trial = Some(job(3, JobStatus::Running).id);
        assert_eq!(cause(&breaker, &waiting), "the breaker of all is open");
    }
}
