//! Runs a playbook of the catalogue because a person asks for it.

use actix_web::{HttpResponse, web};
use serde::Deserialize;
use serde_json::{Map, Value};

use crate::catalog::Scope;
use crate::config::fields::did_you_mean;
use crate::domain::aftercare::Aftercare;
use crate::domain::alert::{Alert, AlertStatus, Labels, fingerprint};
use crate::domain::by_hand::{ByHand, Once};
use crate::domain::ids::JobId;
use crate::domain::job::{JobStatus, NewJob, Trigger};
use crate::domain::limit::Limit;
use crate::domain::parameters::{Overrides, Refusal};
use crate::domain::route::OnResolved;
use crate::domain::timestamp::Timestamp;
use crate::http::App;
use crate::http::api::by_hand;
use crate::http::auth::{Caller, OperatorAccess};
use crate::http::input::{Query, SmallBody, json};
use crate::http::problem::{Problem, ProblemView};
use crate::http::views::JobView;
use crate::ingest::object::ObjectOnly;
use crate::remediations::Remediations;

/// What to run, and with what instead of the catalogue's values.
#[derive(Debug, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ManualRequest {
    /// The name of an entry of the catalogue.
    #[serde(default)]
    #[schema(required = true, min_length = 1)]
    pub(crate) playbook: String,
    /// Variables by name, any JSON. They replace the entry's own of the same name, whose templates are not rendered then;
    /// texts in them are never templates.
    #[serde(default)]
    #[schema(value_type = Object)]
    pub(crate) vars: Map<String, Value>,
    /// Hosts and groups, separated by commas, instead of the entry's own limit.
    #[serde(default)]
    pub(crate) limit: Option<String>,
    /// Only say what would change.
    #[serde(default)]
    pub(crate) check: bool,
    /// What the entry's templates see as `alert`.
    #[serde(default)]
    #[schema(value_type = Option<GivenAlert>)]
    pub(crate) alert: Option<ObjectOnly<GivenAlert>>,
}

/// An alert that a person writes down. It fires since now, and has the fingerprint that Alertmanager gives to these
/// labels.
#[derive(Debug, Default, Deserialize, utoipa::ToSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct GivenAlert {
    #[schema(value_type = std::collections::BTreeMap<String, String>)]
    pub(crate) labels: Labels,
    #[schema(value_type = std::collections::BTreeMap<String, String>)]
    pub(crate) annotations: Labels,
}

/// Run a playbook by hand
#[utoipa::path(
    post, path = "/api/v1/jobs", operation_id = "create_job", tag = "jobs",
    request_body(content = ManualRequest),
    responses(
        (status = 201, description = "The new job", body = JobView, headers(("Location" = String, description = "The new job's path"))),
        (status = 400, description = "The body is wrong, or a template of the playbook stays undefined", body = ProblemView, content_type = "application/problem+json"),
        (status = 409, description = "The playbook is not in the catalogue, or everything or its target is paused", body = ProblemView, content_type = "application/problem+json"),
        (status = 413, description = "The body is too large", body = ProblemView, content_type = "application/problem+json"),
    ),
)]
pub(crate) async fn create(
    caller: OperatorAccess,
    app: web::Data<App>,
    query: Query,
    body: SmallBody,
) -> Result<HttpResponse, Problem> {
    query.only(&[])?;
    let request: ManualRequest = json(&body.0)?;
    let id = app.ids.job(app.clock.now());
    by_hand::create(&app, move |app| make(app, (id, caller.0), request)).await
}

/// The job that a person asks for, with that id.
pub(crate) fn make(app: &App, (id, caller): (JobId, Caller), request: ManualRequest) -> Result<NewJob, Problem> {
    let catalogue = app.catalogue.in_force();
    check_playbook(&*catalogue, &request.playbook)?;
    let limit = request.limit.as_deref().map(Limit::parse).transpose();
    let overrides = Overrides {
        vars: request.vars,
        limit: limit.map_err(|error| Problem::invalid("limit", error.to_string()))?,
    };
    let now = app.clock.now();
    let alert = request.alert.map(|given| firing_since(now, given.0));
    let scope = Scope {
        alert: alert.as_ref(),
        group: None,
        job: id,
        attempt: 1,
    };
    let mut plan = catalogue
        .render_by_hand(&request.playbook, &scope, &overrides)
        .map_err(invalid)?;
    let once = Once {
        check: request.check,
        ..Once::default()
    };
    let by_hand = ByHand::apply(overrides, once, &mut plan.parameters);
    let terms = by_hand::terms(&*catalogue, &plan.playbook, None, alert.as_ref());
    let checks = by_hand::checks(&*catalogue, &plan, None, &scope).map_err(invalid)?;
    Ok(NewJob {
        id,
        status: JobStatus::Queued,
        playbook: plan.playbook,
        route: None,
        target: plan.target,
        trigger: Trigger::Manual,
        triggered_by: caller.name,
        rerun_of: None,
        follows: None,
        episode: None,
        alert,
        group: None,
        parameters: plan.parameters,
        by_hand: Some(by_hand),
        changes: None,
        resolved_within: terms.resolved_within,
        // A person wanted it, whatever the alert does.
        on_resolved: OnResolved::Ignore,
        aftercare: Aftercare::default(),
        // They are there, and see it.
        notify: None,
        checks,
        created_at: now,
        expires_at: now + terms.expires.duration(),
        runs_within: None,
    })
}

/// A template that cannot be filled in with what was given.
fn invalid(Refusal { key, message }: Refusal) -> Problem {
    Problem::invalid(&key, message)
}

fn check_playbook(catalogue: &dyn Remediations, name: &str) -> Result<(), Problem> {
    if name.is_empty() {
        return Err(Problem::invalid("playbook", "is missing: it names what to run"));
    }
    if catalogue.has_playbook(name) {
        return Ok(());
    }
    let known = catalogue.describe_playbooks();
    let names: Vec<&str> = known.iter().map(|playbook| playbook.name.as_str()).collect();
    let hint = did_you_mean(name, &names);
    let detail = format!("the catalogue has no playbook {name:?}{hint}");
    Err(Problem::conflict_over("playbook", detail))
}

fn firing_since(now: Timestamp, given: GivenAlert) -> Alert {
    Alert {
        status: AlertStatus::Firing,
        fingerprint: fingerprint(&given.labels),
        labels: given.labels,
        annotations: given.annotations,
        starts_at: now,
        ends_at: None,
        generator_url: String::new(),
    }
}

#[cfg(test)]
mod tests;
