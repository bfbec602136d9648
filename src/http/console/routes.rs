//! The routes in force, each in words.

use actix_web::{HttpResponse, web};
use askama::Template;

use crate::domain::notify::Notify;
use crate::domain::pause::{Breaker, Pause, Scope};
use crate::domain::route::{Mode, OnResolved, Route};
use crate::domain::rules::{BreakerRule, FlapRule, Retry};
use crate::domain::span::Span;
use crate::http::App;
use crate::http::console::access::Reader;
use crate::http::console::failure::Failure;
use crate::http::console::job::Fact;
use crate::http::console::reply::page;
use crate::http::console::shell::{Place, Shell};
use crate::http::input::Query;
use crate::percent::encoded;

#[derive(Template)]
#[template(path = "routes.html")]
struct RoutesPage {
    shell: Shell,
    routes: Vec<RoutePart>,
    fleet: Vec<Fact>,
}

/// A route.
struct RoutePart {
    name: String,
    encoded: String,
    matchers: Vec<String>,
    /// What it does with an alert.
    does: String,
    mode: &'static str,
    facts: Vec<Fact>,
    is_paused: bool,
    /// Its breaker is not closed.
    is_tripped: bool,
}

/// The page.
pub(super) async fn show(reader: Reader, app: web::Data<App>, query: Query) -> Result<HttpResponse, Failure> {
    query.only(&[])?;
    let catalogue = app.catalogue.in_force();
    let (pauses, breakers) = (app.store.pauses().await?, app.store.breakers().await?);
    let rules = catalogue.fleet();
    let storm = rules
        .storm
        .map(|storm| format!("alerts make at most {} jobs within {}", storm.jobs, storm.within));
    let breaker = rules.breaker.map(|rule| {
        let (failures, within, pause) = (rule.failures, rule.within, rule.pause);
        format!("{failures} failures within {within} open it for {pause}")
    });
    let fleet = [("Storm limit", storm), ("Breaker of all routes", breaker)];
    Ok(page(&RoutesPage {
        shell: Shell::of(&reader.0, Place::Routes),
        routes: catalogue
            .routes()
            .iter()
            .map(|route| RoutePart::of(route, &pauses, &breakers))
            .collect(),
        fleet: fleet
            .into_iter()
            .filter_map(|(name, value)| Some(fact(name, value?)))
            .collect(),
    }))
}

fn fact(name: &str, value: String) -> Fact {
    Fact {
        name: name.to_owned(),
        value,
    }
}

impl RoutePart {
    fn of(route: &Route, pauses: &[Pause], breakers: &[Breaker]) -> Self {
        let covers = |scope: &Scope| scope.concerns(&route.name, None);
        Self {
            name: route.name.clone(),
            encoded: encoded(&route.name),
            matchers: route.matchers.iter().map(ToString::to_string).collect(),
            does: does(route),
            mode: route.mode.as_str(),
            facts: facts(route),
            is_paused: pauses.iter().any(|pause| covers(&pause.scope)),
            is_tripped: breakers.iter().any(|breaker| covers(&breaker.scope)),
        }
    }
}

fn does(route: &Route) -> String {
    match (&route.playbook, route.mode) {
        (None, _) => "only watches that its alert keeps coming".to_owned(),
        (Some(playbook), Mode::Auto) => format!("runs {playbook}"),
        (Some(playbook), Mode::Approve) => format!("runs {playbook} once somebody has approved it"),
        (Some(playbook), Mode::Observe) => format!("records that it would run {playbook}, and runs nothing"),
    }
}

/// Everything about it that is not as it is without a word in the file.
fn facts(route: &Route) -> Vec<Fact> {
    let named = runs(route).into_iter().chain(brakes(route));
    named.filter_map(|(name, value)| Some(fact(name, value?))).collect()
}

/// A fact, if there is one.
type Named = (&'static str, Option<String>);

/// What is done about an alert, and when that counts as healed.
fn runs(route: &Route) -> [Named; 9] {
    let checks = &route.checks;
    let precondition = checks.precondition.as_ref();
    let ladder = (!route.otherwise.is_empty()).then(|| route.otherwise.join(", then "));
    let approval = format!("is waited for {}", route.approval_expires);
    let heartbeat = route.heartbeat.map(|heartbeat| format!("every {}", heartbeat.every));
    [
        ("Not for", joined(&route.unless, " or ")),
        (
            "Before",
            precondition.map(|condition| format!("{} must hold", condition.query)),
        ),
        ("Approval", (route.mode == Mode::Approve).then_some(approval)),
        ("Silence", checks.silence.then(|| "while the playbook runs".to_owned())),
        ("Retry", route.retry.as_ref().map(retry)),
        ("Healed", verify(route)),
        ("Ladder", ladder),
        ("When it resolves", on_resolved(&route.on_resolved)),
        ("Heartbeat", heartbeat),
    ]
}

/// What holds it back, and what else there is to know.
fn brakes(route: &Route) -> [Named; 9] {
    let cooldown = !route.cooldown.duration().is_zero();
    let breaker = |rule: BreakerRule| {
        let (failures, within, pause) = (rule.failures, rule.within, rule.pause);
        format!("{failures} failures within {within} open it for {pause}")
    };
    let flap = |rule: FlapRule| format!("healed {} times within {}", rule.times, rule.within);
    let again = |span: Span| format!("if it still fires {span} after the last job");
    [
        ("Cooldown", cooldown.then(|| route.cooldown.to_string())),
        ("Caps", joined(&route.caps, ", ")),
        ("Breaker", route.breaker.map(breaker)),
        ("Flapping", route.flap.map(flap)),
        ("At once", route.at_once.map(|most| format!("{most} jobs"))),
        ("Again", route.again_after.map(again)),
        (
            "Expires",
            Some(format!("a job that waits longer than {}", route.expires)),
        ),
        ("Then", route.goes_on.then(|| "later routes are tried, too".to_owned())),
        ("Tells", route.notify.as_ref().map(tells)),
    ]
}

fn joined(all: &[impl ToString], between: &str) -> Option<String> {
    let texts: Vec<String> = all.iter().map(ToString::to_string).collect();
    (!texts.is_empty()).then(|| texts.join(between))
}

fn tells(notify: &Notify) -> String {
    let events: Vec<&str> = notify.events.iter().map(|event| event.as_str()).collect();
    format!("{} of {}", notify.to.join(", "), events.join(", "))
}

fn retry(retry: &Retry) -> String {
    format!(
        "up to {} attempts, {} apart at first, after {}",
        retry.attempts,
        retry.backoff,
        retry.words().join(", ")
    )
}

fn verify(route: &Route) -> Option<String> {
    let within = route.resolved_within?;
    Some(match &route.checks.verify_query {
        Some(query) => format!("if {query} within {within} after the run"),
        None => format!("if the alert resolves within {within} after the run"),
    })
}

fn on_resolved(on_resolved: &OnResolved) -> Option<String> {
    match on_resolved {
        OnResolved::Ignore => None,
        OnResolved::Cancel => Some("a running job is stopped".to_owned()),
        OnResolved::Run(playbook) => Some(format!("{playbook} runs after a running job")),
    }
}
