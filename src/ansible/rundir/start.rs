//! A run's start: how it came about, and a directory that must be made anew for it because it is spent.

use std::fs;
use std::io;

use serde::{Deserialize, Serialize};

use crate::ansible::rundir::{RunDir, RunSpec, Runs, mark, named, write_atomically};
use crate::domain::attempt::Start;
use crate::domain::timestamp::Timestamp;

/// The content of `started.json`.
#[derive(Debug, Serialize, Deserialize)]
struct Started {
    started_at: Timestamp,
    #[serde(flatten)]
    start: Option<Start>,
}

impl RunDir {
    /// From here on the playbook may have begun. On disk when this returns.
    pub(crate) fn may_begin(&self, started_at: Timestamp, start: &Start) -> io::Result<()> {
        let start = Some(start.clone());
        let content = serde_json::to_vec(&Started { started_at, start })?;
        if self.file("started.json").exists() {
            return write_atomically(&self.path, "started.json", &content);
        }
        mark(&self.path, "started.json", &content)
    }

    /// How the run started, as far as its host has written it down.
    pub fn start(&self) -> Option<Start> {
        let content = fs::read(self.file("started.json")).ok()?;
        serde_json::from_slice::<Started>(&content).ok()?.start
    }
}

impl Runs {
    /// Makes the directory of a run anew that never started and never will: the same run, with another ticket.
    pub(crate) fn renew(&self, run: &RunDir) -> io::Result<RunDir> {
        let order = run.order()?;
        let (path, vars) = (run.file("vars.yml"), fs::read(run.file("vars.yml")));
        let vars = vars.map_err(|error| named("read", &path, &error))?;
        let limit = match fs::read(run.file("limit")) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            other => Some(other.map_err(|error| named("read", &run.file("limit"), &error))?),
        };
        let named = order.marker.split_once('/');
        let parsed = named.and_then(|(job, attempt)| Some((job.parse().ok()?, attempt.parse().ok()?)));
        let (job, attempt) = parsed.ok_or_else(|| io::Error::other("run.json does not name a job's attempt"))?;
        self.create(&RunSpec {
            job,
            attempt,
            argv: order.argv,
            env: order.env,
            cwd: order.cwd,
            secrets: order.secrets,
            vars,
            limit,
            time_limit: order.time_limit,
            grace: order.grace,
            log_cap: order.log_cap,
            sockets: order.sockets,
        })
    }
}
