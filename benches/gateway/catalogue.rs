//! A real catalogue behind the HTTP side, without reloading and without Ansible.

use std::path::Path;
use std::sync::Arc;

use healgate::catalog::{Catalog, Defaults, Peers, Scope};
use healgate::domain::checks::Checks;
use healgate::domain::parameters::{Overrides, Plan, Refusal};
use healgate::domain::route::Route;
use healgate::domain::rules::Fleet;
use healgate::remediations::{Catalogue, PlaybookView, ReloadError, Remediations};

use crate::failed::{Failed, failed};

/// A catalogue that stays as it was loaded.
#[derive(Debug)]
pub(crate) struct Loaded {
    catalog: Arc<Fixed>,
}

#[derive(Debug)]
struct Fixed(Catalog);

impl Loaded {
    /// Reads the folder's remediations.yml.
    pub(crate) fn from(folder: &Path) -> Result<Self, Failed> {
        let defaults = Defaults {
            base: folder.to_path_buf(),
            inventory: "hosts.yml".to_owned(),
            notifiers: None,
            peers: Peers {
                alertmanagers: false,
                prometheus: false,
            },
        };
        let catalog =
            Catalog::load(&folder.join("remediations.yml"), &defaults).map_err(failed("load the catalogue"))?;
        Ok(Self {
            catalog: Arc::new(Fixed(catalog)),
        })
    }
}

impl Catalogue for Loaded {
    fn in_force(&self) -> Arc<dyn Remediations> {
        Arc::clone(&self.catalog) as Arc<dyn Remediations>
    }

    fn reload(&self) -> Result<String, Vec<ReloadError>> {
        Ok("nothing is reloaded here".to_owned())
    }
}

impl Remediations for Fixed {
    fn fleet(&self) -> &Fleet {
        self.0.fleet()
    }

    fn routes(&self) -> &[Route] {
        self.0.routes()
    }

    fn has_playbook(&self, name: &str) -> bool {
        self.0.playbook(name).is_some()
    }

    fn render_by_hand(&self, playbook: &str, scope: &Scope<'_>, overrides: &Overrides) -> Result<Plan, Refusal> {
        let found = self.0.playbook(playbook);
        let found = found.ok_or_else(|| Refusal::whole(format!("the catalogue has no playbook {playbook:?}")))?;
        found.render_by_hand(scope, overrides)
    }

    fn checks(&self, route: &str, scope: &Scope<'_>) -> Result<Checks, Refusal> {
        self.0.checks(route, scope)
    }

    fn verify_query(&self, route: &str, scope: &Scope<'_>) -> Result<Option<String>, Refusal> {
        self.0.verify_query(route, scope)
    }

    fn argv(&self, _: &Plan) -> Vec<String> {
        Vec::new()
    }

    fn describe_playbooks(&self) -> Vec<PlaybookView> {
        Vec::new()
    }
}
