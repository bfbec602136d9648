//! What goes on at this moment: what fires, what runs, what waits and for what, and what is held back.

mod acts;
mod strip;
mod waiting;

use std::collections::HashMap;

use actix_web::{HttpResponse, web};
use askama::Template;

use crate::domain::decision::DecisionKind;
use crate::domain::job::{Job, JobStatus};
use crate::domain::pause::{Breaker, BreakerState};
use crate::domain::timestamp::Timestamp;
use crate::http::App;
use crate::http::console::access::Reader;
use crate::http::console::failure::Failure;
use crate::http::console::moment::{Length, Moment, Told};
use crate::http::console::now::acts::ActPart;
use crate::http::console::now::strip::Strip;
use crate::http::console::now::waiting::Waits;
use crate::http::console::pauses::Paused;
use crate::http::console::reply::page;
use crate::http::console::row::Row;
use crate::http::console::shell::{Place, Shell};
use crate::http::console::status::{Badge, badge};
use crate::http::console::words::verdict;
use crate::http::input::Query;
use crate::percent::encoded;
use crate::store::read::{JobFilter, Page, PageRequest};
use crate::store::{FiringAlert, HeldBack, StoreError};

/// How much of each list is shown.
const SHOWN: u32 = 25;

#[derive(Template)]
#[template(path = "now.html")]
struct NowPage {
    shell: Shell,
    paused: Vec<Paused>,
    breakers: Vec<BreakerPart>,
    to_approve: Part,
    firing: Vec<FiringPart>,
    firing_count: u64,
    firing_is_more: bool,
    running: Part,
    waiting: Vec<(Row, String)>,
    waiting_has_more: bool,
    held: Vec<HeldPart>,
    held_has_more: bool,
    /// Some of it is held back by the storm limit.
    is_storm: bool,
    strip: Strip,
    acts: Vec<ActPart>,
}

/// Jobs, and whether there are more than are shown.
struct Part {
    rows: Vec<Row>,
    has_more: bool,
}

/// An alert that fires, and what is done about it.
struct FiringPart {
    path: String,
    name: String,
    labels: String,
    since: Moment,
    lasts: Length,
    /// The job, if there is one.
    job: Option<String>,
    badge: Badge,
    state: Told,
}

/// What is held back.
struct HeldPart {
    path: String,
    name: String,
    route: String,
    target: String,
    word: String,
    reason: Told,
    since: Moment,
    /// Until it is decided again.
    left: Option<Length>,
    until: Option<Moment>,
}

/// A breaker that is not closed.
struct BreakerPart {
    scope: String,
    state: &'static str,
    /// As an address has it.
    scope_encoded: String,
    reason: Told,
    since: Moment,
    until: Option<Moment>,
}

/// The page.
pub(super) async fn show(reader: Reader, app: web::Data<App>, query: Query) -> Result<HttpResponse, Failure> {
    query.only(&[])?;
    let now = app.clock.now();
    let pauses = app.store.pauses().await?;
    let firing = app.store.firing(SHOWN).await?;
    let held = app.store.list_held(PageRequest::first(SHOWN)).await?;
    let to_approve = list(&app, &[JobStatus::AwaitingApproval]).await?;
    let running = list(&app, &[JobStatus::Running, JobStatus::Verifying]).await?;
    let waiting = list(&app, &[JobStatus::Queued]).await?;
    let strip = strip::read(&app, now).await?;
    let breakers = app.store.breakers().await?;
    let waits = Waits::new((&pauses, &breakers), &running.items, now);
    let ended = last_jobs(&app, &firing.alerts).await?;
    let at_work = at_work([&ended, &to_approve.items, &waiting.items, &running.items]);
    let shell = Shell::of(&reader.0, Place::Now);
    Ok(page(&NowPage {
        shell,
        paused: pauses.iter().map(Paused::of).collect(),
        breakers: breakers.iter().map(|breaker| BreakerPart::of(breaker, now)).collect(),
        firing: firing
            .alerts
            .iter()
            .map(|alert| FiringPart::of(alert, &at_work, now))
            .collect(),
        firing_is_more: firing.count > crate::store::Firing::COUNTED,
        firing_count: firing.count,
        waiting: waiting
            .items
            .iter()
            .map(|job| (Row::of(job, now), waits.cause(job)))
            .collect(),
        waiting_has_more: waiting.next.is_some(),
        held: held.items.iter().map(|held| HeldPart::of(held, now)).collect(),
        held_has_more: held.next.is_some(),
        is_storm: !app.store.storm_held(1).await?.routes.is_empty(),
        to_approve: Part::of(&to_approve, now),
        running: Part::of(&running, now),
        strip,
        acts: acts::read(&app, now).await?,
    }))
}

async fn list(app: &App, status: &[JobStatus]) -> Result<Page<Job>, StoreError> {
    let filter = JobFilter {
        status: status.to_vec(),
        ..JobFilter::default()
    };
    app.store.list_jobs(&filter, PageRequest::first(SHOWN)).await
}

/// The last jobs for alerts, the newest last. What was done before an alert began was not about it.
async fn last_jobs(app: &App, alerts: &[FiringAlert]) -> Result<Vec<Job>, StoreError> {
    let Some(since) = alerts.iter().map(|alert| alert.starts_at).min() else {
        return Ok(Vec::new());
    };
    let filter = JobFilter {
        fingerprint: alerts.iter().map(|alert| alert.fingerprint.to_string()).collect(),
        since: Some(since),
        ..JobFilter::default()
    };
    let mut jobs = app.store.list_jobs(&filter, PageRequest::first(4 * SHOWN)).await?.items;
    let began: HashMap<_, _> = alerts
        .iter()
        .map(|alert| (&alert.fingerprint, alert.starts_at))
        .collect();
    jobs.retain(|job| {
        let alert = job.alert.as_ref();
        alert.is_some_and(|alert| {
            began
                .get(&alert.fingerprint)
                .is_some_and(|began| *began <= job.created_at)
        })
    });
    jobs.reverse();
    Ok(jobs)
}

impl Part {
    fn of(page: &Page<Job>, now: Timestamp) -> Self {
        Self {
            rows: page.items.iter().map(|job| Row::of(job, now)).collect(),
            has_more: page.next.is_some(),
        }
    }
}

/// The job that counts most about which alert, by fingerprint.
type AtWork<'a> = HashMap<&'a str, &'a Job>;

/// Of lists of jobs, those that count most last.
fn at_work<'a>(jobs: [&'a [Job]; 4]) -> AtWork<'a> {
    let about = |job: &'a Job| job.alert.as_ref().map(|alert| (alert.fingerprint.as_str(), job));
    jobs.into_iter().flatten().filter_map(about).collect()
}

impl FiringPart {
    fn of(alert: &FiringAlert, at_work: &AtWork<'_>, now: Timestamp) -> Self {
        let fingerprint = alert.fingerprint.as_str();
        let job = at_work.get(fingerprint);
        let (badge, state) = match (job, &alert.held) {
            (Some(job), held) if held.is_none() || !job.status.is_finished() => {
                (Badge::of(job), Told(format!("{} {}", job.playbook, verdict(job))))
            }
            (_, Some(held)) => (badge("wait", "‖", held_word(held.kind)), Told(held.reason.clone())),
            (_, None) => (
                badge("off", "–", "nothing runs"),
                Told("nothing is being done about it".to_owned()),
            ),
        };
        let labels = alert.labels.iter().filter(|(name, _)| name.as_str() != "alertname");
        let labels: Vec<String> = labels.take(6).map(|(name, value)| format!("{name}={value}")).collect();
        Self {
            path: format!("/alerts/{}", encoded(fingerprint)),
            name: alert.alertname.clone(),
            labels: labels.join(" · "),
            since: Moment(alert.starts_at),
            lasts: Length(now.since(alert.starts_at)),
            job: job.map(|job| job.id.to_string()),
            badge,
            state,
        }
    }
}

impl HeldPart {
    fn of(held: &HeldBack, now: Timestamp) -> Self {
        Self {
            path: format!("/alerts/{}", encoded(held.alert.fingerprint.as_str())),
            name: held.alert.name().to_owned(),
            route: held.route.clone(),
            target: held.target.to_string(),
            word: held_word(held.kind).to_owned(),
            reason: Told(held.reason.clone()),
            since: Moment(held.since),
            left: held.due_at.map(|due| Length(due.since(now))),
            until: held.due_at.map(Moment),
        }
    }
}

/// As people say it.
fn held_word(kind: DecisionKind) -> &'static str {
    match kind {
        DecisionKind::Tripped => "breaker open",
        DecisionKind::Held => "storm limit",
        DecisionKind::CoolingDown => "cooling down",
        other => other.as_str(),
    }
}

impl BreakerPart {
    fn of(breaker: &Breaker, now: Timestamp) -> Self {
        Self {
            scope: breaker.scope.to_string(),
            scope_encoded: encoded(&breaker.scope.to_string()),
            state: match breaker.state(now) {
                BreakerState::Open => "open",
                BreakerState::HalfOpen => "half open: the next job tries",
                BreakerState::Trying(_) => "half open: a job tries",
            },
            reason: Told(breaker.reason.clone()),
            since: Moment(breaker.opened_at),
            until: breaker.until.map(Moment),
        }
    }
}
