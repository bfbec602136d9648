//! What a job by hand is made of, and what is refused before anything is stored.

use serde_json::{Value, json};

use crate::domain::job::Trigger;
use crate::domain::span::Span;
use crate::http::fake::{Gateway, now};

#[actix_web::test]
async fn a_job_by_hand_has_what_was_given_and_waits_an_hour() {
    let gateway = Gateway::new();
    let body = json!({
        "playbook": "restart", "vars": {"container": "{{ x }}", "n": [1, null]}, "limit": "web1", "check": true,
        "alert": {"labels": {"alertname": "NginxDown"}, "annotations": {"summary": "down"}}
    });
    let answered = gateway.post("/api/v1/jobs", &body.to_string()).await;
    assert_eq!(answered.status, 201, "{}", answered.text());
    let shown = answered.json();
    assert_eq!(
        answered.header("location"),
        format!("/api/v1/jobs/{}", shown["id"].as_str().unwrap())
    );
    assert_eq!(shown["changes"], Value::Null);
    let new = gateway.store.state().inserted.remove(0);
    assert_eq!((new.trigger, new.route), (Trigger::Manual, None));
    assert_eq!(new.triggered_by, "admin");
    assert_eq!(
        new.parameters.vars,
        *json!({"container": "{{ x }}", "n": [1, null]}).as_object().unwrap()
    );
    assert_eq!(new.parameters.limit.unwrap().as_str(), "web1");
    assert!(new.parameters.check);
    assert_eq!(new.expires_at, now() + Span::from_secs(3_600).duration());
    let alert = new.alert.unwrap();
    assert_eq!((alert.name(), alert.starts_at), ("NginxDown", now()));
    let by_hand = new.by_hand.unwrap();
    assert_eq!(by_hand.overrides.vars.len(), 2);
}

#[actix_web::test]
async fn a_job_by_hand_is_verified_as_the_route_of_its_alert_would_be() {
    let alert = json!({"labels": {"alertname": "NginxDown"}});
    for (body, expected) in [
        (
            json!({"playbook": "restart", "alert": alert}),
            Some(Span::from_secs(120)),
        ),
        // The route leads to another playbook.
        (json!({"playbook": "recreate", "alert": alert}), None),
        (json!({"playbook": "restart"}), None),
    ] {
        let gateway = Gateway::new();
        assert_eq!(gateway.post("/api/v1/jobs", &body.to_string()).await.status, 201);
        let new = gateway.store.state().inserted.remove(0);
        assert_eq!(new.resolved_within, expected, "{body}");
    }
}

#[actix_web::test]
async fn what_is_wrong_is_named_by_its_field_and_nothing_is_stored() {
    let gateway = Gateway::new();
    for (body, status, field) in [
        ("", 400, ""),
        ("[\"restart\"]", 400, ""),
        ("null", 400, ""),
        ("{}", 400, "playbook"),
        (r#"{"playbook": ""}"#, 400, "playbook"),
        (r#"{"playbook": null}"#, 400, "playbook"),
        (r#"{"playbook": "gone"}"#, 409, "playbook"),
        (r#"{"playbook": "restart", "hosts": "failed"}"#, 400, "hosts"),
        (r#"{"playbook": "restart", "vars": [1]}"#, 400, "vars"),
        (r#"{"playbook": "restart", "vars": null}"#, 400, "vars"),
        (r#"{"playbook": "restart", "limit": ["web1"]}"#, 400, "limit"),
        (r#"{"playbook": "restart", "limit": "all"}"#, 400, "limit"),
        (r#"{"playbook": "restart", "limit": ""}"#, 400, "limit"),
        (r#"{"playbook": "restart", "check": 1}"#, 400, "check"),
        (r#"{"playbook": "restart", "alert": [{}, {}]}"#, 400, "alert"),
        (
            r#"{"playbook": "restart", "alert": {"fingerprint": "x"}}"#,
            400,
            "alert.fingerprint",
        ),
        (
            r#"{"playbook": "restart", "alert": {"labels": {"n": 1}}}"#,
            400,
            "alert.labels.n",
        ),
        (
            r#"{"playbook": "restart", "alert": {"labels": {"refuse": "x"}}}"#,
            400,
            "playbook",
        ),
    ] {
        let answered = gateway.post("/api/v1/jobs", body).await;
        assert_eq!(answered.status, status, "{body}");
        assert_eq!(
            answered.json()["errors"][0]["field"],
            field,
            "{body}: {}",
            answered.text()
        );
    }
    let near = gateway.post("/api/v1/jobs", r#"{"playbook": "restrat"}"#).await.json();
    assert_eq!(
        near["detail"],
        "the catalogue has no playbook \"restrat\" (did you mean `restart`?)"
    );
    assert!(gateway.store.state().inserted.is_empty());
}
