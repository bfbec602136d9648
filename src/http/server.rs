//! Puts the HTTP side together: paths, middleware, listening.

use std::net::TcpListener;

use actix_web::body::MessageBody;
use actix_web::dev::{Server, ServiceRequest, ServiceResponse};
use actix_web::http::Method;
use actix_web::middleware::{DefaultHeaders, from_fn};
use actix_web::web::{self, ServiceConfig};
use actix_web::{Error, HttpRequest, HttpResponse, HttpServer, Resource, Route, guard};
use tracing::Span;
use tracing_actix_web::{RootSpanBuilder, TracingLogger};

use crate::http::api::{
    actions, alerts, breakers, events, explain, health, held, jobs, log, log_stream, manual, metrics, notifications,
    openapi, pause, playbooks, reload, rerun, routes, stats, stream, tasks,
};
use crate::http::problem::Problem;
use crate::http::{App, auth, console, webhooks};

/// How long a stop waits for requests that are under way, in seconds. Streams end by themselves, from `App::stopping`.
const SHUTDOWN_TIMEOUT: u64 = 5;

/// Serves `app` on a listener that is bound already, with `workers` threads. Handles no signals: whoever holds the
/// server's handle stops it.
///
/// # Errors
///
/// The listener cannot be used.
pub fn serve(listener: TcpListener, app: App, workers: usize) -> std::io::Result<Server> {
    let app = web::Data::new(app);
    let factory = move || {
        actix_web::App::new()
            .app_data(web::Data::clone(&app))
            .configure(paths)
            .wrap(from_fn(auth::authenticate))
            .wrap(DefaultHeaders::new().add(("X-Content-Type-Options", "nosniff")))
            .wrap(TracingLogger::<RequestSpan>::new())
    };
    let server = HttpServer::new(factory)
        .workers(workers)
        .shutdown_timeout(SHUTDOWN_TIMEOUT)
        .disable_signals()
        .listen(listener)?;
    Ok(server.run())
}

/// Every path that is served.
pub(crate) fn paths(config: &mut ServiceConfig) {
    config
        .service(posted("/webhooks/alertmanager").route(web::post().to(webhooks::alertmanager)))
        .service(posted("/webhooks/grafana").route(web::post().to(webhooks::grafana)))
        .service(posted("/alert").route(web::post().to(webhooks::alert)))
        .service(
            resource("/api/v1/jobs", "GET, HEAD, POST")
                .route(reading().to(jobs::list))
                .route(web::post().to(manual::create)),
        )
        .service(read("/api/v1/jobs/{id}").route(reading().to(jobs::show)))
        .service(posted("/api/v1/jobs/{id}/rerun").route(web::post().to(rerun::rerun)))
        .service(posted("/api/v1/jobs/{id}/cancel").route(web::post().to(actions::cancel)))
        .service(posted("/api/v1/jobs/{id}/approve").route(web::post().to(actions::approve)))
        .service(posted("/api/v1/jobs/{id}/reject").route(web::post().to(actions::reject)))
        .service(read("/api/v1/jobs/{id}/log").route(reading().to(log::show)))
        .service(resource("/api/v1/jobs/{id}/log/stream", "GET").route(web::get().to(log_stream::follow)))
        .service(read("/api/v1/jobs/{id}/tasks").route(reading().to(tasks::list)))
        .service(read("/api/v1/jobs/{id}/events").route(reading().to(events::list)))
        .service(read("/api/v1/alerts").route(reading().to(alerts::list)))
        .service(read("/api/v1/alerts/{fingerprint}").route(reading().to(alerts::show)))
        .service(read("/api/v1/notifications").route(reading().to(notifications::list)))
        .service(read("/api/v1/notifications/{id}").route(reading().to(notifications::show)))
        .service(posted("/api/v1/explain").route(web::post().to(explain::explain)))
        .service(
            resource("/api/v1/pause", "GET, HEAD, PUT, DELETE")
                .route(reading().to(pause::list))
                .route(web::put().to(pause::pause))
                .route(web::delete().to(pause::resume)),
        )
        .service(
            resource("/api/v1/breakers", "GET, HEAD, PUT, DELETE")
                .route(reading().to(breakers::list))
                .route(web::put().to(breakers::open))
                .route(web::delete().to(breakers::reset)),
        )
        .service(read("/api/v1/held").route(reading().to(held::list)))
        .service(posted("/api/v1/held/release").route(web::post().to(held::release)))
        .service(read("/api/v1/playbooks").route(reading().to(playbooks::list)))
        .service(read("/api/v1/routes").route(reading().to(routes::list)))
        .service(read("/api/v1/rules").route(reading().to(routes::rules)))
        .service(read("/api/v1/stats").route(reading().to(stats::show)))
        .service(resource("/api/v1/stream", "GET").route(web::get().to(stream::follow)))
        .service(posted("/api/v1/reload").route(web::post().to(reload::reload)))
        .service(read("/api/v1/openapi.json").route(reading().to(openapi::show)))
        .service(read("/healthz").route(reading().to(health::alive)))
        .service(read("/readyz").route(reading().to(health::ready)))
        .service(read("/metrics").route(reading().to(metrics::show)))
        .configure(console::paths)
        .default_service(web::to(no_such_path));
}

pub(super) fn read(path: &str) -> Resource {
    resource(path, "GET, HEAD")
}

pub(super) fn posted(path: &str) -> Resource {
    resource(path, "POST")
}

/// A resource that answers other methods than `allow` by itself.
pub(super) fn resource(path: &str, allow: &'static str) -> Resource {
    web::resource(path).default_service(web::to(move |request: HttpRequest| async move {
        if request.method() == Method::OPTIONS {
            return Ok(HttpResponse::NoContent().insert_header(("Allow", allow)).finish());
        }
        Err(Problem::method_not_allowed(request.method().as_str(), allow))
    }))
}

/// GET, and HEAD, which is GET without the body.
pub(super) fn reading() -> Route {
    web::route().guard(guard::Any(guard::Get()).or(guard::Head()))
}

async fn no_such_path(request: HttpRequest) -> Result<HttpResponse, Problem> {
    Err(Problem::no_such_path(request.path()))
}

/// The span of a request: method and path, no header, no query, no body.
#[derive(Debug)]
struct RequestSpan;

impl RootSpanBuilder for RequestSpan {
    fn on_request_start(request: &ServiceRequest) -> Span {
        tracing::info_span!(
            "request",
            method = %request.method(),
            path = request.path(),
            status = tracing::field::Empty,
        )
    }

    fn on_request_end<B: MessageBody>(span: Span, outcome: &Result<ServiceResponse<B>, Error>) {
        let status = match outcome {
            Ok(response) => response.status(),
            Err(error) => error.as_response_error().status_code(),
        };
        span.record("status", status.as_u16());
        span.in_scope(|| tracing::debug!("answered"));
    }
}

#[cfg(test)]
mod tests;
