//! Says what a notification would cause, and why, without doing any of it.

use std::sync::Arc;

use actix_web::web;
use serde::Serialize;
use serde_json::{Map, Value};

use crate::clock::Ids;
use crate::domain::decision::{Decision, DecisionKind};
use crate::domain::ids::{Fingerprint, Target};
use crate::domain::parameters::Plan;
use crate::domain::pause::Scope;
use crate::domain::policy::{Cooldown, Delivery, Intake, Ledger, Reached, Restraints, Wish, decide};
use crate::domain::route::Route;
use crate::domain::timestamp::Timestamp;
use crate::http::App;
use crate::http::api::breakers::{OPEN, state};
use crate::http::auth::{ANONYMOUS, ViewerAccess};
use crate::http::input::{Query, WebhookBody};
use crate::http::problem::{Problem, ProblemView};
use crate::http::webhooks::{Render, deliver};
use crate::ingest::{self, InvalidPayload};
use crate::remediations::Remediations;

/// The alerts of the notification, in order.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct Explanation {
    pub(crate) items: Vec<AlertExplanation>,
}

/// What would be done about one alert.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(crate) struct AlertExplanation {
    #[schema(value_type = String)]
    pub(crate) fingerprint: Fingerprint,
    pub(crate) alertname: String,
    /// Every route of the catalogue, in order.
    pub(crate) routes: Vec<RouteExplanation>,
}

/// What would be done about one alert for one route.
#[derive(Debug, Default, Serialize, utoipa::ToSchema)]
pub(crate) struct RouteExplanation {
    pub(crate) route: String,
    /// Whether its matchers hold.
    pub(crate) matched: bool,
    /// The first one that does not.
    pub(crate) failed_matcher: Option<String>,
    /// `null` if the alert does not reach the route.
    pub(crate) decision: Option<DecisionKind>,
    pub(crate) reason: String,
    /// `null` for a route that only watches a heartbeat.
    pub(crate) playbook: Option<String>,
    #[schema(value_type = Option<String>)]
    pub(crate) target: Option<Target>,
    /// What would run, also where something holds it back.
    pub(crate) argv: Option<Vec<String>>,
    #[schema(value_type = Option<Object>)]
    pub(crate) vars: Option<Map<String, Value>>,
    #[schema(value_type = Option<String>, format = DateTime)]
    pub(crate) cooldown_until: Option<Timestamp>,
    pub(crate) caps: Vec<CapUse>,
    pub(crate) paused: bool,
    /// `open` or `half_open`, of its own breaker and that of all routes the one that lets less pass; `null` if both are
    /// closed.
    pub(crate) breaker: Option<&'static str>,
}

/// A cap, and how much of it is used up.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(crate) struct CapUse {
    pub(crate) cap: String,
    pub(crate) used: u32,
}

/// Explain what a webhook would cause
#[utoipa::path(
    post, path = "/api/v1/explain", operation_id = "explain", tag = "alerts",
    request_body(content = Object, description = "As for /webhooks/alertmanager or /webhooks/grafana"),
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
    explain_body(&app, body.0, caller.0.name).await.map(web::Json)
}

/// What the gateway would do about a notification at this moment.
pub(crate) async fn explain_body(
    app: &web::Data<App>,
    body: Vec<u8>,
    asked_by: String,
) -> Result<Explanation, Problem> {
    let catalogue = app.catalogue.in_force();
    let delivery = asked_about(web::Data::clone(app), Arc::clone(&catalogue), body, asked_by).await?;
    let mut ledger = app.store.ledger(&delivery).await?;
    let explained = web::block(move || {
        // As they are, and not as the decisions would make them.
        let restraints = ledger.restraints().clone();
        let decisions = decide(&delivery, &mut ledger).decisions;
        explanation((&*catalogue, &restraints), &delivery, decisions)
    });
    explained.await.map_err(|_| Problem::internal())
}

async fn asked_about(
    app: web::Data<App>,
    catalogue: Arc<dyn Remediations>,
    body: Vec<u8>,
    asked_by: String,
) -> Result<Delivery, Problem> {
    let now = app.clock.now();
    let work = move || {
        let notification = ingest::parse(ingest::sender_of(&body), &body)?;
        Ok(deliver(
            &app.ids,
            &*catalogue,
            notification,
            (asked_by, now),
            Render::All,
        ))
    };
    web::block(work).await.map_err(|_| Problem::internal())?
}

/// The same without a gateway: as if nothing had happened yet. Reads playbook files.
///
/// # Errors
///
/// The body is no notification.
pub fn explain_offline(
    catalogue: &dyn Remediations,
    body: &[u8],
    now: Timestamp,
) -> Result<Explanation, InvalidPayload> {
    let notification = ingest::parse(ingest::sender_of(body), body)?;
    let asked_by = (ANONYMOUS.to_owned(), now);
    let delivery = deliver(&Ids::default(), catalogue, notification, asked_by, Render::All);
    let decisions = decide(&delivery, &mut Ledger::default()).decisions;
    Ok(explanation((catalogue, &Restraints::default()), &delivery, decisions))
}

/// The catalogue, and what holds jobs back.
type State<'a> = (&'a dyn Remediations, &'a Restraints);

fn explanation(state: State<'_>, delivery: &Delivery, decisions: Vec<Decision>) -> Explanation {
    let mut decisions = decisions.into_iter();
    let mut items = Vec::with_capacity(delivery.intakes.len());
    for intake in &delivery.intakes {
        // One for each route that is reached, or one that says that none is.
        let own: Vec<Decision> = decisions.by_ref().take(intake.reached.len().max(1)).collect();
        let routes = state.0.routes().iter();
        items.push(AlertExplanation {
            fingerprint: intake.alert.fingerprint.clone(),
            alertname: intake.alert.name().to_owned(),
            routes: routes
                .map(|route| explain_route(state, delivery, (route, intake), &own))
                .collect(),
        });
    }
    Explanation { items }
}

/// What would run: the route's own playbook, or the rung of its ladder that takes its place.
fn chosen<'a>(reached: &'a Reached, decision: Option<&Decision>) -> Option<&'a Plan> {
    let rung = decision.and_then(|decision| decision.rung);
    let rung = rung.and_then(|job| reached.ladder.iter().find(|rung| rung.job == job));
    match rung {
        Some(rung) => rung.plan(),
        None => reached.plan.as_ref()?.as_ref().ok(),
    }
}

fn explain_route(
    (catalogue, restraints): State<'_>,
    delivery: &Delivery,
    (route, intake): (&Route, &Intake),
    decisions: &[Decision],
) -> RouteExplanation {
    let failed = route.failed_matcher(&intake.alert.labels);
    let at = intake
        .reached
        .iter()
        .position(|reached| reached.route.name == route.name);
    let decision = at.and_then(|at| decisions.get(at));
    let plan = at.and_then(|at| chosen(&intake.reached[at], decision));
    let reason = match (decision, failed) {
        (Some(decision), _) => decision.reason.clone(),
        (None, Some(matcher)) => format!("the alert's labels do not satisfy {matcher}"),
        (None, None) => taken_before(intake),
    };
    let now = delivery.received_at;
    let shown = RouteExplanation {
        route: route.name.clone(),
        matched: failed.is_none(),
        failed_matcher: failed.map(ToString::to_string),
        decision: decision.map(|decision| decision.kind),
        reason,
        playbook: plan.map_or_else(|| route.playbook.clone(), |plan| Some(plan.playbook.clone())),
        target: plan.map(|plan| plan.target.clone()),
        argv: plan.map(|plan| catalogue.argv(plan)),
        vars: plan.map(|plan| plan.parameters.vars.clone()),
        ..stopped(restraints, &route.name, plan.map(|plan| &plan.target), now)
    };
    let Some(plan) = plan else {
        return shown;
    };
    let wish = Wish {
        route,
        target: &plan.target,
        fingerprint: &intake.alert.fingerprint,
        fleet: &delivery.fleet,
        is_released: false,
        is_rung: decision.is_some_and(|decision| decision.rung.is_some()),
        now,
    };
    let caps = restraints.caps(&wish).into_iter().map(|used| CapUse {
        cap: used.cap.to_string(),
        used: used.used,
    });
    RouteExplanation {
        cooldown_until: match restraints.cooldown(&wish) {
            Cooldown::Until(until) => Some(until),
            Cooldown::Over | Cooldown::NotBegun => None,
        },
        caps: caps.collect(),
        ..shown
    }
}

/// The pauses and breakers of the route, whether or not they come into play. Where several breakers are not closed, the
/// one that lets less pass counts.
fn stopped(restraints: &Restraints, route: &str, target: Option<&Target>, now: Timestamp) -> RouteExplanation {
    let concerns = |scope: &Scope| scope.concerns(route, target);
    let breakers = restraints.breakers.iter();
    let states = breakers.filter(|breaker| concerns(&breaker.scope));
    RouteExplanation {
        paused: restraints.pauses.iter().any(|pause| concerns(&pause.scope)),
        breaker: states
            .map(|breaker| state(breaker, now))
            .max_by_key(|state| *state == OPEN),
        ..RouteExplanation::default()
    }
}

fn taken_before(intake: &Intake) -> String {
    let last = intake.reached.last().map_or("", |reached| reached.route.name.as_str());
    format!("not reached: the route {last} took the alert, and it does not continue")
}

#[cfg(test)]
mod tests;
