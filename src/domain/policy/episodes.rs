//! Episodes: which stretch of an alert a report belongs to.

use std::collections::HashMap;
use std::time::Duration;

use crate::domain::alert::{Alert, AlertStatus};
use crate::domain::decision::DecisionKind;
use crate::domain::ids::{EpisodeId, Fingerprint, JobId};
use crate::domain::job::{JobStatus, Reason};
use crate::domain::policy::restrain::Restraints;
use crate::domain::timestamp::Timestamp;

/// How long after a `resolved` a `firing` of the same stretch counts as late. Alertmanager peers may deliver out of
/// order; an alert that Alertmanager takes back comes later than this.
pub const LATE_FIRING_WINDOW: Duration = Duration::from_secs(5 * 60);

/// What is known of each alert of a notification. Follows the notification while it is decided, so that the second
/// report of an alert sees what the first one did.
#[derive(Clone, Debug, Default)]
pub struct Ledger {
    facts: HashMap<Fingerprint, EpisodeFacts>,
    pub(super) restraints: Restraints,
}

/// What is known of one alert.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EpisodeFacts {
    pub open: Option<OpenEpisode>,
    /// The last one that was closed.
    pub closed: Option<ClosedEpisode>,
    /// The jobs that alerts made in the open episode, or in the last closed one if none is open: those that count.
    pub jobs: Vec<JobFacts>,
    /// The routes by which the open episode is held back, and why.
    pub held: Vec<HeldFacts>,
}

/// A route by which an episode is held back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeldFacts {
    pub route: String,
    pub kind: DecisionKind,
    /// It is a rung of a ladder that waits, and not the route's own playbook.
    pub is_rung: bool,
}

/// The stretch that goes on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OpenEpisode {
    pub id: EpisodeId,
    /// As its first `firing` gave it.
    pub starts_at: Timestamp,
    pub last_received_at: Timestamp,
}

impl OpenEpisode {
    /// Whether this report shows that a `resolved` was missed: it began after the last one came. A beginning that has
    /// not moved shows nothing, even if the sender's clock is ahead of ours.
    fn was_missed(&self, alert: &Alert) -> bool {
        alert.starts_at > self.last_received_at && alert.starts_at != self.starts_at
    }
}

/// A stretch that is over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClosedEpisode {
    pub id: EpisodeId,
    /// The alert's own end.
    pub ended_at: Timestamp,
    /// When the gateway learned of it.
    pub closed_at: Timestamp,
}

/// A job that an alert made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JobFacts {
    pub id: JobId,
    pub route: String,
    pub status: JobStatus,
    pub reason: Option<Reason>,
    pub finished_at: Option<Timestamp>,
}

/// What happens to the table of episodes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EpisodeChange {
    /// A new stretch begins.
    Open { id: EpisodeId, alert: Alert },
    /// Another report of an open one.
    Touch { id: EpisodeId, alert: Alert },
    /// It is over. `missed`: its `resolved` never came, a later stretch shows it.
    Close {
        id: EpisodeId,
        ended_at: Timestamp,
        missed: bool,
    },
    /// A `resolved` of a stretch whose `firing` never came: kept so that a late `firing` is recognised.
    OpenAndClose {
        id: EpisodeId,
        alert: Alert,
        ended_at: Timestamp,
    },
}

/// Where a report belongs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// It belongs to this open episode; `opened` if it began it.
    Open { id: EpisodeId, opened: bool },
    /// A `firing` that was overtaken by its `resolved`.
    LateFiring { id: EpisodeId, ended_at: Timestamp },
    /// A `resolved`, and the episode that it closed, if one was open.
    Resolved {
        closed: Option<EpisodeId>,
        last: Option<EpisodeId>,
    },
}

impl Ledger {
    /// Over the facts of every alert in a notification; an alert that is not in it was never seen.
    pub fn new(facts: HashMap<Fingerprint, EpisodeFacts>, restraints: Restraints) -> Self {
        Self { facts, restraints }
    }

    /// What holds jobs back.
    pub fn restraints(&self) -> &Restraints {
        &self.restraints
    }

    /// The facts of one alert, and what holds jobs back.
    pub(super) fn of(&mut self, fingerprint: &Fingerprint) -> (&mut EpisodeFacts, &mut Restraints) {
        let facts = self.facts.entry(fingerprint.clone()).or_default();
        (facts, &mut self.restraints)
    }
}

impl EpisodeFacts {
    /// A later rung of the ladder of a job that counts: how it stands is how the ladder stands.
    pub fn climbed(&mut self, rung: &JobFacts) {
        if let Some(first) = self.jobs.iter_mut().find(|job| job.route == rung.route) {
            first.status = rung.status;
            first.reason = rung.reason;
            first.finished_at = rung.finished_at;
        }
    }

    /// Finds the report's place and notes it; `spare` names the episode that it may begin.
    pub(super) fn place(&mut self, alert: &Alert, spare: EpisodeId, now: Timestamp) -> (Place, Vec<EpisodeChange>) {
        match alert.status {
            AlertStatus::Firing => self.place_firing(alert, spare, now),
            AlertStatus::Resolved => self.place_resolved(alert, spare, now),
        }
    }

    fn place_firing(&mut self, alert: &Alert, spare: EpisodeId, now: Timestamp) -> (Place, Vec<EpisodeChange>) {
        if let Some(open) = &mut self.open {
            if !open.was_missed(alert) {
                open.last_received_at = open.last_received_at.max(now);
                let id = open.id;
                let change = EpisodeChange::Touch {
                    id,
                    alert: alert.clone(),
                };
                return (Place::Open { id, opened: false }, vec![change]);
            }
            let missed = EpisodeChange::Close {
                id: open.id,
                ended_at: alert.starts_at,
                missed: true,
            };
            let (place, mut changes) = self.begin(alert, spare, now);
            changes.insert(0, missed);
            return (place, changes);
        }
        if let Some(closed) = &self.closed
            && alert.starts_at <= closed.ended_at
            && now.since(closed.closed_at) < LATE_FIRING_WINDOW
        {
            return (
                Place::LateFiring {
                    id: closed.id,
                    ended_at: closed.ended_at,
                },
                Vec::new(),
            );
        }
        self.begin(alert, spare, now)
    }

    fn begin(&mut self, alert: &Alert, id: EpisodeId, now: Timestamp) -> (Place, Vec<EpisodeChange>) {
        self.open = Some(OpenEpisode {
            id,
            starts_at: alert.starts_at,
            last_received_at: now,
        });
        self.jobs.clear();
        (
            Place::Open { id, opened: true },
            vec![EpisodeChange::Open {
                id,
                alert: alert.clone(),
            }],
        )
    }

    fn place_resolved(&mut self, alert: &Alert, spare: EpisodeId, now: Timestamp) -> (Place, Vec<EpisodeChange>) {
        let ended_at = alert.ends_at.unwrap_or(now);
        if let Some(open) = self.open.take() {
            self.closed = Some(ClosedEpisode {
                id: open.id,
                ended_at,
                closed_at: now,
            });
            let changes = vec![
                EpisodeChange::Touch {
                    id: open.id,
                    alert: alert.clone(),
                },
                EpisodeChange::Close {
                    id: open.id,
                    ended_at,
                    missed: false,
                },
            ];
            return (
                Place::Resolved {
                    closed: Some(open.id),
                    last: Some(open.id),
                },
                changes,
            );
        }
        if let Some(closed) = &self.closed
            && alert.starts_at <= closed.ended_at
        {
            return (
                Place::Resolved {
                    closed: None,
                    last: Some(closed.id),
                },
                Vec::new(),
            );
        }
        self.closed = Some(ClosedEpisode {
            id: spare,
            ended_at,
            closed_at: now,
        });
        self.jobs.clear();
        let change = EpisodeChange::OpenAndClose {
            id: spare,
            alert: alert.clone(),
            ended_at,
        };
        (
            Place::Resolved {
                closed: None,
                last: Some(spare),
            },
            vec![change],
        )
    }
}
