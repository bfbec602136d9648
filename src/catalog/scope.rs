//! What a template sees: `alert`, `group` and `job`.

use std::sync::Arc;

use minijinja::value::{Enumerator, Object, Value};

use crate::config::fields::did_you_mean;
use crate::domain::alert::{Alert, AlertStatus, Group, Labels};
use crate::domain::ids::JobId;

/// What a playbook is rendered for.
#[derive(Clone, Copy, Debug)]
pub struct Scope<'a> {
    /// `None` for a job made by hand without one.
    pub alert: Option<&'a Alert>,
    /// `None` where no notification brought the alert.
    pub group: Option<&'a Group>,
    pub job: JobId,
    pub attempt: u32,
}

const ROOTS: [&str; 3] = ["alert", "group", "job"];
const ALERT: [&str; 7] = [
    "status",
    "labels",
    "annotations",
    "starts_at",
    "ends_at",
    "fingerprint",
    "generator_url",
];
const GROUP: [&str; 5] = [
    "group_key",
    "common_labels",
    "common_annotations",
    "receiver",
    "external_url",
];
const JOB: [&str; 2] = ["id", "attempt"];

/// Whether templates may use `root`, and of it `attribute`; the error says what they may use.
pub(super) fn check_name(root: &str, attribute: Option<&str>) -> Result<(), String> {
    let attributes: &[&str] = match root {
        "alert" => &ALERT,
        "group" => &GROUP,
        "job" => &JOB,
        _ => {
            let hint = did_you_mean(root, &ROOTS);
            return Err(format!(
                "unknown name `{root}`{hint}; templates see {}",
                ROOTS.join(", ")
            ));
        }
    };
    match attribute {
        Some(attribute) if !attributes.contains(&attribute) => {
            let hint = did_you_mean(attribute, attributes);
            let known = attributes.join(", ");
            Err(format!("`{root}` has no `{attribute}`{hint}; it has {known}"))
        }
        _ => Ok(()),
    }
}

impl Scope<'_> {
    /// For any number of templates. What is absent is undefined, so that strict templates refuse it by name.
    pub(super) fn value(&self) -> Value {
        let mut names = vec![("job", job(self.job, self.attempt))];
        names.extend(self.alert.map(|value| ("alert", alert(value))));
        names.extend(self.group.map(|value| ("group", group(value))));
        Value::from_pairs(names)
    }
}

fn job(id: JobId, attempt: u32) -> Value {
    Value::from_pairs([("id", Value::from(id.to_string())), ("attempt", Value::from(attempt))])
}

fn alert(alert: &Alert) -> Value {
    let status = match alert.status {
        AlertStatus::Firing => "firing",
        AlertStatus::Resolved => "resolved",
    };
    let ends_at = alert.ends_at.map(|time| time.to_string());
    Value::from_pairs(ALERT.into_iter().zip([
        Value::from(status),
        labels(&alert.labels),
        labels(&alert.annotations),
        Value::from(alert.starts_at.to_string()),
        Value::from(ends_at),
        Value::from(alert.fingerprint.as_str()),
        Value::from(alert.generator_url.as_str()),
    ]))
}

fn group(group: &Group) -> Value {
    Value::from_pairs(GROUP.into_iter().zip([
        Value::from(group.group_key.as_str()),
        labels(&group.common_labels),
        labels(&group.common_annotations),
        Value::from(group.receiver.as_str()),
        Value::from(group.external_url.as_str()),
    ]))
}

fn labels(labels: &Labels) -> Value {
    Value::from_pairs(labels.iter().map(|(name, value)| (name.as_str(), value.as_str())))
}

/// A scope in which every label is there, to try a template out before there is an alert.
pub(super) fn sample() -> Value {
    let anything = || Value::from_object(Anything);
    let record = |names: &[&'static str]| -> Value {
        let fields = names.iter().map(|name| match *name {
            "labels" | "annotations" | "common_labels" | "common_annotations" => (*name, anything()),
            _ => (*name, Value::from("1")),
        });
        Value::from_pairs(fields)
    };
    Value::from_pairs(ROOTS.into_iter().zip([record(&ALERT), record(&GROUP), record(&JOB)]))
}

/// Labels of which each has a value.
#[derive(Debug)]
struct Anything;

impl Object for Anything {
    fn get_value(self: &Arc<Self>, _name: &Value) -> Option<Value> {
        Some(Value::from("1"))
    }

    fn enumerate(self: &Arc<Self>) -> Enumerator {
        Enumerator::Str(&["alertname"])
    }
}
