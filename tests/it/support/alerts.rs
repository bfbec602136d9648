//! Alertmanager's notifications, as the real one writes them.

use serde_json::{Value, json};

/// One alert to post.
#[derive(Clone, Debug)]
pub(crate) struct TestAlert {
    body: Value,
}

/// An alert that fires, with a fingerprint of its own.
pub(crate) fn firing(alertname: &str, fingerprint: &str) -> TestAlert {
    TestAlert {
        body: json!({
            "status": "firing",
            "labels": { "alertname": alertname, "instance": "localhost:8080", "severity": "critical" },
            "annotations": { "summary": "It is down" },
            "startsAt": "2026-01-31T09:00:00.123Z",
            "endsAt": "0001-01-01T00:00:00Z",
            "generatorURL": "http://prometheus.example/graph",
            "fingerprint": fingerprint,
        }),
    }
}

impl TestAlert {
    /// The same alert, resolved at that time.
    pub(crate) fn resolved(mut self, ends_at: &str) -> Self {
        self.body["status"] = "resolved".into();
        self.body["endsAt"] = ends_at.into();
        self
    }

    /// The same alert, begun at that time.
    pub(crate) fn since(mut self, starts_at: &str) -> Self {
        self.body["startsAt"] = starts_at.into();
        self
    }

    pub(crate) fn fingerprint(&self) -> &str {
        self.body["fingerprint"].as_str().unwrap()
    }

    /// With one more label.
    pub(crate) fn label(mut self, name: &str, value: &str) -> Self {
        self.body["labels"][name] = value.into();
        self
    }

    /// With one more annotation.
    pub(crate) fn annotation(mut self, name: &str, value: &str) -> Self {
        self.body["annotations"][name] = value.into();
        self
    }
}

/// A notification of these alerts.
pub(crate) fn notification(alerts: &[TestAlert]) -> Value {
    let fires = alerts.iter().any(|alert| alert.body["status"] == "firing");
    json!({
        "receiver": "healgate",
        "status": if fires { "firing" } else { "resolved" },
        "alerts": alerts.iter().map(|alert| alert.body.clone()).collect::<Vec<_>>(),
        "groupLabels": {},
        "commonLabels": {},
        "commonAnnotations": {},
        "externalURL": "http://alertmanager.example",
        "version": "4",
        "groupKey": "{}:{}",
        "truncatedAlerts": 0,
    })
}
