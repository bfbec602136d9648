//! A disk that refuses a write or a sync, each of them in a run of its own: what was not stored is told, what was acknowledged
//! is there, and the store goes on by itself. strace(1) makes the disk refuse.

use std::collections::HashMap;
use std::fs;

use rusqlite::Connection;

use super::deaf;
use super::power::{ACKNOWLEDGED, is_recorded, recorded, store_and_say, strings, told};
use crate::store::sqlite::SqliteStore;
use crate::store::sqlite::open::open;

const NOTIFICATIONS: u64 = 8;

/// How many of the calls fail, evenly spread. `make soak` has more of them fail.
const REFUSALS: usize = 12;

/// Runs the test in a process of its own whose calls fail as `inject` says. What it acknowledged is checked. How often the
/// thread that made such a call most often did so, and how many failed.
async fn run(test: &str, call: &str, inject: Option<&str>) -> (usize, usize) {
    let folder = tempfile::tempdir().unwrap();
    let inside = folder.path().canonicalize().unwrap().join("disk");
    fs::create_dir(&inside).unwrap();
    // The tables are there already.
    let opened = open(&inside.join("healgate.db")).await.unwrap();
    SqliteStore::over(opened, deaf()).unwrap().close().await;
    let of = |name: &str| inside.join(name).display().to_string();
    let (trace, inject) = (
        format!("trace={call}"),
        inject.map(|how| format!("inject={call}:{how}")),
    );
    let (database, log) = (of("healgate.db"), of("healgate.db-wal"));
    let mut how = vec!["-e", &trace, "-P", &database, "-P", &log];
    if let Some(inject) = &inject {
        how.extend(["-e", inject]);
    }
    let (output, recording) = recorded(test, &inside, &how);
    let said = String::from_utf8(output.stdout).unwrap();
    let acknowledged: Vec<&str> = said
        .lines()
        .filter_map(|line| line.strip_prefix(ACKNOWLEDGED))
        .collect();
    // Each notification, and each job.
    assert_eq!(acknowledged.len() as u64, 2 * NOTIFICATIONS, "{inject:?}: {said}");

    let database = Connection::open(&database).unwrap();
    assert_eq!(
        strings(&database, "PRAGMA integrity_check").unwrap(),
        ["ok"],
        "{inject:?}"
    );
    let kept = "SELECT id FROM notifications UNION ALL SELECT id FROM jobs WHERE reason = 'unverified'";
    let kept = strings(&database, kept).unwrap();
    for id in acknowledged {
        assert!(kept.iter().any(|kept| kept == id), "{inject:?}: {id} is gone");
    }
    let jobs = strings(&database, "SELECT id FROM jobs").unwrap();
    assert_eq!(jobs.len() as u64, NOTIFICATIONS, "{inject:?}: one job for each alert");

    let mut calls: HashMap<&str, usize> = HashMap::new();
    for line in recording.lines().filter(|line| line.contains(&format!("{call}("))) {
        *calls.entry(line.split(' ').next().unwrap()).or_default() += 1;
    }
    (
        calls.into_values().max().unwrap(),
        recording.matches("(INJECTED)").count(),
    )
}

async fn each_refused(test: &str, call: &str, error: &str) {
    if is_recorded() {
        return store_and_say("FULL", NOTIFICATIONS).await;
    }
    let test = format!("store::sqlite::tests::refusals::{test}");
    let (calls, _) = run(&test, call, None).await;
    let refusals = told("REFUSALS")
        .map_or(REFUSALS, |refusals| refusals.parse().unwrap())
        .min(calls);
    let mut refused = 0;
    for number in 0..refusals {
        let when = 1 + number * (calls - 1) / (refusals - 1).max(1);
        let inject = format!("error={error}:when={when}");
        refused += run(&test, call, Some(&inject)).await.1;
    }
    println!("{call}, {error}: {refused} refused, of {calls} in a run");
    // Those near the end come only where as many writes are made again.
    assert!(refused >= refusals * 3 / 4, "only {refused} of {refusals} were refused");
}

#[tokio::test]
async fn a_disk_that_is_full_at_any_write_loses_nothing_that_was_acknowledged() {
    let test = "a_disk_that_is_full_at_any_write_loses_nothing_that_was_acknowledged";
    each_refused(test, "pwrite64", "ENOSPC").await;
}

#[tokio::test]
async fn a_write_that_fails_loses_nothing_that_was_acknowledged() {
    let test = "a_write_that_fails_loses_nothing_that_was_acknowledged";
    each_refused(test, "pwrite64", "EIO").await;
}

#[tokio::test]
async fn a_sync_that_fails_loses_nothing_that_was_acknowledged() {
    let test = "a_sync_that_fails_loses_nothing_that_was_acknowledged";
    each_refused(test, "fsync", "EIO").await;
}
