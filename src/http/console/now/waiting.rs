//! Why a queued job has not begun.

use std::collections::HashMap;

use crate::domain::job::Job;
use crate::domain::pause::Pause;
use crate::domain::timestamp::Timestamp;
use crate::http::console::moment::Length;
use crate::http::console::words::verdict;

/// What may keep jobs from beginning.
pub(super) struct Waits<'a> {
    pauses: &'a [Pause],
    /// The jobs that hold targets, by target.
    holders: HashMap<&'a str, &'a Job>,
    now: Timestamp,
}

impl<'a> Waits<'a> {
    /// `running` are the jobs that run or are verified.
    pub(super) fn new(pauses: &'a [Pause], running: &'a [Job], now: Timestamp) -> Self {
        Self {
            pauses,
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
        if job.run_at > self.now {
            return format!("the next attempt begins in {}", Length(job.run_at.since(self.now)));
        }
        match self.holders.get(job.target.as_str()) {
            Some(holder) => format!("for its target: {} {}", holder.playbook, verdict(holder)),
            None => "for a free slot, or for its turn".to_owned(),
        }
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
            Waits::new(&[], &running, now()).cause(&waiting),
            "for its target: restart is running"
        );
        assert_eq!(
            Waits::new(&[], &[], now()).cause(&waiting),
            "for a free slot, or for its turn"
        );
        let mut later = waiting.clone();
        later.run_at = now() + Duration::from_secs(90);
        assert_eq!(
            Waits::new(&[], &running, now()).cause(&later),
            "the next attempt begins in 1 min 30 s"
        );
        let pauses = [Pause {
            scope: Scope::All,
            comment: None,
            by: "olaf".to_owned(),
            since: now(),
        }];
        assert_eq!(
            Waits::new(&pauses, &running, now()).cause(&waiting),
            "all is paused by olaf"
        );
    }
}
