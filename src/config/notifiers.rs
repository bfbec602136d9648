//! The section `notifiers`: whom to tell, and by which way. Reads no secret: their files are read when they are needed.

mod email;
mod secret;

use std::path::{Path, PathBuf};

pub use email::{Email, Encryption, Login};
pub use secret::Secret;

use crate::config::fields::keys::Below;
use crate::config::fields::{Fields, Key, Keys, Slot};
use crate::domain::span::Span;

pub(super) const KEYS: Keys = Keys::of(&[
    Key::of("name", Key::REQUIRED, "what a route's `notify.to` names"),
    Key::of(
        "slack",
        "none",
        "an incoming webhook of Slack. Exactly one of `slack`, `webhook` and `email` must be there",
    )
    .with(Below::Mapping(&SLACK)),
    Key::of("webhook", "none", "a program that takes JSON").with(Below::Mapping(&WEBHOOK)),
    Key::of("email", "none", "mailboxes").with(Below::Mapping(&email::KEYS)),
    Key::of(
        "rate",
        "`30 per 1m`",
        "so many messages in that time, at most; what is more waits",
    ),
    Key::of("template", "none", "a file with the text, instead of the built-in one"),
]);
const SLACK: Keys = Keys::of(&[
    Key::of(
        "url",
        "none",
        "whoever knows it can post, so better in a file. This or `url_file` is required",
    ),
    Key::of("url_file", "none", "a file that holds it"),
    Key::of("channel", "none", "for old webhooks that follow it"),
    Key::of("ca_file", "none", "certificates in PEM to trust beside the system's"),
]);
const WEBHOOK: Keys = Keys::of(&[
    Key::of("url", "none", "this or `url_file` is required"),
    Key::of("url_file", "none", "a file that holds it"),
    Key::of("secret", "none", "signs the requests"),
    Key::of("secret_file", "none", "a file that holds it"),
    Key::of("ca_file", "none", "certificates in PEM to trust beside the system's"),
]);

/// Someone to tell about jobs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notifier {
    /// What a route's `notify.to` names.
    pub name: String,
    pub channel: Channel,
    pub rate: Rate,
    /// A template for the text, instead of the built-in one.
    pub template: Option<PathBuf>,
}

/// By which way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Channel {
    Slack(Slack),
    Webhook(Webhook),
    Email(Email),
}

/// An incoming webhook of Slack, or of a chat that takes the same.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Slack {
    /// Whoever knows it can post.
    pub url: Secret,
    /// Another channel than that of the webhook; only old webhooks follow it.
    pub channel: Option<String>,
    /// Certificates to trust beside the system's.
    pub ca_file: Option<PathBuf>,
}

/// A program that takes JSON.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Webhook {
    pub url: Secret,
    /// With which the requests are signed.
    pub secret: Option<Secret>,
    /// Certificates to trust beside the system's.
    pub ca_file: Option<PathBuf>,
}

/// How many messages in which time, at most.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    pub messages: u32,
    pub within: Span,
}

impl Default for Rate {
    /// Slack takes about one message in a second, and nobody reads more than this.
    fn default() -> Self {
        Self {
            messages: 30,
            within: Span::from_secs(60),
        }
    }
}

/// Relative paths begin at `base`.
pub(super) fn read(slot: &Slot<'_>, base: &Path) -> Vec<Notifier> {
    let mut notifiers: Vec<Notifier> = Vec::new();
    for item in slot.items() {
        let Some(notifier) = read_one(&item, base) else {
            continue;
        };
        if notifiers.iter().any(|other| other.name == notifier.name) {
            item.error(&format!("has the name {:?}, which another notifier has", notifier.name));
        }
        notifiers.push(notifier);
    }
    notifiers
}

fn read_one(slot: &Slot<'_>, base: &Path) -> Option<Notifier> {
    let fields = slot.fields(&KEYS)?;
    let name = fields.require("name").and_then(|slot| name(&slot));
    let rate = fields.get("rate").and_then(|slot| rate(&slot)).unwrap_or_default();
    let template = existing_file(&fields, "template", base);
    let mut ways = ["slack", "webhook", "email"]
        .into_iter()
        .filter_map(|key| Some((key, fields.get(key)?)));
    let (Some((key, value)), None) = (ways.next(), ways.next()) else {
        slot.error("must have exactly one of slack, webhook, email");
        return None;
    };
    let channel = match key {
        "slack" => slack(&value.fields(&SLACK)?, base).map(Channel::Slack),
        "webhook" => webhook(&value.fields(&WEBHOOK)?, base).map(Channel::Webhook),
        _ => Email::read(&value, base).map(Channel::Email),
    };
    Some(Notifier {
        name: name?,
        channel: channel?,
        rate,
        template,
    })
}

fn name(slot: &Slot<'_>) -> Option<String> {
    let name = slot.text()?;
    if name.contains(char::is_control) {
        slot.error("must not have control characters");
        return None;
    }
    Some(name.to_owned())
}

fn slack(fields: &Fields<'_>, base: &Path) -> Option<Slack> {
    let url = url(fields, base);
    Some(Slack {
        channel: fields.text("channel"),
        ca_file: existing_file(fields, "ca_file", base),
        url: url?,
    })
}

fn webhook(fields: &Fields<'_>, base: &Path) -> Option<Webhook> {
    let url = url(fields, base);
    Some(Webhook {
        secret: Secret::read(fields, "secret", base),
        ca_file: existing_file(fields, "ca_file", base),
        url: url?,
    })
}

/// Never repeats what it refuses: the URL may be the secret itself.
fn url(fields: &Fields<'_>, base: &Path) -> Option<Secret> {
    let url = Secret::require(fields, "url", base)?;
    if let (Secret::Inline(text), Some(slot)) = (&url, fields.get("url"))
        && !["http://", "https://"].iter().any(|scheme| text.starts_with(scheme))
    {
        slot.error("must be a URL that begins with https:// or http://");
        return None;
    }
    Some(url)
}

/// `30 per 1m`.
fn rate(slot: &Slot<'_>) -> Option<Rate> {
    let text = slot.raw("a rate such as 30 per 1m")?;
    let words: Vec<&str> = text.split_whitespace().collect();
    let rate = match words[..] {
        [messages, "per", within] => messages.parse().ok().zip(within.parse().ok()),
        _ => None,
    };
    let rate = rate.filter(|(messages, within)| *messages > 0 && *within != Span::default());
    if rate.is_none() {
        slot.error(&format!(
            "must be a number of messages per duration, such as 30 per 1m, not {text:?}"
        ));
    }
    rate.map(|(messages, within)| Rate { messages, within })
}

/// A file that is no secret, and so is there when the settings are read.
fn existing_file(fields: &Fields<'_>, key: &str, base: &Path) -> Option<PathBuf> {
    let slot = fields.get(key)?;
    let path = base.join(slot.text()?);
    if !path.is_file() {
        slot.error(&format!("names a file that does not exist: {}", path.display()));
    }
    Some(path)
}
