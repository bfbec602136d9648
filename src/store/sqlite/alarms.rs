//! What people are told when alerts are held back that no playbook will see to: a storm, and alerts that flap. Once each.

use crate::domain::decision::DecisionKind;
use crate::domain::notify::{Announcement, Notify, NotifyEvent};
use crate::domain::policy::Held;
use crate::domain::rules::{Fleet, StormRule};
use crate::domain::timestamp::Timestamp;
use crate::store::StoreError;
use crate::store::sqlite::outbox::announce;
use crate::store::sqlite::writer::Scope;

const RAGES: &str = "
    -- rages
    SELECT EXISTS (SELECT 1 FROM held INDEXED BY held_by_decision WHERE decision = 'held')";

/// The last time that a storm was told of: it is a part of the key.
const LAST_STORM: &str = "
    -- last_storm
    SELECT MAX(key) FROM outbox INDEXED BY outbox_once_per_key WHERE key > 'storm ' AND key < 'storm!'";

/// Tells of what is about to be held back.
pub(super) fn raise(scope: &mut Scope<'_>, held: &[Held], fleet: &Fleet, now: Timestamp) -> Result<(), StoreError> {
    let stormy = held.iter().find(|one| one.restraint.kind == DecisionKind::Held);
    if let (Some(first), Some(storm)) = (stormy, fleet.storm) {
        tell_storm(scope, first, (storm, &fleet.tell_storm), now)?;
    }
    for one in held.iter().filter(|one| one.restraint.kind == DecisionKind::Flapping) {
        tell_flapping(scope, one, now)?;
    }
    Ok(())
}

/// When it begins: nothing else is held by the limit then, and none was told of as long as its window is.
fn tell_storm(
    scope: &mut Scope<'_>,
    first: &Held,
    (storm, to): (StormRule, &[String]),
    now: Timestamp,
) -> Result<(), StoreError> {
    let rages: bool = scope.connection.value(RAGES, [])?;
    let last: Option<String> = scope.connection.value(LAST_STORM, [])?;
    let last = last.and_then(|key| key.strip_prefix("storm ")?.parse().ok());
    let lately = last.is_some_and(|at| Timestamp::from_micros(at) + storm.within.duration() > now);
    if rages || lately {
        return Ok(());
    }
    let announcement = Announcement {
        event: NotifyEvent::Storm,
        to: to.to_vec(),
        key: format!("storm {}", now.as_micros()),
        title: "A storm of alerts: more new jobs than the limit allows".to_owned(),
        text: format!(
            "{}. Further alerts are recorded and held back. Is it the services, or the monitoring? GET /api/v1/held lists \
             them, POST /api/v1/held/release lets them pass.",
            first.restraint.reason
        ),
    };
    announce(scope, &announcement, now)
}

/// An alert is left to people until the route has healed it less often lately; that time makes it the same announcement.
fn tell_flapping(scope: &mut Scope<'_>, one: &Held, now: Timestamp) -> Result<(), StoreError> {
    let (event, until) = (NotifyEvent::Exhausted, one.restraint.until.unwrap_or(now));
    let (alert, route, target) = (&one.alert, &one.route, &one.target);
    let announcement = Announcement {
        event,
        to: told_of(one, event).to_vec(),
        key: format!("flapping {} {route} {}", alert.fingerprint, until.as_micros()),
        title: format!("{} flaps, and is left to people: {target}", alert.name()),
        text: format!(
            "{}. The route {route} has no other playbook to try and runs nothing for it before {until}. Find out why it \
             does not last; POST /api/v1/jobs runs a playbook by hand.",
            one.restraint.reason
        ),
    };
    announce(scope, &announcement, now)
}

/// The notifiers that its route wants told of that.
fn told_of(held: &Held, event: NotifyEvent) -> &[String] {
    let tells = |notify: &&Notify| notify.events.contains(&event);
    held.notify
        .as_ref()
        .filter(tells)
        .map_or(&[][..], |notify| notify.to.as_slice())
}
