//! An entry of `playbooks`: read once, rendered for each alert. Starts nothing.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::{Map, Value};

use crate::catalog::Defaults;
use crate::catalog::digest::Watched;
use crate::catalog::env;
use crate::catalog::scope::Scope;
use crate::catalog::template::{Template, Templates};
use crate::catalog::vars::{self, Var};
use crate::config::fields::keys::Below;
use crate::config::fields::{Fields, Key, Keys, Slot};
use crate::domain::checks::Checks;
use crate::domain::ids::Target;
use crate::domain::limit::Limit;
use crate::domain::parameters::{Overrides, Parameters, Plan, Refusal};
use crate::domain::span::Span;

pub(super) const KEYS: Keys = Keys {
    known: &[
    Key::of("path", Key::REQUIRED, "the playbook file"),
    Key::of("description", "none", "for people"),
    Key::of("vars", "none", "extra vars; every text in them, at any depth, is a [template](../configuration.md#remediationsyml-playbooks)"),
    Key::of("limit", "none", "a template: on which hosts and groups"),
    Key::of("inventory", "that of `ansible`", "a file, a folder, or with a comma in it a list of hosts"),
    Key::of("tags", "none", "`--tags`, a list"),
    Key::of("skip_tags", "none", "`--skip-tags`, a list"),
    Key::of("check", "`false`", "`--check`: change nothing"),
    Key::of("diff", "`false`", "`--diff`"),
    Key::of("forks", "Ansible's", "`--forks`, 1 to 1000"),
    Key::of("env", "none", "environment variables for `ansible-playbook`: a text, or `{file: PATH}`. See [Secrets](../configuration.md#secrets)").with(Below::Named(&env::FROM_FILE)),
    Key::of("secrets", "none", "a list of files; what they say is masked in the log"),
    Key::of("vault_password_file", "none", "`--vault-password-file`; what it says is masked too"),
    Key::of("private_key_file", "none", "`--private-key`; what it says is masked too"),
    Key::of("remote_user", "none", "`--user`"),
    Key::of("become", "`false`", "`--become`"),
    Key::of("verbosity", "`0`", "0 to 2"),
    Key::of("timeout", "`10m`", "then the run is stopped, and its outcome is `timed_out`"),
    Key::of("lock", "playbook name and fingerprint; without an alert the playbook's name", "a template: what must never be worked on twice at once"),
    ],
    elsewhere: &[
        ("precondition", "an entry of `routes`"),
        ("approval", "an entry of `routes`"),
        ("unless", "an entry of `routes`"),
    ],
};

const DEFAULT_TIMEOUT: Span = Span::from_secs(600);

/// A playbook of the catalogue, with its templates as they are written.
#[derive(Debug)]
#[non_exhaustive]
pub struct Playbook {
    pub name: String,
    /// Absolute, or relative to the folder of healgate.yml, as are the other paths.
    pub path: String,
    pub description: Option<String>,
    pub inventory: String,
    /// The templates' texts, not rendered.
    pub vars: Map<String, Value>,
    /// A template.
    pub limit: Option<String>,
    /// A template; without one, the playbook's name and the alert's fingerprint.
    pub lock: Option<String>,
    pub tags: Vec<String>,
    pub skip_tags: Vec<String>,
    pub check: bool,
    pub diff: bool,
    pub forks: Option<u32>,
    pub verbosity: u8,
    pub env: BTreeMap<String, String>,
    /// Variables whose values are in files, with the paths.
    pub env_files: BTreeMap<String, String>,
    /// Files whose contents are masked in logs.
    pub secrets: Vec<String>,
    pub vault_password_file: Option<String>,
    pub private_key_file: Option<String>,
    pub remote_user: Option<String>,
    pub become_root: bool,
    pub timeout: Span,
    file: Watched,
    compiled: Compiled,
}

#[derive(Debug)]
struct Compiled {
    templates: Templates,
    vars: Vec<(String, Var)>,
    limit: Option<Template>,
    lock: Option<Template>,
}

impl Playbook {
    /// What to run for an alert. The refusal names the key that cannot be rendered.
    pub fn render(&self, scope: &Scope<'_>) -> Result<Plan, Refusal> {
        self.render_by_hand(scope, &Overrides::default())
    }

    /// What to run when a person asks for it.
    pub fn render_by_hand(&self, scope: &Scope<'_>, overrides: &Overrides) -> Result<Plan, Refusal> {
        let value = scope.value();
        let vars = self.render_vars(&value, overrides)?;
        let limit = match (&overrides.limit, &self.compiled.limit) {
            (Some(limit), _) => Some(limit.clone()),
            (None, Some(template)) => {
                let limit = self.render_limit(template, &value);
                Some(limit.map_err(|problem| self.refuse("limit", &problem))?)
            }
            (None, None) => None,
        };
        let target = self.render_target(scope, &value);
        Ok(Plan {
            playbook: self.name.clone(),
            target: target.map_err(|problem| self.refuse("lock", &problem))?,
            parameters: self.parameters(vars, limit),
            checks: Checks::default(),
        })
    }

    fn refuse(&self, key: impl Into<String>, problem: &str) -> Refusal {
        Refusal {
            key: key.into(),
            message: format!("the playbook {}: {problem}", self.name),
        }
    }

    fn render_vars(&self, scope: &minijinja::Value, overrides: &Overrides) -> Result<Map<String, Value>, Refusal> {
        let mut rendered = Map::new();
        for (name, var) in &self.compiled.vars {
            if !overrides.vars.contains_key(name) {
                let value = var.render(&self.compiled.templates, scope);
                let value = value.map_err(|problem| self.refuse(format!("vars.{name}"), &problem))?;
                rendered.insert(name.clone(), value);
            }
        }
        for (name, value) in &overrides.vars {
            let key = format!("vars.{name}");
            vars::check_by_hand(name, self.vars.contains_key(name))
                .map_err(|problem| self.refuse(&key, &format!("`{key}` {problem}")))?;
            rendered.insert(name.clone(), value.clone());
        }
        Ok(rendered)
    }

    fn render_limit(&self, template: &Template, scope: &minijinja::Value) -> Result<Limit, String> {
        let text = self.compiled.templates.render(template, scope)?;
        Limit::parse(&text).map_err(|error| format!("`limit` is refused: {error}"))
    }

    fn render_target(&self, scope: &Scope<'_>, value: &minijinja::Value) -> Result<Target, String> {
        let text = match (&self.compiled.lock, scope.alert) {
            (Some(template), _) => self.compiled.templates.render(template, value)?,
            (None, Some(alert)) => format!("{}/{}", self.name, alert.fingerprint),
            (None, None) => self.name.clone(),
        };
        Target::parse(&text).map_err(|error| format!("`lock` is refused: {error}"))
    }

    fn parameters(&self, vars: Map<String, Value>, limit: Option<Limit>) -> Parameters {
        Parameters {
            path: self.path.clone(),
            inventory: self.inventory.clone(),
            limit,
            vars,
            tags: self.tags.clone(),
            skip_tags: self.skip_tags.clone(),
            check: self.check,
            diff: self.diff,
            forks: self.forks,
            verbosity: self.verbosity,
            env: self.env.clone(),
            env_files: self.env_files.clone(),
            secrets: self.secrets.clone(),
            vault_password_file: self.vault_password_file.clone(),
            private_key_file: self.private_key_file.clone(),
            remote_user: self.remote_user.clone(),
            become_root: self.become_root,
            timeout: self.timeout,
            playbook_sha256: self.file.digest(),
        }
    }

    /// `None` after an error that leaves nothing to go on with.
    pub(super) fn read(name: &str, slot: &Slot<'_>, defaults: &Defaults) -> Option<Self> {
        let fields = slot.fields(&KEYS)?;
        let file = |key: &str| {
            fields
                .get(key)
                .and_then(|slot| existing(&slot, &defaults.base, Path::is_file))
        };
        let texts = |key: &str| fields.get(key).map_or_else(Vec::new, |slot| slot.texts());
        let count = |key: &str, range| fields.get(key).and_then(|slot| slot.count(range));
        let path = fields.require("path");
        let path = path.and_then(|slot| existing(&slot, &defaults.base, Path::is_file));
        let mut templates = Templates::new();
        let (vars, sources) = fields
            .get("vars")
            .map_or_else(Default::default, |slot| vars::read(&slot, &mut templates));
        let env = fields.get("env").map(|slot| env::read(&slot, &defaults.base));
        let env = env.unwrap_or_default();
        let secrets = fields.get("secrets").map_or_else(Vec::new, |slot| slot.items());
        let secrets = secrets
            .iter()
            .filter_map(|slot| existing(slot, &defaults.base, Path::is_file));
        let (limit_template, limit) = template(&fields, "limit", &mut templates).unzip();
        let (lock_template, lock) = template(&fields, "lock", &mut templates).unzip();
        Some(Self {
            name: name.to_owned(),
            file: Watched::new(defaults.base.join(path.as_deref().unwrap_or_default())),
            path: path.unwrap_or_default(),
            description: fields.text("description"),
            inventory: fields
                .get("inventory")
                .and_then(|slot| inventory(&slot, &defaults.base))
                .unwrap_or_else(|| defaults.inventory.clone()),
            vars: sources,
            limit,
            lock,
            tags: texts("tags"),
            skip_tags: texts("skip_tags"),
            check: fields.flag("check", false),
            diff: fields.flag("diff", false),
            forks: count("forks", 1..=1000),
            verbosity: count("verbosity", 0..=2)
                .and_then(|n| u8::try_from(n).ok())
                .unwrap_or(0),
            env: env.values,
            env_files: env.files,
            secrets: secrets.collect(),
            vault_password_file: file("vault_password_file"),
            private_key_file: file("private_key_file"),
            remote_user: fields.text("remote_user"),
            become_root: fields.flag("become", false),
            timeout: fields.positive_span("timeout", DEFAULT_TIMEOUT),
            compiled: Compiled {
                templates,
                vars,
                limit: limit_template,
                lock: lock_template,
            },
        })
    }
}

/// Compiles the template under a key; answers also with its text.
fn template(fields: &Fields<'_>, key: &str, templates: &mut Templates) -> Option<(Template, String)> {
    let slot = fields.get(key)?;
    // The line break that ends a block of YAML is not meant. This trims the template, never what it renders to.
    let source = slot.text()?.trim_end();
    match templates.add(key, source) {
        Ok(template) => Some((template, source.to_owned())),
        Err(bad) => {
            slot.error_inside(bad.offset, &format!("is no valid template: {}", bad.message));
            None
        }
    }
}

/// A path to something that is there.
pub(super) fn existing(slot: &Slot<'_>, base: &Path, is_there: fn(&Path) -> bool) -> Option<String> {
    let text = slot.text()?;
    let path = base.join(text);
    if !is_there(&path) {
        slot.error(&format!("names a file that does not exist: {}", path.display()));
    }
    Some(text.to_owned())
}

/// A file or folder, or with a comma in it a list of hosts, as for `ansible-playbook -i`.
fn inventory(slot: &Slot<'_>, base: &Path) -> Option<String> {
    match slot.text()? {
        hosts if hosts.contains(',') => Some(hosts.to_owned()),
        _ => existing(slot, base, Path::exists),
    }
}
