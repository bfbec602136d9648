//! Running a job again: what that would do, and doing it, once for each form.

use actix_web::{HttpResponse, web};
use askama::Template;

use crate::domain::host_stats::failed_hosts;
use crate::domain::ids::JobId;
use crate::domain::job::{Job, NewJob};
use crate::http::App;
use crate::http::api::rerun::{Hosts, RerunRequest, repeat};
use crate::http::api::{by_hand, find_job};
use crate::http::console::access::Operator;
use crate::http::console::failure::Failure;
use crate::http::console::form::Form;
use crate::http::console::forms::FormToken;
use crate::http::console::hosts;
use crate::http::console::job::{Difference, Fact, differences, plan_facts};
use crate::http::console::pauses::token;
use crate::http::console::playbooks::{as_of, check_as_of};
use crate::http::console::reply::{page, see};
use crate::http::console::shell::{Place, Shell};
use crate::http::console::words;
use crate::http::input::{PathId, Query};
use crate::http::problem::Problem;
use crate::store::StoreError;

#[derive(Template)]
#[template(path = "rerun.html")]
struct RerunPage {
    shell: Shell,
    token: FormToken,
    id: String,
    subject: String,
    /// What will happen, in a sentence.
    sentence: String,
    hosts: &'static str,
    check: bool,
    as_of: String,
    facts: Vec<Fact>,
    argv: String,
    changes: Vec<Difference>,
}

/// What the link, or the form, asks for.
fn request(hosts: Option<&str>, check: Option<&str>) -> Result<RerunRequest, Problem> {
    let hosts = match hosts {
        None | Some("all") => Hosts::All,
        Some("failed") => Hosts::Failed,
        Some(other) => {
            return Err(Problem::invalid(
                "hosts",
                format!("{other:?} is neither all nor failed"),
            ));
        }
    };
    Ok(RerunRequest {
        hosts,
        check: check == Some("true"),
        verbosity: None,
    })
}

/// What will happen, to be confirmed.
pub(super) async fn form(
    operator: Operator,
    app: web::Data<App>,
    id: PathId<JobId>,
    query: Query,
) -> Result<HttpResponse, Failure> {
    let query = query.only(&["hosts", "check"])?;
    let request = request(query.all("hosts").next(), query.all("check").next())?;
    let (hosts, check) = (request.hosts, request.check);
    let old = find_job(&app, id.0).await?;
    let token = token(&app, &operator.0);
    let (shared, caller, job, new) = (
        web::Data::clone(&app),
        operator.0.caller.clone(),
        old.clone(),
        token.nonce,
    );
    let made = web::block(move || repeat(&shared, job, (new, caller), &request)).await;
    let new = made.map_err(|_| Problem::internal())??;
    let argv = app.catalogue.in_force().argv(&crate::domain::parameters::Plan {
        playbook: new.playbook.clone(),
        target: new.target.clone(),
        parameters: new.parameters.clone(),
        checks: new.checks.clone(),
    });
    Ok(page(&RerunPage {
        shell: Shell::of(&operator.0, Place::Jobs),
        token,
        id: old.id.to_string(),
        subject: words::subject(&old),
        sentence: sentence(&app, &old, &new, hosts).await?,
        hosts: if hosts == Hosts::Failed { "failed" } else { "all" },
        check,
        as_of: as_of(&app, &new.playbook)?,
        facts: plan_facts(&new.parameters),
        argv: argv.join(" "),
        changes: differences(new.changes.as_deref().unwrap_or_default()),
    }))
}

/// On which hosts what happens.
async fn sentence(app: &App, old: &Job, new: &NewJob, hosts: Hosts) -> Result<String, StoreError> {
    let where_to = match (hosts, old.attempts.last()) {
        (Hosts::Failed, Some(last)) => {
            let failed = failed_hosts(&last.recap);
            match failed.len() {
                1 => format!("on the host that failed: {}", words::named(&failed)),
                many => format!("on the {many} hosts that failed: {}", words::named(&failed)),
            }
        }
        (Hosts::Failed | Hosts::All, _) => hosts::of(app, &new.playbook, &new.parameters).await?,
    };
    let what = if new.parameters.check {
        "run in check mode, which changes nothing,"
    } else {
        "run"
    };
    Ok(format!(
        "{} will {what} {where_to}. The inventory is {}.",
        new.playbook, new.parameters.inventory
    ))
}

/// Does it. A form that is sent twice makes one job, whose name it has carried from the beginning.
pub(super) async fn run(
    operator: Operator,
    app: web::Data<App>,
    id: PathId<JobId>,
    form: Form,
) -> Result<HttpResponse, Failure> {
    let nonce = form.check(&app, &operator.0)?;
    let request = request(form.get("hosts"), form.get("check"))?;
    let old = find_job(&app, id.0).await?;
    let caller = operator.0.caller;
    make_once(&app, nonce, move |app| {
        check_as_of(app, &old.playbook, form.get("as_of"))?;
        repeat(app, old, (nonce, caller), &request)
    })
    .await
}

/// Makes the job of that name and goes there, also if it was made before.
pub(super) async fn make_once(
    app: &web::Data<App>,
    id: JobId,
    make: impl FnOnce(&App) -> Result<NewJob, Problem> + Send + 'static,
) -> Result<HttpResponse, Failure> {
    let page = format!("/jobs/{id}");
    if app.store.find_job(id).await?.is_some() {
        return Ok(see(&page));
    }
    match by_hand::store(app, make).await {
        Ok(_) => Ok(see(&page)),
        // Both came at once, and the other one was first.
        Err(_) if app.store.find_job(id).await?.is_some() => Ok(see(&page)),
        Err(problem) => Err(problem.into()),
    }
}
