//! Runs playbooks and reports what happened: the only door to processes. Never touches the store.

pub mod command;
mod config_file;
pub mod events;
pub mod examine;
mod host;
mod leftovers;
pub mod outcome;
mod plugin;
pub mod rundir;
pub mod secrets;
pub mod vars;
mod warm;

use std::fs::OpenOptions;
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use tokio::io::AsyncReadExt;

pub use host::guard::guard as guard_run;
pub use host::play::exec as exec_playbook;
pub use host::{Summons, run as run_host};
pub use warm::{Limits as WarmLimits, Usage as WarmUsage};

use crate::ansible::command::{Environment, Place, Playbooks};
use crate::ansible::rundir::{RunDir, RunSpec, RunState, Runs, named};
use crate::ansible::secrets::SecretFiles;
use crate::ansible::vars::About;
use crate::ansible::warm::request::Line;
use crate::ansible::warm::{Attempted, Warm};
use crate::domain::attempt::Start;
use crate::domain::job::Job;
use crate::domain::parameters::Parameters;

/// How long a stopped run may take to end by itself.
pub const GRACE: Duration = Duration::from_secs(10);

/// How long a log may be.
pub const LOG_CAP: u64 = 64 << 20;

/// How often to look whether a host that closes its line has let go of its lock.
const LOOK_AT_LOCK: Duration = Duration::from_millis(10);

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
    /// Nothing where every run is to start cold.
    pub warm: Option<WarmLimits>,
}

/// Starts playbooks.
#[derive(Clone, Debug)]
pub struct Ansible {
    settings: Settings,
    playbooks: Playbooks,
    runs: Runs,
    warm: Warm,
}

/// The host of a run that this process started. Dropping it ends nothing.
#[derive(Debug)]
pub struct HostProcess {
    end: End,
    start: Option<Start>,
}

/// How a host's end is noticed.
#[derive(Debug)]
enum End {
    /// It is a child of this process.
    Child(tokio::process::Child),
    /// An interpreter forked it: the line to it ends with it.
    Line {
        line: Option<tokio::net::UnixStream>,
        pid: Option<u32>,
        run: RunDir,
    },
}

impl Ansible {
    /// Puts the callback plugin where playbooks find it, and clears away what interpreters of an earlier process left.
    pub fn new(settings: Settings) -> io::Result<Self> {
        let playbooks = Playbooks {
            command: settings.command.clone(),
            config_file: settings.config_file.clone(),
            base: settings.base.clone(),
            plugins: plugin::install(&settings.data_dir, plugin::EVENTS)?,
        };
        let runs = Runs::new(&settings.data_dir);
        let interpreter = plugin::install(&settings.data_dir, plugin::WARM)?.join(plugin::WARM[0].0);
        let warm = Warm::new(settings.warm, &settings.data_dir, interpreter, &settings.healgate)?;
        Ok(Self {
            settings,
            playbooks,
            runs,
            warm,
        })
    }

    /// Has warm interpreters started in the background for playbooks with these environments of their own.
    pub fn warm_up<'a>(&self, environments: impl IntoIterator<Item = &'a Environment>) {
        let place = Place {
            dir: &self.settings.data_dir,
            marker: String::new(),
        };
        for own in environments {
            let env = command::environment(&self.playbooks, own, &place, &self.settings.environment);
            self.warm
                .prepare_for(&self.playbooks.command, &env, &self.playbooks.base);
        }
    }

    /// What warm interpreters take now.
    pub fn warm_usage(&self) -> WarmUsage {
        self.warm.usage()
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
            env: command::environment(&self.playbooks, &parameters.env, &place, &self.settings.environment),
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

    /// Starts the host of a prepared run, from a warm interpreter where that is possible. It outlives this process.
    /// Blocks until it is known how the run starts.
    pub fn start(&self, run: &RunDir) -> io::Result<HostProcess> {
        let order = run.order()?;
        match self.warm.start(run, &order) {
            Attempted::Begun(line, start) => Ok(HostProcess::at_line(line, start, run)),
            Attempted::Cold(because) => self.start_cold(run, &order.ticket, &because),
            Attempted::Spent(because) => {
                tracing::warn!(because, "a warm start has failed; the run starts cold");
                let run = self.runs.renew(run)?;
                self.start_cold(&run, &run.order()?.ticket, &because)
            }
        }
    }

    #[expect(clippy::disallowed_methods, reason = "the door to the run host")]
    fn start_cold(&self, run: &RunDir, ticket: &str, because: &str) -> io::Result<HostProcess> {
        let start = Start::cold(because);
        let log = host_log(run.path())?;
        let healgate = &self.settings.healgate;
        let child = tokio::process::Command::new(healgate)
            .arg0("healgate")
            .arg("run-host")
            .arg("--cold-because")
            .arg(start.cold_because().unwrap_or_default())
            .arg("--ticket")
            .arg(ticket)
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
        Ok(HostProcess {
            end: End::Child(child),
            start: Some(start),
        })
    }
}

impl HostProcess {
    fn at_line(line: Line, start: Option<Start>, run: &RunDir) -> Self {
        let (pid, stream) = (line.host(), line.into_stream());
        let stream = stream
            .set_nonblocking(true)
            .and_then(|()| tokio::net::UnixStream::from_std(stream));
        if let Err(error) = &stream {
            // The run is under way; its lock tells the end as well, only later.
            tracing::warn!(%error, "failed to wait at the line to a run's host");
        }
        let end = End::Line {
            line: stream.ok(),
            pid,
            run: run.clone(),
        };
        Self { end, start }
    }

    /// How the run starts, as far as its host has told; `None` for a host that ended before it could.
    pub fn start(&self) -> Option<&Start> {
        self.start.as_ref()
    }

    /// The host's pid, until it was waited for.
    pub fn pid(&self) -> Option<u32> {
        match &self.end {
            End::Child(child) => child.id(),
            End::Line { pid, .. } => *pid,
        }
    }

    /// Waits until the host is gone. Then `RunDir::state` says what became of the run.
    pub async fn wait(&mut self) -> io::Result<()> {
        match &mut self.end {
            End::Child(child) => child.wait().await.map(drop),
            End::Line { line, run, .. } => {
                let mut nothing = [0; 64];
                if let Some(line) = line {
                    while matches!(line.read(&mut nothing).await, Ok(read) if read > 0) {}
                }
                // The line ends a moment before the lock is free.
                while matches!(run.state(), Ok(RunState::Live)) {
                    tokio::time::sleep(LOOK_AT_LOCK).await;
                }
                Ok(())
            }
        }
    }
}

fn host_log(dir: &Path) -> io::Result<std::fs::File> {
    let path = dir.join("host.log");
    let mut options = OpenOptions::new();
    options.append(true).create(true).mode(0o600);
    options.open(&path).map_err(|error| named("open", &path, &error))
}
