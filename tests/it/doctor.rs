//! `healgate doctor`: sets that are well, and each thing that may be wrong with one.
#![expect(clippy::disallowed_methods, reason = "starts the command line as its users do")]

use std::fs;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Stdio};
use std::time::Instant;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

use crate::support::cli::{Said, run_in};
use crate::support::folder::Folder;
use crate::support::gateway::Gateway;
use crate::support::monitoring::{Alertmanager, Prometheus, free_address};
use crate::support::wait::LIMIT;

const ANSIBLE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/.venv/bin/ansible-playbook");

/// What `init` makes, with the real Ansible, and with more settings.
fn set_up(more: &str) -> Folder {
    let folder = Folder::empty();
    let address = free_address().to_string();
    let said = run_in(&folder.path(""), &["init", "--listen", &address, "--ansible", ANSIBLE]);
    assert_eq!(said.code, 0, "{said:?}");
    let settings = folder.read("healgate.yml");
    folder.write("healgate.yml", &format!("{settings}{more}"));
    folder
}

/// A set whose Ansible is a stand-in that says it is of that release.
fn quick(release: &str) -> Folder {
    let folder = Folder::empty();
    folder.write("fix.yml", "");
    folder.write("hosts.yml", "all:\n");
    folder.write("remediations.yml", "playbooks: {fix: {path: fix.yml}}\nroutes: []\n");
    folder.settings("");
    folder.program(
        "ansible-playbook",
        &format!("#!/bin/sh\nif [ \"$1\" = --version ]; then echo 'ansible-playbook [core {release}]'; fi\n"),
    );
    folder
}

fn doctor(folder: &Folder, arguments: &[&str]) -> Said {
    run_in(&folder.path(""), &[&["doctor"], arguments].concat())
}

/// Each finding as `state check: message`.
fn findings(folder: &Folder, arguments: &[&str]) -> Vec<String> {
    let said = doctor(folder, &[&["--output", "json"], arguments].concat());
    let report: Value = serde_json::from_str(&said.out).unwrap_or_else(|error| panic!("{error}: {said:?}"));
    assert_eq!(said.code, i32::from(report["failed"] != 0), "{said:?}");
    let items = report["items"].as_array().unwrap().iter();
    items
        .map(|item| {
            let word = |name: &str| {
                item[name]
                    .as_str()
                    .unwrap()
                    .replace(&folder.path("").display().to_string(), "FOLDER/")
            };
            assert_eq!(item["advice"].is_string(), item["state"] != "ok", "{item}");
            format!("{} {}: {}", word("state"), word("check"), word("message"))
        })
        .collect()
}

fn has(findings: &[String], wanted: &str) {
    assert!(
        findings.iter().any(|found| found.contains(wanted)),
        "no {wanted:?} in {findings:#?}"
    );
}

/// Somebody who answers every request so.
fn answering(headers: &str, body: &Value) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let body = body.to_string();
    let answer = format!(
        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close\r\n{headers}Content-Length: {}\r\n\r\n{body}",
        body.len()
    );
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let _ = stream.read(&mut [0; 8192]).unwrap();
            stream.write_all(answer.as_bytes()).unwrap();
        }
    });
    url
}

/// An Alertmanager with that configuration.
fn alertmanager(config: &str) -> String {
    answering(
        "",
        &json!({ "config": { "original": config }, "versionInfo": { "version": "0.28.0" }, "uptime": "2026-01-31T09:00:00Z" }),
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn a_set_that_is_well_is_told_to_be_with_the_real_ansible_alertmanager_and_prometheus() {
    let folder = set_up("");
    let gateway = Gateway::start(&folder).await;
    let peers = Folder::empty();
    let config = format!(
        "route: {{receiver: healgate}}\nreceivers: [{{name: healgate, webhook_configs: [{{url: '{}/webhooks/alertmanager', \
         send_resolved: true, http_config: {{authorization: {{credentials_file: '{}'}}}}}}]}}]\n",
        gateway.url(),
        folder.path("tokens/alertmanager").display()
    );
    let alertmanager = Alertmanager::configured(&peers, &config).await;
    let prometheus = Prometheus::start(&peers).await;
    let settings = folder.read("healgate.yml");
    let more = format!(
        "alertmanagers: [{{url: '{}', name: am}}]\nprometheus: {{url: '{}', name: prom}}\n",
        alertmanager.url(),
        prometheus.url()
    );
    folder.write("healgate.yml", &format!("{settings}{more}"));
    let said = doctor(&folder, &["--hosts", "--hosts-timeout", "60s"]);
    assert_eq!(said.code, 0, "{said:?}");
    let told = said
        .told()
        .replace(&folder.path("").display().to_string(), "FOLDER/")
        .replace(ANSIBLE, "ANSIBLE");
    let told = regex::Regex::new(r"\d+ MiB are free at \S+")
        .unwrap()
        .replace_all(&told, "ROOM")
        .into_owned();
    // Whichever Python the machine has.
    let told = regex::Regex::new(r"with Python \d+\.\d+\.\d+")
        .unwrap()
        .replace_all(&told, "with Python VERSION")
        .into_owned();
    insta::assert_snapshot!(told);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_real_alertmanager_that_posts_elsewhere_is_noticed() {
    let folder = quick("2.19.0");
    let peers = Folder::empty();
    let alertmanager = Alertmanager::start(&peers).await;
    folder.settings(&format!(
        "alertmanagers: [{{url: '{}', name: am}}]\n",
        alertmanager.url()
    ));
    has(&findings(&folder, &[]), "failed routing: am posts nothing here");
}

#[test]
fn what_alertmanagers_configuration_lacks_is_said() {
    let folder = quick("2.19.0");
    folder.write(
        "healgate.yml",
        &folder.read("healgate.yml").replace("127.0.0.1:0", "127.0.0.1:8799"),
    );
    let settings = folder.read("healgate.yml");
    let route = "route: {receiver: other, routes: [{matchers: [a=b], routes: [{receiver: ours}]}]}\n";
    let posting =
        |hook: &str| format!("{route}receivers: [{{name: other}}, {{name: ours, webhook_configs: [{{{hook}}}]}}]\n");
    let here = "url: 'http://localhost:8799/webhooks/alertmanager'";
    for (config, wanted) in [
        (
            posting(here),
            "ok routing: am posts here by the receiver ours, resolves too",
        ),
        (
            posting("url: 'http://127.0.0.1:8799/alert'"),
            "ok routing: am posts here",
        ),
        (
            posting(&format!("{here}, send_resolved: false")),
            "failed routing: am does not post resolves",
        ),
        (
            posting(&format!("{here}, max_alerts: 5")),
            "warning routing: am cuts groups short",
        ),
        (
            posting(here).replace("receiver: ours", "receiver: other"),
            "failed routing: no route of am leads",
        ),
        (posting("url: <secret>"), "warning routing: am hides where"),
        (
            posting("url: 'http://gate.example/webhooks/alertmanager'"),
            "warning routing: am posts to http://gate.example",
        ),
        (
            posting("url: 'http://localhost:8799/other'"),
            "failed routing: am posts nothing here",
        ),
        ("route: [".to_owned(), "warning routing: what am shows"),
    ] {
        let url = alertmanager(&config);
        folder.write(
            "healgate.yml",
            &format!("{settings}alertmanagers: [{{url: '{url}', name: am}}]\n"),
        );
        has(&findings(&folder, &[]), wanted);
    }
    let url = alertmanager(&posting(here));
    let hash = "5cd6b823647379a7932d28ee32f8a67a0ad0aa956bf95adeae116741effcf3f3";
    let auth = format!("auth: {{tokens: [{{name: am, role: sender, sha256: {hash}}}]}}\n");
    folder.write(
        "healgate.yml",
        &format!("{settings}{auth}alertmanagers: [{{url: '{url}', name: am}}]\n"),
    );
    has(&findings(&folder, &[]), "failed routing: am shows no token");
}

#[test]
fn peers_that_are_away_or_live_in_another_time_are_noticed() {
    let folder = quick("2.19.0");
    let late = answering("Date: Sat, 31 Jan 2026 09:00:00 GMT\r\n", &json!({ "data": {} }));
    folder.settings(&format!(
        "alertmanagers: [{{url: 'http://127.0.0.1:9', name: am}}]\nprometheus: {{url: '{late}', name: prom}}\n"
    ));
    let found = findings(&folder, &[]);
    has(&found, "failed alertmanager: am does not answer");
    has(&found, "ok prometheus: prom answers");
    has(&found, "failed clock: the clocks of this machine and of prom are ");
    has(&found, "warning gateway: nothing takes alerts");
}

#[test]
fn an_ansible_that_is_too_old_slow_strange_or_not_there_is_noticed() {
    for (release, wanted) in [
        (
            "2.15.12",
            "failed ansible: FOLDER/./ansible-playbook is ansible-core 2.15.12",
        ),
        (
            "2.21.0",
            "warning ansible: FOLDER/./ansible-playbook is ansible-core 2.21.0",
        ),
    ] {
        let found = findings(&quick(release), &[]);
        has(&found, wanted);
        has(&found, "warning libyaml: PyYAML has no libyaml");
    }
    let folder = quick("2.19.0");
    folder.warm_settings("./ansible-playbook", "");
    has(&findings(&folder, &[]), "warning warm start: every run starts cold");
    folder.program(
        "ansible-playbook",
        "#!/bin/sh\necho 'no module named ansible' >&2\nexit 1\n",
    );
    has(
        &findings(&folder, &[]),
        "failed ansible: FOLDER/./ansible-playbook does not run: no module named ansible",
    );
    folder.settings_for("no-such-ansible", "");
    has(
        &findings(&folder, &[]),
        "failed ansible: no-such-ansible does not run: no-such-ansible is not on PATH",
    );
}

#[test]
fn playbooks_and_hosts_are_tried_with_the_real_ansible() {
    let folder = set_up("");
    folder.write(
        "playbooks/broken.yml",
        "- hosts: all\n  tasks:\n    - nosuchmodule_at_all: {}\n      debug: {}\n",
    );
    folder.write(
        "playbooks/undefined.yml",
        "- hosts: \"{{ nowhere_set }}\"\n  tasks: []\n",
    );
    folder.write(
        "playbooks/alert.yml",
        "- hosts: \"{{ where }}\"\n  vars: {name: \"{{ alert.labels.alertname }}\"}\n  tasks: []\n",
    );
    folder.write(
        "remediations.yml",
        "playbooks:\n  look: {path: playbooks/look.yml}\n  broken: {path: playbooks/broken.yml}\n  undefined: {path: \
         playbooks/undefined.yml}\n  alert: {path: playbooks/alert.yml, vars: {where: localhost}}\nroutes: []\n",
    );
    folder.write(
        "inventory/hosts.yml",
        "all:\n  hosts:\n    localhost: {ansible_connection: local, ansible_python_interpreter: '{{ ansible_playbook_python }}'}\n    \
         gone: {ansible_host: 127.0.0.1, ansible_port: 9}\n",
    );
    let found = findings(&folder, &["--hosts", "--hosts-timeout", "60s"]);
    has(&found, "ok warm start");
    has(&found, "ok syntax: look (playbooks/look.yml)");
    has(&found, "failed syntax: broken (playbooks/broken.yml): ");
    has(
        &found,
        "warning syntax: undefined (playbooks/undefined.yml) cannot be judged",
    );
    has(&found, "ok syntax: alert (playbooks/alert.yml)");
    has(&found, "failed hosts: gone of inventory/hosts.yml does not answer: ");
    assert!(!folder.path("var").exists(), "something was written");
}

#[test]
fn hosts_that_take_too_long_are_given_up_with_all_that_was_started() {
    let folder = quick("2.19.0");
    folder.program(
        "ansible-playbook",
        "#!/bin/sh\ncase \"$*\" in *ping.yml*) sleep 600 & wait;; *--version*) echo 'ansible-playbook [core 2.19.0]';; esac\n",
    );
    let found = findings(&folder, &["--hosts", "--hosts-timeout", "1s"]);
    has(
        &found,
        "failed hosts: hosts.yml: not all hosts were done within 1 s; 0 answered",
    );
    assert!(folder.processes().is_empty(), "{:?}", folder.processes());
}

#[test]
fn ctrl_c_ends_it_with_all_that_was_started() {
    let folder = quick("2.19.0");
    folder.program(
        "ansible-playbook",
        "#!/bin/sh\ncase \"$*\" in *ping.yml*) touch called; sleep 600 & wait;; *--version*) echo 'ansible-playbook [core 2.19.0]';; esac\n",
    );
    fs::create_dir(folder.path("temp")).unwrap();
    let mut examined = Command::new(env!("CARGO_BIN_EXE_healgate"))
        .args(["doctor", "--hosts", "--hosts-timeout", "10m"])
        .current_dir(folder.path(""))
        .env("TMPDIR", folder.path("temp"))
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let give_up = Instant::now() + LIMIT;
    while !folder.path("called").exists() {
        assert!(Instant::now() < give_up, "the hosts are not called");
        std::thread::yield_now();
    }
    kill_process(Pid::from_child(&examined), Signal::INT).unwrap();
    assert_eq!(examined.wait().unwrap().code(), Some(130));
    // A killed process is there for a moment.
    while !folder.processes().is_empty() {
        assert!(Instant::now() < give_up, "{:?}", folder.processes());
        std::thread::yield_now();
    }
    assert_eq!(fs::read_dir(folder.path("temp")).unwrap().count(), 0);
}

#[test]
fn files_that_others_may_write_or_read_are_noticed() {
    let folder = quick("2.19.0");
    let mode =
        |name: &str, mode: u32| fs::set_permissions(folder.path(name), fs::Permissions::from_mode(mode)).unwrap();
    has(&findings(&folder, &[]), "ok settings: healgate.yml and what it names");
    folder.write("password", "x");
    folder.write(
        "remediations.yml",
        "playbooks: {fix: {path: fix.yml, vault_password_file: password}}\nroutes: []\n",
    );
    mode("password", 0o644);
    mode("fix.yml", 0o666);
    fs::create_dir(folder.path("var")).unwrap();
    mode("var", 0o755);
    let found = findings(&folder, &[]);
    has(
        &found,
        "failed settings: everyone on this machine may write FOLDER/fix.yml",
    );
    has(
        &found,
        "warning secrets: everyone on this machine may read FOLDER/password",
    );
    has(&found, "warning data: FOLDER/var can be entered by others");
    has(&found, "disk: ");
    mode("password", 0o600);
    mode("fix.yml", 0o644);
    mode("var", 0o700);
    let found = findings(&folder, &[]);
    has(
        &found,
        "ok secrets: the file with a secret can be read, and not by everyone",
    );
    has(&found, "ok data: FOLDER/var is private");
}

#[test]
fn mistakes_in_the_files_are_the_first_thing_that_is_told() {
    let folder = quick("2.19.0");
    folder.write("remediations.yml", "playbooks: []\n");
    let said = doctor(&folder, &[]);
    assert_eq!(said.code, 1, "{said:?}");
    assert!(
        said.out.starts_with("failed   settings      remediations.yml:1:12: "),
        "{}",
        said.out
    );
    assert!(said.out.ends_with("\n1 failed, 0 warnings, 0 ok\n"), "{}", said.out);
    assert_eq!(doctor(&folder, &["--config", "/nowhere.yml"]).code, 1);
    assert_eq!(doctor(&folder, &["--hosts-timeout", "1s"]).code, 2);
}
