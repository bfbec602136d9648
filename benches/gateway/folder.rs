//! Folders that a gateway can be started in, on the repository's own disk; gone with their value.

use std::fs;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use crate::failed::{Failed, failed};

/// The playbook whose first task has an effect that can be seen: `effect/touched`.
const PLAYBOOK: &str = "\
- name: Have an effect
  hosts: all
  gather_facts: false
  tasks:
    - name: Touch
      ansible.builtin.command: touch {{ playbook_dir }}/effect/touched
";

const INVENTORY: &str = "\
all:
  hosts:
    localhost:
      ansible_connection: local
      ansible_python_interpreter: \"{{ ansible_playbook_python }}\"
";

/// A play without a task.
const EMPTY: &str = "\
- name: Do nothing
  hosts: all
  gather_facts: false
  tasks: []
";

/// A play that prints more than 1,000,000 lines: a list, an entry a line.
const LINES: &str = "\
- name: Say much
  hosts: all
  gather_facts: false
  tasks:
    - name: Say it
      ansible.builtin.debug:
        msg: \"{{ range(1000000) | list }}\"
";

/// The alert's name tells the playbook.
const REMEDIATIONS: &str = "\
playbooks:
  touch:
    path: touch.yml
    vars:
      instance: \"{{ alert.labels.instance }}\"
  empty:
    path: empty.yml
  lines:
    path: lines.yml
routes:
  - name: down
    matchers: ['alertname=\"Down\"', 'severity=~\"critical|page\"']
    playbook: touch
  - name: empty
    matchers: ['alertname=\"Empty\"']
    playbook: empty
  - name: lines
    matchers: ['alertname=\"Lines\"']
    playbook: lines
";

/// A folder with settings, catalogue, inventory and playbook.
#[derive(Debug)]
pub(crate) struct Folder {
    dir: TempDir,
}

/// Where the folders are made: on a disk, or a durable answer would cost nothing.
pub(crate) fn root() -> Result<PathBuf, Failed> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/bench");
    fs::create_dir_all(&root).map_err(failed("create target/bench"))?;
    root.canonicalize().map_err(failed("find target/bench"))
}

/// The `ansible-playbook` that is measured: the repository's own.
pub(crate) fn ansible() -> Result<PathBuf, Failed> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(".venv/bin/ansible-playbook");
    if path.exists() {
        return Ok(path);
    }
    let why = format!("{} is not there; requirements.txt says what it needs", path.display());
    Err(Failed::new("find Ansible", why))
}

impl Folder {
    /// For a gateway with real Ansible that starts cold.
    pub(crate) fn new(root: &Path) -> Result<Self, Failed> {
        Self::with(root, &ansible()?.display().to_string(), "never", "")
    }

    /// For a gateway with that command, `ansible.warm`, and further sections.
    pub(crate) fn with(root: &Path, command: &str, warm: &str, more: &str) -> Result<Self, Failed> {
        let dir = tempfile::Builder::new().prefix("gateway-").tempdir_in(root);
        let folder = Self {
            dir: dir.map_err(failed("create a folder"))?,
        };
        let settings = format!(
            "server:\n  listen: 127.0.0.1:0\nansible:\n  command: {command}\n  inventory: hosts.yml\n  warm: {warm}\n{more}"
        );
        folder.write("healgate.yml", &settings)?;
        folder.write("remediations.yml", REMEDIATIONS)?;
        folder.write("hosts.yml", INVENTORY)?;
        folder.write("touch.yml", PLAYBOOK)?;
        folder.write("empty.yml", EMPTY)?;
        folder.write("lines.yml", LINES)?;
        fs::create_dir(folder.path("effect")).map_err(failed("create a folder"))?;
        Ok(folder)
    }

    /// So that the next one can be seen.
    pub(crate) fn forget_effect(&self) -> Result<(), Failed> {
        fs::remove_file(self.path("effect/touched")).map_err(failed("forget an effect"))
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub(crate) fn write(&self, name: &str, text: &str) -> Result<(), Failed> {
        fs::write(self.path(name), text).map_err(failed(format!("write {name}")))
    }
}

impl Drop for Folder {
    /// Ends what still runs in the folder, before it is removed: run hosts outlive their gateway on purpose.
    fn drop(&mut self) {
        for pid in processes_that_name(self.dir.path()) {
            let _ = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
        }
    }
}

/// Every process but this one whose command line names that folder.
pub(crate) fn processes_that_name(folder: &Path) -> Vec<rustix::process::Pid> {
    let name = folder.display().to_string();
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    let named = entries.filter_map(|entry| {
        let pid: i32 = entry.file_name().to_str()?.parse().ok()?;
        let command = fs::read(entry.path().join("cmdline")).ok()?;
        let is_named = String::from_utf8_lossy(&command).contains(&name);
        rustix::process::Pid::from_raw(pid).filter(|_| is_named)
    });
    named.collect()
}
