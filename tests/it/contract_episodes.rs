//! Which reports belong together, and what a person's answer does to what they caused.

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::alerts::{TestAlert, firing, notification};
use crate::support::folder::{FIX, Folder};
use crate::support::gateway::Gateway;
use crate::support::wait::until;

const RESOLVED_AT: &str = "2026-01-31T09:05:00Z";

/// The decisions' kinds, in order.
async fn kinds(gateway: &Gateway, alerts: &[TestAlert]) -> Vec<String> {
    let decisions = gateway.alert(alerts).await;
    decisions
        .iter()
        .map(|decision| decision["decision"].as_str().unwrap().to_owned())
        .collect()
}

async fn episodes(gateway: &Gateway, fingerprint: &str) -> Vec<Value> {
    let story = gateway.get(&format!("/api/v1/alerts/{fingerprint}")).await;
    story["episodes"].as_array().unwrap().clone()
}

#[tokio::test]
async fn an_alert_that_many_senders_report_at_once_makes_one_job() {
    let folder = Folder::new();
    let gateway = Gateway::start(&folder).await;
    let body = notification(&[firing("Down", "f1"), firing("Down", "f1")]);
    let posts = (0..24).map(|number| {
        let path = ["/webhooks/alertmanager", "/alert"][number % 2];
        let request = gateway.request(Method::POST, path).json(&body);
        tokio::spawn(async move { request.send().await.unwrap().json::<Value>().await.unwrap() })
    });
    let mut queued = 0;
    let mut jobs = Vec::new();
    for post in posts.collect::<Vec<_>>() {
        for decision in post.await.unwrap()["decisions"].as_array().unwrap() {
            queued += usize::from(decision["decision"] == "queued");
            assert!(["queued", "attached"].contains(&decision["decision"].as_str().unwrap()));
            jobs.push(decision["job"].as_str().unwrap().to_owned());
        }
    }
    jobs.sort();
    jobs.dedup();
    assert_eq!((queued, jobs.len()), (1, 1));
    assert_eq!(gateway.get("/api/v1/jobs").await["items"].as_array().unwrap().len(), 1);
    assert_eq!(episodes(&gateway, "f1").await[0]["received"], 48);
}

#[tokio::test]
async fn a_firing_whose_begin_has_moved_still_belongs_to_the_open_episode() {
    let folder = Folder::new();
    let gateway = Gateway::start(&folder).await;
    let first = gateway.queue(firing("Down", "f1")).await;
    for moved in ["2026-01-31T09:30:00Z", "2025-01-31T09:00:00Z"] {
        let again = gateway.alert(&[firing("Down", "f1").since(moved)]).await;
        assert_eq!(
            (&again[0]["decision"], &again[0]["job"]),
            (&"attached".into(), &first.as_str().into())
        );
    }
    assert_eq!(episodes(&gateway, "f1").await.len(), 1);
}

#[tokio::test]
async fn a_firing_that_began_after_the_last_reception_shows_that_a_resolve_was_missed() {
    let folder = Folder::new();
    let gateway = Gateway::start(&folder).await;
    let first = gateway.queue(firing("Down", "f1")).await;
    let second = gateway.queue(firing("Down", "f1").since("2999-01-01T00:00:00Z")).await;
    assert_ne!(first, second);
    let all = episodes(&gateway, "f1").await;
    assert_eq!(all.len(), 2);
    assert_eq!((&all[0]["missed"], &all[0]["closed_at"]), (&false.into(), &Value::Null));
    assert_eq!(all[1]["missed"], true);
    assert!(all[1]["closed_at"].is_string());
}

#[tokio::test]
async fn a_late_firing_starts_nothing_and_one_that_began_after_the_end_opens_an_episode() {
    let folder = Folder::new();
    let gateway = Gateway::start(&folder).await;
    gateway.queue(firing("Down", "f1")).await;
    let resolved = firing("Down", "f1").resolved(RESOLVED_AT);
    assert_eq!(kinds(&gateway, std::slice::from_ref(&resolved)).await, ["resolved"]);
    assert_eq!(kinds(&gateway, &[resolved]).await, ["resolved"]);
    assert_eq!(kinds(&gateway, &[firing("Down", "f1")]).await, ["resolved"]);
    assert_eq!(
        kinds(&gateway, &[firing("Down", "f1").since(RESOLVED_AT)]).await,
        ["resolved"]
    );
    let after = firing("Down", "f1").since("2026-01-31T09:05:00.001Z");
    assert_eq!(kinds(&gateway, &[after]).await, ["queued"]);
    assert_eq!(episodes(&gateway, "f1").await.len(), 2);

    // The resolve may even come first: its firing was overtaken.
    let overtaken = firing("Down", "f2").resolved(RESOLVED_AT);
    assert_eq!(kinds(&gateway, &[overtaken]).await, ["resolved"]);
    assert_eq!(kinds(&gateway, &[firing("Down", "f2")]).await, ["resolved"]);
}

#[tokio::test]
async fn a_resolve_closes_the_episode_whichever_route_or_receiver_it_came_by() {
    let folder = Folder::new();
    let verified = folder.read("remediations.yml") + "    verify: {resolved_within: 1h}\n";
    folder.write("remediations.yml", &verified);
    let gateway = Gateway::start(&folder).await;
    let job = gateway.queue(firing("Down", "f1")).await;
    gateway.until_status(&job, "verifying").await;
    // Other labels, so no route is reached, and another receiver.
    let mut body = notification(&[firing("Elsewhere", "f1").resolved(RESOLVED_AT)]);
    body["receiver"] = "another".into();
    let answer: Value = gateway
        .request(Method::POST, "/alert")
        .json(&body)
        .send()
        .await
        .unwrap()
        .json()
        .await
        .unwrap();
    assert_eq!(
        (&answer["decisions"][0]["decision"], &answer["decisions"][0]["route"]),
        (&"unmatched".into(), &Value::Null)
    );
    let healed = gateway.job(&job).await;
    assert_eq!(
        (&healed["reason"], &healed["healed_at"]),
        (&"healed".into(), &RESOLVED_AT.into())
    );
    assert_eq!(healed["healed_late"], false);
}

#[tokio::test]
async fn an_alert_that_resolves_during_the_run_is_healed_when_the_run_ends() {
    let folder = Folder::new();
    let verified = folder.read("remediations.yml") + "    verify: {resolved_within: 1h}\n";
    folder.write("remediations.yml", &verified);
    folder.write("fix.yml", &format!("wait_for({:?})\n{FIX}", folder.path("go")));
    let gateway = Gateway::start(&folder).await;
    let job = gateway.queue(firing("Down", "f1")).await;
    gateway.until_status(&job, "running").await;
    gateway.alert(&[firing("Down", "f1").resolved(RESOLVED_AT)]).await;
    assert_eq!(gateway.job(&job).await["status"], "running");
    folder.write("go", "");
    let healed = gateway.until_finished(&job).await;
    assert_eq!(
        (&healed["reason"], &healed["healed_at"]),
        (&"healed".into(), &RESOLVED_AT.into())
    );
}

#[tokio::test]
async fn a_job_that_expired_does_not_count_and_the_next_report_makes_another() {
    let folder = Folder::new();
    let catalogue = folder
        .read("remediations.yml")
        .replace("path: fix.yml", "path: fix.yml\n    lock: one")
        + "    expires: 1s\n";
    folder.write("remediations.yml", &catalogue);
    folder.write("fix.yml", &format!("wait_for({:?})\n{FIX}", folder.path("go")));
    let gateway = Gateway::start(&folder).await;
    let holder = gateway.queue(firing("Down", "f1")).await;
    gateway.until_status(&holder, "running").await;
    let waiting = gateway.queue(firing("Down", "f2")).await;
    let expired = gateway.until_finished(&waiting).await;
    assert_eq!(
        (&expired["status"], &expired["reason"], &expired["started_at"]),
        (&"canceled".into(), &"expired".into(), &Value::Null)
    );
    assert_ne!(gateway.queue(firing("Down", "f2")).await, waiting);
}

/// A route for each mode; the first two alert names reach two of them.
const MODES: &str = r#"
playbooks:
  fix: {path: fix.yml}
routes:
  - {name: ask, matchers: ['alertname="Ask"'], playbook: fix, mode: approve, continue: true}
  - {name: see, matchers: ['alertname=~"Ask|See"'], playbook: fix, mode: observe}
"#;

async fn answer(gateway: &Gateway, job: &str, action: &str) -> (u16, Value) {
    let path = format!("/api/v1/jobs/{job}/{action}");
    let comment = json!({ "comment": "as agreed" });
    let answer = gateway
        .request(Method::POST, &path)
        .json(&comment)
        .send()
        .await
        .unwrap();
    (answer.status().as_u16(), answer.json().await.unwrap())
}

#[tokio::test]
async fn a_job_that_waits_for_approval_runs_when_approved_and_never_when_rejected_or_resolved() {
    let folder = Folder::new();
    folder.write("remediations.yml", MODES);
    let gateway = Gateway::start(&folder).await;
    let decisions = gateway.alert(&["f1", "f2", "f3", "f4"].map(|f| firing("Ask", f))).await;
    assert_eq!(decisions.len(), 8, "two routes for each alert");
    let job = |at: usize| decisions[2 * at]["job"].as_str().unwrap().to_owned();
    for pair in decisions.chunks(2) {
        assert_eq!(
            (&pair[0]["decision"], &pair[0]["route"]),
            (&"awaiting_approval".into(), &"ask".into())
        );
        assert_eq!(
            (&pair[1]["decision"], &pair[1]["job"]),
            (&"observed".into(), &Value::Null)
        );
    }
    assert_eq!(gateway.job(&job(0)).await["status"], "awaiting_approval");
    assert_eq!(kinds(&gateway, &[firing("Ask", "f1")]).await, ["attached", "observed"]);

    let (status, approved) = answer(&gateway, &job(0), "approve").await;
    assert_eq!((status, &approved["id"]), (202, &job(0).into()));
    assert_eq!(gateway.until_finished(&job(0)).await["status"], "succeeded");
    for action in ["approve", "reject", "cancel"] {
        assert_eq!(answer(&gateway, &job(0), action).await.0, 409, "{action}");
    }

    let (status, rejected) = answer(&gateway, &job(1), "reject").await;
    assert_eq!(
        (status, &rejected["status"], &rejected["reason"]),
        (202, &"canceled".into(), &"rejected".into())
    );
    let (status, canceled) = answer(&gateway, &job(2), "cancel").await;
    assert_eq!(
        (status, &canceled["status"], &canceled["reason"]),
        (202, &"canceled".into(), &"canceled".into())
    );

    gateway.alert(&[firing("Ask", "f4").resolved(RESOLVED_AT)]).await;
    assert_eq!(gateway.job(&job(3)).await["reason"], "resolved_meanwhile");
    assert_eq!(answer(&gateway, &job(3), "approve").await.0, 409);

    let history = gateway.get(&format!("/api/v1/jobs/{}/events", job(1))).await;
    let last = history["items"].as_array().unwrap().last().unwrap().clone();
    assert_eq!((&last["event"], &last["by"]), (&"rejected".into(), &"anonymous".into()));
    assert!(last["message"].as_str().unwrap().contains("as agreed"));
}

#[tokio::test]
async fn canceling_is_told_at_once_for_what_waits_and_refused_for_what_is_over() {
    let folder = Folder::new();
    let catalogue = folder
        .read("remediations.yml")
        .replace("path: fix.yml", "path: fix.yml\n    lock: one");
    folder.write("remediations.yml", &catalogue);
    folder.write("fix.yml", "wait_for('/never')");
    let gateway = Gateway::start(&folder).await;
    let running = gateway.queue(firing("Down", "f1")).await;
    gateway.until_status(&running, "running").await;
    let queued = gateway.queue(firing("Down", "f2")).await;
    let (status, job) = answer(&gateway, &queued, "cancel").await;
    assert_eq!(
        (status, &job["status"], &job["reason"]),
        (202, &"canceled".into(), &"canceled".into())
    );
    assert_eq!(answer(&gateway, &queued, "cancel").await.0, 409);
    // Nothing was ever printed: the stream says so and ends.
    let stream = gateway.text(&format!("/api/v1/jobs/{queued}/log/stream")).await;
    assert_eq!(
        stream,
        "event: end\ndata: {\"status\":\"canceled\",\"reason\":\"canceled\",\"attempt\":null,\"outcome\":null}\n\n"
    );
    assert_eq!(answer(&gateway, &running, "approve").await.0, 409);
    let (status, job) = answer(&gateway, &running, "cancel").await;
    assert_eq!((status, &job["id"]), (202, &running.as_str().into()));
    until("the run is stopped", || async {
        (gateway.job(&running).await["status"] == "canceled").then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_route_that_only_observes_records_what_it_would_have_run() {
    let folder = Folder::new();
    folder.write("remediations.yml", MODES);
    let gateway = Gateway::start(&folder).await;
    gateway.alert(&[firing("Ask", "f1")]).await;
    let story = gateway.get("/api/v1/alerts/f1").await;
    let told = story["decisions"].as_array().unwrap().iter();
    let observed = told
        .clone()
        .find(|decision| decision["decision"] == "observed")
        .unwrap();
    let would_run = &observed["would_run"];
    assert_eq!(
        (&would_run["playbook"], would_run["vars"].is_object()),
        (&"fix".into(), true)
    );
    let argv: Vec<&str> = would_run["argv"]
        .as_array()
        .unwrap()
        .iter()
        .map(|word| word.as_str().unwrap())
        .collect();
    assert!(
        argv[0].ends_with("ansible-playbook") && argv.last().unwrap().ends_with("fix.yml"),
        "{argv:?}"
    );
    assert!(
        told.clone()
            .all(|decision| decision["decision"] == "observed" || decision["would_run"].is_null())
    );
}
