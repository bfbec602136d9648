//! remediations.yml: playbooks and routes. Accepted as a whole or not at all; reads files, never runs them.

mod digest;
mod env;
mod host;
mod playbook;
mod query;
mod route;
mod rules;
mod scope;
mod template;
#[cfg(test)]
mod tests;
mod vars;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

pub use playbook::Playbook;
pub use scope::Scope;

use crate::catalog::query::Queries;
use crate::config::diagnostic::{Diagnostic, Diagnostics, Findings, Mark};
use crate::config::fields::keys::Below;
use crate::config::fields::{Fields, Key, Keys, Slot};
use crate::config::{Notifier, Settings, yaml};
use crate::domain::checks::Checks;
use crate::domain::parameters::Refusal;
use crate::domain::route::Route;
use crate::domain::rules::Fleet;

const IN_A_ROUTE: &str = "an entry of `routes` in remediations.yml";

pub(crate) const KEYS: Keys = Keys {
    known: &[
        Key::of("playbooks", "none", "what may run, by names that you choose").with(Below::Named(&playbook::KEYS)),
        Key::of(
            "routes",
            "none",
            "which alert runs what, in the order in which they are tried",
        )
        .with(Below::List(&route::KEYS)),
        Key::of(
            "storm",
            "none",
            "holds back what alerts would make beyond so many jobs in that time, all routes together",
        )
        .with(Below::Mapping(&rules::STORM)),
        Key::of("breaker", "none", "a circuit breaker for all routes together").with(Below::Mapping(&rules::BREAKER)),
    ],
    elsewhere: &[
        ("secrets", "an entry of `playbooks` in remediations.yml"),
        ("heartbeat", IN_A_ROUTE),
        (
            "heartbeats",
            "an entry of `routes` in remediations.yml, as its `heartbeat`",
        ),
        ("flap", IN_A_ROUTE),
        ("silence", IN_A_ROUTE),
        ("approval", IN_A_ROUTE),
        ("cooldown", IN_A_ROUTE),
        ("caps", IN_A_ROUTE),
        ("retry", IN_A_ROUTE),
        ("at_once", IN_A_ROUTE),
        ("notifiers", "healgate.yml"),
        ("alertmanagers", "healgate.yml"),
        ("prometheus", "healgate.yml"),
    ],
};

/// What healgate.yml gives to the catalogue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Defaults {
    /// The folder of healgate.yml, where relative paths begin.
    pub base: PathBuf,
    /// For playbooks that name none.
    pub inventory: String,
    /// Whom routes may tell; `None` where the settings could not be read.
    pub notifiers: Option<Vec<String>>,
    pub peers: Peers,
}

/// Which programs healgate.yml names, that routes may have asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Peers {
    pub alertmanagers: bool,
    pub prometheus: bool,
}

impl From<&Settings> for Defaults {
    fn from(settings: &Settings) -> Self {
        Self {
            base: settings.base.clone(),
            inventory: settings.ansible.inventory.clone(),
            notifiers: Some(names(&settings.notifiers)),
            peers: Peers {
                alertmanagers: !settings.alertmanagers.is_empty(),
                prometheus: settings.prometheus.is_some(),
            },
        }
    }
}

/// The playbooks and routes of one remediations.yml.
#[derive(Debug)]
pub struct Catalog {
    routes: Vec<Route>,
    fleet: Fleet,
    /// By route.
    queries: BTreeMap<String, Queries>,
    playbooks: BTreeMap<String, Playbook>,
    warnings: Vec<Diagnostic>,
}

impl Catalog {
    /// Reads the file and checks everything in it. The error holds everything that is wrong.
    pub fn load(file: &Path, defaults: &Defaults) -> Result<Self, Diagnostics> {
        let (findings, text) = Findings::open(file)?;
        let catalog = Self::read(&text, defaults, &findings);
        let (catalog, warnings) = findings.conclude(catalog)?;
        Ok(Self { warnings, ..catalog })
    }

    /// In the order of the file, which is the order in which they are tried.
    pub fn routes(&self) -> &[Route] {
        &self.routes
    }

    /// The rules for all routes together.
    pub fn fleet(&self) -> &Fleet {
        &self.fleet
    }

    /// By name.
    pub fn playbooks(&self) -> impl Iterator<Item = &Playbook> {
        self.playbooks.values()
    }

    /// The playbook of that name.
    pub fn playbook(&self, name: &str) -> Option<&Playbook> {
        self.playbooks.get(name)
    }

    /// What the route has asked of Prometheus and Alertmanager about one job; the refusal names the key that cannot be
    /// rendered.
    pub fn checks(&self, route: &str, scope: &Scope<'_>) -> Result<Checks, Refusal> {
        let queries = self.queries.get(route);
        queries.map_or_else(|| Ok(Checks::default()), |queries| queries.render(scope))
    }

    /// The route's `verify.query` alone, about one job; the refusal names it.
    pub fn verify_query(&self, route: &str, scope: &Scope<'_>) -> Result<Option<String>, Refusal> {
        let queries = self.queries.get(route);
        queries.map_or(Ok(None), |queries| queries.render_verify(scope))
    }

    /// What the author of the file should know.
    pub fn warnings(&self) -> &[Diagnostic] {
        &self.warnings
    }

    fn read(text: &str, defaults: &Defaults, findings: &Findings) -> Option<Self> {
        let Some(node) = yaml::parse(text, findings).ok()? else {
            findings.error(&Mark::START, "the file is empty; it must have `playbooks` and `routes`");
            return None;
        };
        let fields = Slot::root(&node, findings).fields(&KEYS)?;
        if fields.get("playbooks").is_none() && fields.get("routes").is_none() {
            findings.error(&node.at, "the file has neither `playbooks` nor `routes`");
        }
        let slots = fields.get("playbooks").map_or_else(Vec::new, |slot| slot.named());
        let names: Vec<&str> = slots.iter().map(|(entry, _)| entry.key.as_str()).collect();
        check_default_inventory(&slots, defaults);
        let mut playbooks = BTreeMap::new();
        for (entry, slot) in &slots {
            if entry.key.trim().is_empty() {
                findings.error(&entry.at, "the name of a playbook is empty");
            }
            if let Some(playbook) = Playbook::read(&entry.key, slot, defaults) {
                playbooks.insert(entry.key.clone(), playbook);
            }
        }
        let routes = read_routes(&fields, &names, defaults);
        let queries = routes.iter();
        let queries = queries.map(|route| (route.name.clone(), Queries::compile(&route.checks)));
        Some(Self {
            fleet: rules::fleet(&fields, &routes),
            queries: queries.collect(),
            routes,
            playbooks,
            warnings: Vec::new(),
        })
    }
}

fn names(notifiers: &[Notifier]) -> Vec<String> {
    notifiers.iter().map(|notifier| notifier.name.clone()).collect()
}

fn read_routes(fields: &Fields<'_>, playbooks: &[&str], defaults: &Defaults) -> Vec<Route> {
    let mut routes: Vec<Route> = Vec::new();
    for slot in fields.get("routes").map_or_else(Vec::new, |slot| slot.items()) {
        query::check_peers(&slot, defaults.peers);
        let Some(route) = route::read(&slot, playbooks, defaults.notifiers.as_deref()) else {
            continue;
        };
        let twin = routes
            .iter()
            .any(|other| !route.name.is_empty() && other.name == route.name);
        if let (true, Some(name)) = (twin, slot.node.entry("name")) {
            let message = format!("there is another route with the name {:?}", route.name);
            slot.findings.error(&name.value.at, message);
        }
        routes.push(route);
    }
    routes
}

/// Said once, at the first playbook that needs it.
fn check_default_inventory(slots: &[(&yaml::Entry, Slot<'_>)], defaults: &Defaults) {
    let path = defaults.base.join(&defaults.inventory);
    if defaults.inventory.contains(',') || path.exists() {
        return;
    }
    let first = slots.iter().find(|(_, slot)| slot.node.entry("inventory").is_none());
    if let Some((entry, slot)) = first {
        let message = format!(
            "`{}` needs an inventory: that of `ansible.inventory` does not exist: {}",
            slot.path,
            path.display()
        );
        slot.findings.error(&entry.at, message);
    }
}
