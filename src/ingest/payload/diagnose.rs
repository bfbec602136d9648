//! Finds everything that is wrong with a payload that was refused. Slow and thorough; never on the good path.

use serde_json::{Map, Value};

use super::{Dialect, end_of};
use crate::domain::ids::Fingerprint;
use crate::domain::timestamp::Timestamp;
use crate::ingest::FieldError;

/// Every error, at least one. `refused` is what the quick reader said, if it said anything.
pub(super) fn errors(bytes: &[u8], dialect: &Dialect, refused: Option<&serde_json::Error>) -> Vec<FieldError> {
    let value = match serde_json::from_slice::<Value>(bytes) {
        Ok(value) => value,
        Err(error) => return vec![at("", format!("the body is not JSON: {error}"))],
    };
    let mut found = Found::default();
    match value {
        Value::Object(payload) => {
            found.version(dialect, payload.get("version"));
            found.payload(&payload);
        }
        other => found.push("", format!("must be a JSON object, not {}", kind(&other))),
    }
    if found.0.is_empty() {
        let message = refused.map_or_else(|| "cannot be read".to_owned(), ToString::to_string);
        found.push("", message);
    }
    found.0
}

#[derive(Default)]
struct Found(Vec<FieldError>);

impl Found {
    fn push(&mut self, field: &str, message: String) {
        self.0.push(at(field, message));
    }

    fn payload(&mut self, payload: &Map<String, Value>) {
        for name in ["groupKey", "receiver", "externalURL"] {
            self.optional_text(name, payload.get(name));
        }
        for name in ["commonLabels", "commonAnnotations"] {
            self.optional_texts(name, payload.get(name));
        }
        if let Some(count) = present(payload.get("truncatedAlerts"))
            && !count.is_u64()
        {
            self.push("truncatedAlerts", format!("must be a count, not {}", kind(count)));
        }
        match payload.get("alerts") {
            None => self.push("alerts", "is missing; it must be an array of alerts".to_owned()),
            Some(Value::Array(alerts)) => {
                for (index, alert) in alerts.iter().enumerate() {
                    self.alert(&format!("alerts[{index}]"), alert);
                }
            }
            Some(other) => self.push("alerts", format!("must be an array of alerts, not {}", kind(other))),
        }
    }

    fn version(&mut self, dialect: &Dialect, version: Option<&Value>) {
        let error = match present(version) {
            None => None,
            Some(Value::String(text)) => dialect.version_error(text),
            Some(Value::Number(number)) => dialect.version_error(&number.to_string()),
            Some(other) => Some(format!(
                "must be a text such as \"{}\", not {}",
                dialect.version,
                kind(other)
            )),
        };
        if let Some(message) = error {
            self.push("version", message);
        }
    }

    fn alert(&mut self, field: &str, alert: &Value) {
        let Value::Object(alert) = alert else {
            return self.push(field, format!("must be an object, not {}", kind(alert)));
        };
        self.status(&format!("{field}.status"), alert.get("status"));
        match alert.get("labels") {
            None => self.push(&format!("{field}.labels"), "is missing".to_owned()),
            Some(labels) => self.texts(&format!("{field}.labels"), labels),
        }
        self.optional_texts(&format!("{field}.annotations"), alert.get("annotations"));
        self.required_text(&format!("{field}.startsAt"), alert.get("startsAt"), |text| {
            text.parse::<Timestamp>().err().map(|error| error.to_string())
        });
        let ends_at = format!("{field}.endsAt");
        match present(alert.get("endsAt")) {
            Some(Value::String(text)) => {
                if let Err(message) = end_of(text) {
                    self.push(&ends_at, message);
                }
            }
            other => self.optional_text(&ends_at, other),
        }
        self.required_text(&format!("{field}.fingerprint"), alert.get("fingerprint"), |text| {
            Fingerprint::parse(text).err().map(|error| error.to_string())
        });
        self.optional_text(&format!("{field}.generatorURL"), alert.get("generatorURL"));
    }

    fn status(&mut self, field: &str, status: Option<&Value>) {
        self.required_text(field, status, |text| {
            (!matches!(text, "firing" | "resolved")).then(|| format!("must be firing or resolved, not {text:?}"))
        });
    }

    fn required_text(&mut self, field: &str, value: Option<&Value>, wrong: impl Fn(&str) -> Option<String>) {
        match value {
            None => self.push(field, "is missing".to_owned()),
            Some(Value::String(text)) => {
                if let Some(message) = wrong(text) {
                    self.push(field, message);
                }
            }
            Some(other) => self.push(field, format!("must be a text, not {}", kind(other))),
        }
    }

    fn optional_text(&mut self, field: &str, value: Option<&Value>) {
        if let Some(other) = present(value)
            && !other.is_string()
        {
            self.push(field, format!("must be a text, not {}", kind(other)));
        }
    }

    fn optional_texts(&mut self, field: &str, value: Option<&Value>) {
        if let Some(value) = present(value) {
            self.texts(field, value);
        }
    }

    fn texts(&mut self, field: &str, value: &Value) {
        let Value::Object(texts) = value else {
            return self.push(field, format!("must be an object of texts, not {}", kind(value)));
        };
        for (name, value) in texts {
            if !value.is_string() {
                self.push(
                    &format!("{field}.{name}"),
                    format!("must be a text, not {}", kind(value)),
                );
            }
        }
    }
}

fn at(field: &str, message: String) -> FieldError {
    FieldError {
        field: field.to_owned(),
        message,
    }
}

/// The value, unless it is `null`.
fn present(value: Option<&Value>) -> Option<&Value> {
    value.filter(|value| !value.is_null())
}

const fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "an array",
        Value::Object(_) => "an object",
    }
}
