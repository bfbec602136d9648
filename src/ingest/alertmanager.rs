//! Alertmanager's webhook, version 4, as the versions in use really send it.
//!
//! Source: `notify/webhook/webhook.go` of prometheus/alertmanager.

use crate::domain::alert::{Notification, Sender};
use crate::ingest::InvalidPayload;
use crate::ingest::payload::{self, Dialect};

const DIALECT: Dialect = Dialect {
    sender: Sender::Alertmanager,
    // Sent since 2016.
    version: 4,
    whose: "Alertmanager's webhook",
    mistaken: (
        1,
        "version \"1\" is Grafana Alerting's webhook; this endpoint takes Alertmanager's, version \"4\": post to \
         /webhooks/grafana",
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

#[cfg(test)]
mod tests;
