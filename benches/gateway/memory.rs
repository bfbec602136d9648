//! Memory at rest, beside the smallest HTTP server that Python has.

use std::fs;
use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use crate::failed::{Failed, failed};
use crate::folder::{self, Folder};
use crate::load::Load;
use crate::process::Server;
use crate::report::{Row, Section, tenths};
use crate::samples::Samples;

/// Starts of each server.
const STARTS: usize = 5;

const CONNECTIONS: usize = 8;

/// Posts of each connection: 1,000 alerts in all.
const POSTS: usize = 125;

/// A process is at rest when it has not moved for so long.
const REST: Duration = Duration::from_secs(1);

const BETWEEN_LOOKS: Duration = Duration::from_millis(100);

/// It should come to rest within this.
const PATIENCE: Duration = Duration::from_secs(30);

/// The figures, all in MiB.
#[derive(Debug, Default)]
struct Memory {
    started: Resident,
    after_alerts: Resident,
    python: Resident,
}

/// What a process holds, one figure per start.
#[derive(Debug, Default)]
struct Resident {
    /// Resident, shared pages counted whole.
    rss: Samples,
    /// Resident, shared pages counted by share.
    pss: Samples,
}

pub(crate) async fn measure(root: &Path) -> Result<Section, Failed> {
    let ansible = folder::ansible()?;
    let mut figures = Memory::default();
    for _ in 0..STARTS {
        let folder = Folder::new(root)?;
        let mut server = Server::healgate(&folder).await?;
        figures.started.take(server.pid()?).await?;
        let mut load = Load::connect(server.address, CONNECTIONS).await?;
        load.round("Unmatched", POSTS).await?;
        drop(load);
        figures.after_alerts.take(server.pid()?).await?;
        server.end().await?;
        let mut python = Server::python(&ansible, &folder).await?;
        figures.python.take(python.pid()?).await?;
        python.end().await?;
    }
    Ok(figures.section())
}

impl Resident {
    async fn take(&mut self, pid: u32) -> Result<(), Failed> {
        let (rss, pss) = at_rest(pid).await?;
        self.rss.push(rss);
        self.pss.push(pss);
        Ok(())
    }

    fn json(&self) -> Value {
        json!({
            "rss_mib": { "median": self.rss.median(), "starts": self.rss.all() },
            "pss_mib": { "median": self.pss.median(), "starts": self.pss.all() },
        })
    }
}

impl Memory {
    fn section(&self) -> Section {
        let mut rows = Vec::new();
        for (when, this) in [
            ("after the start", &self.started),
            ("after 1,000 alerts", &self.after_alerts),
        ] {
            for (kind, one, other) in [
                ("RSS", this.rss.median(), self.python.rss.median()),
                ("PSS", this.pss.median(), self.python.pss.median()),
            ] {
                rows.push(Row::new(format!("{when}: {kind}, MiB"), tenths(one)).beside(tenths(other), one / other));
            }
        }
        Section {
            key: "memory",
            title: "memory at rest",
            columns: ["gateway", "python server"],
            rows,
            json: self.json(),
        }
    }

    fn json(&self) -> Value {
        json!({
            "starts": STARTS,
            "alerts": CONNECTIONS * POSTS,
            "gateway_started": self.started.json(),
            "gateway_after_alerts": self.after_alerts.json(),
            "python_http_server": self.python.json(),
        })
    }
}

/// What the process holds once it has neither worked nor grown for a while.
async fn at_rest(pid: u32) -> Result<(f64, f64), Failed> {
    let give_up = Instant::now() + PATIENCE;
    let mut last = (mib(pid, "status", "VmRSS:")?, cpu_ticks(pid)?);
    let mut since = Instant::now();
    while since.elapsed() < REST {
        if Instant::now() > give_up {
            return Err(Failed::new("see a server at rest", "it does not come to rest"));
        }
        sleep(BETWEEN_LOOKS).await;
        let now = (mib(pid, "status", "VmRSS:")?, cpu_ticks(pid)?);
        if now != last {
            last = now;
            since = Instant::now();
        }
    }
    Ok((last.0, mib(pid, "smaps_rollup", "Pss:")?))
}

/// A figure that `/proc` gives in KiB.
pub(crate) fn mib(pid: u32, file: &str, name: &str) -> Result<f64, Failed> {
    let text = read(pid, file)?;
    let line = text.lines().find_map(|line| line.strip_prefix(name));
    let kib = line.and_then(|line| line.trim().trim_end_matches("kB").trim().parse::<f64>().ok());
    kib.map(|kib| kib / 1024.0)
        .ok_or_else(|| Failed::new(format!("find {name} in /proc/{pid}/{file}"), &text))
}

/// User and system time so far (fields 14 and 15 of proc_pid_stat(5)), as `/proc` writes it.
fn cpu_ticks(pid: u32) -> Result<String, Failed> {
    let text = read(pid, "stat")?;
    let after_name = text.rsplit(") ").next().unwrap_or_default();
    Ok(after_name.split(' ').skip(11).take(2).collect::<Vec<_>>().join("+"))
}

fn read(pid: u32, file: &str) -> Result<String, Failed> {
    let path = format!("/proc/{pid}/{file}");
    fs::read_to_string(&path).map_err(failed(format!("read {path}")))
}
