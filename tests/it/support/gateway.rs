//! The real binary, serving, as a child of the test.
#![expect(clippy::disallowed_methods, reason = "tests start the gateway as its users do")]

use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::sync::{Arc, Mutex};

use reqwest::{Client, Method, RequestBuilder, Response};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

use super::alerts::{TestAlert, notification};
use super::folder::Folder;
use super::wait::until;

/// A running gateway; killed with the value.
#[derive(Debug)]
pub(crate) struct Gateway {
    child: Child,
    url: String,
    client: Client,
    /// What it logs.
    log: Arc<Mutex<String>>,
    /// Sent with every request.
    token: Option<String>,
}

impl Gateway {
    /// Starts `healgate serve` in the folder and waits until it listens.
    pub(crate) async fn start(folder: &Folder) -> Self {
        Self::start_with(folder, |_| {}).await
    }

    /// The same, with more on its command line or in its environment, in another working directory, or with its log
    /// going elsewhere.
    pub(crate) async fn start_with(folder: &Folder, change: impl FnOnce(&mut Command)) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_healgate"));
        serve(&mut command, folder);
        change(&mut command);
        Self::started(command).await
    }

    /// Starts another copy of the binary, by way of another program if there is one.
    pub(crate) async fn start_binary(folder: &Folder, way: &[&str], binary: &Path) -> Self {
        let mut command = match way.split_first() {
            Some((program, arguments)) => {
                let mut command = Command::new(program);
                command.args(arguments).arg(binary);
                command
            }
            None => Command::new(binary),
        };
        serve(&mut command, folder);
        Self::started(command).await
    }

    async fn started(mut command: Command) -> Self {
        let mut child = command.spawn().unwrap();
        let log = Arc::new(Mutex::new(String::new()));
        if let Some(stderr) = child.stderr.take() {
            tokio::spawn(collect(BufReader::new(stderr), Arc::clone(&log)));
        }
        let mut stdout = BufReader::new(child.stdout.take().unwrap()).lines();
        let url = loop {
            let line = stdout.next_line().await.unwrap();
            let line = line.unwrap_or_else(|| panic!("the gateway ended: {}", log.lock().unwrap()));
            if let Some((_, url)) = line.split_once("listening on ") {
                break url.trim().to_owned();
            }
        };
        tokio::spawn(async move { while let Ok(Some(_)) = stdout.next_line().await {} });
        Self {
            child,
            url,
            client: super::client(),
            log,
            token: None,
        }
    }

    /// The same gateway, for somebody with that token.
    pub(crate) fn with_token(mut self, token: &str) -> Self {
        self.token = Some(token.to_owned());
        self
    }

    /// A request that is not sent yet.
    pub(crate) fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let request = self.client.request(method, format!("{}{path}", self.url));
        match &self.token {
            Some(token) => request.bearer_auth(token),
            None => request,
        }
    }

    /// Reads something as JSON; panics unless it is 200.
    pub(crate) async fn get(&self, path: &str) -> Value {
        let response = self.request(Method::GET, path).send().await.unwrap();
        assert_eq!(response.status(), 200, "GET {path}: {}", response.text().await.unwrap());
        response.json().await.unwrap()
    }

    /// Reads something as text; panics unless it is 200.
    pub(crate) async fn text(&self, path: &str) -> String {
        let response = self.request(Method::GET, path).send().await.unwrap();
        assert_eq!(response.status(), 200, "GET {path}");
        String::from_utf8_lossy(&response.bytes().await.unwrap()).into_owned()
    }

    /// Posts something without a body.
    pub(crate) async fn post(&self, path: &str) -> Response {
        self.request(Method::POST, path).send().await.unwrap()
    }

    /// Posts alerts as Alertmanager does and answers with the decisions; panics unless it is 202.
    pub(crate) async fn alert(&self, alerts: &[TestAlert]) -> Vec<Value> {
        let body = notification(alerts);
        let response = self
            .request(Method::POST, "/webhooks/alertmanager")
            .json(&body)
            .send()
            .await
            .unwrap();
        assert_eq!(response.status(), 202, "{}", response.text().await.unwrap());
        let answer: Value = response.json().await.unwrap();
        answer["decisions"].as_array().unwrap().clone()
    }

    /// Posts one alert that must be queued, and answers with its job's id.
    pub(crate) async fn queue(&self, alert: TestAlert) -> String {
        let decisions = self.alert(&[alert]).await;
        assert_eq!(decisions[0]["decision"], "queued", "{decisions:?}");
        decisions[0]["job"].as_str().unwrap().to_owned()
    }

    /// One job.
    pub(crate) async fn job(&self, id: &str) -> Value {
        self.get(&format!("/api/v1/jobs/{id}")).await
    }

    /// Waits until the job has that status.
    pub(crate) async fn until_status(&self, id: &str, status: &str) -> Value {
        let what = format!("job {id} is {status}");
        until(&what, || async {
            Some(self.job(id).await).filter(|job| job["status"] == status)
        })
        .await
    }

    /// Waits until the job is finished.
    pub(crate) async fn until_finished(&self, id: &str) -> Value {
        let what = format!("job {id} is finished");
        until(&what, || async {
            Some(self.job(id).await).filter(|job| !job["finished_at"].is_null())
        })
        .await
    }

    /// A job's log as it is now.
    pub(crate) async fn log_of(&self, id: &str) -> String {
        self.text(&format!("/api/v1/jobs/{id}/log")).await
    }

    /// Sends a signal to the gateway.
    pub(crate) fn signal(&self, signal: Signal) {
        let pid = self
            .child
            .id()
            .and_then(|pid| Pid::from_raw(i32::try_from(pid).unwrap()));
        kill_process(pid.expect("the gateway has ended already"), signal).unwrap();
    }

    /// Waits until it has ended.
    pub(crate) async fn ended(&mut self) -> ExitStatus {
        let limit = super::wait::LIMIT;
        tokio::time::timeout(limit, self.child.wait())
            .await
            .expect("the gateway does not end")
            .unwrap()
    }

    /// Kills it as a crash would, and waits until it is gone.
    pub(crate) async fn kill(mut self) {
        self.signal(Signal::KILL);
        self.ended().await;
    }

    /// Where it listens.
    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// What it has logged so far.
    pub(crate) fn logged(&self) -> String {
        self.log.lock().unwrap().clone()
    }

    /// Its process id.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id().unwrap()
    }
}

fn serve(command: &mut Command, folder: &Folder) {
    command
        .args(["serve", "--config"])
        .arg(folder.path("healgate.yml"))
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
}

async fn collect(mut stderr: BufReader<tokio::process::ChildStderr>, log: Arc<Mutex<String>>) {
    let mut line = String::new();
    while stderr.read_line(&mut line).await.is_ok_and(|bytes| bytes > 0) {
        log.lock().unwrap().push_str(&line);
        line.clear();
    }
}
