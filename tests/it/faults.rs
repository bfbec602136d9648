//! What a disk refuses: each write and each sync of the database fails once, and for a while all of them. Webhooks answer
//! 503 then, the gateway goes on by itself, and nothing is lost that was acknowledged. strace(1) makes the faults.

use std::collections::HashSet;
use std::path::Path;

use reqwest::{Method, StatusCode};
use serde_json::Value;

use crate::chaos::judge::check_database;
use crate::support::alerts::{TestAlert, firing, notification};
use crate::support::folder::Folder;
use crate::support::gateway::Gateway;
use crate::support::told;

/// How many alerts are sent through faults. `make soak` sends more.
const ALERTS: u64 = 40;

/// A gateway whose calls of that name strace(1) records, if they are for the database, and has fail as `inject` says.
async fn traced(folder: &Folder, call: &str, inject: &str) -> Gateway {
    let path = |name: &str| folder.path(name).display().to_string();
    let (recording, database, log) = (path("strace"), path("var/healgate.db"), path("var/healgate.db-wal"));
    let (trace, inject) = (format!("trace={call}"), format!("inject={call}{inject}"));
    // The tracer is no parent of the gateway.
    let mut way = vec![
        "strace",
        "--daemonize",
        "--follow-forks",
        "--seccomp-bpf",
        "-o",
        &recording,
        "-e",
        &trace,
    ];
    if !inject.ends_with(call) {
        way.extend(["-e", &inject]);
    }
    way.extend(["-P", &database, "-P", &log]);
    Gateway::start_binary(folder, &way, Path::new(env!("CARGO_BIN_EXE_healgate"))).await
}

/// How many such calls a start makes.
async fn calls_of_a_start(call: &str) -> usize {
    let folder = Folder::new();
    let gateway = traced(&folder, call, "").await;
    assert_eq!(
        gateway.request(Method::GET, "/readyz").send().await.unwrap().status(),
        200
    );
    let recording = folder.read("strace");
    recording.matches(&format!("{call}(")).count()
}

fn faults(folder: &Folder) -> usize {
    folder.read("strace").matches("(INJECTED)").count()
}

/// The answer to an alert, and the job that it promises.
async fn post(gateway: &Gateway, alert: &TestAlert) -> (StatusCode, Option<String>) {
    let request = gateway.request(Method::POST, "/webhooks/alertmanager");
    let answer = request
        .json(&notification(std::slice::from_ref(alert)))
        .send()
        .await
        .unwrap();
    let status = answer.status();
    let body: Value = answer.json().await.unwrap();
    (status, body["decisions"][0]["job"].as_str().map(str::to_owned))
}

/// Sends as Alertmanager does, again and again until it is taken. The job that was promised, and how often it was refused.
async fn send(gateway: &Gateway, alert: &TestAlert) -> (String, usize) {
    let mut refused = 0;
    loop {
        match post(gateway, alert).await {
            (StatusCode::ACCEPTED, Some(job)) => return (job, refused),
            (StatusCode::SERVICE_UNAVAILABLE, _) => refused += 1,
            other => panic!("{other:?}"),
        }
        assert!(refused < 1_000, "it does not recover");
    }
}

/// Nothing that was promised is lost, now and after a crash.
async fn judge(folder: &Folder, gateway: Gateway, promised: &HashSet<String>) {
    for job in promised {
        assert_eq!(gateway.until_finished(job).await["reason"], "unverified");
    }
    gateway.kill().await;
    check_database(folder);
    let gateway = Gateway::start(folder).await;
    for job in promised {
        assert_eq!(gateway.job(job).await["reason"], "unverified");
    }
}

/// One call in so many fails, after those of the start.
async fn some_fail(call: &str, error: &str, one_in: usize) {
    let first = calls_of_a_start(call).await + 10;
    let folder = Folder::new();
    let gateway = traced(&folder, call, &format!(":error={error}:when={first}+{one_in}")).await;
    let mut promised = HashSet::new();
    let mut refused = 0;
    for number in 0..told::number("ALERTS").unwrap_or(ALERTS) {
        let (job, times) = send(&gateway, &firing("Down", &format!("f{number}"))).await;
        refused += times;
        assert!(promised.insert(job), "two alerts have one job");
    }
    assert!(refused > 0, "{} faults, and none hit a webhook", faults(&folder));
    judge(&folder, gateway, &promised).await;
}

/// More than a commit makes, or none would succeed. Without a divisor: so in time each write of a commit fails.
const ONE_WRITE_IN: usize = 211;
const ONE_SYNC_IN: usize = 7;

#[tokio::test]
async fn writes_that_fail_lose_nothing_that_was_acknowledged() {
    some_fail("pwrite64", "EIO", ONE_WRITE_IN).await;
}

#[tokio::test]
async fn a_disk_that_is_full_now_and_then_loses_nothing_that_was_acknowledged() {
    some_fail("pwrite64", "ENOSPC", ONE_WRITE_IN).await;
}

#[tokio::test]
async fn syncs_that_fail_lose_nothing_that_was_acknowledged() {
    some_fail("fsync", "EIO", ONE_SYNC_IN).await;
}

#[tokio::test]
async fn a_disk_that_takes_no_writes_for_a_while_is_told_and_the_gateway_goes_on_after_that() {
    let first = calls_of_a_start("pwrite64").await + 100;
    for error in ["EROFS", "ENOSPC"] {
        let folder = Folder::new();
        let gateway = traced(
            &folder,
            "pwrite64",
            &format!(":error={error}:when={first}..{}", first + 40),
        )
        .await;
        let mut promised = HashSet::new();
        let readiness = async || gateway.request(Method::GET, "/readyz").send().await.unwrap().status();
        let mut alerts = (0..).map(|number| firing("Down", &format!("f{number}")));
        let refused = loop {
            let alert = alerts.next().unwrap();
            match post(&gateway, &alert).await {
                (StatusCode::ACCEPTED, Some(job)) => promised.insert(job),
                (StatusCode::SERVICE_UNAVAILABLE, _) => break alert,
                other => panic!("{other:?}"),
            };
        };
        assert_eq!(readiness().await, 503);
        // It can be read all the same.
        for job in &promised {
            assert_eq!(gateway.job(job).await["id"], **job);
        }
        let (job, again) = send(&gateway, &refused).await;
        assert!(promised.insert(job) && again > 0, "{error}: refused {again} times more");
        assert_eq!(readiness().await, 200);
        judge(&folder, gateway, &promised).await;
    }
}
