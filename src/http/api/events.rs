//! A job's own history.

use actix_web::web;

use crate::domain::ids::JobId;
use crate::domain::job::JobEvent;
use crate::http::App;
use crate::http::api::find_job;
use crate::http::auth::ViewerAccess;
use crate::http::input::{PathId, Query};
use crate::http::problem::{Problem, ProblemView};
use crate::http::views::List;

/// List what happened to a job, and by whom
#[utoipa::path(
    get, path = "/api/v1/jobs/{id}/events", operation_id = "list_events", tag = "jobs",
    params(
        ("id" = String, Path, format = "uuid", description = "The job"),
        ("limit" = Option<u32>, Query, minimum = 1, maximum = 500, description = "How many at most; 50 by default"),
        ("cursor" = Option<String>, Query, description = "The next_cursor of the page before"),
    ),
    responses(
        (status = 200, description = "A part of the list, in the order in which it happened", body = List<JobEvent>),
        (status = 404, description = "There is no such job", body = ProblemView, content_type = "application/problem+json"),
    ),
)]
pub(crate) async fn list(
    _: ViewerAccess,
    app: web::Data<App>,
    id: PathId<JobId>,
    query: Query,
) -> Result<web::Json<List<JobEvent>>, Problem> {
    let page = query.only(&["limit", "cursor"])?.page("events")?;
    find_job(&app, id.0).await?;
    let events = app.store.job_events(id.0, page).await?;
    Ok(web::Json(List::of("events", events, |event| event)))
}
