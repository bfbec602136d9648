//! The list of jobs, with every filter of the API in the page's address.

use actix_web::{HttpResponse, web};
use askama::Template;

use crate::domain::job::{JobStatus, Reason, Trigger};
use crate::domain::timestamp::Timestamp;
use crate::http::App;
use crate::http::api::jobs::{PARAMETERS, filter};
use crate::http::console::access::Reader;
use crate::http::console::failure::Failure;
use crate::http::console::pages::{Pages, written};
use crate::http::console::reply::{page, see};
use crate::http::console::row::Row;
use crate::http::console::shell::{Place, Shell};
use crate::http::input::Query;

#[derive(Template)]
#[template(path = "jobs.html")]
struct JobsPage {
    shell: Shell,
    filters: Filters,
    rows: Vec<Row>,
    pages: Pages,
}

/// The controls as they stand.
#[derive(Clone, Debug, Default)]
struct Filters {
    q: String,
    statuses: Vec<Choice>,
    reasons: Select,
    triggers: Select,
    playbooks: Select,
    routes: Select,
    /// As many as the address has, and at least one to write into.
    targets: Vec<String>,
    alertnames: Vec<String>,
    fingerprints: Vec<String>,
    since: String,
    until: String,
    /// Whether more than the text and the statuses is asked for.
    has_more: bool,
    /// Whether anything is.
    has_any: bool,
}

/// A list to choose from: one value, unless the address has several already.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Select {
    choices: Vec<Choice>,
    is_many: bool,
}

impl From<Vec<Choice>> for Select {
    fn from(choices: Vec<Choice>) -> Self {
        Self {
            is_many: choices.iter().filter(|choice| choice.is_chosen).count() > 1,
            choices,
        }
    }
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
    let found = app.store.list_jobs(&wanted, place).await?;
    let now = app.clock.now();
    Ok(page(&JobsPage {
        shell: Shell::of(&reader.0, Place::Jobs),
        filters: Filters::of(&query, &app),
        rows: found.items.iter().map(|job| Row::of(job, now)).collect(),
        pages: Pages::of("jobs", &query, found.next.as_deref()),
    }))
}

/// The query without what is empty, and with times as the API reads them; nothing if it is so already.
fn tidied(query: &Query) -> Option<String> {
    let tidy = |name: &str, value: &str| match name {
        // As a browser's control writes it, which knows no zone.
        "since" | "until" if value.parse::<Timestamp>().is_err() => {
            let zoned = format!("{value}{}Z", seconds(value));
            // What is no time at all is refused as it was written.
            zoned.parse::<Timestamp>().map_or(value.to_owned(), |_| zoned)
        }
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

impl Filters {
    fn of(query: &Query, app: &App) -> Self {
        let catalogue = app.catalogue.in_force();
        let playbooks = catalogue.describe_playbooks().into_iter().map(|playbook| playbook.name);
        let routes = catalogue.routes().iter().map(|route| route.name.clone());
        let text = |name| query.all(name).next().unwrap_or_default().to_owned();
        // What the control for a time takes: no zone, as it says UTC beside it.
        let time = |name| {
            let text = text(name);
            let at = text.parse::<Timestamp>().map(|at| at.to_string());
            at.unwrap_or(text).trim_end_matches('Z').to_owned()
        };
        let asked: Vec<&str> = query.pairs().map(|(name, _)| name).collect();
        let has_any_but = |others: &[&str]| asked.iter().any(|name| !others.contains(name));
        Self {
            q: text("q"),
            statuses: words(query, "status", JobStatus::ALL.iter().map(|status| status.as_str())),
            reasons: words(query, "reason", Reason::ALL.iter().map(|reason| reason.as_str())).into(),
            triggers: words(query, "trigger", Trigger::ALL.iter().map(|trigger| trigger.as_str())).into(),
            playbooks: names(query, "playbook", playbooks).into(),
            routes: names(query, "route", routes).into(),
            targets: texts(query, "target"),
            alertnames: texts(query, "alertname"),
            fingerprints: texts(query, "fingerprint"),
            since: time("since"),
            until: time("until"),
            has_more: has_any_but(&["q", "status", "limit", "cursor"]),
            has_any: has_any_but(&["limit", "cursor"]),
        }
    }
}

/// What stands in the fields of that name.
fn texts(query: &Query, name: &str) -> Vec<String> {
    let texts: Vec<String> = query.all(name).map(str::to_owned).collect();
    if texts.is_empty() { vec![String::new()] } else { texts }
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
        // Any zone that the API takes; what is no time is refused as it is.
        for asked in [
            "since=2026-01-31T09%3A00%3A00-05%3A00",
            "until=2026-01-31T09%3A00%3A00%2B02%3A00",
            "since=noon",
        ] {
            assert_eq!(tidied(&query(asked)), None, "{asked}");
        }
    }

    #[test]
    fn controls_hold_all_that_the_address_asks_for() {
        let asked = query("trigger=rerun&trigger=manual&reason=lost&target=a&target=b");
        let triggers = Trigger::ALL.iter().map(|trigger| trigger.as_str());
        let reasons = Reason::ALL.iter().map(|reason| reason.as_str());
        assert!(Select::from(words(&asked, "trigger", triggers)).is_many);
        assert!(!Select::from(words(&asked, "reason", reasons)).is_many);
        assert_eq!(texts(&asked, "target"), ["a", "b"]);
        assert_eq!(texts(&asked, "alertname"), [""]);
    }
}
