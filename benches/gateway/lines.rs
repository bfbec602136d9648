//! A play that prints a million lines, through the gateway and into a file; and what the gateway and the run host hold
//! meanwhile.

use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::json;
use tokio::time::sleep;

use crate::effect::succeeded;
use crate::failed::Failed;
use crate::folder::{self, Folder, processes_that_name};
use crate::gateways::{Gateway, attempt_ms};
use crate::memory::mib;
use crate::process::{Bare, playbook};
use crate::report::{Row, Section, tenths};
use crate::samples::Samples;

/// Counted runs of each way.
const RUNS: usize = 10;

const BETWEEN_LOOKS: Duration = Duration::from_millis(50);

/// What the gateway and the host of its run held at most, in MiB.
#[derive(Debug, Default)]
pub(crate) struct Peaks {
    pub(crate) gateway: f64,
    pub(crate) host: f64,
}

pub(crate) async fn measure(root: &Path) -> Result<Section, Failed> {
    let gateway = Gateway::cold(root).await?;
    let bare = Bare::Program(folder::ansible()?);
    let folder = Folder::new(root)?;
    let (mut through, mut into_file) = (Samples::default(), Samples::default());
    let (mut gateways, mut hosts) = (Samples::default(), Samples::default());
    gateway.run("Down").await?;
    for number in 0..=RUNS {
        let mut round = (0.0, 0.0, Peaks::default());
        for way in 0..2 {
            if (way + number) % 2 == 0 {
                (round.0, round.2) = peaks_of_run(&gateway, "Lines").await?;
            } else {
                let began = Instant::now();
                succeeded(playbook(&bare, &folder, "lines.yml", Some("output"))?).await?;
                round.1 = began.elapsed().as_secs_f64() * 1_000.0;
            }
        }
        if number > 0 {
            through.push(round.0);
            into_file.push(round.1);
            gateways.push(round.2.gateway);
            hosts.push(round.2.host);
        }
    }
    let rows = vec![
        Row::pairs("1,000,000 lines: gateway, into a file; ms", &through, &into_file).bound("≤ 1.05"),
        Row::new("the gateway grew by at most, MiB", tenths(gateways.percentile(100))).bound("< 20"),
        Row::new("the host grew by at most, MiB", tenths(hosts.percentile(100))).bound("< 20"),
    ];
    Ok(Section {
        key: "lines",
        title: "a play that prints 1,000,000 lines",
        columns: ["gateway", "> file"],
        rows,
        json: json!({
            "runs": RUNS,
            "gateway_milliseconds": through.all(),
            "file_milliseconds": into_file.all(),
            "gateway_growth_mib": gateways.all(),
            "host_growth_mib": hosts.all(),
        }),
    })
}

/// How long a run took, in milliseconds, and by how much the gateway and the host grew meanwhile.
pub(crate) async fn peaks_of_run(gateway: &Gateway, alertname: &str) -> Result<(f64, Peaks), Failed> {
    let pid = gateway.server.pid()?;
    let before = mib(pid, "status", "VmRSS:")?;
    let asked = gateway.ask(alertname).await?;
    let (mut peaks, mut first) = (Peaks::default(), None);
    let job = loop {
        peaks.gateway = peaks.gateway.max(mib(pid, "status", "VmRSS:")? - before);
        if let Some(now) = host_of(&gateway.folder) {
            let first = *first.get_or_insert(now);
            peaks.host = peaks.host.max(now - first);
        }
        sleep(BETWEEN_LOOKS).await;
        if gateway.is_over(&asked.job).await? {
            break gateway.end_of(&asked.job).await?;
        }
    };
    Ok((attempt_ms(&job)?, peaks))
}

/// What the host of the folder's run holds, in MiB.
fn host_of(folder: &Folder) -> Option<f64> {
    processes_that_name(&folder.path("")).into_iter().find_map(|pid| {
        let pid = pid.as_raw_nonzero().get().unsigned_abs();
        let command = std::fs::read(format!("/proc/{pid}/cmdline")).ok()?;
        let is_host = String::from_utf8_lossy(&command).contains("--ticket");
        is_host.then(|| mib(pid, "status", "VmRSS:").ok()).flatten()
    })
}
