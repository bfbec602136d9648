//! What exactly a job runs: frozen when the job is made, so that a later reload cannot change it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::domain::checks::Checks;
use crate::domain::ids::Target;
use crate::domain::limit::Limit;
use crate::domain::span::Span;

/// The rendered playbook entry. Paths are absolute or relative to the folder of healgate.yml.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Parameters {
    pub path: String,
    pub inventory: String,
    pub limit: Option<Limit>,
    pub vars: Map<String, Value>,
    pub tags: Vec<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub skip_tags: Vec<String>,
    pub check: bool,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub diff: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub forks: Option<u32>,
    /// How many `-v`, 0 to 2: more would print variables that `no_log` hides.
    #[serde(default)]
    pub verbosity: u8,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub env: BTreeMap<String, String>,
    /// Variables whose values are in files; only the paths are kept.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub env_files: BTreeMap<String, String>,
    /// Files whose contents are masked in the log.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub secrets: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vault_password_file: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub private_key_file: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remote_user: Option<String>,
    #[serde(default, rename = "become", skip_serializing_if = "std::ops::Not::not")]
    pub become_root: bool,
    pub timeout: Span,
    /// Of the playbook file when the job was made, in hexadecimal; `None` if it could not be read, or was not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub playbook_sha256: Option<String>,
}

/// What a person sets instead of the catalogue. Kept with the job, as its re-runs set it again.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Overrides {
    /// By name; the playbook's own templates of these names are not rendered.
    pub vars: Map<String, Value>,
    pub limit: Option<Limit>,
}

/// A playbook rendered for one alert: what to run, and what it works on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    pub playbook: String,
    pub target: Target,
    pub parameters: Parameters,
    /// What is asked about the job; nothing without a route.
    #[serde(default)]
    pub checks: Checks,
}

/// Why a playbook cannot be rendered for an alert.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Refusal {
    /// What of the playbook it is about: `vars.NAME`, `limit` or `lock`; `playbook` for all of it.
    pub key: String,
    /// A sentence for people.
    pub message: String,
}

impl Refusal {
    /// There is no such playbook, or nothing of it can be rendered.
    pub fn whole(message: impl Into<String>) -> Self {
        Self {
            key: "playbook".to_owned(),
            message: message.into(),
        }
    }
}
