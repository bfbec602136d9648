//! The metrics of what waits: jobs and messages. Counts nothing itself.

use std::sync::atomic::AtomicU64;
use std::sync::{Mutex, PoisonError};

use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use crate::domain::timestamp::Timestamp;
use crate::store::read::Backlog;
use crate::telemetry::labels::{NotifierLabel, WaitLabel};

#[derive(Debug, Default)]
pub(super) struct BacklogMetrics {
    oldest_job: Family<WaitLabel, Gauge<u64, AtomicU64>>,
    messages: Family<NotifierLabel, Gauge<u64, AtomicU64>>,
    oldest_message: Family<NotifierLabel, Gauge<u64, AtomicU64>>,
    /// The notifiers for which messages ever waited: theirs go back to zero.
    notifiers: Mutex<Vec<String>>,
}

impl BacklogMetrics {
    pub(super) fn register(&self, registry: &mut Registry) {
        let help = "How long the oldest job has waited that might run now";
        registry.register("healgate_queue_oldest_wait_seconds", help, self.oldest_job.clone());
        let help = "Messages that wait to be sent";
        registry.register("healgate_notifier_pending_messages", help, self.messages.clone());
        let help = "How long the oldest message has waited to be sent";
        let name = "healgate_notifier_oldest_pending_seconds";
        registry.register(name, help, self.oldest_message.clone());
    }

    pub(super) fn show(&self, backlog: &Backlog, now: Timestamp) {
        let age = |since: Timestamp| now.since(since).as_secs();
        for (waits_for, since) in [
            ("slot", backlog.for_slot),
            ("target", backlog.for_target),
            ("release", backlog.for_release),
        ] {
            let label = WaitLabel { waits_for };
            self.oldest_job.get_or_create(&label).set(since.map_or(0, age));
        }
        let mut notifiers = self.notifiers.lock().unwrap_or_else(PoisonError::into_inner);
        for pending in &backlog.messages {
            if !notifiers.contains(&pending.notifier) {
                notifiers.push(pending.notifier.clone());
            }
        }
        for notifier in notifiers.iter() {
            let pending = backlog.messages.iter().find(|pending| pending.notifier == *notifier);
            let label = NotifierLabel {
                notifier: notifier.clone(),
            };
            let count = pending.map_or(0, |pending| pending.count);
            self.messages.get_or_create(&label).set(count);
            let oldest = pending.map_or(0, |pending| age(pending.oldest));
            self.oldest_message.get_or_create(&label).set(oldest);
        }
    }
}
