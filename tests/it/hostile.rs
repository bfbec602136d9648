//! Labels, annotations and what is taken from them reach the playbook as text, on both of the cores that are supported.

use std::path::Path;

use crate::support::alerts::{TestAlert, firing};
use crate::support::folder::Folder;
use crate::support::gateway::Gateway;

const CATALOGUE: &str = r#"
playbooks:
  fix:
    path: dump.yml
    vars:
      from_label: "{{ alert.labels.evil }}"
      nested: { deep: ["{{ alert.annotations.evil }}"] }
routes:
  - name: down
    matchers: ['alertname="Down"']
    playbook: fix
"#;

/// Uses every text in every way that evaluates templates: arguments, loops, conditions, facts.
const DUMP: &str = r#"
- name: Dump what was received
  hosts: localhost
  gather_facts: false
  tasks:
    - name: Write the alert
      ansible.builtin.copy:
        content: "{{ {'alert': alert, 'from_label': from_label, 'nested': nested} | to_json }}"
        dest: "{{ playbook_dir }}/dump.json"
        mode: "0600"
    - name: Use each label
      ansible.builtin.debug:
        msg: "{{ item.key }}={{ item.value }}"
      loop: "{{ alert.labels | dict2items }}"
    - name: Keep one as a fact
      ansible.builtin.set_fact:
        kept: "{{ from_label }}"
    - name: Use the fact
      ansible.builtin.debug:
        msg: "{{ kept }} {{ nested.deep[0] }}"
      when: kept is defined
    - name: Say which connection is used
      ansible.builtin.debug:
        msg: "connection {{ ansible_connection }}"
"#;

fn lookup(folder: &Folder, name: &str) -> String {
    format!("{{{{ lookup('pipe', 'touch {}') }}}}", folder.path(name).display())
}

async fn is_harmless(core: &str) {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let command = root.join(core).join("bin/ansible-playbook");
    assert!(command.exists(), "{} is missing: run `make venv`", command.display());
    let folder = Folder::new();
    folder.settings_for(&command.display().to_string(), "");
    folder.write("remediations.yml", CATALOGUE);
    folder.write("dump.yml", DUMP);
    let alert: TestAlert = firing("Down", "f1")
        .label("evil", &lookup(&folder, "owned-label"))
        .label(&lookup(&folder, "owned-key"), "in a key")
        .label("ansible_connection", "ssh")
        .label("ansible_python_interpreter", "/bin/false")
        .label("__ansible_unsafe", "x")
        .label("statement", "{% for x in [1] %}{{ x }}{% endfor %}")
        .label(
            "odd",
            "a\u{0}b\u{1b}[31m\u{85}\u{feff}'\"\\: #\n- !!python/object:os.system 🦀",
        )
        .annotation("evil", &lookup(&folder, "owned-annotation"));
    let gateway = Gateway::start(&folder).await;
    let job = gateway.queue(alert).await;
    let ended = gateway.until_finished(&job).await;
    let log = gateway.log_of(&job).await;
    assert_eq!(ended["status"], "succeeded", "{log}");

    let dump: serde_json::Value = serde_json::from_str(&folder.read("dump.json")).unwrap();
    let sent = &gateway.job(&job).await["alert"];
    assert_eq!(dump["alert"]["labels"], sent["labels"]);
    assert_eq!(dump["alert"]["annotations"], sent["annotations"]);
    assert_eq!(dump["from_label"], lookup(&folder, "owned-label"));
    assert_eq!(dump["nested"]["deep"][0], lookup(&folder, "owned-annotation"));
    assert!(log.contains("connection local"), "{log}");
    let owned: Vec<_> = std::fs::read_dir(folder.path(""))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
        .filter(|name| name.starts_with("owned"))
        .collect();
    assert!(owned.is_empty(), "a label was evaluated: {owned:?}");
}

#[tokio::test]
async fn no_text_of_an_alert_is_evaluated_by_core_2_19() {
    is_harmless(".venv").await;
}

#[tokio::test]
async fn no_text_of_an_alert_is_evaluated_by_core_2_16() {
    is_harmless(".venvs/core-2.16").await;
}
