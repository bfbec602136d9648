//! A folder with all that a gateway needs: settings, catalogue, inventory, and playbooks for a scripted stand-in.
//!
//! The stand-in for `ansible-playbook` runs the "playbook" as a Python script, which says what happens with `say`,
//! `result`, `stats` and `end`, so that every way of ending can be made to happen.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

/// What every scripted playbook can call. It writes the same events as the callback plugin.
const STAND_IN: &str = r#"#!/usr/bin/env python3
import json, os, sys, time

EVENTS = os.environ.get("HEALGATE_EVENTS")
VARS = next(a[1:] for a in sys.argv if a.startswith("@"))

def event(**fields):
    with open(EVENTS, "a") as file:
        file.write(json.dumps({"time": time.time(), **fields}) + "\n")

def say(text):
    print(text, flush=True)

def result(host="localhost", status="ok", task="a task", message=None):
    event(event="result", play="a play", task=task, path="fix.yml:3", action="command", uuid="u", n=1, host=host,
          status=status, started_at=time.time(), seconds=0.01, message=message)

def stats(**hosts):
    zero = {"ok": 0, "failures": 0, "unreachable": 0, "changed": 0, "skipped": 0, "rescued": 0, "ignored": 0}
    event(event="stats", hosts={host: {**zero, **counts} for host, counts in hosts.items()})

def end(code=0):
    sys.exit(code)

def wait_for(path):
    while not os.path.exists(path):
        time.sleep(0.01)

def ok():
    result()
    stats(localhost={"ok": 1})
    end(0)

event(event="playbook", file=sys.argv[-1])
exec(compile(open(sys.argv[-1]).read(), sys.argv[-1], "exec"))
"#;

/// This machine, with the Python that Ansible itself runs on.
const INVENTORY: &str = r#"
all:
  hosts:
    localhost:
      ansible_connection: local
      ansible_python_interpreter: "{{ ansible_playbook_python }}"
"#;

/// A playbook that ends well at once.
pub(crate) const FIX: &str = "say('fixed')\nok()\n";

/// A catalogue with one route: alerts named `Down` run `fix`.
pub(crate) const REMEDIATIONS: &str = r#"
playbooks:
  fix:
    path: fix.yml
routes:
  - name: down
    matchers: ['alertname="Down"']
    playbook: fix
"#;

/// The folder; gone with the value, and with it every process that was started in it.
#[derive(Debug)]
pub(crate) struct Folder {
    dir: TempDir,
}

impl Folder {
    /// With the default settings on a free port, the stand-in, and the playbook that ends well.
    pub(crate) fn new() -> Self {
        let folder = Self::empty();
        folder.program("ansible-playbook", STAND_IN);
        folder.write("hosts.yml", INVENTORY);
        folder.write("fix.yml", FIX);
        folder.write("remediations.yml", REMEDIATIONS);
        folder.settings("");
        folder
    }

    /// With nothing in it.
    pub(crate) fn empty() -> Self {
        Self {
            dir: tempfile::Builder::new().prefix("healgate-it-").tempdir().unwrap(),
        }
    }

    /// Writes healgate.yml: what is always needed, and `more` sections of YAML.
    pub(crate) fn settings(&self, more: &str) {
        self.settings_for("./ansible-playbook", more);
    }

    /// The same with another `ansible-playbook`.
    pub(crate) fn settings_for(&self, command: &str, more: &str) {
        self.write_settings(command, "never", more);
    }

    /// The same with warm starts, which other tests do without: they are not what these tests are about.
    pub(crate) fn warm_settings(&self, command: &str, more: &str) {
        self.write_settings(command, "auto", more);
    }

    fn write_settings(&self, command: &str, warm: &str, more: &str) {
        let text = format!(
            "server:\n  listen: 127.0.0.1:0\ndatabase: {{url: 'sqlite://var/healgate.db'}}\nansible:\n  command: \
             {command}\n  inventory: hosts.yml\n  warm: {warm}\n{more}"
        );
        self.write("healgate.yml", &text);
    }

    /// Writes a file that can be executed.
    pub(crate) fn program(&self, name: &str, text: &str) {
        self.write(name, text);
        fs::set_permissions(self.path(name), fs::Permissions::from_mode(0o755)).unwrap();
    }

    /// Where a file of the folder is.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Writes a file of the folder.
    pub(crate) fn write(&self, name: &str, text: &str) {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    /// The text of a file of the folder, or nothing.
    pub(crate) fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap_or_default()
    }

    /// Every process whose command line names this folder.
    pub(crate) fn processes(&self) -> Vec<(i32, String)> {
        processes_that_name(self.dir.path())
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        for (pid, _) in self.processes() {
            if let Some(pid) = rustix::process::Pid::from_raw(pid) {
                let _ = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
            }
        }
    }
}

fn processes_that_name(folder: &Path) -> Vec<(i32, String)> {
    let name = folder.display().to_string();
    let entries = fs::read_dir("/proc").unwrap().flatten();
    entries
        .filter_map(|entry| {
            let pid: i32 = entry.file_name().to_str()?.parse().ok()?;
            let command = fs::read(entry.path().join("cmdline")).ok()?;
            let command = String::from_utf8_lossy(&command).replace('\0', " ");
            command.contains(&name).then_some((pid, command))
        })
        .collect()
}
