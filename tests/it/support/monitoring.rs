//! The Alertmanager and the Prometheus of the system, as children of the test.
#![expect(clippy::disallowed_methods, reason = "starts the programs that are installed")]

use std::collections::BTreeMap;
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::process::Stdio;

use reqwest::Client;
use serde_json::{Value, json};
use tokio::process::{Child, Command};

use super::folder::Folder;
use super::wait::until;

/// A running Alertmanager; killed with the value.
#[derive(Debug)]
pub(crate) struct Alertmanager {
    process: Child,
    url: String,
    client: Client,
}

impl Alertmanager {
    /// One that posts to nobody.
    pub(crate) async fn start(folder: &Folder) -> Self {
        Self::start_with(folder, "route: {receiver: nobody}\nreceivers: [{name: nobody}]\n").await
    }

    /// One that posts to that URL, at once and then every `group_interval`.
    pub(crate) async fn posting_to(folder: &Folder, url: &str, group_interval: &str) -> Self {
        let config = format!(
            "route: {{receiver: healgate, group_wait: 0s, group_interval: {group_interval}, repeat_interval: 4h}}\n\
             receivers: [{{name: healgate, webhook_configs: [{{url: '{url}', send_resolved: true}}]}}]\n"
        );
        Self::start_with(folder, &config).await
    }

    /// One with that configuration.
    pub(crate) async fn configured(folder: &Folder, config: &str) -> Self {
        Self::start_with(folder, config).await
    }

    async fn start_with(folder: &Folder, config: &str) -> Self {
        folder.write("alertmanager.yml", config);
        let address = free_address();
        let mut command = Command::new("prometheus-alertmanager");
        command
            .arg(format!("--config.file={}", folder.path("alertmanager.yml").display()))
            .arg(format!("--storage.path={}", folder.path("alertmanager").display()))
            .arg(format!("--web.listen-address={address}"))
            .arg("--cluster.listen-address=");
        let client = super::client();
        let process = started(command, &client, address).await;
        Self {
            process,
            url: format!("http://{address}"),
            client,
        }
    }

    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// Stops it (`STOP`), so that it answers nobody, or lets it go on (`CONT`).
    pub(crate) fn signal(&self, signal: rustix::process::Signal) {
        let id = i32::try_from(self.process.id().unwrap()).unwrap();
        rustix::process::kill_process(rustix::process::Pid::from_raw(id).unwrap(), signal).unwrap();
    }

    /// Posts an alert as Prometheus does: with its labels, and its end if it is over.
    pub(crate) async fn post(&self, labels: &Value, ends_at: Option<&str>) {
        let mut alert = json!({ "labels": labels });
        if let Some(ends_at) = ends_at {
            alert["endsAt"] = ends_at.into();
        }
        self.write("/api/v2/alerts", &json!([alert])).await;
    }

    /// Has a person silence alerts of that name; answers with the silence's id.
    pub(crate) async fn silence(&self, alertname: &str, by: &str) -> String {
        let labels = [("alertname".to_owned(), alertname.to_owned())];
        self.silence_all(&labels.into(), by, "maintenance").await
    }

    /// Silences alerts with these labels.
    pub(crate) async fn silence_all(&self, labels: &BTreeMap<String, String>, by: &str, comment: &str) -> String {
        let matchers: Vec<Value> = labels
            .iter()
            .map(|(name, value)| json!({"name": name, "value": value, "isRegex": false, "isEqual": true}))
            .collect();
        let silence = json!({
            "matchers": matchers, "startsAt": "2026-01-31T09:00:00Z", "endsAt": "2099-01-31T09:00:00Z",
            "createdBy": by, "comment": comment,
        });
        let created = self.write("/api/v2/silences", &silence).await;
        created["silenceID"].as_str().unwrap().to_owned()
    }

    /// What is below that path.
    pub(crate) async fn get(&self, path: &str) -> Value {
        let answer = self.client.get(format!("{}{path}", self.url)).send().await.unwrap();
        assert!(answer.status().is_success(), "GET {path}: {}", answer.status());
        answer.json().await.unwrap()
    }

    async fn write(&self, path: &str, body: &Value) -> Value {
        let answer = self
            .client
            .post(format!("{}{path}", self.url))
            .json(body)
            .send()
            .await
            .unwrap();
        let status = answer.status();
        let text = answer.text().await.unwrap();
        assert!(status.is_success(), "POST {path}: {text}");
        serde_json::from_str(&text).unwrap_or_default()
    }
}

/// A running Prometheus; killed with the value.
#[derive(Debug)]
pub(crate) struct Prometheus {
    _process: Child,
    url: String,
}

impl Prometheus {
    /// One that scrapes nothing: it can still calculate.
    pub(crate) async fn start(folder: &Folder) -> Self {
        Self::start_with(folder, "global: {}\n").await
    }

    /// One that looks every second whether that address answers, with the folder's rules.yml, and tells that Alertmanager.
    pub(crate) async fn watching(folder: &Folder, address: &str, alertmanager: &str) -> Self {
        let alertmanager = alertmanager.trim_start_matches("http://");
        let config = format!(
            "global: {{scrape_interval: 1s, evaluation_interval: 1s}}\nrule_files: ['{}']\n\
             scrape_configs: [{{job_name: nginx, static_configs: [{{targets: ['{address}']}}]}}]\n\
             alerting: {{alertmanagers: [{{static_configs: [{{targets: ['{alertmanager}']}}]}}]}}\n",
            folder.path("rules.yml").display()
        );
        Self::start_with(folder, &config).await
    }

    async fn start_with(folder: &Folder, config: &str) -> Self {
        folder.write("prometheus.yml", config);
        let address = free_address();
        let option = |name: &str, path: &Path| format!("--{name}={}", path.display());
        let mut command = Command::new("prometheus");
        command
            .arg(option("config.file", &folder.path("prometheus.yml")))
            .arg(option("storage.tsdb.path", &folder.path("prometheus")))
            .arg(format!("--web.listen-address={address}"));
        Self {
            _process: started(command, &super::client(), address).await,
            url: format!("http://{address}"),
        }
    }

    pub(crate) fn url(&self) -> &str {
        &self.url
    }
}

/// Nobody listens there. It was released only to be bound by the program that the test starts next.
pub(crate) fn free_address() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

async fn started(mut command: Command, client: &Client, address: SocketAddr) -> Child {
    let child = command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .expect("prometheus and prometheus-alertmanager are missing: `make deps` installs them");
    until("the program is ready", || async {
        let answer = client.get(format!("http://{address}/-/ready")).send().await.ok()?;
        answer.status().is_success().then_some(())
    })
    .await;
    child
}
