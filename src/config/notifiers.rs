//! The section `notifiers`: whom to tell. Only checked so far; nothing is sent.

use crate::config::fields::{Fields, Keys, Slot};

const KEYS: Keys = Keys::of(&["name", "slack", "webhook", "email"]);
const SLACK: Keys = Keys::of(&["url", "url_file", "channel"]);
const WEBHOOK: Keys = Keys::of(&["url", "url_file", "secret", "secret_file"]);

/// Someone to tell about jobs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notifier {
    /// What a route's `notify.to` names.
    pub name: String,
    pub channel: Channel,
}

/// By which way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Channel {
    Slack,
    Webhook,
    Email,
}

pub(super) fn read(slot: &Slot<'_>) -> Vec<Notifier> {
    let mut notifiers: Vec<Notifier> = Vec::new();
    for item in slot.items() {
        let Some(notifier) = read_one(&item) else { continue };
        if notifiers.iter().any(|other| other.name == notifier.name) {
            item.error(&format!("has the name {:?}, which another notifier has", notifier.name));
        }
        notifiers.push(notifier);
    }
    if !notifiers.is_empty() {
        slot.warn("are read but not yet in force in this version");
    }
    notifiers
}

fn read_one(slot: &Slot<'_>) -> Option<Notifier> {
    let fields = slot.fields(&KEYS)?;
    let name = fields.require("name").and_then(|slot| slot.text().map(str::to_owned));
    let channels = [
        ("slack", Channel::Slack),
        ("webhook", Channel::Webhook),
        ("email", Channel::Email),
    ];
    let mut found = channels
        .into_iter()
        .filter_map(|(key, channel)| Some((fields.get(key)?, channel)));
    let (Some((value, channel)), None) = (found.next(), found.next()) else {
        slot.error("must have exactly one of slack, webhook, email");
        return None;
    };
    match channel {
        Channel::Slack => require_url(&value.fields(&SLACK)?),
        Channel::Webhook => require_url(&value.fields(&WEBHOOK)?),
        // What an e-mail needs is not settled before it can be sent.
        Channel::Email => drop(value.named()),
    }
    Some(Notifier { name: name?, channel })
}

fn require_url(fields: &Fields<'_>) {
    match (fields.get("url"), fields.get("url_file")) {
        (Some(slot), None) | (None, Some(slot)) => drop(slot.text()),
        (Some(_), Some(slot)) => slot.error("stands beside `url`; only one of them can be in force"),
        (None, None) => drop(fields.require("url")),
    }
}
