//! Turns what senders post into alerts. Never touches the store, never decides anything.

pub mod alertmanager;
pub mod grafana;
pub(crate) mod object;
mod payload;

use crate::domain::alert::{Notification, Sender};

/// How many errors of one payload are listed at most.
pub const MOST_ERRORS: usize = 20;

/// One thing that is wrong with a payload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldError {
    /// Where, as in `alerts[3].fingerprint`; empty for the payload as a whole.
    pub field: String,
    /// What, for people.
    pub message: String,
}

/// The payload is not what the endpoint takes.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}", first(.errors))]
pub struct InvalidPayload {
    /// The first [`MOST_ERRORS`] of them, never empty.
    pub errors: Vec<FieldError>,
    /// How many there are in all.
    pub found: usize,
}

/// Reads one notification of that sender.
///
/// # Errors
///
/// All that is wrong with it, by field.
pub fn parse(sender: Sender, bytes: &[u8]) -> Result<Notification, InvalidPayload> {
    match sender {
        Sender::Alertmanager => alertmanager::parse(bytes),
        Sender::Grafana => grafana::parse(bytes),
    }
}

/// Whose notification that is, by its version and what only Grafana sends; Alertmanager's where it does not say.
pub fn sender_of(bytes: &[u8]) -> Sender {
    if grafana::is_it(bytes) {
        Sender::Grafana
    } else {
        Sender::Alertmanager
    }
}

impl InvalidPayload {
    fn of(mut errors: Vec<FieldError>) -> Self {
        let found = errors.len();
        errors.truncate(MOST_ERRORS);
        Self { errors, found }
    }
}

fn first(errors: &[FieldError]) -> String {
    errors.first().map_or_else(String::new, |error| {
        if error.field.is_empty() {
            error.message.clone()
        } else {
            format!("{}: {}", error.field, error.message)
        }
    })
}
