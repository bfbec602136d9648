//! A project of the fixtures in a folder of its own, in which playbooks run cold and warm, each time from the same state.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::time::Duration;

use healgate::ansible::command::{Environment, Place, Playbooks, environment};
use healgate::ansible::rundir::{How, RunSpec, RunState};
use healgate::ansible::secrets::SecretFiles;
use healgate::ansible::{Ansible, Settings, WarmLimits};
use healgate::clock::{Clock, Ids, SystemClock};
use healgate::domain::attempt::Start;

use crate::runs::{PATIENCE, eventually};

/// The projects' folders.
pub(super) fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/playbooks")
}

/// What came of one run.
pub(super) struct Seen {
    pub(super) exit: Option<i32>,
    pub(super) log: String,
    pub(super) events: String,
    /// Every file of the project, its home and its temporary folder.
    pub(super) files: String,
}

/// The folder. Cold and warm runs differ in nothing but the gateway that starts them.
pub(super) struct Project {
    root: tempfile::TempDir,
    source: PathBuf,
    core: String,
    own: Environment,
    cold: Ansible,
    warm: Ansible,
}

impl Project {
    pub(super) fn new(core: &str, folder: &str, more: &BTreeMap<String, String>) -> Self {
        let root = tempfile::Builder::new().prefix("healgate-").tempdir().unwrap();
        let own = [
            ("GREETING", "hello".to_owned()),
            // Sets have an order that differs from process to process, warm or not.
            ("PYTHONHASHSEED", "0".to_owned()),
            // Where modules look for what the action wrote; the default is in the home that the user database names.
            (
                "ANSIBLE_ASYNC_DIR",
                root.path().join("home/async").display().to_string(),
            ),
            ("TMPDIR", root.path().join("tmp").display().to_string()),
        ];
        let mut own: Environment = own.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
        own.extend(more.clone());
        let gateway = |data: &str, warm| {
            Ansible::new(Settings {
                command: core.to_owned(),
                config_file: None,
                base: root.path().join("project"),
                data_dir: root.path().join(data),
                external_url: "http://healgate.test/".into(),
                environment: environment_of_gateway(root.path()),
                healgate: env!("CARGO_BIN_EXE_healgate").into(),
                grace: Duration::from_secs(2),
                log_cap: 64 << 20,
                warm,
            })
        };
        let project = Self {
            cold: gateway("var-c", None).unwrap(),
            warm: gateway("var-w", Some(WarmLimits::default())).unwrap(),
            source: fixtures().join(folder),
            core: core.to_owned(),
            own,
            root,
        };
        project.clean();
        project
    }

    fn path(&self, name: &str) -> PathBuf {
        self.root.path().join(name)
    }

    pub(super) async fn until_warm(&self) {
        self.warm.warm_up([&self.own]);
        eventually("a warm interpreter", || {
            (self.warm.warm_usage().interpreters == 1).then_some(())
        })
        .await;
    }

    pub(super) async fn cold(&self, args: &[String]) -> Seen {
        let (seen, start) = self.run(&self.cold, "var-c", args).await;
        assert!(matches!(start, Some(Start::Cold { .. })), "{start:?}");
        seen
    }

    pub(super) async fn warm(&self, args: &[String]) -> Seen {
        let (seen, start) = self.run(&self.warm, "var-w", args).await;
        assert_eq!(start, Some(Start::Warm));
        seen
    }

    async fn run(&self, ansible: &Ansible, data: &str, args: &[String]) -> (Seen, Option<Start>) {
        self.clean();
        let job = Ids::default().job(SystemClock.now());
        let dir = ansible.runs().path(job, 1);
        let place = Place {
            dir: &dir,
            marker: format!("{job}/1"),
        };
        let playbooks = Playbooks {
            command: self.core.clone(),
            config_file: None,
            base: self.path("project"),
            plugins: self.plugins(data),
        };
        let mut argv = vec![self.core.clone()];
        argv.extend(args.iter().cloned());
        let run = ansible.runs().create(&RunSpec {
            job,
            attempt: 1,
            argv,
            env: environment(&playbooks, &self.own, &place, &environment_of_gateway(self.root.path())),
            cwd: self.path("project"),
            secrets: SecretFiles::default(),
            vars: Vec::new(),
            limit: None,
            time_limit: Duration::from_secs(120),
            grace: Duration::from_secs(2),
            log_cap: 64 << 20,
            sockets: dir.join("cp"),
        });
        let run = run.unwrap();
        let mut host = ansible.start(&run).unwrap();
        let start = host.start().cloned();
        tokio::time::timeout(PATIENCE * 3, host.wait()).await.unwrap().unwrap();
        let RunState::Ended(status) = run.state().unwrap() else {
            panic!("{:?}", run.state())
        };
        let exit = match status.how {
            How::Exited { code } => Some(code),
            _ => None,
        };
        // Long in the same way, so that nothing wraps differently.
        let same = |text: String| {
            let job = job.to_string();
            text.replace(&job, "JOB").replace(data, "VAR")
        };
        let log = String::from_utf8_lossy(&run.read_output(0, 64 << 20).unwrap()).into_owned();
        let events = fs::read_to_string(run.path().join("events.jsonl")).unwrap_or_default();
        let seen = Seen {
            exit,
            log: same(log),
            events: same(events),
            files: same(self.files()),
        };
        run.remove().unwrap();
        (seen, start)
    }

    /// Where that gateway has put our callback plugin.
    fn plugins(&self, data: &str) -> PathBuf {
        let folders = fs::read_dir(self.path(data).join("plugins")).unwrap().flatten();
        let mut folders = folders.map(|entry| entry.path());
        folders.find(|path| path.join("healgate_events.py").exists()).unwrap()
    }

    /// The project as it was, without touching what has not changed.
    fn clean(&self) {
        for name in ["home", "tmp"] {
            let _ = fs::remove_dir_all(self.path(name));
            fs::create_dir_all(self.path(name)).unwrap();
        }
        let folder = self.path("project");
        restore(&self.source, &folder);
        fs::create_dir_all(folder.join("made")).unwrap();
    }

    fn files(&self) -> String {
        let mut lines = Vec::new();
        for name in ["home", "project", "tmp"] {
            describe(&self.path(name), self.root.path(), &mut lines);
        }
        lines.join("\n")
    }
}

fn environment_of_gateway(root: &Path) -> Environment {
    Environment::from([
        ("PATH".to_owned(), "/usr/bin:/bin".to_owned()),
        ("HOME".to_owned(), root.join("home").display().to_string()),
    ])
}

fn names(folder: &Path) -> BTreeSet<std::ffi::OsString> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let names = entries.map(|entry| entry.file_name());
    names.filter(|name| name != "__pycache__").collect()
}

fn restore(source: &Path, folder: &Path) {
    fs::create_dir_all(folder).unwrap();
    let wanted = names(source);
    for entry in fs::read_dir(folder).unwrap().flatten() {
        if !wanted.contains(&entry.file_name()) {
            let path = entry.path();
            let is_folder = entry.file_type().unwrap().is_dir();
            let removed = if is_folder {
                fs::remove_dir_all(&path)
            } else {
                fs::remove_file(&path)
            };
            removed.unwrap();
        }
    }
    for name in wanted {
        let (from, to) = (source.join(&name), folder.join(&name));
        let kind = fs::symlink_metadata(&from).unwrap();
        if kind.is_dir() {
            restore(&from, &to);
        } else if kind.is_symlink() {
            let _ = fs::remove_file(&to);
            symlink(fs::read_link(&from).unwrap(), &to).unwrap();
        } else if fs::read(&to).ok() != Some(fs::read(&from).unwrap()) {
            fs::copy(&from, &to).unwrap();
        }
    }
}

fn describe(path: &Path, root: &Path, lines: &mut Vec<String>) {
    let name = path.strip_prefix(root).unwrap().display().to_string();
    let metadata = fs::symlink_metadata(path).unwrap();
    let mode = metadata.permissions().mode();
    if metadata.is_dir() {
        lines.push(format!("{name}/ {mode:o}"));
        let below: BTreeSet<PathBuf> = fs::read_dir(path)
            .unwrap()
            .flatten()
            .map(|entry| entry.path())
            .collect();
        for path in below {
            describe(&path, root, lines);
        }
    } else if metadata.is_symlink() {
        lines.push(format!("{name} -> {}", fs::read_link(path).unwrap().display()));
    } else {
        let compiled = path.extension().is_some_and(|extension| extension == "pyc");
        let content = if compiled { Vec::new() } else { fs::read(path).unwrap() };
        lines.push(format!("{name} {mode:o} {}", String::from_utf8_lossy(&content)));
    }
}
