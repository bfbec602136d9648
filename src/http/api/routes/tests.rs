//! Routes with guards and heartbeats as they are listed.

use serde_json::json;

use crate::domain::heartbeat::{Heartbeat, Pulse};
use crate::domain::matcher::Matcher;
use crate::domain::span::Span;
use crate::http::auth::Access;
use crate::http::fake::{Gateway, now, route, tokens};

#[actix_web::test]
async fn a_route_shows_its_guards_and_whether_its_heartbeat_comes() {
    let mut watchdog = route("watchdog");
    watchdog.playbook = None;
    watchdog.unless = vec![Matcher::parse("env=staging").unwrap()];
    watchdog.heartbeat = Some(Heartbeat {
        every: Span::from_secs(300),
        grace: None,
    });
    let access = Access {
        tokens: tokens(),
        ..Access::default()
    };
    let gateway = Gateway::with(access, vec![watchdog, route("other")]);
    let shown = gateway.get("/api/v1/routes").await.json();
    let never = json!({ "every": "5m", "grace_seconds": 150, "last_received_at": null, "missed_since": null });
    assert_eq!(shown["items"][0]["heartbeat"], never);
    assert_eq!(shown["items"][0]["unless"], json!(["env=\"staging\""]));
    assert_eq!(
        (&shown["items"][0]["playbook"], &shown["items"][1]["heartbeat"]),
        (&json!(null), &json!(null))
    );

    gateway.store.state().pulses = vec![Pulse {
        route: "watchdog".to_owned(),
        watched_since: now(),
        last_received_at: Some(now()),
        missed_since: Some(now()),
    }];
    let shown = gateway.get("/api/v1/routes").await.json();
    let heartbeat = &shown["items"][0]["heartbeat"];
    assert_eq!(heartbeat["last_received_at"], "2026-01-31T09:00:00Z");
    assert_eq!(heartbeat["missed_since"], "2026-01-31T09:00:00Z");
    let metrics = gateway.get("/metrics").await;
    assert!(
        metrics
            .text()
            .contains("healgate_heartbeat_last_seconds{route=\"watchdog\"} 0"),
        "{}",
        metrics.text()
    );
    assert!(
        metrics
            .text()
            .contains("healgate_heartbeat_missed{route=\"watchdog\"} 1")
    );
    // One that is not waited for any more has no samples.
    gateway.store.state().pulses.clear();
    let metrics = gateway.get("/metrics").await;
    assert!(!metrics.text().contains("route=\"watchdog\""));
}
