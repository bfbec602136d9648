//! What re-runs and manual jobs have in common: both are jobs that a person asks for.

use actix_web::http::header::LOCATION;
use actix_web::{HttpResponse, web};

use crate::catalog::Scope;
use crate::domain::alert::Alert;
use crate::domain::checks::Checks;
use crate::domain::job::{Job, NewJob};
use crate::domain::notify::Notify;
use crate::domain::parameters::{Plan, Refusal};
use crate::domain::pause::Pause;
use crate::domain::route::{Route, reached};
use crate::domain::span::Span;
use crate::http::App;
use crate::http::api::find_job;
use crate::http::problem::Problem;
use crate::http::views::JobView;
use crate::remediations::Remediations;

/// How long a job may wait where no route says it.
const EXPIRES: Span = Span::from_secs(3_600);

/// How long a job is allowed to wait, how long its alert has to resolve after it, and whom to tell.
#[derive(Clone, Debug)]
pub(super) struct Terms {
    pub(super) expires: Span,
    pub(super) resolved_within: Option<Span>,
    pub(super) notify: Option<Notify>,
}

/// Of the job's own route as it is now. A job without one gets the verification, and nothing else, of the route by which
/// its alert would reach the same playbook.
pub(super) fn terms(catalogue: &dyn Remediations, playbook: &str, route: Option<&str>, alert: Option<&Alert>) -> Terms {
    let verified_by = verified_by(catalogue, playbook, route, alert);
    let own = verified_by.filter(|_| route.is_some());
    Terms {
        expires: own.map_or(EXPIRES, |route| route.expires),
        resolved_within: verified_by.and_then(|route| route.resolved_within),
        notify: own.and_then(|route| route.notify.clone()),
    }
}

/// What is asked about a job by hand: only whether it healed, as the route asks by which it is verified, and not even that
/// in check mode. What must hold before, a person has decided.
pub(super) fn checks(
    catalogue: &dyn Remediations,
    plan: &Plan,
    route: Option<&str>,
    scope: &Scope<'_>,
) -> Result<Checks, Refusal> {
    let verified_by = verified_by(catalogue, &plan.playbook, route, scope.alert);
    let Some(route) = verified_by.filter(|_| !plan.parameters.check) else {
        return Ok(Checks::default());
    };
    Ok(Checks {
        verify_query: catalogue.verify_query(&route.name, scope)?,
        ..Checks::default()
    })
}

/// The job's own route as it is now; without one, that by which its alert would reach the same playbook.
fn verified_by<'a>(
    catalogue: &'a dyn Remediations,
    playbook: &str,
    route: Option<&str>,
    alert: Option<&Alert>,
) -> Option<&'a Route> {
    match route {
        Some(name) => catalogue.routes().iter().find(|route| route.name == name),
        None => {
            let reached = reached(catalogue.routes(), &alert?.labels);
            reached
                .into_iter()
                .find(|route| route.playbook.as_deref() == Some(playbook))
        }
    }
}

/// Makes the job, stores it and answers with it.
pub(super) async fn create(
    app: &web::Data<App>,
    make: impl FnOnce(&App) -> Result<NewJob, Problem> + Send + 'static,
) -> Result<HttpResponse, Problem> {
    let job = store(app, make).await?;
    Ok(HttpResponse::Created()
        .insert_header((LOCATION, format!("/api/v1/jobs/{}", job.id)))
        .json(JobView::from(job)))
}

/// Makes the job and stores it. `make` may read files.
pub(crate) async fn store(
    app: &web::Data<App>,
    make: impl FnOnce(&App) -> Result<NewJob, Problem> + Send + 'static,
) -> Result<Job, Problem> {
    let shared = web::Data::clone(app);
    let made = web::block(move || make(&shared)).await;
    let new = made.map_err(|_| Problem::internal())??;
    let id = new.id;
    let pauses = app.store.pauses().await?;
    let pause = pauses
        .iter()
        .find(|pause| pause.scope.covers(new.route.as_deref(), &new.target));
    if let Some(Pause { scope, by, since, .. }) = pause {
        let detail = format!("{scope} is paused by {by} since {since}; nothing starts before it is resumed");
        return Err(Problem::conflict(detail));
    }
    app.store.insert_job(new).await?;
    find_job(app, id).await
}
