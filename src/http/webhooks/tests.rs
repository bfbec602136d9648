//! What a webhook is answered with, and what it leaves behind.

use std::collections::BTreeMap;

use actix_web::test::TestRequest;
use serde_json::{Value, json};

use crate::http::fake::{Gateway, bearer, route};

fn alert(fingerprint: &str, status: &str) -> Value {
    json!({
        "status": status, "labels": { "alertname": "NginxDown" }, "annotations": {},
        "startsAt": "2026-01-31T08:59:00Z", "endsAt": "0001-01-01T00:00:00Z", "fingerprint": fingerprint,
    })
}

fn body(alerts: &[Value]) -> String {
    json!({ "version": "4", "alerts": alerts }).to_string()
}

#[actix_web::test]
async fn a_webhook_is_answered_with_what_was_decided() {
    let gateway = Gateway::new();
    let answered = gateway
        .post("/webhooks/alertmanager", &body(&[alert("f1", "firing")]))
        .await;
    assert_eq!(answered.status, 202);
    let (notification, job) = {
        let state = gateway.store.state();
        (state.notifications[0].summary.id, state.jobs[0].id)
    };
    assert_eq!(
        answered.json(),
        json!({
            "notification": notification.to_string(),
            "decisions": [{
                "fingerprint": "f1", "alertname": "NginxDown", "route": "nginx-down", "decision": "queued",
                "reason": "queued restart on container/nginx", "job": job.to_string(),
            }],
        })
    );
}

#[actix_web::test]
async fn decisions_come_in_the_order_of_alerts_and_then_of_routes() {
    let mut first = route("first");
    first.goes_on = true;
    let access = Gateway::new().app.access.as_ref().clone();
    let gateway = Gateway::with(access, vec![first, route("second"), route("third")]);
    let body = body(&[alert("b", "firing"), alert("a", "resolved")]);
    let answered = gateway.post("/alert", &body).await.json();
    let decided: Vec<(&str, &str, &str)> = answered["decisions"]
        .as_array()
        .unwrap()
        .iter()
        .map(|decision| {
            let text = |name: &str| decision[name].as_str().unwrap();
            (text("fingerprint"), text("route"), text("decision"))
        })
        .collect();
    assert_eq!(
        decided,
        [
            ("b", "first", "queued"),
            ("b", "second", "queued"),
            ("a", "first", "resolved"),
            ("a", "second", "resolved"),
        ]
    );
}

#[actix_web::test]
async fn an_alert_without_a_route_and_one_that_cannot_be_rendered_are_accepted() {
    let access = Gateway::new().app.access.as_ref().clone();
    let unmatched = Gateway::with(access, Vec::new());
    let answered = unmatched.post("/alert", &body(&[alert("f1", "firing")])).await.json();
    assert_eq!(answered["decisions"][0]["decision"], "unmatched");
    assert_eq!(answered["decisions"][0]["route"], Value::Null);
    assert_eq!(answered["decisions"][0]["job"], Value::Null);
    let mut refused = alert("f1", "firing");
    refused["labels"]["refuse"] = json!("yes");
    let answered = Gateway::new().post("/alert", &body(&[refused])).await;
    assert_eq!(answered.status, 202);
    assert_eq!(answered.json()["decisions"][0]["decision"], "refused");
    assert_eq!(answered.json()["decisions"][0]["reason"], "the label asks for it");
}

#[actix_web::test]
async fn the_body_is_kept_as_received_whatever_its_content_type() {
    let gateway = Gateway::new();
    let sent = "{ \"alerts\" :\t[], \"number\": 1.50, \"z\": 1, \"a\": 2 }\n";
    let request = TestRequest::post()
        .uri("/webhooks/alertmanager")
        .insert_header(bearer("sender"))
        .insert_header(("Content-Type", "text/plain"))
        .set_payload(sent);
    let answered = gateway.answer(request).await.json();
    let uri = format!("/api/v1/notifications/{}", answered["notification"].as_str().unwrap());
    let shown = gateway.get(&uri).await;
    assert!(shown.text().contains(sent.trim()), "{}", shown.text());
    assert_eq!(shown.json()["posted_by"], "sender");
    assert_eq!(gateway.store.state().notifications[0].body, sent.as_bytes());
}

#[actix_web::test]
async fn what_is_no_webhook_is_400_and_leaves_no_trace() {
    let gateway = Gateway::new();
    for (body, field) in [
        ("", ""),
        ("{}", "alerts"),
        (r#"{"version":"1","alerts":[]}"#, "version"),
        (r#"{"alerts":[{}]}"#, "alerts[0].status"),
    ] {
        let answered = gateway.post("/webhooks/alertmanager", body).await;
        assert_eq!(answered.status, 400, "{body}");
        assert_eq!(answered.json()["errors"][0]["field"], field, "{body}");
    }
    assert!(gateway.store.state().notifications.is_empty());
}

#[actix_web::test]
async fn what_cannot_be_stored_is_503_so_that_it_is_sent_again() {
    let gateway = Gateway::new();
    gateway.store.break_it();
    let answered = gateway.post("/alert", &body(&[])).await;
    assert_eq!(answered.status, 503);
    assert!(!answered.text().contains("secret"), "{}", answered.text());
}

#[actix_web::test]
async fn a_large_webhook_is_accepted() {
    let gateway = Gateway::new();
    let alerts: Vec<Value> = (0..5_000)
        .map(|number| alert(&format!("{number:016x}"), "firing"))
        .collect();
    let body = body(&alerts);
    let answered = gateway.post("/alert", &body).await;
    assert_eq!(answered.json()["decisions"].as_array().map(Vec::len), Some(5_000));
}

#[actix_web::test]
async fn a_webhook_is_counted() {
    let gateway = Gateway::new();
    gateway.post("/alert", &body(&[alert("f1", "firing")])).await;
    let metrics = gateway.get("/metrics").await;
    let samples: BTreeMap<&str, &str> = metrics
        .text()
        .lines()
        .filter_map(|line| line.rsplit_once(' '))
        .collect();
    for name in [
        r#"healgate_notifications_total{sender="alertmanager"}"#,
        r#"healgate_alert_decisions_total{route="nginx-down",decision="queued"}"#,
        "healgate_webhook_duration_seconds_count",
    ] {
        assert_eq!(samples.get(name), Some(&"1"), "{name}");
    }
}

#[actix_web::test]
async fn grafanas_webhook_is_told_from_alertmanagers() {
    let gateway = Gateway::new();
    let sent =
        json!({ "version": "1", "orgId": 1, "state": "alerting", "alerts": [alert("f1", "firing")] }).to_string();
    let answered = gateway.post("/webhooks/grafana", &sent).await;
    assert_eq!(
        (answered.status.as_u16(), &answered.json()["decisions"][0]["decision"]),
        (202, &json!("queued"))
    );
    let uri = format!(
        "/api/v1/notifications/{}",
        answered.json()["notification"].as_str().unwrap()
    );
    assert_eq!(gateway.get(&uri).await.json()["sender"], "grafana");
    let metrics = gateway.get("/metrics").await;
    assert!(
        metrics
            .text()
            .contains("healgate_notifications_total{sender=\"grafana\"} 1")
    );
    for (path, other) in [("/webhooks/grafana", "4"), ("/webhooks/alertmanager", "1")] {
        let body = json!({ "version": other, "alerts": [] }).to_string();
        let answered = gateway.post(path, &body).await;
        assert_eq!(
            (answered.status.as_u16(), &answered.json()["errors"][0]["field"]),
            (400, &json!("version"))
        );
    }
}
