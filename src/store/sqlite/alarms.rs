//! What people are told when alerts are held back that no playbook will see to: a storm, and alerts that flap. Once each.

use std::collections::BTreeSet;

use crate::domain::decision::DecisionKind;
use crate::domain::notify::{Announcement, Notify, NotifyEvent};
use crate::domain::policy::Held;
use crate::domain::timestamp::Timestamp;
use crate::store::StoreError;
use crate::store::sqlite::outbox::announce;
use crate::store::sqlite::rows::database;
use crate::store::sqlite::writer::Scope;

const RAGES: &str = "
    -- rages
    SELECT EXISTS (SELECT 1 FROM held INDEXED BY held_by_decision WHERE decision = 'held')";

/// Tells of what is about to be held back.
pub(super) async fn raise(scope: &mut Scope<'_>, held: &[Held], now: Timestamp) -> Result<(), StoreError> {
    storm(scope, held, now).await?;
    for one in held.iter().filter(|one| one.restraint.kind == DecisionKind::Flapping) {
        flapping(scope, one, now).await?;
    }
    Ok(())
}

/// When it begins: nothing else is held by the limit then.
async fn storm(scope: &mut Scope<'_>, held: &[Held], now: Timestamp) -> Result<(), StoreError> {
    let event = NotifyEvent::Storm;
    let stormy = held.iter().filter(|one| one.restraint.kind == DecisionKind::Held);
    let to: BTreeSet<&String> = stormy.clone().flat_map(|one| told_of(one, event)).collect();
    let (Some(first), false) = (stormy.clone().next(), to.is_empty()) else {
        return Ok(());
    };
    let rages: bool = sqlx::query_scalar(RAGES)
        .fetch_one(&mut *scope.connection)
        .await
        .map_err(database)?;
    if rages {
        return Ok(());
    }
    let announcement = Announcement {
        event,
        to: to.into_iter().cloned().collect(),
        key: format!("storm {}", now.as_micros()),
        title: "A storm of alerts: more new jobs than the limit allows".to_owned(),
        text: format!(
            "{}. Further alerts are recorded and held back. Is it the services, or the monitoring? GET /api/v1/held lists \
             them, POST /api/v1/held/release lets them pass.",
            first.restraint.reason
        ),
    };
    announce(scope, &announcement, now).await
}

/// An alert is left to people until the route has healed it less often lately; that time makes it the same announcement.
async fn flapping(scope: &mut Scope<'_>, one: &Held, now: Timestamp) -> Result<(), StoreError> {
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
    announce(scope, &announcement, now).await
}

/// The notifiers that its route wants told of that.
fn told_of(held: &Held, event: NotifyEvent) -> &[String] {
    let tells = |notify: &&Notify| notify.events.contains(&event);
    held.notify
        .as_ref()
        .filter(tells)
        .map_or(&[][..], |notify| notify.to.as_slice())
}
