//! What the gateway tells: explanations, logs, metrics, and whether it is ready.

use rustix::process::Signal;
use serde_json::{Value, json};

use crate::contract_http::{get, post, problem};
use crate::support::alerts::{firing, notification};
use crate::support::folder::{FIX, Folder};
use crate::support::gateway::Gateway;
use crate::support::wait::until;

/// One route for each fate: refused, taken, not reached, not matched.
const FOUR_ROUTES: &str = r#"
playbooks:
  fix: {path: fix.yml, vars: {name: "{{ alert.labels.instance | host }}"}, lock: one}
  strict: {path: fix.yml, limit: "{{ alert.labels.host }}"}
routes:
  - {name: strict, matchers: ['alertname="Down"', 'severity=critical'], playbook: strict, continue: true}
  - {name: down, matchers: ['alertname="Down"'], playbook: fix}
  - {name: after, matchers: ['alertname=~"D.*"'], playbook: fix}
  - {name: other, matchers: ['severity=critical', 'alertname!="Down"'], playbook: fix}
"#;

/// What the explanation of a route has, sorted.
const MEMBERS: [&str; 13] = [
    "argv",
    "breaker",
    "caps",
    "cooldown_until",
    "decision",
    "failed_matcher",
    "matched",
    "paused",
    "playbook",
    "reason",
    "route",
    "target",
    "vars",
];

/// What would be done about the alert.
async fn explained(gateway: &Gateway) -> Value {
    let body = notification(&[firing("Down", "f1")]).to_string();
    let answer = post(gateway, "/api/v1/explain", body).await;
    assert_eq!(answer.status(), 200);
    answer.json().await.unwrap()
}

#[tokio::test]
async fn explaining_tells_every_route_and_does_nothing() {
    let folder = Folder::new();
    folder.write("remediations.yml", FOUR_ROUTES);
    folder.write("fix.yml", "wait_for('/never')");
    let gateway = Gateway::start(&folder).await;
    let explanation = explained(&gateway).await;
    assert_eq!(explanation, explained(&gateway).await);
    for list in ["jobs", "alerts", "notifications"] {
        assert_eq!(
            gateway.get(&format!("/api/v1/{list}")).await["items"],
            json!([]),
            "{list}"
        );
    }
    assert_eq!(explanation["items"][0]["fingerprint"], "f1");
    let routes = &explanation["items"][0]["routes"];
    for route in routes.as_array().unwrap() {
        let mut keys: Vec<&str> = route.as_object().unwrap().keys().map(String::as_str).collect();
        keys.sort_unstable();
        assert_eq!(keys, MEMBERS);
        assert!(!route["reason"].as_str().unwrap().is_empty());
    }
    let told: Vec<Value> = routes
        .as_array()
        .unwrap()
        .iter()
        .map(|route| {
            json!([
                route["route"],
                route["matched"],
                route["failed_matcher"],
                route["decision"]
            ])
        })
        .collect();
    assert_eq!(
        told,
        [
            json!(["strict", true, null, "refused"]),
            json!(["down", true, null, "queued"]),
            json!(["after", true, null, null]),
            json!(["other", false, "alertname!=\"Down\"", null]),
        ]
    );
    assert_eq!(routes[1]["vars"], json!({ "name": "localhost" }));
    assert_eq!(routes[1]["argv"].as_array().unwrap().last().unwrap(), "fix.yml");
}

#[tokio::test]
async fn what_is_held_back_is_explained_with_what_it_would_run() {
    let folder = Folder::new();
    folder.write("remediations.yml", FOUR_ROUTES);
    folder.write("fix.yml", "wait_for('/never')");
    let gateway = Gateway::start(&folder).await;
    let job = gateway.alert(&[firing("Down", "f1")]).await[1]["job"]
        .as_str()
        .unwrap()
        .to_owned();
    gateway.until_status(&job, "running").await;
    let attached = &explained(&gateway).await["items"][0]["routes"][1];
    assert_eq!(
        (&attached["decision"], &attached["target"]),
        (&"attached".into(), &"one".into())
    );
    assert!(attached["argv"].is_array() && attached["vars"].is_object());
    assert_eq!(gateway.get("/api/v1/alerts/f1").await["episodes"][0]["received"], 1);
}

#[tokio::test]
async fn a_log_is_read_in_ranges_while_it_grows_and_is_empty_before_it_begins() {
    let folder = Folder::new();
    let catalogue = folder
        .read("remediations.yml")
        .replace("path: fix.yml", "path: fix.yml\n    lock: one");
    folder.write("remediations.yml", &catalogue);
    folder.write(
        "fix.yml",
        &format!("say('one é')\nwait_for({:?})\nsay('two')\n{FIX}", folder.path("go")),
    );
    let gateway = Gateway::start(&folder).await;
    let running = gateway.queue(firing("Down", "f1")).await;
    let waiting = gateway.queue(firing("Down", "f2")).await;
    until("the first line is there", || async {
        (gateway.log_of(&running).await == "one é\n").then_some(())
    })
    .await;
    let log = format!("/api/v1/jobs/{running}/log");
    for (range, status, said) in [
        ("bytes=0-", 206, "bytes 0-6/7"),
        ("bytes=4-5", 206, "bytes 4-5/7"),
        ("bytes=-1", 206, "bytes 6-6/7"),
        ("bytes=7-", 416, "bytes */7"),
    ] {
        let answer = get(&gateway, &log, &[("Range", range)]).await;
        assert_eq!(answer.status(), status, "{range}");
        assert_eq!(answer.headers()["content-range"], said, "{range}");
    }
    let none = format!("/api/v1/jobs/{waiting}/log");
    for headers in [vec![], vec![("Range", "bytes=0-")], vec![("Range", "bytes=-5")]] {
        let answer = get(&gateway, &none, &headers).await;
        assert_eq!(answer.status(), 200, "{headers:?}");
        assert!(
            answer.headers()["content-type"]
                .to_str()
                .unwrap()
                .starts_with("text/plain")
        );
        assert_eq!(answer.text().await.unwrap(), "");
    }
    problem(get(&gateway, &format!("{none}?attempt=1"), &[]).await, 404).await;
    for query in ["attempt=0", "attempt=x", "ansi=drop", "tail=1"] {
        problem(get(&gateway, &format!("{log}?{query}"), &[]).await, 400).await;
    }
    // No other attempt is on its way.
    problem(get(&gateway, &format!("{log}/stream?attempt=2"), &[]).await, 404).await;
    problem(
        get(&gateway, &format!("{log}/stream"), &[("Last-Event-ID", "x")]).await,
        400,
    )
    .await;

    let stream = get(&gateway, &format!("{log}/stream?attempt=1"), &[("Last-Event-ID", "4")]).await;
    folder.write("go", "");
    let text = stream.text().await.unwrap();
    assert!(text.starts_with("event: log\nid: 7\ndata: \"é\\n\"\n\n"), "{text}");
    assert!(text.ends_with(
        "event: end\ndata: {\"status\":\"succeeded\",\"reason\":\"unverified\",\"attempt\":1,\"outcome\":\"ok\"}\n\n"
    ));
    let beyond = get(&gateway, &format!("{log}/stream"), &[("Last-Event-ID", "999")]).await;
    assert!(beyond.text().await.unwrap().starts_with("event: end\n"));
}

#[tokio::test]
async fn the_metrics_are_those_of_the_contract_in_prometheus_text_format() {
    let folder = Folder::new();
    let verified = folder.read("remediations.yml") + "    verify: {resolved_within: 1h}\n";
    folder.write("remediations.yml", &verified);
    let gateway = Gateway::start(&folder).await;
    let job = gateway.queue(firing("Down", "f1")).await;
    gateway.until_status(&job, "verifying").await;
    gateway
        .alert(&[firing("Down", "f1").resolved("2026-01-31T09:05:00Z")])
        .await;
    until("the run's slot is free", || async {
        let text = gateway.text("/metrics").await;
        text.contains("healgate_worker_slots{state=\"free\"} 4").then_some(())
    })
    .await;
    let answer = get(&gateway, "/metrics", &[]).await;
    assert!(
        answer.headers()["content-type"]
            .to_str()
            .unwrap()
            .starts_with("text/plain; version=0.0.4")
    );
    let text = answer.text().await.unwrap();
    for sample in [
        "healgate_notifications_total{sender=\"alertmanager\"} 2",
        "healgate_alert_decisions_total{route=\"down\",decision=\"queued\"} 1",
        "healgate_alert_decisions_total{route=\"down\",decision=\"resolved\"} 1",
        "healgate_jobs{status=\"succeeded\"} 1",
        "healgate_jobs{status=\"awaiting_approval\"} 0",
        "healgate_jobs_finished_total{playbook=\"fix\",route=\"down\",status=\"succeeded\",reason=\"healed\"} 1",
        "healgate_run_duration_seconds_count{playbook=\"fix\"} 1",
        "healgate_queue_wait_seconds_count 1",
        "healgate_time_to_heal_seconds_count{route=\"down\"} 1",
        "healgate_worker_slots{state=\"free\"} 4",
        "healgate_worker_slots{state=\"busy\"} 0",
        "healgate_webhook_duration_seconds_count 2",
        "healgate_queue_oldest_wait_seconds{waits_for=\"slot\"} 0",
        "healgate_queue_oldest_wait_seconds{waits_for=\"target\"} 0",
        "healgate_queue_oldest_wait_seconds{waits_for=\"release\"} 0",
        "healgate_build_info{version=\"",
    ] {
        assert!(
            text.lines().any(|line| line.starts_with(sample)),
            "no {sample} in\n{text}"
        );
    }
    for line in text.lines().filter(|line| !line.starts_with("# ")) {
        let (_, value) = line.rsplit_once(' ').unwrap();
        assert!(line.starts_with("healgate_") && value.parse::<f64>().is_ok(), "{line}");
    }
}

#[tokio::test]
async fn a_gateway_that_stops_is_not_ready_but_still_stores_what_arrives() {
    let folder = Folder::new();
    folder.settings("worker:\n  on_shutdown: stop\n");
    folder.write("fix.yml", &format!("wait_for({:?})\n{FIX}", folder.path("go")));
    let mut gateway = Gateway::start(&folder).await;
    let job = gateway.queue(firing("Down", "f1")).await;
    gateway.until_status(&job, "running").await;
    assert_eq!(gateway.get("/readyz").await, json!({ "status": "ok" }));
    gateway.signal(Signal::TERM);
    let refused = until("it is not ready", || async {
        let answer = get(&gateway, "/readyz", &[]).await;
        (answer.status() == 503).then_some(answer)
    })
    .await;
    problem(refused, 503).await;
    gateway.get("/healthz").await;
    let late = gateway.queue(firing("Down", "f2")).await;
    folder.write("go", "");
    assert_eq!(gateway.ended().await.code(), Some(0));

    let gateway = Gateway::start(&folder).await;
    for job in [job, late] {
        assert_eq!(gateway.until_finished(&job).await["status"], "succeeded");
    }
}
