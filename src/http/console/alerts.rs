//! Alerts: those that were seen, and the story of each.

use actix_web::{HttpResponse, web};
use askama::Template;

use crate::domain::alert::AlertStatus;
use crate::domain::ids::Fingerprint;
use crate::http::App;
use crate::http::api::alerts::{PARAMETERS, filter};
use crate::http::console::access::Reader;
use crate::http::console::failure::Failure;
use crate::http::console::links::{self, Outside, Pair};
use crate::http::console::moment::{Length, Moment, Told};
use crate::http::console::pages::Pages;
use crate::http::console::reply::page;
use crate::http::console::row::Row;
use crate::http::console::shell::{Place, Shell};
use crate::http::input::{PathId, Query};
use crate::http::problem::Problem;
use crate::http::views::{StoryEntryView, What, story};
use crate::percent::encoded;
use crate::store::read::{AlertSummary, Episode};

/// How many entries of each kind a story is made of.
const STORY: u32 = 100;

/// How many of its lines are shown, the newest ones.
const LINES: usize = 120;

/// Jobs and episodes that are listed beside it.
const LISTED: usize = 20;

#[derive(Template)]
#[template(path = "alerts.html")]
struct AlertsPage {
    shell: Shell,
    choices: [Choice; 3],
    alerts: Vec<AlertLine>,
    pages: Pages,
}

/// Which alerts are listed.
struct Choice {
    path: &'static str,
    text: &'static str,
    /// What is said where there is none.
    none: &'static str,
    is_chosen: bool,
}

impl Choice {
    fn all(chosen: &[AlertStatus]) -> [Self; 3] {
        let choice = |path, text, none, statuses: &[AlertStatus]| Self {
            path,
            text,
            none,
            is_chosen: chosen == statuses,
        };
        [
            choice("/alerts", "All", "No alert was received yet.", &[]),
            choice(
                "/alerts?status=firing",
                "Firing",
                "No alert fires.",
                &[AlertStatus::Firing],
            ),
            choice(
                "/alerts?status=resolved",
                "Resolved",
                "No alert is resolved.",
                &[AlertStatus::Resolved],
            ),
        ]
    }
}

/// An alert of the list.
struct AlertLine {
    path: String,
    name: String,
    labels: String,
    fires: bool,
    since: Moment,
    heard: Moment,
    episodes: u64,
    jobs: u64,
}

#[derive(Template)]
#[template(path = "alert.html")]
struct AlertPage {
    shell: Shell,
    name: String,
    fingerprint: String,
    fingerprint_encoded: String,
    fires: bool,
    since: Moment,
    heard: Moment,
    labels: Vec<Pair>,
    annotations: Vec<Pair>,
    links: Vec<Outside>,
    episodes: Vec<EpisodeLine>,
    episode_count: u64,
    jobs: Vec<Row>,
    job_count: u64,
    lines: Vec<Line>,
    is_cut: bool,
}

/// A stretch of the alert.
struct EpisodeLine {
    began: Moment,
    ended: Option<Moment>,
    lasted: Length,
    received: u64,
    missed: bool,
}

/// A line of the story.
struct Line {
    at: Moment,
    tone: &'static str,
    symbol: &'static str,
    text: Told,
    route: Option<String>,
    job: Option<String>,
}

/// The list.
pub(super) async fn list(reader: Reader, app: web::Data<App>, query: Query) -> Result<HttpResponse, Failure> {
    let filter = filter(query.only(PARAMETERS)?)?;
    let found = app.store.list_alerts(&filter, query.page("alerts")?).await?;
    Ok(page(&AlertsPage {
        shell: Shell::of(&reader.0, Place::Alerts),
        choices: Choice::all(&filter.status),
        alerts: found.items.iter().map(AlertLine::of).collect(),
        pages: Pages::of("alerts", &query, found.next.as_deref()),
    }))
}

/// The story of one.
pub(super) async fn show(
    reader: Reader,
    app: web::Data<App>,
    fingerprint: PathId<String>,
    query: Query,
) -> Result<HttpResponse, Failure> {
    query.only(&[])?;
    let unknown = || Problem::not_found("alert", &fingerprint.0);
    let wanted = Fingerprint::parse(&fingerprint.0).map_err(|_| unknown())?;
    let told = app.store.alert_story(&wanted, STORY).await?.ok_or_else(unknown)?;
    let now = app.clock.now();
    let entries = story(&told);
    let is_cut = entries.len() > LINES || told.decisions.len() >= usize::try_from(STORY).unwrap_or(usize::MAX);
    let newest = entries.iter().rev().take(LINES);
    let last_job = told.jobs.first();
    let links = last_job.and_then(|job| Some(links::of_alert(job.alert.as_ref()?, job.group.as_ref())));
    let summary = &told.summary;
    Ok(page(&AlertPage {
        shell: Shell::of(&reader.0, Place::Alerts),
        name: name(&summary.alertname),
        fingerprint: fingerprint.0.clone(),
        fingerprint_encoded: encoded(&fingerprint.0),
        fires: summary.firing,
        since: Moment(summary.starts_at),
        heard: Moment(summary.last_received_at),
        labels: links::pairs(&summary.labels),
        annotations: links::pairs(&summary.annotations),
        links: links.unwrap_or_else(|| links::of_summary(&summary.annotations, &summary.generator_url)),
        episodes: told
            .episodes
            .iter()
            .take(LISTED)
            .map(|episode| EpisodeLine::of(episode, now))
            .collect(),
        episode_count: summary.episodes,
        jobs: told.jobs.iter().take(LISTED).map(|job| Row::of(job, now)).collect(),
        job_count: summary.jobs,
        lines: newest.map(Line::of).collect(),
        is_cut,
    }))
}

fn name(alertname: &str) -> String {
    if alertname.is_empty() {
        "an alert without a name".to_owned()
    } else {
        alertname.to_owned()
    }
}

impl AlertLine {
    fn of(summary: &AlertSummary) -> Self {
        let labels = summary.labels.iter().filter(|(name, _)| name.as_str() != "alertname");
        let labels: Vec<String> = labels.take(6).map(|(name, value)| format!("{name}={value}")).collect();
        Self {
            path: format!("/alerts/{}", encoded(summary.fingerprint.as_str())),
            name: name(&summary.alertname),
            labels: labels.join(" · "),
            fires: summary.firing,
            since: Moment(summary.starts_at),
            heard: Moment(summary.last_received_at),
            episodes: summary.episodes,
            jobs: summary.jobs,
        }
    }
}

impl EpisodeLine {
    fn of(episode: &Episode, now: crate::domain::timestamp::Timestamp) -> Self {
        let ended = episode.ended_at.or(episode.closed_at);
        Self {
            began: Moment(episode.starts_at),
            ended: ended.map(Moment),
            lasted: Length(ended.unwrap_or(now).since(episode.starts_at)),
            received: episode.received,
            missed: episode.missed,
        }
    }
}

impl Line {
    fn of(entry: &StoryEntryView) -> Self {
        let (tone, symbol) = match entry.what {
            What::Received => ("off", "→"),
            What::Decided => ("off", "·"),
            What::Run => ("busy", "▶"),
            What::Verified => ("good", "◌"),
            What::Escalated => ("wait", "↑"),
        };
        Self {
            at: Moment(entry.at),
            tone,
            symbol,
            text: Told(entry.text.clone()),
            route: entry.route.clone(),
            job: entry.job.map(|job| job.to_string()),
        }
    }
}
