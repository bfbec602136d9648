//! Runs what a finished job ran once more, with the catalogue in force now.

use actix_web::http::header::LOCATION;
use actix_web::{HttpResponse, web};
use serde::{Deserialize, Serialize};

use crate::catalog::Scope;
use crate::domain::host_stats::failed_hosts;
use crate::domain::ids::JobId;
use crate::domain::job::{Job, JobStatus, NewJob, Trigger};
use crate::domain::limit::Limit;
use crate::domain::parameters::Plan;
use crate::domain::route::Route;
use crate::domain::span::Span;
use crate::http::App;
use crate::http::api::find_job;
use crate::http::auth::{Caller, OperatorAccess};
use crate::http::input::{PathId, Query, SmallBody, optional_json};
use crate::http::problem::{Problem, ProblemView};
use crate::http::remediations::Remediations;
use crate::http::views::JobView;

/// How long a re-run may wait where no route says it.
const EXPIRES: Span = Span::from_secs(3_600);

/// The highest verbosity: more would print variables that `no_log` hides.
const MOST_VERBOSE: u8 = 2;

/// What to run differently this time.
#[derive(Debug, Default, Deserialize, utoipa::ToSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct RerunRequest {
    hosts: Hosts,
    /// Only say what would change.
    check: bool,
    /// How many `-v`; the playbook's own where it is absent.
    #[schema(minimum = 0, maximum = 2)]
    verbosity: Option<u8>,
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
        (status = 409, description = "It is not finished, or it cannot be run again", body = ProblemView, content_type = "application/problem+json"),
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
    let new = repeat(&app, old, caller.0, &request)?;
    let id = new.id;
    app.store.insert_job(new).await?;
    let job = find_job(&app, id).await?;
    Ok(HttpResponse::Created()
        .insert_header((LOCATION, format!("/api/v1/jobs/{id}")))
        .json(JobView::from(job)))
}

fn repeat(app: &App, old: Job, caller: Caller, request: &RerunRequest) -> Result<NewJob, Problem> {
    if !old.status.is_finished() {
        let detail = format!(
            "the job is {}; only a finished job can be run again",
            old.status.as_str()
        );
        return Err(Problem::conflict(detail));
    }
    let catalogue = app.catalogue.in_force();
    let now = app.clock.now();
    let id = app.ids.job(now);
    let mut plan = render(&*catalogue, &old, id)?;
    if request.hosts == Hosts::Failed {
        plan.parameters.limit = Some(limit_to_failed(&old)?);
    }
    plan.parameters.check |= request.check;
    plan.parameters.verbosity = request.verbosity.unwrap_or(plan.parameters.verbosity);
    let route = old.route.as_deref().and_then(|name| find_route(&*catalogue, name));
    Ok(NewJob {
        id,
        status: JobStatus::Queued,
        playbook: plan.playbook,
        resolved_within: route.and_then(|route| route.resolved_within),
        expires_at: now + route.map_or(EXPIRES, |route| route.expires).duration(),
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
        created_at: now,
    })
}

fn render(catalogue: &dyn Remediations, old: &Job, id: JobId) -> Result<Plan, Problem> {
    if !catalogue.has_playbook(&old.playbook) {
        let detail = format!("the playbook {} is no longer in the catalogue", old.playbook);
        return Err(Problem::conflict(detail));
    }
    let scope = Scope {
        alert: old.alert.as_ref(),
        group: old.group.as_ref(),
        job: id,
        attempt: 1,
    };
    catalogue
        .render(&old.playbook, &scope)
        .map_err(|refusal| Problem::conflict(refusal.to_string()))
}

fn find_route<'a>(catalogue: &'a dyn Remediations, name: &str) -> Option<&'a Route> {
    catalogue.routes().iter().find(|route| route.name == name)
}

fn limit_to_failed(old: &Job) -> Result<Limit, Problem> {
    let Some(last) = old.attempts.last() else {
        return Err(Problem::conflict("the job never ran, so no host failed in it"));
    };
    if last.recap.is_empty() {
        let detail = format!(
            "attempt {} has no host stats, so no failed hosts are known",
            last.number
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
