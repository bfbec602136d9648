//! A catalogue that tests write down.

use std::sync::Arc;

use serde_json::Map;

use crate::catalog::Scope;
use crate::domain::checks::Checks;
use crate::domain::ids::Target;
use crate::domain::parameters::{Overrides, Plan, Refusal};
use crate::domain::route::Route;
use crate::domain::rules::Fleet;
use crate::http::fake::parameters;
use crate::remediations::{Catalogue, PlaybookView, ReloadError, Remediations};

/// A catalogue whose playbooks all render, except for alerts with the label `refuse`.
#[derive(Clone)]
pub(crate) struct FakeCatalogue {
    pub(crate) routes: Vec<Route>,
    pub(crate) playbooks: Vec<&'static str>,
    pub(crate) checks: Checks,
    pub(crate) fleet: Fleet,
    pub(crate) reload: Result<String, Vec<ReloadError>>,
}

impl FakeCatalogue {
    /// With two playbooks.
    pub(crate) fn of(routes: Vec<Route>) -> Self {
        Self {
            routes,
            playbooks: vec!["recreate", "restart"],
            checks: Checks::default(),
            fleet: Fleet::default(),
            reload: Ok("2 playbooks and 1 route are in force".to_owned()),
        }
    }
}

impl Catalogue for FakeCatalogue {
    fn in_force(&self) -> Arc<dyn Remediations> {
        Arc::new(self.clone())
    }

    fn reload(&self) -> Result<String, Vec<ReloadError>> {
        self.reload.clone()
    }
}

impl Remediations for FakeCatalogue {
    fn routes(&self) -> &[Route] {
        &self.routes
    }

    fn fleet(&self) -> &Fleet {
        &self.fleet
    }

    fn has_playbook(&self, name: &str) -> bool {
        self.playbooks.contains(&name)
    }

    fn render_by_hand(&self, playbook: &str, scope: &Scope<'_>, overrides: &Overrides) -> Result<Plan, Refusal> {
        let labels = scope.alert.map(|alert| alert.labels.clone()).unwrap_or_default();
        if labels.contains_key("refuse") {
            return Err(Refusal::whole("the label asks for it"));
        }
        let mut parameters = parameters();
        parameters.vars.extend(overrides.vars.clone());
        parameters.limit.clone_from(&overrides.limit);
        Ok(Plan {
            playbook: playbook.to_owned(),
            target: Target::parse("container/nginx").unwrap(),
            parameters,
            checks: Checks::default(),
        })
    }

    fn checks(&self, _: &str, _: &Scope<'_>) -> Result<Checks, Refusal> {
        Ok(self.checks.clone())
    }

    fn verify_query(&self, _: &str, _: &Scope<'_>) -> Result<Option<String>, Refusal> {
        Ok(self.checks.verify_query.clone())
    }

    fn argv(&self, plan: &Plan) -> Vec<String> {
        vec!["ansible-playbook".to_owned(), plan.parameters.path.clone()]
    }

    fn describe_playbooks(&self) -> Vec<PlaybookView> {
        let describe = |name: &&str| PlaybookView {
            name: (*name).to_owned(),
            path: "playbooks/restart.yml".to_owned(),
            description: None,
            inventory: "inventory/hosts.yml".to_owned(),
            limit: None,
            vars: Map::new(),
            tags: Vec::new(),
            check: false,
            timeout: "2m".to_owned(),
            lock: None,
        };
        self.playbooks.iter().map(describe).collect()
    }
}
