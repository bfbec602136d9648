//! What must never be written down.

use std::fs;
use std::path::Path;

use healgate::ansible::rundir::How;
use healgate::ansible::secrets::SecretFiles;
use healgate::domain::attempt::Outcome;
use reqwest::Method;

use crate::runs::{World, cores};
use crate::support::alerts::{firing, notification};
use crate::support::folder::Folder;
use crate::support::gateway::Gateway;
use crate::support::wait::until;

#[tokio::test]
async fn a_requests_credentials_are_stored_nowhere() {
    use sha2::Digest;
    let folder = Folder::new();
    let digest = hex::encode(sha2::Sha256::digest("hunter2-token"));
    folder.settings(&format!(
        "auth:\n  tokens:\n    - {{name: am, role: admin, sha256: \"{digest}\"}}\n"
    ));
    let gateway = Gateway::start(&folder).await.with_token("hunter2-token");
    let request = gateway
        .request(Method::POST, "/webhooks/alertmanager")
        .header("Cookie", "session=hunter2-cookie")
        .json(&notification(&[firing("Down", "f1")]));
    let answer: serde_json::Value = request.send().await.unwrap().json().await.unwrap();
    let job = answer["decisions"][0]["job"].as_str().unwrap();
    let job = gateway.until_finished(job).await;
    assert_eq!(job["triggered_by"], "am");

    let logged = gateway.logged();
    gateway.kill().await;
    let mut looked_at = 0;
    for entry in fs::read_dir(folder.path("var")).unwrap().flatten() {
        if let Ok(bytes) = fs::read(entry.path()) {
            looked_at += bytes.len();
            assert!(!contains(&bytes, b"hunter2"), "{} has a secret", entry.path().display());
        }
    }
    assert!(looked_at > 10_000, "the database was not looked at");
    assert!(!logged.contains("hunter2"), "{logged}");
}

fn contains(bytes: &[u8], part: &[u8]) -> bool {
    bytes.windows(part.len()).any(|window| window == part)
}

/// What each secret has, and nothing else that these tests write.
const NEEDLES: [&str; 5] = ["hunter2", "hunter3", "hunter4", "hunter5", "hunter6"];

const TOKEN: &str = "0f3a-hunter2-7c11-hunter2-9b-hunter2-41d5-hunter2-aa-hunter2\n";
const ODD: &str = "first \"hunter3\" \\line é\n  second: hunter4 😀\n";
const VAULT: &str = "hunter5 with words\n";
const KEY: &str = "-----BEGIN KEY-----\nhunter6/AAA+bbb==\n-----END KEY-----\n";

/// Breaks its warnings into lines, up to ansible-core 2.18.
const FILTER: &str = r#"
from ansible.utils.display import Display

def warned(value):
    for width in range(0, 80, 7):
        Display().warning("w" * width + " " + value)
    return value

class FilterModule:
    def filters(self):
        return {"warned": warned}
"#;

const TELLING: &str = r#"
- name: "play {{ lookup('env', 'TOKEN') }}"
  hosts: all
  gather_facts: false
  tasks:
    - debug: {msg: "env {{ lookup('env', 'TOKEN') }}"}
    - name: "name {{ lookup('env', 'TOKEN') }}"
      debug: {msg: ["{{ odd }}", {deep: "{{ odd | to_json }}", deeper: "{{ {'x': odd} | to_json | to_json }}"}]}
      vars: {odd: "{{ lookup('file', 'DIR/odd') }}"}
    - debug: {msg: "{{ lookup('file', 'DIR/vault') }} {{ lookup('file', 'DIR/key').splitlines() }}"}
    - shell: printf '%s' "$TOKEN"; cat DIR/odd DIR/key DIR/vault >&2
    - command: "true"
      loop: ["{{ lookup('env', 'TOKEN') }}", "{{ lookup('file', 'DIR/odd') }}"]
      loop_control: {label: "label {{ item }}"}
      when: item == ''
    - copy: {content: "password={{ lookup('env', 'TOKEN') }}\n{{ lookup('file', 'DIR/odd') }}", dest: DIR/out}
      diff: true
    - debug: {msg: "{{ lookup('env', 'TOKEN') | warned }}"}
    - wait_for: {path: DIR/go}
    - shell: cat DIR/odd; printf '%s' "$TOKEN" >&2; exit 3
      ignore_errors: true
    - fail: {msg: "it was {{ lookup('env', 'TOKEN') }} {{ lookup('file', 'DIR/odd') }}"}
"#;

fn find(text: &[u8], whence: &str) {
    for needle in NEEDLES {
        let found = text.windows(needle.len()).position(|part| part == needle.as_bytes());
        if let Some(at) = found {
            let around = &text[at.saturating_sub(200)..text.len().min(at + 100)];
            panic!("{whence} has {needle}: {}", String::from_utf8_lossy(around));
        }
    }
}

/// Every file below the folder, but not what Ansible itself keeps there for a while.
fn find_below(folder: &Path) -> usize {
    let mut looked_at = 0;
    for entry in fs::read_dir(folder).unwrap().flatten() {
        let path = entry.path();
        if path.is_dir() {
            if path.file_name().unwrap() != "tmp" {
                looked_at += find_below(&path);
            }
        } else if let Ok(bytes) = fs::read(&path) {
            looked_at += bytes.len();
            find(&bytes, &path.display().to_string());
        }
    }
    looked_at
}

/// With a playbook that tells its secrets in many ways.
fn telling(core: &str) -> Folder {
    let folder = Folder::new();
    folder.settings_for(core, "");
    let dir = folder.path("").display().to_string();
    folder.write("fix.yml", &TELLING.replace("DIR", dir.trim_end_matches('/')));
    folder.write("filter_plugins/warned.py", FILTER);
    for (name, content) in [("token", TOKEN), ("odd", ODD), ("vault", VAULT), ("key", KEY)] {
        folder.write(name, content);
    }
    folder.write(
        "remediations.yml",
        "playbooks:\n  fix:\n    path: fix.yml\n    verbosity: 2\n    diff: true\n    env: {TOKEN: {file: token}}\n    \
         secrets: [odd]\n    vault_password_file: vault\n    private_key_file: key\n\
         routes:\n  - {name: down, matchers: ['alertname=\"Down\"'], playbook: fix}\n",
    );
    folder
}

async fn look_at_answers(gateway: &Gateway, job: &str) {
    let body = notification(&[firing("Down", "f2")]);
    let explained = gateway
        .request(Method::POST, "/api/v1/explain")
        .json(&body)
        .send()
        .await;
    find(&explained.unwrap().bytes().await.unwrap(), "explain");
    for path in ["", "/log", "/tasks", "/events"] {
        find(
            gateway.text(&format!("/api/v1/jobs/{job}{path}")).await.as_bytes(),
            path,
        );
    }
    for path in ["jobs", "playbooks", "routes", "alerts", "alerts/f1", "notifications"] {
        find(gateway.text(&format!("/api/v1/{path}")).await.as_bytes(), path);
    }
    let log = gateway.log_of(job).await;
    for said in ["env ******", "name ******", "it was ******", "+password=******"] {
        assert!(log.contains(said), "{said:?} is not in {log}");
    }
    let tasks = gateway.get(&format!("/api/v1/jobs/{job}/tasks?limit=500")).await;
    for said in [
        "env ******",
        "name ******",
        "label ******",
        "it was ******",
        "password=******",
    ] {
        assert!(tasks.to_string().contains(said), "{said:?} is not in {tasks}");
    }
}

#[tokio::test]
async fn no_value_of_a_secret_file_is_written_or_shown() {
    for core in cores() {
        let folder = telling(&core);
        let gateway = Gateway::start(&folder).await;
        let job = gateway.queue(firing("Down", "f1")).await;
        until("the playbook waits", || async {
            let log = gateway.log_of(&job).await;
            (log.contains("wait_for") || log.contains("PLAY RECAP")).then_some(())
        })
        .await;
        let processes = folder.processes();
        assert!(
            processes
                .iter()
                .any(|(_, command)| command.contains("ansible-playbook"))
        );
        for (pid, command) in processes {
            find(command.as_bytes(), &format!("the command line of {pid}"));
        }
        assert!(find_below(&folder.path("var")) > 10_000);
        folder.write("go", "");
        let ended = gateway.until_finished(&job).await;
        assert_eq!(ended["reason"], "hosts_failed", "{ended}");

        look_at_answers(&gateway, &job).await;
        find(gateway.logged().as_bytes(), "the gateway's log");
        gateway.kill().await;
        assert!(find_below(&folder.path("var")) > 10_000);
    }
}

fn files(world: &World, content: &str) -> SecretFiles {
    world.write("token", content);
    SecretFiles {
        env_files: [("TOKEN".to_owned(), world.path("token"))].into(),
        ..SecretFiles::default()
    }
}

#[tokio::test]
async fn a_secret_that_comes_byte_by_byte_is_masked() {
    let world = World::new("none");
    let script = "import os, sys\nfor byte in os.environb[b'TOKEN'] * 2 + b' hunter ' + os.environb[b'TOKEN']:\n    os.write(1, bytes([byte]))";
    let mut spec = world.script("");
    spec.argv = vec!["/usr/bin/python3".into(), "-c".into(), script.into()];
    spec.secrets = files(&world, "hunter2\n");
    let run = world.start(&spec);
    let order = fs::read_to_string(run.dir.path().join("run.json")).unwrap();
    assert!(order.contains(r#""env_files":{"TOKEN":"/"#), "{order}");
    find(order.as_bytes(), "run.json");
    let ended = run.end().await;
    assert_eq!(ended.log, "************ hunter ******");
    assert_eq!(ended.status.log_bytes, 26);
}

#[tokio::test]
async fn a_secret_that_cannot_be_read_is_told_and_nothing_begins() {
    let world = World::new("none");
    let mut spec = world.script("touch $DIR/begun");
    spec.secrets = files(&world, "hunter2\0");
    let ended = world.start(&spec).end().await;
    assert_eq!(ended.outcome, Outcome::StartFailed);
    let token = world.path("token").display().to_string();
    assert_eq!(
        ended.message,
        format!("cannot set the environment variable TOKEN from {token}: it has a NUL byte")
    );
    let mut spec = world.script("touch $DIR/begun");
    spec.secrets.secret_files = vec![world.path("gone")];
    let ended = world.start(&spec).end().await;
    assert!(matches!(ended.status.how, How::StartFailed { .. }));
    let gone = world.path("gone").display().to_string();
    assert!(
        ended
            .message
            .starts_with(&format!("cannot read the secret file {gone}: No such file")),
        "{}",
        ended.message
    );
    assert!(!world.path("begun").exists());
}

#[tokio::test]
async fn what_no_log_hides_stays_hidden() {
    for core in cores() {
        // ansible-core 2.19 shows the lines of the playbook where a task failed, so the value comes from elsewhere.
        let play = "- hosts: all\n  gather_facts: false\n  tasks:\n    - debug: {msg: '{{ hidden }}'}\n      no_log: true\n    \
                    - command: sh -c 'echo {{ item }}; exit 1'\n      no_log: true\n      loop: ['{{ hidden }}']\n";
        let world = World::new(&core);
        let run = world.play(play, |parameters| {
            parameters.verbosity = 2;
            parameters.vars.insert("hidden".into(), "hunter2".into());
        });
        let ended = run.end().await;
        assert_eq!(ended.outcome, Outcome::HostsFailed, "{}", ended.log);
        find(ended.log.as_bytes(), "the log");
        find(format!("{:?} {}", ended.tasks, ended.message).as_bytes(), "a task");
        assert!(
            ended.tasks[0].message.as_ref().unwrap().contains("no_log"),
            "{:?}",
            ended.tasks
        );
    }
}
