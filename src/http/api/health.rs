//! Whether the gateway lives, and whether it can take a notification.

use actix_web::web;
use serde::Serialize;

use crate::http::App;
use crate::http::problem::{Problem, ProblemView};

/// All is well.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(crate) struct Health {
    #[schema(pattern = "^ok$")]
    status: &'static str,
}

const OK: web::Json<Health> = web::Json(Health { status: "ok" });

/// Say whether the process answers
#[utoipa::path(
    get, path = "/healthz", operation_id = "healthz", tag = "health", security(()),
    responses((status = 200, description = "It does", body = Health)),
)]
pub(crate) async fn alive() -> web::Json<Health> {
    OK
}

/// Say whether the database takes writes
#[utoipa::path(
    get, path = "/readyz", operation_id = "readyz", tag = "health", security(()),
    responses(
        (status = 200, description = "It does", body = Health),
        (status = 503, description = "It does not, or the gateway is stopping", body = ProblemView, content_type = "application/problem+json"),
    ),
)]
pub(crate) async fn ready(app: web::Data<App>) -> Result<web::Json<Health>, Problem> {
    if app.stopping.is_cancelled() {
        return Err(Problem::unavailable("the gateway is stopping"));
    }
    app.store.probe().await.map_err(|error| {
        tracing::warn!(%error, "the database takes no writes");
        Problem::unavailable("the database takes no writes now")
    })?;
    Ok(OK)
}
