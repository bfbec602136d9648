//! `healgate serve`: names the concrete parts, wires them, and runs them until a signal.

pub(super) mod catalogue;
mod observe;
mod upkeep;

use std::fmt::Display;
use std::fs::{self, DirBuilder, Permissions};
use std::net::TcpListener;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

use actix_web::dev::ServerHandle;

use crate::again::Again;
use crate::ansible::command::Environment;
use crate::ansible::{self, Ansible};
use crate::catalog::{self, Catalog};
use crate::cli::serve::catalogue::{LiveCatalogue, Source};
use crate::cli::serve::observe::Announce;
use crate::cli::{ConfigArgs, check, environment, hostname, say};
use crate::clock::{Ids, SystemClock};
use crate::config::{self, Settings};
use crate::domain::pause::Scope;
use crate::http::auth::Access;
use crate::http::console::Forms;
use crate::http::signature::Signature;
use crate::http::{self, App};
use crate::live::Live;
use crate::notify::{self, Post, Sender};
use crate::peers::Peers;
use crate::remediations::Catalogue;
use crate::shutdown::{Ending, Signals};
use crate::store::sqlite::SqliteStore;
use crate::store::upkeep::Upkeep;
use crate::store::{By, Store};
use crate::systemd::Systemd;
use crate::telemetry::{self, Metrics};
use crate::worker::{Expectations, OnShutdown, Pool, Shutdown, Tools, Watch, verify, watch_for_comebacks};

/// Threads that answer requests. Handlers wait for the writer and for reads, never for each other.
const HTTP_THREADS: usize = 2;

/// What to log where `HEALGATE_LOG` says nothing.
const DEFAULT_FILTER: &str = "info";

/// Why the gateway could not start or go on, as a sentence.
#[derive(Debug, thiserror::Error)]
#[error("failed to {what}: {why}")]
struct Failed {
    what: String,
    why: String,
}

fn failed<E: Display>(what: impl Into<String>) -> impl FnOnce(E) -> Failed {
    let what = what.into();
    move |why| Failed {
        what,
        why: why.to_string(),
    }
}

/// Serves until a signal ends it. 1: it could not start, or could not go on.
pub(super) fn run(args: &ConfigArgs) -> ExitCode {
    let (settings, catalog) = match check::load(args) {
        Ok(loaded) => loaded,
        Err(diagnostics) => {
            say::error(&diagnostics);
            return ExitCode::FAILURE;
        }
    };
    match serve(settings, catalog) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            say::error(&error);
            ExitCode::FAILURE
        }
    }
}

fn serve(settings: Settings, catalog: Catalog) -> Result<(), Failed> {
    let environment = environment();
    let filter = environment.get("HEALGATE_LOG").map_or(DEFAULT_FILTER, String::as_str);
    telemetry::init_tracing(filter, false).map_err(failed("read HEALGATE_LOG"))?;
    for warning in settings.warnings.iter().chain(catalog.warnings()) {
        tracing::warn!("{warning}");
    }
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .map_err(failed("start the runtime"))?;
    let ended = runtime.block_on(async {
        let gateway = Gateway::prepare(settings, catalog, environment).await?;
        gateway.run().await
    });
    // Whatever still reads there must not hold up the end.
    runtime.shutdown_background();
    ended
}

/// The parts of a gateway that is about to run.
struct Gateway {
    settings: Settings,
    grafana: Option<Signature>,
    signals: Signals,
    ending: Ending,
    listener: TcpListener,
    catalogue: Arc<LiveCatalogue>,
    tools: Tools,
    post: notify::Tools,
    systemd: Arc<Systemd>,
    upkeep: Arc<dyn Upkeep>,
}

impl Gateway {
    async fn prepare(settings: Settings, catalog: Catalog, environment: Environment) -> Result<Self, Failed> {
        let signals = Signals::register().map_err(failed("listen to signals"))?;
        let systemd = Systemd::from(&environment).map_err(failed("reach systemd at NOTIFY_SOCKET"))?;
        private_folder(&settings.data_dir).map_err(failed(format!("create {}", settings.data_dir.display())))?;
        let address = settings.server.listen;
        let listener = TcpListener::bind(address).map_err(failed(format!("listen on {address}")))?;
        let (live, metrics) = (Arc::new(Live::default()), Metrics::new());
        let announce = Announce {
            live: Arc::clone(&live),
            metrics: metrics.clone(),
        };
        let database = &settings.database.path;
        let store = SqliteStore::open(database, Arc::new(announce))
            .await
            .map_err(failed(format!("open the database {}", database.display())))?;
        let ansible = watched_ansible(ansible_settings(&settings, environment), &metrics)?;
        upkeep::watch_sizes(&metrics, database.clone());
        let store = Arc::new(store);
        let upkeep = Arc::<SqliteStore>::clone(&store);
        let post = notify::Tools {
            store: Arc::<SqliteStore>::clone(&store),
            outbox: Arc::<SqliteStore>::clone(&store),
            live: Arc::clone(&live),
            clock: Arc::new(SystemClock),
            metrics: metrics.clone(),
            external_url: settings.server.external_url.clone(),
        };
        let tools = Tools {
            store,
            ansible,
            live,
            clock: Arc::new(SystemClock),
            metrics,
            peers: Peers::new(&settings.alertmanagers, settings.prometheus.as_ref()),
            worker: worker_name(),
        };
        let grafana = grafana_signature(&settings)?;
        let catalogue = LiveCatalogue::new(
            source(&settings),
            catalog,
            Arc::clone(&tools.ansible),
            Arc::clone(&tools.live),
        );
        let catalogue = Arc::new(catalogue);
        Ok(Self {
            grafana,
            settings,
            signals,
            ending: Ending::default(),
            listener,
            catalogue,
            tools,
            post,
            systemd: Arc::new(systemd),
            upkeep,
        })
    }

    /// Serves and works until a signal, then ends in order: no new runs, wait for those that go on, close the doors.
    async fn run(self) -> Result<(), Failed> {
        let address = self.listener.local_addr().map_err(failed("find out the address"))?;
        let app = self.app()?;
        let (again, pause) = (again(&app), pauser(&app));
        let pruner = upkeep::pruner(&self.upkeep, &self.settings, &app);
        let indexer = upkeep::indexer(&self.upkeep, &app);
        let shutdown = shutdown(&self.settings, &self.ending);
        let systemd = self.systemd;
        let server = http::serve(self.listener, app, HTTP_THREADS).map_err(failed("serve"))?;
        let handle = server.handle();
        let server = tokio::spawn(server);
        let reload = reloader(Arc::clone(&self.catalogue), Arc::clone(&systemd));
        tokio::spawn(self.signals.pass_on(self.ending.clone(), reload, pause));
        tokio::spawn(announce_end(Arc::clone(&systemd), shutdown.clone()));
        tokio::spawn(keep_alive(Arc::clone(&systemd), Arc::clone(&self.tools.store)));
        let watch = Watch::new(
            Arc::clone(&self.tools.store),
            Arc::clone(&self.tools.clock),
            Arc::clone(&self.catalogue) as Arc<dyn Expectations>,
        );
        tokio::spawn(watch.run(self.ending.stopping.clone()));
        tokio::spawn(watch_for_comebacks(self.tools.asking(), self.ending.stopping.clone()));
        let verifying = verify(
            self.tools.asking(),
            Arc::clone(&self.tools.live),
            self.ending.stopping.clone(),
        );
        let pool = Pool::recover(self.tools, self.settings.worker.slots, shutdown)
            .await
            .map_err(failed("take up the runs of an earlier process"))?;
        // For people: it serves whether or not anybody reads this.
        let _ = say::line(&format!(
            "healgate {} is listening on http://{address}",
            env!("CARGO_PKG_VERSION")
        ));
        systemd.ready();
        let again = tokio::spawn(again.run());
        tokio::spawn(pruner.run());
        tokio::spawn(indexer.run());
        tokio::spawn(verifying);
        // After what an earlier process left: that is more urgent, and both take the machine's time.
        self.catalogue.warm_up();
        let post = Post::start(&self.post, senders(&self.settings));
        pool.run().await;
        again.await.map_err(failed("decide again about what is held back"))?;
        // What the last runs have to tell is told as far as there is time; the rest by the next start.
        post.end(&self.ending.hurry).await;
        stop(&handle, &self.ending).await;
        server.await.map_err(failed("serve"))?.map_err(failed("serve"))
    }

    fn app(&self) -> Result<App, Failed> {
        let auth = &self.settings.auth;
        Ok(App {
            store: Arc::clone(&self.tools.store),
            catalogue: Arc::clone(&self.catalogue) as Arc<dyn Catalogue>,
            clock: Arc::clone(&self.tools.clock),
            ids: Arc::new(Ids::default()),
            live: Arc::clone(&self.tools.live),
            streams: Arc::default(),
            forms: Arc::new(Forms::new().map_err(failed("get random bytes from the system"))?),
            outlines: Arc::default(),
            access: Arc::new(Access {
                tokens: auth.tokens.clone(),
                allow_anonymous: auth.allow_anonymous,
                public_metrics: auth.public_metrics,
                listens_on_loopback: self.settings.server.is_loopback(),
                grafana: self.grafana.clone(),
                external_url: self.settings.server.external_url.clone(),
            }),
            metrics: self.tools.metrics.clone(),
            stopping: self.ending.stopping.clone(),
        })
    }
}

/// Lets requests that are under way end, unless somebody is in a hurry.
async fn stop(handle: &ServerHandle, ending: &Ending) {
    tokio::select! {
        () = handle.stop(true) => {}
        () = ending.hurry.cancelled() => handle.stop(false).await,
    }
}

fn shutdown(settings: &Settings, ending: &Ending) -> Shutdown {
    Shutdown {
        stopping: ending.stopping.clone(),
        hurry: ending.hurry.clone(),
        drain_timeout: settings.worker.drain_timeout.duration(),
        on_shutdown: match settings.worker.on_shutdown {
            config::OnShutdown::Leave => OnShutdown::Leave,
            config::OnShutdown::Stop => OnShutdown::Stop,
        },
    }
}

fn senders(settings: &Settings) -> Vec<Sender> {
    let notifiers = settings.notifiers.iter().cloned();
    notifiers.map(|notifier| Sender::new(notifier, &hostname())).collect()
}

async fn announce_end(systemd: Arc<Systemd>, shutdown: Shutdown) {
    shutdown.stopping.cancelled().await;
    systemd.stopping(shutdown.longest());
}

/// A refusal is an answer too: a new start gives no disk more room.
async fn keep_alive(systemd: Arc<Systemd>, store: Arc<dyn Store>) {
    systemd.keep_alive(|| async { drop(store.probe().await) }).await;
}

/// With its warm interpreters in the metrics.
fn watched_ansible(settings: ansible::Settings, metrics: &Metrics) -> Result<Arc<Ansible>, Failed> {
    let ansible = Arc::new(Ansible::new(settings).map_err(failed("prepare Ansible"))?);
    let warm = Arc::clone(&ansible);
    metrics.watch_warm(move || {
        let usage = warm.warm_usage();
        (usage.interpreters, usage.memory)
    });
    Ok(ansible)
}

fn ansible_settings(settings: &Settings, environment: Environment) -> ansible::Settings {
    ansible::Settings {
        command: settings.ansible.command.display().to_string(),
        config_file: settings.ansible.config_file.clone(),
        base: settings.base.clone(),
        data_dir: settings.data_dir.clone(),
        external_url: settings.server.external_url.clone(),
        environment,
        // The image that runs, whatever an upgrade has put in its file's place.
        healgate: "/proc/self/exe".into(),
        grace: ansible::GRACE,
        log_cap: ansible::LOG_CAP,
        warm: match settings.ansible.warm {
            config::Warm::Auto => Some(ansible::WarmLimits::default()),
            config::Warm::Never => None,
        },
    }
}

fn source(settings: &Settings) -> Source {
    Source {
        file: settings.remediations.clone(),
        defaults: catalog::Defaults::from(settings),
    }
}

fn again(app: &App) -> Again {
    Again {
        store: Arc::clone(&app.store),
        catalogue: Arc::clone(&app.catalogue),
        clock: Arc::clone(&app.clock),
        ids: Arc::clone(&app.ids),
        live: Arc::clone(&app.live),
        metrics: app.metrics.clone(),
        stopping: app.stopping.clone(),
    }
}

/// What SIGUSR1 does: nothing starts any more, until somebody resumes by the API.
fn pauser(app: &App) -> impl Fn() + use<> {
    let (store, clock) = (Arc::clone(&app.store), Arc::clone(&app.clock));
    move || {
        let (store, at) = (Arc::clone(&store), clock.now());
        let by = By {
            name: "SIGUSR1".to_owned(),
            at,
            comment: None,
        };
        tokio::spawn(async move {
            if let Err(error) = store.pause(Scope::All, by).await {
                tracing::error!(%error, "failed to pause");
            }
        });
    }
}

/// Reads the secret; the line break at its end is no part of it.
fn grafana_signature(settings: &Settings) -> Result<Option<Signature>, Failed> {
    let Some(grafana) = &settings.auth.grafana else {
        return Ok(None);
    };
    let what = format!(
        "read the secret of `auth.grafana` from {}",
        grafana.secret_file.display()
    );
    let secret = fs::read(&grafana.secret_file).map_err(failed(&what))?;
    let signature = Signature::new(secret.trim_ascii_end(), grafana);
    signature.ok_or_else(|| failed(what)("the file is empty")).map(Some)
}

/// What SIGHUP does.
fn reloader(catalogue: Arc<LiveCatalogue>, systemd: Arc<Systemd>) -> impl Fn() {
    move || {
        let (catalogue, systemd) = (Arc::clone(&catalogue), Arc::clone(&systemd));
        systemd.reloading();
        tokio::task::spawn_blocking(move || match catalogue.replace() {
            Ok(summary) => {
                tracing::info!(summary, "reloaded");
                systemd.reloaded(&summary);
            }
            Err(diagnostics) => {
                tracing::error!("refused to reload; the old catalogue stays:\n{diagnostics}");
                systemd.reloaded("refused to reload; the old catalogue stays");
            }
        });
    }
}

/// A folder that was there before becomes private too: runs with their vars and logs go into it.
fn private_folder(path: &Path) -> std::io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(path)?;
    fs::set_permissions(path, Permissions::from_mode(0o700))
}

/// How this process names itself in attempts.
fn worker_name() -> String {
    format!("{}/{}", hostname(), std::process::id())
}
