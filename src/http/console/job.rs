//! One job: what it was to do, the way it took, and what came of it on each host.

mod grid;
mod parameters;
mod way;

use actix_web::{HttpResponse, web};
use askama::Template;

use crate::domain::attempt::Attempt;
use crate::domain::ids::JobId;
use crate::domain::job::{Job, JobStatus};
use crate::http::App;
use crate::http::api::find_job;
use crate::http::console::access::Reader;
use crate::http::console::failure::Failure;
use crate::http::console::job::grid::Grid;
use crate::http::console::job::parameters::Changed;
pub(super) use crate::http::console::job::parameters::{Difference, Fact, differences, facts as plan_facts, shown};
use crate::http::console::job::way::Step;
use crate::http::console::links::{self, Outside, Pair};
use crate::http::console::log::Shown;
use crate::http::console::moment::{Length, Moment, Told};
use crate::http::console::reply::page;
use crate::http::console::row::{Row, cause};
use crate::http::console::shell::{Place, Shell};
use crate::http::console::status::Badge;
use crate::http::console::words;
use crate::http::input::{PathId, Query};
use crate::percent::encoded;
use crate::store::StoreError;
use crate::store::read::{JobFilter, PageRequest};

/// How many entries of its history are shown.
const EVENTS: u32 = 200;

/// Of how many task results the page tells.
const TASKS: u32 = 500;

/// Of more results, those that failed: the page shows the first of them and counts the others.
const FAILED: u32 = 100;

/// How much of the log's end is shown before its script shows all of it.
const TAIL: u64 = 4 * 1024;

/// Jobs on the same target among which those are looked for that came of this one.
const NEIGHBOURS: u32 = 50;

#[derive(Template)]
#[template(path = "job.html")]
struct JobPage {
    shell: Shell,
    id: String,
    headline: String,
    subject: String,
    badge: Badge,
    cause: String,
    created: Moment,
    finished: Option<Moment>,
    took: Option<Length>,
    is_moving: bool,
    may: May,
    alert: Option<AlertPart>,
    target: String,
    target_encoded: String,
    /// The job that this one repeats, and the one whose place it takes on the ladder.
    rerun_of: Option<String>,
    follows: Option<String>,
    /// What came of it.
    followers: Vec<Row>,
    way: Vec<Step>,
    way_goes_on: bool,
    grid: Grid,
    attempts: Vec<AttemptPart>,
    facts: Vec<Fact>,
    changed: Changed,
    /// The last attempt's.
    log: Option<Shown>,
}

/// The buttons that the job's state allows.
#[derive(Clone, Copy, Debug, Default)]
struct May {
    cancel: bool,
    answer: bool,
    rerun: bool,
    rerun_failed: bool,
}

/// The alert, as the job knows it.
#[derive(Clone, Debug)]
struct AlertPart {
    name: String,
    path: String,
    fires: Option<bool>,
    since: Moment,
    labels: Vec<Pair>,
    annotations: Vec<Pair>,
    links: Vec<Outside>,
}

/// An attempt, in a line.
#[derive(Clone, Debug)]
struct AttemptPart {
    number: u32,
    outcome: String,
    took: Option<Length>,
    message: Option<Told>,
    start: String,
    log: String,
}

/// What Ansible did in an attempt: the first results, and what failed among all of them.
async fn grid(app: &App, id: JobId, attempt: u32) -> Result<Grid, StoreError> {
    let tasks = app.store.tasks(id, attempt, PageRequest::first(TASKS)).await?;
    let failed = match tasks.next {
        Some(_) => app.store.failures(id, attempt, FAILED).await?,
        None => tasks.items.iter().filter(|task| task.has_failed()).cloned().collect(),
    };
    Ok(Grid::of(&tasks.items, &failed, tasks.next.is_some()))
}

/// The page.
pub(super) async fn show(
    reader: Reader,
    app: web::Data<App>,
    id: PathId<JobId>,
    query: Query,
) -> Result<HttpResponse, Failure> {
    query.only(&[])?;
    let job = find_job(&app, id.0).await?;
    let fires = match &job.alert {
        Some(alert) => app.store.fires(&alert.fingerprint).await?,
        None => None,
    };
    let events = app.store.job_events(job.id, PageRequest::first(EVENTS)).await?;
    let last = job.attempts.last().map(|last| last.number);
    let grid = match last {
        Some(number) => grid(&app, job.id, number).await?,
        None => Grid::default(),
    };
    let log = match job.attempts.last() {
        Some(attempt) if !attempt.log_pruned => Some(Shown::of(&app, (job.id, attempt.number), None, TAIL).await?),
        Some(_) | None => None,
    };
    let followers = followers(&app, &job).await?;
    let changed = parameters::changed(&app, &job).await?;
    let shell = Shell::of(&reader.0, Place::Jobs);
    let now = app.clock.now();
    Ok(page(&JobPage {
        id: job.id.to_string(),
        headline: words::headline(&job, fires),
        subject: words::subject(&job),
        badge: Badge::of(&job),
        cause: cause(&job),
        created: Moment(job.created_at),
        finished: job.finished_at.map(Moment),
        took: job
            .started_at
            .map(|started| Length(job.finished_at.unwrap_or(now).since(started))),
        is_moving: !job.status.is_finished(),
        may: if shell.may_operate() {
            May::of(&job)
        } else {
            May::default()
        },
        alert: AlertPart::of(&job, fires),
        target: job.target.to_string(),
        target_encoded: encoded(job.target.as_str()),
        rerun_of: job.rerun_of.map(|id| id.to_string()),
        follows: job.follows.map(|id| id.to_string()),
        followers: followers.iter().map(|job| Row::of(job, now)).collect(),
        way: way::steps(&job, &events.items),
        way_goes_on: events.next.is_some(),
        grid,
        attempts: job
            .attempts
            .iter()
            .map(|attempt| AttemptPart::of(&job, attempt))
            .collect(),
        facts: parameters::facts(&job.parameters),
        changed,
        log,
        shell,
    }))
}

/// The jobs that repeat this one or took its place.
async fn followers(app: &App, job: &Job) -> Result<Vec<Job>, StoreError> {
    if !job.status.is_finished() {
        return Ok(Vec::new());
    }
    let filter = JobFilter {
        target: vec![job.target.to_string()],
        since: Some(job.created_at),
        ..JobFilter::default()
    };
    let near = app.store.list_jobs(&filter, PageRequest::first(NEIGHBOURS)).await?;
    let came_of = |other: &Job| other.rerun_of == Some(job.id) || other.follows == Some(job.id);
    Ok(near.items.into_iter().filter(came_of).collect())
}

impl May {
    fn of(job: &Job) -> Self {
        let is_finished = job.status.is_finished();
        let last = job.attempts.last();
        let failed = last.is_some_and(|last| !crate::domain::host_stats::failed_hosts(&last.recap).is_empty());
        Self {
            cancel: !is_finished && job.cancel_requested.is_none(),
            answer: job.status == JobStatus::AwaitingApproval,
            rerun: is_finished,
            rerun_failed: is_finished && failed,
        }
    }
}

impl AlertPart {
    fn of(job: &Job, fires: Option<bool>) -> Option<Self> {
        let alert = job.alert.as_ref()?;
        Some(Self {
            name: alert.name().to_owned(),
            path: format!("/alerts/{}", encoded(alert.fingerprint.as_str())),
            fires,
            since: Moment(alert.starts_at),
            labels: links::pairs(&alert.labels),
            annotations: links::pairs(&alert.annotations),
            links: links::of_alert(alert, job.group.as_ref()),
        })
    }
}

impl AttemptPart {
    fn of(job: &Job, attempt: &Attempt) -> Self {
        let start = match (attempt.warm, &attempt.cold_because) {
            (true, _) => "warm start".to_owned(),
            (false, Some(why)) => format!("cold start: {why}"),
            (false, None) => "cold start".to_owned(),
        };
        Self {
            number: attempt.number,
            outcome: attempt
                .outcome
                .map_or("running", |outcome| outcome.as_str())
                .replace('_', " "),
            took: attempt
                .finished_at
                .map(|finished| Length(finished.since(attempt.started_at))),
            message: attempt.message.clone().map(Told),
            start,
            log: format!("/jobs/{}/log?attempt={}", job.id, attempt.number),
        }
    }
}
