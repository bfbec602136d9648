//! A warm start does the same as a cold one: every playbook of tests/fixtures/playbooks runs through the real run host
//! in both ways, and what it says, how it ends, its events and its files are compared. On both cores.

mod project;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, LazyLock};

use regex::Regex;
use serde::Deserialize;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use crate::runs::cores;
use crate::warm_equality::project::{Project, Seen};

/// Runs at once. More would only wait for each other.
const AT_ONCE: usize = 2;

/// Cases of one interpreter are split, so that the most common one is not what all wait for.
const IN_A_ROW: usize = 8;

#[derive(Clone, Debug, Deserialize)]
struct Case {
    name: String,
    folder: String,
    args: Vec<String>,
    /// The ones that are right; the versions differ.
    exit: Vec<i32>,
    #[serde(default)]
    env: BTreeMap<String, String>,
    /// It looks at the clock or has async tasks, which fail on a machine that is too busy, cold or warm: one more try.
    #[serde(default)]
    timed: bool,
    /// Which host is first is chance, in both ways.
    #[serde(default)]
    unordered: bool,
}

fn cases() -> Vec<Case> {
    let file = project::fixtures().join("cases.json");
    let cases: Vec<Case> = serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap();
    assert!(cases.len() > 40, "only {} cases", cases.len());
    cases
}

/// Cases that one interpreter can serve, in pieces.
fn groups() -> Vec<Vec<Case>> {
    let mut groups: BTreeMap<(String, BTreeMap<String, String>), Vec<Case>> = BTreeMap::new();
    for case in cases() {
        groups
            .entry((case.folder.clone(), case.env.clone()))
            .or_default()
            .push(case);
    }
    let pieces = groups.values().flat_map(|group| group.chunks(IN_A_ROW));
    pieces.map(<[Case]>::to_vec).collect()
}

async fn are_the_same(core: &str) {
    let (places, mut work) = (Arc::new(Semaphore::new(AT_ONCE)), JoinSet::new());
    for group in groups() {
        let (places, core) = (Arc::clone(&places), core.to_owned());
        work.spawn(async move {
            let _place = places.acquire_owned().await.unwrap();
            let project = Project::new(&core, &group[0].folder, &group[0].env);
            project.until_warm().await;
            let mut differences = Vec::new();
            for case in &group {
                let mut difference = compare(&project, case).await;
                if difference.is_some() && case.timed {
                    difference = compare(&project, case).await;
                }
                differences.extend(difference);
            }
            differences
        });
    }
    let differences: Vec<String> = work.join_all().await.into_iter().flatten().collect();
    assert!(differences.is_empty(), "{core}\n{}", differences.join("\n\n"));
}

/// What differs, for people.
async fn compare(project: &Project, case: &Case) -> Option<String> {
    let cold = project.cold(&case.args).await;
    let warm = project.warm(&case.args).await;
    let (cold, warm) = (normal(cold), normal(warm));
    let name = &case.name;
    if !cold.exit.is_some_and(|exit| case.exit.contains(&exit)) {
        return Some(format!(
            "{name} exits with {:?} when it is cold:\n{}",
            cold.exit, cold.log
        ));
    }
    if case.unordered {
        let (cold, warm) = (sorted(&cold.log), sorted(&warm.log));
        return (cold != warm).then(|| format!("{name}: output differs\n{}", first_difference(&cold, &warm)));
    }
    for (what, cold, warm) in [
        ("exit code", format!("{:?}", cold.exit), format!("{:?}", warm.exit)),
        ("output", cold.log, warm.log),
        ("events", cold.events, warm.events),
        ("files", cold.files, warm.files),
    ] {
        if cold != warm {
            return Some(format!("{name}: {what} differs\n{}", first_difference(&cold, &warm)));
        }
    }
    None
}

/// Its lines, each once: whoever is first gets another banner.
fn sorted(text: &str) -> String {
    let lines: BTreeSet<&str> = text.lines().collect();
    lines.into_iter().collect::<Vec<_>>().join("\n")
}

/// A task may start on the next host before the result of the last one is read, and after it.
fn starts_last(events: &str) -> String {
    let (starts, others): (Vec<_>, Vec<_>) = events.lines().partition(|line| line.contains(r#""event":"start""#));
    [others, starts].concat().join("\n")
}

fn first_difference(cold: &str, warm: &str) -> String {
    let (mut colds, mut warms) = (cold.lines(), warm.lines());
    loop {
        match (colds.next(), warms.next()) {
            (None, None) => return "only in the ends of lines".to_owned(),
            (cold, warm) if cold == warm => {}
            (cold, warm) => return format!("cold: {cold:?}\nwarm: {warm:?}"),
        }
    }
}

/// What two runs never have in common, cold or warm.
static DIFFERENT: LazyLock<Vec<(Regex, &str)>> = LazyLock::new(|| {
    let patterns = [
        // How often a task looked whether another has ended.
        (r"(?m)^.*(?:FAILED - RETRYING|ASYNC POLL).*\n", ""),
        (r"\d{4}-\d\d-\d\d[ T]\d\d:\d\d:\d\d(?:[.,]\d+)?", "<time>"),
        (r"\b\d+:\d\d:\d\d\.\d+", "<span>"),
        (r"ansible-tmp-[\d.]+-\d+-\d+", "<tmp>"),
        (r"ansible-local-\d+\w+", "<local>"),
        (r"ansible_[\w.]*payload_\w{8}\b", "<payload>"),
        (r"\btmp[a-z0-9_]{8}\b", "<tmpname>"),
        (r#"([/"])\.[a-z0-9_]{8}\b"#, "$1<hidden>"),
        (r"\bp=\d+", "p=<pid>"),
        (r"\b[a-z]{32}\b", "<key>"),
        (r"\bj?\d{9,}\.\d+", "<job>"),
        (
            r#"("pid"|started|finished|mtime|ctime|atime|inode|"duration"|ansible_async_\w+)("?: )[\d.]+"#,
            "$1$2<number>",
        ),
        (
            r#""(time|started_at|seconds|boottime|start|end|delta|elapsed)": ?[^,}]+"#,
            r#""$1": <number>"#,
        ),
        // The third and the fourth part of a unique name are a process's own.
        (
            r"\b([0-9a-f]{8}-[0-9a-f]{4})-[0-9a-f]{4}-[0-9a-f]{4}-([0-9a-f]{12})\b",
            "$1-<process>-$2",
        ),
        (r"/proc/\d+", "/proc/<pid>"),
        (r#"time="[\d.]+"|timestamp="[^"]+""#, "<junit>"),
        (r"0x[0-9a-f]{8,}", "<address>"),
    ];
    patterns
        .map(|(pattern, instead)| (Regex::new(pattern).unwrap(), instead))
        .into()
});

fn normal(seen: Seen) -> Seen {
    let same = |mut text: String| {
        for (pattern, instead) in DIFFERENT.iter() {
            text = pattern.replace_all(&text, *instead).into_owned();
        }
        text
    };
    Seen {
        exit: seen.exit,
        log: same(seen.log),
        events: starts_last(&same(seen.events)),
        files: same(seen.files),
    }
}

#[tokio::test]
async fn every_playbook_does_the_same_on_the_oldest_core() {
    are_the_same(&cores()[0]).await;
}

#[tokio::test]
async fn every_playbook_does_the_same_on_the_newest_core() {
    are_the_same(&cores()[1]).await;
}
