//! Runs what a finished job ran once more, with the catalogue in force now.

use actix_web::{HttpResponse, web};
use serde::{Deserialize, Serialize};

use crate::catalog::Scope;
use crate::domain::aftercare::Aftercare;
use crate::domain::attempt::Outcome;
use crate::domain::by_hand::{ByHand, Once};
use crate::domain::change::{Change, changes};
use crate::domain::host_stats::failed_hosts;
use crate::domain::ids::JobId;
use crate::domain::job::{Job, JobStatus, NewJob, Trigger};
use crate::domain::limit::Limit;
use crate::domain::parameters::{Overrides, Plan};
use crate::domain::route::OnResolved;
use crate::http::App;
use crate::http::api::{by_hand, find_job};
use crate::http::auth::{Caller, OperatorAccess};
use crate::http::input::{PathId, Query, SmallBody, optional_json};
use crate::http::problem::{Problem, ProblemView};
use crate::http::views::JobView;
use crate::remediations::Remediations;

/// The highest verbosity: more would print variables that `no_log` hides.
const MOST_VERBOSE: u8 = 2;

/// What to run differently this time.
#[derive(Debug, Default, Deserialize, utoipa::ToSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct RerunRequest {
    pub(crate) hosts: Hosts,
    /// Only say what would change.
    pub(crate) check: bool,
    /// How many `-v`; the playbook's own where it is absent.
    #[schema(minimum = 0, maximum = 2)]
    pub(crate) verbosity: Option<u8>,
}

/// On which hosts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Hosts {
    /// As the playbook's entry says.
    #[default]
    All,
    /// Those that failed or could not be reached in the last attempt.
    Failed,
}

/// Run a finished job again
#[utoipa::path(
    post, path = "/api/v1/jobs/{id}/rerun", operation_id = "rerun_job", tag = "jobs",
    params(("id" = String, Path, format = "uuid", description = "The finished job")),
    request_body(content = Option<RerunRequest>),
    responses(
        (status = 201, description = "The new job", body = JobView, headers(("Location" = String, description = "The new job's path"))),
        (status = 400, description = "The body is wrong", body = ProblemView, content_type = "application/problem+json"),
        (status = 404, description = "There is no such job", body = ProblemView, content_type = "application/problem+json"),
        (status = 409, description = "It is not finished, it cannot be run again, or everything, its route or its target is paused", body = ProblemView, content_type = "application/problem+json"),
    ),
)]
pub(crate) async fn rerun(
    caller: OperatorAccess,
    app: web::Data<App>,
    id: PathId<JobId>,
    query: Query,
    body: SmallBody,
) -> Result<HttpResponse, Problem> {
    query.only(&[])?;
    let request: RerunRequest = optional_json(&body.0)?;
    if request.verbosity.is_some_and(|verbosity| verbosity > MOST_VERBOSE) {
        return Err(Problem::invalid("verbosity", "must be 0, 1 or 2"));
    }
    let old = find_job(&app, id.0).await?;
    let id = app.ids.job(app.clock.now());
    by_hand::create(&app, move |app| repeat(app, old, (id, caller.0), &request)).await
}

/// The job that runs the old one again, with that id.
pub(crate) fn repeat(
    app: &App,
    old: Job,
    (id, caller): (JobId, Caller),
    request: &RerunRequest,
) -> Result<NewJob, Problem> {
    if !old.status.is_finished() {
        let detail = format!(
            "the job is {}; only a finished job can be run again",
            old.status.as_str()
        );
        return Err(Problem::conflict(detail));
    }
    let catalogue = app.catalogue.in_force();
    let now = app.clock.now();
    let mut plan = render(&*catalogue, &old, id)?;
    let changes = changes_since(&*catalogue, &old, &plan)?;
    let once = Once {
        hosts: (request.hosts == Hosts::Failed)
            .then(|| limit_to_failed(&old))
            .transpose()?,
        check: request.check,
        verbosity: request.verbosity,
    };
    let by_hand = ByHand::apply(overrides(&old), once, &mut plan.parameters);
    let mut terms = by_hand::terms(&*catalogue, &plan.playbook, old.route.as_deref(), old.alert.as_ref());
    // Whoever only tries it out looks at it themselves.
    let notify = terms.notify.take().filter(|_| !request.check);
    let checks = by_hand::checks(&*catalogue, &plan, old.route.as_deref(), &scope(&old, id));
    let checks = checks.map_err(|refusal| Problem::conflict(refusal.to_string()))?;
    Ok(NewJob {
        id,
        status: JobStatus::Queued,
        playbook: plan.playbook,
        resolved_within: terms.resolved_within,
        // A person wanted it, whatever the alert does.
        on_resolved: OnResolved::Ignore,
        aftercare: Aftercare::default(),
        notify,
        checks,
        expires_at: now + terms.expires.duration(),
        runs_within: None,
        route: old.route,
        target: plan.target,
        trigger: Trigger::Rerun,
        triggered_by: caller.name,
        rerun_of: Some(old.id),
        follows: None,
        episode: old.episode,
        alert: old.alert,
        group: old.group,
        parameters: plan.parameters,
        by_hand: Some(by_hand),
        changes: Some(changes),
        created_at: now,
    })
}

/// What the old job would be with the catalogue in force, if it had that id.
fn render(catalogue: &dyn Remediations, old: &Job, id: JobId) -> Result<Plan, Problem> {
    if !catalogue.has_playbook(&old.playbook) {
        let detail = format!("the playbook {} is no longer in the catalogue", old.playbook);
        return Err(Problem::conflict(detail));
    }
    catalogue
        .render_by_hand(&old.playbook, &scope(old, id), &overrides(old))
        .map_err(|refusal| Problem::conflict(refusal.to_string()))
}

/// What templates see for a job like the old one.
fn scope(old: &Job, id: JobId) -> Scope<'_> {
    Scope {
        alert: old.alert.as_ref(),
        group: old.group.as_ref(),
        job: id,
        attempt: 1,
    }
}

fn overrides(old: &Job) -> Overrides {
    let by_hand = old.by_hand.as_ref();
    by_hand.map_or_else(Overrides::default, |by_hand| by_hand.overrides.clone())
}

/// What the catalogue says otherwise now. What was asked of the old run alone does not count, nor does a template that
/// differs only because it names its job.
fn changes_since(catalogue: &dyn Remediations, old: &Job, new: &Plan) -> Result<Vec<Change>, Problem> {
    let then = match &old.by_hand {
        Some(by_hand) => by_hand.usual(&old.parameters),
        None => old.parameters.clone(),
    };
    let then = Plan {
        playbook: old.playbook.clone(),
        target: old.target.clone(),
        parameters: then,
        checks: old.checks.clone(),
    };
    let same_job = changes(&then, &render(catalogue, old, old.id)?);
    let is_real = |change: &Change| same_job.iter().any(|real| real.parameter == change.parameter);
    Ok(changes(&then, new).into_iter().filter(is_real).collect())
}

/// What a re-run of the job would do otherwise than it did.
pub(crate) fn changes_until_now(app: &App, job: &Job) -> Result<Vec<Change>, Problem> {
    let catalogue = app.catalogue.in_force();
    let plan = render(&*catalogue, job, job.id)?;
    changes_since(&*catalogue, job, &plan)
}

fn limit_to_failed(old: &Job) -> Result<Limit, Problem> {
    let Some(last) = old.attempts.last() else {
        return Err(Problem::conflict("the job never ran, so no host failed in it"));
    };
    if last.recap.is_empty() {
        let detail = format!(
            "attempt {} ended {} without host stats, so no failed hosts are known; run it again on all hosts",
            last.number,
            last.outcome.map_or("nowhere", Outcome::as_str)
        );
        return Err(Problem::conflict(detail));
    }
    let hosts = failed_hosts(&last.recap);
    if hosts.is_empty() {
        return Err(Problem::conflict(format!("no host failed in attempt {}", last.number)));
    }
    Limit::of_hosts(&hosts).map_err(|error| Problem::conflict(error.to_string()))
}

#[cfg(test)]
mod tests;
