//! The section `ansible`: which Ansible runs, and with what.

use std::path::{Path, PathBuf};

use crate::config::fields::{Fields, Key, Keys};

pub(super) const KEYS: Keys = Keys::of(&[
    Key::of("command", "`.venv/bin/ansible-playbook`", "a path, or a name on PATH"),
    Key::of("inventory", "`inventory/hosts.yml`", "for playbooks that name none"),
    Key::of(
        "config_file",
        "none",
        "an ansible.cfg; without it Ansible looks for one itself, first in the folder of healgate.yml",
    ),
    Key::of(
        "warm",
        "`auto`",
        "`auto`: runs start from a process that has imported Ansible already, where that is possible; `never`: they do not. See [Operations](../operations.md#warm-starts)",
    ),
]);

/// How playbooks are run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ansible {
    /// Absolute, or a bare name to be looked for on PATH.
    pub command: PathBuf,
    /// For playbooks that name none; as written, relative to the folder of the settings.
    pub inventory: String,
    /// Absolute.
    pub config_file: Option<PathBuf>,
    pub warm: Warm,
}

/// Whether runs start from a warm interpreter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Warm {
    /// Where that is possible.
    Auto,
    Never,
}

impl Ansible {
    pub(super) fn read(fields: &Fields<'_>, base: &Path) -> Self {
        let text = |key: &str, default: &str| fields.text(key).unwrap_or_else(|| default.to_owned());
        let command = text("command", ".venv/bin/ansible-playbook");
        Self {
            command: if command.contains('/') {
                base.join(command)
            } else {
                command.into()
            },
            inventory: text("inventory", "inventory/hosts.yml"),
            config_file: config_file(fields, base),
            warm: fields.word("warm", &[("auto", Warm::Auto), ("never", Warm::Never)], Warm::Auto),
        }
    }
}

fn config_file(fields: &Fields<'_>, base: &Path) -> Option<PathBuf> {
    let slot = fields.get("config_file").filter(|slot| !slot.node.is_null())?;
    let path = base.join(slot.text()?);
    if !path.is_file() {
        slot.error(&format!("names a file that does not exist: {}", path.display()));
    }
    Some(path)
}
