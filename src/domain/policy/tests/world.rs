//! A store in memory: takes only verdicts that a database could take.

use std::collections::HashMap;

use super::{Report, delivery};
use crate::domain::alert::Alert;
use crate::domain::ids::{EpisodeId, Fingerprint, JobId};
use crate::domain::job::{JobStatus, Reason};
use crate::domain::policy::{
    ClosedEpisode, EpisodeChange, EpisodeFacts, JobFacts, Ledger, OpenEpisode, Restraints, Verdict, decide,
};
use crate::domain::timestamp::Timestamp;

pub(super) struct Stretch {
    pub(super) id: EpisodeId,
    pub(super) fingerprint: Fingerprint,
    starts_at: Timestamp,
    last_received_at: Timestamp,
    pub(super) closed: Option<(Timestamp, Timestamp)>,
    pub(super) missed: bool,
}

pub(super) struct Work {
    pub(super) facts: JobFacts,
    pub(super) episode: EpisodeId,
    counts: bool,
}

#[derive(Default)]
pub(super) struct World {
    pub(super) episodes: Vec<Stretch>,
    pub(super) jobs: Vec<Work>,
    next: u128,
}

impl World {
    /// Decides about a notification and applies what was decided.
    pub(super) fn post(&mut self, now: Timestamp, reports: Vec<Report>) -> Verdict {
        let delivery = delivery(&mut self.next, now, reports);
        let verdict = decide(&delivery, &mut self.ledger());
        for change in &verdict.episodes {
            self.change(change, now);
        }
        for id in &verdict.superseded {
            let job = self.jobs.iter_mut().find(|job| job.facts.id == *id).unwrap();
            assert!(job.counts, "a job is superseded once");
            job.counts = false;
        }
        for new in &verdict.jobs {
            let (episode, route) = (new.episode.unwrap(), new.route.clone().unwrap());
            let rival = self
                .jobs
                .iter()
                .find(|job| job.counts && job.episode == episode && job.facts.route == route);
            assert!(rival.is_none(), "one job counts for an episode and a route");
            assert!(self.episodes.iter().any(|stretch| stretch.id == episode));
            self.jobs.push(Work {
                facts: JobFacts {
                    id: new.id,
                    route,
                    status: new.status,
                    reason: None,
                    finished_at: None,
                },
                episode,
                counts: true,
            });
        }
        verdict
    }

    pub(super) fn finish(&mut self, job: JobId, reason: Reason, now: Timestamp) {
        let job = self.jobs.iter_mut().find(|known| known.facts.id == job).unwrap();
        job.facts.status = JobStatus::Failed;
        job.facts.reason = Some(reason);
        job.facts.finished_at = Some(now);
    }

    pub(super) fn open(&self, fingerprint: &str) -> Vec<EpisodeId> {
        let open = |stretch: &&Stretch| stretch.closed.is_none() && stretch.fingerprint.as_str() == fingerprint;
        self.episodes.iter().filter(open).map(|stretch| stretch.id).collect()
    }

    fn change(&mut self, change: &EpisodeChange, now: Timestamp) {
        match change {
            EpisodeChange::Open { id, alert } => {
                let fingerprint = &alert.fingerprint;
                assert!(
                    self.open(fingerprint.as_str()).is_empty(),
                    "two open episodes of one alert"
                );
                self.begin((*id, alert), now, None);
            }
            EpisodeChange::OpenAndClose { id, alert, ended_at } => {
                let fingerprint = &alert.fingerprint;
                assert!(
                    self.open(fingerprint.as_str()).is_empty(),
                    "an open episode was passed over"
                );
                self.begin((*id, alert), now, Some((*ended_at, now)));
            }
            EpisodeChange::Touch { id, alert } => {
                let stretch = self.episodes.iter_mut().find(|stretch| stretch.id == *id).unwrap();
                assert!(stretch.closed.is_none() && stretch.fingerprint == alert.fingerprint);
                stretch.last_received_at = stretch.last_received_at.max(now);
            }
            EpisodeChange::Close { id, ended_at, missed } => {
                let stretch = self.episodes.iter_mut().find(|stretch| stretch.id == *id).unwrap();
                assert!(stretch.closed.is_none(), "an episode is closed once");
                (stretch.closed, stretch.missed) = (Some((*ended_at, now)), *missed);
            }
        }
    }

    fn begin(&mut self, (id, alert): (EpisodeId, &Alert), now: Timestamp, closed: Option<(Timestamp, Timestamp)>) {
        assert!(
            self.episodes.iter().all(|stretch| stretch.id != id),
            "an id is used once"
        );
        self.episodes.push(Stretch {
            id,
            fingerprint: alert.fingerprint.clone(),
            starts_at: alert.starts_at,
            last_received_at: now,
            closed,
            missed: false,
        });
    }

    fn ledger(&self) -> Ledger {
        let mut facts = HashMap::new();
        // Later stretches take the place of earlier ones.
        for stretch in &self.episodes {
            let jobs = self.jobs.iter().filter(|job| job.counts && job.episode == stretch.id);
            let known = EpisodeFacts {
                open: stretch.closed.is_none().then_some(OpenEpisode {
                    id: stretch.id,
                    starts_at: stretch.starts_at,
                    last_received_at: stretch.last_received_at,
                }),
                closed: stretch.closed.map(|(ended_at, closed_at)| ClosedEpisode {
                    id: stretch.id,
                    ended_at,
                    closed_at,
                }),
                jobs: jobs.map(|job| job.facts.clone()).collect(),
                held: Vec::new(),
            };
            facts.insert(stretch.fingerprint.clone(), known);
        }
        Ledger::new(facts, Restraints::default())
    }
}
