//! When to ask whether a job has healed, and how often it must be heard. Pure: the time is an argument.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use crate::domain::alert::Alert;
use crate::domain::ids::{EpisodeId, JobId};
use crate::domain::standing::{Look, Seen, Standing};
use crate::domain::timestamp::Timestamp;

/// Between two looks, by how long the job has been watched: most recoveries show within seconds, the others do not hurry.
const STEPS: [(Duration, Duration); 3] = [
    (Duration::from_secs(30), Duration::from_secs(2)),
    (Duration::from_secs(120), Duration::from_secs(5)),
    (Duration::MAX, Duration::from_secs(15)),
];

/// Between the look that misses the alert and the one that confirms it.
const CONFIRM: Duration = Duration::from_secs(1);

/// The last looks are so long before the time is over: one that misses the alert, and one that confirms it.
const LAST: Duration = Duration::from_secs(3);

/// Looks that are due within this time are made together.
const TOGETHER: Duration = Duration::from_millis(500);

/// A job whose healing is waited for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verification {
    pub job: JobId,
    pub episode: Option<EpisodeId>,
    pub alert: Option<Alert>,
    /// Then it has not healed.
    pub until: Timestamp,
    /// Decides where it is given; otherwise the alert does.
    pub query: Option<String>,
}

/// Which jobs are watched, and when each is looked at next.
#[derive(Debug, Default)]
pub struct Schedule {
    watched: BTreeMap<JobId, Watched>,
}

#[derive(Debug)]
struct Watched {
    since: Timestamp,
    until: Timestamp,
    next: Timestamp,
    seen: Seen,
    last_firing: Option<Timestamp>,
    missed_at: Option<Timestamp>,
    complained: bool,
}

impl Schedule {
    /// Watches these jobs and no others. A new one is looked at at once.
    pub fn keep(&mut self, jobs: &[Verification], now: Timestamp) {
        let wanted: HashMap<JobId, Timestamp> = jobs.iter().map(|job| (job.job, job.until)).collect();
        self.watched.retain(|job, _| wanted.contains_key(job));
        for (job, until) in wanted {
            self.watched.entry(job).or_insert_with(|| Watched {
                since: now,
                until,
                next: now,
                seen: Seen::default(),
                last_firing: None,
                missed_at: None,
                complained: false,
            });
        }
    }

    /// When somebody must be asked next.
    pub fn next(&self) -> Option<Timestamp> {
        self.watched.values().map(|watched| watched.next).min()
    }

    /// The jobs to ask about now.
    pub fn due(&self, now: Timestamp) -> Vec<JobId> {
        if self.next().is_none_or(|next| next > now) {
            return Vec::new();
        }
        let due = self
            .watched
            .iter()
            .filter(|(_, watched)| watched.next <= now + TOGETHER);
        due.map(|(job, _)| *job).collect()
    }

    /// Somebody was asked about the job, and it goes on.
    pub fn asked(&mut self, job: JobId, now: Timestamp) {
        if let Some(watched) = self.watched.get_mut(&job) {
            watched.next = watched.regular(now);
        }
    }

    /// Alertmanagers were asked about the job's alert. The alert's end, once two looks in a row have missed it.
    pub fn looked(&mut self, job: JobId, alert: &Alert, look: &Look, now: Timestamp) -> Option<Timestamp> {
        let watched = self.watched.get_mut(&job)?;
        let standing = look.standing(alert, &watched.seen);
        watched.seen.remember(look, &alert.fingerprint);
        watched.next = watched.regular(now);
        match standing {
            Standing::Firing { .. } => {
                watched.last_firing = Some(now);
                watched.missed_at = None;
                None
            }
            // It says nothing, and two looks must follow each other.
            Standing::Unknown { .. } => {
                watched.missed_at = None;
                None
            }
            Standing::Gone => match watched.missed_at {
                // The earliest time that is not wrong: an alert that comes back after it is a new episode.
                Some(missed_at) => Some(watched.last_firing.unwrap_or(missed_at)),
                None => {
                    watched.missed_at = Some(now);
                    watched.next = now + CONFIRM;
                    None
                }
            },
        }
    }

    /// Whether nobody has been told yet that no answer comes about this job.
    pub fn complains_first(&mut self, job: JobId) -> bool {
        let watched = self.watched.get_mut(&job);
        watched.is_some_and(|watched| !std::mem::replace(&mut watched.complained, true))
    }
}

impl Watched {
    fn regular(&self, now: Timestamp) -> Timestamp {
        let age = now.since(self.since);
        let step = STEPS.iter().find(|(until, _)| age < *until);
        let next = now + step.map_or(CONFIRM, |(_, step)| *step);
        let last = self.until - LAST;
        if now < last {
            next.min(last)
        } else {
            next.min(now + CONFIRM)
        }
    }
}

#[cfg(test)]
mod tests;
