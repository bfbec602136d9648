//! Warm starts as the gateway's users see them: in jobs, histories and metrics; through kills, stops and reloads.

use std::path::Path;

use rustix::process::Signal;
use serde_json::Value;

use crate::runs::{cores, lives};
use crate::support::alerts::firing;
use crate::support::folder::Folder;
use crate::support::gateway::Gateway;
use crate::support::wait::until;
use crate::warm_runs::children_of;

/// Waits for `go`, if `WAIT` says so.
const PLAY: &str = "- hosts: all\n  gather_facts: false\n  tasks:\n    - debug: {msg: \"hello {{ alert.fingerprint }}\"}\n    \
                    - wait_for: {path: go, sleep: 1}\n      when: lookup('env', 'WAIT') == '1'\n    - debug: {msg: bye}\n";

const WAITING: &str = "
playbooks:
  fix:
    path: play.yml
    env: {WAIT: '1'}
routes:
  - name: down
    matchers: ['alertname=\"Down\"']
    playbook: fix
";

fn folder(core: &str) -> Folder {
    let folder = Folder::new();
    folder.warm_settings(core, "");
    folder.write("play.yml", PLAY);
    let catalogue = folder.read("remediations.yml").replace("fix.yml", "play.yml");
    folder.write("remediations.yml", &catalogue);
    folder
}

fn metric(metrics: &str, name: &str) -> u64 {
    let line = metrics.lines().find_map(|line| line.strip_prefix(name));
    let value = line.unwrap_or_else(|| panic!("no {name} in {metrics}"));
    value.trim().parse().unwrap()
}

async fn until_interpreters(gateway: &Gateway, count: u64) {
    until(&format!("{count} warm interpreters"), || async {
        let metrics = gateway.text("/metrics").await;
        (metric(&metrics, "healgate_warm_interpreters ") == count).then_some(())
    })
    .await;
}

fn interpreters(gateway: &Gateway) -> Vec<i32> {
    let below = children_of(i32::try_from(gateway.pid()).unwrap()).into_iter();
    below
        .filter(|pid| {
            let command = std::fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            command.contains("healgate_warm.py")
        })
        .collect()
}

async fn started(gateway: &Gateway, job: &str) -> String {
    let events = gateway.get(&format!("/api/v1/jobs/{job}/events")).await;
    let events = events["items"].as_array().unwrap();
    let started = events.iter().find(|event| event["event"] == "started").unwrap();
    started["message"].as_str().unwrap().to_owned()
}

fn attempt(job: &Value) -> (&Value, &Value) {
    (&job["attempts"][0]["warm"], &job["attempts"][0]["cold_because"])
}

#[tokio::test]
async fn a_job_its_history_and_the_metrics_say_that_it_started_warm() {
    for core in cores() {
        let folder = folder(&core);
        let gateway = Gateway::start(&folder).await;
        // Nothing has run yet: the catalogue is what it was started for.
        until_interpreters(&gateway, 1).await;
        let job = gateway.queue(firing("Down", "f1")).await;
        let ended = gateway.until_finished(&job).await;
        let log = gateway.log_of(&job).await;
        assert_eq!(ended["status"], "succeeded", "{log}");
        assert_eq!(attempt(&ended), (&Value::Bool(true), &Value::Null));
        assert!(log.contains("hello f1"), "{log}");
        let said = started(&gateway, &job).await;
        assert_eq!(said, "ansible-playbook was started from a warm interpreter");
        let metrics = gateway.text("/metrics").await;
        assert_eq!(metric(&metrics, "healgate_runs_started_total{start=\"warm\"} "), 1);
        assert_eq!(metric(&metrics, "healgate_runs_started_total{start=\"cold\"} "), 0);
        assert!(metric(&metrics, "healgate_warm_memory_bytes ") > 10 << 20);

        folder.write("ansible.cfg", "[defaults]\nforks = 3\n");
        let job = gateway.queue(firing("Down", "f2")).await;
        let ended = gateway.until_finished(&job).await;
        assert_eq!(ended["status"], "succeeded");
        assert_eq!(
            attempt(&ended),
            (&Value::Bool(false), &"no warm interpreter yet".into())
        );
        let said = started(&gateway, &job).await;
        assert_eq!(said, "ansible-playbook was started cold: no warm interpreter yet");
    }
}

#[tokio::test]
async fn a_stand_in_that_is_no_python_script_of_ansible_says_so() {
    let folder = Folder::new();
    folder.warm_settings("./ansible-playbook", "");
    let gateway = Gateway::start(&folder).await;
    let job = gateway.queue(firing("Down", "f1")).await;
    let ended = gateway.until_finished(&job).await;
    let because = format!(
        "{} is not ansible-playbook's own Python script",
        folder.path("./ansible-playbook").display()
    );
    assert_eq!(attempt(&ended), (&Value::Bool(false), &because.into()));
    assert_eq!(
        metric(&gateway.text("/metrics").await, "healgate_warm_interpreters "),
        0
    );
}

#[tokio::test]
async fn a_warm_play_outlives_its_gateway_and_its_interpreter_does_not() {
    for core in cores() {
        let folder = folder(&core);
        folder.write("remediations.yml", WAITING);
        let gateway = Gateway::start(&folder).await;
        until_interpreters(&gateway, 1).await;
        let job = gateway.queue(firing("Down", "f1")).await;
        until("the playbook works", || async {
            gateway.log_of(&job).await.contains("hello f1").then_some(())
        })
        .await;
        let before = interpreters(&gateway);
        assert_eq!(before.len(), 1);
        gateway.kill().await;
        until("the interpreter is gone", || async {
            (!lives(before[0])).then_some(())
        })
        .await;
        assert!(!folder.processes().is_empty(), "the play is gone too");

        let gateway = Gateway::start(&folder).await;
        assert_eq!(gateway.job(&job).await["status"], "running");
        folder.write("go", "");
        let ended = gateway.until_finished(&job).await;
        let log = gateway.log_of(&job).await;
        assert_eq!(ended["status"], "succeeded", "{log}");
        assert!(log.contains("bye"), "{log}");
        assert_eq!(ended["attempts"].as_array().unwrap().len(), 1);
        assert_eq!(attempt(&ended), (&Value::Bool(true), &Value::Null));
        // Only those of this gateway have a folder.
        let left = std::fs::read_dir(folder.path("var/warm")).unwrap().flatten();
        let own = format!("{}-", gateway.pid());
        for entry in left {
            assert!(entry.file_name().to_string_lossy().starts_with(&own), "{entry:?}");
        }
    }
}

#[tokio::test]
async fn a_warm_run_can_be_canceled_and_lost_like_any_other() {
    for core in cores() {
        let folder = folder(&core);
        folder.write("remediations.yml", WAITING);
        let gateway = Gateway::start(&folder).await;
        until_interpreters(&gateway, 1).await;
        for (fingerprint, reason) in [("f1", "canceled"), ("f2", "lost")] {
            let job = gateway.queue(firing("Down", fingerprint)).await;
            let hello = format!("hello {fingerprint}");
            until("the playbook works", || async {
                gateway.log_of(&job).await.contains(&hello).then_some(())
            })
            .await;
            if reason == "canceled" {
                let answer = gateway.post(&format!("/api/v1/jobs/{job}/cancel")).await;
                assert!(answer.status().is_success());
            } else {
                let processes = folder.processes();
                let host = processes.iter().find(|(_, command)| command.contains("run-host"));
                crate::runs::kill(host.unwrap().0);
            }
            let ended = gateway.until_finished(&job).await;
            assert_eq!((&ended["reason"], attempt(&ended).0), (&reason.into(), &true.into()));
            until("nothing of the run is left", || async {
                let left = folder.processes().into_iter();
                let mut left = left.filter(|(_, command)| !command.contains("healgate.yml"));
                left.all(|(pid, _)| interpreters(&gateway).contains(&pid)).then_some(())
            })
            .await;
        }
    }
}

#[tokio::test]
async fn a_reload_starts_interpreters_for_new_environments_and_a_stop_ends_them_all() {
    let [_, core] = cores();
    let folder = folder(&core);
    let mut gateway = Gateway::start(&folder).await;
    until_interpreters(&gateway, 1).await;
    folder.write("remediations.yml", WAITING);
    gateway.signal(Signal::HUP);
    until_interpreters(&gateway, 2).await;
    let all = interpreters(&gateway);
    assert_eq!(all.len(), 2);
    gateway.signal(Signal::TERM);
    assert!(gateway.ended().await.success());
    until("the interpreters are gone", || async {
        all.iter().all(|pid| !lives(*pid)).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_binary_that_is_replaced_while_the_gateway_runs_is_not_mixed_with_it() {
    let [_, core] = cores();
    let folder = folder(&core);
    let binary = folder.path("bin/healgate");
    folder.write("bin/healgate", "");
    std::fs::copy(env!("CARGO_BIN_EXE_healgate"), &binary).unwrap();
    folder.program("other", "#!/bin/sh\nexit 7\n");
    let gateway = Gateway::start_with(&folder, |command| become_command(command, &binary, &folder)).await;
    until_interpreters(&gateway, 1).await;
    std::fs::rename(folder.path("other"), &binary).unwrap();
    for (fingerprint, warm) in [("f1", true), ("f2", false)] {
        if !warm {
            folder.write("ansible.cfg", "[defaults]\nforks = 3\n");
        }
        let job = gateway.queue(firing("Down", fingerprint)).await;
        let ended = gateway.until_finished(&job).await;
        assert_eq!(ended["status"], "succeeded", "{}", gateway.log_of(&job).await);
        assert_eq!(attempt(&ended).0, &Value::Bool(warm));
    }
}

/// The gateway from another binary.
#[expect(clippy::disallowed_methods, reason = "tests start the gateway as its users do")]
fn become_command(command: &mut tokio::process::Command, binary: &Path, folder: &Folder) {
    let mut other = tokio::process::Command::new(binary);
    other
        .args(["serve", "--config"])
        .arg(folder.path("healgate.yml"))
        .stdin(std::process::Stdio::null())
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .kill_on_drop(true);
    *command = other;
}
