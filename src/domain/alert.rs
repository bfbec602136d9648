//! Alerts and the notifications that carry them, whoever sent them.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::domain::ids::Fingerprint;
use crate::domain::job::words;
use crate::domain::timestamp::Timestamp;

/// Names and values, ordered by name.
pub type Labels = BTreeMap<String, String>;

/// The fingerprint that Alertmanager gives to an alert with these labels: FNV-1a of 64 bits over names and values in
/// order, each ended by 0xff. It drops labels without a value.
///
/// Source: `labelSetToFingerprint` in `model/signature.go` of prometheus/common.
pub fn fingerprint(labels: &Labels) -> Fingerprint {
    const OFFSET: u64 = 0xcbf2_9ce4_8422_2325;
    const PRIME: u64 = 0x0100_0000_01b3;
    let texts = labels
        .iter()
        .filter(|(_, value)| !value.is_empty())
        .flat_map(|(name, value)| [name, value]);
    let bytes = texts.flat_map(|text| text.bytes().chain([0xff]));
    Fingerprint::of_hash(bytes.fold(OFFSET, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(PRIME)))
}

words!(
    /// Whether the condition holds.
    AlertStatus {
        Firing = "firing",
        Resolved = "resolved",
    }
);

/// Which program posts to us.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Sender {
    Alertmanager,
    Grafana,
}

impl Sender {
    /// As metrics and the API name it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Alertmanager => "alertmanager",
            Self::Grafana => "grafana",
        }
    }
}

/// One labelled condition, as one notification reported it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Alert {
    pub status: AlertStatus,
    pub labels: Labels,
    pub annotations: Labels,
    pub starts_at: Timestamp,
    /// `None` while it fires; senders write the year 1 for that.
    pub ends_at: Option<Timestamp>,
    pub fingerprint: Fingerprint,
    pub generator_url: String,
}

impl Alert {
    /// The label `alertname`, or nothing.
    pub fn name(&self) -> &str {
        self.labels.get("alertname").map_or("", String::as_str)
    }
}

/// What the alerts of one notification have in common.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Group {
    pub group_key: String,
    /// With the sender's regular-expression escapes removed.
    pub receiver: String,
    pub common_labels: Labels,
    pub common_annotations: Labels,
    pub external_url: String,
}

/// One accepted POST, parsed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notification {
    pub sender: Sender,
    pub group: Group,
    pub alerts: Vec<Alert>,
    /// How many alerts of the group the sender left out.
    pub truncated_alerts: u64,
}
