//! The HTTP side twice over one catalogue: once with the real store, once with one that stores nothing.

use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use healgate::clock::{Ids, SystemClock};
use healgate::http::auth::Access;
use healgate::http::console::Forms;
use healgate::http::{self, App};
use healgate::live::Live;
use healgate::store::Store;
use healgate::store::observe::{Committed, Observer};
use healgate::store::sqlite::SqliteStore;
use healgate::telemetry::Metrics;
use tokio::runtime::Runtime;

use crate::catalogue::Loaded;
use crate::failed::{Failed, failed};
use crate::folder::Folder;
use crate::unstored::Unstored;

/// As in `healgate serve`.
const HTTP_THREADS: usize = 2;

/// Two servers that run; they end with the runtime that they were started on.
#[derive(Debug)]
pub(crate) struct Servers {
    pub(crate) durable: SocketAddr,
    pub(crate) unstored: SocketAddr,
    pub(crate) writer: Arc<Writer>,
    /// The durable server's.
    pub(crate) store: Arc<SqliteStore>,
    /// The durable server's.
    pub(crate) database: PathBuf,
    /// One with the same schema, empty, that nobody has open.
    pub(crate) spare: PathBuf,
}

/// What the durable server's writer does.
#[derive(Debug, Default)]
pub(crate) struct Writer {
    commits: AtomicU64,
    busy_micros: AtomicU64,
}

impl Writer {
    /// Commits so far, and how long the writer was busy with them, in seconds.
    #[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
    pub(crate) fn so_far(&self) -> (f64, f64) {
        let commits = self.commits.load(Ordering::Relaxed);
        let micros = self.busy_micros.load(Ordering::Relaxed);
        (commits as f64, micros as f64 / 1e6)
    }
}

impl Observer for Writer {
    fn committed(&self, committed: &Committed) {
        let micros = u64::try_from(committed.took.as_micros()).unwrap_or(u64::MAX);
        self.commits.fetch_add(1, Ordering::Relaxed);
        self.busy_micros.fetch_add(micros, Ordering::Relaxed);
    }
}

impl Servers {
    pub(crate) async fn start(folder: &Folder, runtime: &Runtime) -> Result<Self, Failed> {
        let databases = [folder.path("webhooks.db"), folder.path("bare.db")];
        let catalogue = Arc::new(Loaded::from(&folder.path("."))?);
        let started = runtime.spawn(start(databases, catalogue)).await;
        started.map_err(failed("start the servers"))?
    }
}

async fn start([database, spare]: [PathBuf; 2], catalogue: Arc<Loaded>) -> Result<Servers, Failed> {
    let writer = Arc::new(Writer::default());
    let observer = Arc::clone(&writer) as Arc<dyn Observer>;
    let open = async |path, observer| {
        SqliteStore::open(path, observer)
            .await
            .map_err(failed("open the database"))
    };
    let store = Arc::new(open(&database, observer).await?);
    open(&spare, Arc::new(Writer::default())).await?.close().await;
    Ok(Servers {
        durable: serve(Arc::<SqliteStore>::clone(&store), Arc::clone(&catalogue))?,
        unstored: serve(Arc::new(Unstored), catalogue)?,
        writer,
        store,
        database,
        spare,
    })
}

fn serve(store: Arc<dyn Store>, catalogue: Arc<Loaded>) -> Result<SocketAddr, Failed> {
    let listener = TcpListener::bind("127.0.0.1:0").map_err(failed("listen"))?;
    let address = listener.local_addr().map_err(failed("listen"))?;
    let app = App {
        store,
        catalogue,
        clock: Arc::new(SystemClock),
        ids: Arc::new(Ids::default()),
        live: Arc::new(Live::default()),
        streams: Arc::default(),
        access: Arc::new(Access {
            listens_on_loopback: true,
            ..Access::default()
        }),
        forms: Arc::new(Forms::new().map_err(failed("get random bytes"))?),
        metrics: Metrics::new(),
        outlines: Arc::default(),
        stopping: tokio_util::sync::CancellationToken::new(),
    };
    let server = http::serve(listener, app, HTTP_THREADS).map_err(failed("serve"))?;
    tokio::spawn(server);
    Ok(address)
}
