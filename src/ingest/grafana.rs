//! Grafana Alerting's webhook, version 1. It has Alertmanager's fields and more: `orgId`, `title`, `state`, `message`; of
//! an alert `values`, `valueString`, `silenceURL`, `dashboardURL`, `panelURL`, `imageURL`. They decide nothing here, and
//! stay in the notification as received.
//!
//! The fingerprint is that of the labels in Grafana, of which some (`__alert_rule_uid__`) are not sent: it cannot be
//! computed from those that are.
//!
//! Source: `receivers/webhook/v1/webhook.go` and `templates/template_data.go` of grafana/alerting.

use crate::domain::alert::{Notification, Sender};
use crate::ingest::InvalidPayload;
use crate::ingest::payload::{self, Dialect};

const DIALECT: Dialect = Dialect {
    sender: Sender::Grafana,
    version: 1,
    whose: "Grafana Alerting's webhook",
    mistaken: (
        4,
        "version \"4\" is Alertmanager's webhook; this endpoint takes Grafana Alerting's, version \"1\": post to \
         /webhooks/alertmanager",
    ),
};

/// Reads one notification.
///
/// # Errors
///
/// All that is wrong with it, by field.
pub fn parse(bytes: &[u8]) -> Result<Notification, InvalidPayload> {
    payload::parse(bytes, &DIALECT)
}

/// Whether the payload says that it is Grafana's: by its version, or by a later one and a field that only Grafana has.
pub(super) fn is_it(bytes: &[u8]) -> bool {
    payload::head(bytes)
        .is_some_and(|head| head.version == DIALECT.version || (DIALECT.knows(head.version) && head.has_org))
}

#[cfg(test)]
mod tests;
