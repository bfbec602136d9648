//! Jobs, attempts and routes to test with.

use std::collections::BTreeMap;

use serde_json::{Map, Value};
use uuid::Uuid;

use crate::domain::alert::{Alert, AlertStatus};
use crate::domain::attempt::{Attempt, Outcome};
use crate::domain::checks::Checks;
use crate::domain::host_stats::{HostStats, Recap};
use crate::domain::ids::{Fingerprint, JobId, Target};
use crate::domain::job::{Job, JobStatus, Trigger};
use crate::domain::parameters::Parameters;
use crate::domain::route::{Mode, OnResolved, Route};
use crate::domain::span::Span;
use crate::domain::timestamp::Timestamp;

/// When all of this happens.
pub(crate) fn now() -> Timestamp {
    "2026-01-31T09:00:00Z".parse().unwrap()
}

pub(crate) fn route(name: &str) -> Route {
    Route {
        name: name.to_owned(),
        matchers: Vec::new(),
        playbook: Some("restart".to_owned()),
        mode: Mode::Auto,
        goes_on: false,
        resolved_within: Some(Span::from_secs(120)),
        on_resolved: OnResolved::Ignore,
        expires: Span::from_secs(1_800),
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

pub(crate) fn parameters() -> Parameters {
    Parameters {
        path: "playbooks/restart.yml".to_owned(),
        inventory: "inventory/hosts.yml".to_owned(),
        limit: None,
        vars: Map::from_iter([("container".to_owned(), Value::from("nginx"))]),
        tags: Vec::new(),
        skip_tags: Vec::new(),
        check: false,
        diff: false,
        forks: None,
        verbosity: 0,
        env: BTreeMap::from([("SECRET".to_owned(), "hunter2".to_owned())]),
        env_files: BTreeMap::new(),
        secrets: Vec::new(),
        vault_password_file: None,
        private_key_file: None,
        remote_user: None,
        become_root: false,
        timeout: Span::from_secs(120),
        playbook_sha256: None,
    }
}

pub(crate) fn job_id(number: u128) -> JobId {
    JobId::new(Uuid::from_u128(0x0190_b6a2_7c1e_7d3a_9f00_0000_0000_0000 + number))
}

/// A job without attempts; its alert is firing.
pub(crate) fn job(number: u128, status: JobStatus) -> Job {
    Job {
        id: job_id(number),
        status,
        reason: None,
        playbook: "restart".to_owned(),
        route: Some("nginx-down".to_owned()),
        target: Target::parse("container/nginx").unwrap(),
        trigger: Trigger::Alert,
        triggered_by: "alertmanager".to_owned(),
        rerun_of: None,
        follows: None,
        episode: None,
        alert: Some(Alert {
            status: AlertStatus::Firing,
            labels: BTreeMap::from([("alertname".to_owned(), "NginxDown".to_owned())]),
            annotations: BTreeMap::new(),
            starts_at: now(),
            ends_at: None,
            fingerprint: Fingerprint::parse("8e3f9b0c7d1a2b4c").unwrap(),
            generator_url: "http://prometheus:9090/graph".to_owned(),
        }),
        group: None,
        parameters: parameters(),
        by_hand: None,
        changes: None,
        checks: Checks::default(),
        attempts: Vec::new(),
        created_at: now(),
        run_at: now(),
        started_at: None,
        finished_at: None,
        healed_at: None,
        healed_late: false,
        cancel_requested: None,
    }
}

/// An attempt that failed on `web1` and went well on `web2`; it still runs without an outcome.
pub(crate) fn attempt(number: u32, outcome: Option<Outcome>) -> Attempt {
    let ok = HostStats {
        ok: 2,
        ..HostStats::default()
    };
    let failed = HostStats { failed: 1, ..ok };
    Attempt {
        number,
        outcome,
        message: None,
        exit_code: outcome.map(|_| 2),
        started_at: now(),
        finished_at: outcome.map(|_| now()),
        worker: "here".to_owned(),
        warm: false,
        cold_because: Some("no warm interpreter yet".to_owned()),
        log_bytes: 0,
        log_truncated: false,
        log_pruned: false,
        recap: Recap::from([("web1".to_owned(), failed), ("web2".to_owned(), ok)]),
    }
}
