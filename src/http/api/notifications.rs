//! Notifications that were accepted.

use actix_web::web;

use crate::domain::ids::NotificationId;
use crate::http::App;
use crate::http::auth::ViewerAccess;
use crate::http::input::{PathId, Query};
use crate::http::problem::{Problem, ProblemView};
use crate::http::views::{List, NotificationDetailView, NotificationView};

/// List notifications, newest first
#[utoipa::path(
    get, path = "/api/v1/notifications", operation_id = "list_notifications", tag = "alerts",
    params(
        ("limit" = Option<u32>, Query, minimum = 1, maximum = 500, description = "How many at most; 50 by default"),
        ("cursor" = Option<String>, Query, description = "The next_cursor of the page before"),
    ),
    responses((status = 200, description = "A part of the list", body = List<NotificationView>)),
)]
pub(crate) async fn list(
    _: ViewerAccess,
    app: web::Data<App>,
    query: Query,
) -> Result<web::Json<List<NotificationView>>, Problem> {
    let page = query.only(&["limit", "cursor"])?.page("notifications")?;
    let notifications = app.store.list_notifications(page).await?;
    Ok(web::Json(List::of(
        "notifications",
        notifications,
        NotificationView::from,
    )))
}

/// Show a notification as received, with its decisions
#[utoipa::path(
    get, path = "/api/v1/notifications/{id}", operation_id = "show_notification", tag = "alerts",
    params(("id" = String, Path, format = "uuid", description = "The notification")),
    responses(
        (status = 200, description = "The notification", body = NotificationDetailView),
        (status = 404, description = "There is no such notification", body = ProblemView, content_type = "application/problem+json"),
    ),
)]
pub(crate) async fn show(
    _: ViewerAccess,
    app: web::Data<App>,
    id: PathId<NotificationId>,
    query: Query,
) -> Result<web::Json<NotificationDetailView>, Problem> {
    query.only(&[])?;
    let detail = app.store.find_notification(id.0).await?;
    let detail = detail.ok_or_else(|| Problem::not_found("notification", id.0))?;
    Ok(web::Json(detail.into()))
}
