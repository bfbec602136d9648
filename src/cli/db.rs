//! `healgate db`: removes old records, copies the database, checks it. Knows the file alone; asks no gateway.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::cli::failure::{Failure, conclude};
use crate::cli::progress::Progress;
use crate::cli::{ConfigArgs, check, environment, say};
use crate::clock::{Clock, SystemClock};
use crate::config::Settings;
use crate::pruning::{Keep, Pace, Pruned, Pruner, look_back};
use crate::store::observe::{Committed, Observer};
use crate::store::sqlite::{self, SqliteStore};
use crate::store::upkeep::Record;
use crate::telemetry::Metrics;

#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    /// Remove what is older than `retention` keeps, while no gateway runs; one that runs does so by itself
    Prune(Prune),
    /// Copy the database to a new file, also while the gateway runs
    Backup(Backup),
    /// Check the database or a copy of it, also while the gateway runs; exit code 1 if something is wrong
    Check(Check),
}

#[derive(Debug, clap::Args)]
pub(super) struct Prune {
    #[command(flatten)]
    config: ConfigArgs,
    /// Remove nothing; count what is old enough, also while the gateway runs
    #[arg(long)]
    dry_run: bool,
}

#[derive(Debug, clap::Args)]
pub(super) struct Backup {
    #[command(flatten)]
    config: ConfigArgs,
    /// Where the copy goes; it must not be there yet
    file: PathBuf,
}

#[derive(Debug, clap::Args)]
pub(super) struct Check {
    #[command(flatten)]
    config: ConfigArgs,
    /// A copy; without it the database of the settings
    file: Option<PathBuf>,
}

/// 1: it failed, or the check has found something; standard error says what.
pub(super) fn run(command: &Command) -> ExitCode {
    let told = match command {
        Command::Prune(args) => prune(args),
        Command::Backup(args) => backup(args),
        Command::Check(args) => examine(args),
    };
    conclude(told.map_err(Failure::from).and_then(|told| say::line(&told).map(drop)))
}

fn prune(args: &Prune) -> Result<String, String> {
    let (settings, catalog) = check::load(&args.config).map_err(|errors| errors.to_string())?;
    let path = &settings.database.path;
    must_be_there(path)?;
    let back = look_back(catalog.routes(), catalog.fleet());
    if args.dry_run {
        let now = SystemClock.now();
        let old = sqlite::count_old(path, keep(&settings).limits(back, now), now);
        return Ok(describe_old(&old.map_err(|error| error.to_string())?));
    }
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| format!("failed to start the runtime: {error}"))?;
    let _progress = Progress::of("removing what is old");
    let pruned = runtime.block_on(prune_once(path, keep(&settings), back))?;
    Ok(describe(&pruned))
}

async fn prune_once(path: &Path, keep: Keep, back: Duration) -> Result<Pruned, String> {
    let store = SqliteStore::open(path, Arc::new(Nobody)).await.map_err(|error| {
        format!("failed to open the database: {error}\nA gateway that runs prunes by itself, every hour; --dry-run counts beside it.")
    })?;
    let store = Arc::new(store);
    let pruner = Pruner {
        store: Arc::<SqliteStore>::clone(&store),
        clock: Arc::new(SystemClock),
        metrics: Metrics::new(),
        keep,
        look_back: Box::new(move || back),
        pace: Pace::Fast,
        stopping: CancellationToken::new(),
    };
    let pruned = pruner.pass().await;
    drop(pruner);
    if let Ok(store) = Arc::try_unwrap(store) {
        store.close().await;
    }
    pruned.map_err(|error| format!("failed to prune: {error}"))
}

/// What `retention` says.
pub(super) fn keep(settings: &Settings) -> Keep {
    Keep {
        jobs: settings.retention.jobs,
        logs: settings.retention.logs,
        size: settings.retention.size,
    }
}

fn backup(args: &Backup) -> Result<String, String> {
    let path = database(&args.config)?;
    must_be_there(&path)?;
    let _progress = Progress::of("copying the database");
    let bytes =
        sqlite::backup(&path, &args.file).map_err(|error| format!("failed to back up {}: {error}", path.display()))?;
    Ok(format!("{}: {bytes} bytes", args.file.display()))
}

fn examine(args: &Check) -> Result<String, String> {
    let path = match &args.file {
        Some(file) => file.clone(),
        None => database(&args.config)?,
    };
    must_be_there(&path)?;
    let _progress = Progress::of("checking the database");
    let checkup = sqlite::check(&path).map_err(|error| format!("failed to check {}: {error}", path.display()))?;
    if !checkup.findings.is_empty() {
        return Err(format!("{}:\n  {}", path.display(), checkup.findings.join("\n  ")));
    }
    let older = match checkup.schema < checkup.newest {
        true => format!(", which the next start brings to {}", checkup.newest),
        false => String::new(),
    };
    Ok(format!("{} is fine: schema {}{older}", path.display(), checkup.schema))
}

/// A mistake in remediations.yml is no reason to have no copy.
fn database(config: &ConfigArgs) -> Result<PathBuf, String> {
    let variables: Vec<_> = environment().into_iter().collect();
    let settings = Settings::load(&config.config, &variables).map_err(|errors| errors.to_string())?;
    Ok(settings.database.path)
}

fn must_be_there(path: &Path) -> Result<(), String> {
    match std::fs::metadata(path) {
        Ok(_) => Ok(()),
        Err(error) => Err(format!("failed to read {}: {error}", path.display())),
    }
}

fn describe(pruned: &Pruned) -> String {
    let counts = Record::ALL.map(|record| (record, pruned.of(record)));
    format!(
        "removed: {}; {} bytes of logs; the file is {} bytes smaller",
        sentence(&counts),
        pruned.log_bytes,
        pruned.given_back
    )
}

fn describe_old(old: &[(Record, u64)]) -> String {
    format!(
        "old enough: {}; what something kept refers to stays, and logs go with their jobs",
        sentence(old)
    )
}

fn sentence(counts: &[(Record, u64)]) -> String {
    let words = counts
        .iter()
        .map(|(record, count)| format!("{count} {}", record.as_str()));
    words.collect::<Vec<_>>().join(", ")
}

/// Nobody waits for what a commit changes.
#[derive(Debug)]
struct Nobody;

impl Observer for Nobody {
    fn committed(&self, _: &Committed) {}
}
