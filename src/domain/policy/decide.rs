//! The decisions about one notification.

use crate::domain::decision::{Decision, DecisionKind, WouldRun};
use crate::domain::ids::{EpisodeId, JobId};
use crate::domain::job::{JobStatus, Reason};
use crate::domain::parameters::Plan;
use crate::domain::policy::delivery::{Delivery, Held, Intake, Reached, Verdict};
use crate::domain::policy::episodes::{EpisodeFacts, HeldFacts, JobFacts, Ledger, Place};
use crate::domain::policy::guard::guard;
use crate::domain::policy::new_job::{Chosen, new_job};
use crate::domain::policy::restrain::{Restraint, Restraints, Wish};
use crate::domain::route::{Mode, Route};

/// Decides about every alert of a notification, in order, for every route that it reaches.
pub fn decide(delivery: &Delivery, ledger: &mut Ledger) -> Verdict {
    let mut verdict = Verdict::default();
    for intake in &delivery.intakes {
        let (facts, restraints) = ledger.of(&intake.alert.fingerprint);
        let (place, changes) = facts.place(&intake.alert, intake.spare_episode, delivery.received_at);
        verdict.episodes.extend(changes);
        let mut deciding = Deciding {
            delivery,
            intake,
            facts,
            restraints,
            place,
            is_again: false,
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

/// Decides once more about alerts that were held back, each by the one route that it names. An intake's `spare_episode` is
/// the episode that it is about: one that has closed meanwhile is let go. The same answer as before is no new decision.
pub fn decide_again(delivery: &Delivery, ledger: &mut Ledger) -> Verdict {
    let mut verdict = Verdict::default();
    for intake in &delivery.intakes {
        let id = intake.spare_episode;
        let (facts, restraints) = ledger.of(&intake.alert.fingerprint);
        if facts.open.as_ref().is_none_or(|open| open.id != id) {
            continue;
        }
        let mut deciding = Deciding {
            delivery,
            intake,
            facts,
            restraints,
            place: Place::Open { id, opened: false },
            is_again: true,
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
    restraints: &'a mut Restraints,
    place: Place,
    is_again: bool,
    verdict: &'a mut Verdict,
}

impl<'a> Deciding<'a> {
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
        if reached.route.playbook.is_none() {
            let reason = "heard; the route watches that this alert keeps coming, and runs nothing".to_owned();
            return self.push(Some(name), DecisionKind::Observed, reason, None);
        }
        let plan = match &reached.plan {
            Some(Ok(plan)) => plan,
            Some(Err(refusal)) => {
                self.free(episode, name);
                return self.push(Some(name), DecisionKind::Refused, refusal.to_string(), None);
            }
            None => {
                let reason = "the playbook was not rendered for this alert".to_owned();
                return self.push(Some(name), DecisionKind::Refused, reason, None);
            }
        };
        if let Some(job) = &counted
            && self.still_counts(job, &reached.route)
        {
            self.free(episode, name);
            return self.push(Some(name), DecisionKind::Attached, attached_reason(job), Some(job.id));
        }
        if let Some(reason) = guard(&reached.route, &self.intake.alert) {
            self.free(episode, name);
            return self.push(Some(name), DecisionKind::Guarded, reason, None);
        }
        let chosen = self.choose(reached, plan);
        if let Some(restraint) = self.restraints.restrain(&self.wish(reached, &chosen)) {
            return self.hold(reached, &chosen, episode, restraint);
        }
        self.free(episode, name);
        if reached.route.mode == Mode::Observe {
            let plan = chosen.plan;
            let reason = format!(
                "the route only observes; it would run {} on {}",
                plan.playbook, plan.target
            );
            self.push_chosen(Some(name), (DecisionKind::Observed, reason, None), &chosen);
            let would_run = WouldRun {
                playbook: plan.playbook.clone(),
                target: plan.target.clone(),
                argv: reached.argv.get(&chosen.job).cloned().unwrap_or_default(),
                vars: plan.parameters.vars.clone(),
            };
            if let Some(decision) = self.verdict.decisions.last_mut() {
                decision.would_run = Some(Box::new(would_run));
            }
            return;
        }
        if let Some(job) = counted {
            // The ladder begins anew, and what waits of the old one is over.
            self.free_if(episode, name, |_| true);
            self.verdict.superseded.push(job.id);
            self.facts.jobs.retain(|known| known.id != job.id);
        }
        self.make_job(reached, &chosen, episode);
    }

    /// The route's playbook. Where the alert flaps, the rung after the playbook that healed it last, if there is one.
    fn choose<'b>(&self, reached: &'b Reached, plan: &'b Plan) -> Chosen<'b> {
        let first = Chosen {
            job: reached.job,
            plan,
            ladder: &reached.ladder,
            flaps: None,
        };
        let wish = self.wish(reached, &first);
        let Some(flaps) = self.restraints.flapping(&wish) else {
            return first;
        };
        let healed_by = self.restraints.healed_last_by(&wish);
        let tried = reached
            .ladder
            .iter()
            .rposition(|rung| Some(rung.playbook.as_str()) == healed_by);
        let mut rungs = &reached.ladder[tried.map_or(0, |at| at + 1)..];
        while let Some((rung, rest)) = rungs.split_first() {
            if let Some(plan) = rung.plan() {
                return Chosen {
                    job: rung.job,
                    plan,
                    ladder: rest,
                    flaps: Some(flaps.reason),
                };
            }
            rungs = rest;
        }
        first
    }

    fn wish<'b>(&self, reached: &'b Reached, chosen: &Chosen<'b>) -> Wish<'b>
    where
        'a: 'b,
    {
        Wish {
            route: &reached.route,
            target: &chosen.plan.target,
            fingerprint: &self.intake.alert.fingerprint,
            fleet: &self.delivery.fleet,
            is_released: reached.is_released,
            is_rung: chosen.flaps.is_some(),
            now: self.delivery.received_at,
        }
    }

    fn hold(&mut self, reached: &Reached, chosen: &Chosen<'_>, episode: EpisodeId, restraint: Restraint) {
        let (route, kind) = (reached.route.name.clone(), restraint.kind);
        let now = HeldFacts {
            route: route.clone(),
            kind,
            is_rung: false,
        };
        let before = self.facts.held.iter().position(|held| held.route == route);
        let is_same = before.is_some_and(|at| self.facts.held[at] == now);
        match before {
            Some(at) => self.facts.held[at] = now,
            None => self.facts.held.push(now),
        }
        if !(self.is_again && is_same) {
            self.push_chosen(Some(&route), (kind, restraint.reason.clone(), None), chosen);
        }
        if kind == DecisionKind::Held && (before.is_none() || self.is_again) {
            self.restraints.waiting += 1;
        }
        self.verdict.held.push(Held {
            episode,
            route,
            target: chosen.plan.target.clone(),
            restraint,
            alert: self.intake.alert.clone(),
            notify: reached.route.notify.clone(),
            follows: None,
        });
    }

    /// The route is held back no longer. A rung that waits stays: its ladder is under way.
    fn free(&mut self, episode: EpisodeId, route: &str) {
        self.free_if(episode, route, |held| !held.is_rung);
    }

    fn free_if(&mut self, episode: EpisodeId, route: &str, which: impl Fn(&HeldFacts) -> bool) {
        let concerned = |held: &HeldFacts| held.route == route && which(held);
        if self.facts.held.iter().any(concerned) {
            self.facts.held.retain(|held| !concerned(held));
            self.verdict.freed.push((episode, route.to_owned()));
        }
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

    fn make_job(&mut self, reached: &Reached, chosen: &Chosen<'_>, episode: EpisodeId) {
        let (route, plan) = (&reached.route, chosen.plan);
        let what = format!("{} on {}", plan.playbook, plan.target);
        let (status, kind, waits, mut reason) = match route.mode {
            Mode::Approve => (
                JobStatus::AwaitingApproval,
                DecisionKind::AwaitingApproval,
                route.approval_expires,
                format!("the route asks a person to approve {what}"),
            ),
            Mode::Auto | Mode::Observe => (
                JobStatus::Queued,
                DecisionKind::Queued,
                route.expires,
                format!("queued {what}"),
            ),
        };
        if let Some(flaps) = &chosen.flaps {
            reason = format!("{flaps}; therefore the next rung of the ladder: {reason}");
        }
        let job = new_job((self.delivery, self.intake), reached, chosen, (episode, status, waits));
        self.verdict.jobs.push(job);
        let wish = self.wish(reached, chosen);
        self.restraints.made(&wish, chosen.job);
        // One that waits for a person may never run.
        if status == JobStatus::Queued {
            let tried = self.restraints.try_with(&wish, chosen.job).into_iter();
            self.verdict.trials.extend(tried.map(|scope| (scope, chosen.job)));
        }
        self.facts.jobs.push(JobFacts {
            id: chosen.job,
            route: route.name.clone(),
            status,
            reason: None,
            finished_at: None,
        });
        self.push_chosen(Some(&route.name), (kind, reason, Some(chosen.job)), chosen);
    }

    fn push_chosen(
        &mut self,
        route: Option<&str>,
        (kind, reason, job): (DecisionKind, String, Option<JobId>),
        chosen: &Chosen<'_>,
    ) {
        self.push(route, kind, reason, job);
        if let Some(decision) = self.verdict.decisions.last_mut() {
            decision.rung = chosen.flaps.is_some().then_some(chosen.job);
        }
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
            would_run: None,
            rung: None,
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
