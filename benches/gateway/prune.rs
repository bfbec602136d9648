//! Webhooks while half of a million jobs are removed, beside the same gateway's webhooks before that.

use std::path::Path;
use std::time::{Duration, Instant};

use futures_util::future::try_join_all;
use serde_json::json;
use tokio::time::sleep_until;

use crate::client::Client;
use crate::failed::Failed;
use crate::load::new_alert;
use crate::past::Past;
use crate::process::Server;
use crate::report::{Row, Section, of, whole};
use crate::samples::Samples;

/// Posts each second, evenly spread: each at its time, whether the one before was answered or not.
const RATE: u32 = 200;

const CONNECTIONS: u32 = 16;

/// Between two looks at what the gateway does.
const STRETCH: u32 = 5;

/// A pass over half a million jobs may take longer; it is not waited for.
const LONGEST: Duration = Duration::from_secs(1_500);

/// Half of the history is too old.
const KEEP: &str = "retention:\n  jobs: 45d\n  logs: 30d\n";

/// Each alert makes a job, and nothing runs.
const REMEDIATIONS: &str = "\
playbooks:
  touch:
    path: touch.yml
routes:
  - name: down
    matchers: ['alertname=\"Down\"']
    playbook: touch
    mode: approve
";

pub(crate) async fn measure(root: &Path, past: &mut Past) -> Result<Section, Failed> {
    let filled = past.newest().await?;
    let folder = filled.folder_with(root, KEEP)?;
    folder.write("remediations.yml", REMEDIATIONS)?;
    let mut server = Server::healgate(&folder).await?;
    let (mut usual, mut during) = (Samples::default(), Samples::default());
    let (mut seconds, mut kinds) = (0, Vec::<(String, Samples)>::new());
    let began = Instant::now();
    // The first pass begins a minute after the start; until then the posts are as usual.
    loop {
        let before = look(&server).await?;
        let latencies = stretch(&server).await?;
        let after = look(&server).await?;
        match (before.is_pruning, after.is_pruning) {
            (false, false) if !during.all().is_empty() => break,
            (false, false) => usual.extend(latencies),
            (true, true) => {
                seconds += STRETCH;
                let kind = after.busiest_since(&before);
                match kinds.iter_mut().find(|(known, _)| *known == kind) {
                    Some((_, samples)) => samples.extend(latencies.clone()),
                    None => kinds.push((kind, latencies.clone())),
                }
                during.extend(latencies);
            }
            _ => {}
        }
        if began.elapsed() > LONGEST {
            break;
        }
    }
    let end = look(&server).await?;
    server.stop().await?;
    Ok(section(&usual, &during, (seconds, &kinds), &end))
}

fn section(usual: &Samples, during: &Samples, (seconds, kinds): (u32, &[(String, Samples)]), end: &Look) -> Section {
    let mut rows = Vec::new();
    let mut row = |what: String, samples: &Samples, percent| {
        let (one, other) = (samples.percentile(percent), usual.percentile(percent));
        rows.push(
            Row::new(what, of(one))
                .beside(of(other), one / other)
                .bound(if percent == 99 { "2" } else { "" }),
        );
    };
    row(format!("{RATE} posts/s: p50, ms"), during, 50);
    row(format!("{RATE} posts/s: p99, ms"), during, 99);
    for (kind, samples) in kinds {
        row(format!("while {kind} go: p99, ms"), samples, 99);
    }
    let jobs = end.removed("jobs");
    rows.push(Row::new(format!("jobs removed in {seconds} s"), whole(jobs)));
    let kinds: Vec<_> = kinds
        .iter()
        .map(|(kind, samples)| json!({ "record": kind, "p50": samples.median(), "p99": samples.percentile(99) }))
        .collect();
    Section {
        key: "prune",
        title: "webhooks while 500,000 jobs are removed",
        columns: ["meanwhile", "before"],
        rows,
        json: json!({
            "posts_per_second": RATE,
            "usual_milliseconds": { "count": usual.count(), "p50": usual.median(), "p99": usual.percentile(99) },
            "meanwhile_milliseconds": { "count": during.count(), "p50": during.median(), "p99": during.percentile(99) },
            "by_record": kinds,
            "seconds": seconds,
            "removed": end.removed,
        }),
    }
}

/// Posts for a while, each at its time. Latencies count from then on, also of a post that had to wait for one before it.
async fn stretch(server: &Server) -> Result<Samples, Failed> {
    let began = tokio::time::Instant::now();
    let each = (0..CONNECTIONS).map(async |connection| {
        let mut client = Client::connect(server.address).await?;
        let mut samples = Samples::default();
        for number in (connection..RATE * STRETCH).step_by(CONNECTIONS as usize) {
            let due = began + Duration::from_secs(1) / RATE * number;
            sleep_until(due).await;
            client.post(&new_alert("Down")).await?;
            samples.push_ms(due.elapsed());
        }
        Ok::<_, Failed>(samples)
    });
    let mut all = Samples::default();
    for samples in try_join_all(each).await? {
        all.extend(samples);
    }
    Ok(all)
}

/// What the metrics say of the one who removes.
struct Look {
    is_pruning: bool,
    removed: Vec<(String, f64)>,
}

impl Look {
    fn removed(&self, record: &str) -> f64 {
        let found = self.removed.iter().find(|(known, _)| known == record);
        found.map_or(0.0, |(_, count)| *count)
    }

    /// The kind of record that most went of.
    fn busiest_since(&self, before: &Self) -> String {
        let gone = self
            .removed
            .iter()
            .map(|(record, count)| (count - before.removed(record), record));
        let most = gone
            .max_by(|one, other| one.0.total_cmp(&other.0))
            .filter(|(count, _)| *count > 0.0);
        most.map_or_else(|| "nothing".to_owned(), |(_, record)| record.clone())
    }
}

async fn look(server: &Server) -> Result<Look, Failed> {
    let mut client = Client::connect(server.address).await?;
    let text = String::from_utf8_lossy(client.get("/metrics").await?).into_owned();
    let removed = text.lines().filter_map(|line| {
        let rest = line.strip_prefix("healgate_pruned_records_total{record=\"")?;
        let (record, count) = rest.split_once("\"} ")?;
        Some((record.to_owned(), count.parse().ok()?))
    });
    Ok(Look {
        is_pruning: text.lines().any(|line| line == "healgate_pruning 1"),
        removed: removed.collect(),
    })
}
