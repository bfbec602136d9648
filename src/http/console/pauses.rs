//! The kill switch: what is paused, pausing, and letting it go on.

use actix_web::{HttpResponse, web};
use askama::Template;

use crate::domain::pause::{Pause, Scope};
use crate::http::App;
use crate::http::api::pause::existing_scope;
use crate::http::console::access::{Operator, Who};
use crate::http::console::failure::Failure;
use crate::http::console::form::Form;
use crate::http::console::forms::FormToken;
use crate::http::console::moment::Moment;
use crate::http::console::reply::{page, see};
use crate::http::console::shell::{Place, Shell};
use crate::http::input::Query;
use crate::http::problem::Problem;
use crate::percent::encoded;
use crate::store::By;

/// What is paused.
#[derive(Clone, Debug)]
pub(super) struct Paused {
    pub(super) words: String,
    pub(super) scope_encoded: String,
    pub(super) comment: Option<String>,
    pub(super) by: String,
    pub(super) since: Moment,
}

impl Paused {
    pub(super) fn of(pause: &Pause) -> Self {
        Self {
            words: match &pause.scope {
                Scope::All => "Everything is paused".to_owned(),
                Scope::Route(name) => format!("The route {name} is paused"),
                Scope::Target(target) => format!("The target {target} is paused"),
            },
            scope_encoded: encoded(&pause.scope.to_string()),
            comment: pause.comment.clone().filter(|comment| !comment.is_empty()),
            by: pause.by.clone(),
            since: Moment(pause.since),
        }
    }
}

#[derive(Template)]
#[template(path = "pause.html")]
struct PausePage {
    shell: Shell,
    token: FormToken,
    paused: Vec<Paused>,
    routes: Vec<RouteChoice>,
    /// What the link that led here is about.
    scope: String,
    is_target: bool,
    target: String,
    running: String,
}

/// A route that may be paused.
struct RouteChoice {
    name: String,
    is_chosen: bool,
}

#[derive(Template)]
#[template(path = "resume.html")]
struct ResumePage {
    shell: Shell,
    token: FormToken,
    scope: String,
    paused: Paused,
}

/// A token for a form of this person.
pub(super) fn token(app: &App, who: &Who) -> FormToken {
    app.forms.token(who, app.ids.job(app.clock.now()))
}

/// The form that pauses.
pub(super) async fn form(operator: Operator, app: web::Data<App>, query: Query) -> Result<HttpResponse, Failure> {
    let scope = query
        .only(&["scope"])?
        .one("scope", |text| Ok(text.to_owned()))?
        .unwrap_or_else(|| "all".to_owned());
    let catalogue = app.catalogue.in_force();
    let target = scope.strip_prefix("target:").unwrap_or_default().to_owned();
    let counts = app.store.count_jobs().await?;
    let running = counts
        .iter()
        .find(|count| count.status == crate::domain::job::JobStatus::Running);
    Ok(page(&PausePage {
        shell: Shell::of(&operator.0, Place::Now),
        token: token(&app, &operator.0),
        paused: app.store.pauses().await?.iter().map(Paused::of).collect(),
        routes: catalogue
            .routes()
            .iter()
            .map(|route| RouteChoice {
                is_chosen: scope.strip_prefix("route:") == Some(&route.name),
                name: route.name.clone(),
            })
            .collect(),
        is_target: scope.starts_with("target:"),
        target,
        scope,
        running: match running.map_or(0, |count| count.count) {
            0 => "Nothing runs at this moment.".to_owned(),
            1 => "One job runs at this moment; it goes on to its end.".to_owned(),
            more => format!("{more} jobs run at this moment; they go on to their end."),
        },
    }))
}

/// Pauses.
pub(super) async fn pause(operator: Operator, app: web::Data<App>, form: Form) -> Result<HttpResponse, Failure> {
    form.check(&app, &operator.0)?;
    let target = form.get("target").unwrap_or_default().trim();
    let text = match form.get("scope").unwrap_or_default() {
        "target" => format!("target:{target}"),
        scope if target.is_empty() => scope.to_owned(),
        scope => {
            let why =
                format!("{scope} is chosen, and the target {target} is filled in: which of them is to be paused?");
            return Err(Problem::invalid("scope", why).into());
        }
    };
    let scope = existing_scope(&text, &*app.catalogue.in_force())?;
    // Twice is as good as once.
    app.store.pause(scope, by(&app, &operator, &form)).await?;
    Ok(see("/"))
}

/// The form that lets go on.
pub(super) async fn resume_form(
    operator: Operator,
    app: web::Data<App>,
    query: Query,
) -> Result<HttpResponse, Failure> {
    let scope = scope_of(query.only(&["scope"])?.all("scope").next())?;
    let pauses = app.store.pauses().await?;
    let Some(pause) = pauses.iter().find(|pause| pause.scope == scope) else {
        return Ok(see("/"));
    };
    Ok(page(&ResumePage {
        shell: Shell::of(&operator.0, Place::Now),
        token: token(&app, &operator.0),
        scope: scope.to_string(),
        paused: Paused::of(pause),
    }))
}

/// Lets go on.
pub(super) async fn resume(operator: Operator, app: web::Data<App>, form: Form) -> Result<HttpResponse, Failure> {
    form.check(&app, &operator.0)?;
    let scope = scope_of(form.get("scope"))?;
    app.store.resume(scope, by(&app, &operator, &form)).await?;
    Ok(see("/"))
}

/// What is paused or broken; its route may be gone.
pub(super) fn scope_of(text: Option<&str>) -> Result<Scope, Problem> {
    let scope = text.unwrap_or("all").parse::<Scope>();
    scope.map_err(|error| Problem::invalid("scope", error.to_string()))
}

/// Who does it now, and what they say about it.
pub(super) fn by(app: &App, operator: &Operator, form: &Form) -> By {
    app.by(&operator.0.caller, form.comment())
}
