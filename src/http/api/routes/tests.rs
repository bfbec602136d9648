//! Routes as they are listed: with all that remediations.yml says about them.

use serde_json::json;

use crate::domain::attempt::Outcome;
use crate::domain::heartbeat::{Heartbeat, Pulse};
use crate::domain::matcher::Matcher;
use crate::domain::route::OnResolved;
use crate::domain::rules::{BreakerRule, Cap, FlapRule, Retry, StormRule};
use crate::domain::span::Span;
use crate::http::auth::Access;
use crate::http::fake::{FakeCatalogue, Gateway, now, route, tokens};

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

#[actix_web::test]
async fn a_route_shows_every_rule_that_it_has_and_those_for_all_routes_are_shown_beside_it() {
    let minutes = |n: u64| Span::from_secs(n * 60);
    let rule = BreakerRule {
        failures: 5,
        within: minutes(30),
        pause: minutes(60),
    };
    let mut full = route("full");
    full.on_resolved = OnResolved::Run("recreate".to_owned());
    full.approval_expires = minutes(10);
    full.cooldown = minutes(5);
    full.caps = vec![Cap {
        jobs: 3,
        per: minutes(60),
    }];
    full.retry = Some(Retry {
        attempts: 3,
        backoff: Span::from_secs(10),
        max_backoff: minutes(5),
        outcomes: vec![Outcome::HostsFailed, Outcome::HostsUnreachable],
    });
    full.otherwise = vec!["recreate".to_owned()];
    full.breaker = Some(rule);
    full.flap = Some(FlapRule {
        times: 3,
        within: minutes(60),
    });
    full.at_once = Some(2);
    let mut gateway = Gateway::with(
        Access {
            tokens: tokens(),
            ..Access::default()
        },
        Vec::new(),
    );
    let storm = StormRule {
        jobs: 100,
        within: minutes(5),
    };
    let mut catalogue = FakeCatalogue::of(vec![full, route("plain")]);
    (catalogue.fleet.storm, catalogue.fleet.breaker) = (Some(storm), Some(rule));
    gateway.app.catalogue = std::sync::Arc::new(catalogue);

    let shown = gateway.get("/api/v1/routes?limit=1").await.json();
    let breaker = json!({"failures": 5, "within": "30m", "pause": "1h"});
    assert_eq!(
        gateway.get("/api/v1/rules").await.json(),
        json!({"storm": {"jobs": 100, "within": "5m"}, "breaker": breaker})
    );
    let full = &shown["items"][0];
    for (key, value) in [
        ("on_resolved", json!({"run": "recreate"})),
        ("approval", json!({"expires": "10m"})),
        ("cooldown", json!("5m")),
        ("caps", json!(["3 per 1h"])),
        (
            "retry",
            json!({"attempts": 3, "backoff": "10s", "max_backoff": "5m", "outcomes": ["unreachable", "failed"]}),
        ),
        ("otherwise", json!(["recreate"])),
        ("breaker", breaker),
        ("flap", json!({"times": 3, "within": "1h"})),
        ("at_once", json!(2)),
    ] {
        assert_eq!(full[key], value, "{key}");
    }
    let cursor = shown["next_cursor"].as_str().unwrap();
    let next = gateway.get(&format!("/api/v1/routes?cursor={cursor}")).await.json();
    assert_eq!(next["items"][0]["name"], "plain");
    assert_eq!(next["items"][0]["on_resolved"], "ignore");
}
