//! Proves the decisions: stories for each sentence of the rules, and random histories against a model of them.

mod guards;
mod histories;
mod model;
mod stories;
mod world;

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::Map;
use uuid::Uuid;

use crate::domain::alert::{Alert, AlertStatus, Group};
use crate::domain::checks::Checks;
use crate::domain::ids::{EpisodeId, Fingerprint, JobId, NotificationId, Target};
use crate::domain::parameters::{Parameters, Plan, Refusal};
use crate::domain::policy::{Delivery, Intake, Reached};
use crate::domain::route::{Mode, OnResolved, Route};
use crate::domain::rules::Fleet;
use crate::domain::span::Span;
use crate::domain::timestamp::Timestamp;

/// Seconds after a morning on which all stories begin.
fn at(seconds: u64) -> Timestamp {
    Timestamp::from_micros(1_790_000_000_000_000) + Duration::from_secs(seconds)
}

fn firing(fingerprint: &str, starts_at: Timestamp) -> Alert {
    Alert {
        status: AlertStatus::Firing,
        labels: BTreeMap::from([("alertname".to_owned(), "NginxDown".to_owned())]),
        annotations: BTreeMap::new(),
        starts_at,
        ends_at: None,
        fingerprint: Fingerprint::parse(fingerprint).unwrap(),
        generator_url: String::new(),
    }
}

fn resolved(fingerprint: &str, starts_at: Timestamp, ends_at: Timestamp) -> Alert {
    Alert {
        status: AlertStatus::Resolved,
        ends_at: Some(ends_at),
        ..firing(fingerprint, starts_at)
    }
}

fn route(name: &str, mode: Mode) -> Route {
    Route {
        name: name.to_owned(),
        matchers: Vec::new(),
        playbook: Some("restart-container".to_owned()),
        mode,
        goes_on: true,
        resolved_within: None,
        on_resolved: OnResolved::Ignore,
        expires: Span::from_secs(3_600),
        again_after: None,
        approval_expires: Span::from_secs(3_600),
        cooldown: Span::default(),
        caps: Vec::new(),
        retry: None,
        otherwise: Vec::new(),
        breaker: None,
        flap: None,
        at_once: None,
        unless: Vec::new(),
        heartbeat: None,
        notify: None,
        checks: Checks::default(),
    }
}

fn again_after(seconds: u64, route: Route) -> Route {
    Route {
        again_after: Some(Span::from_secs(seconds)),
        ..route
    }
}

fn plan(target: &str) -> Plan {
    Plan {
        playbook: "restart-container".to_owned(),
        target: Target::parse(target).unwrap(),
        parameters: Parameters {
            path: "playbooks/restart_container.yml".to_owned(),
            inventory: "inventory/hosts.yml".to_owned(),
            limit: None,
            vars: Map::new(),
            tags: Vec::new(),
            skip_tags: Vec::new(),
            check: false,
            diff: false,
            forks: None,
            verbosity: 0,
            env: BTreeMap::new(),
            env_files: BTreeMap::new(),
            secrets: Vec::new(),
            vault_password_file: None,
            private_key_file: None,
            remote_user: None,
            become_root: false,
            timeout: Span::from_secs(600),
            playbook_sha256: None,
        },
        checks: Checks::default(),
    }
}

/// One alert of a notification with the routes that it reaches; `false`: the playbook cannot be rendered for it.
type Report = (Alert, Vec<(Route, bool)>);

/// Numbers ids from `next` on.
fn delivery(next: &mut u128, now: Timestamp, reports: Vec<Report>) -> Delivery {
    let mut id = || {
        *next += 1;
        Uuid::from_u128(*next)
    };
    Delivery {
        id: NotificationId::new(id()),
        received_at: now,
        posted_by: "alertmanager".to_owned(),
        group: Group::default(),
        intakes: reports
            .into_iter()
            .map(|(alert, routes)| Intake {
                spare_episode: EpisodeId::new(id()),
                reached: routes
                    .into_iter()
                    .map(|(route, renders)| Reached {
                        plan: Some(match renders {
                            true => Ok(plan("container/nginx")),
                            false => Err(Refusal::whole("the label `container` is not there")),
                        }),
                        route,
                        job: JobId::new(id()),
                        ladder: Vec::new(),
                        cleanup: None,
                        is_released: false,
                        argv: std::collections::HashMap::new(),
                    })
                    .collect(),
                alert,
            })
            .collect(),
        fleet: Fleet::default(),
    }
}
