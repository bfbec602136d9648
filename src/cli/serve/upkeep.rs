//! What keeps the database at its size while the gateway serves, and watches that size. Never opens the file.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::cli::db;
use crate::config::Settings;
use crate::http::App;
use crate::indexing::Indexer;
use crate::pruning::{Pace, Pruner, look_back};
use crate::store::upkeep::Upkeep;
use crate::telemetry::Metrics;

/// Removes old records beside all else.
pub(super) fn pruner(store: &Arc<dyn Upkeep>, settings: &Settings, app: &App) -> Pruner {
    let catalogue = Arc::clone(&app.catalogue);
    Pruner {
        store: Arc::clone(store),
        clock: Arc::clone(&app.clock),
        metrics: app.metrics.clone(),
        keep: db::keep(settings),
        look_back: Box::new(move || {
            let in_force = catalogue.in_force();
            look_back(in_force.routes(), in_force.fleet())
        }),
        pace: Pace::Gentle,
        stopping: app.stopping.clone(),
    }
}

/// Makes what jobs are about quick to find.
pub(super) fn indexer(store: &Arc<dyn Upkeep>, app: &App) -> Indexer {
    Indexer {
        store: Arc::clone(store),
        live: Arc::clone(&app.live),
        stopping: app.stopping.clone(),
    }
}

/// The file system is asked: the database must not be opened here, as closing it would drop SQLite's locks.
pub(super) fn watch_sizes(metrics: &Metrics, database: PathBuf) {
    let mut journal = database.clone().into_os_string();
    journal.push("-wal");
    let size = |path: &Path| fs::metadata(path).map_or(0, |file| file.len());
    metrics
        .storage()
        .watch(move || (size(&database), size(Path::new(&journal))));
}
