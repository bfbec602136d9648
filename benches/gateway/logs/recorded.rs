//! Runs real plays through the gateway, and keeps what they said: how small it is stored, and for others to say again.

use std::path::Path;

use rusqlite::Connection;
use serde_json::{Value, json};

use crate::client::Client;
use crate::failed::{Failed, failed};
use crate::folder::Folder;
use crate::gateways::Gateway;
use crate::report::{Row, of, tenths};

const HOSTS: usize = 8;

/// Three shapes that plays have: one task, a service that is looked at and restarted on a few machines, and much that is
/// looked at and shown.
const PLAYS: [(&str, &str, &str); 3] = [
    ("one task", "Down", ""),
    ("a service restarted on 8 machines", "Service", SERVICE),
    ("8 machines looked at, with -v", "Look", LOOK),
];

const SERVICE: &str = "\
- name: Restart the web server
  hosts: all
  tasks:
    - name: Is it there
      ansible.builtin.stat: {path: /etc/hostname}
      register: there
    - name: Write its settings
      ansible.builtin.copy:
        dest: \"{{ playbook_dir }}/effect/{{ inventory_hostname }}.conf\"
        content: |
          server_name {{ inventory_hostname }}.example;
          worker_processes {{ ansible_processor_vcpus | default(2) }};
          keepalive_timeout 65;
      diff: true
    - name: Check its settings
      ansible.builtin.command: grep -c server_name {{ playbook_dir }}/effect/{{ inventory_hostname }}.conf
      changed_when: false
    - name: Restart what depends on it
      ansible.builtin.command: echo restarted {{ item }} on {{ inventory_hostname }}
      loop: [nginx, php-fpm, varnish]
    - name: Does it answer
      ansible.builtin.command: sh -c 'echo connection refused >&2; exit 7'
      failed_when: false
    - name: Say what was found
      ansible.builtin.debug:
        msg: \"{{ inventory_hostname }} has {{ there.stat.size }} bytes in {{ there.stat.path }}\"
";

/// Each machine shows something else of this one.
const LOOK: &str = "\
- name: Look at machines
  hosts: all
  tasks:
    - name: Its files
      ansible.builtin.command: ls -l {{ folders[ansible_play_hosts_all.index(inventory_hostname)] }}
      changed_when: false
      register: files
    - name: Show them
      ansible.builtin.debug: {var: files.stdout_lines}
    - name: Its processes
      ansible.builtin.command: ps -eo pid,ppid,stat,rss,etimes,args
      changed_when: false
    - name: Its disks
      ansible.builtin.command: df -k
      changed_when: false
    - name: What it says of itself
      ansible.builtin.setup: {gather_subset: [hardware, network]}
  vars:
    folders: [/usr/bin, /usr/lib/x86_64-linux-gnu, /etc, /usr/share/doc, /usr/sbin, /var/lib/dpkg/info, /dev, /usr/share]
";

const REMEDIATIONS: &str = "\
playbooks:
  touch: {path: touch.yml}
  service: {path: service.yml}
  look: {path: look.yml, verbosity: 1}
routes:
  - {name: down, matchers: ['alertname=\"Down\"'], playbook: touch}
  - {name: service, matchers: ['alertname=\"Service\"'], playbook: service}
  - {name: look, matchers: ['alertname=\"Look\"'], playbook: look}
";

/// What was said, and how it is stored.
#[derive(Debug)]
pub(super) struct Recorded {
    /// What the last play said, in full.
    pub(super) output: Vec<u8>,
    logs: Vec<Log>,
}

#[derive(Debug)]
struct Log {
    play: &'static str,
    said: f64,
    stored: f64,
}

pub(super) async fn record(root: &Path) -> Result<Recorded, Failed> {
    let folder = Folder::new(root)?;
    folder.write("remediations.yml", REMEDIATIONS)?;
    folder.write("service.yml", SERVICE)?;
    folder.write("look.yml", LOOK)?;
    folder.write("hosts.yml", &inventory())?;
    let gateway = Gateway::start(folder).await?;
    let (mut logs, mut output) = (Vec::new(), Vec::new());
    for (play, alertname, _) in PLAYS {
        let job = gateway.run(alertname).await?;
        let id = job["id"].as_str().unwrap_or_default();
        let mut client = Client::connect(gateway.address()).await?;
        output = client.get(&format!("/api/v1/jobs/{id}/log")).await?.to_vec();
        let (said, stored) = sizes(&gateway.folder, id).map_err(failed("read what is stored of a log"))?;
        logs.push(Log { play, said, stored });
    }
    Ok(Recorded { output, logs })
}

fn inventory() -> String {
    let hosts = (1..=HOSTS).map(|number| {
        format!(
            "    web{number}:\n      ansible_connection: local\n      \
             ansible_python_interpreter: \"{{{{ ansible_playbook_python }}}}\"\n"
        )
    });
    format!("all:\n  hosts:\n{}", hosts.collect::<String>())
}

/// Bytes of a job's log as it was said, and as it is stored.
pub(super) fn sizes(folder: &Folder, job: &str) -> rusqlite::Result<(f64, f64)> {
    const SIZES: &str = "
        SELECT TOTAL(length), TOTAL(length(data)) FROM log_chunks
        WHERE  attempt IN (SELECT id FROM attempts WHERE job = ?1)";
    let database = Connection::open(folder.path("var/healgate.db"))?;
    database.query_row(SIZES, [job], |row| Ok((row.get(0)?, row.get(1)?)))
}

impl Recorded {
    pub(super) fn rows(&self) -> Vec<Row> {
        let row = |name: String, said: f64, stored: f64| {
            Row::new(name, tenths(stored / 1024.0)).beside(tenths(said / 1024.0), said / stored)
        };
        let rows = self
            .logs
            .iter()
            .map(|log| row(format!("{}: stored, said; KiB", log.play), log.said, log.stored));
        let mut rows: Vec<Row> = rows.collect();
        let sum = |of: fn(&Log) -> f64| self.logs.iter().map(of).sum();
        rows.push(row("all of these".to_owned(), sum(|log| log.said), sum(|log| log.stored)).bound("ratio ≥ 5"));
        rows
    }

    pub(super) fn json(&self) -> Value {
        let logs = self
            .logs
            .iter()
            .map(|log| json!({ "play": log.play, "said_bytes": log.said, "stored_bytes": log.stored, "ratio": of(log.said / log.stored) }));
        Value::Array(logs.collect())
    }
}
