use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use super::*;
use crate::catalog::{Catalog, Defaults};
use crate::config::Settings;

/// The least that healgate.yml says where every mapping with defaults is there.
fn least_settings() -> Value {
    json!({
        "server": {}, "database": {}, "ansible": {}, "worker": {}, "retention": {},
        "auth": { "grafana": { "secret_file": "secret" } },
        "notifiers": [{ "name": "ops", "email": { "host": "mail", "from": "a@b.example", "to": "c@d.example" } }],
        "alertmanagers": [{ "url": "http://am:9093" }],
        "prometheus": { "url": "http://prometheus:9090" },
    })
}

/// The same of remediations.yml.
fn least_catalogue() -> Value {
    json!({
        "playbooks": { "NAME": { "path": "play.yml" } },
        "routes": [{
            "name": "r", "matchers": ["a=b"], "playbook": "NAME", "retry": { "attempts": 2 }, "approval": {},
            "precondition": { "query": "up" }, "notify": { "to": ["ops"] },
        }],
    })
}

/// What words mean there.
fn in_words() -> Vec<(&'static str, &'static str, Value)> {
    vec![
        ("notifiers[].email", "port", json!(587)),
        ("alertmanagers[]", "name", json!("am:9093")),
        ("prometheus", "name", json!("prometheus:9090")),
        ("playbooks.NAME", "inventory", json!("inventory/hosts.yml")),
        (
            "routes[].notify",
            "events",
            json!([
                "failed",
                "not_healed",
                "exhausted",
                "awaiting_approval",
                "lost",
                "breaker_opened",
                "storm",
                "heartbeat_missed"
            ]),
        ),
    ]
}

/// Each key whose documented default is a value, with the mapping it is in.
fn values(path: &str, keys: &Keys, found: &mut Vec<(String, &'static str, Value)>) {
    for key in keys.known {
        // What comes after the value says when it is another one.
        if let Some((value, _)) = key.default.strip_prefix('`').and_then(|rest| rest.split_once('`')) {
            found.push((path.to_owned(), key.name, read(value)));
        }
        let below = if path.is_empty() {
            key.name.to_owned()
        } else {
            format!("{path}.{}", key.name)
        };
        match key.below {
            Below::Nothing => {}
            Below::Mapping(keys) => values(&below, keys, found),
            Below::List(keys) => values(&format!("{below}[]"), keys, found),
            Below::Named(keys) => values(&format!("{below}.NAME"), keys, found),
        }
    }
}

/// A value as the page writes it: one of YAML.
fn read(text: &str) -> Value {
    match text.strip_prefix('[').and_then(|list| list.strip_suffix(']')) {
        Some(list) => list.split(", ").map(read).collect(),
        None => serde_json::from_str(text).unwrap_or_else(|_| text.into()),
    }
}

/// The mapping at that path of a file.
fn mapping<'a>(file: &'a mut Value, path: &str) -> &'a mut Value {
    let pointer = match path {
        "" => String::new(),
        path => format!("/{}", path.replace("[]", "/0").replace('.', "/")),
    };
    file.pointer_mut(&pointer)
        .unwrap_or_else(|| panic!("the least file lacks {path}"))
}

/// What the parser makes of both files.
fn parsed(folder: &Path, settings: &Value, catalogue: &Value) -> String {
    let write = |name: &str, value: &Value| fs::write(folder.join(name), value.to_string()).unwrap();
    write("healgate.yml", settings);
    write("remediations.yml", catalogue);
    let settings = Settings::load(&folder.join("healgate.yml"), &[]).unwrap_or_else(|errors| panic!("{errors}"));
    let catalogue = Catalog::load(&folder.join("remediations.yml"), &Defaults::from(&settings));
    let catalogue = catalogue.unwrap_or_else(|errors| panic!("{errors}"));
    format!("{settings:#?}\n{catalogue:#?}")
}

#[test]
fn a_key_that_is_set_to_its_documented_default_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("inventory")).unwrap();
    for (name, text) in [("play.yml", "[]"), ("inventory/hosts.yml", "{}"), ("secret", "s3cret")] {
        fs::write(folder.path().join(name), text).unwrap();
    }
    let mut found = Vec::new();
    values("", &crate::config::KEYS, &mut found);
    let of_settings = found.len();
    values("", &crate::catalog::KEYS, &mut found);
    assert!(of_settings > 15 && found.len() > of_settings + 10, "{found:?}");
    found.extend(
        in_words()
            .into_iter()
            .map(|(path, key, value)| (path.to_owned(), key, value)),
    );
    let mut wrong = String::new();
    for (at, (path, key, value)) in found.into_iter().enumerate() {
        let is_of_settings = at < of_settings || least_settings().get(top(&path)).is_some();
        let with = |set: Option<&Value>| {
            let (mut settings, mut catalogue) = (least_settings(), least_catalogue());
            let file = if is_of_settings { &mut settings } else { &mut catalogue };
            let mapping = mapping(file, &path).as_object_mut().unwrap();
            mapping.shift_remove(key);
            mapping.extend(set.map(|value| (key.to_owned(), value.clone())));
            parsed(folder.path(), &settings, &catalogue)
        };
        let (without, told) = (with(None), with(Some(&value)));
        if told != without {
            wrong.push_str(&format!("`{path}` {key}: {value}\n{}", difference(&without, &told)));
        }
    }
    assert_eq!(wrong, "", "these are not the defaults");
}

/// The first key of a path.
fn top(path: &str) -> &str {
    path.split(['.', '[']).next().unwrap_or_default()
}

/// The lines that are not the same.
fn difference(one: &str, other: &str) -> String {
    let pairs = one.lines().zip(other.lines()).filter(|(one, other)| one != other);
    pairs.take(5).map(|(one, other)| format!("{one}\n{other}\n")).collect()
}
