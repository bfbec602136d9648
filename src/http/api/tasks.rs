//! What Ansible did in an attempt.

use actix_web::web;

use crate::domain::attempt::TaskResult;
use crate::domain::ids::JobId;
use crate::http::App;
use crate::http::api::find_job;
use crate::http::auth::ViewerAccess;
use crate::http::input::{PathId, Query};
use crate::http::problem::{Problem, ProblemView};
use crate::http::views::List;

/// List the task results of a job's attempt
#[utoipa::path(
    get, path = "/api/v1/jobs/{id}/tasks", operation_id = "list_tasks", tag = "jobs",
    params(
        ("id" = String, Path, format = "uuid", description = "The job"),
        ("attempt" = Option<u32>, Query, minimum = 1, description = "Which attempt; the last one by default"),
        ("limit" = Option<u32>, Query, minimum = 1, maximum = 500, description = "How many at most; 50 by default"),
        ("cursor" = Option<String>, Query, description = "The next_cursor of the page before"),
    ),
    responses(
        (status = 200, description = "A part of the list, in the order in which it happened", body = List<TaskResult>),
        (status = 404, description = "There is no such job or attempt", body = ProblemView, content_type = "application/problem+json"),
    ),
)]
pub(crate) async fn list(
    _: ViewerAccess,
    app: web::Data<App>,
    id: PathId<JobId>,
    query: Query,
) -> Result<web::Json<List<TaskResult>>, Problem> {
    let page = query.only(&["attempt", "limit", "cursor"])?.page("tasks")?;
    let number = query.attempt()?;
    find_job(&app, id.0).await?;
    let Some(attempt) = app.store.find_attempt(id.0, number).await? else {
        return match number {
            Some(number) => Err(Problem::not_found("attempt", number)),
            None => Ok(web::Json(List {
                items: Vec::new(),
                next_cursor: None,
            })),
        };
    };
    let tasks = app.store.tasks(id.0, attempt.number, page).await?;
    Ok(web::Json(List::of("tasks", tasks, |task| task)))
}
