//! `env` of a playbook: variables with their values, or with the files that have them. Never opens such a file.

use std::collections::BTreeMap;
use std::path::Path;

use crate::catalog::playbook::existing;
use crate::config::fields::{Key, Keys, Slot};
use crate::config::yaml::Kind;

pub(super) const FROM_FILE: Keys = Keys::of(&[Key::of("file", Key::REQUIRED, "what the variable is")]);

/// Decide where Ansible finds our callback plugin, and so must be known before the run.
const NO_SECRETS: [&str; 5] = [
    "ANSIBLE_CALLBACKS_ENABLED",
    "ANSIBLE_CALLBACK_PLUGINS",
    "ANSIBLE_CONFIG",
    "ANSIBLE_HOME",
    "HOME",
];

/// By name of the variable.
#[derive(Debug, Default)]
pub(super) struct Env {
    pub(super) values: BTreeMap<String, String>,
    /// Paths.
    pub(super) files: BTreeMap<String, String>,
}

/// Reads the mapping.
pub(super) fn read(slot: &Slot<'_>, base: &Path) -> Env {
    let mut env = Env::default();
    for (entry, value) in slot.named() {
        let name = &entry.key;
        let start = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
        if !start || !name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_') {
            let message = format!(
                "`{}` is no name of a variable: those have letters, digits and `_`",
                value.path
            );
            slot.findings.error(&entry.at, message);
        }
        if !matches!(value.node.kind, Kind::Mapping(_)) {
            if let Some(text) = value.any_text() {
                env.values.insert(name.clone(), text.to_owned());
            }
            continue;
        }
        if NO_SECRETS.contains(&name.as_str()) {
            value.error("must be a text: it says where Ansible finds what belongs to healgate");
        }
        let file = value.fields(&FROM_FILE).and_then(|fields| fields.require("file"));
        if let Some(path) = file.and_then(|slot| existing(&slot, base, Path::is_file)) {
            env.files.insert(name.clone(), path);
        }
    }
    env
}
