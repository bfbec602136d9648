//! Alerts that were seen.

use actix_web::web;

use crate::domain::alert::AlertStatus;
use crate::domain::ids::Fingerprint;
use crate::http::App;
use crate::http::api::jobs::word;
use crate::http::auth::ViewerAccess;
use crate::http::input::{PathId, Query};
use crate::http::problem::{Problem, ProblemView};
use crate::http::views::{AlertStoryView, AlertView, List};
use crate::store::read::AlertFilter;

pub(crate) const PARAMETERS: &[&str] = &["status", "limit", "cursor"];

/// List alerts, the last received first
#[utoipa::path(
    get, path = "/api/v1/alerts", operation_id = "list_alerts", tag = "alerts",
    params(
        ("status" = Option<Vec<AlertStatus>>, Query, description = "Any of these; repeat the parameter for more"),
        ("limit" = Option<u32>, Query, minimum = 1, maximum = 500, description = "How many at most; 50 by default"),
        ("cursor" = Option<String>, Query, description = "The next_cursor of the page before"),
    ),
    responses(
        (status = 200, description = "A part of the list", body = List<AlertView>),
        (status = 400, description = "A parameter is wrong", body = ProblemView, content_type = "application/problem+json"),
    ),
)]
pub(crate) async fn list(
    _: ViewerAccess,
    app: web::Data<App>,
    query: Query,
) -> Result<web::Json<List<AlertView>>, Problem> {
    let filter = filter(query.only(PARAMETERS)?)?;
    let alerts = app.store.list_alerts(&filter, query.page("alerts")?).await?;
    Ok(web::Json(List::of("alerts", alerts, AlertView::from)))
}

/// What the parameters of a list of alerts ask for.
pub(crate) fn filter(query: &Query) -> Result<AlertFilter, Problem> {
    Ok(AlertFilter {
        status: query.each("status", |text| {
            word(text, AlertStatus::parse, AlertStatus::ALL, AlertStatus::as_str)
        })?,
    })
}

/// Show an alert with its episodes, decisions, jobs and story
#[utoipa::path(
    get, path = "/api/v1/alerts/{fingerprint}", operation_id = "show_alert", tag = "alerts",
    params(("fingerprint" = String, Path, description = "The alert's fingerprint, as sent")),
    responses(
        (status = 200, description = "The alert", body = AlertStoryView),
        (status = 404, description = "No such alert was seen", body = ProblemView, content_type = "application/problem+json"),
    ),
)]
pub(crate) async fn show(
    _: ViewerAccess,
    app: web::Data<App>,
    raw: PathId<String>,
    query: Query,
) -> Result<web::Json<AlertStoryView>, Problem> {
    query.only(&[])?;
    let fingerprint = Fingerprint::parse(&raw.0).map_err(|error| Problem::invalid("fingerprint", error.to_string()))?;
    let story = app.store.find_alert(&fingerprint).await?;
    let story = story.ok_or_else(|| Problem::not_found("alert", &fingerprint))?;
    Ok(web::Json(story.into()))
}
