//! The payload that Alertmanager made and Grafana took over, read in either's dialect. Unknown fields are ignored, absent
//! ones are missed only where an alert cannot be handled without them.
//!
//! Source: `notify/webhook/webhook.go` and `template/template.go` of prometheus/alertmanager.

mod diagnose;

use serde::Deserialize;
use serde::de::IgnoredAny;

use crate::domain::alert::{Alert, AlertStatus, Group, Labels, Notification, Sender};
use crate::domain::ids::Fingerprint;
use crate::domain::timestamp::Timestamp;
use crate::ingest::InvalidPayload;
use crate::ingest::object::ObjectOnly;

/// What Go's zero time becomes; senders write it as the end of an alert that still fires.
const FIRST_YEAR_ENDS: &str = "0002-01-01T00:00:00Z";

/// In what the senders differ.
#[derive(Debug)]
pub(super) struct Dialect {
    pub(super) sender: Sender,
    /// The version that it has now.
    pub(super) version: u64,
    /// Whose payload it is, for people.
    pub(super) whose: &'static str,
    /// The version of the other sender, and a sentence for those who send it here.
    pub(super) mistaken: (u64, &'static str),
}

impl Dialect {
    /// Higher versions are taken too.
    pub(super) fn knows(&self, version: u64) -> bool {
        version >= self.version && version != self.mistaken.0
    }

    /// What is wrong with a version, if anything.
    fn version_error(&self, text: &str) -> Option<String> {
        match text.parse::<u64>() {
            Ok(number) if self.knows(number) => None,
            Ok(number) if number == self.mistaken.0 => Some(self.mistaken.1.to_owned()),
            Ok(_) | Err(_) => Some(format!(
                "version {text:?} is not supported; this endpoint takes {}, version \"{}\"",
                self.whose, self.version
            )),
        }
    }
}

/// Reads one notification.
///
/// # Errors
///
/// All that is wrong with it, by field.
pub(super) fn parse(bytes: &[u8], dialect: &Dialect) -> Result<Notification, InvalidPayload> {
    let refused = match serde_json::from_slice::<ObjectOnly<Payload>>(bytes) {
        Ok(payload) => match payload.0.into_notification(dialect) {
            Some(notification) => return Ok(notification),
            None => None,
        },
        Err(error) => Some(error),
    };
    // Only now is it worth a second look, which finds everything that is wrong and not just the first thing.
    Err(InvalidPayload::of(diagnose::errors(bytes, dialect, refused.as_ref())))
}

/// What a payload says of its sender.
pub(super) struct Head {
    pub(super) version: u64,
    /// Whether it names an organization, as only Grafana's does.
    pub(super) has_org: bool,
}

/// The head of a payload that names a version, if it can be read at all.
pub(super) fn head(bytes: &[u8]) -> Option<Head> {
    let head = serde_json::from_slice::<ObjectOnly<WireHead>>(bytes).ok()?.0;
    let version = match head.version? {
        Version::Text(text) => text.parse().ok()?,
        Version::Number(number) => number,
    };
    Some(Head {
        version,
        has_org: head.org_id.is_some(),
    })
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct WireHead {
    #[serde(default)]
    version: Option<Version>,
    #[serde(default)]
    org_id: Option<IgnoredAny>,
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
    fn into_notification(self, dialect: &Dialect) -> Option<Notification> {
        let known = match &self.version {
            None => true,
            Some(Version::Number(number)) => dialect.knows(*number),
            Some(Version::Text(text)) => dialect.version_error(text).is_none(),
        };
        if !known {
            return None;
        }
        let alerts: Option<Vec<Alert>> = self.alerts.into_iter().map(|alert| alert.0.into_alert()).collect();
        Some(Notification {
            sender: dialect.sender,
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

/// Both senders quote a receiver's name as if it were to become a regular expression: `web.hook` arrives as
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
mod tests {
    use super::*;

    #[test]
    fn escapes_in_the_receivers_name_are_removed() {
        for (sent, meant) in [
            (r"web\.hook", "web.hook"),
            (r"a\\b", r"a\b"),
            (r"team\(x\)\|y", "team(x)|y"),
            (r"plain", "plain"),
            (r"tail\", r"tail\"),
            (r"no\escape", r"no\escape"),
        ] {
            assert_eq!(without_escapes(sent), meant);
        }
    }
}
