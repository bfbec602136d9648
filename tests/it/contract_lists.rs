//! Lists: their filters, their pages, and what they refuse.

use std::collections::BTreeSet;

use reqwest::Method;
use serde_json::Value;

use crate::support::alerts::firing;
use crate::support::folder::Folder;
use crate::support::gateway::Gateway;

const TWO_ROUTES: &str = r#"
playbooks:
  fix: {path: fix.yml, lock: "service/{{ alert.labels.alertname }}"}
  look: {path: fix.yml}
routes:
  - {name: down, matchers: ['alertname="Down"'], playbook: fix}
  - {name: slow, matchers: ['alertname="Slow"'], playbook: look, mode: approve}
"#;

/// A gateway with three jobs: Down f1 and Down f2, which have run, and Slow f3, which waits.
async fn three_jobs(folder: &Folder) -> (Gateway, [String; 3]) {
    folder.write("remediations.yml", TWO_ROUTES);
    let gateway = Gateway::start(folder).await;
    let first = gateway.queue(firing("Down", "f1").label("team", "Web Shop")).await;
    gateway.until_finished(&first).await;
    let second = gateway.queue(firing("Down", "f2")).await;
    gateway.until_finished(&second).await;
    let third = gateway.alert(&[firing("Slow", "f3")]).await;
    let third = third[0]["job"].as_str().unwrap().to_owned();
    (gateway, [first, second, third])
}

/// The ids that a list of jobs has.
async fn ids(gateway: &Gateway, query: &str) -> Vec<String> {
    let list = gateway.get(&format!("/api/v1/jobs?{query}")).await;
    let items = list["items"].as_array().unwrap().iter();
    items.map(|job| job["id"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn every_filter_of_jobs_narrows_the_list_and_a_repeated_one_means_or() {
    let folder = Folder::new();
    let (gateway, [first, second, third]) = three_jobs(&folder).await;
    let created = gateway.job(&second).await["created_at"].as_str().unwrap().to_owned();
    let (a, b, c) = (first.as_str(), second.as_str(), third.as_str());
    for (query, expected) in [
        (String::new(), vec![c, b, a]),
        ("status=succeeded".to_owned(), vec![b, a]),
        ("status=succeeded&status=awaiting_approval".to_owned(), vec![c, b, a]),
        ("status=failed".to_owned(), vec![]),
        ("reason=unverified".to_owned(), vec![b, a]),
        ("reason=healed&reason=lost".to_owned(), vec![]),
        ("playbook=look".to_owned(), vec![c]),
        ("route=down&route=slow".to_owned(), vec![c, b, a]),
        ("route=dow".to_owned(), vec![]),
        ("target=service/Down".to_owned(), vec![b, a]),
        ("target=service%2FDown".to_owned(), vec![b, a]),
        ("alertname=Slow".to_owned(), vec![c]),
        ("fingerprint=f1&fingerprint=f3".to_owned(), vec![c, a]),
        ("trigger=alert".to_owned(), vec![c, b, a]),
        ("trigger=rerun&trigger=manual&trigger=ladder".to_owned(), vec![]),
        ("status=succeeded&fingerprint=f2".to_owned(), vec![b]),
        ("q=web+shop".to_owned(), vec![a]),
        ("q=SLOW".to_owned(), vec![c]),
        ("q=web%20shop&q=slow".to_owned(), vec![c, a]),
        ("q=web+shop&q=slow&route=down".to_owned(), vec![a]),
        ("q=nothing".to_owned(), vec![]),
        (format!("q={a}"), vec![a]),
        (format!("since={created}"), vec![c, b]),
        (format!("until={created}"), vec![b, a]),
        (format!("since={created}&until={created}"), vec![b]),
        (format!("since={created}&since=2020-01-01T00:00:00Z"), vec![c, b, a]),
        (format!("until=2020-01-01T00:00:00Z&until={created}"), vec![b, a]),
        (format!("since={}%2B00:00", created.trim_end_matches('Z')), vec![c, b]),
        (format!("since={}+00:00", created.trim_end_matches('Z')), vec![c, b]),
        ("until=2999-01-01T00:00:00-05:00".to_owned(), vec![c, b, a]),
    ] {
        assert_eq!(ids(&gateway, &query).await, expected, "{query}");
    }
}

#[tokio::test]
async fn alerts_are_listed_by_their_status() {
    let folder = Folder::new();
    let gateway = Gateway::start(&folder).await;
    let alerts: Vec<_> = (0..5).map(|n| firing("Other", &format!("f{n}"))).collect();
    gateway.alert(&alerts).await;
    gateway
        .alert(&[
            firing("Other", "f1").resolved("2026-01-31T09:05:00Z"),
            firing("Other", "f3").resolved("2026-01-31T09:05:00Z"),
        ])
        .await;
    let listed = async |query: &str| {
        let (mut seen, mut cursor) = (Vec::new(), String::new());
        loop {
            let page = gateway.get(&format!("/api/v1/alerts?limit=2&{query}{cursor}")).await;
            let items = page["items"].as_array().unwrap().iter();
            seen.extend(items.map(|alert| alert["fingerprint"].as_str().unwrap().to_owned()));
            let Some(next) = page["next_cursor"].as_str() else {
                return seen;
            };
            cursor = format!("&cursor={next}");
        }
    };
    assert_eq!(listed("status=firing").await, ["f4", "f2", "f0"]);
    assert_eq!(listed("status=resolved").await, ["f3", "f1"]);
    assert_eq!(
        listed("status=firing&status=resolved").await,
        ["f3", "f1", "f4", "f2", "f0"]
    );
    for wrong in ["status=", "status=open", "status=Firing", "state=firing"] {
        let path = format!("/api/v1/alerts?{wrong}");
        let answer = gateway.request(Method::GET, &path).send().await.unwrap();
        assert_eq!(answer.status(), 400, "{wrong}");
        let problem: Value = answer.json().await.unwrap();
        assert_eq!(
            problem["errors"][0]["field"],
            wrong.split_once('=').unwrap().0,
            "{wrong}"
        );
    }
}

#[tokio::test]
async fn an_item_of_the_list_is_the_job_as_it_is_shown_alone() {
    let folder = Folder::new();
    let (gateway, jobs) = three_jobs(&folder).await;
    let list = gateway.get("/api/v1/jobs").await;
    for (item, id) in list["items"].as_array().unwrap().iter().zip(jobs.iter().rev()) {
        assert_eq!(*item, gateway.job(id).await);
    }
    assert_eq!(list["next_cursor"], Value::Null);
}

#[tokio::test]
async fn pages_have_every_job_once_while_new_ones_arrive() {
    let folder = Folder::new();
    let gateway = Gateway::start(&folder).await;
    let alerts: Vec<_> = (0..7).map(|n| firing("Down", &format!("f{n}"))).collect();
    let mut expected: Vec<String> = gateway
        .alert(&alerts)
        .await
        .iter()
        .map(|decision| decision["job"].as_str().unwrap().to_owned())
        .collect();
    expected.reverse();
    let (mut seen, mut cursor) = (Vec::new(), String::new());
    loop {
        let page = gateway.get(&format!("/api/v1/jobs?limit=3{cursor}")).await;
        assert!(page["items"].as_array().unwrap().len() <= 3);
        seen.extend(
            page["items"]
                .as_array()
                .unwrap()
                .iter()
                .map(|job| job["id"].as_str().unwrap().to_owned()),
        );
        gateway.queue(firing("Down", &format!("new{}", seen.len()))).await;
        let Some(next) = page["next_cursor"].as_str() else {
            break;
        };
        assert!(
            next.bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_'),
            "{next}"
        );
        cursor = format!("&cursor={next}");
    }
    assert_eq!(seen, expected);
}

#[tokio::test]
async fn every_list_comes_in_pages_of_the_same_shape() {
    let folder = Folder::new();
    folder.write(
        "fix.yml",
        "for n in range(5): result(task=f'task {n}')\nstats(localhost={'ok': 1})\nend(0)",
    );
    let more = "  - {name: other, matchers: ['alertname=\"Other\"'], playbook: other}\n";
    let catalogue = folder
        .read("remediations.yml")
        .replace("routes:", "  other: {path: fix.yml}\nroutes:")
        + more;
    folder.write("remediations.yml", &catalogue);
    let gateway = Gateway::start(&folder).await;
    let job = gateway.queue(firing("Down", "f1")).await;
    gateway.queue(firing("Down", "f2")).await;
    gateway.until_finished(&job).await;
    for (path, order) in [
        ("/api/v1/jobs".to_owned(), "id"),
        (format!("/api/v1/jobs/{job}/tasks"), "task"),
        (format!("/api/v1/jobs/{job}/events"), "event"),
        ("/api/v1/alerts".to_owned(), "fingerprint"),
        ("/api/v1/notifications".to_owned(), "id"),
        ("/api/v1/playbooks".to_owned(), "name"),
        ("/api/v1/routes".to_owned(), "name"),
    ] {
        let whole = gateway.get(&path).await;
        assert_eq!(
            whole.as_object().unwrap().keys().collect::<BTreeSet<_>>().len(),
            2,
            "{path}"
        );
        let whole = whole["items"].as_array().unwrap().clone();
        let mut parts = Vec::new();
        let mut page = gateway.get(&format!("{path}?limit=1")).await;
        loop {
            assert_eq!(page["items"].as_array().unwrap().len(), 1, "{path}");
            parts.push(page["items"][0][order].clone());
            let Some(next) = page["next_cursor"].as_str() else {
                break;
            };
            page = gateway.get(&format!("{path}?limit=1&cursor={next}")).await;
        }
        let expected: Vec<Value> = whole.iter().map(|item| item[order].clone()).collect();
        assert!(expected.len() > 1, "{path} has too little to page through");
        assert_eq!(parts, expected, "{path}");
    }
}

/// What every list refuses.
const WRONG_IN_EVERY_LIST: &[&str] = &[
    "limit=0",
    "limit=501",
    "limit=abc",
    "limit=-1",
    "limit=",
    "limit=1.5",
    "limit=1&limit=2",
    "cursor=",
    "cursor=abc",
    "cursor=%00",
    "nope=1",
];

/// What the list of jobs refuses besides.
const WRONG_IN_THE_LIST_OF_JOBS: &[&str] = &[
    "status=done",
    "status=",
    "reason=because",
    "trigger=cron",
    "since=yesterday",
    "since=2026-01-01",
    "since=1735689600",
    "until=",
    "STATUS=queued",
    "order=asc",
];

#[tokio::test]
async fn what_is_no_filter_limit_or_cursor_is_refused_by_its_name() {
    let folder = Folder::new();
    let gateway = Gateway::start(&folder).await;
    let job = gateway.queue(firing("Down", "f1")).await;
    gateway.until_finished(&job).await;
    gateway.queue(firing("Down", "f2")).await;
    let of_jobs = gateway.get("/api/v1/jobs?limit=1").await["next_cursor"]
        .as_str()
        .unwrap()
        .to_owned();
    let foreign = format!("cursor={of_jobs}");
    let lists = [
        "/api/v1/alerts".to_owned(),
        "/api/v1/notifications".to_owned(),
        "/api/v1/playbooks".to_owned(),
        "/api/v1/routes".to_owned(),
        format!("/api/v1/jobs/{job}/tasks"),
        format!("/api/v1/jobs/{job}/events"),
    ];
    let mut calls: Vec<(String, &str)> = WRONG_IN_THE_LIST_OF_JOBS
        .iter()
        .map(|query| ("/api/v1/jobs".to_owned(), *query))
        .collect();
    for list in &lists {
        calls.extend(WRONG_IN_EVERY_LIST.iter().map(|query| (list.clone(), *query)));
        calls.push((list.clone(), &foreign));
    }
    calls.extend(
        WRONG_IN_EVERY_LIST
            .iter()
            .map(|query| ("/api/v1/jobs".to_owned(), *query)),
    );
    for (path, query) in calls {
        let answer = gateway
            .request(Method::GET, &format!("{path}?{query}"))
            .send()
            .await
            .unwrap();
        assert_eq!(answer.status(), 400, "{path}?{query}");
        assert_eq!(answer.headers()["content-type"], "application/problem+json");
        let problem: Value = answer.json().await.unwrap();
        let field = query.split_once('=').unwrap().0;
        assert_eq!(problem["errors"][0]["field"], field, "{path}?{query}");
    }
}
