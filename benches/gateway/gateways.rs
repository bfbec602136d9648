//! A gateway with a folder of its own, and runs through it from their alert to their end.

use std::net::SocketAddr;
use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::Value;
use tokio::time::sleep;

use crate::client::Client;
use crate::failed::Failed;
use crate::folder::{Folder, ansible};
use crate::load::new_alert;
use crate::process::{Server, read};

const BETWEEN_LOOKS: Duration = Duration::from_millis(20);

/// Runs until a gateway that may start warm does so.
const UNTIL_WARM: usize = 20;

/// A running gateway.
#[derive(Debug)]
pub(crate) struct Gateway {
    pub(crate) server: Server,
    pub(crate) folder: Folder,
}

/// A run that was asked for.
#[derive(Debug)]
pub(crate) struct Asked {
    pub(crate) job: String,
    pub(crate) began: Instant,
    /// From the POST's first byte to the 202's last one.
    pub(crate) answered: Duration,
}

impl Gateway {
    pub(crate) async fn start(folder: Folder) -> Result<Self, Failed> {
        let server = Server::healgate(&folder).await?;
        Ok(Self { server, folder })
    }

    /// With real Ansible, starting cold.
    pub(crate) async fn cold(root: &Path) -> Result<Self, Failed> {
        Self::start(Folder::new(root)?).await
    }

    /// With real Ansible, once it starts warm; nothing if it does not.
    pub(crate) async fn warm(root: &Path) -> Result<Option<Self>, Failed> {
        let command = ansible()?.display().to_string();
        let gateway = Self::start(Folder::with(root, &command, "auto", "")?).await?;
        for _ in 0..UNTIL_WARM {
            let job = gateway.run("Down").await?;
            gateway.folder.forget_effect()?;
            if job["attempts"][0]["warm"] == true {
                return Ok(Some(gateway));
            }
            sleep(Duration::from_millis(500)).await;
        }
        Ok(None)
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.server.address
    }

    /// Posts an alert of that name, which makes a job.
    pub(crate) async fn ask(&self, alertname: &str) -> Result<Asked, Failed> {
        let mut client = Client::connect(self.address()).await?;
        let body = new_alert(alertname);
        let began = Instant::now();
        let answer = client.post(&body).await?;
        let answered = began.elapsed();
        let answer: Value = serde_json::from_slice(answer).map_err(crate::failed::failed("read an answer"))?;
        let job = answer["decisions"][0]["job"].as_str().map(str::to_owned);
        let job = job.ok_or_else(|| Failed::new("make a job", &answer))?;
        Ok(Asked { job, began, answered })
    }

    /// Whether it runs and waits no more.
    pub(crate) async fn is_over(&self, job: &str) -> Result<bool, Failed> {
        let mut client = Client::connect(self.address()).await?;
        let job = read(&mut client, &format!("/api/v1/jobs/{job}")).await?;
        Ok(!matches!(job["status"].as_str(), Some("queued" | "running")))
    }

    /// Waits until nothing of the run is left to disturb the next one, and answers with the job.
    pub(crate) async fn end_of(&self, job: &str) -> Result<Value, Failed> {
        loop {
            // The server closes a connection that idles through a slow run.
            let mut client = Client::connect(self.address()).await?;
            let job = read(&mut client, &format!("/api/v1/jobs/{job}")).await?;
            match (job["status"].as_str(), job["reason"].as_str()) {
                (Some("queued" | "running"), _) => sleep(BETWEEN_LOOKS).await,
                // A play without a task processes no host.
                (Some("succeeded"), _) | (_, Some("no_hosts_matched")) => return Ok(job),
                _ => return Err(Failed::new("run the playbook", &job)),
            }
        }
    }

    /// One run from its alert to its end.
    pub(crate) async fn run(&self, alertname: &str) -> Result<Value, Failed> {
        let asked = self.ask(alertname).await?;
        self.end_of(&asked.job).await
    }
}

/// How long the job's only attempt ran, in milliseconds.
pub(crate) fn attempt_ms(job: &Value) -> Result<f64, Failed> {
    let attempt = &job["attempts"][0];
    let micros = |name: &str| {
        let time = attempt[name]
            .as_str()?
            .parse::<healgate::domain::timestamp::Timestamp>()
            .ok()?;
        Some(time.as_micros())
    };
    match (micros("started_at"), micros("finished_at")) {
        #[expect(clippy::cast_precision_loss, reason = "a few minutes")]
        (Some(began), Some(ended)) => Ok((ended - began) as f64 / 1_000.0),
        _ => Err(Failed::new("time an attempt", job)),
    }
}
