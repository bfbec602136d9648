//! An entry of `routes`: what it matches, runs and asks. Its rules about how often are read in `rules`.

use crate::catalog::{query, rules};
use crate::config::fields::keys::Below;
use crate::config::fields::{Fields, Key, Keys, Slot, did_you_mean};
use crate::config::yaml::Kind;
use crate::domain::heartbeat::Heartbeat;
use crate::domain::matcher::Matcher;
use crate::domain::notify::{Notify, NotifyEvent};
use crate::domain::route::{Mode, OnResolved, Route};
use crate::domain::span::Span;

pub(super) const KEYS: Keys = Keys {
    known: &[
    Key::of("name", Key::REQUIRED, "of its own"),
    Key::of("matchers", Key::REQUIRED, "a list in Alertmanager's syntax, all of which must hold"),
    Key::of("playbook", "required without `heartbeat`", "a name under `playbooks`"),
    Key::of("mode", "`auto`", "`auto` runs; `approve` waits for a person; `observe` records what would run"),
    Key::of("continue", "`false`", "later routes are tried too"),
    Key::of("cooldown", "`0s`", "so long after a job of this route on a target has ended, alerts make no other one there"),
    Key::of("caps", "none", "`[3 per 1h, 10 per 1d]`: so many jobs of this route may start on a target in any stretch of that length"),
    Key::of("retry", "one attempt", "attempts of one job, with waits that double, and up to a tenth more by chance").with(Below::Mapping(&rules::RETRY)),
    Key::of("verify", "no verification", "whether the run healed anything").with(Below::Mapping(&VERIFY)),
    Key::of("precondition", "none", "a query that must hold just before a run; a text is its `query`. See [Queries](../configuration.md#queries)").with(Below::Mapping(&query::PRECONDITION)),
    Key::of("silence", "`false`", "the alert is silenced in Alertmanager while the playbook runs. Needs `alertmanagers` and `verify`"),
    Key::of("otherwise", "none", "the ladder: the next playbooks, in order, when the one before did not heal"),
    Key::of("on_resolved", "`ignore`", "what the end of the alert means for a run that goes on: `ignore`; `cancel`: it is stopped, and the job ends `canceled` (`resolved_meanwhile`); `{run: playbook}`: it ends, and that playbook runs after it, on its own target. A job that still waits is never run then").with(Below::Mapping(&RUN)),
    Key::of("expires", "`1h`", "a job that still waits after this is not run any more. One that a person approved waits so long from then on"),
    Key::of("again_after", "never", "the episode still fires this long after its last job ended: the next report makes a new job"),
    Key::of("notify", "nobody", "see [Telling people](../notifications.md)").with(Below::Mapping(&NOTIFY)),
    Key::of("breaker", "none", "so many failed jobs in that time open the route's circuit breaker").with(Below::Mapping(&rules::BREAKER)),
    Key::of("flap", "none", "an alert that this route healed so often in that time, and that comes back, goes up the ladder: to the playbook after the one that healed it last. After the last one, or without a ladder, it is left to people, who are told once, as `exhausted`").with(Below::Mapping(&rules::FLAP)),
    Key::of("approval", "as below", "how long a person may take").with(Below::Mapping(&rules::APPROVAL)),
    Key::of("at_once", "no limit", "so many jobs of this route run at once"),
    Key::of("unless", "none", "a list of matchers. An alert that satisfies any of them is `guarded`: recorded, and nothing runs"),
    Key::of("heartbeat", "none", "the alert must keep coming").with(Below::Mapping(&HEARTBEAT)),
    ],
    elsewhere: &[
        ("secrets", "an entry of `playbooks` in remediations.yml"),
        ("storm", "remediations.yml, at its top"),
    ],
};
const VERIFY: Keys = Keys::of(&[
    Key::of(
        "resolved_within",
        Key::REQUIRED,
        "how long the alert has to resolve after the run",
    ),
    Key::of(
        "query",
        "none",
        "a query that must become true in that time; where it is given, it decides and the alert does not",
    ),
]);
const HEARTBEAT: Keys = Keys::of(&[
    Key::of("every", Key::REQUIRED, "how often it comes at the least"),
    Key::of("grace", "half of `every`", "how much later it may come"),
]);
const NOTIFY: Keys = Keys::of(&[
    Key::of("to", Key::REQUIRED, "a list of names of `notifiers`"),
    Key::of(
        "events",
        "all but `healed`",
        "a list of [events](../notifications.md#events)",
    ),
]);
const RUN: Keys = Keys::of(&[Key::of("run", Key::REQUIRED, "a name under `playbooks`")]);

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
