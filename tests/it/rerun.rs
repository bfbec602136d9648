//! Running a finished job again, by its id.

use reqwest::Method;
use serde_json::{Value, json};

use crate::contract_http::{post, problem};
use crate::contract_manual::{by_hand, made};
use crate::support::alerts::firing;
use crate::support::folder::{FIX, Folder};
use crate::support::gateway::Gateway;

#[tokio::test]
async fn a_failed_job_succeeds_on_a_re_run_once_the_cause_is_gone_and_both_remain() {
    let folder = Folder::new();
    folder.write(
        "fix.yml",
        &format!("if not os.path.exists({:?}):\n    say('cannot')\n    result(status='failed')\n    stats(localhost={{'failures': 1}})\n    end(2)\n{FIX}", folder.path("repaired")),
    );
    let gateway = Gateway::start(&folder).await;
    let first = gateway.queue(firing("Down", "f1")).await;
    let failed = gateway.until_finished(&first).await;
    assert_eq!(failed["reason"], "hosts_failed");

    folder.write("repaired", "");
    let answer = gateway.post(&format!("/api/v1/jobs/{first}/rerun")).await;
    assert_eq!(answer.status(), 201);
    let location = answer.headers()["location"].to_str().unwrap().to_owned();
    let second: Value = answer.json().await.unwrap();
    assert_eq!(location, format!("/api/v1/jobs/{}", second["id"].as_str().unwrap()));
    assert_eq!(
        (&second["rerun_of"], &second["trigger"]),
        (&first.as_str().into(), &"rerun".into())
    );

    let second = gateway.until_finished(second["id"].as_str().unwrap()).await;
    assert_eq!(second["status"], "succeeded");
    assert_eq!(gateway.job(&first).await, failed);
    assert_eq!(gateway.log_of(&first).await, "cannot\n");
    assert_eq!(gateway.log_of(second["id"].as_str().unwrap()).await, "fixed\n");
}

#[tokio::test]
async fn a_job_that_is_not_finished_cannot_be_run_again() {
    let folder = Folder::new();
    folder.write("fix.yml", "wait_for('/never')");
    let gateway = Gateway::start(&folder).await;
    let job = gateway.queue(firing("Down", "f1")).await;
    let answer = gateway.post(&format!("/api/v1/jobs/{job}/rerun")).await;
    assert_eq!(answer.status(), 409);
    assert_eq!(answer.headers()["content-type"], "application/problem+json");
}

#[tokio::test]
async fn a_re_run_takes_the_failed_hosts_check_mode_and_verbosity() {
    let folder = Folder::new();
    folder.write(
        "fix.yml",
        "say(' '.join(sys.argv[1:]))\nstats(web1={'failures': 1}, web2={'ok': 1}, web3={'unreachable': 1})\nend(2)",
    );
    let gateway = Gateway::start(&folder).await;
    let job = gateway.queue(firing("Down", "f1")).await;
    gateway.until_finished(&job).await;
    let body = json!({ "hosts": "failed", "check": true, "verbosity": 2 });
    let path = format!("/api/v1/jobs/{job}/rerun");
    let answer = gateway.request(Method::POST, &path).json(&body).send().await.unwrap();
    assert_eq!(answer.status(), 201);
    let again: Value = answer.json().await.unwrap();
    let id = again["id"].as_str().unwrap();
    gateway.until_finished(id).await;
    let log = gateway.log_of(id).await;
    assert!(
        log.contains("--limit=web1,web3") && log.contains("--check") && log.contains("-vv"),
        "{log}"
    );
}

#[tokio::test]
async fn a_re_run_needs_a_playbook_that_is_still_there_and_a_body_that_is_understood() {
    let folder = Folder::new();
    let gateway = Gateway::start(&folder).await;
    let job = gateway.queue(firing("Down", "f1")).await;
    gateway.until_finished(&job).await;
    let path = format!("/api/v1/jobs/{job}/rerun");
    for body in [
        json!({ "hosts": "some" }),
        json!({ "verbosity": 3 }),
        json!({ "speed": 1 }),
        json!([]),
    ] {
        let answer = gateway.request(Method::POST, &path).json(&body).send().await.unwrap();
        assert_eq!(answer.status(), 400, "{body}");
    }
    let renamed = folder
        .read("remediations.yml")
        .replace("fix:", "mend:")
        .replace("playbook: fix", "playbook: mend");
    folder.write("remediations.yml", &renamed);
    assert_eq!(gateway.post("/api/v1/reload").await.status(), 200);
    let answer = gateway.post(&path).await;
    assert_eq!(answer.status(), 409);
    assert!(answer.text().await.unwrap().contains("fix"));
}

#[tokio::test]
async fn what_a_route_asks_before_a_run_does_not_concern_jobs_by_hand_and_re_runs() {
    let folder = Folder::new();
    folder.settings("prometheus: { url: 'http://127.0.0.1:9' }\n");
    let catalogue = |query: &str| {
        format!(
            "playbooks: {{fix: {{path: fix.yml}}}}\nroutes:\n  - name: down\n    matchers: ['alertname=\"Down\"']\n    \
             playbook: fix\n    precondition: 'up{{r=\"{{{{ group.receiver }}}}\"}}'\n    verify: {{resolved_within: 2m, \
             query: '{query}'}}\n"
        )
    };
    folder.write("remediations.yml", &catalogue("vector(1)"));
    let gateway = Gateway::start(&folder).await;
    let mut body = json!({"playbook": "fix", "alert": {"labels": {"alertname": "Down"}}});
    let first = made(&gateway, &body).await;
    let first = first["id"].as_str().unwrap();
    gateway.until_finished(first).await;
    let rerun = format!("/api/v1/jobs/{first}/rerun");
    assert_eq!(post(&gateway, &rerun, "").await.status(), 201);

    // What it asks after a run does, unless nothing is to be healed.
    folder.write("remediations.yml", &catalogue("up{r=\"{{ group.receiver }}\"}"));
    assert_eq!(post(&gateway, "/api/v1/reload", "").await.status(), 200);
    let refused = problem(by_hand(&gateway, &body).await, 400).await;
    assert_eq!(refused["errors"][0]["field"], "verify.query", "{refused}");
    problem(post(&gateway, &rerun, "").await, 409).await;
    body["check"] = true.into();
    made(&gateway, &body).await;
    assert_eq!(post(&gateway, &rerun, r#"{"check": true}"#).await.status(), 201);
}
