//! The shape of the statistics, and what may be asked.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::json;

use crate::domain::ids::Fingerprint;
use crate::http::fake::{Gateway, now};
use crate::store::read::{Percentiles, RepeatOffender, Statistics, Tally};

fn tally(name: &str, counts: [u64; 4], healed: u64) -> Tally {
    let [jobs, succeeded, failed, judged] = counts;
    Tally {
        name: name.to_owned(),
        jobs,
        succeeded,
        failed,
        judged,
        reasons: BTreeMap::from([("healed".to_owned(), healed)]),
        time_to_heal: (healed > 0).then_some(Percentiles {
            p50: Duration::from_millis(1_500),
            p95: Duration::from_secs(90),
        }),
    }
}

#[actix_web::test]
async fn rates_are_shares_or_null() {
    let gateway = Gateway::new();
    gateway.store.state().statistics = Statistics {
        routes: vec![tally("nginx-down", [5, 3, 1, 3], 2), tally("new", [1, 0, 0, 0], 0)],
        playbooks: vec![tally("restart", [6, 0, 4, 4], 0)],
        targets: Vec::new(),
        repeat_offenders: vec![RepeatOffender {
            fingerprint: Fingerprint::parse("f1").unwrap(),
            alertname: "NginxDown".to_owned(),
            target: Some("container/nginx".to_owned()),
            episodes: 4,
            jobs: 3,
        }],
    };
    let shown = gateway.get("/api/v1/stats?window=12h").await.json();
    assert_eq!(
        shown["routes"][0],
        json!({
            "name": "nginx-down", "jobs": 5, "reasons": { "healed": 2 }, "success_rate": 0.75,
            "healed_rate": 2.0 / 3.0, "time_to_heal_seconds": { "p50": 1.5, "p95": 90.0 },
        })
    );
    let new = &shown["routes"][1];
    assert_eq!(
        (&new["success_rate"], &new["healed_rate"]),
        (&json!(null), &json!(null))
    );
    assert_eq!(new["time_to_heal_seconds"], json!({ "p50": null, "p95": null }));
    assert_eq!(shown["playbooks"][0]["success_rate"], json!(0.0));
    assert_eq!((&shown["window"], &shown["targets"]), (&json!("12h"), &json!([])));
    assert_eq!(
        shown["repeat_offenders"][0],
        json!({ "fingerprint": "f1", "alertname": "NginxDown", "target": "container/nginx", "episodes": 4, "jobs": 3 })
    );
    assert_eq!(
        gateway.store.state().counted_since,
        [now() - Duration::from_secs(12 * 3_600)]
    );
}

#[actix_web::test]
async fn a_week_is_counted_where_nothing_is_said() {
    let gateway = Gateway::new();
    assert_eq!(gateway.get("/api/v1/stats").await.json()["window"], "7d");
    assert_eq!(
        gateway.store.state().counted_since,
        [now() - Duration::from_secs(7 * 86_400)]
    );
    for query in [
        "window=0s",
        "window=a",
        "window=",
        "window=367d",
        "window=1d&window=2d",
        "since=1d",
    ] {
        assert_eq!(
            gateway.get(&format!("/api/v1/stats?{query}")).await.status,
            400,
            "{query}"
        );
    }
}

#[actix_web::test]
async fn the_window_is_shown_as_it_was_asked_for() {
    for window in ["24h", "90m", "1d"] {
        let shown = Gateway::new().get(&format!("/api/v1/stats?window={window}")).await;
        assert_eq!(shown.json()["window"], window);
    }
}
