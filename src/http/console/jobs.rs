//! The list of jobs, with every filter of the API in the page's address.

use actix_web::{HttpResponse, web};
use askama::Template;

use crate::domain::job::{JobStatus, Reason, Trigger};
use crate::http::App;
use crate::http::api::jobs::{PARAMETERS, filter};
use crate::http::console::access::Reader;
use crate::http::console::failure::Failure;
use crate::http::console::reply::{encoded, page, see};
use crate::http::console::row::Row;
use crate::http::console::shell::{Place, Shell};
use crate::http::input::{Query, cursor};

#[derive(Template)]
#[template(path = "jobs.html")]
struct JobsPage {
    shell: Shell,
    filters: Filters,
    rows: Vec<Row>,
    /// The way to the next page.
    older: Option<String>,
    is_first: bool,
}

/// The controls as they stand.
#[derive(Clone, Debug, Default)]
struct Filters {
    q: String,
    statuses: Vec<Choice>,
    reasons: Vec<Choice>,
    triggers: Vec<Choice>,
    playbooks: Vec<Choice>,
    routes: Vec<Choice>,
    target: String,
    alertname: String,
    fingerprint: String,
    since: String,
    until: String,
    /// Whether more than the text and the statuses is asked for.
    has_more: bool,
    /// Whether anything is.
    has_any: bool,
}

/// One value of a control.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Choice {
    value: String,
    text: String,
    is_chosen: bool,
}

/// The page. Controls that are empty, as browsers send them, ask for nothing: the address is made anew without them.
pub(super) async fn show(reader: Reader, app: web::Data<App>, query: Query) -> Result<HttpResponse, Failure> {
    query.only(PARAMETERS)?;
    if let Some(address) = tidied(&query) {
        return Ok(see(&format!("/jobs{address}")));
    }
    let wanted = filter(&query)?;
    let place = query.page("jobs")?;
    let is_first = place.after.is_none();
    let found = app.store.list_jobs(&wanted, place).await?;
    let now = app.clock.now();
    Ok(page(&JobsPage {
        shell: Shell::of(&app, &reader.0, Place::Jobs),
        filters: Filters::of(&query, &app),
        rows: found.items.iter().map(|job| Row::of(job, now)).collect(),
        older: found.next.map(|next| address(&query, Some(&cursor("jobs", &next)))),
        is_first,
    }))
}

/// The query without what is empty, and with times as the API reads them; nothing if it is so already.
fn tidied(query: &Query) -> Option<String> {
    let tidy = |name: &str, value: &str| match name {
        // As a browser's control writes it, which knows no zone.
        "since" | "until" if !value.contains('Z') && !value.contains('+') => format!("{value}{}Z", seconds(value)),
        _ => value.trim().to_owned(),
    };
    let pairs: Vec<(&str, String)> = query
        .pairs()
        .filter(|(_, value)| !value.trim().is_empty())
        .map(|(name, value)| (name, tidy(name, value)))
        .collect();
    let is_same = pairs
        .iter()
        .map(|(name, value)| (*name, value.as_str()))
        .eq(query.pairs());
    (!is_same).then(|| written(pairs.iter().map(|(name, value)| (*name, value.as_str()))))
}

/// What a time without them lacks.
fn seconds(time: &str) -> &'static str {
    let has_seconds = time.matches(':').count() != 1;
    if has_seconds { "" } else { ":00" }
}

/// The address of the same list at another place.
fn address(query: &Query, cursor: Option<&str>) -> String {
    let others = query.pairs().filter(|(name, _)| *name != "cursor");
    let cursor = cursor.map(|cursor| ("cursor", cursor));
    format!("/jobs{}", written(others.chain(cursor)))
}

fn written<'a>(pairs: impl Iterator<Item = (&'a str, &'a str)>) -> String {
    let pairs = pairs.map(|(name, value)| format!("{name}={}", encoded(value)));
    match pairs.collect::<Vec<_>>().join("&") {
        empty if empty.is_empty() => empty,
        query => format!("?{query}"),
    }
}

impl Filters {
    fn of(query: &Query, app: &App) -> Self {
        let catalogue = app.catalogue.in_force();
        let playbooks = catalogue.describe_playbooks().into_iter().map(|playbook| playbook.name);
        let routes = catalogue.routes().iter().map(|route| route.name.clone());
        let text = |name| query.all(name).next().unwrap_or_default().to_owned();
        // What the control for a time takes: no zone, as it says UTC beside it.
        let time = |name| text(name).trim_end_matches('Z').to_owned();
        let more = [
            "reason",
            "playbook",
            "route",
            "target",
            "alertname",
            "fingerprint",
            "trigger",
            "since",
            "until",
        ];
        let is_asked = |name: &&str| query.all(name).next().is_some();
        let has_more = more.iter().any(is_asked);
        Self {
            q: text("q"),
            statuses: words(query, "status", JobStatus::ALL.iter().map(|status| status.as_str())),
            reasons: words(query, "reason", Reason::ALL.iter().map(|reason| reason.as_str())),
            triggers: words(query, "trigger", Trigger::ALL.iter().map(|trigger| trigger.as_str())),
            playbooks: names(query, "playbook", playbooks),
            routes: names(query, "route", routes),
            target: text("target"),
            alertname: text("alertname"),
            fingerprint: text("fingerprint"),
            since: time("since"),
            until: time("until"),
            has_more,
            has_any: has_more || ["q", "status"].iter().any(is_asked),
        }
    }
}

fn words<'a>(query: &Query, name: &str, all: impl Iterator<Item = &'a str>) -> Vec<Choice> {
    let choices = all.map(|word| Choice {
        value: word.to_owned(),
        text: word.replace('_', " "),
        is_chosen: query.all(name).any(|chosen| chosen == word),
    });
    choices.collect()
}

/// Those of the catalogue, and those that are asked for though it has them no more.
fn names(query: &Query, name: &str, all: impl Iterator<Item = String>) -> Vec<Choice> {
    let mut all: Vec<String> = all.collect();
    for chosen in query.all(name) {
        if !all.iter().any(|known| known == chosen) {
            all.push(chosen.to_owned());
        }
    }
    let choices = all.into_iter().map(|known| Choice {
        is_chosen: query.all(name).any(|chosen| chosen == known),
        text: known.clone(),
        value: known,
    });
    choices.collect()
}

#[cfg(test)]
mod tests {
    use actix_web::FromRequest;
    use actix_web::dev::Payload;
    use actix_web::test::TestRequest;

    use super::*;

    fn query(text: &str) -> Query {
        let request = TestRequest::with_uri(&format!("/jobs?{text}")).to_http_request();
        Query::from_request(&request, &mut Payload::None).into_inner().unwrap()
    }

    #[test]
    fn empty_controls_leave_the_address() {
        assert_eq!(
            tidied(&query("q=&status=failed&playbook=&since=2026-01-31T09%3A00&until=")).as_deref(),
            Some("?status=failed&since=2026-01-31T09%3A00%3A00Z")
        );
        assert_eq!(tidied(&query("q=&route=")).as_deref(), Some(""));
        assert_eq!(tidied(&query("status=failed&q=a%20b")), None);
        assert_eq!(tidied(&query("")), None);
    }

    #[test]
    fn the_next_page_has_the_same_filters() {
        assert_eq!(
            address(&query("status=failed&q=a%26b&cursor=x"), Some("y")),
            "/jobs?status=failed&q=a%26b&cursor=y"
        );
    }
}
