//! Alertmanager's webhook, version 4, as the versions in use really send it. Unknown fields are ignored, absent ones
//! are missed only where an alert cannot be handled without them.
//!
//! Source: `notify/webhook/webhook.go` and `template/template.go` of prometheus/alertmanager.

mod diagnose;

use serde::Deserialize;

use crate::domain::alert::{Alert, AlertStatus, Group, Labels, Notification, Sender};
use crate::domain::ids::Fingerprint;
use crate::domain::timestamp::Timestamp;
use crate::ingest::object::ObjectOnly;
use crate::ingest::{FieldError, InvalidPayload};

/// The version of the payload that Alertmanager has sent since 2016; higher ones are taken too.
const VERSION: u64 = 4;

/// What Go's zero time becomes; Alertmanager writes it as the end of an alert that still fires.
const FIRST_YEAR_ENDS: &str = "0002-01-01T00:00:00Z";

/// Reads one notification.
///
/// # Errors
///
/// All that is wrong with it, by field.
pub fn parse(bytes: &[u8]) -> Result<Notification, InvalidPayload> {
    let refused = match serde_json::from_slice::<ObjectOnly<Payload>>(bytes) {
        Ok(payload) => match payload.0.into_notification() {
            Some(notification) => return Ok(notification),
            None => None,
        },
        Err(error) => Some(error),
    };
    // Only now is it worth a second look, which finds everything that is wrong and not just the first thing.
    Err(InvalidPayload::of(diagnose::errors(bytes, refused.as_ref())))
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Payload {
    #[serde(default)]
    version: Option<Version>,
    #[serde(default)]
    group_key: Option<String>,
    #[serde(default)]
    truncated_alerts: Option<u64>,
    #[serde(default)]
    receiver: Option<String>,
    #[serde(default)]
    common_labels: Option<Labels>,
    #[serde(default)]
    common_annotations: Option<Labels>,
    #[serde(default, rename = "externalURL")]
    external_url: Option<String>,
    alerts: Vec<ObjectOnly<WireAlert>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct WireAlert {
    status: AlertStatus,
    labels: ObjectOnly<Labels>,
    #[serde(default)]
    annotations: Option<Labels>,
    starts_at: String,
    #[serde(default)]
    ends_at: Option<String>,
    fingerprint: String,
    #[serde(default, rename = "generatorURL")]
    generator_url: Option<String>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Version {
    Text(String),
    Number(u64),
}

impl Payload {
    fn into_notification(self) -> Option<Notification> {
        let known = match &self.version {
            None => true,
            Some(Version::Number(number)) => *number >= VERSION,
            Some(Version::Text(text)) => version_error(text).is_none(),
        };
        if !known {
            return None;
        }
        let alerts: Option<Vec<Alert>> = self.alerts.into_iter().map(|alert| alert.0.into_alert()).collect();
        Some(Notification {
            sender: Sender::Alertmanager,
            group: Group {
                group_key: self.group_key.unwrap_or_default(),
                receiver: without_escapes(&self.receiver.unwrap_or_default()),
                common_labels: self.common_labels.unwrap_or_default(),
                common_annotations: self.common_annotations.unwrap_or_default(),
                external_url: self.external_url.unwrap_or_default(),
            },
            alerts: alerts?,
            truncated_alerts: self.truncated_alerts.unwrap_or(0),
        })
    }
}

impl WireAlert {
    fn into_alert(self) -> Option<Alert> {
        let ends_at = match self.ends_at.as_deref() {
            None => None,
            Some(text) => end_of(text).ok()?,
        };
        Some(Alert {
            status: self.status,
            labels: self.labels.0,
            annotations: self.annotations.unwrap_or_default(),
            starts_at: self.starts_at.parse().ok()?,
            ends_at: ends_at.filter(|_| self.status == AlertStatus::Resolved),
            fingerprint: Fingerprint::parse(&self.fingerprint).ok()?,
            generator_url: self.generator_url.unwrap_or_default(),
        })
    }
}

/// The end of an alert; `None` for the empty text and for Go's zero time.
fn end_of(text: &str) -> Result<Option<Timestamp>, String> {
    if text.is_empty() {
        return Ok(None);
    }
    let end: Timestamp = text
        .parse()
        .map_err(|error: crate::domain::timestamp::InvalidTimestamp| error.to_string())?;
    let no_end = FIRST_YEAR_ENDS.parse::<Timestamp>().is_ok_and(|zero| end < zero);
    Ok((!no_end).then_some(end))
}

/// What is wrong with a version, if anything.
fn version_error(text: &str) -> Option<String> {
    match text.parse::<u64>() {
        Ok(number) if number >= VERSION => None,
        Ok(1) => Some(
            "version \"1\" is Grafana Alerting's webhook; this endpoint takes Alertmanager's, version \"4\"".to_owned(),
        ),
        Ok(_) | Err(_) => Some(format!(
            "version {text:?} is not supported; this endpoint takes Alertmanager's webhook, version \"4\""
        )),
    }
}

/// Alertmanager quotes a receiver's name as if it were to become a regular expression: `web.hook` arrives as
/// `web\.hook`.
fn without_escapes(receiver: &str) -> String {
    let mut plain = String::with_capacity(receiver.len());
    let mut rest = receiver.chars().peekable();
    while let Some(c) = rest.next() {
        let escapes = c == '\\' && rest.peek().is_some_and(|next| r"\.+*?()|[]{}^$".contains(*next));
        if !escapes {
            plain.push(c);
        } else if let Some(escaped) = rest.next() {
            plain.push(escaped);
        }
    }
    plain
}

#[cfg(test)]
mod tests;
