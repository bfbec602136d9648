//! Grafana Alerting as a sender: its payloads, its signatures, its alerts about itself, and a heartbeat.

use std::fs;
use std::path::Path;

use hmac::{Hmac, KeyInit, Mac};
use reqwest::Response;
use serde_json::{Value, json};

use crate::support::alerts::{firing, notification};
use crate::support::client;
use crate::support::folder::Folder;
use crate::support::gateway::Gateway;
use crate::support::wait::until;

const CATALOGUE: &str = r#"
playbooks:
  fix: {path: fix.yml}
routes:
  - {name: named, matchers: ['alertname="DatasourceError"'], playbook: fix, mode: observe}
  - {name: watchdog, matchers: ['alertname="Watchdog"'], heartbeat: {every: 1s, grace: 1s}}
  - {name: all, matchers: ['alertname=~".+"'], playbook: fix, unless: ['instance="Grafana"'], verify: {resolved_within: 1h}}
"#;

fn folder() -> Folder {
    let folder = Folder::new();
    folder.write("remediations.yml", CATALOGUE);
    folder
}

fn fixture(name: &str) -> Vec<u8> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/grafana");
    fs::read(folder.join(format!("{name}.json"))).unwrap()
}

async fn post(gateway: &Gateway, body: Vec<u8>, headers: &[(&str, &str)]) -> Response {
    let request = client().post(format!("{}/webhooks/grafana", gateway.url())).body(body);
    let request = headers
        .iter()
        .fold(request, |request, (name, value)| request.header(*name, *value));
    request.send().await.unwrap()
}

/// Posts a payload; its decisions.
async fn decided(gateway: &Gateway, name: &str) -> Vec<Value> {
    let answer = post(gateway, fixture(name), &[]).await;
    assert_eq!(answer.status(), 202, "{name}");
    let answer: Value = answer.json().await.unwrap();
    answer["decisions"].as_array().unwrap().clone()
}

#[tokio::test]
async fn its_alerts_are_run_healed_and_told_of_under_its_name() {
    let folder = folder();
    let gateway = Gateway::start(&folder).await;
    let fired = decided(&gateway, "firing").await;
    assert_eq!((fired.len(), &fired[0]["decision"]), (2, &json!("queued")));
    let job = fired[0]["job"].as_str().unwrap();
    gateway.until_status(job, "verifying").await;
    decided(&gateway, "resolved").await;
    assert_eq!(gateway.job(job).await["reason"], "healed");
    let listed = gateway.get("/api/v1/notifications").await;
    assert_eq!(listed["items"][1]["sender"], "grafana");
    assert_eq!(
        (&listed["items"][1]["receiver"], &listed["items"][1]["truncated_alerts"]),
        (&json!("web.hook"), &json!(3))
    );
    let metrics = gateway.text("/metrics").await;
    assert!(
        metrics.contains("healgate_notifications_total{sender=\"grafana\"} 2"),
        "{metrics}"
    );

    let story = gateway.get("/api/v1/alerts/c6eadffa33fcdf37").await["story"].clone();
    let told: Vec<&str> = story
        .as_array()
        .unwrap()
        .iter()
        .map(|entry| entry["what"].as_str().unwrap())
        .collect();
    assert_eq!(told.first_chunk(), Some(&["received", "decided", "run"]));
    assert_eq!(told.last_chunk(), Some(&["received", "decided", "verified"]));
    let stats = gateway.get("/api/v1/stats?window=1h").await;
    assert_eq!(
        (&stats["routes"][0]["name"], &stats["routes"][0]["healed_rate"]),
        (&json!("all"), &json!(1.0))
    );
}

#[tokio::test]
async fn its_alerts_about_itself_run_nothing_unless_a_route_names_them() {
    let folder = folder();
    let gateway = Gateway::start(&folder).await;
    for (name, route, decision) in [
        ("no_data", "all", "guarded"),
        ("datasource_error", "named", "observed"),
        ("test", "all", "guarded"),
    ] {
        let decisions = decided(&gateway, name).await;
        assert_eq!(
            (&decisions[0]["route"], &decisions[0]["decision"]),
            (&json!(route), &json!(decision)),
            "{name}"
        );
        assert!(!decisions[0]["reason"].as_str().unwrap().is_empty());
    }
    assert_eq!(gateway.get("/api/v1/jobs").await["items"], json!([]));
}

#[tokio::test]
async fn a_signature_does_instead_of_a_token() {
    let folder = folder();
    folder.write("secret", "a secret of Grafana\n");
    let digest = hex::encode(<sha2::Sha256 as sha2::Digest>::digest("viewer"));
    folder.settings(&format!(
        "auth: {{grafana: {{secret_file: secret}}, tokens: [{{name: v, role: viewer, sha256: {digest}}}]}}\n"
    ));
    let gateway = Gateway::start(&folder).await.with_token("viewer");
    let body = fixture("firing");
    let signed = |text: &[u8]| {
        let mut mac = Hmac::<sha2::Sha256>::new_from_slice(b"a secret of Grafana").unwrap();
        mac.update(text);
        hex::encode(mac.finalize().into_bytes())
    };
    let plain = signed(&body);
    for (headers, status) in [
        (vec![("X-Grafana-Alerting-Signature", plain.as_str())], 202),
        (vec![("X-Grafana-Alert-Signature", plain.as_str())], 202),
        (vec![("X-Grafana-Alerting-Signature", "00")], 401),
        (
            vec![
                ("X-Grafana-Alerting-Signature", plain.as_str()),
                ("X-Grafana-Alerting-Timestamp", "1"),
            ],
            401,
        ),
        (vec![], 401),
    ] {
        assert_eq!(
            post(&gateway, body.clone(), &headers).await.status(),
            status,
            "{headers:?}"
        );
    }
    let listed = gateway.get("/api/v1/notifications").await;
    assert_eq!(listed["items"].as_array().map(Vec::len), Some(2));
    assert_eq!(listed["items"][0]["posted_by"], "grafana");
}

#[tokio::test]
async fn a_gateway_without_the_secret_that_it_should_have_does_not_start() {
    let folder = folder();
    folder.write("secret", "\n");
    folder.settings("auth: {grafana: {secret_file: secret}}\n");
    let output = assert_cmd::Command::cargo_bin("healgate")
        .unwrap()
        .args(["serve", "--config", "healgate.yml"])
        .current_dir(folder.path(""))
        .output()
        .unwrap();
    let complaint = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{complaint}");
    assert!(complaint.contains("secret: the file is empty"), "{complaint}");
}

#[tokio::test]
async fn a_heartbeat_that_stays_away_is_seen_and_logged_and_so_is_its_return() {
    let folder = folder();
    let gateway = Gateway::start(&folder).await;
    let heartbeat = || async { gateway.get("/api/v1/routes").await["items"][1]["heartbeat"].clone() };
    until("the heartbeat is missed", || async {
        let heartbeat = heartbeat().await;
        (!heartbeat["missed_since"].is_null()).then_some(())
    })
    .await;
    until("the log says so", || async {
        gateway.logged().contains("a heartbeat is missed").then_some(())
    })
    .await;
    assert!(
        gateway
            .text("/metrics")
            .await
            .contains("healgate_heartbeat_missed{route=\"watchdog\"} 1")
    );
    let body = notification(&[firing("Watchdog", "w")]).to_string();
    let answer = gateway
        .request(reqwest::Method::POST, "/webhooks/alertmanager")
        .body(body)
        .send()
        .await
        .unwrap();
    let answer: Value = answer.json().await.unwrap();
    assert_eq!(
        (&answer["decisions"][0]["decision"], &answer["decisions"][0]["job"]),
        (&json!("observed"), &Value::Null)
    );
    until("the log says that it is back", || async {
        gateway.logged().contains("a heartbeat is back").then_some(())
    })
    .await;
    assert!(!heartbeat().await["last_received_at"].is_null());
}
