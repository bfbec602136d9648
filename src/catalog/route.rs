//! An entry of `routes`: what it matches, runs and asks. Its rules about how often are read in `rules`.

use crate::catalog::{query, rules};
use crate::config::fields::{Fields, Keys, Slot, did_you_mean};
use crate::config::yaml::Kind;
use crate::domain::heartbeat::Heartbeat;
use crate::domain::matcher::Matcher;
use crate::domain::notify::{Notify, NotifyEvent};
use crate::domain::route::{Mode, OnResolved, Route};
use crate::domain::span::Span;

const KEYS: Keys = Keys {
    known: &[
        "name",
        "matchers",
        "playbook",
        "mode",
        "continue",
        "cooldown",
        "caps",
        "retry",
        "verify",
        "precondition",
        "silence",
        "otherwise",
        "on_resolved",
        "expires",
        "again_after",
        "notify",
        "breaker",
        "flap",
        "approval",
        "at_once",
        "unless",
        "heartbeat",
    ],
    elsewhere: &[
        ("secrets", "an entry of `playbooks` in remediations.yml"),
        ("storm", "remediations.yml, at its top"),
    ],
};
const VERIFY: Keys = Keys::of(&["resolved_within", "query"]);
const HEARTBEAT: Keys = Keys::of(&["every", "grace"]);
const NOTIFY: Keys = Keys::of(&["to", "events"]);
const RUN: Keys = Keys::of(&["run"]);

const MODES: [(&str, Mode); 3] = [
    ("auto", Mode::Auto),
    ("approve", Mode::Approve),
    ("observe", Mode::Observe),
];
const CANCELS: [(&str, bool); 2] = [("ignore", false), ("cancel", true)];

const DEFAULT_EXPIRES: Span = Span::from_secs(3600);

/// Reads a route; `playbooks` are the names that it may use, `notifiers` those that it may tell, if they are known.
/// `None` after an error.
pub(super) fn read(slot: &Slot<'_>, playbooks: &[&str], notifiers: Option<&[String]>) -> Option<Route> {
    let fields = slot.fields(&KEYS)?;
    let name = fields.require("name").and_then(|slot| slot.text());
    let matchers = fields.require("matchers").and_then(|slot| matchers(&slot));
    let heartbeat = fields.get("heartbeat");
    let playbook = match heartbeat {
        // It is enough to hear the alert.
        Some(_) => fields.get("playbook"),
        None => fields.require("playbook"),
    };
    let playbook = playbook.and_then(|slot| known_playbook(&slot, playbooks));
    let verify = fields.get("verify").and_then(|slot| slot.fields(&VERIFY));
    let checks = query::read(&fields, verify.as_ref());
    let resolved_within = verify.and_then(|fields| fields.require("resolved_within"));
    let on_resolved = fields.get("on_resolved");
    Some(Route {
        name: name.unwrap_or_default().to_owned(),
        matchers: matchers.unwrap_or_default(),
        playbook,
        mode: fields.word("mode", &MODES, Mode::Auto),
        goes_on: fields.flag("continue", false),
        resolved_within: resolved_within.and_then(|slot| slot.positive_span()),
        on_resolved: on_resolved.map_or(OnResolved::default(), |slot| self::on_resolved(&slot, playbooks)),
        expires: fields.positive_span("expires", DEFAULT_EXPIRES),
        again_after: fields.get("again_after").and_then(|slot| slot.positive_span()),
        approval_expires: rules::approval_expires(&fields),
        cooldown: fields.get("cooldown").and_then(|slot| slot.span()).unwrap_or_default(),
        caps: rules::caps(&fields),
        retry: rules::retry(&fields),
        otherwise: ladder(&fields, playbooks),
        breaker: rules::breaker(&fields),
        flap: rules::flap(&fields),
        at_once: rules::at_once(&fields),
        unless: fields.get("unless").map_or_else(Vec::new, |slot| unless(&slot)),
        heartbeat: heartbeat.and_then(|slot| read_heartbeat(&slot)),
        notify: fields.get("notify").and_then(|slot| notify(&slot, notifiers)),
        checks,
    })
}

fn matchers(slot: &Slot<'_>) -> Option<Vec<Matcher>> {
    if let Kind::Scalar(_) = slot.node.kind
        && !slot.node.is_null()
    {
        slot.error("must be a list, such as ['alertname=\"NginxDown\"']");
        return None;
    }
    let items = slot.items();
    let is_list = matches!(slot.node.kind, Kind::Sequence(_)) || slot.node.is_null();
    if items.is_empty() && is_list {
        slot.error("is empty: the route would match every alert; write at least one matcher");
    }
    Some(items.iter().filter_map(matcher).collect())
}

/// Each entry is a guard of its own, so none guards nothing.
fn unless(slot: &Slot<'_>) -> Vec<Matcher> {
    slot.items().iter().filter_map(matcher).collect()
}

fn read_heartbeat(slot: &Slot<'_>) -> Option<Heartbeat> {
    let fields = slot.fields(&HEARTBEAT)?;
    let every = fields.require("every").and_then(|slot| slot.positive_span());
    let grace = fields.get("grace").and_then(|slot| slot.span());
    Some(Heartbeat { every: every?, grace })
}

fn matcher(slot: &Slot<'_>) -> Option<Matcher> {
    let text = slot.text()?;
    match Matcher::parse(text) {
        Ok(matcher) => Some(matcher),
        Err(error) => {
            slot.error_inside(error.offset, &format!("is no valid matcher: {}", error.message));
            None
        }
    }
}

fn known_playbook(slot: &Slot<'_>, playbooks: &[&str]) -> Option<String> {
    let name = slot.text()?;
    if !playbooks.contains(&name) {
        let hint = did_you_mean(name, playbooks);
        slot.error(&format!(
            "names the playbook {name:?}, which is not under `playbooks`{hint}"
        ));
    }
    Some(name.to_owned())
}

fn ladder(fields: &Fields<'_>, playbooks: &[&str]) -> Vec<String> {
    let rungs = fields.get("otherwise").map_or_else(Vec::new, |slot| slot.items());
    rungs
        .iter()
        .filter_map(|rung| known_playbook(rung, playbooks))
        .collect()
}

fn on_resolved(slot: &Slot<'_>, playbooks: &[&str]) -> OnResolved {
    if let Kind::Mapping(_) = slot.node.kind {
        let run = slot.fields(&RUN).and_then(|fields| fields.require("run"));
        let playbook = run.and_then(|slot| known_playbook(&slot, playbooks));
        return playbook.map_or(OnResolved::Ignore, OnResolved::Run);
    }
    match slot.word(&CANCELS) {
        Some(true) => OnResolved::Cancel,
        Some(false) | None => OnResolved::Ignore,
    }
}

fn notify(slot: &Slot<'_>, notifiers: Option<&[String]>) -> Option<Notify> {
    let fields = slot.fields(&NOTIFY)?;
    let to = fields.require("to").map(|slot| recipients(&slot, notifiers));
    let events = match fields.get("events") {
        Some(slot) => distinct(slot.items().iter().filter_map(event).collect()),
        None => NotifyEvent::DEFAULT.to_vec(),
    };
    Some(Notify { to: to?, events })
}

fn recipients(slot: &Slot<'_>, notifiers: Option<&[String]>) -> Vec<String> {
    let items = slot.items();
    if items.is_empty() && matches!(slot.node.kind, Kind::Sequence(_)) {
        slot.error("is empty: it must name at least one notifier");
    }
    let names = items.iter().filter_map(|item| recipient(item, notifiers));
    distinct(names.collect())
}

fn recipient(slot: &Slot<'_>, notifiers: Option<&[String]>) -> Option<String> {
    let name = slot.text()?;
    if let Some(known) = notifiers
        && !known.iter().any(|notifier| notifier == name)
    {
        let known: Vec<&str> = known.iter().map(String::as_str).collect();
        let hint = did_you_mean(name, &known);
        slot.error(&format!(
            "names the notifier {name:?}, which is not under `notifiers` in healgate.yml{hint}"
        ));
    }
    Some(name.to_owned())
}

fn event(slot: &Slot<'_>) -> Option<NotifyEvent> {
    let words: Vec<(&str, NotifyEvent)> = NotifyEvent::ALL.iter().map(|event| (event.as_str(), *event)).collect();
    slot.word(&words)
}

/// Each once, in order.
fn distinct<T: PartialEq>(all: Vec<T>) -> Vec<T> {
    let mut distinct = Vec::with_capacity(all.len());
    for one in all {
        if !distinct.contains(&one) {
            distinct.push(one);
        }
    }
    distinct
}
