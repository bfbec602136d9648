//! Metrics of a gateway in which everything that is counted has happened once: what the reference lists, and what rules and
//! dashboards are held against. Counts nothing that is real.

use std::time::Duration;

use crate::domain::alert::Sender;
use crate::domain::decision::DecisionKind;
use crate::domain::heartbeat::Pulse;
use crate::domain::job::{JobStatus, Reason};
use crate::domain::notify::NotifyEvent;
use crate::domain::timestamp::Timestamp;
use crate::store::read::{Backlog, PendingMessages};
use crate::telemetry::Metrics;

/// What /metrics says then.
pub(crate) fn everything() -> String {
    let metrics = Metrics::new();
    let moment = Duration::from_secs(1);
    for kind in DecisionKind::ALL {
        metrics.decision(Some("r"), kind);
    }
    for (status, reason) in JobStatus::ALL
        .iter()
        .filter(|status| status.is_finished())
        .flat_map(|status| Reason::ALL.iter().map(move |reason| (*status, *reason)))
    {
        metrics.job_finished("p", Some("r"), status, reason);
    }
    for event in NotifyEvent::ALL {
        for result in ["sent", "retried", "failed", "dropped"] {
            metrics.message("ops", event.as_str(), result);
        }
    }
    metrics.notification(Sender::Alertmanager);
    metrics.run_duration("p", moment);
    metrics.queue_wait(moment);
    metrics.time_to_heal(Some("r"), moment);
    metrics.worker_slots(1, 3);
    metrics.webhook_duration(moment);
    metrics.store_commit(moment);
    let now = Timestamp::from_micros(0);
    let pulse = Pulse {
        route: "r".to_owned(),
        watched_since: now,
        last_received_at: None,
        missed_since: None,
    };
    metrics.heartbeats(&[pulse], now);
    let messages = vec![PendingMessages {
        notifier: "ops".to_owned(),
        count: 1,
        oldest: now,
    }];
    let backlog = Backlog {
        messages,
        ..Backlog::default()
    };
    metrics.backlog(&backlog, now);
    metrics.encode(&[])
}
