//! A real Alertmanager posts to both paths: it delivers, repeats and resolves, and nothing runs twice.
#![expect(clippy::disallowed_methods, reason = "starts the Alertmanager of the system")]

use std::net::TcpListener;
use std::process::Stdio;

use reqwest::Client;
use serde_json::{Value, json};
use tokio::process::{Child, Command};

use crate::support::folder::Folder;
use crate::support::gateway::Gateway;
use crate::support::wait::until;

const CATALOGUE: &str = r#"
playbooks:
  fix:
    path: fix.yml
routes:
  - name: down
    matchers: ['alertname="Down"']
    playbook: fix
    verify: { resolved_within: 1h }
"#;

/// Alertmanager with one route to each path, which repeats as often as it can.
struct Alertmanager {
    _process: Child,
    url: String,
    client: Client,
}

impl Alertmanager {
    async fn start(folder: &Folder, gateway: &Gateway) -> Self {
        let receiver = |name: &str, path: &str| {
            format!(
                "  - name: {name}\n    webhook_configs:\n      - url: {}{path}\n        send_resolved: true\n",
                gateway.url()
            )
        };
        let timing = "group_wait: 0s, group_interval: 1s, repeat_interval: 1s, group_by: [alertname]";
        let config = format!(
            "route:\n  receiver: old.path\n  routes:\n    - {{ receiver: old.path, continue: true, {timing} }}\n    - {{ \
             receiver: new, {timing} }}\nreceivers:\n{}{}",
            receiver("old.path", "/alert"),
            receiver("new", "/webhooks/alertmanager"),
        );
        folder.write("alertmanager.yml", &config);
        // Nothing else takes the port between the two: it is released only to be bound by Alertmanager.
        let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let process = Command::new("prometheus-alertmanager")
            .arg(format!("--config.file={}", folder.path("alertmanager.yml").display()))
            .arg(format!("--storage.path={}", folder.path("alertmanager").display()))
            .arg(format!("--web.listen-address={address}"))
            .arg("--cluster.listen-address=")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .expect("prometheus-alertmanager is missing: `make deps` installs it");
        let this = Self {
            _process: process,
            url: format!("http://{address}"),
            client: crate::support::client(),
        };
        until("Alertmanager is ready", || async {
            let answer = this.client.get(format!("{}/-/ready", this.url)).send().await.ok()?;
            answer.status().is_success().then_some(())
        })
        .await;
        this
    }

    async fn post(&self, alert: Value) {
        let answer = self
            .client
            .post(format!("{}/api/v2/alerts", self.url))
            .json(&json!([alert]))
            .send()
            .await
            .unwrap();
        assert!(answer.status().is_success(), "{}", answer.text().await.unwrap());
    }
}

/// How many notifications of that status came by that receiver.
async fn received(gateway: &Gateway, receiver: &str, status: &str) -> usize {
    let list = gateway.get("/api/v1/notifications?limit=500").await;
    let mut count = 0;
    for item in list["items"].as_array().unwrap() {
        if item["receiver"] == receiver {
            let one = gateway
                .get(&format!("/api/v1/notifications/{}", item["id"].as_str().unwrap()))
                .await;
            count += usize::from(one["received"]["status"] == status);
        }
    }
    count
}

#[tokio::test]
async fn a_real_alertmanager_delivers_repeats_and_resolves_without_a_second_run() {
    let folder = Folder::new();
    folder.write("remediations.yml", CATALOGUE);
    let gateway = Gateway::start(&folder).await;
    let alertmanager = Alertmanager::start(&folder, &gateway).await;
    let mut alert = json!({
        "labels": { "alertname": "Down", "instance": "web1" },
        "annotations": { "summary": "It is down" },
        "generatorURL": "http://prometheus.example/graph",
    });
    alertmanager.post(alert.clone()).await;
    until("both paths had a repeat", || async {
        let old = received(&gateway, "old.path", "firing").await;
        let new = received(&gateway, "new", "firing").await;
        (old >= 2 && new >= 2).then_some(())
    })
    .await;
    alert["endsAt"] = "2026-01-31T09:00:00Z".into();
    alertmanager.post(alert).await;
    until("both paths had the resolve", || async {
        let old = received(&gateway, "old.path", "resolved").await;
        let new = received(&gateway, "new", "resolved").await;
        (old >= 1 && new >= 1).then_some(())
    })
    .await;

    let jobs = gateway.get("/api/v1/jobs").await;
    let jobs = jobs["items"].as_array().unwrap();
    assert_eq!(jobs.len(), 1, "{jobs:#?}");
    assert_eq!(jobs[0]["attempts"].as_array().unwrap().len(), 1);
    assert_eq!(
        (&jobs[0]["status"], &jobs[0]["reason"]),
        (&"succeeded".into(), &"healed".into())
    );
    let fingerprint = jobs[0]["alert"]["fingerprint"].as_str().unwrap();
    let story = gateway.get(&format!("/api/v1/alerts/{fingerprint}")).await;
    assert_eq!(story["episodes"].as_array().unwrap().len(), 1);
}
