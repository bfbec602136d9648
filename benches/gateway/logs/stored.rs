//! Four runs at once that say real output as fast as they can, through the gateway and into files; and then the end of one of
//! these long logs.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Instant;

use futures_util::future::try_join_all;
use serde_json::{Value, json};

use super::recorded::{Recorded, sizes};
use crate::client::Client;
use crate::effect::succeeded;
use crate::failed::{Failed, failed};
use crate::folder::Folder;
use crate::gateways::Gateway;
use crate::process::{Bare, playbook};
use crate::report::{Row, tenths, whole};
use crate::samples::Samples;

/// Counted rounds.
const ROUNDS: usize = 5;

const RUNS: usize = 4;

/// As long as a log can be without being cut.
const BYTES: u32 = (64 << 20) - (8 << 10);

/// Reads of the end of a log.
const TAILS: usize = 200;

/// What a person sees first of a log.
const TAIL: usize = 64 << 10;

/// What the rounds gave.
#[derive(Debug, Default)]
pub(super) struct Stored {
    /// Megabytes a second, all runs together.
    through: Samples,
    into_files: Samples,
    /// Bytes said for each that is stored, of the last round's logs.
    ratio: f64,
    /// Of each read of the last 64 KiB, in milliseconds: of a log of 64 MiB, and of one that is hardly longer than that.
    long: Samples,
    short: Samples,
}

pub(super) async fn measure(root: &Path, recorded: &Recorded) -> Result<Stored, Failed> {
    let folder = talking(root, recorded)?;
    let gateway = Gateway::start(folder).await?;
    let (mut stored, mut last) = (Stored::default(), String::new());
    for number in 0..=ROUNDS {
        let (mut through, mut files) = (0.0, 0.0);
        for way in 0..2 {
            if (way + number) % 2 == 0 {
                let began = Instant::now();
                let asked = try_join_all((0..RUNS).map(|_| gateway.ask("Down"))).await?;
                try_join_all(asked.iter().map(|asked| gateway.end_of(&asked.job))).await?;
                through = rate(began);
                last.clone_from(&asked[0].job);
            } else {
                files = into_files(&gateway.folder).await?;
            }
        }
        if number > 0 {
            stored.through.push(through);
            stored.into_files.push(files);
        }
    }
    let (said, kept) = sizes(&gateway.folder, &last).map_err(failed("read what is stored of a log"))?;
    stored.ratio = said / kept;
    let short = gateway.run("Empty").await?;
    let short = short["id"].as_str().unwrap_or_default();
    // In turn, so that what disturbs one disturbs the other.
    for _ in 0..TAILS {
        stored.long.push(tail(&gateway, &last).await?);
        stored.short.push(tail(&gateway, short).await?);
    }
    Ok(stored)
}

/// What stands in for `ansible-playbook` says again and again what was recorded; for the play without a task, just once a bit
/// of it.
fn talking(root: &Path, recorded: &Recorded) -> Result<Folder, Failed> {
    let folder = Folder::with(root, "./talk", "never", &format!("worker:\n  slots: {RUNS}\n"))?;
    fs::write(folder.path("recorded"), &recorded.output).map_err(failed("write what was recorded"))?;
    let script = format!(
        "#!/bin/sh
most={BYTES}
case \"$*\" in *empty.yml*) most={short};; esac
while cat recorded; do :; done 2> /dev/null | head -c $most
echo '{{\"event\":\"stats\",\"hosts\":{{\"localhost\":{{\"ok\":1}}}}}}' >> \"${{HEALGATE_EVENTS:-/dev/null}}\"
",
        short = TAIL + 1024,
    );
    folder.write("talk", &script)?;
    fs::set_permissions(folder.path("talk"), PermissionsExt::from_mode(0o755)).map_err(failed("make a script"))?;
    Ok(folder)
}

fn rate(began: Instant) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "four")]
    let megabytes = f64::from(BYTES) * RUNS as f64 / 1e6;
    megabytes / began.elapsed().as_secs_f64()
}

async fn into_files(folder: &Folder) -> Result<f64, Failed> {
    let talk = Bare::Program(folder.path("talk"));
    let began = Instant::now();
    let names: Vec<String> = (0..RUNS).map(|number| format!("output{number}")).collect();
    let runs = names
        .iter()
        .map(|name| playbook(&talk, folder, "touch.yml", Some(name)))
        .collect::<Result<Vec<_>, _>>()?;
    try_join_all(runs.into_iter().map(succeeded)).await?;
    Ok(rate(began))
}

async fn tail(gateway: &Gateway, job: &str) -> Result<f64, Failed> {
    let mut client = Client::connect(gateway.address()).await?;
    let began = Instant::now();
    let end = client.tail(&format!("/api/v1/jobs/{job}/log"), TAIL).await?;
    let took = began.elapsed().as_secs_f64() * 1_000.0;
    if end.len() == TAIL {
        return Ok(took);
    }
    Err(Failed::new("read the end of a log", format!("{} bytes", end.len())))
}

impl Stored {
    pub(super) fn rows(&self) -> Vec<Row> {
        let mut rows = vec![
            Row::new("4 runs at once, into files: MB/s", whole(self.through.median()))
                .beside(
                    whole(self.into_files.median()),
                    self.through.ratios(&self.into_files).median(),
                )
                .bound("≥ 100"),
            Row::new("what they say, for a byte that is stored", tenths(self.ratio)).bound("≥ 5"),
        ];
        for percent in [50, 99] {
            let (long, short) = (self.long.percentile(percent), self.short.percentile(percent));
            let what = format!("the last 64 KiB of 64 MiB, of 65 KiB: p{percent}, ms");
            rows.push(
                Row::new(what, tenths(long))
                    .beside(tenths(short), long / short)
                    .bound("≤ 10"),
            );
        }
        rows
    }

    pub(super) fn json(&self) -> Value {
        let latencies = |samples: &Samples| json!({ "p50": samples.median(), "p99": samples.percentile(99) });
        json!({
            "runs": RUNS,
            "bytes_each": BYTES,
            "megabytes_per_second": { "gateway": self.through.all(), "files": self.into_files.all() },
            "ratio": self.ratio,
            "tail_milliseconds": { "of_64_mib": latencies(&self.long), "of_65_kib": latencies(&self.short) },
        })
    }
}
