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

/// One playbook and one route to it, for alerts named `Down`.
const REMEDIATIONS: &str = "\
playbooks:
  touch:
    path: touch.yml
    vars:
      instance: \"{{ alert.labels.instance }}\"
routes:
  - name: down
    matchers: ['alertname=\"Down\"', 'severity=~\"critical|page\"']
    playbook: touch
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
    pub(crate) fn new(root: &Path) -> Result<Self, Failed> {
        let dir = tempfile::Builder::new().prefix("gateway-").tempdir_in(root);
        let folder = Self {
            dir: dir.map_err(failed("create a folder"))?,
        };
        let settings = format!(
            "server:\n  listen: 127.0.0.1:0\nansible:\n  command: {}\n  inventory: hosts.yml\n",
            ansible()?.display()
        );
        folder.write("healgate.yml", &settings)?;
        folder.write("remediations.yml", REMEDIATIONS)?;
        folder.write("hosts.yml", INVENTORY)?;
        folder.write("touch.yml", PLAYBOOK)?;
        fs::create_dir(folder.path("effect")).map_err(failed("create a folder"))?;
        Ok(folder)
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn write(&self, name: &str, text: &str) -> Result<(), Failed> {
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
fn processes_that_name(folder: &Path) -> Vec<rustix::process::Pid> {
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
