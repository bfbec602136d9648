//! The catalogue in force, and its replacement by a reload.

use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwap;
use async_trait::async_trait;

use crate::ansible::Ansible;
use crate::catalog::{Catalog, Defaults, Playbook, Scope};
use crate::config::{Diagnostic, Diagnostics, Place, Severity};
use crate::domain::checks::Checks;
use crate::domain::heartbeat::Expected;
use crate::domain::notify::NotifyEvent;
use crate::domain::parameters::{Overrides, Parameters, Plan, Refusal};
use crate::domain::route::Route;
use crate::domain::rules::Fleet;
use crate::live::Live;
use crate::remediations::{Catalogue, PlaybookView, ReloadError, Remediations};
use crate::worker::Expectations;

/// Where the catalogue is read from, and the one that was read last.
pub(super) struct LiveCatalogue {
    source: Source,
    ansible: Arc<Ansible>,
    in_force: ArcSwap<InForce>,
    live: Arc<Live>,
    /// One reload at a time, so that the file read last is the one in force.
    reloading: Mutex<()>,
}

/// What is needed to read it again.
pub(super) struct Source {
    pub(super) file: std::path::PathBuf,
    pub(super) defaults: Defaults,
}

/// The command line that these parameters would be run with.
pub(in crate::cli) type Argv = Arc<dyn Fn(&Parameters) -> Vec<String> + Send + Sync>;

/// One catalogue as the HTTP side, and whoever explains, sees it.
pub(in crate::cli) struct InForce {
    catalog: Catalog,
    argv: Argv,
}

impl InForce {
    pub(in crate::cli) fn new(catalog: Catalog, argv: Argv) -> Self {
        Self { catalog, argv }
    }
}

impl LiveCatalogue {
    pub(super) fn new(source: Source, catalog: Catalog, ansible: Arc<Ansible>, live: Arc<Live>) -> Self {
        let in_force = InForce::new(catalog, argv(&ansible));
        Self {
            source,
            ansible,
            in_force: ArcSwap::from_pointee(in_force),
            live,
            reloading: Mutex::new(()),
        }
    }

    /// Has interpreters started for what is in force.
    pub(super) fn warm_up(&self) {
        warm_up(&self.in_force.load().catalog, &self.ansible);
    }

    /// Reads the file and, if it is good, puts it in force. Answers with a summary.
    pub(super) fn replace(&self) -> Result<String, Diagnostics> {
        let _one_at_a_time = self.reloading.lock().unwrap_or_else(PoisonError::into_inner);
        let catalog = Catalog::load(&self.source.file, &self.source.defaults)?;
        for warning in catalog.warnings() {
            tracing::warn!("{warning}");
        }
        let summary = summary(&catalog);
        warm_up(&catalog, &self.ansible);
        self.in_force
            .store(Arc::new(InForce::new(catalog, argv(&self.ansible))));
        self.live.held_changed();
        self.live.expectations_changed();
        Ok(summary)
    }
}

impl Catalogue for LiveCatalogue {
    fn in_force(&self) -> Arc<dyn Remediations> {
        self.in_force.load_full()
    }

    fn reload(&self) -> Result<String, Vec<ReloadError>> {
        let reloaded = self.replace();
        reloaded.map_err(|diagnostics| {
            let errors = diagnostics
                .iter()
                .filter(|diagnostic| diagnostic.severity == Severity::Error);
            errors.map(reload_error).collect()
        })
    }
}

#[async_trait]
impl Expectations for LiveCatalogue {
    fn heartbeats(&self) -> Vec<Expected> {
        let in_force = self.in_force.load();
        let expected = |route: &Route| {
            let notify = route.notify.as_ref();
            let told = notify.filter(|notify| notify.events.contains(&NotifyEvent::HeartbeatMissed));
            Some(Expected {
                route: route.name.clone(),
                heartbeat: route.heartbeat?,
                tell: told.map_or_else(Vec::new, |notify| notify.to.clone()),
            })
        };
        in_force.catalog.routes().iter().filter_map(expected).collect()
    }

    async fn changed(&self) {
        self.live.expectations_to_change().await;
    }
}

impl Remediations for InForce {
    fn routes(&self) -> &[Route] {
        self.catalog.routes()
    }

    fn fleet(&self) -> &Fleet {
        self.catalog.fleet()
    }

    fn has_playbook(&self, name: &str) -> bool {
        self.catalog.playbook(name).is_some()
    }

    fn render_by_hand(&self, playbook: &str, scope: &Scope<'_>, overrides: &Overrides) -> Result<Plan, Refusal> {
        let found = self.catalog.playbook(playbook);
        let found = found.ok_or_else(|| Refusal::whole(format!("the catalogue has no playbook {playbook:?}")))?;
        found.render_by_hand(scope, overrides)
    }

    fn checks(&self, route: &str, scope: &Scope<'_>) -> Result<Checks, Refusal> {
        self.catalog.checks(route, scope)
    }

    fn verify_query(&self, route: &str, scope: &Scope<'_>) -> Result<Option<String>, Refusal> {
        self.catalog.verify_query(route, scope)
    }

    fn argv(&self, plan: &Plan) -> Vec<String> {
        (self.argv)(&plan.parameters)
    }

    fn describe_playbooks(&self) -> Vec<PlaybookView> {
        self.catalog.playbooks().map(describe).collect()
    }
}

fn argv(ansible: &Arc<Ansible>) -> Argv {
    let ansible = Arc::clone(ansible);
    Arc::new(move |parameters| ansible.argv(parameters))
}

/// So that already the first run of each playbook starts warm. What files say is read by the run that needs it.
fn warm_up(catalog: &Catalog, ansible: &Ansible) {
    let known = catalog.playbooks().filter(|playbook| playbook.env_files.is_empty());
    ansible.warm_up(known.map(|playbook| &playbook.env));
}

fn reload_error(diagnostic: &Diagnostic) -> ReloadError {
    let (file, line, column) = match &diagnostic.place {
        Place::File { file, line, column, .. } => (file.clone(), *line, *column),
        Place::Variable(name) => (name.clone(), 1, 1),
    };
    ReloadError {
        file,
        line,
        column,
        message: diagnostic.message.clone(),
    }
}

fn describe(playbook: &Playbook) -> PlaybookView {
    PlaybookView {
        name: playbook.name.clone(),
        path: playbook.path.clone(),
        description: playbook.description.clone(),
        inventory: playbook.inventory.clone(),
        limit: playbook.limit.clone(),
        vars: playbook.vars.clone(),
        tags: playbook.tags.clone(),
        check: playbook.check,
        timeout: playbook.timeout.to_string(),
        lock: playbook.lock.clone(),
    }
}

fn summary(catalog: &Catalog) -> String {
    format!(
        "{} playbooks, {} routes",
        catalog.playbooks().count(),
        catalog.routes().len()
    )
}
