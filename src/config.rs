//! healgate.yml and the environment over it. Reads them once, at the start; starts and opens nothing.

mod ansible;
mod auth;
mod database;
pub mod diagnostic;
pub(crate) mod fields;
mod notifiers;
mod overlay;
mod peers;
mod retention;
mod server;
#[cfg(test)]
mod tests;
mod worker;
pub(crate) mod yaml;

use std::path::{Path, PathBuf};

pub use ansible::{Ansible, Warm};
pub(crate) use auth::check_token_name;
pub use auth::{Auth, GrafanaSignature, Role, Token};
pub use database::Database;
pub use diagnostic::{Diagnostic, Diagnostics, Place, Severity};
pub use notifiers::{Channel, Email, Encryption, Login, Notifier, Rate, Secret, Slack, Webhook};
pub use peers::{Credentials, Peer};
pub use retention::Retention;
pub use server::Server;
pub use worker::{OnShutdown, Worker};

use crate::config::diagnostic::{Findings, Mark};
use crate::config::fields::keys::Below;
use crate::config::fields::{Fields, Key, Keys, Slot};
use crate::config::yaml::{Kind, Node};

pub(crate) const KEYS: Keys = Keys {
    known: &[
    Key::of("server", "as below", "where the gateway listens").with(Below::Mapping(&server::KEYS)),
    Key::of("database", "as below", "where records are").with(Below::Mapping(&database::KEYS)),
    Key::of("data_dir", "`var`", "run directories (`runs/`), our Python files (`plugins/`) and warm interpreters (`warm/`); 0700"),
    Key::of("remediations", "`remediations.yml`", "the catalogue"),
    Key::of("ansible", "as below", "which Ansible runs, and with what").with(Below::Mapping(&ansible::KEYS)),
    Key::of("worker", "as below", "how many runs at once, and what a shutdown does with them").with(Below::Mapping(&worker::KEYS)),
    Key::of("auth", "as below", "who may do what").with(Below::Mapping(&auth::KEYS)),
    Key::of("retention", "as below", "how long records are kept").with(Below::Mapping(&retention::KEYS)),
    Key::of("notifiers", "none", "whom to tell, and how. See [Telling people](../notifications.md)").with(Below::List(&notifiers::KEYS)),
    Key::of("alertmanagers", "none", "the Alertmanagers of one cluster, which are asked whether alerts still fire. See [Operations](../operations.md#asking-alertmanager)").with(Below::List(&peers::KEYS)),
    Key::of("prometheus", "none", "the Prometheus, or what speaks its API, that answers the queries of routes").with(Below::Mapping(&peers::KEYS)),
    ],
    elsewhere: &[
        ("secrets", "an entry of `playbooks` in remediations.yml"),
        ("playbooks", "remediations.yml"),
        ("routes", "remediations.yml"),
        ("storm", "remediations.yml, at its top"),
        ("breaker", "remediations.yml, at its top or in an entry of `routes`"),
        ("heartbeat", "an entry of `routes` in remediations.yml"),
        (
            "heartbeats",
            "an entry of `routes` in remediations.yml, as its `heartbeat`",
        ),
    ],
};

/// Everything that healgate.yml and the environment say, with the defaults for what they leave out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// The settings file, as given.
    pub file: PathBuf,
    /// The folder of the file, absolute: where relative paths begin, and where Ansible runs.
    pub base: PathBuf,
    pub server: Server,
    pub database: Database,
    /// Absolute.
    pub data_dir: PathBuf,
    /// The catalogue's file; relative to the working directory if `file` is.
    pub remediations: PathBuf,
    pub ansible: Ansible,
    pub worker: Worker,
    pub auth: Auth,
    pub retention: Retention,
    pub notifiers: Vec<Notifier>,
    /// Of one cluster; asked whether alerts fire.
    pub alertmanagers: Vec<Peer>,
    /// Asked what queries of the catalogue say.
    pub prometheus: Option<Peer>,
    /// What the user should know although the settings can be used.
    pub warnings: Vec<Diagnostic>,
}

impl Settings {
    /// Reads the file, then the variables that begin with `HEALGATE__`. The error holds everything that is wrong.
    pub fn load(file: &Path, environment: &[(String, String)]) -> Result<Self, Diagnostics> {
        let (findings, text) = Findings::open(file)?;
        let settings = match yaml::parse(&text, &findings) {
            Ok(node) => Self::merge(file, node, environment, &findings),
            Err(yaml::Unreadable) => None,
        };
        let (settings, warnings) = findings.conclude(settings)?;
        Ok(Self { warnings, ..settings })
    }

    fn merge(file: &Path, node: Option<Node>, environment: &[(String, String)], findings: &Findings) -> Option<Self> {
        // An empty file asks for the defaults.
        let node = node.unwrap_or(Node {
            at: Mark::START,
            kind: Kind::Mapping(Vec::new()),
        });
        if !matches!(node.kind, Kind::Mapping(_)) {
            return Self::read(file, &node, findings);
        }
        match overlay::overlay(&node, environment) {
            Ok(merged) => Self::read(file, &merged, findings),
            Err(error) => {
                findings.error(&Mark::START, format!("the environment cannot be read: {error}"));
                None
            }
        }
    }

    fn read(file: &Path, node: &Node, findings: &Findings) -> Option<Self> {
        let base = match std::path::absolute(file) {
            Ok(path) => path.parent().map_or_else(|| path.clone(), Path::to_path_buf),
            Err(error) => {
                findings.error(&Mark::START, format!("the folder of the file cannot be found: {error}"));
                return None;
            }
        };
        let fields = Slot::root(node, findings).fields(&KEYS)?;
        let server = Server::read(&section(&fields, "server", &server::KEYS));
        let auth = Auth::read(&section(&fields, "auth", &auth::KEYS), &base);
        auth.guard(&server, &fields);
        let path = |key: &str, default: &str| fields.text(key).unwrap_or_else(|| default.to_owned());
        let alertmanagers = fields.get("alertmanagers");
        let prometheus = fields.get("prometheus");
        Some(Self {
            file: file.to_owned(),
            data_dir: base.join(path("data_dir", "var")),
            remediations: file
                .parent()
                .unwrap_or(Path::new(""))
                .join(path("remediations", "remediations.yml")),
            database: Database::read(&section(&fields, "database", &database::KEYS), &base),
            ansible: Ansible::read(&section(&fields, "ansible", &ansible::KEYS), &base),
            worker: Worker::read(&section(&fields, "worker", &worker::KEYS)),
            retention: Retention::read(&section(&fields, "retention", &retention::KEYS)),
            notifiers: fields
                .get("notifiers")
                .map_or_else(Vec::new, |slot| notifiers::read(&slot, &base)),
            alertmanagers: alertmanagers.map_or_else(Vec::new, |slot| peers::read_all(&slot, &base)),
            prometheus: prometheus.and_then(|slot| peers::read(&slot, &base)),
            server,
            auth,
            base,
            warnings: Vec::new(),
        })
    }
}

/// A section; empty if the file leaves it out, or after the error that it is no mapping.
fn section<'a>(fields: &Fields<'a>, name: &str, keys: &Keys) -> Fields<'a> {
    let given = fields.get(name).and_then(|slot| slot.fields(keys));
    given.unwrap_or_else(|| fields.absent(name))
}
