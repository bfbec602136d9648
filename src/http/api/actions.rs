//! What a person does with a job that exists: cancel, approve, reject.

use actix_web::{HttpResponse, web};
use serde::Deserialize;

use crate::domain::ids::JobId;
use crate::http::App;
use crate::http::api::find_job;
use crate::http::auth::{Caller, OperatorAccess};
use crate::http::input::{PathId, Query, SmallBody, optional_json};
use crate::http::problem::{Problem, ProblemView};
use crate::http::views::JobView;
use crate::store::{Answer, By, StoreError};

/// What a person says about what they do.
#[derive(Debug, Default, Deserialize, utoipa::ToSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Comment {
    comment: Option<String>,
}

/// Cancel a job
#[utoipa::path(
    post, path = "/api/v1/jobs/{id}/cancel", operation_id = "cancel_job", tag = "jobs",
    params(("id" = String, Path, format = "uuid", description = "The job")),
    request_body(content = Option<Comment>),
    responses(
        (status = 202, description = "It is canceled, or its run is being stopped", body = JobView),
        (status = 404, description = "There is no such job", body = ProblemView, content_type = "application/problem+json"),
        (status = 409, description = "It is finished", body = ProblemView, content_type = "application/problem+json"),
    ),
)]
pub(crate) async fn cancel(
    caller: OperatorAccess,
    app: web::Data<App>,
    id: PathId<JobId>,
    query: Query,
    body: SmallBody,
) -> Result<HttpResponse, Problem> {
    let by = by(&app, &caller.0, &query, &body)?;
    stop(&app, id.0, by).await?;
    changed(&app, id.0).await
}

/// Cancels a job, by asking its run to end if it runs.
pub(crate) async fn stop(app: &App, id: JobId, by: By) -> Result<(), Problem> {
    let name = by.name.clone();
    match app.store.cancel(id, by).await {
        // What fills the disk may be this very run.
        Err(StoreError::Unavailable(error)) if app.live.ask_stop_unstored(id, &name) => {
            tracing::warn!(job.id = %id, by = name, error, "stopping a run without a record of who asked");
            Err(Problem::unavailable(
                "the database takes no writes now; the run is being stopped all the same",
            ))
        }
        canceled => Ok(canceled.map(drop)?),
    }
}

/// Approve a job that waits for it
#[utoipa::path(
    post, path = "/api/v1/jobs/{id}/approve", operation_id = "approve_job", tag = "jobs",
    params(("id" = String, Path, format = "uuid", description = "The job")),
    request_body(content = Option<Comment>),
    responses(
        (status = 202, description = "It is queued", body = JobView),
        (status = 404, description = "There is no such job", body = ProblemView, content_type = "application/problem+json"),
        (status = 409, description = "It does not wait for approval, or its alert has resolved", body = ProblemView, content_type = "application/problem+json"),
    ),
)]
pub(crate) async fn approve(
    caller: OperatorAccess,
    app: web::Data<App>,
    id: PathId<JobId>,
    query: Query,
    body: SmallBody,
) -> Result<HttpResponse, Problem> {
    let by = by(&app, &caller.0, &query, &body)?;
    answer(&app, id.0, Answer::Approve, by).await
}

/// Reject a job that waits for approval
#[utoipa::path(
    post, path = "/api/v1/jobs/{id}/reject", operation_id = "reject_job", tag = "jobs",
    params(("id" = String, Path, format = "uuid", description = "The job")),
    request_body(content = Option<Comment>),
    responses(
        (status = 202, description = "It is rejected", body = JobView),
        (status = 404, description = "There is no such job", body = ProblemView, content_type = "application/problem+json"),
        (status = 409, description = "It does not wait for approval", body = ProblemView, content_type = "application/problem+json"),
    ),
)]
pub(crate) async fn reject(
    caller: OperatorAccess,
    app: web::Data<App>,
    id: PathId<JobId>,
    query: Query,
    body: SmallBody,
) -> Result<HttpResponse, Problem> {
    let by = by(&app, &caller.0, &query, &body)?;
    answer(&app, id.0, Answer::Reject, by).await
}

async fn answer(app: &App, id: JobId, answer: Answer, by: By) -> Result<HttpResponse, Problem> {
    app.store.answer(id, answer, by).await?;
    changed(app, id).await
}

/// Who asks, and what they say: all that these requests carry.
fn by(app: &App, caller: &Caller, query: &Query, body: &SmallBody) -> Result<By, Problem> {
    query.only(&[])?;
    Ok(app.by(caller, optional_json::<Comment>(&body.0)?.comment))
}

async fn changed(app: &App, id: JobId) -> Result<HttpResponse, Problem> {
    let job = find_job(app, id).await?;
    Ok(HttpResponse::Accepted().json(JobView::from(job)))
}
