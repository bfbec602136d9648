//! The brakes that people work: opening and closing circuit breakers, and letting what a storm holds back pass.

use actix_web::{HttpResponse, web};
use askama::Template;

use crate::domain::pause::{Breaker, Scope};
use crate::http::App;
use crate::http::api::breakers::breakable;
use crate::http::api::pause::existing_scope;
use crate::http::console::access::Operator;
use crate::http::console::failure::Failure;
use crate::http::console::form::Form;
use crate::http::console::forms::FormToken;
use crate::http::console::moment::Told;
use crate::http::console::pauses::{by, scope_of, token};
use crate::http::console::reply::{page, see};
use crate::http::console::shell::{Place, Shell};
use crate::http::console::words::scope_named;
use crate::http::input::Query;
use crate::http::problem::Problem;
use crate::percent::encoded;
use crate::store::StormHeld;

/// How many alerts are named whose turn comes first.
const NAMED: u32 = 25;

#[derive(Template)]
#[template(path = "breaker.html")]
struct BreakerPage {
    shell: Shell,
    token: FormToken,
    scope: String,
    scope_encoded: String,
    /// The scope, as a sentence says it.
    of: String,
    /// The form opens the breaker; otherwise it closes it.
    opens: bool,
    /// Why it is open.
    reason: Option<Told>,
}

#[derive(Template)]
#[template(path = "release.html")]
struct ReleasePage {
    shell: Shell,
    token: FormToken,
    alerts: u64,
    routes: Vec<(String, u64)>,
    next: Vec<NextPart>,
}

/// An alert that would pass.
struct NextPart {
    name: String,
    route: String,
    target: String,
}

/// The form that opens a breaker.
pub(super) async fn open_form(operator: Operator, app: web::Data<App>, query: Query) -> Result<HttpResponse, Failure> {
    let scope = asked(&app, query.only(&["scope"])?.all("scope").next())?;
    if find(&app, &scope).await?.is_some() {
        return Ok(see("/"));
    }
    Ok(breaker_page(&app, &operator, &scope, None))
}

/// Opens a breaker.
pub(super) async fn open(operator: Operator, app: web::Data<App>, form: Form) -> Result<HttpResponse, Failure> {
    form.check(&app, &operator.0)?;
    let scope = asked(&app, form.get("scope"))?;
    // Twice is as good as once; whoever opened it first stays named.
    if find(&app, &scope).await?.is_none() {
        app.store.open_breaker(scope, by(&app, &operator, &form)).await?;
    }
    Ok(see("/"))
}

/// The form that closes one.
pub(super) async fn close_form(operator: Operator, app: web::Data<App>, query: Query) -> Result<HttpResponse, Failure> {
    let scope = breaker_of(query.only(&["scope"])?.all("scope").next())?;
    match find(&app, &scope).await? {
        Some(breaker) => Ok(breaker_page(&app, &operator, &scope, Some(breaker))),
        None => Ok(see("/")),
    }
}

/// Closes one.
pub(super) async fn close(operator: Operator, app: web::Data<App>, form: Form) -> Result<HttpResponse, Failure> {
    form.check(&app, &operator.0)?;
    let scope = breaker_of(form.get("scope"))?;
    app.store.reset_breaker(scope, by(&app, &operator, &form)).await?;
    Ok(see("/"))
}

/// The form that lets a storm pass.
pub(super) async fn release_form(
    operator: Operator,
    app: web::Data<App>,
    query: Query,
) -> Result<HttpResponse, Failure> {
    query.only(&[])?;
    let storm = app.store.storm_held(NAMED).await?;
    if storm.routes.is_empty() {
        return Ok(see("/"));
    }
    Ok(page(&ReleasePage::of(
        Shell::of(&operator.0, Place::Now),
        token(&app, &operator.0),
        storm,
    )))
}

/// Lets it pass.
pub(super) async fn release(operator: Operator, app: web::Data<App>, form: Form) -> Result<HttpResponse, Failure> {
    form.check(&app, &operator.0)?;
    let route = form.get("route").filter(|route| !route.is_empty()).map(str::to_owned);
    app.store.release_held(route, by(&app, &operator, &form)).await?;
    Ok(see("/"))
}

impl ReleasePage {
    fn of(shell: Shell, token: FormToken, storm: StormHeld) -> Self {
        let next = storm.next.into_iter().map(|held| NextPart {
            name: held.alert.name().to_owned(),
            route: held.route,
            target: held.target.to_string(),
        });
        Self {
            shell,
            token,
            alerts: storm.routes.iter().map(|(_, alerts)| alerts).sum(),
            next: next.collect(),
            routes: storm.routes,
        }
    }
}

fn breaker_page(app: &App, operator: &Operator, scope: &Scope, open: Option<Breaker>) -> HttpResponse {
    page(&BreakerPage {
        shell: Shell::of(&operator.0, Place::Now),
        token: token(app, &operator.0),
        of: scope_named(scope, "all routes"),
        scope_encoded: encoded(&scope.to_string()),
        scope: scope.to_string(),
        opens: open.is_none(),
        reason: open.map(|breaker| Told(breaker.reason)),
    })
}

/// The breaker that is to be opened: its route must be there.
fn asked(app: &App, scope: Option<&str>) -> Result<Scope, Problem> {
    let scope = existing_scope(scope.unwrap_or("all"), &*app.catalogue.in_force())?;
    breakable(scope)
}

/// The breaker that is to be closed: its route may be gone.
fn breaker_of(scope: Option<&str>) -> Result<Scope, Problem> {
    breakable(scope_of(scope)?)
}

async fn find(app: &App, scope: &Scope) -> Result<Option<Breaker>, Failure> {
    let open = app.store.breakers().await?;
    Ok(open.into_iter().find(|breaker| breaker.scope == *scope))
}
