//! Judges what many kills have left: the witness file that the playbooks wrote, the database, the logs, the processes.

use std::collections::{BTreeMap, HashMap};
use std::fs;

use serde_json::Value;

use crate::support::folder::Folder;
use crate::support::gateway::Gateway;

/// What the playbooks themselves say of a run.
#[derive(Debug, Default)]
struct Seen<'a> {
    began: HashMap<&'a str, u64>,
    /// When it was last seen alive.
    alive: HashMap<&'a str, u64>,
    ended: HashMap<&'a str, u64>,
}

/// Each run began once, no two of one target at the same time, and what is told of them is what they did.
pub(super) fn check_witness(folder: &Folder, jobs: &HashMap<String, Value>) {
    let witness = folder.read("witness");
    let mut seen = Seen::default();
    for line in witness.lines() {
        let words: Vec<&str> = line.split(' ').collect();
        let (what, run, at) = (words[0], words[1], words[2].parse().unwrap());
        let of_its_kind = match what {
            "start" => &mut seen.began,
            "stop" => &mut seen.ended,
            _ => {
                seen.alive.insert(run, at);
                continue;
            }
        };
        assert!(of_its_kind.insert(run, at).is_none(), "{run} ran twice");
    }
    check_overlaps(&seen, jobs);
    for (id, job) in jobs {
        for attempt in job["attempts"].as_array().unwrap() {
            let run = format!("{id}/{}", attempt["number"]);
            let (began, ended) = (seen.began.contains_key(&*run), seen.ended.contains_key(&*run));
            let is_true = match attempt["outcome"].as_str().unwrap() {
                "ok" => began && ended,
                "start_failed" => !began,
                _ => true,
            };
            assert!(
                is_true,
                "{run} began: {began}, ended: {ended}, and is told as {attempt:#}"
            );
        }
    }
}

fn check_overlaps(seen: &Seen<'_>, jobs: &HashMap<String, Value>) {
    let mut spans: BTreeMap<(&str, u64), (u64, &str)> = BTreeMap::new();
    for (run, start) in &seen.began {
        let (job, number) = run.split_once('/').unwrap();
        let number: u64 = number.parse().unwrap();
        let job = jobs
            .get(job)
            .unwrap_or_else(|| panic!("{run} ran and nobody knows of it"));
        let attempts = job["attempts"].as_array().unwrap();
        assert!(attempts.iter().any(|a| a["number"] == number), "{run}: {job:#}");
        let end = seen.ended.get(run).or_else(|| seen.alive.get(run)).unwrap_or(start);
        spans.insert((job["target"].as_str().unwrap(), *start), (*end, run));
    }
    for (((target, _), (end, run)), ((next_target, next_start), (_, next))) in spans.iter().zip(spans.iter().skip(1)) {
        let apart = target != next_target || end <= next_start;
        assert!(apart, "{run} and {next} ran at once on {target}");
    }
}

/// Every process that is of one of these jobs: by its command, or by the mark that all of a run carries.
pub(super) fn left_of(folder: &Folder, jobs: &HashMap<String, Value>) -> Vec<(i32, String)> {
    let mut left = folder.processes();
    for entry in fs::read_dir("/proc").unwrap().flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse().ok()) else {
            continue;
        };
        let environment = fs::read(entry.path().join("environ")).unwrap_or_default();
        let mark = environment
            .split(|byte| *byte == 0)
            .find_map(|one| one.strip_prefix(b"HEALGATE_RUN="));
        let mark = String::from_utf8_lossy(mark.unwrap_or_default()).into_owned();
        if mark.split_once('/').is_some_and(|(job, _)| jobs.contains_key(job)) {
            left.push((pid, mark));
        }
    }
    left
}

pub(super) async fn all_jobs(gateway: &Gateway) -> HashMap<String, Value> {
    all(gateway, "/api/v1/jobs").await
}

/// Everything in a list, by its id.
pub(super) async fn all(gateway: &Gateway, path: &str) -> HashMap<String, Value> {
    let mut found = HashMap::new();
    let mut cursor = String::new();
    loop {
        let page = gateway.get(&format!("{path}?limit=500{cursor}")).await;
        for one in page["items"].as_array().unwrap() {
            found.insert(one["id"].as_str().unwrap().to_owned(), one.clone());
        }
        match page["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => return found,
        }
    }
}

/// Every run that ended well has all that it said, byte for byte. One that was stopped or killed has the beginning of it;
/// what a stop adds comes after that, or before it: Python tells of a signal that comes while it starts, and goes on.
pub(super) async fn check_logs(gateway: &Gateway, jobs: &HashMap<String, Value>, said: impl Fn(&str) -> String) {
    for (id, job) in jobs {
        for attempt in job["attempts"].as_array().unwrap() {
            let run = format!("{id}/{}", attempt["number"]);
            let said = said(&run);
            let log = gateway
                .text(&format!("/api/v1/jobs/{id}/log?attempt={}", attempt["number"]))
                .await;
            assert_eq!(attempt["log_bytes"], log.len(), "{run}");
            if attempt["outcome"] == "ok" {
                assert_eq!(log, said, "{run}");
                continue;
            }
            let begin = said.lines().next().and_then(|first| log.find(first)).unwrap_or(0);
            let same = log[begin..]
                .bytes()
                .zip(said.bytes())
                .take_while(|(heard, said)| heard == said)
                .count();
            assert!(
                !log[begin + same..].contains(&format!("{run} line ")),
                "{run} said\n{said}and has\n{log}"
            );
        }
    }
}

pub(crate) fn check_database(folder: &Folder) {
    let database = rusqlite::Connection::open(folder.path("var/healgate.db")).unwrap();
    let found = |sql: &str| -> Vec<String> {
        let mut statement = database.prepare(sql).unwrap();
        let rows = statement.query_map([], |row| row.get(0)).unwrap();
        rows.map(Result::unwrap).collect()
    };
    assert_eq!(found("PRAGMA integrity_check"), ["ok"]);
    let orphans = found("SELECT \"table\" FROM pragma_foreign_key_check");
    assert!(orphans.is_empty(), "{orphans:?}");
    let doubles = "SELECT episode FROM jobs WHERE trigger_kind = 'alert' GROUP BY episode, route HAVING COUNT(*) > 1";
    assert!(found(doubles).is_empty(), "two jobs of one episode");
}
