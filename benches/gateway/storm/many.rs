//! A hundred thousand alerts for ten thousand machines, most of them repeats, against the real binary, whose workers run
//! something trivial in the place of `ansible-playbook`; somebody looks at the list of jobs all the while. Then kill -9, and
//! the database is judged.

use std::cell::Cell;
use std::collections::HashMap;
use std::fs;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio::time::{MissedTickBehavior, interval};

use super::judge::{Verdict, judge};
use crate::client::Client;
use crate::failed::{Failed, failed};
use crate::folder::Folder;
use crate::gateways::Gateway;
use crate::load::{alert, notification};
use crate::memory::mib;
use crate::pace::{Pace, paced};
use crate::report::{Row, tenths};
use crate::samples::Samples;

const ROUNDS: usize = 3;

/// Alerts of a storm, repeats included.
const REPORTS: u64 = 100_000;

const MACHINES: u64 = 10_000;

/// Machines that have a second alert, which must wait for the first one's run.
const TWICE: u64 = 1_000;

/// As Alertmanager groups them.
const GROUP: u64 = 100;

/// How long a storm goes on, in seconds. A minute would do.
const SECONDS: f64 = 20.0;

const CONNECTIONS: usize = 16;

/// Between two looks at the list.
const LOOK: Duration = Duration::from_millis(20);

/// How long the list is looked at without a storm, runs going on.
const CALM: Duration = Duration::from_secs(3);

const REMEDIATIONS: &str = "\
playbooks:
  touch:
    path: touch.yml
    lock: '{{ alert.labels.instance }}'
    vars:
      instance: '{{ alert.labels.instance }}'
routes:
  - name: down
    matchers: ['alertname=~\"Down|Slow\"', 'severity=~\"critical|page\"']
    playbook: touch
";

/// Leaves a witness, and ends as a play does that went well.
const TRIVIAL: &str = "#!/bin/sh
echo \"$HEALGATE_RUN\" >> witness
echo '{\"event\":\"stats\",\"hosts\":{\"localhost\":{\"ok\":1}}}' >> \"$HEALGATE_EVENTS\"
";

/// What each storm gave.
#[derive(Debug, Default)]
pub(super) struct Many {
    /// From the first POST to the last answer.
    seconds: Samples,
    /// Of every POST, from when it was due, in milliseconds.
    posts: Samples,
    /// Of every look at the list, in milliseconds: the storms' p99, one per round, and all.
    list: Vec<Samples>,
    calm: Vec<Samples>,
    /// The most that the gateway has held, in MiB.
    peak: Samples,
    verdicts: Vec<Verdict>,
}

pub(super) async fn measure(root: &Path) -> Result<Many, Failed> {
    let mut many = Many::default();
    for _ in 0..ROUNDS {
        many.storm(root).await?;
    }
    Ok(many)
}

impl Many {
    async fn storm(&mut self, root: &Path) -> Result<(), Failed> {
        let folder = Folder::with(root, "./trivial", "never", "")?;
        folder.write("remediations.yml", REMEDIATIONS)?;
        folder.write("trivial", TRIVIAL)?;
        let may_run = PermissionsExt::from_mode(0o755);
        fs::set_permissions(folder.path("trivial"), may_run).map_err(failed("make a script"))?;
        let mut gateway = Gateway::start(folder).await?;
        let (bodies, sent) = reports();
        let next = Cell::new(0);
        let body = || bodies[next.replace(next.get() + 1)].clone();
        #[expect(clippy::cast_precision_loss, reason = "a thousand")]
        let pace = Pace {
            per_second: bodies.len() as f64 / SECONDS,
            connections: CONNECTIONS,
            posts: bodies.len(),
        };
        let mut list = Samples::default();
        let began = Instant::now();
        let posts = tokio::select! {
            posts = paced(gateway.address(), pace, &body) => posts?,
            failed = look_at_list(gateway.address(), &mut list) => return failed,
        };
        self.seconds.push(began.elapsed().as_secs_f64());
        let mut calm = Samples::default();
        tokio::select! {
            () = tokio::time::sleep(CALM) => {}
            failed = look_at_list(gateway.address(), &mut calm) => return failed,
        }
        self.peak.push(mib(gateway.server.pid()?, "status", "VmHWM:")?);
        gateway.server.end().await?;
        self.verdicts.push(judge(&gateway.folder, &sent)?);
        self.posts.extend(posts);
        self.list.push(list);
        self.calm.push(calm);
        Ok(())
    }

    pub(super) fn rows(&self) -> Vec<Row> {
        let all = |of: fn(&Verdict) -> i64| self.verdicts.iter().map(of).sum::<i64>().to_string();
        let p99 = |rounds: &[Samples]| {
            let mut all = Samples::default();
            rounds.iter().for_each(|round| all.push(round.percentile(99)));
            all
        };
        let (list, calm) = (p99(&self.list), p99(&self.calm));
        vec![
            Row::new("100,000 alerts for 10,000 machines: s", tenths(self.seconds.median())).bound("≤ 60"),
            Row::new("a POST of 100 of them: p50, ms", tenths(self.posts.median())),
            Row::new("a POST of 100 of them: p99, ms", tenths(self.posts.percentile(99))),
            Row::new("alerts lost in all storms", all(|verdict| verdict.lost)).bound("0"),
            Row::new("jobs that ran meanwhile", all(|verdict| verdict.ran)),
            Row::new("of them not exactly once", all(|verdict| verdict.not_once)).bound("0"),
            Row::new("runs that shared a target", all(|verdict| verdict.overlaps)).bound("0"),
            Row::new(
                "the list of jobs meanwhile, and without alerts: p99, ms",
                tenths(list.median()),
            )
            .beside(tenths(calm.median()), list.ratios(&calm).median())
            .bound("≤ 20"),
            Row::new("the gateway held at most, MiB", tenths(self.peak.percentile(100))).bound("≤ 200"),
        ]
    }

    pub(super) fn json(&self) -> Value {
        let latencies = |rounds: &[Samples]| -> Vec<Value> {
            let of = |round: &Samples| json!({ "count": round.count(), "p50": round.median(), "p99": round.percentile(99), "most": round.percentile(100) });
            rounds.iter().map(of).collect()
        };
        json!({
            "reports": REPORTS,
            "machines": MACHINES,
            "alerts": MACHINES + TWICE,
            "alerts_per_post": GROUP,
            "seconds": self.seconds.all(),
            "post_milliseconds": { "p50": self.posts.median(), "p99": self.posts.percentile(99) },
            "list_milliseconds": latencies(&self.list),
            "list_milliseconds_without_alerts": latencies(&self.calm),
            "peak_mib": self.peak.all(),
            "verdicts": self.verdicts.iter().map(|verdict| verdict.json()).collect::<Vec<_>>(),
        })
    }
}

/// The bodies of a storm, and how often each fingerprint is in them.
fn reports() -> (Vec<String>, HashMap<String, i64>) {
    // A prime: the alerts come in a mixed order, each once before any is repeated.
    const STRIDE: u64 = 7_919;
    let mut sent = HashMap::new();
    let bodies = (0..REPORTS / GROUP).map(|post| {
        let alerts = (post * GROUP..(post + 1) * GROUP).map(|report| {
            let number = report * STRIDE % (MACHINES + TWICE);
            *sent.entry(format!("{number:016x}")).or_default() += 1;
            let alertname = if number < MACHINES { "Down" } else { "Slow" };
            alert(alertname, number, number % MACHINES)
        });
        notification("Down", &alerts.collect::<Vec<_>>())
    });
    (bodies.collect(), sent)
}

/// Looks at the list again and again; ends only where that fails.
async fn look_at_list(gateway: SocketAddr, samples: &mut Samples) -> Result<(), Failed> {
    let mut client = Client::connect(gateway).await?;
    let mut look = interval(LOOK);
    look.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        look.tick().await;
        let began = Instant::now();
        client.get("/api/v1/jobs").await?;
        samples.push_ms(began.elapsed());
    }
}
