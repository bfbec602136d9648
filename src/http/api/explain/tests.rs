//! What is explained, and what a reload says.

use std::collections::HashMap;

use serde_json::{Value, json};

use crate::domain::ids::Fingerprint;
use crate::domain::pause::{Breaker, Pause, Scope};
use crate::domain::policy::Heal;
use crate::domain::route::Mode;
use crate::domain::rules::FlapRule;
use crate::domain::span::Span;
use crate::http::auth::Access;
use crate::http::fake::{Gateway, now, route, tokens};
use crate::remediations::ReloadError;

fn gateway() -> Gateway {
    let mut first = route("first");
    first.goes_on = true;
    first.mode = Mode::Observe;
    let access = Access {
        tokens: tokens(),
        ..Access::default()
    };
    Gateway::with(access, vec![first, route("second"), route("third")])
}

fn body(labels: &Value, status: &str) -> String {
    let alert = json!({
        "status": status, "labels": labels, "startsAt": "2026-01-31T08:59:00Z", "fingerprint": "f1",
    });
    json!({ "alerts": [alert] }).to_string()
}

#[actix_web::test]
async fn every_route_is_explained_and_nothing_is_done() {
    let gateway = gateway();
    let body = body(&json!({ "alertname": "NginxDown" }), "firing");
    let answered = gateway.post("/api/v1/explain", &body).await;
    assert_eq!(answered.status, 200);
    insta::assert_json_snapshot!(answered.json());
    let state = gateway.store.state();
    assert!(state.jobs.is_empty() && state.notifications.is_empty());
}

#[actix_web::test]
async fn what_would_run_is_shown_also_for_a_resolved_alert_and_not_for_a_refused_one() {
    let gateway = gateway();
    let resolved = gateway
        .post("/api/v1/explain", &body(&json!({}), "resolved"))
        .await
        .json();
    let route = &resolved["items"][0]["routes"][0];
    assert_eq!(route["decision"], "resolved");
    assert_eq!(route["argv"], json!(["ansible-playbook", "playbooks/restart.yml"]));
    let refused = body(&json!({ "refuse": "yes" }), "firing");
    let refused = gateway.post("/api/v1/explain", &refused).await.json();
    let route = &refused["items"][0]["routes"][0];
    assert_eq!((&route["decision"], &route["argv"]), (&json!("refused"), &Value::Null));
    assert_eq!(route["reason"], "the label asks for it");
}

#[actix_web::test]
async fn pauses_and_breakers_are_shown_also_where_nothing_would_run() {
    let gateway = gateway();
    let breaker = |scope: Scope, is_over: bool| Breaker {
        scope,
        reason: "5 jobs failed".to_owned(),
        opened_at: now(),
        until: is_over.then(now),
        trial: None,
    };
    let pause = Pause {
        scope: Scope::Route("third".to_owned()),
        comment: None,
        by: "ada".to_owned(),
        since: now(),
    };
    gateway.store.state().pauses = vec![pause];
    gateway.store.state().breakers = vec![
        breaker(Scope::All, true),
        breaker(Scope::Route("first".to_owned()), false),
    ];
    // Nothing is rendered for the one, and nothing reaches the third route.
    let refused = body(&json!({ "refuse": "yes" }), "firing");
    let explained = gateway.post("/api/v1/explain", &refused).await.json();
    let routes = explained["items"][0]["routes"].as_array().unwrap();
    let shown: Vec<_> = routes
        .iter()
        .map(|route| (&route["paused"], &route["breaker"]))
        .collect();
    assert_eq!(
        shown,
        [
            (&json!(false), &json!("open")),
            (&json!(false), &json!("half_open")),
            (&json!(true), &json!("half_open"))
        ]
    );
    assert!(routes.iter().all(|route| route["argv"].is_null()));
}

#[actix_web::test]
async fn of_an_alert_that_flaps_the_rung_is_shown_that_would_run() {
    let mut flapping = route("first");
    flapping.flap = Some(FlapRule {
        times: 1,
        within: Span::from_secs(3_600),
    });
    flapping.otherwise = vec!["recreate".to_owned()];
    let access = Access {
        tokens: tokens(),
        ..Access::default()
    };
    let gateway = Gateway::with(access, vec![flapping.clone()]);
    let key = (Fingerprint::parse("f1").unwrap(), "first".to_owned());
    let heal = Heal {
        at: now(),
        playbook: flapping.playbook.unwrap(),
    };
    gateway.store.state().heals = HashMap::from([(key, vec![heal])]);
    let body = body(&json!({ "alertname": "NginxDown" }), "firing");
    let explained = gateway.post("/api/v1/explain", &body).await.json();
    let route = &explained["items"][0]["routes"][0];
    assert_eq!(
        (&route["decision"], &route["playbook"]),
        (&json!("queued"), &json!("recreate"))
    );
    assert!(route["reason"].as_str().unwrap().contains("flaps"), "{route}");
}

#[actix_web::test]
async fn what_is_no_webhook_cannot_be_explained() {
    assert_eq!(gateway().post("/api/v1/explain", "{}").await.status, 400);
}

#[actix_web::test]
async fn a_reload_says_what_it_did_or_what_is_wrong() {
    let mut gateway = gateway();
    let done = gateway.post("/api/v1/reload", "").await;
    assert_eq!(
        done.json(),
        json!({ "summary": "2 playbooks and 1 route are in force" })
    );
    gateway.refuse_reload(vec![ReloadError {
        file: "remediations.yml".to_owned(),
        line: 3,
        column: 5,
        message: "unknown key `playbok`".to_owned(),
    }]);
    let refused = gateway.post("/api/v1/reload", "").await;
    assert_eq!(refused.status, 422);
    let errors = json!([{ "field": "remediations.yml:3:5", "message": "unknown key `playbok`" }]);
    assert_eq!(refused.json()["errors"], errors);
}
