//! Understands what our callback plugin writes: one JSON object a line. Translates Ansible's words into the domain's.

use std::collections::BTreeMap;
use std::io;

use serde::Deserialize;
use serde_json::Value;

use crate::ansible::rundir::{READ_AT_MOST, RunDir};
use crate::domain::attempt::TaskResult;
use crate::domain::host_stats::{HostStats, Recap};
use crate::domain::timestamp::Timestamp;

/// A line longer than this is not one of ours.
const LONGEST_LINE: usize = 16 << 20;

/// Reads events as they come, from the beginning of the file.
#[derive(Debug, Default)]
pub struct EventReader {
    offset: u64,
    /// The beginning of a line whose end is not written yet.
    partial: Vec<u8>,
    broken: u64,
    summary: Summary,
}

/// What the events so far come to.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Summary {
    /// The hosts' counts, once the play is over; empty if no host was processed.
    pub recap: Option<Recap>,
    /// The first task that failed or did not reach its host.
    pub first_failure: Option<Failure>,
}

/// A task that failed on a host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    pub host: String,
    pub task: String,
    pub message: Option<String>,
}

/// Which tasks are in progress, and when they began.
#[derive(Clone, Debug, Default)]
pub(crate) struct Progress {
    open: BTreeMap<u64, f64>,
}

#[derive(Debug, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
enum Event {
    Start {
        n: u64,
        boottime: f64,
    },
    Result(Box<ResultEvent>),
    Stats {
        hosts: BTreeMap<String, Counts>,
    },
    /// `playbook`, `play`, `task`, and what later versions may add.
    #[serde(other)]
    Other,
}

#[derive(Debug, Deserialize)]
struct ResultEvent {
    n: Option<u64>,
    play: String,
    task: String,
    path: Option<String>,
    host: String,
    action: String,
    status: String,
    /// In seconds since 1970.
    started_at: f64,
    seconds: f64,
    message: Option<String>,
    #[serde(default)]
    items: Option<Value>,
    #[serde(default)]
    diff: Option<Value>,
}

/// Ansible's recap in its own words (`AggregateStats.summarize` in ansible/executor/stats.py).
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Counts {
    ok: u64,
    changed: u64,
    #[serde(alias = "dark")]
    unreachable: u64,
    failures: u64,
    skipped: u64,
    rescued: u64,
    ignored: u64,
}

impl EventReader {
    /// Task results that were added since the last call, in order: some of them, or none if there are no more yet. An
    /// incomplete last line waits for its end.
    pub fn read(&mut self, run: &RunDir) -> io::Result<Vec<TaskResult>> {
        let mut results = Vec::new();
        loop {
            let more = self.each(run, &mut |summary, event| {
                if let Event::Result(result) = event {
                    let result = TaskResult::from(*result);
                    summary.note(&result);
                    results.push(result);
                } else if let Event::Stats { hosts } = event {
                    summary.recap = Some(hosts.into_iter().map(|(host, counts)| (host, counts.into())).collect());
                }
            })?;
            if !more || !results.is_empty() {
                return Ok(results);
            }
        }
    }

    /// Follows only which tasks are in progress. Answers whether there may be more to read.
    pub(crate) fn follow(&mut self, run: &RunDir, progress: &mut Progress) -> io::Result<bool> {
        self.each(run, &mut |_, event| match event {
            Event::Start { n, boottime } => progress.started(n, boottime),
            Event::Result(result) => result.n.into_iter().for_each(|number| progress.ended(number)),
            Event::Stats { .. } | Event::Other => {}
        })
    }

    /// What has been read comes to.
    pub fn summary(&self) -> &Summary {
        &self.summary
    }

    /// Whether nothing has been written yet: Ansible has not begun to play.
    pub(crate) fn is_at_start(&self) -> bool {
        self.offset == 0
    }

    /// How many lines made no sense.
    pub fn broken(&self) -> u64 {
        self.broken
    }

    fn each(&mut self, run: &RunDir, take: &mut dyn FnMut(&mut Summary, Event)) -> io::Result<bool> {
        let bytes = run.read_events(self.offset, READ_AT_MOST)?;
        self.offset += bytes.len() as u64;
        self.partial.extend_from_slice(&bytes);
        let Some(end) = self.partial.iter().rposition(|byte| *byte == b'\n') else {
            if self.partial.len() > LONGEST_LINE {
                self.partial.clear();
                self.broken += 1;
            }
            return Ok(!bytes.is_empty());
        };
        let rest = self.partial.split_off(end + 1);
        for line in self
            .partial
            .split(|byte| *byte == b'\n')
            .filter(|line| !line.is_empty())
        {
            match serde_json::from_slice(line) {
                Ok(event) => take(&mut self.summary, event),
                Err(_) => self.broken += 1,
            }
        }
        self.partial = rest;
        Ok(!bytes.is_empty())
    }
}

impl Summary {
    fn note(&mut self, result: &TaskResult) {
        if self.first_failure.is_none() && matches!(result.status.as_str(), "failed" | "unreachable") {
            self.first_failure = Some(Failure {
                host: result.host.clone(),
                task: result.task.clone(),
                message: result.message.clone(),
            });
        }
    }
}

impl Progress {
    pub(crate) fn started(&mut self, number: u64, boottime: f64) {
        self.open.insert(number, boottime);
    }

    pub(crate) fn ended(&mut self, number: u64) {
        self.open.remove(&number);
    }

    pub(crate) fn is_open(&self, number: u64) -> bool {
        self.open.contains_key(&number)
    }

    /// When the oldest task in progress began, in clock ticks since the machine was booted.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "seconds since boot, far from any limit"
    )]
    pub(crate) fn earliest_open(&self, ticks_per_second: u64) -> Option<u64> {
        let earliest = self.open.values().copied().reduce(f64::min)?;
        Some((earliest * ticks_per_second as f64) as u64)
    }
}

impl From<ResultEvent> for TaskResult {
    fn from(event: ResultEvent) -> Self {
        Self {
            play: event.play,
            task: event.task,
            path: event.path,
            host: event.host,
            action: event.action,
            status: event.status,
            started_at: from_seconds(event.started_at),
            seconds: event.seconds,
            message: event.message,
            items: event.items,
            diff: event.diff,
        }
    }
}

impl From<Counts> for HostStats {
    fn from(counts: Counts) -> Self {
        Self {
            ok: counts.ok,
            changed: counts.changed,
            unreachable: counts.unreachable,
            failed: counts.failures,
            skipped: counts.skipped,
            rescued: counts.rescued,
            ignored: counts.ignored,
        }
    }
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "microseconds since 1970 fit for 290,000 years; a float saturates"
)]
fn from_seconds(seconds: f64) -> Timestamp {
    Timestamp::from_micros((seconds * 1e6).round() as i64)
}

#[cfg(test)]
mod tests {
    use std::fs::OpenOptions;
    use std::io::Write;

    use super::*;

    const RESULT: &str = r#"{"event":"result","time":1.5,"play":"p","task":"t","path":"/x.yml:3","action":"command","uuid":"u","n":1,"host":"web1","status":"failed","started_at":1795228538.132197,"seconds":0.5,"message":"no"}"#;
    const STATS: &str = r#"{"event":"stats","hosts":{"web1":{"ok":1,"failures":1,"dark":2,"changed":0}}}"#;

    fn write(dir: &tempfile::TempDir, text: &str) -> RunDir {
        let path = dir.path().join("events.jsonl");
        let mut file = OpenOptions::new().create(true).append(true).open(path).unwrap();
        file.write_all(text.as_bytes()).unwrap();
        RunDir::at(dir.path())
    }

    #[test]
    fn a_line_is_read_when_it_is_complete() {
        let dir = tempfile::tempdir().unwrap();
        let (head, rest) = RESULT.split_at(40);
        let mut reader = EventReader::default();
        assert_eq!(reader.read(&write(&dir, head)).unwrap(), []);
        let results = reader.read(&write(&dir, &format!("{rest}\n"))).unwrap();
        assert_eq!(results[0].started_at.to_string(), "2026-11-21T02:35:38.132197Z");
        assert_eq!(reader.summary().first_failure.as_ref().unwrap().host, "web1");
    }

    #[test]
    fn ansibles_words_become_ours() {
        let dir = tempfile::tempdir().unwrap();
        let mut reader = EventReader::default();
        reader.read(&write(&dir, &format!("{STATS}\n"))).unwrap();
        let recap = reader.summary().recap.clone().unwrap();
        assert_eq!(
            recap["web1"],
            HostStats {
                ok: 1,
                failed: 1,
                unreachable: 2,
                ..HostStats::default()
            }
        );
    }

    #[test]
    fn broken_and_unknown_lines_are_passed_over() {
        let dir = tempfile::tempdir().unwrap();
        let mut reader = EventReader::default();
        let text = format!("{{\"event\":\"new\",\"x\":1}}\nnonsense\n{RESULT}\n\n");
        assert_eq!(reader.read(&write(&dir, &text)).unwrap().len(), 1);
        assert_eq!(reader.broken(), 1);
    }

    #[test]
    fn tasks_are_in_progress_from_their_start_to_their_result() {
        let dir = tempfile::tempdir().unwrap();
        let mut reader = EventReader::default();
        let mut progress = Progress::default();
        let start = |n: u32, at: f64| format!("{{\"event\":\"start\",\"n\":{n},\"boottime\":{at}}}\n");
        let run = write(&dir, &(start(1, 1.0) + &start(2, 2.5)));
        assert!(reader.follow(&run, &mut progress).unwrap());
        assert!(progress.is_open(1) && progress.is_open(2));
        write(&dir, &format!("{RESULT}\n"));
        reader.follow(&run, &mut progress).unwrap();
        assert!(!progress.is_open(1) && progress.is_open(2));
        assert_eq!(progress.earliest_open(100), Some(250));
    }
}
