//! The metrics of the database's file, and of what is removed from it. Opens nothing.

use std::fmt;
use std::sync::OnceLock;
use std::sync::atomic::AtomicU64;

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use crate::store::upkeep::Record;
use crate::telemetry::labels::RecordLabel;

/// The bytes of the file and of its journal.
type ReadSizes = dyn Fn() -> (u64, u64) + Send + Sync;

struct Sizes(Box<ReadSizes>);

impl fmt::Debug for Sizes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Sizes")
    }
}

/// What the database takes, and what has been removed from it.
#[derive(Debug, Default)]
pub struct StorageMetrics {
    pruned: Family<RecordLabel, Counter>,
    log_bytes: Counter,
    given_back: Counter,
    pruning: Gauge<u64, AtomicU64>,
    file: Gauge<u64, AtomicU64>,
    journal: Gauge<u64, AtomicU64>,
    sizes: OnceLock<Sizes>,
}

impl StorageMetrics {
    pub(super) fn register(&self, registry: &mut Registry) {
        let help = "Old records removed";
        registry.register("healgate_pruned_records", help, self.pruned.clone());
        let help = "Bytes of logs removed, as stored";
        registry.register("healgate_pruned_log_bytes", help, self.log_bytes.clone());
        let help = "By how many bytes the database's file was made smaller";
        registry.register("healgate_database_given_back_bytes", help, self.given_back.clone());
        let help = "1 while old records are being removed";
        registry.register("healgate_pruning", help, self.pruning.clone());
        registry.register("healgate_database_bytes", "The database's file", self.file.clone());
        let help = "The database's write-ahead log";
        registry.register("healgate_database_wal_bytes", help, self.journal.clone());
        for record in Record::ALL {
            let record = record.as_str();
            drop(self.pruned.get_or_create(&RecordLabel { record }));
        }
    }

    /// Has the sizes of the file and of its journal looked at whenever the metrics are read. Once.
    pub fn watch(&self, read: impl Fn() -> (u64, u64) + Send + Sync + 'static) {
        let _already_watched = self.sizes.set(Sizes(Box::new(read)));
    }

    /// So many records were removed, with so many bytes of logs.
    pub fn pruned(&self, record: Record, records: u64, log_bytes: u64) {
        let record = record.as_str();
        self.pruned.get_or_create(&RecordLabel { record }).inc_by(records);
        self.log_bytes.inc_by(log_bytes);
    }

    /// The file has become smaller.
    pub fn given_back(&self, bytes: u64) {
        self.given_back.inc_by(bytes);
    }

    /// A pass begins, or has ended.
    pub fn pruning(&self, is_under_way: bool) {
        self.pruning.set(u64::from(is_under_way));
    }

    pub(super) fn look(&self) {
        if let Some(Sizes(read)) = self.sizes.get() {
            let (file, journal) = read();
            self.file.set(file);
            self.journal.set(journal);
        }
    }
}
