//! What became of jobs within a window of time.

use std::collections::BTreeMap;
use std::time::Duration;

use actix_web::web;
use serde::Serialize;

use crate::domain::ids::Fingerprint;
use crate::domain::span::Span;
use crate::http::App;
use crate::http::auth::ViewerAccess;
use crate::http::input::Query;
use crate::http::problem::{Problem, ProblemView};
use crate::store::read::{RepeatOffender, Statistics, Tally};

pub(crate) const DEFAULT_WINDOW: Span = Span::from_secs(7 * 86_400);
const LONGEST_WINDOW: Span = Span::from_secs(366 * 86_400);

/// What became of the jobs created in the window. Check mode is not counted. At most 100 entries of each list, those with
/// the most jobs or episodes first.
#[derive(Debug, Serialize, utoipa::ToSchema)]
#[schema(as = Statistics)]
pub(crate) struct StatisticsView {
    /// As it was asked for.
    window: String,
    routes: Vec<TallyView>,
    playbooks: Vec<TallyView>,
    targets: Vec<TallyView>,
    /// Alerts that opened more than one episode in the window.
    repeat_offenders: Vec<RepeatOffenderView>,
}

/// The jobs of one route, playbook or target.
#[derive(Debug, Serialize, utoipa::ToSchema)]
#[schema(as = Tally)]
struct TallyView {
    name: String,
    jobs: u64,
    /// How many finished for which reason.
    #[schema(value_type = Object)]
    reasons: BTreeMap<String, u64>,
    /// Of those that succeeded or failed, the share that succeeded; `null` if none did either.
    success_rate: Option<f64>,
    /// Of those that were to be verified, the share that healed: of those that ended `healed` or `not_healed`, and of those
    /// that failed before. Jobs that a person asked for count only where the alert still fired. `null` if there are none.
    healed_rate: Option<f64>,
    time_to_heal_seconds: TimesView,
}

/// From the alert's start to its end, of jobs that healed, by the nearest rank; `null` if none did.
#[derive(Debug, Serialize, utoipa::ToSchema)]
#[schema(as = TimesToHeal)]
struct TimesView {
    p50: Option<f64>,
    p95: Option<f64>,
}

/// An alert that came back.
#[derive(Debug, Serialize, utoipa::ToSchema)]
#[schema(as = RepeatOffender)]
struct RepeatOffenderView {
    #[schema(value_type = String)]
    fingerprint: Fingerprint,
    alertname: String,
    /// Of its last job; `null` if it never had one.
    target: Option<String>,
    episodes: u64,
    jobs: u64,
}

/// Count what jobs came to
#[utoipa::path(
    get, path = "/api/v1/stats", operation_id = "statistics", tag = "jobs",
    params(("window" = Option<String>, Query, description = "How far back, as in 12h or 7d; 7d by default, at most 366d")),
    responses(
        (status = 200, description = "The counts", body = StatisticsView),
        (status = 400, description = "The window is wrong", body = ProblemView, content_type = "application/problem+json"),
    ),
)]
pub(crate) async fn show(
    _: ViewerAccess,
    app: web::Data<App>,
    query: Query,
) -> Result<web::Json<StatisticsView>, Problem> {
    let asked = query.only(&["window"])?;
    let window = asked.one("window", window)?.unwrap_or(DEFAULT_WINDOW);
    let text = asked.all("window").next();
    let text = text.map_or_else(|| DEFAULT_WINDOW.to_string(), str::to_owned);
    let statistics = app.store.statistics(app.clock.now() - window.duration()).await?;
    Ok(web::Json(view(text, statistics)))
}

/// How far back statistics look.
pub(crate) fn window(text: &str) -> Result<Span, String> {
    let window = text.parse::<Span>().map_err(|error| error.to_string())?;
    if window == Span::default() || window > LONGEST_WINDOW {
        return Err(format!("must be longer than 0s and at most {LONGEST_WINDOW}"));
    }
    Ok(window)
}

fn view(window: String, statistics: Statistics) -> StatisticsView {
    let tallies = |all: Vec<Tally>| all.into_iter().map(TallyView::from).collect();
    let offenders = statistics.repeat_offenders.into_iter();
    StatisticsView {
        window,
        routes: tallies(statistics.routes),
        playbooks: tallies(statistics.playbooks),
        targets: tallies(statistics.targets),
        repeat_offenders: offenders.map(RepeatOffenderView::from).collect(),
    }
}

impl From<Tally> for TallyView {
    fn from(tally: Tally) -> Self {
        let seconds = |of: fn(&crate::store::read::Percentiles) -> Duration| {
            tally.time_to_heal.as_ref().map(|times| of(times).as_secs_f64())
        };
        Self {
            success_rate: rate(tally.succeeded, tally.succeeded + tally.failed),
            healed_rate: rate(tally.healed(), tally.judged),
            time_to_heal_seconds: TimesView {
                p50: seconds(|times| times.p50),
                p95: seconds(|times| times.p95),
            },
            name: tally.name,
            jobs: tally.jobs,
            reasons: tally.reasons,
        }
    }
}

impl From<RepeatOffender> for RepeatOffenderView {
    fn from(offender: RepeatOffender) -> Self {
        Self {
            fingerprint: offender.fingerprint,
            alertname: offender.alertname,
            target: offender.target,
            episodes: offender.episodes,
            jobs: offender.jobs,
        }
    }
}

/// 0 to 1; nothing of nothing.
pub(crate) fn rate(part: u64, whole: u64) -> Option<f64> {
    #[expect(clippy::cast_precision_loss, reason = "counts of jobs are small")]
    (whole > 0).then(|| part as f64 / whole as f64)
}

#[cfg(test)]
mod tests;
