//! Accepts notifications. Answers only when all that they cause is on disk.

use std::sync::Arc;
use std::time::Instant;

use actix_web::{HttpResponse, web};

use crate::clock::Ids;
use crate::domain::alert::{Alert, AlertStatus};
use crate::domain::policy::{Delivery, Intake};
use crate::domain::route;
use crate::http::App;
use crate::http::auth::SenderAccess;
use crate::http::input::WebhookBody;
use crate::http::problem::{Problem, ProblemView};
use crate::http::views::AcceptedView;
use crate::ingest;
use crate::remediations::{Remediations, Renderer};
use crate::store::Received;

/// Which alerts' playbooks are rendered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Render {
    Firing,
    All,
}

/// Accept a notification of Alertmanager
#[utoipa::path(
    post, path = "/webhooks/alertmanager", operation_id = "post_alertmanager", tag = "webhooks",
    request_body(content = Object, description = "Alertmanager's webhook, version 4; any content type, at most 32 MiB"),
    responses(
        (status = 202, description = "All that it causes is on disk", body = AcceptedView),
        (status = 400, description = "The body is no notification", body = ProblemView, content_type = "application/problem+json"),
        (status = 413, description = "The body is too large", body = ProblemView, content_type = "application/problem+json"),
        (status = 503, description = "It cannot be stored; send it again", body = ProblemView, content_type = "application/problem+json"),
    ),
)]
pub(crate) async fn alertmanager(
    caller: SenderAccess,
    app: web::Data<App>,
    body: WebhookBody,
) -> Result<HttpResponse, Problem> {
    accept(caller, app, body.0).await
}

/// Accept a notification of Alertmanager, for configurations written for older services
#[utoipa::path(
    post, path = "/alert", operation_id = "post_alert", tag = "webhooks",
    request_body(content = Object, description = "As for /webhooks/alertmanager"),
    responses(
        (status = 202, description = "All that it causes is on disk", body = AcceptedView),
        (status = 400, description = "The body is no notification", body = ProblemView, content_type = "application/problem+json"),
        (status = 413, description = "The body is too large", body = ProblemView, content_type = "application/problem+json"),
        (status = 503, description = "It cannot be stored; send it again", body = ProblemView, content_type = "application/problem+json"),
    ),
)]
pub(crate) async fn alert(
    caller: SenderAccess,
    app: web::Data<App>,
    body: WebhookBody,
) -> Result<HttpResponse, Problem> {
    accept(caller, app, body.0).await
}

async fn accept(caller: SenderAccess, app: web::Data<App>, body: Vec<u8>) -> Result<HttpResponse, Problem> {
    let began = Instant::now();
    let posted_by = caller.0.name;
    let catalogue = app.catalogue.in_force();
    let (received, delivery) = prepare(web::Data::clone(&app), catalogue, body, posted_by, Render::Firing).await?;
    let (notification, sender) = (delivery.id, received.sender);
    let decisions = app
        .store
        .accept(received, delivery)
        .await
        .map_err(|error| Problem::not_stored(&error))?;
    app.metrics.notification(sender);
    for decision in &decisions {
        app.metrics.decision(decision.route.as_deref(), decision.kind);
    }
    app.metrics.webhook_duration(began.elapsed());
    Ok(HttpResponse::Accepted().json(AcceptedView {
        notification,
        decisions: decisions.into_iter().map(Into::into).collect(),
    }))
}

/// Reads a webhook's body into all that is needed to decide about it, but the facts.
pub(crate) async fn prepare(
    app: web::Data<App>,
    catalogue: Arc<dyn Remediations>,
    body: Vec<u8>,
    posted_by: String,
    render: Render,
) -> Result<(Received, Delivery), Problem> {
    let received_at = app.clock.now();
    let work = move || {
        let notification = ingest::alertmanager::parse(&body)?;
        let received = Received {
            sender: notification.sender,
            body,
            truncated_alerts: notification.truncated_alerts,
        };
        let mut delivery = Delivery {
            id: app.ids.notification(received_at),
            received_at,
            posted_by,
            group: notification.group,
            intakes: Vec::with_capacity(notification.alerts.len()),
            fleet: *catalogue.fleet(),
        };
        for alert in notification.alerts {
            let intake = take_in(&app.ids, &*catalogue, alert, &delivery, render);
            delivery.intakes.push(intake);
        }
        Ok((received, delivery))
    };
    // Besides what it computes, it looks at playbook files, and the disk that they are on may hang.
    web::block(work).await.map_err(|_| Problem::internal())?
}

/// One alert with the routes that it reaches, and what they would run.
fn take_in(ids: &Ids, catalogue: &dyn Remediations, alert: Alert, delivery: &Delivery, render: Render) -> Intake {
    let now = delivery.received_at;
    let reached = route::reached(catalogue.routes(), &alert.labels).into_iter();
    let renderer = Renderer {
        ids,
        catalogue,
        group: &delivery.group,
        now,
    };
    let is_rendered = render == Render::All || alert.status == AlertStatus::Firing;
    Intake {
        reached: reached
            .map(|route| renderer.reach(route, &alert, is_rendered))
            .collect(),
        alert,
        spare_episode: ids.episode(now),
    }
}

#[cfg(test)]
mod tests;
