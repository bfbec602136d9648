//! What is watched is shown anew when something happens, and only then.

use super::CATALOGUE;
use super::following::{Running, at_one_address};
use crate::support::alerts::firing;
use crate::support::folder::{FIX, Folder};
use crate::support::gateway::Gateway;

/// The next answer, of those that are printed one to a line.
async fn answer(watching: &mut Running) -> serde_json::Value {
    serde_json::from_str(&watching.line().await).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_is_shown_anew_when_a_job_moves_and_ctrl_c_ends_it_well() {
    let folder = Folder::new();
    folder.write("remediations.yml", CATALOGUE);
    let gateway = Gateway::start(&folder).await;
    let mut watching = Running::start(&gateway, &["jobs", "list", "--watch", "--output", "json"]);
    assert_eq!(answer(&mut watching).await["items"], serde_json::json!([]));
    let decisions = gateway.alert(&[firing("Slow", "f1")]).await;
    let job = decisions[0]["job"].as_str().unwrap();
    let listed = answer(&mut watching).await;
    assert_eq!(
        (&listed["items"][0]["id"], &listed["items"][0]["status"]),
        (&job.into(), &"awaiting_approval".into())
    );
    gateway.post(&format!("/api/v1/jobs/{job}/reject")).await;
    assert_eq!(answer(&mut watching).await["items"][0]["reason"], "rejected");
    watching.interrupt();
    assert_eq!(watching.ended().await, (0, String::new()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_is_watched_to_its_end() {
    let folder = Folder::new();
    folder.write("fix.yml", &format!("wait_for({:?})\n{FIX}", folder.path("go")));
    let gateway = Gateway::start(&folder).await;
    let job = gateway.queue(firing("Down", "f1")).await;
    gateway.until_status(&job, "running").await;
    let mut watching = Running::start(&gateway, &["jobs", "show", &job, "-w", "--output=json"]);
    assert_eq!(answer(&mut watching).await["status"], "running");
    folder.write("go", "");
    while answer(&mut watching).await["finished_at"].is_null() {}
    assert_eq!(watching.ended().await, (0, String::new()));
}

#[tokio::test(flavor = "multi_thread")]
async fn pauses_and_alerts_without_a_job_are_seen_too() {
    let folder = Folder::new();
    let gateway = Gateway::start(&folder).await;
    let mut status = Running::start(&gateway, &["status", "--watch", "--output", "json"]);
    let mut alerts = Running::start(&gateway, &["alerts", "list", "--watch", "--output", "json"]);
    assert_eq!(answer(&mut status).await["paused"], serde_json::json!([]));
    assert_eq!(answer(&mut alerts).await["items"], serde_json::json!([]));
    gateway.alert(&[firing("Unknown", "f1")]).await;
    assert_eq!(answer(&mut alerts).await["items"][0]["fingerprint"], "f1");
    assert_eq!(answer(&mut status).await["firing"][0]["fingerprint"], "f1");
    let pause = serde_json::json!({ "scope": "all", "comment": "maintenance" });
    let put = gateway.request(reqwest::Method::PUT, "/api/v1/pause").json(&pause);
    assert_eq!(put.send().await.unwrap().status(), 200);
    assert_eq!(answer(&mut status).await["paused"][0]["comment"], "maintenance");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gateway_that_restarts_is_watched_again() {
    let folder = Folder::new();
    let gateway = at_one_address(&folder).await;
    let mut watching = Running::start(&gateway, &["jobs", "list", "-w", "--output", "json"]);
    assert_eq!(answer(&mut watching).await["items"], serde_json::json!([]));
    gateway.kill().await;
    let gateway = Gateway::start(&folder).await;
    let decisions = gateway.alert(&[firing("Slow", "f1")]).await;
    let listed = answer(&mut watching).await;
    assert_eq!(listed["items"][0]["id"], decisions[0]["job"]);
}
