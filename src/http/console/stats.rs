//! What jobs came to: rates, times to heal, who keeps coming back, and what was held back.

mod chart;

use std::time::Duration;

use actix_web::{HttpResponse, web};
use askama::Template;

use crate::domain::span::Span;
use crate::domain::timestamp::Timestamp;
use crate::http::App;
use crate::http::api::stats::{DEFAULT_WINDOW, rate, window};
use crate::http::console::access::Reader;
use crate::http::console::failure::Failure;
use crate::http::console::moment::{Length, Moment};
use crate::http::console::reply::{Rest, page_in_parts};
use crate::http::console::shell::{Place, Shell};
use crate::http::console::stats::chart::{Bars, Lines};
use crate::http::input::Query;
use crate::percent::encoded;
use crate::store::read::{RepeatOffender, Tally};
use crate::store::{HeldCount, StoreError, Stretch};

/// How many of each list are shown.
const SHOWN: usize = 15;

/// Points of a chart, about.
const POINTS: u64 = 28;

/// Windows that are offered.
const WINDOWS: [(&str, &str); 4] = [
    ("1d", "a day"),
    ("7d", "a week"),
    ("30d", "a month"),
    ("90d", "three months"),
];

#[derive(Template)]
#[template(path = "stats.html")]
struct StatsPage {
    shell: Shell,
    windows: Vec<Choice>,
    /// The figures: of a long window they take a while.
    rest: Rest,
}

#[derive(Template)]
#[template(path = "stats_figures.html")]
struct Figures {
    window: String,
    jobs: u64,
    success: String,
    healed: String,
    stretch: Length,
    outcomes: Bars,
    rates: Lines,
    times: Lines,
    rows: Vec<StretchRow>,
    routes: Vec<TallyRow>,
    playbooks: Vec<TallyRow>,
    targets: Vec<TallyRow>,
    offenders: Vec<OffenderRow>,
    held: Vec<HeldRow>,
}

/// The figures could not be read.
#[derive(Template)]
#[template(
    ext = "html",
    source = "<p class=\"notice bad\" role=\"alert\"><span aria-hidden=\"true\">✗</span> {{ why }}</p>"
)]
struct Unread {
    why: String,
}

/// A window that may be chosen.
struct Choice {
    value: &'static str,
    text: &'static str,
    is_chosen: bool,
}

/// A stretch in numbers: what the charts are made of.
struct StretchRow {
    begins: Moment,
    jobs: u64,
    succeeded: u64,
    failed: u64,
    success: String,
    healed: String,
    p50: String,
    p95: String,
}

/// A route, a playbook or a target.
struct TallyRow {
    name: String,
    link: String,
    jobs: u64,
    success: String,
    healed: String,
    p50: String,
    p95: String,
    reasons: String,
}

/// An alert that came back.
struct OffenderRow {
    name: String,
    path: String,
    target: String,
    episodes: u64,
    jobs: u64,
}

/// What was held back for one reason.
struct HeldRow {
    word: String,
    count: u64,
}

/// The page.
pub(super) async fn show(reader: Reader, app: web::Data<App>, query: Query) -> Result<HttpResponse, Failure> {
    let chosen = query
        .only(&["window"])?
        .one("window", window)?
        .unwrap_or(DEFAULT_WINDOW);
    let now = app.clock.now();
    let frame = StatsPage {
        shell: Shell::of(&reader.0, Place::Statistics),
        windows: windows(chosen),
        rest: Rest,
    };
    // Soon read. Where the store does not answer, no page is begun.
    app.store.pauses().await?;
    let figures = async move {
        let figures = figures(&app, (chosen, now)).await;
        figures.unwrap_or_else(|failure| {
            Unread {
                why: failure.to_string(),
            }
            .render()
            .unwrap_or_default()
        })
    };
    Ok(page_in_parts(&frame, figures))
}

async fn figures(app: &App, (chosen, now): (Span, Timestamp)) -> Result<String, StoreError> {
    let (since, stretch) = (now - chosen.duration(), stretch_of(chosen));
    let (trend, statistics, held) = tokio::try_join!(
        app.store.trend(since, stretch, now),
        app.store.statistics(since),
        app.store.held_since(since)
    )?;
    let sum = |of: fn(&Stretch) -> u64| trend.iter().map(of).sum::<u64>();
    let (succeeded, failed) = (sum(|one| one.succeeded), sum(|one| one.failed));
    let figures = Figures {
        window: chosen.to_string(),
        jobs: sum(|one| one.jobs),
        success: percent(rate(succeeded, succeeded + failed)),
        healed: percent(rate(sum(|one| one.healed), sum(|one| one.judged))),
        stretch: Length(stretch),
        outcomes: chart::outcomes(&trend),
        rates: chart::rates(&trend),
        times: chart::times(&trend),
        rows: trend.iter().rev().map(StretchRow::of).collect(),
        routes: tallies(&statistics.routes, "route"),
        playbooks: tallies(&statistics.playbooks, "playbook"),
        targets: tallies(&statistics.targets, "target"),
        offenders: statistics
            .repeat_offenders
            .iter()
            .take(SHOWN)
            .map(OffenderRow::of)
            .collect(),
        held: held.iter().map(HeldRow::of).collect(),
    };
    figures
        .render()
        .map_err(|error| StoreError::Database(error.to_string()))
}

fn windows(chosen: Span) -> Vec<Choice> {
    let choice = |(value, text): (&'static str, &'static str)| Choice {
        value,
        text,
        is_chosen: value.parse::<Span>() == Ok(chosen),
    };
    WINDOWS.map(choice).into()
}

/// Whole hours, so many that a chart has about as many points as fit.
fn stretch_of(window: Span) -> Duration {
    let hours = (window.duration().as_secs() / 3_600).div_ceil(POINTS).max(1);
    // Such as people count in.
    let round = [1, 2, 3, 6, 12, 24, 48, 72, 168, 336];
    let hours = round.into_iter().find(|round| *round >= hours).unwrap_or(hours);
    Duration::from_secs(hours * 3_600)
}

fn percent(rate: Option<f64>) -> String {
    rate.map_or_else(|| "–".to_owned(), |rate| format!("{:.0} %", rate * 100.0))
}

fn length(duration: Option<Duration>) -> String {
    duration.map_or_else(|| "–".to_owned(), |duration| Length(duration).to_string())
}

fn tallies(all: &[Tally], filter: &str) -> Vec<TallyRow> {
    let rows = all.iter().take(SHOWN).map(|tally| TallyRow {
        link: format!("/jobs?{filter}={}", encoded(&tally.name)),
        name: tally.name.clone(),
        jobs: tally.jobs,
        success: percent(rate(tally.succeeded, tally.succeeded + tally.failed)),
        healed: percent(rate(tally.healed(), tally.judged)),
        p50: length(tally.time_to_heal.map(|times| times.p50)),
        p95: length(tally.time_to_heal.map(|times| times.p95)),
        reasons: reasons(tally),
    });
    rows.collect()
}

/// The most frequent ones first.
fn reasons(tally: &Tally) -> String {
    let mut reasons: Vec<_> = tally.reasons.iter().collect();
    reasons.sort_by_key(|(name, count)| (std::cmp::Reverse(**count), *name));
    let words = reasons
        .iter()
        .take(4)
        .map(|(name, count)| format!("{count} {}", name.replace('_', " ")));
    words.collect::<Vec<_>>().join(", ")
}

impl StretchRow {
    fn of(stretch: &Stretch) -> Self {
        Self {
            begins: Moment(stretch.begins),
            jobs: stretch.jobs,
            succeeded: stretch.succeeded,
            failed: stretch.failed,
            success: percent(rate(stretch.succeeded, stretch.succeeded + stretch.failed)),
            healed: percent(rate(stretch.healed, stretch.judged)),
            p50: length(stretch.time_to_heal.map(|times| times.p50)),
            p95: length(stretch.time_to_heal.map(|times| times.p95)),
        }
    }
}

impl OffenderRow {
    fn of(offender: &RepeatOffender) -> Self {
        Self {
            name: offender.alertname.clone(),
            path: format!("/alerts/{}", encoded(offender.fingerprint.as_str())),
            target: offender.target.clone().unwrap_or_else(|| "–".to_owned()),
            episodes: offender.episodes,
            jobs: offender.jobs,
        }
    }
}

impl HeldRow {
    fn of(held: &HeldCount) -> Self {
        Self {
            word: held.kind.as_str().replace('_', " "),
            count: held.count,
        }
    }
}

/// The first and the last moment of a chart's line, for its labels.
fn ends(trend: &[Stretch]) -> Option<(Timestamp, Timestamp)> {
    Some((trend.first()?.begins, trend.last()?.begins))
}

#[cfg(test)]
mod tests {
    use actix_web::test::{TestRequest, read_body};

    use super::*;
    use crate::http::fake::{Gateway, bearer};

    #[actix_web::test]
    async fn a_store_that_fails_once_the_page_has_begun_is_told_of_on_it() {
        let gateway = Gateway::new();
        let asked = || TestRequest::get().uri("/stats").insert_header(bearer("viewer"));
        let begun = gateway.send(asked()).await;
        gateway.store.break_it();
        assert_eq!(begun.status(), 200);
        let page = read_body(begun).await;
        let page = std::str::from_utf8(&page).unwrap();
        let (before, after) = page.split_once("role=\"alert\"").unwrap();
        assert!(
            before.contains("<h1>Statistics</h1>") && after.ends_with("</html>"),
            "{page}"
        );
        assert_eq!(gateway.send(asked()).await.status(), 500, "no page is begun");
    }

    #[test]
    fn a_chart_has_as_many_points_as_fit() {
        let hours = |window: &str| stretch_of(window.parse().unwrap()).as_secs() / 3_600;
        assert_eq!(
            ["1h", "1d", "7d", "30d", "90d", "366d"].map(hours),
            [1, 1, 6, 48, 168, 336]
        );
    }
}
