//! What Ansible did: tasks down, hosts across; of many hosts, how many came to what.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::domain::attempt::TaskResult;
use crate::http::console::moment::Length;

/// Hosts that fit beside each other.
const HOSTS: usize = 8;

/// Failures that are told in full.
const FAILURES: usize = 20;

/// How much of a failure's message is shown, in characters.
const MESSAGE: usize = 2_000;

/// The table.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Grid {
    /// Nothing where there are too many.
    pub(super) hosts: Vec<String>,
    pub(super) host_count: usize,
    pub(super) lines: Vec<Line>,
    pub(super) failures: Vec<Bad>,
    pub(super) more_failures: usize,
    /// There are results that are not in it.
    pub(super) goes_on: bool,
}

/// A task.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Line {
    /// Of the play, where it is another one than the line before.
    pub(super) play: Option<String>,
    pub(super) task: String,
    pub(super) place: Option<String>,
    /// By host, where the hosts fit.
    pub(super) cells: Vec<Option<Cell>>,
    /// How many hosts came to what.
    pub(super) counts: Vec<Count>,
    /// On the host that took longest.
    pub(super) longest: Length,
}

/// A task on a host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Cell {
    pub(super) mark: Mark,
    pub(super) took: Length,
}

/// So many hosts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Count {
    pub(super) mark: Mark,
    pub(super) hosts: usize,
}

/// A task's status as pages show it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Mark {
    pub(super) tone: &'static str,
    pub(super) symbol: &'static str,
    pub(super) word: String,
}

/// A task that failed on a host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Bad {
    pub(super) host: String,
    pub(super) task: String,
    pub(super) place: Option<String>,
    pub(super) mark: Mark,
    pub(super) message: String,
}

impl Mark {
    fn of(status: &str) -> Self {
        let (tone, symbol) = match status {
            "ok" => ("good", "✓"),
            "changed" => ("good", "±"),
            "failed" => ("bad", "✗"),
            "unreachable" => ("bad", "⌀"),
            "rescued" | "ignored" => ("wait", "!"),
            _ => ("off", "–"),
        };
        Self {
            tone,
            symbol,
            word: status.to_owned(),
        }
    }
}

impl Grid {
    /// Of the results in the order in which they came, and of those that failed, which may be more.
    pub(super) fn of(results: &[TaskResult], bad: &[TaskResult], goes_on: bool) -> Self {
        let mut hosts: Vec<&str> = Vec::new();
        let mut tasks: Vec<(&TaskResult, Vec<&TaskResult>)> = Vec::new();
        for result in results {
            if !hosts.contains(&result.host.as_str()) {
                hosts.push(&result.host);
            }
            match tasks
                .iter_mut()
                .rev()
                .find(|(first, all)| is_same(first, result) && !has(all, &result.host))
            {
                Some((_, all)) => all.push(result),
                None => tasks.push((result, vec![result])),
            }
        }
        let host_count = hosts.len();
        let shown = if host_count <= HOSTS { hosts } else { Vec::new() };
        Self {
            lines: lines(&shown, &tasks),
            hosts: shown.into_iter().map(str::to_owned).collect(),
            host_count,
            more_failures: bad.len().saturating_sub(FAILURES),
            failures: bad.iter().take(FAILURES).map(Bad::of).collect(),
            goes_on,
        }
    }
}

fn is_same(one: &TaskResult, other: &TaskResult) -> bool {
    one.play == other.play && one.task == other.task && one.path == other.path
}

/// A task that runs twice on a host is two lines.
fn has(all: &[&TaskResult], host: &str) -> bool {
    all.iter().any(|result| result.host == host)
}

fn lines(hosts: &[&str], tasks: &[(&TaskResult, Vec<&TaskResult>)]) -> Vec<Line> {
    let mut play = None;
    let mut lines = Vec::with_capacity(tasks.len());
    for (first, all) in tasks {
        let is_new = play != Some(&first.play);
        play = Some(&first.play);
        let of_host = |host: &&str| {
            all.iter()
                .find(|result| result.host == *host)
                .map(|result| cell(result))
        };
        lines.push(Line {
            play: is_new.then(|| first.play.clone()),
            task: if first.task.is_empty() {
                first.action.clone()
            } else {
                first.task.clone()
            },
            place: first.path.clone(),
            cells: hosts.iter().map(of_host).collect(),
            counts: counts(all),
            longest: all
                .iter()
                .map(|result| length(result))
                .max_by_key(|length| length.0)
                .unwrap_or(Length(Duration::ZERO)),
        });
    }
    lines
}

fn counts(all: &[&TaskResult]) -> Vec<Count> {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for result in all {
        *counts.entry(result.status.as_str()).or_default() += 1;
    }
    let counts = counts.into_iter().map(|(status, hosts)| Count {
        mark: Mark::of(status),
        hosts,
    });
    counts.collect()
}

fn cell(result: &TaskResult) -> Cell {
    Cell {
        mark: Mark::of(&result.status),
        took: length(result),
    }
}

fn length(result: &TaskResult) -> Length {
    Length(Duration::try_from_secs_f64(result.seconds).unwrap_or_default())
}

impl Bad {
    fn of(result: &TaskResult) -> Self {
        let message = result.message.as_deref().unwrap_or("no message");
        let message = match message.char_indices().nth(MESSAGE) {
            Some((end, _)) => format!("{}…", &message[..end]),
            None => message.to_owned(),
        };
        Self {
            host: result.host.clone(),
            task: result.task.clone(),
            place: result.path.clone(),
            mark: Mark::of(&result.status),
            message,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::fake::now;

    fn result(task: &str, host: &str, status: &str) -> TaskResult {
        TaskResult {
            play: "Restart".to_owned(),
            task: task.to_owned(),
            path: None,
            host: host.to_owned(),
            action: "command".to_owned(),
            status: status.to_owned(),
            started_at: now(),
            seconds: 0.5,
            message: (status == "failed").then(|| "<b>non-zero</b> return code".to_owned()),
            items: None,
            diff: None,
        }
    }

    #[test]
    fn tasks_go_down_and_hosts_across() {
        let results = [
            result("look", "web1", "ok"),
            result("look", "web2", "ok"),
            result("restart", "web1", "failed"),
            result("restart", "web2", "changed"),
        ];
        let grid = Grid::of(&results, &results[2..3], false);
        assert_eq!(grid.hosts, ["web1", "web2"]);
        let words = |line: &Line| -> Vec<String> {
            line.cells
                .iter()
                .map(|cell| cell.as_ref().map_or(String::new(), |cell| cell.mark.word.clone()))
                .collect()
        };
        assert_eq!(
            grid.lines.iter().map(words).collect::<Vec<_>>(),
            [["ok", "ok"], ["failed", "changed"]]
        );
        assert_eq!(grid.lines[0].play.as_deref(), Some("Restart"));
        assert_eq!(grid.lines[1].play, None);
        assert_eq!((grid.failures.len(), grid.failures[0].host.as_str()), (1, "web1"));
    }

    #[test]
    fn of_many_hosts_each_task_says_how_many_came_to_what() {
        let results: Vec<TaskResult> = (0..40)
            .map(|number| {
                result(
                    "look",
                    &format!("h{number}"),
                    if number == 7 { "unreachable" } else { "ok" },
                )
            })
            .collect();
        let grid = Grid::of(&results, &[], true);
        assert!(grid.hosts.is_empty() && grid.goes_on);
        let counts: Vec<_> = grid.lines[0]
            .counts
            .iter()
            .map(|count| (count.mark.word.as_str(), count.hosts))
            .collect();
        assert_eq!((grid.lines.len(), counts), (1, vec![("ok", 39), ("unreachable", 1)]));
    }

    #[test]
    fn a_task_that_runs_twice_on_a_host_has_two_lines() {
        let results = [result("look", "web1", "ok"), result("look", "web1", "changed")];
        assert_eq!(Grid::of(&results, &[], false).lines.len(), 2);
    }
}
