//! Circuit breakers that are not closed, opened and reset by hand.

use actix_web::{HttpResponse, web};
use serde::Serialize;

use crate::domain::ids::JobId;
use crate::domain::pause::{Breaker, BreakerState, Scope};
use crate::domain::timestamp::Timestamp;
use crate::http::App;
use crate::http::api::pause::{Unwanted, Wanted};
use crate::http::auth::{OperatorAccess, ViewerAccess};
use crate::http::input::{Query, SmallBody, json};
use crate::http::problem::{Problem, ProblemView};
use crate::http::views::List;

/// A circuit breaker that is not closed.
#[derive(Debug, Serialize, utoipa::ToSchema)]
#[schema(as = Breaker)]
pub(crate) struct BreakerView {
    /// `all` or `route:NAME`.
    scope: String,
    /// `open` or `half_open`.
    state: &'static str,
    reason: String,
    #[schema(value_type = String, format = DateTime)]
    opened_at: Timestamp,
    /// `null` if only a person closes it.
    #[schema(value_type = Option<String>, format = DateTime)]
    until: Option<Timestamp>,
    /// The job that tries whether it works again.
    #[schema(value_type = Option<String>)]
    trial: Option<JobId>,
}

impl BreakerView {
    fn of(breaker: Breaker, now: Timestamp) -> Self {
        Self {
            state: state(&breaker, now),
            scope: breaker.scope.to_string(),
            reason: breaker.reason,
            opened_at: breaker.opened_at,
            until: breaker.until,
            trial: breaker.trial,
        }
    }
}

/// A breaker that lets nothing pass.
pub(super) const OPEN: &str = "open";

/// As the API writes it.
pub(super) fn state(breaker: &Breaker, now: Timestamp) -> &'static str {
    match breaker.state(now) {
        BreakerState::Open => OPEN,
        BreakerState::HalfOpen | BreakerState::Trying(_) => "half_open",
    }
}

/// List the circuit breakers that are not closed
#[utoipa::path(
    get, path = "/api/v1/breakers", operation_id = "list_breakers", tag = "brakes",
    params(
        ("limit" = Option<u32>, Query, minimum = 1, maximum = 500, description = "How many at most; 50 by default"),
        ("cursor" = Option<String>, Query, description = "The next_cursor of the page before"),
    ),
    responses((status = 200, description = "A part of the list, by scope", body = List<BreakerView>)),
)]
pub(crate) async fn list(
    _: ViewerAccess,
    app: web::Data<App>,
    query: Query,
) -> Result<web::Json<List<BreakerView>>, Problem> {
    let page = query.only(&["limit", "cursor"])?.page("breakers")?;
    let (now, open) = (app.clock.now(), app.store.breakers().await?);
    let all = open.into_iter().map(|breaker| BreakerView::of(breaker, now)).collect();
    Ok(web::Json(List::slice(
        "breakers",
        all,
        &page,
        |breaker: &BreakerView| breaker.scope.clone(),
    )))
}

/// Open a breaker by hand, until it is reset
#[utoipa::path(
    put, path = "/api/v1/breakers", operation_id = "open_breaker", tag = "brakes",
    request_body(content = Wanted),
    responses(
        (status = 204, description = "It is open"),
        (status = 400, description = "The scope is no route of the catalogue and not all", body = ProblemView, content_type = "application/problem+json"),
    ),
)]
pub(crate) async fn open(
    caller: OperatorAccess,
    app: web::Data<App>,
    query: Query,
    body: SmallBody,
) -> Result<HttpResponse, Problem> {
    query.only(&[])?;
    let wanted: Wanted = json(&body.0)?;
    let scope = breakable(wanted.scope(&*app.catalogue.in_force())?)?;
    app.store.open_breaker(scope, app.by(&caller.0, wanted.comment)).await?;
    Ok(HttpResponse::NoContent().finish())
}

/// Close a breaker by hand; what failed before does not count any more
#[utoipa::path(
    delete, path = "/api/v1/breakers", operation_id = "reset_breaker", tag = "brakes",
    params(("scope" = Option<String>, Query, description = "`all` by default")),
    request_body(content = Option<Unwanted>),
    responses(
        (status = 204, description = "It is closed"),
        (status = 400, description = "The scope is no route and not all", body = ProblemView, content_type = "application/problem+json"),
    ),
)]
pub(crate) async fn reset(
    caller: OperatorAccess,
    app: web::Data<App>,
    query: Query,
    body: SmallBody,
) -> Result<HttpResponse, Problem> {
    let unwanted = Unwanted::read(&query, &body)?;
    let scope = breakable(unwanted.scope()?)?;
    app.store
        .reset_breaker(scope, app.by(&caller.0, unwanted.comment))
        .await?;
    Ok(HttpResponse::NoContent().finish())
}

/// The scope, if it may have a breaker.
pub(crate) fn breakable(scope: Scope) -> Result<Scope, Problem> {
    match scope {
        Scope::All | Scope::Route(_) => Ok(scope),
        Scope::Target(_) => Err(Problem::invalid(
            "scope",
            "a target has no breaker: write all or route:NAME",
        )),
    }
}
