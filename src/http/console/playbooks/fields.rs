//! The form of a playbook: its variables, its limit, and the labels that its templates ask for. And back: what was filled
//! in as what the API is asked.

use std::collections::BTreeSet;

use regex::Regex;
use serde_json::{Map, Value};

use crate::domain::alert::Labels;
use crate::http::api::manual::{GivenAlert, ManualRequest};
use crate::http::console::form::Form;
use crate::http::console::job::shown;
use crate::http::problem::{FieldError, Problem};
use crate::ingest::object::ObjectOnly;
use crate::remediations::PlaybookView;

/// One control.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Field {
    pub(super) id: String,
    pub(super) name: String,
    pub(super) label: String,
    pub(super) value: String,
    /// What is taken where the field stays empty, or what is written into it.
    pub(super) hint: String,
    pub(super) is_check: bool,
    pub(super) is_long: bool,
}

/// What was filled in.
#[derive(Debug)]
pub(super) struct Filled {
    pub(super) request: ManualRequest,
}

/// What templates ask of an alert.
fn asked_of_alert(playbook: &PlaybookView) -> (BTreeSet<String>, BTreeSet<String>) {
    let (mut labels, mut annotations) = (BTreeSet::new(), BTreeSet::new());
    // It is written here, so it can be read.
    let Ok(pattern) = Regex::new(r#"alert\.(labels|annotations)(?:\.([A-Za-z_][A-Za-z0-9_]*)|\[["']([^"']+)["']\])"#)
    else {
        return (labels, annotations);
    };
    let vars = playbook.vars.values().map(Value::to_string);
    let texts = vars.chain(playbook.limit.clone()).chain(playbook.lock.clone());
    for text in texts {
        let text = text.replace("\\\"", "\"");
        for found in pattern.captures_iter(&text) {
            let name = found
                .get(2)
                .or(found.get(3))
                .map_or("", |name| name.as_str())
                .to_owned();
            match &found[1] {
                "labels" => labels.insert(name),
                _ => annotations.insert(name),
            };
        }
    }
    (labels, annotations)
}

/// The controls, with what was filled in before.
pub(super) fn fields(playbook: &PlaybookView, given: Option<&Form>) -> Vec<Field> {
    let field = |name: String, label: String, hint: String| Field {
        id: format!("f-{}", name.replace(|c: char| !c.is_ascii_alphanumeric(), "-")),
        value: given.and_then(|form| form.get(&name)).unwrap_or_default().to_owned(),
        label,
        hint,
        is_check: false,
        is_long: false,
        name,
    };
    let (labels, annotations) = asked_of_alert(playbook);
    let mut all = Vec::new();
    for name in labels {
        all.push(field(
            format!("label.{name}"),
            format!("Label {name}"),
            "of the alert that its templates speak of".to_owned(),
        ));
    }
    for name in annotations {
        all.push(field(
            format!("annotation.{name}"),
            format!("Annotation {name}"),
            "of the alert".to_owned(),
        ));
    }
    for (name, value) in &playbook.vars {
        let kind = if value.is_string() { "" } else { ", as JSON" };
        let hint = format!("empty: {}{kind}", shown(value));
        let mut one = field(format!("var.{name}"), format!("Variable {name}"), hint);
        one.is_long = value.is_array() || value.is_object();
        all.push(one);
    }
    let limit = playbook.limit.as_deref().unwrap_or("all hosts that its plays choose");
    all.push(field(
        "limit".to_owned(),
        "Limit to hosts".to_owned(),
        format!("empty: {limit}"),
    ));
    let more = "one in a line, as NAME=VALUE; a value that is JSON is taken as such, and NAME= sets an empty text";
    let mut extra = field("vars".to_owned(), "More variables".to_owned(), more.to_owned());
    extra.is_long = true;
    all.push(extra);
    let mut check = field(
        "check".to_owned(),
        "Check mode".to_owned(),
        "only say what would change".to_owned(),
    );
    check.is_check = true;
    all.push(check);
    all
}

/// What was filled in, as a request. What stayed empty is left to the catalogue.
pub(super) fn fill(playbook: &PlaybookView, form: &Form) -> Result<Filled, Problem> {
    let (mut vars, mut errors) = (Map::new(), Vec::new());
    let (mut labels, mut annotations) = (Labels::new(), Labels::new());
    for (field, value) in form.all().filter(|(_, value)| !value.trim().is_empty()) {
        match field.split_once('.') {
            Some(("label", name)) => drop(labels.insert(name.to_owned(), value.trim().to_owned())),
            Some(("annotation", name)) => drop(annotations.insert(name.to_owned(), value.trim().to_owned())),
            Some(("var", name)) => match typed(playbook.vars.get(name), value) {
                Ok(value) => drop(vars.insert(name.to_owned(), value)),
                Err(message) => errors.push(FieldError {
                    field: format!("Variable {name}"),
                    message,
                }),
            },
            Some(_) | None => {}
        }
    }
    for line in form
        .get("vars")
        .unwrap_or_default()
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty())
    {
        match line.split_once('=') {
            Some((name, value)) if !name.trim().is_empty() => {
                drop(vars.insert(name.trim().to_owned(), guessed(value.trim())));
            }
            Some(_) | None => errors.push(FieldError {
                field: "More variables".to_owned(),
                message: format!("{line:?} is not NAME=VALUE"),
            }),
        }
    }
    if !errors.is_empty() {
        return Err(Problem::invalid_fields(errors));
    }
    let has_alert = !labels.is_empty() || !annotations.is_empty();
    Ok(Filled {
        request: ManualRequest {
            playbook: playbook.name.clone(),
            vars,
            limit: form
                .get("limit")
                .map(str::trim)
                .filter(|limit| !limit.is_empty())
                .map(str::to_owned),
            check: form.get("check") == Some("true"),
            alert: has_alert.then_some(ObjectOnly(GivenAlert { labels, annotations })),
        },
    })
}

/// As the catalogue's own value is: a text stays one, all else is JSON.
fn typed(own: Option<&Value>, value: &str) -> Result<Value, String> {
    match own {
        Some(Value::String(_)) => Ok(Value::from(value)),
        Some(_) => serde_json::from_str(value).map_err(|error| format!("is no JSON: {error}")),
        None => Ok(guessed(value)),
    }
}

/// JSON where it is some, otherwise a text.
fn guessed(value: &str) -> Value {
    serde_json::from_str(value).unwrap_or_else(|_| Value::from(value))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn playbook() -> PlaybookView {
        let vars = json!({
            "container": "{{ alert.labels.container }}",
            "note": "{{ alert.annotations[\"summary\"] }}",
            "keep_days": 7,
        });
        PlaybookView {
            name: "restart".to_owned(),
            path: "playbooks/restart.yml".to_owned(),
            description: None,
            inventory: "hosts.yml".to_owned(),
            limit: Some("{{ alert.labels.instance | host }}".to_owned()),
            vars: vars.as_object().unwrap().clone(),
            tags: Vec::new(),
            check: false,
            timeout: "2m".to_owned(),
            lock: None,
        }
    }

    #[test]
    fn the_form_asks_for_what_the_templates_ask_for() {
        let names: Vec<String> = fields(&playbook(), None).into_iter().map(|field| field.name).collect();
        assert_eq!(
            names,
            [
                "label.container",
                "label.instance",
                "annotation.summary",
                "var.container",
                "var.note",
                "var.keep_days",
                "limit",
                "vars",
                "check",
            ]
        );
    }

    #[test]
    fn what_is_filled_in_keeps_its_type_and_what_is_empty_is_left_to_the_catalogue() {
        let form = Form::of(&[
            ("label.container", "nginx"),
            ("var.container", ""),
            ("var.note", "42"),
            ("var.keep_days", "9"),
            ("vars", "dry=true\nwhy=because of x=y\nempty=\n"),
            ("limit", " web1 "),
            ("check", "true"),
        ]);
        let request = fill(&playbook(), &form).unwrap().request;
        assert_eq!(
            Value::Object(request.vars),
            json!({"note": "42", "keep_days": 9, "dry": true, "why": "because of x=y", "empty": ""})
        );
        assert_eq!((request.limit.as_deref(), request.check), (Some("web1"), true));
        assert_eq!(request.alert.unwrap().0.labels["container"], "nginx");
    }

    #[test]
    fn what_cannot_be_read_is_named() {
        let form = Form::of(&[("var.keep_days", "many"), ("vars", "nonsense")]);
        let problem = fill(&playbook(), &form).unwrap_err();
        let fields: Vec<&str> = problem.errors().iter().map(|error| error.field.as_str()).collect();
        assert_eq!(fields, ["Variable keep_days", "More variables"]);
    }
}
