//! The routes in force.

use actix_web::web;
use serde::Serialize;

use crate::domain::checks::Precondition;
use crate::domain::heartbeat::{Heartbeat, Pulse};
use crate::domain::matcher::Matcher;
use crate::domain::notify::Notify;
use crate::domain::route::{OnResolved, Route};
use crate::domain::rules::{BreakerRule, FlapRule, StormRule};
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
    on_resolved: OnResolvedView,
    /// A duration such as `1h`.
    #[schema(value_type = String)]
    expires: Span,
    #[schema(value_type = Option<String>)]
    again_after: Option<Span>,
    approval: Approval,
    /// `0s` for none.
    #[schema(value_type = String)]
    cooldown: Span,
    /// Such as `3 per 1h`.
    caps: Vec<String>,
    /// `null` for one attempt.
    retry: Option<RetryView>,
    /// The ladder: the next playbooks, in order.
    otherwise: Vec<String>,
    breaker: Option<BreakerRuleView>,
    flap: Option<Flap>,
    /// How many of its jobs run at once; `null` for no limit.
    at_once: Option<u32>,
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

/// What becomes of a running job when the alert resolves.
#[derive(Debug, Serialize, utoipa::ToSchema)]
#[serde(untagged)]
#[schema(as = OnResolved)]
enum OnResolvedView {
    /// `ignore` or `cancel`.
    Word(&'static str),
    /// It ends, and this playbook runs after it.
    Run { run: String },
}

/// What holds for jobs that wait for a person.
#[derive(Debug, Serialize, utoipa::ToSchema)]
struct Approval {
    #[schema(value_type = String)]
    expires: Span,
}

/// How attempts are repeated.
#[derive(Debug, Serialize, utoipa::ToSchema)]
#[schema(as = Retry)]
struct RetryView {
    /// With the first.
    attempts: u32,
    #[schema(value_type = String)]
    backoff: Span,
    #[schema(value_type = String)]
    max_backoff: Span,
    /// Of `unreachable`, `failed`, `timed_out`, `lost`.
    outcomes: Vec<&'static str>,
}

/// When a circuit breaker opens, and for how long.
#[derive(Debug, Serialize, utoipa::ToSchema)]
#[schema(as = BreakerRule)]
struct BreakerRuleView {
    failures: u32,
    #[schema(value_type = String)]
    within: Span,
    #[schema(value_type = String)]
    pause: Span,
}

/// When an alert flaps.
#[derive(Debug, Serialize, utoipa::ToSchema)]
struct Flap {
    times: u32,
    #[schema(value_type = String)]
    within: Span,
}

/// How many jobs alerts may make.
#[derive(Debug, Serialize, utoipa::ToSchema)]
struct Storm {
    jobs: u32,
    #[schema(value_type = String)]
    within: Span,
}

/// The rules for all routes together.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(crate) struct Rules {
    storm: Option<Storm>,
    breaker: Option<BreakerRuleView>,
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
    Ok(web::Json(List::in_file_order(
        "routes",
        all,
        &page,
        |route: &RouteView| &route.name,
    )))
}

/// Show the rules for all routes together
#[utoipa::path(
    get, path = "/api/v1/rules", operation_id = "show_rules", tag = "catalogue",
    responses((status = 200, description = "The rules at the top of remediations.yml", body = Rules)),
)]
pub(crate) async fn rules(_: ViewerAccess, app: web::Data<App>, query: Query) -> Result<web::Json<Rules>, Problem> {
    query.only(&[])?;
    let catalogue = app.catalogue.in_force();
    let fleet = catalogue.fleet();
    Ok(web::Json(Rules {
        storm: fleet.storm.map(|StormRule { jobs, within }| Storm { jobs, within }),
        breaker: fleet.breaker.map(BreakerRuleView::from),
    }))
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
        on_resolved: on_resolved(&route.on_resolved),
        expires: route.expires,
        again_after: route.again_after,
        approval: Approval {
            expires: route.approval_expires,
        },
        cooldown: route.cooldown,
        caps: route.caps.iter().map(ToString::to_string).collect(),
        retry: route.retry.as_ref().map(|retry| RetryView {
            attempts: retry.attempts,
            backoff: retry.backoff,
            max_backoff: retry.max_backoff,
            outcomes: retry.words(),
        }),
        otherwise: route.otherwise.clone(),
        breaker: route.breaker.map(BreakerRuleView::from),
        flap: route.flap.map(|FlapRule { times, within }| Flap { times, within }),
        at_once: route.at_once,
        unless: texts(&route.unless),
        heartbeat: route.heartbeat.map(|heartbeat| heartbeat_view(heartbeat, pulse)),
        notify: route.notify.clone(),
    }
}

fn heartbeat_view(heartbeat: Heartbeat, pulse: Option<&Pulse>) -> HeartbeatView {
    let grace = heartbeat.patience().saturating_sub(heartbeat.every.duration());
    HeartbeatView {
        every: heartbeat.every,
        grace_seconds: grace.as_secs(),
        last_received_at: pulse.and_then(|pulse| pulse.last_received_at),
        missed_since: pulse.and_then(|pulse| pulse.missed_since),
    }
}

fn on_resolved(on_resolved: &OnResolved) -> OnResolvedView {
    match on_resolved {
        OnResolved::Ignore | OnResolved::Cancel => OnResolvedView::Word(on_resolved.as_str()),
        OnResolved::Run(playbook) => OnResolvedView::Run { run: playbook.clone() },
    }
}

impl From<BreakerRule> for BreakerRuleView {
    fn from(rule: BreakerRule) -> Self {
        let BreakerRule {
            failures,
            within,
            pause,
        } = rule;
        Self {
            failures,
            within,
            pause,
        }
    }
}

fn texts(matchers: &[Matcher]) -> Vec<String> {
    matchers.iter().map(ToString::to_string).collect()
}

#[cfg(test)]
mod tests;
