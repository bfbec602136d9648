//! The database with a million jobs that several sections look at: made when the first one asks for it, gone with the run.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use healgate::clock::{Clock, SystemClock};
use healgate::store::observe::{Committed, Observer};
use healgate::store::sqlite::SqliteStore;
use healgate::store::upkeep::Upkeep;
use tempfile::TempDir;

use crate::failed::{Failed, failed};
use crate::folder::Folder;
use crate::million::{self, LONG_LOG, Size};
use crate::report;

pub(crate) const JOBS: u64 = 1_000_000;

/// What figures about many jobs are measured beside.
const FEW: u64 = 1_000;

/// Nothing is removed while somebody looks.
const KEEP: &str = "retention:\n  jobs: 3650d\n  logs: 3650d\n";

/// A file with jobs.
#[derive(Debug)]
pub(crate) struct Filled {
    dir: TempDir,
    /// The job with the long log.
    pub(crate) long: String,
}

/// The file with a million jobs, as far as it was made.
#[derive(Debug)]
pub(crate) struct Past {
    root: PathBuf,
    newest: Option<Filled>,
}

impl Filled {
    async fn make(root: &Path, jobs: u64, schema: usize) -> Result<Self, Failed> {
        let dir = tempfile::Builder::new().prefix("past-").tempdir_in(root);
        let dir = dir.map_err(failed("create a folder"))?;
        let path = dir.path().join("healgate.db");
        let size = Size {
            jobs,
            until: SystemClock.now().as_micros(),
            schema,
            long_log: LONG_LOG,
        };
        let made = tokio::task::spawn_blocking(move || million::make(&path, size)).await;
        let long = made.map_err(failed("make jobs"))?.map_err(failed("make jobs"))?;
        if schema == newest() {
            index(&dir.path().join("healgate.db")).await?;
        }
        Ok(Self { dir, long })
    }

    pub(crate) fn path(&self) -> PathBuf {
        self.dir.path().join("healgate.db")
    }

    /// For a gateway on that file, which removes nothing of it.
    pub(crate) fn folder(&self, root: &Path) -> Result<Folder, Failed> {
        self.folder_with(root, KEEP)
    }

    /// The same with another `retention`.
    pub(crate) fn folder_with(&self, root: &Path, retention: &str) -> Result<Folder, Failed> {
        let database = format!("database:\n  url: sqlite://{}\n{retention}", self.path().display());
        Folder::with(root, "ansible-playbook", "never", &database)
    }
}

impl Past {
    pub(crate) fn new(root: &Path) -> Self {
        Self {
            root: root.to_owned(),
            newest: None,
        }
    }

    /// A million jobs in an older schema, which whoever asks may change.
    pub(crate) async fn of_schema(&self, schema: usize) -> Result<Filled, Failed> {
        report::error(&format!("making {JOBS} jobs in schema {schema} …"));
        Filled::make(&self.root, JOBS, schema).await
    }

    /// Has become the newest schema.
    pub(crate) fn keep(&mut self, filled: Filled) {
        self.newest = Some(filled);
    }

    /// A million jobs in the newest schema.
    pub(crate) async fn newest(&mut self) -> Result<Filled, Failed> {
        match self.newest.take() {
            Some(filled) => Ok(filled),
            None => self.of_schema(newest()).await,
        }
    }

    /// A few jobs in the newest schema.
    pub(crate) async fn few(&self) -> Result<Filled, Failed> {
        Filled::make(&self.root, FEW, newest()).await
    }
}

/// As a gateway does while it serves.
async fn index(path: &Path) -> Result<(), Failed> {
    let opened = SqliteStore::open(path, Arc::new(Unheard)).await;
    let store = opened.map_err(failed("open the database"))?;
    while store
        .index_texts()
        .await
        .map_err(failed("index what jobs are searched by"))?
    {}
    store.close().await;
    Ok(())
}

/// Nobody waits for these commits.
struct Unheard;

impl Observer for Unheard {
    fn committed(&self, _: &Committed) {}
}

pub(crate) fn newest() -> usize {
    million::steps().len()
}
