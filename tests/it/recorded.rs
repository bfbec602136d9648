//! What a real Alertmanager posted, byte for byte, on both paths that take it.

use std::fs;
use std::path::Path;

use reqwest::Method;
use serde_json::Value;

use crate::support::folder::Folder;
use crate::support::gateway::Gateway;

const EVERY_ALERT: &str = r#"
playbooks:
  fix:
    path: fix.yml
routes:
  - name: all
    matchers: ['alertname=~".+"']
    playbook: fix
    mode: observe
"#;

fn recorded() -> Vec<(String, Vec<u8>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/alertmanager");
    let mut found: Vec<(String, Vec<u8>)> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "json"))
        .map(|path| {
            (
                path.file_stem().unwrap().to_string_lossy().into_owned(),
                fs::read(path).unwrap(),
            )
        })
        .collect();
    found.sort();
    assert!(found.len() >= 10, "the recorded notifications are missing");
    found
}

async fn post(gateway: &Gateway, path: &str, body: &[u8]) -> Value {
    let request = gateway
        .request(Method::POST, path)
        .header("Content-Type", "application/json")
        .body(body.to_vec());
    let answer = request.send().await.unwrap();
    assert_eq!(answer.status(), 202, "{}", answer.text().await.unwrap());
    answer.json().await.unwrap()
}

#[tokio::test]
async fn every_recorded_notification_is_accepted_kept_byte_for_byte_and_decided() {
    let folder = Folder::new();
    folder.write("remediations.yml", EVERY_ALERT);
    let gateway = Gateway::start(&folder).await;
    for (name, body) in recorded() {
        let sent: Value = serde_json::from_slice(&body).unwrap();
        for path in ["/webhooks/alertmanager", "/alert"] {
            let answer = post(&gateway, path, &body).await;
            let decisions = answer["decisions"].as_array().unwrap();
            let alerts = sent["alerts"].as_array().unwrap();
            assert_eq!(decisions.len(), alerts.len(), "{name} {path}");
            for (decision, alert) in decisions.iter().zip(alerts) {
                assert_eq!(decision["fingerprint"], alert["fingerprint"], "{name} {path}");
                assert_eq!(decision["alertname"], alert["labels"]["alertname"], "{name} {path}");
            }
            let id = answer["notification"].as_str().unwrap();
            let kept = gateway.get(&format!("/api/v1/notifications/{id}")).await;
            assert_eq!(kept["received"], sent, "{name} {path}");
            assert_eq!(kept["truncated_alerts"], sent["truncatedAlerts"], "{name} {path}");
        }
    }
}

#[tokio::test]
async fn a_receivers_name_loses_the_escapes_that_alertmanager_adds() {
    let folder = Folder::new();
    let gateway = Gateway::start(&folder).await;
    let (_, body) = recorded()
        .into_iter()
        .find(|(name, _)| name == "firing_receiver_escaped")
        .unwrap();
    let answer = post(&gateway, "/alert", &body).await;
    let id = answer["notification"].as_str().unwrap();
    let kept = gateway.get(&format!("/api/v1/notifications/{id}")).await;
    assert_eq!(kept["receiver"], "web.hook+1");
    assert_eq!(kept["received"]["receiver"], "web\\.hook\\+1");
}

#[tokio::test]
async fn a_repeat_of_a_real_notification_attaches_and_its_resolve_heals() {
    let folder = Folder::new();
    folder.write(
        "remediations.yml",
        &EVERY_ALERT.replace("mode: observe", "verify: { resolved_within: 1h }"),
    );
    let gateway = Gateway::start(&folder).await;
    let of = |name: &str| recorded().into_iter().find(|(known, _)| known == name).unwrap().1;
    let first = post(&gateway, "/alert", &of("firing_single")).await;
    assert_eq!(first["decisions"][0]["decision"], "queued");
    let job = first["decisions"][0]["job"].as_str().unwrap().to_owned();
    let again = post(&gateway, "/webhooks/alertmanager", &of("firing_single")).await;
    assert_eq!(
        (&again["decisions"][0]["decision"], &again["decisions"][0]["job"]),
        (&"attached".into(), &job.as_str().into())
    );
    gateway.until_status(&job, "verifying").await;
    post(&gateway, "/alert", &of("resolved_single")).await;
    let healed = gateway.job(&job).await;
    assert_eq!(
        (&healed["status"], &healed["reason"]),
        (&"succeeded".into(), &"healed".into())
    );
}
