//! Many kills, stops and starts in a row, with alerts coming in all the time: the promises hold after all of it.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::time::Duration;

use reqwest::Method;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use sqlx::Connection;
use tokio::time::Instant;

use crate::support::alerts::{TestAlert, firing, notification};
use crate::support::folder::Folder;
use crate::support::gateway::Gateway;
use crate::support::wait::until;

const CYCLES: u32 = 16;
/// Bounds how many playbooks must run, which is what takes the time.
const POSTS_PER_CYCLE: u32 = 7;
const LONGEST_LIFE_MS: u64 = 350;

/// Playbooks of the same `t` never run at once.
const REMEDIATIONS: &str = r#"
playbooks:
  fix:
    path: fix.yml
    lock: "{{ alert.labels.t }}"
routes:
  - name: down
    matchers: ['alertname="Down"']
    playbook: fix
"#;

/// Says when it begins and ends, and takes up to 100 ms, depending on its run.
const FIX: &str = "
import select
run = os.environ['HEALGATE_RUN']
n = sum(run.encode())
fd = os.open('witness', os.O_WRONLY | os.O_APPEND | os.O_CREAT)
def witness(what):
    os.write(fd, f'{what} {run} {time.monotonic_ns()}\\n'.encode())
witness('start')
for i in range(n % 40):
    say(f'{run} line {i}')
select.select([], [], [], n % 100 / 1000)
witness('stop')
ok()
";

/// SplitMix64: the same story each time.
struct Dice(u64);

impl Dice {
    fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % end
    }
}

/// What was done, and what was promised for it.
struct Story {
    dice: Dice,
    alerts: u64,
    /// Jobs that an answer named.
    promised: HashSet<String>,
    /// Runs whose host was killed.
    killed: HashSet<String>,
    /// Jobs that somebody may have canceled.
    canceled: HashSet<String>,
}

impl Story {
    async fn post(&mut self, gateway: &Gateway) {
        let repeat = self.alerts > 0 && self.dice.below(3) == 0;
        let number = if repeat {
            self.alerts - self.dice.below(self.alerts.min(9))
        } else {
            self.alerts += 1;
            self.alerts
        };
        let mut alert = alert(number);
        if repeat && self.dice.below(3) == 0 {
            alert = alert.resolved("2026-01-31T10:00:00Z");
        }
        let request = gateway.request(Method::POST, "/webhooks/alertmanager");
        let Ok(answer) = request.json(&notification(&[alert])).send().await else {
            return;
        };
        assert_eq!(answer.status(), 202);
        let Ok(answer) = answer.json::<Value>().await else {
            return;
        };
        let Some(job) = answer["decisions"][0]["job"].as_str() else {
            return;
        };
        self.promised.insert(job.to_owned());
        self.interfere(gateway, job).await;
    }

    /// Sometimes a person cancels or runs again, sometimes a run host dies.
    async fn interfere(&mut self, gateway: &Gateway, job: &str) {
        let what = match self.dice.below(12) {
            0 => "cancel",
            1 => "rerun",
            _ => return,
        };
        if what == "cancel" {
            self.canceled.insert(job.to_owned());
        }
        let path = format!("/api/v1/jobs/{job}/{what}");
        if let Ok(answer) = gateway.request(Method::POST, &path).send().await {
            assert!(answer.status().as_u16() < 500, "{what}: {}", answer.status());
        }
    }

    fn kill_a_host(&mut self, folder: &Folder) {
        let hosts = folder.processes().into_iter();
        let Some((pid, command)) = hosts.into_iter().find(|(_, command)| command.contains("--ticket")) else {
            return;
        };
        let run = command.split("/runs/").nth(1).unwrap_or_default().trim();
        self.killed.insert(run.to_owned());
        let _ = kill_process(Pid::from_raw(pid).unwrap(), Signal::KILL);
    }

    async fn cycle(&mut self, folder: &Folder) {
        let on_shutdown = if self.dice.below(2) == 0 { "leave" } else { "stop" };
        settings(folder, "0s", on_shutdown);
        let mut gateway = Gateway::start(folder).await;
        let life = Instant::now() + Duration::from_millis(self.dice.below(LONGEST_LIFE_MS));
        let posting = async {
            for _ in 0..POSTS_PER_CYCLE {
                self.post(&gateway).await;
            }
            std::future::pending::<()>().await;
        };
        let _ = tokio::time::timeout_at(life, posting).await;
        if self.dice.below(6) == 0 {
            self.kill_a_host(folder);
        }
        match self.dice.below(10) {
            0..6 => return gateway.kill().await,
            6..8 => gateway.signal(Signal::TERM),
            _ => {
                gateway.signal(Signal::HUP);
                gateway.signal(Signal::TERM);
                gateway.signal(Signal::TERM);
            }
        }
        assert!(gateway.ended().await.success(), "{}", gateway.logged());
    }

    fn check(&self, folder: &Folder, jobs: &HashMap<String, Value>) {
        for promised in &self.promised {
            assert!(jobs.contains_key(promised), "{promised} was acknowledged and is gone");
        }
        for (id, job) in jobs {
            let excused = match job["reason"].as_str().unwrap() {
                "unverified" | "resolved_meanwhile" => true,
                "canceled" => self.canceled.contains(id) || job.to_string().contains("(shutdown)"),
                "lost" | "start_failed" => self.killed.iter().any(|run| run.starts_with(id.as_str())),
                _ => false,
            };
            assert!(excused, "{job:#}");
            for (index, attempt) in job["attempts"].as_array().unwrap().iter().enumerate() {
                assert_eq!(attempt["number"], index + 1, "{job:#}");
            }
        }
        check_witness(folder, jobs);
    }
}

fn alert(number: u64) -> TestAlert {
    firing("Down", &format!("f{number}")).label("t", &format!("t{}", number % 5))
}

fn settings(folder: &Folder, drain_timeout: &str, on_shutdown: &str) {
    folder.settings(&format!(
        "worker:\n  drain_timeout: {drain_timeout}\n  on_shutdown: {on_shutdown}\n"
    ));
}

/// Each run began once, and no two of one target at the same time.
fn check_witness(folder: &Folder, jobs: &HashMap<String, Value>) {
    let witness = folder.read("witness");
    let mut began: HashMap<&str, u64> = HashMap::new();
    let mut spans: BTreeMap<(&str, u64), (u64, &str)> = BTreeMap::new();
    for line in witness.lines() {
        let words: Vec<&str> = line.split(' ').collect();
        let (run, at) = (words[1], words[2].parse().unwrap());
        let (job, number) = run.split_once('/').unwrap();
        let number: u64 = number.parse().unwrap();
        let job = &jobs[job];
        let target = job["target"].as_str().unwrap();
        if words[0] == "start" {
            assert!(began.insert(run, at).is_none(), "{run} ran twice");
            let attempts = job["attempts"].as_array().unwrap();
            assert!(attempts.iter().any(|a| a["number"] == number), "{run}: {job:#}");
            spans.insert((target, at), (at, run));
        } else {
            spans.insert((target, began[run]), (at, run));
        }
    }
    for (((target, _), (end, run)), ((next_target, next_start), (_, next))) in spans.iter().zip(spans.iter().skip(1)) {
        let apart = target != next_target || end <= next_start;
        assert!(apart, "{run} and {next} ran at once on {target}");
    }
}

async fn all_jobs(gateway: &Gateway) -> HashMap<String, Value> {
    let mut jobs = HashMap::new();
    let mut cursor = String::new();
    loop {
        let page = gateway.get(&format!("/api/v1/jobs?limit=500{cursor}")).await;
        for job in page["items"].as_array().unwrap() {
            jobs.insert(job["id"].as_str().unwrap().to_owned(), job.clone());
        }
        match page["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => return jobs,
        }
    }
}

/// Every run that ended well has all that it said, in order, and nothing else.
async fn check_logs(gateway: &Gateway, jobs: &HashMap<String, Value>) {
    for (id, job) in jobs {
        for attempt in job["attempts"].as_array().unwrap() {
            if attempt["outcome"] != "ok" {
                continue;
            }
            let run = format!("{id}/{}", attempt["number"]);
            let lines = run.bytes().map(u32::from).sum::<u32>() % 40;
            let said: String = (0..lines).map(|line| format!("{run} line {line}\n")).collect();
            let log = gateway
                .text(&format!("/api/v1/jobs/{id}/log?attempt={}", attempt["number"]))
                .await;
            assert_eq!(log, said, "{run}");
            assert_eq!(attempt["log_bytes"], said.len(), "{run}");
        }
    }
}

async fn check_database(folder: &Folder) {
    let url = format!("sqlite://{}", folder.path("var/healgate.db").display());
    let mut connection = sqlx::SqliteConnection::connect(&url).await.unwrap();
    let integrity: String = sqlx::query_scalar("PRAGMA integrity_check")
        .fetch_one(&mut connection)
        .await
        .unwrap();
    assert_eq!(integrity, "ok");
    let orphans = sqlx::query("PRAGMA foreign_key_check").fetch_all(&mut connection).await;
    assert!(orphans.unwrap().is_empty());
    let doubles = "SELECT episode FROM jobs WHERE trigger_kind = 'alert' GROUP BY episode, route HAVING COUNT(*) > 1";
    let doubles = sqlx::query(doubles).fetch_all(&mut connection).await;
    assert!(doubles.unwrap().is_empty(), "two jobs of one episode");
}

#[tokio::test]
async fn every_promise_holds_after_many_kills_stops_and_starts() {
    let folder = Folder::new();
    folder.write("remediations.yml", REMEDIATIONS);
    folder.write("fix.yml", FIX);
    let mut story = Story {
        dice: Dice(20_260_131),
        alerts: 0,
        promised: HashSet::new(),
        killed: HashSet::new(),
        canceled: HashSet::new(),
    };
    for _ in 0..CYCLES {
        story.cycle(&folder).await;
    }
    assert!(!story.promised.is_empty(), "nothing was acknowledged");

    settings(&folder, "5m", "leave");
    let mut gateway = Gateway::start(&folder).await;
    until("nothing waits or runs", || async {
        let open = gateway.get("/api/v1/jobs?status=queued&status=running&limit=1").await;
        open["items"].as_array().unwrap().is_empty().then_some(())
    })
    .await;
    let jobs = all_jobs(&gateway).await;
    story.check(&folder, &jobs);
    check_logs(&gateway, &jobs).await;
    gateway.signal(Signal::TERM);
    assert!(gateway.ended().await.success());
    assert!(folder.processes().is_empty(), "{:?}", folder.processes());
    assert_eq!(std::fs::read_dir(folder.path("var/runs")).unwrap().count(), 0);
    check_database(&folder).await;
}
