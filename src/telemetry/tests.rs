//! Names, labels and values of the metrics, and that rules and dashboard fit them.

mod monitoring;

use super::*;
use crate::store::read::PendingMessages;
use crate::store::upkeep::Record;

#[test]
fn every_metric_has_its_name_and_labels() {
    let metrics = Metrics::new();
    metrics.notification(Sender::Alertmanager);
    metrics.decision(Some("nginx-down"), DecisionKind::Queued);
    metrics.decision(None, DecisionKind::Unmatched);
    metrics.job_finished("restart", None, JobStatus::Succeeded, Reason::Healed);
    metrics.run_duration("restart", Duration::from_millis(740));
    metrics.queue_wait(Duration::from_millis(2));
    metrics.time_to_heal(Some("a\"b"), Duration::from_secs(9));
    metrics.worker_slots(1, 3);
    metrics.webhook_duration(Duration::from_millis(4));
    metrics.store_commit(Duration::from_millis(1));
    metrics.run_started(true);
    metrics.message("ops", "failed", "sent");
    metrics.watch_warm(|| (2, 119_000_000));
    metrics.storage().watch(|| (81_920, 4_152));
    metrics.storage().pruned(Record::Logs, 3, 12_345);
    metrics.storage().given_back(40_960);
    metrics.storage().pruning(true);
    let pulse = Pulse {
        route: "watchdog".to_owned(),
        watched_since: Timestamp::from_micros(0),
        last_received_at: Some(Timestamp::from_micros(5_000_000)),
        missed_since: None,
    };
    metrics.heartbeats(&[pulse], Timestamp::from_micros(47_000_000));
    let backlog = Backlog {
        for_slot: Some(Timestamp::from_micros(7_000_000)),
        for_target: None,
        for_release: Some(Timestamp::from_micros(40_000_000)),
        messages: vec![PendingMessages {
            notifier: "ops".to_owned(),
            count: 3,
            oldest: Timestamp::from_micros(30_000_000),
        }],
    };
    metrics.backlog(&backlog, Timestamp::from_micros(47_000_000));
    let jobs = [StatusCount {
        status: JobStatus::Queued,
        count: 5,
    }];
    let version = concat!("version=\"", env!("CARGO_PKG_VERSION"), "\"");
    let text: Vec<String> = metrics
        .encode(&jobs)
        .lines()
        .filter(|line| !line.contains("_bucket{"))
        .map(|line| line.replace(version, "version=\"…\""))
        .collect();
    let mut samples = text;
    // Families keep their labels in a hash map.
    samples.sort();
    insta::assert_snapshot!(samples.join("\n"));
}

#[test]
fn a_filter_that_cannot_be_read_is_an_error() {
    assert!(init_tracing("healgate=loud", false).is_err());
}

#[test]
fn a_notifier_for_which_nothing_waits_any_more_is_back_at_zero() {
    let metrics = Metrics::new();
    let at = Timestamp::from_micros;
    let backlog = Backlog {
        messages: vec![PendingMessages {
            notifier: "ops".to_owned(),
            count: 3,
            oldest: at(30_000_000),
        }],
        ..Backlog::default()
    };
    assert!(!metrics.encode(&[]).contains("healgate_notifier_pending_messages"));
    metrics.backlog(&backlog, at(47_000_000));
    metrics.backlog(&Backlog::default(), at(48_000_000));
    let text = metrics.encode(&[]);
    for sample in [
        "healgate_notifier_pending_messages{notifier=\"ops\"} 0",
        "healgate_notifier_oldest_pending_seconds{notifier=\"ops\"} 0",
    ] {
        assert!(text.contains(sample), "{text}");
    }
}
