//! The job that a route makes for an alert.

use crate::domain::aftercare::{Aftercare, Rung};
use crate::domain::ids::{EpisodeId, JobId};
use crate::domain::job::{JobStatus, NewJob, Trigger};
use crate::domain::parameters::Plan;
use crate::domain::policy::delivery::{Delivery, Intake, Reached};
use crate::domain::route::Mode;
use crate::domain::span::Span;

/// What a route runs for an alert.
pub(super) struct Chosen<'a> {
    pub(super) job: JobId,
    pub(super) plan: &'a Plan,
    /// What follows if it does not heal.
    pub(super) ladder: &'a [Rung],
    /// Why it is not the route's own playbook.
    pub(super) flaps: Option<String>,
}

/// The job in that episode, which may wait so long.
pub(super) fn new_job(
    (delivery, intake): (&Delivery, &Intake),
    reached: &Reached,
    chosen: &Chosen<'_>,
    (episode, status, waits): (EpisodeId, JobStatus, Span),
) -> NewJob {
    let (route, plan, now) = (&reached.route, chosen.plan, delivery.received_at);
    NewJob {
        id: chosen.job,
        status,
        playbook: plan.playbook.clone(),
        route: Some(route.name.clone()),
        target: plan.target.clone(),
        trigger: Trigger::Alert,
        triggered_by: delivery.posted_by.clone(),
        rerun_of: None,
        follows: None,
        episode: Some(episode),
        alert: Some(intake.alert.clone()),
        group: Some(delivery.group.clone()),
        parameters: plan.parameters.clone(),
        by_hand: None,
        changes: None,
        resolved_within: route.resolved_within,
        on_resolved: route.on_resolved.clone(),
        aftercare: Aftercare::of(route, &delivery.fleet, chosen.ladder.to_vec(), reached.cleanup.clone()),
        notify: route.notify.clone(),
        checks: plan.checks.clone(),
        created_at: now,
        expires_at: now + waits.duration(),
        runs_within: (route.mode == Mode::Approve).then_some(route.expires),
    }
}
