//! The catalogue's playbooks, and running one of them by hand, with a form made of what it takes.

mod fields;

use actix_web::{HttpResponse, web};
use askama::Template;
use sha2::{Digest, Sha256};

use crate::domain::ids::JobId;
use crate::domain::job::NewJob;
use crate::http::App;
use crate::http::api::manual::make;
use crate::http::console::access::{Operator, Reader};
use crate::http::console::failure::Failure;
use crate::http::console::form::Form;
use crate::http::console::forms::FormToken;
use crate::http::console::hosts;
use crate::http::console::job::{Fact, plan_facts, shown};
use crate::http::console::pauses::token;
use crate::http::console::playbooks::fields::{Field, Filled, fields, fill};
use crate::http::console::reply::{page, page_with};
use crate::http::console::rerun::make_once;
use crate::http::console::shell::{Place, Shell};
use crate::http::input::{PathId, Query};
use crate::http::problem::{FieldError, Problem};
use crate::percent::encoded;
use crate::remediations::PlaybookView;

#[derive(Template)]
#[template(path = "playbooks.html")]
struct PlaybooksPage {
    shell: Shell,
    playbooks: Vec<PlaybookPart>,
}

/// A playbook.
struct PlaybookPart {
    name: String,
    encoded: String,
    description: Option<String>,
    facts: Vec<Fact>,
    /// The routes that run it.
    routes: Vec<String>,
}

#[derive(Template)]
#[template(path = "run.html")]
struct RunPage {
    shell: Shell,
    token: FormToken,
    name: String,
    encoded: String,
    description: Option<String>,
    fields: Vec<Field>,
    detail: Option<String>,
    errors: Vec<FieldError>,
}

#[derive(Template)]
#[template(path = "run_confirm.html")]
struct ConfirmPage {
    shell: Shell,
    token: FormToken,
    name: String,
    encoded: String,
    as_of: String,
    sentence: String,
    check: bool,
    facts: Vec<Fact>,
    argv: String,
    /// What was filled in, to be sent again.
    given: Vec<(String, String)>,
}

/// The list.
pub(super) async fn list(reader: Reader, app: web::Data<App>, query: Query) -> Result<HttpResponse, Failure> {
    query.only(&[])?;
    let catalogue = app.catalogue.in_force();
    let routes = catalogue.routes();
    let playbooks = catalogue.describe_playbooks().into_iter().map(|playbook| {
        let name = playbook.name.clone();
        let runs_it = |route: &&crate::domain::route::Route| {
            route.playbook.as_ref() == Some(&name) || route.otherwise.contains(&name)
        };
        let routes = routes.iter().filter(runs_it).map(|route| route.name.clone());
        PlaybookPart::of(playbook, routes.collect())
    });
    Ok(page(&PlaybooksPage {
        shell: Shell::of(&reader.0, Place::Playbooks),
        playbooks: playbooks.collect(),
    }))
}

impl PlaybookPart {
    fn of(playbook: PlaybookView, routes: Vec<String>) -> Self {
        let optional = [
            ("File", Some(playbook.path)),
            ("Inventory", Some(playbook.inventory)),
            ("Limit", playbook.limit),
            ("Target", playbook.lock),
            ("Tags", (!playbook.tags.is_empty()).then(|| playbook.tags.join(", "))),
            ("Check mode", playbook.check.then(|| "always".to_owned())),
            ("Time limit", Some(playbook.timeout)),
        ];
        let vars = playbook.vars.iter().map(|(name, value)| Fact {
            name: format!("Variable {name}"),
            value: shown(value),
        });
        let facts = optional.into_iter().filter_map(|(name, value)| {
            Some(Fact {
                name: name.to_owned(),
                value: value?,
            })
        });
        Self {
            encoded: encoded(&playbook.name),
            facts: facts.chain(vars).collect(),
            name: playbook.name,
            description: playbook.description,
            routes,
        }
    }
}

/// What the catalogue says of a playbook, in short: differs as soon as anything of it does.
pub(super) fn as_of(app: &App, name: &str) -> Result<String, Problem> {
    let playbook = serde_json::to_vec(&find(app, name)?).map_err(|_| Problem::internal())?;
    Ok(hex::encode(Sha256::digest(playbook)))
}

/// Refuses to run what is not any more what somebody was shown.
pub(super) fn check_as_of(app: &App, name: &str, shown: Option<&str>) -> Result<(), Problem> {
    if shown == Some(&as_of(app, name)?) {
        return Ok(());
    }
    Err(Problem::conflict(format!(
        "remediations.yml says something else of {name} than when you were asked, and nothing was run: go back, load the page again, \
         and look what would run now"
    )))
}

fn find(app: &App, name: &str) -> Result<PlaybookView, Problem> {
    let mut all = app.catalogue.in_force().describe_playbooks().into_iter();
    all.find(|playbook| playbook.name == name)
        .ok_or_else(|| Problem::not_found("playbook", name))
}

/// The form.
pub(super) async fn form(
    operator: Operator,
    app: web::Data<App>,
    name: PathId<String>,
    query: Query,
) -> Result<HttpResponse, Failure> {
    query.only(&[])?;
    let playbook = find(&app, &name.0)?;
    Ok(page(&run_page(&app, &operator, &playbook, None)))
}

fn run_page(app: &App, operator: &Operator, playbook: &PlaybookView, given: Option<&Form>) -> RunPage {
    RunPage {
        shell: Shell::of(&operator.0, Place::Playbooks),
        token: token(app, &operator.0),
        encoded: encoded(&playbook.name),
        name: playbook.name.clone(),
        description: playbook.description.clone(),
        fields: fields(playbook, given),
        detail: None,
        errors: Vec::new(),
    }
}

/// Shows what the form would run, and runs it once that is confirmed.
pub(super) async fn run(
    operator: Operator,
    app: web::Data<App>,
    name: PathId<String>,
    form: Form,
) -> Result<HttpResponse, Failure> {
    let nonce = form.check(&app, &operator.0)?;
    let playbook = find(&app, &name.0)?;
    let filled = fill(&playbook, &form);
    if form.get("step") == Some("change") {
        return Ok(page(&run_page(&app, &operator, &playbook, Some(&form))));
    }
    if form.get("step") == Some("run") {
        let (caller, filled) = (operator.0.caller, filled?);
        return make_once(&app, nonce, move |app| {
            check_as_of(app, &name.0, form.get("as_of"))?;
            make(app, (nonce, caller), filled.request)
        })
        .await;
    }
    match preview(&app, &operator, (nonce, filled)).await {
        Ok((new, check)) => confirm(&app, &operator, &form, (new, check)).await,
        Err(problem) => {
            let mut again = run_page(&app, &operator, &playbook, Some(&form));
            again.detail = Some(problem.to_string());
            again.errors = problem.errors().to_vec();
            Ok(page_with(actix_web::ResponseError::status_code(&problem), &again))
        }
    }
}

async fn preview(
    app: &web::Data<App>,
    operator: &Operator,
    (id, filled): (JobId, Result<Filled, Problem>),
) -> Result<(NewJob, bool), Problem> {
    let request = filled?.request;
    let check = request.check;
    let (shared, caller) = (web::Data::clone(app), operator.0.caller.clone());
    let made = web::block(move || make(&shared, (id, caller), request)).await;
    Ok((made.map_err(|_| Problem::internal())??, check))
}

async fn confirm(
    app: &App,
    operator: &Operator,
    form: &Form,
    (new, check): (NewJob, bool),
) -> Result<HttpResponse, Failure> {
    let argv = app.catalogue.in_force().argv(&crate::domain::parameters::Plan {
        playbook: new.playbook.clone(),
        target: new.target.clone(),
        parameters: new.parameters.clone(),
        checks: new.checks.clone(),
    });
    let hosts = hosts::of(app, &new.playbook, &new.parameters).await?;
    let how = if new.parameters.check {
        " in check mode, which changes nothing,"
    } else {
        ""
    };
    let ours = ["nonce", "proof", "step", "as_of"];
    let given = form.all().filter(|(name, _)| !ours.contains(name));
    Ok(page(&ConfirmPage {
        shell: Shell::of(&operator.0, Place::Playbooks),
        token: token(app, &operator.0),
        encoded: encoded(&new.playbook),
        as_of: as_of(app, &new.playbook)?,
        sentence: format!(
            "{} will run{how} {hosts}. The inventory is {}, the target {}.",
            new.playbook, new.parameters.inventory, new.target
        ),
        name: new.playbook,
        check,
        facts: plan_facts(&new.parameters),
        argv: argv.join(" "),
        given: given.map(|(name, value)| (name.to_owned(), value.to_owned())).collect(),
    }))
}
