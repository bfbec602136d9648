//! What is asked of the catalogue, and what routes would run for an alert.

use std::sync::Arc;

use serde::Serialize;
use serde_json::{Map, Value};

use crate::catalog::Scope;
use crate::clock::Ids;
use crate::domain::aftercare::Rung;
use crate::domain::alert::{Alert, Group};
use crate::domain::checks::Checks;
use crate::domain::ids::JobId;
use crate::domain::parameters::{Overrides, Plan, Refusal};
use crate::domain::policy::Reached;
use crate::domain::route::{Mode, OnResolved, Route};
use crate::domain::rules::Fleet;
use crate::domain::timestamp::Timestamp;

/// The catalogue that is in force, which a reload replaces.
pub trait Catalogue: Send + Sync {
    /// The catalogue of this moment. A request takes it once, so that it sees one and not two.
    fn in_force(&self) -> Arc<dyn Remediations>;

    /// Reads remediations.yml again; may block. Answers with a sentence for people.
    ///
    /// # Errors
    ///
    /// All that is wrong with the file; the old catalogue stays in force.
    fn reload(&self) -> Result<String, Vec<ReloadError>>;
}

/// One consistent catalogue.
pub trait Remediations: Send + Sync {
    /// In the order of the file.
    fn routes(&self) -> &[Route];

    /// The rules for all routes together.
    fn fleet(&self) -> &Fleet;

    /// Whether a playbook has that name.
    fn has_playbook(&self, name: &str) -> bool;

    /// The playbook's entry with its templates filled in.
    ///
    /// # Errors
    ///
    /// A sentence that says why it cannot be run for this alert, or that there is no such playbook.
    fn render(&self, playbook: &str, scope: &Scope<'_>) -> Result<Plan, Refusal> {
        self.render_by_hand(playbook, scope, &Overrides::default())
    }

    /// The same with what a person sets instead of the catalogue.
    ///
    /// # Errors
    ///
    /// The same, and a variable that a person may not set.
    fn render_by_hand(&self, playbook: &str, scope: &Scope<'_>, overrides: &Overrides) -> Result<Plan, Refusal>;

    /// What the route has asked about a job of it.
    ///
    /// # Errors
    ///
    /// A sentence that names the query that cannot be rendered.
    fn checks(&self, route: &str, scope: &Scope<'_>) -> Result<Checks, Refusal>;

    /// What the route has asked after a run, and nothing that it has asked before one.
    ///
    /// # Errors
    ///
    /// As `checks`, for that query.
    fn verify_query(&self, route: &str, scope: &Scope<'_>) -> Result<Option<String>, Refusal>;

    /// The playbook with its templates filled in, and with what the route has asked before and after it.
    ///
    /// # Errors
    ///
    /// As `render` and `checks`.
    fn render_for(&self, route: &str, playbook: &str, scope: &Scope<'_>) -> Result<Plan, Refusal> {
        let checks = self.checks(route, scope)?;
        let plan = self.render(playbook, scope)?;
        Ok(Plan { checks, ..plan })
    }

    /// The command line that a plan would run.
    fn argv(&self, plan: &Plan) -> Vec<String>;

    /// All playbooks, by name.
    fn describe_playbooks(&self) -> Vec<PlaybookView>;
}

/// A playbook of the catalogue, with its templates as written.
#[derive(Clone, Debug, PartialEq, Serialize, utoipa::ToSchema)]
#[schema(as = Playbook)]
pub struct PlaybookView {
    pub name: String,
    pub path: String,
    pub description: Option<String>,
    pub inventory: String,
    pub limit: Option<String>,
    #[schema(value_type = Object)]
    pub vars: Map<String, Value>,
    pub tags: Vec<String>,
    pub check: bool,
    /// A duration such as `2m`.
    pub timeout: String,
    /// `null` where it is the default: the playbook's name and the alert's fingerprint.
    pub lock: Option<String>,
}

/// One thing that is wrong with remediations.yml.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReloadError {
    pub file: String,
    /// Counts from 1.
    pub line: usize,
    /// Counts from 1.
    pub column: usize,
    pub message: String,
}

/// Renders what routes would run for an alert.
#[expect(missing_debug_implementations, reason = "a catalogue behind a trait has none")]
pub struct Renderer<'a> {
    pub ids: &'a Ids,
    pub catalogue: &'a dyn Remediations,
    pub group: &'a Group,
    pub now: Timestamp,
}

impl Renderer<'_> {
    /// A route that the alert reaches, with its playbook, its ladder and its clean-up, unless nothing is to be rendered.
    pub fn reach(&self, route: &Route, alert: &Alert, is_rendered: bool) -> Reached {
        let job = self.ids.job(self.now);
        let playbook = route.playbook.as_ref().filter(|_| is_rendered);
        let rungs = route.otherwise.iter().filter(|_| is_rendered);
        let cleanup = match &route.on_resolved {
            OnResolved::Run(playbook) if is_rendered => Some(self.rung(route, playbook, alert)),
            OnResolved::Run(_) | OnResolved::Ignore | OnResolved::Cancel => None,
        };
        let plan = playbook.map(|playbook| self.render((route, playbook), alert, job));
        let ladder: Vec<Rung> = rungs.map(|playbook| self.rung(route, playbook, alert)).collect();
        let own = plan.iter().flatten().map(|plan| (job, plan));
        let plans = own.chain(ladder.iter().filter_map(|rung| Some((rung.job, rung.plan()?))));
        let observed = plans.filter(|_| route.mode == Mode::Observe);
        Reached {
            argv: observed.map(|(job, plan)| (job, self.catalogue.argv(plan))).collect(),
            ladder,
            plan,
            job,
            cleanup,
            is_released: false,
            route: route.clone(),
        }
    }

    fn rung(&self, route: &Route, playbook: &str, alert: &Alert) -> Rung {
        let job = self.ids.job(self.now);
        Rung::new(job, playbook, self.render((route, playbook), alert, job))
    }

    fn render(&self, (route, playbook): (&Route, &str), alert: &Alert, job: JobId) -> Result<Plan, Refusal> {
        let scope = Scope {
            alert: Some(alert),
            group: Some(self.group),
            job,
            attempt: 1,
        };
        self.catalogue.render_for(&route.name, playbook, &scope)
    }
}
