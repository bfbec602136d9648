//! `healgate db` as a person at a terminal meets it, beside a gateway that serves and without one.

use std::os::unix::fs::PermissionsExt;

use assert_cmd::Command;
use rusqlite::Connection;
use rustix::process::Signal;

use crate::support::alerts::firing;
use crate::support::folder::Folder;
use crate::support::gateway::Gateway;
use crate::support::wait::until;

/// Whether it went well, and what it said.
fn db(folder: &Folder, arguments: &[&str]) -> (bool, String) {
    let mut command = Command::cargo_bin("healgate").unwrap();
    command.arg("db").args(arguments).current_dir(folder.path(""));
    let output = command.output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let told = text(&output.stdout) + &text(&output.stderr);
    let told = told.replace(&folder.path("").display().to_string(), "FOLDER/");
    (output.status.success(), told)
}

fn done(folder: &Folder, arguments: &[&str]) -> String {
    let (is_done, told) = db(folder, arguments);
    assert!(is_done, "{told}");
    told
}

fn failed(folder: &Folder, arguments: &[&str]) -> String {
    let (is_done, told) = db(folder, arguments);
    assert!(!is_done, "{told}");
    told
}

/// As if all that is in the database had happened a year earlier. No gateway may be running.
fn a_year_ago(folder: &Folder) {
    let connection = Connection::open(folder.path("var/healgate.db")).unwrap();
    let back = "- 365 * 86400000000";
    let statements = format!(
        "UPDATE jobs SET created_at = created_at {back}, finished_at = finished_at {back};
         UPDATE attempts SET finished_at = finished_at {back};
         UPDATE decisions SET at = at {back};
         UPDATE notifications SET received_at = received_at {back};
         UPDATE episodes SET opened_at = opened_at {back}, closed_at = opened_at {back}"
    );
    connection.execute_batch(&statements).unwrap();
}

#[tokio::test]
async fn a_gateway_is_backed_up_checked_and_counted_while_it_runs_and_pruned_after_it() {
    let folder = Folder::new();
    let mut gateway = Gateway::start(&folder).await;
    let job = gateway.queue(firing("Down", "one")).await;
    gateway.until_finished(&job).await;

    let told = done(&folder, &["backup", "copy.db"]);
    let copy = std::fs::metadata(folder.path("copy.db")).unwrap();
    assert_eq!(told.trim(), format!("copy.db: {} bytes", copy.len()));
    assert_eq!(copy.permissions().mode() & 0o777, 0o600);
    let again = failed(&folder, &["backup", "copy.db"]);
    assert!(
        again.contains("failed to write copy.db: entity already exists"),
        "{again}"
    );
    for arguments in [&["check"][..], &["check", "copy.db"]] {
        assert!(done(&folder, arguments).contains(" is fine: schema "));
    }
    let counted = done(&folder, &["prune", "--dry-run"]);
    assert!(counted.contains("0 logs, 0 decisions"), "{counted}");
    let busy = failed(&folder, &["prune"]);
    assert!(busy.contains("another healgate uses FOLDER/var/healgate.db"), "{busy}");
    assert!(busy.contains("prunes by itself"), "{busy}");
    gateway.signal(Signal::TERM);
    gateway.ended().await;

    a_year_ago(&folder);
    let counted = done(&folder, &["prune", "--dry-run"]);
    let all = "1 logs, 1 decisions, 1 notifications, 1 jobs, 1 episodes, 0 messages, 0 heartbeats, 0 sessions";
    assert!(counted.contains(all), "{counted}");
    let pruned = done(&folder, &["prune"]);
    assert!(pruned.starts_with(&format!("removed: {all}; ")), "{pruned}");
    assert!(done(&folder, &["check"]).contains("is fine"));

    // The copy is put in its place, as docs/how-to/back-up.md says.
    for journal in ["-wal", "-shm"] {
        let _ = std::fs::remove_file(folder.path(&format!("var/healgate.db{journal}")));
    }
    std::fs::rename(folder.path("copy.db"), folder.path("var/healgate.db")).unwrap();
    let gateway = Gateway::start(&folder).await;
    assert_eq!(gateway.get(&format!("/api/v1/jobs/{job}")).await["status"], "succeeded");
    assert_eq!(gateway.text(&format!("/api/v1/jobs/{job}/log")).await, "fixed\n");
}

#[tokio::test]
async fn a_log_that_was_pruned_is_told_to_those_who_ask_for_it() {
    let folder = Folder::new();
    let mut gateway = Gateway::start(&folder).await;
    let job = gateway.queue(firing("Down", "one")).await;
    gateway.until_finished(&job).await;
    gateway.signal(Signal::TERM);
    gateway.ended().await;
    a_year_ago(&folder);
    folder.settings("retention: { jobs: 1000d, logs: 30d }\n");
    done(&folder, &["prune"]);
    let gateway = Gateway::start(&folder).await;
    let shown = gateway.get(&format!("/api/v1/jobs/{job}")).await;
    assert_eq!(shown["attempts"][0]["log_pruned"], true);
    let path = format!("/api/v1/jobs/{job}/log");
    let response = gateway.request(reqwest::Method::GET, &path).send().await.unwrap();
    assert_eq!(response.status(), 404);
    let problem: serde_json::Value = response.json().await.unwrap();
    assert!(problem["detail"].as_str().unwrap().contains("was pruned"), "{problem}");
    let events = gateway.text(&format!("{path}/stream")).await;
    assert!(events.starts_with("event: end\n"), "{events}");
    let page = gateway.text(&format!("/jobs/{job}/log")).await;
    assert!(page.contains("This log was removed"), "{page}");
    let page = gateway.text(&format!("/jobs/{job}")).await;
    assert!(page.contains("log was removed"), "{page}");
    for part in ["outline", "search?q=a"] {
        let path = format!("/jobs/{job}/log/{part}");
        let response = gateway.request(reqwest::Method::GET, &path).send().await.unwrap();
        assert_eq!(response.status(), 404, "{path}");
    }
    let metrics = gateway.text("/metrics").await;
    let bytes = |name: &str| {
        let line = metrics.lines().find(|line| line.starts_with(&format!("{name} ")));
        line.unwrap().rsplit_once(' ').unwrap().1.parse::<u64>().unwrap()
    };
    assert!(bytes("healgate_database_bytes") >= 4096);
    until("the write-ahead log is seen", || async {
        gateway.alert(&[firing("Down", "two")]).await;
        let metrics = gateway.text("/metrics").await;
        (!metrics.contains("\nhealgate_database_wal_bytes 0\n")).then_some(())
    })
    .await;
}

#[test]
fn what_is_not_there_is_neither_made_nor_copied() {
    let folder = Folder::new();
    for arguments in [
        &["prune"][..],
        &["prune", "--dry-run"],
        &["backup", "copy.db"],
        &["check"],
        &["check", "gone.db"],
    ] {
        let told = failed(&folder, arguments);
        assert!(told.contains("No such file"), "{arguments:?}: {told}");
    }
    assert!(!folder.path("var/healgate.db").exists() && !folder.path("copy.db").exists());
}

#[test]
fn a_file_that_is_no_database_or_broken_is_told() {
    let folder = Folder::new();
    folder.write("text.db", "not a database");
    assert!(failed(&folder, &["check", "text.db"]).contains("not a database"));
}
