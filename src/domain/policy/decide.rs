//! The decisions about one notification.

use crate::domain::alert::{Alert, Group};
use crate::domain::decision::{Decision, DecisionKind};
use crate::domain::ids::{EpisodeId, JobId, NotificationId};
use crate::domain::job::{JobStatus, NewJob, Reason, Trigger};
use crate::domain::parameters::{Plan, Refusal};
use crate::domain::policy::episodes::{EpisodeChange, EpisodeFacts, JobFacts, Ledger, Place};
use crate::domain::route::{Mode, Route};
use crate::domain::span::Span;
use crate::domain::timestamp::Timestamp;

/// How long a job waits for a person's approval.
const APPROVAL_EXPIRES: Span = Span::from_secs(3_600);

/// A notification with all that is needed to decide about it but the facts.
#[derive(Clone, Debug)]
pub struct Delivery {
    pub id: NotificationId,
    pub received_at: Timestamp,
    /// The name of the token that posted it.
    pub posted_by: String,
    pub group: Group,
    pub intakes: Vec<Intake>,
}

/// One alert and the routes that it reaches, with what each of them would run.
#[derive(Clone, Debug)]
pub struct Intake {
    pub alert: Alert,
    pub reached: Vec<Reached>,
    /// Names the episode if this report begins one.
    pub spare_episode: EpisodeId,
}

/// A route that an alert reaches.
#[derive(Clone, Debug)]
pub struct Reached {
    pub route: Route,
    /// The rendered playbook; a resolved alert needs none.
    pub plan: Option<Result<Plan, Refusal>>,
    /// Names the job if one is made; the plan was rendered with it.
    pub job: JobId,
}

/// All that a notification causes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Verdict {
    pub decisions: Vec<Decision>,
    pub episodes: Vec<EpisodeChange>,
    pub jobs: Vec<NewJob>,
    /// Jobs that no longer count for their episode and route, because a new one takes their place.
    pub superseded: Vec<JobId>,
}

/// Decides about every alert of a notification, in order, for every route that it reaches.
pub fn decide(delivery: &Delivery, ledger: &mut Ledger) -> Verdict {
    let mut verdict = Verdict::default();
    for intake in &delivery.intakes {
        let facts = ledger.of(&intake.alert.fingerprint);
        let (place, changes) = facts.place(&intake.alert, intake.spare_episode, delivery.received_at);
        verdict.episodes.extend(changes);
        let mut deciding = Deciding {
            delivery,
            intake,
            facts,
            place,
            verdict: &mut verdict,
        };
        if intake.reached.is_empty() {
            deciding.unmatched();
        }
        for reached in &intake.reached {
            deciding.route(reached);
        }
    }
    verdict
}

struct Deciding<'a> {
    delivery: &'a Delivery,
    intake: &'a Intake,
    facts: &'a mut EpisodeFacts,
    place: Place,
    verdict: &'a mut Verdict,
}

impl Deciding<'_> {
    fn unmatched(&mut self) {
        let reason = "no route matches this alert's labels".to_owned();
        self.push(None, DecisionKind::Unmatched, reason, None);
    }

    fn route(&mut self, reached: &Reached) {
        let name = reached.route.name.as_str();
        let counted = self.facts.jobs.iter().find(|job| job.route == name).cloned();
        match self.place.clone() {
            Place::Resolved { closed, .. } => {
                let reason = match closed {
                    Some(_) => "the alert has resolved; its episode is closed".to_owned(),
                    None => "the alert has resolved; no episode of it was open".to_owned(),
                };
                self.push(Some(name), DecisionKind::Resolved, reason, counted.map(|job| job.id));
            }
            Place::LateFiring { ended_at, .. } => {
                let reason = format!(
                    "this firing is late: it began at {}, and the alert has resolved at {ended_at}",
                    self.intake.alert.starts_at
                );
                self.push(Some(name), DecisionKind::Resolved, reason, counted.map(|job| job.id));
            }
            Place::Open { id, .. } => self.firing(reached, id, counted),
        }
    }

    fn firing(&mut self, reached: &Reached, episode: EpisodeId, counted: Option<JobFacts>) {
        let name = reached.route.name.as_str();
        let plan = match &reached.plan {
            Some(Ok(plan)) => plan,
            Some(Err(refusal)) => return self.push(Some(name), DecisionKind::Refused, refusal.to_string(), None),
            None => {
                let reason = "the playbook was not rendered for this alert".to_owned();
                return self.push(Some(name), DecisionKind::Refused, reason, None);
            }
        };
        if let Some(job) = &counted
            && self.still_counts(job, &reached.route)
        {
            return self.push(Some(name), DecisionKind::Attached, attached_reason(job), Some(job.id));
        }
        if reached.route.mode == Mode::Observe {
            let reason = format!(
                "the route only observes; it would run {} on {}",
                plan.playbook, plan.target
            );
            return self.push(Some(name), DecisionKind::Observed, reason, None);
        }
        if let Some(job) = counted {
            self.verdict.superseded.push(job.id);
            self.facts.jobs.retain(|known| known.id != job.id);
        }
        self.make_job(reached, plan, episode);
    }

    fn still_counts(&self, job: &JobFacts, route: &Route) -> bool {
        if job.reason == Some(Reason::Expired) {
            return false;
        }
        match (job.finished_at, route.again_after) {
            (Some(finished_at), Some(again_after)) => {
                self.delivery.received_at.since(finished_at) <= again_after.duration()
            }
            _ => true,
        }
    }

    fn make_job(&mut self, reached: &Reached, plan: &Plan, episode: EpisodeId) {
        let route = &reached.route;
        let now = self.delivery.received_at;
        let (status, kind, waits, reason) = match route.mode {
            Mode::Approve => (
                JobStatus::AwaitingApproval,
                DecisionKind::AwaitingApproval,
                APPROVAL_EXPIRES,
                format!(
                    "the route asks a person to approve {} on {}",
                    plan.playbook, plan.target
                ),
            ),
            Mode::Auto | Mode::Observe => (
                JobStatus::Queued,
                DecisionKind::Queued,
                route.expires,
                format!("queued {} on {}", plan.playbook, plan.target),
            ),
        };
        self.verdict.jobs.push(NewJob {
            id: reached.job,
            status,
            playbook: plan.playbook.clone(),
            route: Some(route.name.clone()),
            target: plan.target.clone(),
            trigger: Trigger::Alert,
            triggered_by: self.delivery.posted_by.clone(),
            rerun_of: None,
            follows: None,
            episode: Some(episode),
            alert: Some(self.intake.alert.clone()),
            group: Some(self.delivery.group.clone()),
            parameters: plan.parameters.clone(),
            by_hand: None,
            changes: None,
            resolved_within: route.resolved_within,
            on_resolved: route.on_resolved,
            created_at: now,
            expires_at: now + waits.duration(),
        });
        self.facts.jobs.push(JobFacts {
            id: reached.job,
            route: route.name.clone(),
            status,
            reason: None,
            finished_at: None,
        });
        self.push(Some(&route.name), kind, reason, Some(reached.job));
    }

    fn push(&mut self, route: Option<&str>, kind: DecisionKind, reason: String, job: Option<JobId>) {
        let episode = match self.place {
            Place::Open { id, .. } | Place::LateFiring { id, .. } => Some(id),
            Place::Resolved { last, .. } => last,
        };
        self.verdict.decisions.push(Decision {
            fingerprint: self.intake.alert.fingerprint.clone(),
            alertname: self.intake.alert.name().to_owned(),
            route: route.map(str::to_owned),
            kind,
            reason,
            job,
            episode,
        });
    }
}

fn attached_reason(job: &JobFacts) -> String {
    match (job.status.is_finished(), job.reason) {
        (true, Some(reason)) => format!(
            "this route already ran a job for this episode; it ended {} ({})",
            job.status.as_str(),
            reason.as_str()
        ),
        _ => format!(
            "this route already has a job for this episode; it is {}",
            job.status.as_str()
        ),
    }
}
