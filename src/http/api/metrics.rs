//! The metrics for Prometheus.

use actix_web::{HttpResponse, web};

use crate::http::App;
use crate::http::auth::MetricsAccess;
use crate::http::problem::Problem;
use crate::telemetry::METRICS_CONTENT_TYPE;

/// Show the metrics in Prometheus' text format
#[utoipa::path(
    get, path = "/metrics", operation_id = "metrics", tag = "health",
    responses((status = 200, description = "The metrics", body = String, content_type = "text/plain; version=0.0.4; charset=utf-8")),
)]
pub(crate) async fn show(_: MetricsAccess, app: web::Data<App>) -> Result<HttpResponse, Problem> {
    let jobs = app.store.count_jobs().await?;
    let now = app.clock.now();
    app.metrics.heartbeats(&app.store.heartbeats().await?, now);
    app.metrics.backlog(&app.store.backlog(now).await?, now);
    Ok(HttpResponse::Ok()
        .content_type(METRICS_CONTENT_TYPE)
        .body(app.metrics.encode(&jobs)))
}
