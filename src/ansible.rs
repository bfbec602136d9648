//! Runs playbooks and reports what happened: the only door to processes. Never touches the store.

pub mod command;
mod config_file;
pub mod events;
mod host;
mod leftovers;
pub mod outcome;
mod plugin;
pub mod rundir;
pub mod secrets;
pub mod vars;

use std::fs::OpenOptions;
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

pub use host::play::exec as exec_playbook;
pub use host::run as run_host;

use crate::ansible::command::{Environment, Place, Playbooks};
use crate::ansible::rundir::{RunDir, RunSpec, Runs, named};
use crate::ansible::secrets::SecretFiles;
use crate::ansible::vars::About;
use crate::domain::job::Job;
use crate::domain::parameters::Parameters;

/// How long a stopped run may take to end by itself.
pub const GRACE: Duration = Duration::from_secs(10);

/// How long a log may be.
pub const LOG_CAP: u64 = 64 << 20;

/// What runs need to know of the gateway's settings. Paths are absolute.
#[derive(Clone, Debug)]
pub struct Settings {
    /// `ansible-playbook`: a path, or a name on PATH.
    pub command: String,
    pub config_file: Option<PathBuf>,
    /// The folder of healgate.yml.
    pub base: PathBuf,
    pub data_dir: PathBuf,
    /// For the link to a job.
    pub external_url: String,
    /// The gateway's own environment; a playbook gets little of it.
    pub environment: Environment,
    /// The binary that has `run-host`: this one.
    pub healgate: PathBuf,
    pub grace: Duration,
    pub log_cap: u64,
}

/// Starts playbooks.
#[derive(Clone, Debug)]
pub struct Ansible {
    settings: Settings,
    playbooks: Playbooks,
    runs: Runs,
}

/// The host of a run that this process started. Dropping it ends nothing.
#[derive(Debug)]
pub struct HostProcess {
    child: tokio::process::Child,
}

impl Ansible {
    /// Puts the callback plugin where playbooks find it.
    pub fn new(settings: Settings) -> io::Result<Self> {
        let playbooks = Playbooks {
            command: settings.command.clone(),
            config_file: settings.config_file.clone(),
            base: settings.base.clone(),
            plugins: plugin::install(&settings.data_dir)?,
        };
        let runs = Runs::new(&settings.data_dir);
        Ok(Self {
            settings,
            playbooks,
            runs,
        })
    }

    /// The run directories.
    pub fn runs(&self) -> &Runs {
        &self.runs
    }

    /// The arguments that these parameters would be run with.
    pub fn argv(&self, parameters: &Parameters) -> Vec<String> {
        command::argv(&self.playbooks, parameters, None)
    }

    /// Makes the run directory of the job's attempt, on disk when this returns. The error is a sentence for people.
    pub fn prepare(&self, job: &Job, attempt: u32) -> io::Result<RunDir> {
        let dir = self.runs.path(job.id, attempt);
        let place = Place {
            dir: &dir,
            marker: format!("{}/{attempt}", job.id),
        };
        let about = About {
            job_id: job.id.to_string(),
            attempt,
            route: job.route.as_deref(),
            playbook: &job.playbook,
            url: format!("{}/jobs/{}", self.settings.external_url.trim_end_matches('/'), job.id),
        };
        let parameters = &job.parameters;
        let limit = command::long_limit(parameters);
        if limit.is_some() && dir.to_string_lossy().contains(',') {
            return Err(io::Error::other(format!(
                "a limit as long as this goes by way of a file, and Ansible takes the comma in {} for a border between \
                 files; choose a `data_dir` without one",
                dir.display()
            )));
        }
        self.runs.create(&RunSpec {
            job: job.id,
            attempt,
            argv: command::argv(&self.playbooks, parameters, Some(&dir)),
            env: command::environment(&self.playbooks, parameters, &place, &self.settings.environment),
            secrets: SecretFiles::of(parameters, &self.settings.base),
            cwd: self.settings.base.clone(),
            vars: vars::yaml(&parameters.vars, job.alert.as_ref(), &about),
            limit,
            time_limit: parameters.timeout.duration(),
            grace: self.settings.grace,
            log_cap: self.settings.log_cap,
            sockets: command::control_dir(&place),
        })
    }

    /// Starts the host of a prepared run. It outlives this process.
    #[expect(clippy::disallowed_methods, reason = "the door to the run host")]
    pub fn start(&self, run: &RunDir) -> io::Result<HostProcess> {
        let log = host_log(run.path())?;
        let healgate = &self.settings.healgate;
        let child = tokio::process::Command::new(healgate)
            .arg("run-host")
            .arg("--ticket")
            .arg(run.order()?.ticket)
            .arg(run.path())
            // The playbook's environment is in the directory; the gateway's secrets stay here.
            .env_clear()
            .current_dir("/")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::from(log))
            .kill_on_drop(false)
            .spawn()
            .map_err(|error| named("start", healgate, &error))?;
        Ok(HostProcess { child })
    }
}

impl HostProcess {
    /// The host's pid, until it was waited for.
    pub fn pid(&self) -> Option<u32> {
        self.child.id()
    }

    /// Waits until the host is gone. Then `RunDir::state` says what became of the run.
    pub async fn wait(&mut self) -> io::Result<()> {
        self.child.wait().await.map(drop)
    }
}

fn host_log(dir: &Path) -> io::Result<std::fs::File> {
    let path = dir.join("host.log");
    let mut options = OpenOptions::new();
    options.append(true).create(true).mode(0o600);
    options.open(&path).map_err(|error| named("open", &path, &error))
}
