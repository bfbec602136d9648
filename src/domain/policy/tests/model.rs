//! The rules of episodes and decisions once more, as plainly as they can be put, to compare with.

use std::collections::{HashMap, HashSet};

use super::Report;
use crate::domain::alert::{Alert, AlertStatus};
use crate::domain::decision::DecisionKind;
use crate::domain::ids::JobId;
use crate::domain::job::Reason;
use crate::domain::policy::Verdict;
use crate::domain::route::{Mode, Route};
use crate::domain::timestamp::Timestamp;

/// All that the rules remember of one alert.
#[derive(Default)]
pub(super) struct Memory {
    /// The open episode: when it began and when the alert was last received.
    pub(super) open: Option<(Timestamp, Timestamp)>,
    /// The last end, and when it was learned of.
    pub(super) end: Option<(Timestamp, Timestamp)>,
    /// The last job of each route in this episode, and how it ended.
    pub(super) jobs: HashMap<String, (JobId, Option<(Reason, Timestamp)>)>,
    seen: HashSet<JobId>,
}

/// What must come out for one route: the word and, where a known job must be named, that job.
pub(super) type Expected = (Option<String>, DecisionKind, Option<JobId>);

impl Memory {
    /// What the rules say about one report; then remembers it, with the ids of new jobs taken from the verdict.
    pub(super) fn judge(&mut self, now: Timestamp, (alert, routes): &Report, verdict: &Verdict) -> Vec<Expected> {
        let starts_nothing = match alert.status {
            AlertStatus::Resolved => {
                self.end(alert, now);
                true
            }
            AlertStatus::Firing => self.is_late(alert, now),
        };
        if !starts_nothing {
            self.fire(alert, now);
        }
        if routes.is_empty() {
            return vec![(None, DecisionKind::Unmatched, None)];
        }
        routes
            .iter()
            .map(|(route, renders)| {
                let name = Some(route.name.clone());
                if starts_nothing {
                    let known = self.jobs.get(&route.name).map(|(job, _)| *job);
                    return (name, DecisionKind::Resolved, known);
                }
                let (kind, job) = self.decide(route, *renders, now);
                if matches!(kind, DecisionKind::Queued | DecisionKind::AwaitingApproval) {
                    self.remember((alert, route), verdict);
                }
                (name, kind, job.or_else(|| self.new_job(route, kind)))
            })
            .collect()
    }

    fn is_late(&self, alert: &Alert, now: Timestamp) -> bool {
        let five_minutes = 5 * 60 * 1_000_000;
        match (self.open, self.end) {
            (None, Some((end, learned))) => {
                alert.starts_at <= end && now.as_micros() - learned.as_micros() < five_minutes
            }
            _ => false,
        }
    }

    fn fire(&mut self, alert: &Alert, now: Timestamp) {
        match self.open {
            Some((began, last)) if alert.starts_at <= last || alert.starts_at == began => {
                self.open = Some((began, now));
            }
            Some(_) | None => {
                self.open = Some((alert.starts_at, now));
                self.jobs.clear();
            }
        }
    }

    fn end(&mut self, alert: &Alert, now: Timestamp) {
        let known = self.open.is_none() && self.end.is_some_and(|(end, _)| alert.starts_at <= end);
        if known {
            return;
        }
        if self.open.take().is_none() {
            self.jobs.clear();
        }
        self.end = Some((alert.ends_at.unwrap_or(now), now));
    }

    fn decide(&self, route: &Route, renders: bool, now: Timestamp) -> (DecisionKind, Option<JobId>) {
        if !renders {
            return (DecisionKind::Refused, None);
        }
        if let Some((job, ended)) = self.jobs.get(&route.name) {
            let over = match (ended, route.again_after) {
                (Some((Reason::Expired, _)), _) => true,
                (Some((_, at)), Some(wait)) => now > *at + wait.duration(),
                (Some(_), None) | (None, _) => false,
            };
            if !over {
                return (DecisionKind::Attached, Some(*job));
            }
        }
        match route.mode {
            Mode::Observe => (DecisionKind::Observed, None),
            Mode::Approve => (DecisionKind::AwaitingApproval, None),
            Mode::Auto => (DecisionKind::Queued, None),
        }
    }

    fn remember(&mut self, (alert, route): (&Alert, &Route), verdict: &Verdict) {
        // The oldest job of this alert and route that nothing is known of yet.
        let new = verdict.jobs.iter().find(|job| {
            job.route.as_ref() == Some(&route.name)
                && job.alert.as_ref().map(|alert| &alert.fingerprint) == Some(&alert.fingerprint)
                && !self.seen.contains(&job.id)
        });
        if let Some(new) = new {
            self.seen.insert(new.id);
            self.jobs.insert(route.name.clone(), (new.id, None));
        }
    }

    fn new_job(&self, route: &Route, kind: DecisionKind) -> Option<JobId> {
        let made = matches!(kind, DecisionKind::Queued | DecisionKind::AwaitingApproval);
        self.jobs.get(&route.name).filter(|_| made).map(|(job, _)| *job)
    }
}
