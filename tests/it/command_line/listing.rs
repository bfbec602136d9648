//! Lists and what they lead to.

use std::slice;

use serde_json::Value;

use super::{CATALOGUE, HALF};
use crate::support::alerts::firing;
use crate::support::cli::{ask, redacted};
use crate::support::folder::{FIX, Folder};
use crate::support::gateway::Gateway;

/// A job that has failed, one that went well, and one that waits for a person.
async fn three_jobs(folder: &Folder) -> (Gateway, [String; 3]) {
    folder.write("remediations.yml", CATALOGUE);
    folder.write("fix.yml", HALF);
    let gateway = Gateway::start(folder).await;
    let failed = gateway
        .queue(firing("Down", "f1").annotation("runbook_url", "http://wiki/down"))
        .await;
    gateway.until_finished(&failed).await;
    folder.write("fix.yml", FIX);
    let fine = gateway.queue(firing("Down", "f2")).await;
    gateway.until_finished(&fine).await;
    let waits = gateway.alert(&[firing("Slow", "f3")]).await;
    let waits = waits[0]["job"].as_str().unwrap().to_owned();
    (gateway, [failed, fine, waits])
}

#[tokio::test(flavor = "multi_thread")]
async fn jobs_are_listed_for_people_and_as_the_api_answers() {
    let folder = Folder::new();
    let (gateway, [failed, fine, waits]) = three_jobs(&folder).await;
    insta::assert_snapshot!(ask(&gateway, &["jobs", "list"]).told());
    let listed = ask(&gateway, &["jobs", "list", "--output", "json"]).json();
    assert_eq!(listed, gateway.get("/api/v1/jobs").await);

    let ids = |arguments: &[&str]| -> Vec<String> {
        let listed = ask(&gateway, &[&["jobs", "list", "--output=json"], arguments].concat()).json();
        let items = listed["items"].as_array().unwrap().iter();
        items.map(|job| job["id"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(
        ids(&["--status", "failed", "--status", "succeeded"]),
        [fine.clone(), failed.clone()]
    );
    assert_eq!(ids(&["--playbook", "ask", "--since", "1h"]), slice::from_ref(&waits));
    assert_eq!(ids(&["--until", "1h"]), Vec::<String>::new());
    assert_eq!(ids(&["-q", "slow"]), [waits]);
    assert_eq!(
        ids(&["--reason=hosts_failed", "--route=down", "--target=service/Down"]),
        slice::from_ref(&failed)
    );
    assert_eq!(
        ids(&["--alertname=Down", "--fingerprint=f1", "--trigger=alert"]),
        [failed]
    );
    insta::assert_snapshot!(ask(&gateway, &["jobs", "list", "-n", "1"]).told());
    assert_eq!(
        ask(&gateway, &["jobs", "list", "--playbook", "none"]).told(),
        "exit 0\nno jobs\n"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_is_read_page_by_page() {
    let folder = Folder::new();
    let gateway = Gateway::start(&folder).await;
    let alerts: Vec<_> = (0..600).map(|number| firing("Other", &format!("f{number}"))).collect();
    gateway.alert(&alerts).await;
    let all = ask(&gateway, &["alerts", "list", "-n", "1000", "--output", "json"]).json();
    assert_eq!(
        (all["items"].as_array().unwrap().len(), &all["next_cursor"]),
        (600, &Value::Null)
    );
    let some = ask(&gateway, &["alerts", "list", "-n", "501", "--output", "json"]).json();
    assert_eq!(some["items"].as_array().unwrap().len(), 501);
    assert!(some["next_cursor"].is_string());
}

#[tokio::test(flavor = "multi_thread")]
async fn alerts_that_fire_are_found_however_many_were_received_since() {
    let folder = Folder::new();
    let gateway = Gateway::start(&folder).await;
    let alerts = |names: std::ops::Range<u32>| -> Vec<_> {
        names.map(|number| firing("Other", &format!("f{number}"))).collect()
    };
    gateway.alert(&alerts(0..3)).await;
    // Thousands that are over, and were received later.
    gateway.alert(&alerts(10..6_000)).await;
    let over = alerts(10..6_000)
        .into_iter()
        .map(|alert| alert.resolved("2026-01-31T09:05:00Z"));
    gateway.alert(&over.collect::<Vec<_>>()).await;
    let listed = ask(&gateway, &["alerts", "list", "--firing", "-n", "2", "--output", "json"]).json();
    let names: Vec<&Value> = listed["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|alert| &alert["fingerprint"])
        .collect();
    assert_eq!(names, ["f2", "f1"]);
    assert!(listed["next_cursor"].is_string(), "{listed}");
    let firing = ask(&gateway, &["alerts", "list", "--firing", "--output", "json"]).json();
    assert_eq!(
        (firing["items"].as_array().unwrap().len(), &firing["next_cursor"]),
        (3, &Value::Null)
    );
    let status = ask(&gateway, &["status", "--output", "json"]).json();
    assert_eq!(status["firing"], firing["items"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_is_shown_with_what_went_wrong_and_what_to_do_next() {
    let folder = Folder::new();
    let (gateway, [failed, fine, waits]) = three_jobs(&folder).await;
    insta::assert_snapshot!("a_failed_job", ask(&gateway, &["jobs", "show", &failed]).told());
    insta::assert_snapshot!("a_job_that_went_well", ask(&gateway, &["jobs", "show", &fine]).told());
    insta::assert_snapshot!("a_job_that_waits", ask(&gateway, &["jobs", "show", "last"]).told());
    let shown = ask(&gateway, &["jobs", "show", &waits, "--output", "json"]).json();
    assert_eq!(shown, gateway.job(&waits).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_is_found_by_the_beginning_of_its_id_if_only_one_begins_so() {
    let folder = Folder::new();
    let (gateway, [failed, fine, _]) = three_jobs(&folder).await;
    let shown = ask(&gateway, &["jobs", "show", &failed[..18], "--output", "json"]).json();
    assert_eq!(shown["id"], failed.as_str());
    // All three were made within seconds, and the first digits are the time.
    let several = ask(&gateway, &["jobs", "show", &fine[..6]]);
    assert_eq!(several.code, 2, "{several:?}");
    assert!(
        several.err.contains(&failed) && several.err.contains(&fine),
        "{several:?}"
    );
    let none = ask(&gateway, &["jobs", "show", "ffffffff"]);
    assert_eq!(
        (none.code, none.err.as_str()),
        (5, "there is no job whose id begins with ffffffff\n")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn alerts_and_the_story_of_one_are_told() {
    let folder = Folder::new();
    let (gateway, _) = three_jobs(&folder).await;
    gateway
        .alert(&[firing("Down", "f2").resolved("2026-01-31T09:05:00Z")])
        .await;
    insta::assert_snapshot!("alerts", ask(&gateway, &["alerts", "list"]).told());
    let firing = ask(&gateway, &["alerts", "list", "--firing", "--output", "json"]).json();
    assert_eq!(firing["items"].as_array().unwrap().len(), 2, "{firing}");
    insta::assert_snapshot!("the_story_of_an_alert", ask(&gateway, &["alerts", "show", "f1"]).told());
    let shown = ask(&gateway, &["alerts", "show", "f1", "--output", "json"]).json();
    assert_eq!(shown, gateway.get("/api/v1/alerts/f1").await);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_jobs_came_to_is_counted() {
    let folder = Folder::new();
    let (gateway, _) = three_jobs(&folder).await;
    insta::assert_snapshot!(ask(&gateway, &["stats", "--window", "1d"]).told());
    let counted = ask(&gateway, &["stats", "--output", "json"]).json();
    assert_eq!(counted, gateway.get("/api/v1/stats?window=7d").await);
    let empty = Folder::new();
    let idle = Gateway::start(&empty).await;
    assert_eq!(ask(&idle, &["stats"]).out, "no jobs in the last 7d\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn all_that_goes_on_is_on_one_screen() {
    let folder = Folder::new();
    let (gateway, [_, _, waits]) = three_jobs(&folder).await;
    assert_eq!(
        ask(&gateway, &["pause", "route:down", "--comment", "the network is down"]).code,
        0
    );
    gateway.alert(&[firing("Down", "f4")]).await;
    insta::assert_snapshot!(ask(&gateway, &["status"]).told());
    let status = ask(&gateway, &["status", "--output", "json"]).json();
    assert_eq!(status["ready"], true);
    assert_eq!(status["awaiting_approval"][0], gateway.job(&waits).await);
    assert_eq!(status["held"], gateway.get("/api/v1/held").await["items"]);
    assert_eq!(status["paused"], gateway.get("/api/v1/pause").await["items"]);
    assert_eq!(status["last"].as_array().unwrap().len(), 2);
    assert_eq!(
        redacted(&ask(&gateway, &["resume", "route:down"]).out),
        "resumed: route:down; what still fires is decided again\n"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_past_notification_is_explained_as_it_would_be_decided_now() {
    let folder = Folder::new();
    let (gateway, _) = three_jobs(&folder).await;
    let notifications = gateway.get("/api/v1/notifications?limit=1").await;
    let id = notifications["items"][0]["id"].as_str().unwrap();
    let told = ask(&gateway, &["explain", "--notification", id, "--output", "json"]).json();
    assert_eq!(told["items"][0]["routes"][1]["decision"], "attached", "{told}");
    let unknown = ask(
        &gateway,
        &["explain", "--notification", "019a5b3c-1234-7000-8000-00000000000a"],
    );
    assert_eq!(unknown.code, 5, "{unknown:?}");
}
