//! The kill switch: who threw it, and for what.

use actix_web::{HttpResponse, web};
use serde::{Deserialize, Serialize};

use crate::config::fields::did_you_mean;
use crate::domain::pause::{Pause, Scope};
use crate::domain::timestamp::Timestamp;
use crate::http::App;
use crate::http::auth::{OperatorAccess, ViewerAccess};
use crate::http::input::{Query, SmallBody, json, optional_json};
use crate::http::problem::{Problem, ProblemView};
use crate::http::views::List;
use crate::remediations::Remediations;

/// A scope in which nothing starts.
#[derive(Debug, Serialize, utoipa::ToSchema)]
#[schema(as = Pause)]
pub(crate) struct PauseView {
    /// `all`, `route:NAME` or `target:NAME`.
    scope: String,
    comment: Option<String>,
    by: String,
    #[schema(value_type = String, format = DateTime)]
    since: Timestamp,
}

impl From<Pause> for PauseView {
    fn from(pause: Pause) -> Self {
        Self {
            scope: pause.scope.to_string(),
            comment: pause.comment,
            by: pause.by,
            since: pause.since,
        }
    }
}

/// What to pause, or to open or close a breaker of.
#[derive(Debug, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Wanted {
    /// `all`, `route:NAME` or `target:NAME`.
    #[serde(default)]
    #[schema(required = true, min_length = 1)]
    scope: String,
    pub(super) comment: Option<String>,
}

impl Wanted {
    /// A route must be there: a slip of the pen would stop nothing.
    pub(super) fn scope(&self, catalogue: &dyn Remediations) -> Result<Scope, Problem> {
        existing_scope(&self.scope, catalogue)
    }
}

/// The scope that the text names. A route must be there.
pub(crate) fn existing_scope(text: &str, catalogue: &dyn Remediations) -> Result<Scope, Problem> {
    if text.is_empty() {
        let message = "is missing: write all, route:NAME or target:NAME";
        return Err(Problem::invalid("scope", message));
    }
    let scope = scope(text)?;
    let names: Vec<&str> = catalogue.routes().iter().map(|route| route.name.as_str()).collect();
    match &scope {
        Scope::Route(name) if !names.contains(&name.as_str()) => {
            let hint = did_you_mean(name, &names);
            let message = format!("the catalogue has no route {name:?}{hint}");
            Err(Problem::invalid("scope", message))
        }
        Scope::All | Scope::Route(_) | Scope::Target(_) => Ok(scope),
    }
}

/// The scope that is to go on.
#[derive(Debug, Default, Deserialize, utoipa::ToSchema)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Unwanted {
    /// `all` by default.
    scope: Option<String>,
    pub(super) comment: Option<String>,
}

impl Unwanted {
    /// From the query, or from the body.
    pub(super) fn read(query: &Query, body: &SmallBody) -> Result<Self, Problem> {
        let asked = query.only(&["scope"])?.one("scope", |text| Ok(text.to_owned()))?;
        let given: Self = optional_json(&body.0)?;
        Ok(Self {
            scope: asked.or(given.scope),
            comment: given.comment,
        })
    }

    pub(super) fn scope(&self) -> Result<Scope, Problem> {
        scope(self.scope.as_deref().unwrap_or("all"))
    }
}

fn scope(text: &str) -> Result<Scope, Problem> {
    let parsed = text.parse::<Scope>();
    parsed.map_err(|error| Problem::invalid("scope", error.to_string()))
}

/// List what is paused
#[utoipa::path(
    get, path = "/api/v1/pause", operation_id = "list_pauses", tag = "brakes",
    params(
        ("limit" = Option<u32>, Query, minimum = 1, maximum = 500, description = "How many at most; 50 by default"),
        ("cursor" = Option<String>, Query, description = "The next_cursor of the page before"),
    ),
    responses((status = 200, description = "A part of the list, the oldest first", body = List<PauseView>)),
)]
pub(crate) async fn list(
    _: ViewerAccess,
    app: web::Data<App>,
    query: Query,
) -> Result<web::Json<List<PauseView>>, Problem> {
    let page = query.only(&["limit", "cursor"])?.page("pauses")?;
    let all = app.store.pauses().await?.into_iter().map(PauseView::from).collect();
    Ok(web::Json(List::slice("pauses", all, &page, |pause: &PauseView| {
        format!("{:020} {}", pause.since.as_micros(), pause.scope)
    })))
}

/// Pause everything, a route or a target
#[utoipa::path(
    put, path = "/api/v1/pause", operation_id = "pause", tag = "brakes",
    request_body(content = Wanted),
    responses(
        (status = 200, description = "Nothing of it starts any more; what runs ends", body = PauseView),
        (status = 400, description = "The scope is none, or a route that is not in the catalogue", body = ProblemView, content_type = "application/problem+json"),
    ),
)]
pub(crate) async fn pause(
    caller: OperatorAccess,
    app: web::Data<App>,
    query: Query,
    body: SmallBody,
) -> Result<web::Json<PauseView>, Problem> {
    query.only(&[])?;
    let wanted: Wanted = json(&body.0)?;
    let scope = wanted.scope(&*app.catalogue.in_force())?;
    let pause = app.store.pause(scope, app.by(&caller.0, wanted.comment)).await?;
    Ok(web::Json(pause.into()))
}

/// Let it go on; what still fires is decided again
#[utoipa::path(
    delete, path = "/api/v1/pause", operation_id = "resume", tag = "brakes",
    params(("scope" = Option<String>, Query, description = "`all` by default")),
    request_body(content = Option<Unwanted>),
    responses(
        (status = 204, description = "It is not paused"),
        (status = 400, description = "The scope is none", body = ProblemView, content_type = "application/problem+json"),
    ),
)]
pub(crate) async fn resume(
    caller: OperatorAccess,
    app: web::Data<App>,
    query: Query,
    body: SmallBody,
) -> Result<HttpResponse, Problem> {
    let unwanted = Unwanted::read(&query, &body)?;
    let scope = unwanted.scope()?;
    app.store.resume(scope, app.by(&caller.0, unwanted.comment)).await?;
    Ok(HttpResponse::NoContent().finish())
}
