//! Canceling a job, approving it and rejecting it: what that means, and doing it.

use actix_web::{HttpResponse, web};
use askama::Template;

use crate::domain::ids::JobId;
use crate::domain::job::{Job, JobStatus};
use crate::http::App;
use crate::http::api::actions::stop;
use crate::http::api::find_job;
use crate::http::console::access::Operator;
use crate::http::console::failure::Failure;
use crate::http::console::form::Form;
use crate::http::console::forms::FormToken;
use crate::http::console::hosts;
use crate::http::console::job::{Fact, plan_facts};
use crate::http::console::pauses::{by, token};
use crate::http::console::reply::{page, see};
use crate::http::console::shell::{Place, Shell};
use crate::http::console::words;
use crate::http::input::PathId;
use crate::http::problem::Problem;
use crate::store::Answer;

/// What a person may do with a job that is not finished.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Act {
    Cancel,
    Approve,
    Reject,
}

#[derive(Template)]
#[template(path = "answer.html")]
struct AnswerPage {
    shell: Shell,
    token: FormToken,
    id: String,
    subject: String,
    /// The verb, as the button says it.
    verb: &'static str,
    path: &'static str,
    is_danger: bool,
    /// What the job is at, and whether it was at something else when it was asked about first.
    status: &'static str,
    has_moved: bool,
    sentence: String,
    facts: Vec<Fact>,
}

/// The form to cancel.
pub(super) async fn cancel_form(
    operator: Operator,
    app: web::Data<App>,
    id: PathId<JobId>,
) -> Result<HttpResponse, Failure> {
    confirm(&app, &operator, (id.0, Act::Cancel), None).await
}

/// The form to approve.
pub(super) async fn approve_form(
    operator: Operator,
    app: web::Data<App>,
    id: PathId<JobId>,
) -> Result<HttpResponse, Failure> {
    confirm(&app, &operator, (id.0, Act::Approve), None).await
}

/// The form to reject.
pub(super) async fn reject_form(
    operator: Operator,
    app: web::Data<App>,
    id: PathId<JobId>,
) -> Result<HttpResponse, Failure> {
    confirm(&app, &operator, (id.0, Act::Reject), None).await
}

/// Cancels.
pub(super) async fn cancel(
    operator: Operator,
    app: web::Data<App>,
    id: PathId<JobId>,
    form: Form,
) -> Result<HttpResponse, Failure> {
    act(&app, &operator, (id.0, Act::Cancel), &form).await
}

/// Approves.
pub(super) async fn approve(
    operator: Operator,
    app: web::Data<App>,
    id: PathId<JobId>,
    form: Form,
) -> Result<HttpResponse, Failure> {
    act(&app, &operator, (id.0, Act::Approve), &form).await
}

/// Rejects.
pub(super) async fn reject(
    operator: Operator,
    app: web::Data<App>,
    id: PathId<JobId>,
    form: Form,
) -> Result<HttpResponse, Failure> {
    act(&app, &operator, (id.0, Act::Reject), &form).await
}

impl Act {
    const fn verb(self) -> &'static str {
        match self {
            Self::Cancel => "Cancel the job",
            Self::Approve => "Approve",
            Self::Reject => "Reject",
        }
    }

    const fn path(self) -> &'static str {
        match self {
            Self::Cancel => "cancel",
            Self::Approve => "approve",
            Self::Reject => "reject",
        }
    }

    /// Why it cannot be done, if it cannot.
    fn refusal(self, job: &Job) -> Option<String> {
        let is_possible = match self {
            Self::Cancel => !job.status.is_finished(),
            Self::Approve | Self::Reject => job.status == JobStatus::AwaitingApproval,
        };
        (!is_possible).then(|| format!("there is nothing to {}: {}", self.path(), words::headline(job, None)))
    }

    /// What it means.
    fn sentence(self, job: &Job, hosts: &str) -> String {
        match self {
            Self::Approve => format!(
                "As soon as its target is free, {} will run {hosts}. The inventory is {}.",
                job.playbook, job.parameters.inventory
            ),
            Self::Reject => format!("{} will not run. The job ends as rejected.", job.playbook),
            Self::Cancel => match job.status {
                JobStatus::Running => format!(
                    "{} is running {hosts}. Ansible is stopped, with everything that unfinished tasks have begun. What \
                     was changed until then stays as it is.",
                    job.playbook
                ),
                JobStatus::Verifying => {
                    "The playbook has run. Nobody waits any more for the alert to resolve.".to_owned()
                }
                _ => format!("{} will not run.", job.playbook),
            },
        }
    }
}

/// Says what it means. `seen` is what the job was at when that was said before.
async fn confirm(
    app: &App,
    operator: &Operator,
    (id, act): (JobId, Act),
    seen: Option<&str>,
) -> Result<HttpResponse, Failure> {
    let job = find_job(app, id).await?;
    if let Some(refusal) = act.refusal(&job) {
        return Err(Problem::conflict(refusal).into());
    }
    let hosts = hosts::of(app, &job.playbook, &job.parameters).await?;
    Ok(page(&AnswerPage {
        shell: Shell::of(&operator.0, Place::Jobs),
        token: token(app, &operator.0),
        id: job.id.to_string(),
        subject: words::subject(&job),
        verb: act.verb(),
        path: act.path(),
        is_danger: act != Act::Approve,
        status: job.status.as_str(),
        has_moved: seen.is_some_and(|seen| seen != job.status.as_str()),
        sentence: act.sentence(&job, &hosts),
        facts: plan_facts(&job.parameters),
    }))
}

/// Does it, and goes back to the job. The second of two clicks only goes back.
async fn act(app: &App, operator: &Operator, (id, act): (JobId, Act), form: &Form) -> Result<HttpResponse, Failure> {
    let nonce = form.check(app, &operator.0)?;
    let job = find_job(app, id).await?;
    if !app.forms.begin(nonce) {
        return Ok(see(&format!("/jobs/{id}")));
    }
    let seen = form.get("status").filter(|seen| *seen != job.status.as_str());
    if act == Act::Cancel && seen.is_some() && !job.status.is_finished() {
        // It means something else than it was said to mean.
        app.forms.forget(nonce);
        return confirm(app, operator, (id, act), seen).await;
    }
    let by = by(app, operator, form);
    let done = match act {
        Act::Cancel => stop(app, id, by).await,
        Act::Approve => app.store.answer(id, Answer::Approve, by).await.map_err(Problem::from),
        Act::Reject => app.store.answer(id, Answer::Reject, by).await.map_err(Problem::from),
    };
    if let Err(problem) = done {
        app.forms.forget(nonce);
        return Err(problem.into());
    }
    Ok(see(&format!("/jobs/{id}")))
}
