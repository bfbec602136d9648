//! The routes in force.

use actix_web::web;
use serde::Serialize;

use crate::domain::checks::Precondition;
use crate::domain::heartbeat::Pulse;
use crate::domain::matcher::Matcher;
use crate::domain::notify::Notify;
use crate::domain::route::Route;
use crate::domain::span::Span;
use crate::domain::timestamp::Timestamp;
use crate::http::App;
use crate::http::auth::ViewerAccess;
use crate::http::input::Query;
use crate::http::problem::Problem;
use crate::http::views::List;

/// A route, with the words of remediations.yml.
#[derive(Debug, Serialize, utoipa::ToSchema)]
#[schema(as = Route)]
pub(crate) struct RouteView {
    name: String,
    matchers: Vec<String>,
    /// `null` for a route that only watches a heartbeat.
    playbook: Option<String>,
    #[schema(pattern = "^(auto|approve|observe)$")]
    mode: &'static str,
    r#continue: bool,
    verify: Option<Verify>,
    /// What must hold just before a run; a template.
    precondition: Option<Precondition>,
    /// Whether the alert is silenced in Alertmanager while the playbook runs.
    silence: bool,
    /// What becomes of a running job when the alert resolves: `ignore` or `cancel`.
    on_resolved: &'static str,
    /// A duration such as `1h`.
    #[schema(value_type = String)]
    expires: Span,
    #[schema(value_type = Option<String>)]
    again_after: Option<Span>,
    /// An alert that satisfies any of these is guarded.
    unless: Vec<String>,
    heartbeat: Option<HeartbeatView>,
    /// Which notifiers hear of which events.
    notify: Option<Notify>,
}

/// The alert that must keep coming, and whether it does.
#[derive(Debug, Serialize, utoipa::ToSchema)]
#[schema(as = Heartbeat)]
struct HeartbeatView {
    #[schema(value_type = String)]
    every: Span,
    /// How much later than that it may come, in seconds.
    grace_seconds: u64,
    #[schema(value_type = Option<String>, format = DateTime)]
    last_received_at: Option<Timestamp>,
    /// `null` while it comes in time.
    #[schema(value_type = Option<String>, format = DateTime)]
    missed_since: Option<Timestamp>,
}

/// How it is checked that the alert healed.
#[derive(Debug, Serialize, utoipa::ToSchema)]
struct Verify {
    #[schema(value_type = String)]
    resolved_within: Span,
    /// What must become true after a run; a template.
    query: Option<String>,
}

/// List the routes in force
#[utoipa::path(
    get, path = "/api/v1/routes", operation_id = "list_routes", tag = "catalogue",
    params(
        ("limit" = Option<u32>, Query, minimum = 1, maximum = 500, description = "How many at most; 50 by default"),
        ("cursor" = Option<String>, Query, description = "The next_cursor of the page before"),
    ),
    responses((status = 200, description = "A part of the list, in the order in which they are tried", body = List<RouteView>)),
)]
pub(crate) async fn list(
    _: ViewerAccess,
    app: web::Data<App>,
    query: Query,
) -> Result<web::Json<List<RouteView>>, Problem> {
    let page = query.only(&["limit", "cursor"])?.page("routes")?;
    let catalogue = app.catalogue.in_force();
    let pulses = app.store.heartbeats().await?;
    let all = catalogue.routes().iter().map(|route| view(route, &pulses)).collect();
    Ok(web::Json(List::slice("routes", all, &page, |route: &RouteView| {
        &route.name
    })))
}

fn view(route: &Route, pulses: &[Pulse]) -> RouteView {
    let pulse = pulses.iter().find(|pulse| pulse.route == route.name);
    RouteView {
        name: route.name.clone(),
        matchers: texts(&route.matchers),
        playbook: route.playbook.clone(),
        mode: route.mode.as_str(),
        r#continue: route.goes_on,
        verify: route.resolved_within.map(|resolved_within| Verify {
            resolved_within,
            query: route.checks.verify_query.clone(),
        }),
        precondition: route.checks.precondition.clone(),
        silence: route.checks.silence,
        on_resolved: route.on_resolved.as_str(),
        expires: route.expires,
        again_after: route.again_after,
        unless: texts(&route.unless),
        heartbeat: route.heartbeat.map(|heartbeat| HeartbeatView {
            every: heartbeat.every,
            grace_seconds: heartbeat
                .patience()
                .saturating_sub(heartbeat.every.duration())
                .as_secs(),
            last_received_at: pulse.and_then(|pulse| pulse.last_received_at),
            missed_since: pulse.and_then(|pulse| pulse.missed_since),
        }),
        notify: route.notify.clone(),
    }
}

fn texts(matchers: &[Matcher]) -> Vec<String> {
    matchers.iter().map(ToString::to_string).collect()
}

#[cfg(test)]
mod tests;
