//! What changed in the catalogue between two jobs, parameter by parameter.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::domain::parameters::{Parameters, Plan};

/// How much of a value a sentence shows, in characters.
const SHOWN: usize = 60;

/// How many changes a sentence names.
const NAMED: usize = 10;

/// Stands for the value of an environment variable, which may be a secret.
const HIDDEN: &str = "******";

/// One parameter that was different.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Change {
    /// As in `parameters`, with `vars.NAME` and `env.NAME` for each variable; `target`; `playbook_sha256` where the
    /// playbook file itself was edited.
    pub parameter: String,
    /// `null` where there was none; the values of environment variables are hidden.
    #[schema(value_type = Value)]
    pub before: Value,
    /// `null` where there is none any more.
    #[schema(value_type = Value)]
    pub after: Value,
}

/// What a playbook was rendered to then and is now.
pub fn changes(before: &Plan, after: &Plan) -> Vec<Change> {
    let mut found = Found(Vec::new());
    found.compare_parameters(&before.parameters, &after.parameters);
    found.compare("target", &before.target, &after.target);
    found.0
}

/// The changes in a few words.
pub fn sentence(changes: &[Change]) -> String {
    let named: Vec<String> = changes.iter().take(NAMED).map(ToString::to_string).collect();
    let rest = match changes.len().saturating_sub(NAMED) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    named.join(", ") + &rest
}

/// The beginning of a text that may be long.
pub fn shortened(text: &str) -> String {
    match text.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

struct Found(Vec<Change>);

impl Found {
    fn compare_parameters(&mut self, before: &Parameters, after: &Parameters) {
        // Every field by name: a new one must not be forgotten here.
        let Parameters {
            path,
            inventory,
            limit,
            vars,
            tags,
            skip_tags,
            check,
            diff,
            forks,
            verbosity,
            env,
            env_files,
            secrets,
            vault_password_file,
            private_key_file,
            remote_user,
            become_root,
            timeout,
            playbook_sha256,
        } = after;
        self.compare("path", &before.path, path);
        // Another file has another digest, and a job from before digests were kept has none.
        if before.path == *path && before.playbook_sha256.is_some() {
            self.compare("playbook_sha256", &before.playbook_sha256, playbook_sha256);
        }
        self.compare("inventory", &before.inventory, inventory);
        self.compare("limit", &before.limit, limit);
        self.compare_vars(&before.vars, vars);
        self.compare("tags", &before.tags, tags);
        self.compare("skip_tags", &before.skip_tags, skip_tags);
        self.compare("check", &before.check, check);
        self.compare("diff", &before.diff, diff);
        self.compare("forks", &before.forks, forks);
        self.compare("verbosity", &before.verbosity, verbosity);
        self.compare_env(&before.env, env);
        self.compare("env_files", &before.env_files, env_files);
        self.compare("secrets", &before.secrets, secrets);
        self.compare("vault_password_file", &before.vault_password_file, vault_password_file);
        self.compare("private_key_file", &before.private_key_file, private_key_file);
        self.compare("remote_user", &before.remote_user, remote_user);
        self.compare("become", &before.become_root, become_root);
        self.compare("timeout", &before.timeout, timeout);
    }

    fn compare<T: PartialEq + Serialize>(&mut self, parameter: &str, before: &T, after: &T) {
        if before != after {
            self.push(parameter.to_owned(), json(before), json(after));
        }
    }

    fn compare_vars(&mut self, before: &Map<String, Value>, after: &Map<String, Value>) {
        let new = after.keys().filter(|name| !before.contains_key(*name));
        for name in before.keys().chain(new) {
            let (old, new) = (before.get(name), after.get(name));
            if old != new {
                self.push(format!("vars.{name}"), json(&old), json(&new));
            }
        }
    }

    fn compare_env(&mut self, before: &BTreeMap<String, String>, after: &BTreeMap<String, String>) {
        let new = after.keys().filter(|name| !before.contains_key(*name));
        let hidden = |value: Option<&String>| value.map_or(Value::Null, |_| Value::from(HIDDEN));
        for name in before.keys().chain(new) {
            let (old, new) = (before.get(name), after.get(name));
            if old != new {
                self.push(format!("env.{name}"), hidden(old), hidden(new));
            }
        }
    }

    fn push(&mut self, parameter: String, before: Value, after: Value) {
        self.0.push(Change {
            parameter,
            before,
            after,
        });
    }
}

fn json<T: Serialize>(value: &T) -> Value {
    // Texts, numbers, lists and maps with names: nothing in them can fail to be JSON.
    serde_json::to_value(value).unwrap_or(Value::Null)
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            parameter,
            before,
            after,
        } = self;
        match (parameter.as_str(), after) {
            ("playbook_sha256", Value::Null) => f.write_str("the playbook file (it cannot be read)"),
            ("playbook_sha256", _) => f.write_str("the playbook file"),
            _ if before == after => write!(f, "{parameter}"),
            _ => write!(f, "{parameter} {} → {}", words(before), words(after)),
        }
    }
}

fn words(value: &Value) -> String {
    match value {
        Value::Null => "none".to_owned(),
        Value::String(text) if !text.is_empty() => shortened(text),
        other => shortened(&other.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::domain::checks::Checks;
    use crate::domain::ids::Target;

    fn plan(value: &Value) -> Plan {
        let mut all = json!({
            "path": "play.yml", "inventory": "hosts.yml", "limit": null, "vars": {}, "tags": [], "check": false,
            "timeout": "2m"
        });
        let fields = value.as_object().unwrap().clone();
        all.as_object_mut().unwrap().extend(fields);
        Plan {
            playbook: "p".to_owned(),
            target: Target::parse("t").unwrap(),
            parameters: serde_json::from_value(all).unwrap(),
            checks: Checks::default(),
        }
    }

    #[test]
    fn nothing_changed_between_equal_parameters() {
        let same = plan(&json!({"vars": {"a": 1}, "env": {"A": "b"}, "playbook_sha256": "00"}));
        assert_eq!(changes(&same, &same), []);
    }

    #[test]
    fn every_parameter_that_differs_is_named_with_both_values() {
        let before = plan(&json!({
            "limit": "web1", "vars": {"gone": null, "kept": 1, "set": "a"}, "forks": 5,
            "env": {"REGION": "eu", "OLD": "x"}
        }));
        let after = plan(&json!({
            "limit": "web2", "vars": {"kept": 1, "set": ["b"], "new": true}, "tags": ["t"], "skip_tags": ["s"],
            "check": true, "diff": true, "verbosity": 1, "env": {"REGION": "us", "NEW": "y"},
            "inventory": "edge.yml", "vault_password_file": "v", "private_key_file": "k", "remote_user": "ops",
            "become": true, "timeout": "5m"
        }));
        let found = changes(&before, &after);
        let lines: Vec<String> = found.iter().map(ToString::to_string).collect();
        insta::assert_snapshot!(lines.join("\n"), @r#"
        inventory hosts.yml → edge.yml
        limit web1 → web2
        vars.gone
        vars.set a → ["b"]
        vars.new none → true
        tags [] → ["t"]
        skip_tags [] → ["s"]
        check false → true
        diff false → true
        forks 5 → none
        verbosity 0 → 1
        env.OLD ****** → none
        env.REGION
        env.NEW none → ******
        vault_password_file none → v
        private_key_file none → k
        remote_user none → ops
        become false → true
        timeout 2m → 5m
        "#);
        let set = found.iter().find(|change| change.parameter == "vars.set").unwrap();
        assert_eq!((&set.before, &set.after), (&json!("a"), &json!(["b"])));
        let values = serde_json::to_string(&found).unwrap();
        assert!(!values.contains("eu") && !values.contains("\"us\""), "{values}");
    }

    #[test]
    fn an_edited_playbook_file_is_a_change_and_another_one_is_another_path() {
        let with = |path: &str, digest: Option<&str>| plan(&json!({"path": path, "playbook_sha256": digest}));
        let named = |before: &Plan, after: &Plan| sentence(&changes(before, after));
        let old = with("a.yml", Some("00"));
        assert_eq!(named(&old, &with("a.yml", Some("11"))), "the playbook file");
        assert_eq!(
            named(&old, &with("a.yml", None)),
            "the playbook file (it cannot be read)"
        );
        assert_eq!(named(&old, &with("b.yml", Some("11"))), "path a.yml → b.yml");
        assert_eq!(named(&with("a.yml", None), &old), "");
    }

    #[test]
    fn a_sentence_stays_short() {
        let vars: Map<String, Value> = (0..50).map(|n| (format!("v{n}"), json!("é".repeat(500)))).collect();
        let text = sentence(&changes(&plan(&json!({})), &plan(&json!({"vars": vars}))));
        assert!(
            text.ends_with("… and 40 more") && text.chars().count() < 1_000,
            "{text}"
        );
    }
}
