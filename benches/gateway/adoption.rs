//! How long a gateway takes to start while 100 runs that an earlier one started go on.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::json;
use tokio::time::sleep;

use crate::client::Client;
use crate::failed::{Failed, failed};
use crate::folder::Folder;
use crate::gateways::Gateway;
use crate::process::{Server, read};
use crate::report::{Row, Section};
use crate::samples::Samples;

/// Counted starts of each kind.
const STARTS: usize = 10;

const RUNS: usize = 100;

/// Goes on until the file `go` is there.
const WAITING: &str = "#!/bin/sh
until [ -e go ]; do sleep 1; done
echo '{\"event\":\"stats\",\"hosts\":{\"localhost\":{\"ok\":1}}}' >> \"$HEALGATE_EVENTS\"
";

pub(crate) async fn measure(root: &Path) -> Result<Section, Failed> {
    let folder = Folder::with(root, "./wait", "never", &format!("worker:\n  slots: {RUNS}\n"))?;
    folder.write("wait", WAITING)?;
    fs::set_permissions(folder.path("wait"), PermissionsExt::from_mode(0o755)).map_err(failed("make a script"))?;
    let mut gateway = Gateway::start(folder).await?;
    let mut jobs = Vec::new();
    for _ in 0..RUNS {
        jobs.push(gateway.ask("Down").await?.job);
    }
    while running(&gateway).await? < RUNS {
        sleep(Duration::from_millis(50)).await;
    }
    let idle = Folder::with(root, "./wait", "never", "")?;
    let (mut with_runs, mut without) = (Samples::default(), Samples::default());
    for number in 0..=STARTS {
        gateway.server.end().await?;
        let began = Instant::now();
        gateway.server = Server::healgate(&gateway.folder).await?;
        let with = began.elapsed();
        let began = Instant::now();
        let mut other = Server::healgate(&idle).await?;
        let plain = began.elapsed();
        other.end().await?;
        if running(&gateway).await? != RUNS {
            return Err(Failed::new("adopt runs", "some are not running any more"));
        }
        if number > 0 {
            with_runs.push_ms(with);
            without.push_ms(plain);
        }
    }
    gateway.folder.write("go", "")?;
    for job in &jobs {
        gateway.end_of(job).await?;
    }
    Ok(Section {
        key: "adoption",
        title: "a start, kill -9 before it",
        columns: ["100 runs go on", "none"],
        rows: vec![Row::pairs("until it listens, ms", &with_runs, &without)],
        json: json!({ "starts": STARTS, "runs": RUNS, "milliseconds": { "with": with_runs.all(), "without": without.all() } }),
    })
}

async fn running(gateway: &Gateway) -> Result<usize, Failed> {
    let mut client = Client::connect(gateway.address()).await?;
    let page = read(&mut client, "/api/v1/jobs?status=running&limit=500").await?;
    Ok(page["items"].as_array().map_or(0, Vec::len))
}
