//! Accepts notifications. Answers only when all that they cause is on disk.

use std::time::Instant;

use actix_web::{HttpResponse, web};

use crate::clock::Ids;
use crate::domain::alert::{Alert, AlertStatus, Notification, Sender};
use crate::domain::decision::{Decision, DecisionKind};
use crate::domain::ids::NotificationId;
use crate::domain::policy::{Delivery, Intake};
use crate::domain::route;
use crate::domain::timestamp::Timestamp;
use crate::http::App;
use crate::http::auth::SenderAccess;
use crate::http::input::WebhookBody;
use crate::http::problem::{Problem, ProblemView};
use crate::http::signature::SignedWebhook;
use crate::http::views::AcceptedView;
use crate::ingest;
use crate::remediations::{Remediations, Renderer};
use crate::store::Received;

/// Jobs of one notification that the log names.
const LOGGED: usize = 20;

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
    accept(app, Sender::Alertmanager, caller.0.name, body.0).await
}

/// Accept a notification of Grafana Alerting
#[utoipa::path(
    post, path = "/webhooks/grafana", operation_id = "post_grafana", tag = "webhooks",
    request_body(content = Object, description = "Grafana Alerting's webhook, version 1; any content type, at most 32 MiB. \
                  A signature does instead of a token where `auth.grafana` is set"),
    responses(
        (status = 202, description = "All that it causes is on disk", body = AcceptedView),
        (status = 400, description = "The body is no notification", body = ProblemView, content_type = "application/problem+json"),
        (status = 413, description = "The body is too large", body = ProblemView, content_type = "application/problem+json"),
        (status = 503, description = "It cannot be stored; send it again", body = ProblemView, content_type = "application/problem+json"),
    ),
)]
pub(crate) async fn grafana(app: web::Data<App>, webhook: SignedWebhook) -> Result<HttpResponse, Problem> {
    accept(app, Sender::Grafana, webhook.caller.name, webhook.body).await
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
    accept(app, Sender::Alertmanager, caller.0.name, body.0).await
}

async fn accept(
    app: web::Data<App>,
    sender: Sender,
    posted_by: String,
    body: Vec<u8>,
) -> Result<HttpResponse, Problem> {
    let began = Instant::now();
    let (received, delivery) = prepare(web::Data::clone(&app), sender, body, posted_by).await?;
    let notification = delivery.id;
    let decisions = app
        .store
        .accept(received, delivery)
        .await
        .map_err(|error| Problem::not_stored(&error))?;
    app.metrics.notification(sender);
    for decision in &decisions {
        app.metrics.decision(decision.route.as_deref(), decision.kind);
    }
    log_jobs(notification, &decisions);
    app.metrics.webhook_duration(began.elapsed());
    Ok(HttpResponse::Accepted().json(AcceptedView {
        notification,
        decisions: decisions.into_iter().map(Into::into).collect(),
    }))
}

/// The jobs that were made. Those of large notifications are not told one by one.
fn log_jobs(notification: NotificationId, decisions: &[Decision]) {
    let is_made = |decision: &&Decision| matches!(decision.kind, DecisionKind::Queued | DecisionKind::AwaitingApproval);
    for Decision {
        job, alertname, reason, ..
    } in decisions.iter().filter(is_made).take(LOGGED)
    {
        let job = job.map(tracing::field::display);
        tracing::info!(job.id = job, %notification, alert = alertname, reason, "decided");
    }
    if let Some(more) = decisions
        .iter()
        .filter(is_made)
        .count()
        .checked_sub(LOGGED)
        .filter(|more| *more > 0)
    {
        tracing::info!(%notification, more, "made more jobs");
    }
}

/// Reads a webhook's body into all that is needed to decide about it, but the facts.
async fn prepare(
    app: web::Data<App>,
    sender: Sender,
    body: Vec<u8>,
    posted_by: String,
) -> Result<(Received, Delivery), Problem> {
    let received_at = app.clock.now();
    let work = move || {
        let notification = ingest::parse(sender, &body)?;
        let received = Received {
            sender,
            body,
            truncated_alerts: notification.truncated_alerts,
        };
        let catalogue = app.catalogue.in_force();
        let whose = (posted_by, received_at);
        let delivery = deliver(&app.ids, &*catalogue, notification, whose, Render::Firing);
        Ok((received, delivery))
    };
    // Besides what it computes, it looks at playbook files, and the disk that they are on may hang.
    web::block(work).await.map_err(|_| Problem::internal())?
}

/// A notification with all that is needed to decide about it, but the facts. Reads playbook files.
pub(crate) fn deliver(
    ids: &Ids,
    catalogue: &dyn Remediations,
    notification: Notification,
    (posted_by, received_at): (String, Timestamp),
    render: Render,
) -> Delivery {
    let mut delivery = Delivery {
        id: ids.notification(received_at),
        received_at,
        posted_by,
        group: notification.group,
        intakes: Vec::with_capacity(notification.alerts.len()),
        fleet: catalogue.fleet().clone(),
    };
    for alert in notification.alerts {
        let intake = take_in(ids, catalogue, alert, &delivery, render);
        delivery.intakes.push(intake);
    }
    delivery
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
