//! Jobs as they are shown and listed, and what is done with them; the lists of the catalogue.

use serde_json::Value;

use crate::domain::attempt::Outcome;
use crate::domain::job::{JobStatus, Reason, Trigger};
use crate::http::fake::{Gateway, attempt, job, job_id, now};

#[actix_web::test]
async fn a_job_is_shown_as_the_contract_says() {
    let gateway = Gateway::new();
    let mut failed = job(1, JobStatus::Failed);
    failed.reason = Some(Reason::HostsFailed);
    failed.attempts = vec![attempt(1, Some(Outcome::HostsFailed))];
    failed.finished_at = Some(now());
    let id = gateway.add_job(failed);
    let shown = gateway.get(&format!("/api/v1/jobs/{id}")).await;
    assert!(!shown.text().contains("hunter2"), "the environment is shown");
    insta::assert_json_snapshot!(shown.json());
}

#[actix_web::test]
async fn all_jobs_are_reached_page_by_page() {
    let gateway = Gateway::new();
    for number in 0..5 {
        gateway.add_job(job(number, JobStatus::Queued));
    }
    let (mut seen, mut uri) = (Vec::new(), "/api/v1/jobs?limit=2".to_owned());
    loop {
        let page = gateway.get(&uri).await.json();
        let items = page["items"].as_array().unwrap();
        seen.extend(items.iter().map(|job| job["id"].as_str().unwrap().to_owned()));
        match &page["next_cursor"] {
            Value::String(cursor) => uri = format!("/api/v1/jobs?limit=2&cursor={cursor}"),
            other => break assert_eq!(other, &Value::Null),
        }
    }
    let all: Vec<String> = (0..5).map(|number| job_id(number).to_string()).collect();
    assert_eq!(seen, all);
}

#[actix_web::test]
async fn every_filter_reaches_the_store() {
    let gateway = Gateway::new();
    let uri = "/api/v1/jobs?status=failed&status=canceled&reason=hosts_failed&playbook=a&playbook=b&route=r&\
               target=container%2Fnginx&alertname=N&fingerprint=f&trigger=rerun&\
               since=2026-01-31T10:00:00%2B01:00&until=2026-01-31T09:00:00Z&q=web+1&q=x";
    assert_eq!(gateway.get(uri).await.status, 200);
    let filter = gateway.store.state().filters.remove(0);
    assert_eq!(filter.status, [JobStatus::Failed, JobStatus::Canceled]);
    assert_eq!(filter.reason, [Reason::HostsFailed]);
    assert_eq!(filter.trigger, [Trigger::Rerun]);
    assert_eq!((filter.since, filter.until), (Some(now()), Some(now())));
    let texts = [
        (filter.playbook, vec!["a", "b"]),
        (filter.route, vec!["r"]),
        (filter.target, vec!["container/nginx"]),
        (filter.alertname, vec!["N"]),
        (filter.fingerprint, vec!["f"]),
        (filter.q, vec!["web 1", "x"]),
    ];
    for (found, expected) in texts {
        assert_eq!(found, expected);
    }
}

#[actix_web::test]
async fn the_catalogue_is_listed_in_pages_too() {
    let gateway = Gateway::new();
    let first = gateway.get("/api/v1/playbooks?limit=1").await.json();
    assert_eq!(first["items"][0]["name"], "recreate");
    let cursor = first["next_cursor"].as_str().unwrap();
    let second = gateway
        .get(&format!("/api/v1/playbooks?limit=1&cursor={cursor}"))
        .await
        .json();
    assert_eq!(second["items"][0]["name"], "restart");
    assert_eq!(second["next_cursor"], Value::Null);
    insta::assert_json_snapshot!(gateway.get("/api/v1/routes").await.json());
}

#[actix_web::test]
async fn who_cancels_approves_or_rejects_is_noted_with_their_comment() {
    let gateway = Gateway::new();
    let waiting = gateway.add_job(job(1, JobStatus::AwaitingApproval));
    let rejected = gateway.add_job(job(2, JobStatus::AwaitingApproval));
    for (id, call, body, status) in [
        (waiting, "approve", r#"{"comment":"go"}"#, "queued"),
        (waiting, "cancel", " \n", "canceled"),
        (rejected, "reject", r#"{"comment":null}"#, "canceled"),
    ] {
        let answered = gateway.post(&format!("/api/v1/jobs/{id}/{call}"), body).await;
        assert_eq!(answered.status, 202, "{call}");
        assert_eq!(answered.json()["status"], status, "{call}");
    }
    let state = gateway.store.state();
    assert_eq!(state.changed_by[0].name, "admin");
    assert_eq!(state.changed_by[0].comment.as_deref(), Some("go"));
}

#[actix_web::test]
async fn what_the_state_does_not_allow_is_409() {
    let gateway = Gateway::new();
    let id = gateway.add_job(job(1, JobStatus::Succeeded));
    for call in ["cancel", "approve", "reject"] {
        let answered = gateway.post(&format!("/api/v1/jobs/{id}/{call}"), "").await;
        assert_eq!(answered.status, 409, "{call}");
    }
}
