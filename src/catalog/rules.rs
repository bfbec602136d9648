//! The rules of a route, and those of all routes: caps, retries, breakers, flapping, storms.

use std::collections::BTreeSet;

use crate::config::fields::{Fields, Key, Keys, Slot};
use crate::domain::attempt::Outcome;
use crate::domain::notify::NotifyEvent;
use crate::domain::route::Route;
use crate::domain::rules::{BreakerRule, Cap, FlapRule, Fleet, Retry, StormRule};
use crate::domain::span::Span;

pub(super) const RETRY: Keys = Keys::of(&[
    Key::of("attempts", "`1`", "1 to 100, the first one counted"),
    Key::of("backoff", "`10s`", "the first wait"),
    Key::of(
        "max_backoff",
        "`5m`, or `backoff` if that is longer",
        "the longest wait",
    ),
    Key::of(
        "outcomes",
        "`[unreachable, failed, timed_out]`",
        "which attempts are tried again. `lost` is only if it is named",
    ),
]);
pub(super) const BREAKER: Keys = Keys::of(&[
    Key::of("failures", Key::REQUIRED, "so many failed jobs"),
    Key::of("within", Key::REQUIRED, "in that time"),
    Key::of("pause", Key::REQUIRED, "keep it open for so long"),
]);
pub(super) const FLAP: Keys = Keys::of(&[
    Key::of("times", Key::REQUIRED, "healed so often"),
    Key::of("within", Key::REQUIRED, "in that time"),
]);
pub(super) const STORM: Keys = Keys::of(&[
    Key::of("jobs", Key::REQUIRED, "so many jobs"),
    Key::of("within", Key::REQUIRED, "in that time"),
]);
pub(super) const APPROVAL: Keys = Keys::of(&[Key::of(
    "expires",
    "`1h`",
    "a job that waits for approval longer than this is not run any more",
)]);

const DEFAULT_OUTCOMES: [Outcome; 3] = [Outcome::HostsUnreachable, Outcome::HostsFailed, Outcome::TimedOut];
const DEFAULT_BACKOFF: Span = Span::from_secs(10);
const DEFAULT_MAX_BACKOFF: Span = Span::from_secs(300);
const DEFAULT_APPROVAL: Span = Span::from_secs(3_600);
const MOST: u32 = 1_000_000;

/// `[3 per 1h, 10 per 1d]`.
pub(super) fn caps(fields: &Fields<'_>) -> Vec<Cap> {
    let slots = fields.get("caps").map_or_else(Vec::new, |slot| slot.items());
    slots.iter().filter_map(cap).collect()
}

fn cap(slot: &Slot<'_>) -> Option<Cap> {
    let text = slot.raw("a cap such as 3 per 1h")?;
    let words: Vec<&str> = text.split_whitespace().collect();
    let read = match words[..] {
        [jobs, "per", per] => jobs.parse().ok().zip(per.parse().ok()),
        _ => None,
    };
    let cap = read
        .map(|(jobs, per)| Cap { jobs, per })
        .filter(|cap| cap.jobs > 0 && cap.per != Span::default());
    if cap.is_none() {
        slot.error(&format!(
            "must be a number of jobs per duration, such as 3 per 1h, not {text:?}"
        ));
    }
    cap
}

/// Nothing where there is to be one attempt.
pub(super) fn retry(fields: &Fields<'_>) -> Option<Retry> {
    let fields = fields.get("retry")?.fields(&RETRY)?;
    let attempts = fields.get("attempts").and_then(|slot| slot.count(1..=100));
    let backoff = fields.positive_span("backoff", DEFAULT_BACKOFF);
    let longest = fields
        .get("max_backoff")
        .and_then(|slot| Some((slot.positive_span()?, slot)));
    if let Some((max, slot)) = &longest
        && *max < backoff
    {
        slot.error("is shorter than `backoff`");
    }
    let named = fields.get("outcomes").map(|slot| slot.items());
    let outcomes = named.map_or_else(
        || DEFAULT_OUTCOMES.to_vec(),
        |slots| slots.iter().filter_map(|slot| slot.word(&Retry::OUTCOMES)).collect(),
    );
    let attempts = attempts.filter(|attempts| *attempts > 1)?;
    Some(Retry {
        attempts,
        backoff,
        max_backoff: longest.map_or(DEFAULT_MAX_BACKOFF.max(backoff), |(max, _)| max),
        outcomes,
    })
}

/// `{failures: 5, within: 30m, pause: 1h}`.
pub(super) fn breaker(fields: &Fields<'_>) -> Option<BreakerRule> {
    let fields = fields.get("breaker")?.fields(&BREAKER)?;
    // Each is looked at, so that everything that is wrong is told.
    let failures = number(&fields, "failures");
    let (within, pause) = (span(&fields, "within"), span(&fields, "pause"));
    Some(BreakerRule {
        failures: failures?,
        within: within?,
        pause: pause?,
    })
}

/// `{times: 3, within: 1h}`.
pub(super) fn flap(fields: &Fields<'_>) -> Option<FlapRule> {
    let fields = fields.get("flap")?.fields(&FLAP)?;
    let (times, within) = (number(&fields, "times"), span(&fields, "within"));
    Some(FlapRule {
        times: times?,
        within: within?,
    })
}

/// `{expires: 1h}`.
pub(super) fn approval_expires(fields: &Fields<'_>) -> Span {
    let approval = fields.get("approval").and_then(|slot| slot.fields(&APPROVAL));
    approval.map_or(DEFAULT_APPROVAL, |fields| {
        fields.positive_span("expires", DEFAULT_APPROVAL)
    })
}

/// How many of a route's jobs may run at once.
pub(super) fn at_once(fields: &Fields<'_>) -> Option<u32> {
    fields.get("at_once")?.count(1..=MOST)
}

/// The rules for all routes together, at the top of the file.
pub(super) fn fleet(fields: &Fields<'_>, routes: &[Route]) -> Fleet {
    Fleet {
        storm: storm(fields),
        breaker: breaker(fields),
        tell_storm: told_of(routes, NotifyEvent::Storm),
        tell_breaker: told_of(routes, NotifyEvent::BreakerOpened),
    }
}

/// The notifiers that any of the routes wants told of that.
fn told_of(routes: &[Route], event: NotifyEvent) -> Vec<String> {
    let notify = routes.iter().filter_map(|route| route.notify.as_ref());
    let told = notify.filter(|notify| notify.events.contains(&event));
    let names: BTreeSet<&String> = told.flat_map(|notify| &notify.to).collect();
    names.into_iter().cloned().collect()
}

/// `{jobs: 100, within: 5m}`.
fn storm(fields: &Fields<'_>) -> Option<StormRule> {
    let fields = fields.get("storm")?.fields(&STORM)?;
    let (jobs, within) = (number(&fields, "jobs"), span(&fields, "within"));
    Some(StormRule {
        jobs: jobs?,
        within: within?,
    })
}

fn number(fields: &Fields<'_>, key: &str) -> Option<u32> {
    fields.require(key)?.count(1..=MOST)
}

fn span(fields: &Fields<'_>, key: &str) -> Option<Span> {
    fields.require(key)?.positive_span()
}
