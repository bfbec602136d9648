//! From an alert's POST to the first task's effect, beside a bare `ansible-playbook` with the same playbook.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio::time::sleep;

use crate::client::Client;
use crate::failed::{Failed, failed};
use crate::folder::{self, Folder};
use crate::load::new_alert;
use crate::process::{Server, bare_playbook, read};
use crate::samples::Samples;
use crate::watch::Watch;

/// Counted runs of each way.
const RUNS: usize = 15;

const BETWEEN_LOOKS: Duration = Duration::from_millis(20);

/// The figures, all in milliseconds.
#[derive(Debug, Default)]
pub(crate) struct Effect {
    /// From the POST's first byte to the effect.
    pub(crate) gateway: Samples,
    /// From the POST's first byte to the 202.
    pub(crate) answered: Samples,
    /// From the start of the process to the effect.
    pub(crate) bare: Samples,
}

pub(crate) async fn measure(root: &Path) -> Result<Effect, Failed> {
    let ansible = folder::ansible()?;
    let folder = Folder::new(root)?;
    let server = Server::healgate(&folder).await?;
    let mut figures = Effect::default();
    // Round 0 warms up and is not counted; then who begins changes each time.
    for number in 0..=RUNS {
        let mut round = Effect::default();
        if number % 2 == 0 {
            round.through_gateway(server.address, &folder).await?;
            round.through_bare(&ansible, &folder).await?;
        } else {
            round.through_bare(&ansible, &folder).await?;
            round.through_gateway(server.address, &folder).await?;
        }
        if number > 0 {
            figures.add(round);
        }
    }
    server.end().await?;
    Ok(figures)
}

impl Effect {
    async fn through_gateway(&mut self, server: SocketAddr, folder: &Folder) -> Result<(), Failed> {
        let mut client = Client::connect(server).await?;
        let watch = Watch::on(&folder.path("effect"))?;
        let body = new_alert("Down");
        let began = Instant::now();
        let answer = client.post(&body).await?;
        let answered = began.elapsed();
        let job = job_in(answer)?;
        let made = watch.made().await?;
        self.answered.push_ms(answered);
        self.gateway.push_ms(made - began);
        wait_for_end(server, &job).await?;
        forget(folder)
    }

    async fn through_bare(&mut self, ansible: &Path, folder: &Folder) -> Result<(), Failed> {
        let watch = Watch::on(&folder.path("effect"))?;
        let began = Instant::now();
        let mut child = bare_playbook(ansible, folder)?;
        let made = watch.made().await?;
        self.bare.push_ms(made - began);
        let status = child.wait().await.map_err(failed("wait for ansible-playbook"))?;
        if !status.success() {
            return Err(Failed::new("run ansible-playbook", status));
        }
        forget(folder)
    }

    fn add(&mut self, round: Self) {
        self.gateway.extend(round.gateway);
        self.answered.extend(round.answered);
        self.bare.extend(round.bare);
    }

    /// Gateway over bare, pair by pair.
    pub(crate) fn ratios(&self) -> Samples {
        self.gateway.ratios(&self.bare)
    }

    /// The median of the one less the median of the other.
    pub(crate) fn overhead(&self) -> f64 {
        self.gateway.median() - self.bare.median()
    }

    pub(crate) fn json(&self) -> Value {
        let ratios = self.ratios();
        json!({
            "runs": RUNS,
            "gateway_milliseconds": { "median": self.gateway.median(), "runs": self.gateway.all() },
            "bare_milliseconds": { "median": self.bare.median(), "runs": self.bare.all() },
            "answered_milliseconds": { "median": self.answered.median(), "runs": self.answered.all() },
            "overhead_milliseconds": self.overhead(),
            "ratio": { "median": ratios.median(), "runs": ratios.all() },
        })
    }
}

/// The id of the job that the alert made.
fn job_in(answer: &[u8]) -> Result<String, Failed> {
    let answer: Value = serde_json::from_slice(answer).map_err(failed("read an answer"))?;
    let job = answer["decisions"][0]["job"].as_str();
    job.map(str::to_owned).ok_or_else(|| Failed::new("make a job", &answer))
}

/// Waits until nothing of the run is left to disturb the next one.
async fn wait_for_end(server: SocketAddr, job: &str) -> Result<(), Failed> {
    // The server has closed a connection that idled through a slow run.
    let mut client = Client::connect(server).await?;
    loop {
        let job = read(&mut client, &format!("/api/v1/jobs/{job}")).await?;
        match job["status"].as_str() {
            Some("queued" | "running") => sleep(BETWEEN_LOOKS).await,
            Some("succeeded") => return Ok(()),
            _ => return Err(Failed::new("run the playbook", &job)),
        }
    }
}

fn forget(folder: &Folder) -> Result<(), Failed> {
    fs::remove_file(folder.path("effect/touched")).map_err(failed("forget an effect"))
}
