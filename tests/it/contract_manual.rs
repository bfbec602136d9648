//! Playbooks run by hand: what may be given, what is refused, and what Ansible gets.

use std::path::Path;

use reqwest::{Method, Response};
use serde_json::{Value, json};
use sha2::Digest;

use crate::contract_http::{post, problem};
use crate::support::alerts::firing;
use crate::support::folder::Folder;
use crate::support::gateway::Gateway;

const MANUAL: &str = "/api/v1/jobs";

const CATALOGUE: &str = r#"
playbooks:
  fix:
    path: fix.yml
    vars: { container: "{{ alert.labels.container }}", fixed: 1 }
    limit: "{{ alert.labels.host }}"
    lock: "container/{{ alert.labels.container }}"
  plain:
    path: fix.yml
routes:
  - name: down
    matchers: ['alertname="Down"']
    playbook: fix
    mode: observe
    verify: { resolved_within: 2m }
"#;

/// Says how it was called.
const SAY_ARGV: &str = "say(' '.join(sys.argv[1:]))\nsay(open(VARS).read())\nok()\n";

fn folder() -> Folder {
    let folder = Folder::new();
    folder.write("remediations.yml", CATALOGUE);
    folder.write("fix.yml", SAY_ARGV);
    folder
}

pub(crate) async fn by_hand(gateway: &Gateway, body: &Value) -> Response {
    post(gateway, MANUAL, body.to_string()).await
}

/// Makes a job that must be made, and answers with it.
pub(crate) async fn made(gateway: &Gateway, body: &Value) -> Value {
    let answer = by_hand(gateway, body).await;
    let (status, location) = (answer.status(), answer.headers().get("location").cloned());
    let job: Value = answer.json().await.unwrap();
    assert_eq!(status, 201, "{job}");
    assert_eq!(location.unwrap(), format!("{MANUAL}/{}", id(&job)).as_str());
    job
}

fn id(job: &Value) -> &str {
    job["id"].as_str().unwrap()
}

async fn queued_event(gateway: &Gateway, job: &Value) -> Value {
    let events = gateway.get(&format!("{MANUAL}/{}/events", id(job))).await;
    events["items"][0].clone()
}

#[tokio::test]
async fn a_job_by_hand_runs_with_what_was_given_and_names_who_gave_it() {
    let folder = folder();
    let digest = hex::encode(sha2::Sha256::digest("secret"));
    folder.settings(&format!(
        "auth:\n  tokens:\n    - {{name: ada, role: operator, sha256: \"{digest}\"}}\n"
    ));
    let gateway = Gateway::start(&folder).await.with_token("secret");
    let body = json!({
        "playbook": "fix", "vars": {"container": "db", "extra": {"a": [1.5, null, true]}}, "limit": "web1,2001:db8::1",
        "check": true,
        "alert": {"labels": {"alertname": "Down", "container": "nginx"}, "annotations": {"summary": "It is down"}}
    });
    let job = made(&gateway, &body).await;
    assert_eq!(
        (&job["trigger"], &job["triggered_by"]),
        (&"manual".into(), &"ada".into())
    );
    // A worker may be quicker than the answer.
    assert!(
        ["queued", "running"].contains(&job["status"].as_str().unwrap()),
        "{job:#}"
    );
    for name in ["route", "rerun_of", "follows", "reason", "changes"] {
        assert_eq!(job[name], Value::Null, "{name}");
    }
    // The lock is rendered from the alert, not from what replaces the variable.
    assert_eq!(job["target"], "container/nginx");
    assert_eq!(job["alert"]["labels"], body["alert"]["labels"]);
    assert_eq!(job["alert"]["annotations"], body["alert"]["annotations"]);
    assert_eq!(job["alert"]["starts_at"], job["created_at"]);
    assert_eq!(job["alert"]["fingerprint"].as_str().unwrap().len(), 16);
    assert_eq!(job["parameters"]["limit"], "web1,2001:db8::1");
    assert_eq!(job["parameters"]["check"], true);
    assert_eq!(
        job["parameters"]["vars"],
        json!({"container": "db", "fixed": 1, "extra": {"a": [1.5, null, true]}})
    );
    let event = queued_event(&gateway, &job).await;
    assert_eq!((&event["event"], &event["by"]), (&"queued".into(), &"ada".into()));
    assert_eq!(
        event["message"],
        "queued: fix on container/nginx by hand by ada, with vars container extra, limited to web1,2001:db8::1, in \
         check mode"
    );

    let ended = gateway.until_finished(id(&job)).await;
    assert_eq!(
        (&ended["status"], &ended["reason"]),
        (&"succeeded".into(), &"unverified".into())
    );
    let log = gateway.log_of(id(&job)).await;
    assert!(
        log.contains("--limit=web1,2001:db8::1") && log.contains("--check"),
        "{log}"
    );
    let listed = gateway.get("/api/v1/jobs?trigger=manual").await;
    assert_eq!(listed["items"][0]["id"], job["id"]);
    let metrics = gateway.text("/metrics").await;
    let counted = metrics.lines().find(|line| {
        line.starts_with("healgate_jobs_finished_total") && line.contains("\"fix\"") && line.contains("unverified")
    });
    assert!(counted.is_some_and(|line| line.ends_with(" 1")), "{metrics}");
}

#[tokio::test]
async fn a_job_by_hand_needs_an_alert_only_where_the_playbook_does() {
    let folder = folder();
    let gateway = Gateway::start(&folder).await;
    let job = made(&gateway, &json!({"playbook": "plain"})).await;
    assert_eq!((&job["alert"], &job["target"]), (&Value::Null, &"plain".into()));
    assert_eq!(gateway.until_finished(id(&job)).await["status"], "succeeded");
    for (body, field, name) in [
        (json!({"playbook": "fix"}), "vars.container", "`alert` is undefined"),
        (
            json!({"playbook": "fix", "alert": {}}),
            "vars.container",
            "`alert.labels.container` is undefined",
        ),
        (
            json!({"playbook": "fix", "vars": {"container": "x"}, "alert": {"labels": {"a": "b"}}}),
            "limit",
            "`alert.labels.host` is undefined",
        ),
        (
            json!({"playbook": "fix", "vars": {"container": "x"}, "limit": "web1"}),
            "lock",
            "`alert` is undefined",
        ),
    ] {
        let refused = problem(by_hand(&gateway, &body).await, 400).await;
        assert_eq!(refused["errors"][0]["field"], field, "{refused}");
        let message = refused["errors"][0]["message"].as_str().unwrap();
        assert!(message.contains(name), "{message}");
    }
}

/// Bodies with what they are answered with: the status, and the field that is named.
fn hostile() -> Vec<(Value, u16, String)> {
    let mut cases = Vec::new();
    for limit in [
        "all",
        "ALL",
        "a:b",
        "a,,b",
        "!a",
        "@/etc/passwd",
        "~.",
        "*",
        "",
        "a b",
        "-e",
    ] {
        cases.push((with("limit", limit.into()), 400, "limit".to_owned()));
    }
    for name in [
        "alert",
        "healgate",
        "ansible_host",
        "ansible_connection",
        "a b",
        "",
        "if",
        "é",
    ] {
        cases.push((with("vars", json!({ name: 1 })), 400, format!("vars.{name}")));
    }
    for playbook in ["nope", "../fix.yml", "fix.yml", "plain\u{0}"] {
        cases.push((json!({ "playbook": playbook }), 409, "playbook".to_owned()));
    }
    cases.push((with("route", "down".into()), 400, "route".to_owned()));
    cases.push((with("verbosity", 4.into()), 400, "verbosity".to_owned()));
    cases.push((with("playbook", json!(["plain"])), 400, "playbook".to_owned()));
    for host in ["all", "a:b", "{{ x }}"] {
        let alert = json!({"labels": {"container": "c", "host": host}});
        cases.push((json!({"playbook": "fix", "alert": alert}), 400, "limit".to_owned()));
    }
    cases
}

fn with(field: &str, value: Value) -> Value {
    let mut body = json!({"playbook": "plain"});
    body[field] = value;
    body
}

#[tokio::test]
async fn hostile_input_is_refused_with_its_field() {
    let folder = folder();
    let gateway = Gateway::start(&folder).await;
    for (body, status, field) in hostile() {
        let refused = problem(by_hand(&gateway, &body).await, status).await;
        assert_eq!(refused["errors"][0]["field"], field.as_str(), "{body}: {refused}");
    }
    for body in [
        "{",
        "{\"playbook\": \"plain\"} x",
        "{\"playbook\": \"\\ud800\"}",
        "plain",
    ] {
        problem(post(&gateway, MANUAL, body).await, 400).await;
    }
    let huge = with("vars", json!({"x": "x".repeat(1 << 16)}));
    problem(by_hand(&gateway, &huge).await, 413).await;
    problem(post(&gateway, "/api/v1/jobs?dry=1", "{}").await, 400).await;
    assert_eq!(gateway.get(MANUAL).await["items"], json!([]));
}

#[tokio::test]
async fn a_job_by_hand_waits_for_the_target_that_a_job_of_an_alert_holds() {
    let folder = folder();
    let catalogue = CATALOGUE.replace("mode: observe", "mode: auto");
    let unverified = catalogue.replace("    verify: { resolved_within: 2m }\n", "");
    folder.write("remediations.yml", &unverified);
    folder.write("fix.yml", &format!("wait_for({:?})\nok()\n", folder.path("go")));
    let gateway = Gateway::start(&folder).await;
    let alert = firing("Down", "f1").label("container", "nginx").label("host", "web1");
    let first = gateway.queue(alert).await;
    gateway.until_status(&first, "running").await;
    let body = json!({"playbook": "fix", "alert": {"labels": {"container": "nginx", "host": "web1"}}});
    let second = made(&gateway, &body).await;
    let other = json!({"playbook": "fix", "alert": {"labels": {"container": "other", "host": "web1"}}});
    let other = made(&gateway, &other).await;
    gateway.until_status(id(&other), "running").await;
    assert_eq!(gateway.job(id(&second)).await["status"], "queued");
    folder.write("go", "");
    let second = gateway.until_finished(id(&second)).await;
    let first = gateway.until_finished(&first).await;
    assert!(second["started_at"].as_str() >= first["attempts"][0]["finished_at"].as_str());
}

#[tokio::test]
async fn a_job_by_hand_is_verified_only_while_the_alert_fires_and_never_in_check_mode() {
    let folder = folder();
    let gateway = Gateway::start(&folder).await;
    let labels = json!({
        "alertname": "Down", "instance": "localhost:8080", "severity": "critical", "container": "nginx", "host": "web1"
    });
    let body = json!({"playbook": "fix", "alert": {"labels": labels}});
    let before = made(&gateway, &body).await;
    assert_eq!(gateway.until_finished(id(&before)).await["reason"], "unverified");
    // The alert has the fingerprint that Alertmanager would give to it.
    let fingerprint = before["alert"]["fingerprint"].as_str().unwrap();
    let alert = firing("Down", fingerprint)
        .label("container", "nginx")
        .label("host", "web1");
    assert_eq!(
        gateway.alert(std::slice::from_ref(&alert)).await[0]["decision"],
        "observed"
    );
    let mut check = body.clone();
    check["check"] = true.into();
    let checked = made(&gateway, &check).await;
    assert_eq!(gateway.until_finished(id(&checked)).await["reason"], "unverified");
    let job = made(&gateway, &body).await;
    gateway.until_status(id(&job), "verifying").await;
    gateway.alert(&[alert.resolved("2026-01-31T10:00:00Z")]).await;
    let healed = gateway.until_finished(id(&job)).await;
    assert_eq!(
        (&healed["status"], &healed["reason"]),
        (&"succeeded".into(), &"healed".into())
    );
    assert_eq!(gateway.job(id(&checked)).await["healed_at"], Value::Null);
    let story = gateway.get(&format!("/api/v1/alerts/{fingerprint}")).await;
    let jobs: Vec<&Value> = story["jobs"].as_array().unwrap().iter().map(|job| &job["id"]).collect();
    assert!(jobs.contains(&&job["id"]), "{story}");
}

const DUMP: &str = r#"
- name: Dump what was received
  hosts: all
  gather_facts: false
  tasks:
    - name: Say it
      ansible.builtin.debug:
        msg: "DUMP {{ {'given': given, 'nested': nested, 'number': number, 'label': label, 'alert': alert, 'deep': deep is defined} | to_json }} END"
    - name: Say which mode it is
      ansible.builtin.debug:
        msg: "check mode {{ ansible_check_mode }}"
    - name: Touch something
      ansible.builtin.file:
        path: "{{ playbook_dir }}/touched"
        state: touch
        mode: "0600"
"#;

/// Real Ansible gets what was given as text, whatever it looks like, and check mode changes nothing.
async fn reaches(core: &str) {
    let command = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join(core)
        .join("bin/ansible-playbook");
    assert!(command.exists(), "{} is missing: run `make venv`", command.display());
    let folder = Folder::new();
    folder.settings_for(&command.display().to_string(), "");
    folder.write(
        "remediations.yml",
        "playbooks:\n  fix:\n    path: dump.yml\n    vars: {given: catalogue, number: 1, nested: {}, label: '{{ alert.labels.evil }}'}\nroutes: []\n",
    );
    folder.write("dump.yml", DUMP);
    let gateway = Gateway::start(&folder).await;
    let evil = |name: &str| format!("{{{{ lookup('pipe', 'touch {}') }}}}", folder.path(name).display());
    let deep = (0..100).fold(json!("leaf"), |inner, _| json!([inner]));
    let mut body = json!({
        "playbook": "fix", "check": true, "limit": "localhost",
        "vars": {
            "given": evil("owned-var"), "nested": {"list": [evil("owned-deep"), 1.5e20, null, "yes", "\u{0}é🦀\n"]},
            "number": 7, "deep": deep, "unused": evil("owned-unused"),
        },
        "alert": {"labels": {"evil": evil("owned-label")}, "annotations": {"a": evil("owned-annotation")}},
    });
    let checked = made(&gateway, &body).await;
    let ended = gateway.until_finished(id(&checked)).await;
    let log = gateway.log_of(id(&checked)).await;
    assert_eq!(ended["reason"], "unverified", "{log}");
    assert!(log.contains("check mode True"), "{log}");
    assert!(!folder.path("touched").exists());

    let tasks = gateway.get(&format!("{MANUAL}/{}/tasks", id(&checked))).await;
    let said = tasks["items"][0]["message"].as_str().unwrap();
    let said = said.strip_prefix("DUMP ").unwrap().strip_suffix(" END").unwrap();
    let said: Value = serde_json::from_str(said).unwrap();
    assert_eq!(said["given"], body["vars"]["given"]);
    assert_eq!(said["nested"], body["vars"]["nested"]);
    assert_eq!((&said["number"], &said["deep"]), (&7.into(), &true.into()));
    assert_eq!(said["label"], body["alert"]["labels"]["evil"]);
    assert_eq!(said["alert"]["annotations"], body["alert"]["annotations"]);

    body["check"] = false.into();
    let job = made(&gateway, &body).await;
    let ended = gateway.until_finished(id(&job)).await;
    assert_eq!(ended["status"], "succeeded", "{}", gateway.log_of(id(&job)).await);
    assert!(folder.path("touched").exists());
    let owned: Vec<String> = std::fs::read_dir(folder.path(""))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
        .filter(|name| name.starts_with("owned"))
        .collect();
    assert!(owned.is_empty(), "a given text was evaluated: {owned:?}");
}

#[tokio::test]
async fn what_was_given_by_hand_reaches_core_2_19_as_text() {
    reaches(".venv").await;
}

#[tokio::test]
async fn what_was_given_by_hand_reaches_core_2_16_as_text() {
    reaches(".venvs/core-2.16").await;
}

#[tokio::test]
async fn the_list_and_the_making_of_jobs_share_a_path() {
    let folder = folder();
    let gateway = Gateway::start(&folder).await;
    let answer = gateway.request(Method::PUT, MANUAL).send().await.unwrap();
    assert_eq!(answer.headers()["allow"], "GET, HEAD, POST");
    problem(answer, 405).await;
}
