//! Says what a notification would cause, and why, without doing any of it.

use std::sync::Arc;

use actix_web::web;
use serde::Serialize;
use serde_json::{Map, Value};

use crate::domain::decision::{Decision, DecisionKind};
use crate::domain::ids::{Fingerprint, Target};
use crate::domain::policy::{Delivery, Intake, decide};
use crate::domain::route::Route;
use crate::domain::timestamp::Timestamp;
use crate::http::App;
use crate::http::auth::ViewerAccess;
use crate::http::input::{Query, WebhookBody};
use crate::http::problem::{Problem, ProblemView};
use crate::http::remediations::Remediations;
use crate::http::webhooks::{Render, prepare};

/// The alerts of the notification, in order.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(crate) struct Explanation {
    items: Vec<AlertExplanation>,
}

/// What would be done about one alert.
#[derive(Debug, Serialize, utoipa::ToSchema)]
struct AlertExplanation {
    #[schema(value_type = String)]
    fingerprint: Fingerprint,
    alertname: String,
    /// Every route of the catalogue, in order.
    routes: Vec<RouteExplanation>,
}

/// What would be done about one alert for one route.
#[derive(Debug, Serialize, utoipa::ToSchema)]
struct RouteExplanation {
    route: String,
    /// Whether its matchers hold.
    matched: bool,
    /// The first one that does not.
    failed_matcher: Option<String>,
    /// `null` if the alert does not reach the route.
    decision: Option<DecisionKind>,
    reason: String,
    playbook: String,
    #[schema(value_type = Option<String>)]
    target: Option<Target>,
    /// What would run, also where something holds it back.
    argv: Option<Vec<String>>,
    #[schema(value_type = Option<Object>)]
    vars: Option<Map<String, Value>>,
    #[schema(value_type = Option<String>, format = DateTime)]
    cooldown_until: Option<Timestamp>,
    caps: Vec<CapUse>,
    paused: bool,
    breaker: Option<String>,
}

/// A cap, and how much of it is used up.
#[derive(Debug, Serialize, utoipa::ToSchema)]
struct CapUse {
    cap: String,
    used: u64,
}

/// Explain what a webhook would cause
#[utoipa::path(
    post, path = "/api/v1/explain", operation_id = "explain", tag = "alerts",
    request_body(content = Object, description = "As for /webhooks/alertmanager"),
    responses(
        (status = 200, description = "What would be done", body = Explanation),
        (status = 400, description = "The body is no notification", body = ProblemView, content_type = "application/problem+json"),
        (status = 413, description = "The body is too large", body = ProblemView, content_type = "application/problem+json"),
    ),
)]
pub(crate) async fn explain(
    caller: ViewerAccess,
    app: web::Data<App>,
    query: Query,
    body: WebhookBody,
) -> Result<web::Json<Explanation>, Problem> {
    query.only(&[])?;
    let catalogue = app.catalogue.in_force();
    let (_, delivery) = prepare(
        web::Data::clone(&app),
        Arc::clone(&catalogue),
        body.0,
        caller.0.name,
        Render::All,
    )
    .await?;
    let fingerprints: Vec<Fingerprint> = delivery
        .intakes
        .iter()
        .map(|intake| intake.alert.fingerprint.clone())
        .collect();
    let mut ledger = app.store.ledger(&fingerprints).await?;
    let explained = web::block(move || {
        let decisions = decide(&delivery, &mut ledger).decisions;
        explanation(&*catalogue, &delivery, decisions)
    });
    explained.await.map(web::Json).map_err(|_| Problem::internal())
}

fn explanation(catalogue: &dyn Remediations, delivery: &Delivery, decisions: Vec<Decision>) -> Explanation {
    let mut decisions = decisions.into_iter();
    let mut items = Vec::with_capacity(delivery.intakes.len());
    for intake in &delivery.intakes {
        // One for each route that is reached, or one that says that none is.
        let own: Vec<Decision> = decisions.by_ref().take(intake.reached.len().max(1)).collect();
        let routes = catalogue.routes().iter();
        items.push(AlertExplanation {
            fingerprint: intake.alert.fingerprint.clone(),
            alertname: intake.alert.name().to_owned(),
            routes: routes
                .map(|route| explain_route(catalogue, route, intake, &own))
                .collect(),
        });
    }
    Explanation { items }
}

fn explain_route(
    catalogue: &dyn Remediations,
    route: &Route,
    intake: &Intake,
    decisions: &[Decision],
) -> RouteExplanation {
    let failed = route.failed_matcher(&intake.alert.labels);
    let at = intake
        .reached
        .iter()
        .position(|reached| reached.route.name == route.name);
    let decision = at.and_then(|at| decisions.get(at));
    let plan = at
        .and_then(|at| intake.reached[at].plan.as_ref())
        .and_then(|plan| plan.as_ref().ok());
    let reason = match (decision, failed) {
        (Some(decision), _) => decision.reason.clone(),
        (None, Some(matcher)) => format!("the alert's labels do not satisfy {matcher}"),
        (None, None) => taken_before(intake),
    };
    RouteExplanation {
        route: route.name.clone(),
        matched: failed.is_none(),
        failed_matcher: failed.map(ToString::to_string),
        decision: decision.map(|decision| decision.kind),
        reason,
        playbook: route.playbook.clone(),
        target: plan.map(|plan| plan.target.clone()),
        argv: plan.map(|plan| catalogue.argv(plan)),
        vars: plan.map(|plan| plan.parameters.vars.clone()),
        cooldown_until: None,
        caps: Vec::new(),
        paused: false,
        breaker: None,
    }
}

fn taken_before(intake: &Intake) -> String {
    let last = intake.reached.last().map_or("", |reached| reached.route.name.as_str());
    format!("not reached: the route {last} took the alert, and it does not continue")
}

#[cfg(test)]
mod tests;
