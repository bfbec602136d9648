//! Jobs: the list, and one of them.

use actix_web::web;

use crate::domain::ids::JobId;
use crate::domain::job::{JobStatus, Reason, Trigger};
use crate::domain::timestamp::Timestamp;
use crate::http::App;
use crate::http::api::find_job;
use crate::http::auth::ViewerAccess;
use crate::http::input::{PathId, Query};
use crate::http::problem::{Problem, ProblemView};
use crate::http::views::{JobView, List};
use crate::store::read::JobFilter;

pub(crate) const PARAMETERS: &[&str] = &[
    "status",
    "reason",
    "playbook",
    "route",
    "target",
    "alertname",
    "fingerprint",
    "trigger",
    "since",
    "until",
    "q",
    "limit",
    "cursor",
];

/// List jobs, newest first
#[utoipa::path(
    get, path = "/api/v1/jobs", operation_id = "list_jobs", tag = "jobs",
    params(
        ("status" = Option<Vec<JobStatus>>, Query, description = "Any of these; repeat the parameter for more"),
        ("reason" = Option<Vec<Reason>>, Query, description = "Any of these"),
        ("playbook" = Option<Vec<String>>, Query, description = "Any of these"),
        ("route" = Option<Vec<String>>, Query, description = "Any of these"),
        ("target" = Option<Vec<String>>, Query, description = "Any of these"),
        ("alertname" = Option<Vec<String>>, Query, description = "Any of these"),
        ("fingerprint" = Option<Vec<String>>, Query, description = "Any of these"),
        ("trigger" = Option<Vec<Trigger>>, Query, description = "Any of these"),
        ("since" = Option<String>, Query, format = DateTime, description = "Created then or later"),
        ("until" = Option<String>, Query, format = DateTime, description = "Created then or earlier"),
        ("q" = Option<Vec<String>>, Query, description = "A text in the playbook, route, target or labels, or the beginning of an id"),
        ("limit" = Option<u32>, Query, minimum = 1, maximum = 500, description = "How many at most; 50 by default"),
        ("cursor" = Option<String>, Query, description = "The next_cursor of the page before"),
    ),
    responses(
        (status = 200, description = "A part of the list", body = List<JobView>),
        (status = 400, description = "A parameter is wrong", body = ProblemView, content_type = "application/problem+json"),
    ),
)]
pub(crate) async fn list(
    _: ViewerAccess,
    app: web::Data<App>,
    query: Query,
) -> Result<web::Json<List<JobView>>, Problem> {
    let filter = filter(query.only(PARAMETERS)?)?;
    let page = app.store.list_jobs(&filter, query.page("jobs")?).await?;
    Ok(web::Json(List::of("jobs", page, JobView::from)))
}

/// Show a job
#[utoipa::path(
    get, path = "/api/v1/jobs/{id}", operation_id = "show_job", tag = "jobs",
    params(("id" = String, Path, format = "uuid", description = "The job")),
    responses(
        (status = 200, description = "The job", body = JobView),
        (status = 404, description = "There is no such job", body = ProblemView, content_type = "application/problem+json"),
    ),
)]
pub(crate) async fn show(
    _: ViewerAccess,
    app: web::Data<App>,
    id: PathId<JobId>,
    query: Query,
) -> Result<web::Json<JobView>, Problem> {
    query.only(&[])?;
    Ok(web::Json(find_job(&app, id.0).await?.into()))
}

/// What the parameters of a list of jobs ask for.
pub(crate) fn filter(query: &Query) -> Result<JobFilter, Problem> {
    let texts = |name| query.all(name).map(str::to_owned).collect();
    Ok(JobFilter {
        status: query.each("status", |text| {
            word(text, JobStatus::parse, JobStatus::ALL, JobStatus::as_str)
        })?,
        reason: query.each("reason", |text| word(text, Reason::parse, Reason::ALL, Reason::as_str))?,
        playbook: texts("playbook"),
        route: texts("route"),
        target: texts("target"),
        alertname: texts("alertname"),
        fingerprint: texts("fingerprint"),
        trigger: query.each("trigger", |text| {
            word(text, Trigger::parse, Trigger::ALL, Trigger::as_str)
        })?,
        // Or, as for every filter: the earliest and the latest bound let through what any of them does.
        since: query.each("since", time)?.into_iter().min(),
        until: query.each("until", time)?.into_iter().max(),
        q: texts("q"),
    })
}

/// One of the words that a filter knows.
pub(crate) fn word<T: Copy>(
    text: &str,
    parse: fn(&str) -> Option<T>,
    all: &[T],
    name: fn(T) -> &'static str,
) -> Result<T, String> {
    parse(text).ok_or_else(|| {
        let names: Vec<&str> = all.iter().map(|value| name(*value)).collect();
        format!("{text:?} is none of {}", names.join(", "))
    })
}

/// A `+` that was not escaped arrives as a space, and is a sign only before an offset.
fn time(text: &str) -> Result<Timestamp, String> {
    let parsed = text.parse::<Timestamp>();
    let signed = text.rsplit_once(' ').map(|(time, offset)| format!("{time}+{offset}"));
    match (parsed, signed.map(|text| text.parse::<Timestamp>())) {
        (Ok(time), _) | (Err(_), Some(Ok(time))) => Ok(time),
        (Err(error), _) => Err(error.to_string()),
    }
}

#[cfg(test)]
mod tests;
