//! What is held back, and why. A person may let what a storm holds back pass.

use actix_web::web;
use serde::{Deserialize, Serialize};

use crate::domain::decision::DecisionKind;
use crate::domain::ids::{Fingerprint, Target};
use crate::domain::timestamp::Timestamp;
use crate::http::App;
use crate::http::auth::{OperatorAccess, ViewerAccess};
use crate::http::input::{Query, SmallBody, optional_json};
use crate::http::problem::{Problem, ProblemView};
use crate::http::views::List;
use crate::store::HeldBack;

/// An alert whose route would make a job, if nothing held it back.
#[derive(Debug, Serialize, utoipa::ToSchema)]
#[schema(as = HeldBack)]
pub(crate) struct HeldView {
    #[schema(value_type = String)]
    fingerprint: Fingerprint,
    alertname: String,
    route: String,
    #[schema(value_type = String)]
    target: Target,
    decision: DecisionKind,
    reason: String,
    #[schema(value_type = String, format = DateTime)]
    since: Timestamp,
    /// When it is decided again; `null` where something must happen first.
    #[schema(value_type = Option<String>, format = DateTime)]
    until: Option<Timestamp>,
}

impl From<HeldBack> for HeldView {
    fn from(held: HeldBack) -> Self {
        Self {
            alertname: held.alert.name().to_owned(),
            fingerprint: held.alert.fingerprint,
            route: held.route,
            target: held.target,
            decision: held.kind,
            reason: held.reason,
            since: held.since,
            until: held.due_at,
        }
    }
}

/// List what is held back
#[utoipa::path(
    get, path = "/api/v1/held", operation_id = "list_held", tag = "brakes",
    params(
        ("limit" = Option<u32>, Query, minimum = 1, maximum = 500, description = "How many at most; 50 by default"),
        ("cursor" = Option<String>, Query, description = "The next_cursor of the page before"),
    ),
    responses((status = 200, description = "A part of the list, by the age of the alert's episode", body = List<HeldView>)),
)]
pub(crate) async fn list(
    _: ViewerAccess,
    app: web::Data<App>,
    query: Query,
) -> Result<web::Json<List<HeldView>>, Problem> {
    let page = query.only(&["limit", "cursor"])?.page("held")?;
    let held = app.store.list_held(page).await?;
    Ok(web::Json(List::of("held", held, HeldView::from)))
}

/// Which alerts may pass.
#[derive(Debug, Default, Deserialize, utoipa::ToSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Release {
    /// All routes without it.
    route: Option<String>,
}

/// What was let go.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(crate) struct Released {
    /// How many alerts are decided again, without the storm limit.
    released: u64,
}

/// Let what the storm limit holds back pass
#[utoipa::path(
    post, path = "/api/v1/held/release", operation_id = "release_held", tag = "brakes",
    request_body(content = Option<Release>),
    responses(
        (status = 200, description = "They are decided again now", body = Released),
        (status = 400, description = "The body is wrong", body = ProblemView, content_type = "application/problem+json"),
    ),
)]
pub(crate) async fn release(
    caller: OperatorAccess,
    app: web::Data<App>,
    query: Query,
    body: SmallBody,
) -> Result<web::Json<Released>, Problem> {
    query.only(&[])?;
    let wanted: Release = optional_json(&body.0)?;
    let released = app.store.release_held(wanted.route, app.by(&caller.0, None)).await?;
    Ok(web::Json(Released { released }))
}
