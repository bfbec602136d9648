//! Runs for tests: made in a directory of their own, started by the real binary, watched from outside.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use healgate::ansible::events::EventReader;
use healgate::ansible::outcome::{TAIL_BYTES, judge};
use healgate::ansible::rundir::{RunDir, RunSpec, RunState, Status, Stop, StopKind};
use healgate::ansible::{Ansible, HostProcess, Settings, WarmLimits};
use healgate::clock::{Clock, Ids, SystemClock};
use healgate::domain::alert::Alert;
use healgate::domain::attempt::{Outcome, TaskResult};
use healgate::domain::ids::Target;
use healgate::domain::job::{Job, JobStatus, Trigger};
use healgate::domain::parameters::Parameters;

use crate::support::wait::until;
use crate::warm_runs::children_of;

/// No test waits longer for anything.
pub(crate) const PATIENCE: Duration = Duration::from_secs(180);

pub(crate) struct World {
    pub(crate) dir: tempfile::TempDir,
    pub(crate) ansible: Ansible,
}

pub(crate) struct Run {
    pub(crate) dir: RunDir,
    pub(crate) host: HostProcess,
}

/// How a run ended, judged as the gateway would.
pub(crate) struct Ended {
    pub(crate) status: Status,
    pub(crate) outcome: Outcome,
    pub(crate) message: String,
    pub(crate) tasks: Vec<TaskResult>,
    pub(crate) log: String,
}

/// The `ansible-playbook` of both versions of ansible-core that are tested.
pub(crate) fn cores() -> [String; 2] {
    [".venvs/core-2.16", ".venv"].map(|venv| {
        let path = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join(venv)
            .join("bin/ansible-playbook");
        assert!(path.exists(), "{} is missing: `make test` makes it", path.display());
        path.to_string_lossy().into_owned()
    })
}

pub(crate) async fn eventually<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    until(what, || std::future::ready(look())).await
}

/// The pid that somebody wrote into that file, once it is complete.
pub(crate) async fn pid_in(file: &Path) -> i32 {
    eventually(&format!("a pid in {}", file.display()), || {
        fs::read_to_string(file).ok()?.strip_suffix('\n')?.trim().parse().ok()
    })
    .await
}

pub(crate) fn lives(pid: i32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let state = stat.rsplit(')').next().and_then(|rest| rest.trim().chars().next());
    state.is_some_and(|state| state != 'Z' && state != 'X')
}

/// Every living process with that entry in the environment that it was started with, and what it is.
pub(crate) fn marked(entry: &str) -> Vec<(i32, String)> {
    let entries = fs::read_dir("/proc").unwrap().flatten();
    let pids = entries.filter_map(|process| process.file_name().to_str()?.parse().ok());
    let marked = pids.filter(|pid| {
        let environ = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
        lives(*pid) && environ.split(|byte| *byte == 0).any(|own| own == entry.as_bytes())
    });
    let name = |pid| fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    marked.map(|pid| (pid, name(pid).replace('\0', " "))).collect()
}

/// Ends a process that a test left on purpose.
pub(crate) fn kill(pid: i32) {
    let pid = rustix::process::Pid::from_raw(pid).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
}

impl World {
    pub(crate) fn new(command: &str) -> Self {
        Self::with_grace(command, Duration::from_secs(2))
    }

    pub(crate) fn with_grace(command: &str, grace: Duration) -> Self {
        Self::with(command, grace, None)
    }

    /// With warm starts.
    pub(crate) fn warm(command: &str) -> Self {
        Self::with(command, Duration::from_secs(2), Some(WarmLimits::default()))
    }

    #[expect(
        clippy::disallowed_methods,
        reason = "playbooks of a test get the PATH and the HOME of the test"
    )]
    pub(crate) fn with(command: &str, grace: Duration, warm: Option<WarmLimits>) -> Self {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("hosts"), "localhost ansible_connection=local\n").unwrap();
        let environment = ["PATH", "HOME"].into_iter().filter_map(|name| {
            let value = std::env::var_os(name)?;
            Some((name.to_owned(), value.into_string().ok()?))
        });
        let ansible = Ansible::new(Settings {
            command: command.to_owned(),
            config_file: None,
            base: dir.path().to_path_buf(),
            data_dir: dir.path().join("var"),
            external_url: "http://healgate.test/".into(),
            environment: environment.collect(),
            healgate: healgate(dir.path()),
            grace,
            log_cap: 1 << 20,
            warm,
        })
        .unwrap();
        Self { dir, ansible }
    }

    /// The warm interpreter of this world, if there is one: not what it has forked.
    pub(crate) fn interpreter(&self) -> Option<i32> {
        let own = i32::try_from(std::process::id()).unwrap();
        let folder = self.dir.path().display().to_string();
        children_of(own).into_iter().find(|pid| {
            let command = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            let command = String::from_utf8_lossy(&command).into_owned();
            command.contains(&folder) && command.contains("healgate_warm.py")
        })
    }

    /// Every process that carries the mark of that run.
    pub(crate) fn marked(&self, run: &RunDir) -> Vec<i32> {
        let name = run.path().strip_prefix(self.path("var/runs")).unwrap().display();
        let mark = format!("HEALGATE_RUN={name}");
        let entries = fs::read_dir("/proc").unwrap().flatten();
        let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
        pids.filter(|pid| {
            let environ = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
            environ.split(|byte| *byte == 0).any(|entry| entry == mark.as_bytes())
        })
        .collect()
    }

    /// The hosts of that run.
    pub(crate) fn hosts(&self, run: &RunDir) -> Vec<i32> {
        pids_with(&["run-host", &run.path().display().to_string()])
    }

    /// The guards of all runs.
    pub(crate) fn guards(&self) -> Vec<i32> {
        pids_with(&["run-guard", &self.dir.path().display().to_string()])
    }

    /// An executable file of that content.
    pub(crate) fn executable(&self, name: &str, content: &str) -> String {
        self.write(name, content);
        fs::set_permissions(self.path(name), PermissionsExt::from_mode(0o755)).unwrap();
        self.path(name).to_string_lossy().into_owned()
    }

    /// Waits until an interpreter is ready for runs whose playbooks have that environment of their own.
    pub(crate) async fn until_warm(&self, own: &BTreeMap<String, String>) {
        let before = self.ansible.warm_usage().interpreters;
        self.ansible.warm_up([own]);
        eventually("a warm interpreter", || {
            (self.ansible.warm_usage().interpreters > before).then_some(())
        })
        .await;
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub(crate) fn write(&self, name: &str, content: &str) {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }

    /// A run of a shell script instead of a playbook. `$DIR` is the test's directory.
    pub(crate) fn script(&self, script: &str) -> RunSpec {
        let job = Ids::default().job(SystemClock.now());
        let env = BTreeMap::from([
            ("DIR".to_owned(), self.dir.path().to_string_lossy().into_owned()),
            ("PATH".to_owned(), "/usr/bin:/bin".to_owned()),
        ]);
        RunSpec {
            job,
            attempt: 1,
            argv: ["/bin/sh", "-c", script].map(str::to_owned).to_vec(),
            env,
            secrets: Default::default(),
            cwd: self.dir.path().to_path_buf(),
            vars: Vec::new(),
            limit: None,
            time_limit: Duration::from_secs(60),
            grace: Duration::from_secs(1),
            log_cap: 1 << 20,
            sockets: self.dir.path().join(format!("cp-{job}")),
        }
    }

    pub(crate) fn start(&self, spec: &RunSpec) -> Run {
        let dir = self.ansible.runs().create(spec).unwrap();
        let host = self.ansible.start(&dir).unwrap();
        Run { dir, host }
    }

    /// A run of that playbook, which becomes `play.yml`, with real Ansible.
    pub(crate) fn play(&self, playbook: &str, change: impl FnOnce(&mut Parameters)) -> Run {
        self.play_for(playbook, None, change)
    }

    pub(crate) fn play_for(&self, playbook: &str, alert: Option<Alert>, change: impl FnOnce(&mut Parameters)) -> Run {
        let playbook = playbook.replace("$DIR", &self.dir.path().to_string_lossy());
        self.write("play.yml", &playbook);
        let mut parameters: Parameters = serde_json::from_value(serde_json::json!({
            "path": "play.yml", "inventory": "hosts", "limit": null, "tags": [], "check": false, "timeout": "3m",
            "vars": {"ansible_python_interpreter": "/usr/bin/python3"},
        }))
        .unwrap();
        change(&mut parameters);
        let dir = self.ansible.prepare(&job(parameters, alert), 1).unwrap();
        let host = self.ansible.start(&dir).unwrap();
        Run { dir, host }
    }
}

/// Processes with all these words in their command lines.
fn pids_with(words: &[&str]) -> Vec<i32> {
    let entries = fs::read_dir("/proc").unwrap().flatten();
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
    pids.filter(|pid| {
        let command = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        let command = String::from_utf8_lossy(&command).into_owned();
        words.iter().all(|word| command.contains(word))
    })
    .collect()
}

/// Starts the binary as a shell starts a program in the background: it ignores SIGINT and SIGQUIT from its birth.
fn healgate(dir: &Path) -> PathBuf {
    let path = dir.join("healgate");
    let script = format!(
        "#!/bin/sh\ntrap '' INT QUIT\nexec {} \"$@\"\n",
        env!("CARGO_BIN_EXE_healgate")
    );
    fs::write(&path, script).unwrap();
    fs::set_permissions(&path, PermissionsExt::from_mode(0o755)).unwrap();
    path
}

fn job(parameters: Parameters, alert: Option<Alert>) -> Job {
    let now = SystemClock.now();
    Job {
        id: Ids::default().job(now),
        status: JobStatus::Running,
        reason: None,
        playbook: "test".into(),
        route: None,
        target: Target::parse("t").unwrap(),
        trigger: Trigger::Manual,
        triggered_by: "test".into(),
        rerun_of: None,
        follows: None,
        episode: None,
        alert,
        group: None,
        parameters,
        by_hand: None,
        changes: None,
        checks: healgate::domain::checks::Checks::default(),
        attempts: Vec::new(),
        created_at: now,
        run_at: now,
        started_at: None,
        finished_at: None,
        healed_at: None,
        healed_late: false,
        cancel_requested: None,
    }
}

impl Run {
    /// What every process of the run has in its environment.
    pub(crate) fn mark(&self) -> String {
        let path = self.dir.path().to_string_lossy();
        format!("HEALGATE_RUN={}", path.split("/runs/").nth(1).unwrap())
    }

    pub(crate) fn stop(&self) {
        let stop = Stop {
            by: "alice".into(),
            kind: StopKind::Cancel,
            at: SystemClock.now(),
        };
        self.dir.request_stop(&stop).unwrap();
    }

    pub(crate) fn log(&self) -> String {
        String::from_utf8_lossy(&self.dir.read_output(0, 1 << 24).unwrap()).into_owned()
    }

    pub(crate) async fn says(&self, words: &str) {
        eventually(&format!("{words:?} in the log"), || {
            self.log().contains(words).then_some(())
        })
        .await;
    }

    pub(crate) async fn lose_host(&mut self) {
        kill(i32::try_from(self.host.pid().unwrap()).unwrap());
        self.host.wait().await.unwrap();
        self.is_lost().await;
    }

    /// Its guard may hold the run until it has ended what is left.
    pub(crate) async fn is_lost(&self) {
        let vanished = || matches!(self.dir.state().unwrap(), RunState::Vanished).then_some(());
        eventually("the run is lost", vanished).await;
    }

    pub(crate) async fn end(mut self) -> Ended {
        tokio::time::timeout(PATIENCE, self.host.wait())
            .await
            .expect("the host ends")
            .unwrap();
        let state = self.dir.state().unwrap();
        let RunState::Ended(status) = state else {
            panic!("{state:?}: {:?}", fs::read_to_string(self.dir.path().join("host.log")))
        };
        let mut reader = EventReader::default();
        let tasks = reader.read(&self.dir).unwrap();
        assert_eq!(reader.broken(), 0);
        let tail = self.dir.output_tail(TAIL_BYTES).unwrap();
        let (outcome, message) = judge(Some(&status), reader.summary(), &tail);
        Ended {
            log: self.log(),
            status: *status,
            outcome,
            message: message.unwrap_or_default(),
            tasks,
        }
    }
}
