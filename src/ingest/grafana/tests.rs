//! What Grafana's webhook is.

use serde_json::json;

use super::*;
use crate::domain::alert::AlertStatus;
use crate::ingest::sender_of;

const FIRING: &[u8] = include_bytes!("../../../tests/fixtures/grafana/firing.json");
const RESOLVED: &[u8] = include_bytes!("../../../tests/fixtures/grafana/resolved.json");
const NO_DATA: &[u8] = include_bytes!("../../../tests/fixtures/grafana/no_data.json");

/// The message about a payload with that version.
fn refusal(version: &serde_json::Value) -> String {
    let payload = json!({ "version": version, "alerts": [] }).to_string();
    parse(payload.as_bytes()).unwrap_err().to_string()
}

#[test]
fn its_extra_fields_are_no_hindrance() {
    let notification = parse(FIRING).unwrap();
    assert_eq!(notification.sender, Sender::Grafana);
    assert_eq!(notification.group.receiver, "web.hook");
    assert_eq!(notification.truncated_alerts, 3);
    let [first, second] = notification.alerts.as_slice() else {
        panic!("{notification:?}");
    };
    assert_eq!((first.name(), first.status), ("NginxDown", AlertStatus::Firing));
    assert_eq!(first.starts_at.to_string(), "2026-01-31T09:00:40.123456Z");
    assert_eq!((first.ends_at, first.fingerprint.as_str()), (None, "c6eadffa33fcdf37"));
    assert!(first.generator_url.ends_with("/view?orgId=1"));
    assert_eq!(second.labels["container"], "edge-2");
}

#[test]
fn a_resolved_alert_has_its_end_and_no_data_has_no_values() {
    let resolved = parse(RESOLVED).unwrap();
    let ends_at = resolved.alerts[0].ends_at.unwrap();
    assert_eq!(ends_at.to_string(), "2026-01-31T09:04:50Z");
    let no_data = parse(NO_DATA).unwrap();
    assert_eq!(no_data.alerts[0].labels["rulename"], "NginxDown");
}

#[test]
fn alertmanagers_version_is_sent_to_its_own_path() {
    assert!(refusal(&json!("4")).ends_with("post to /webhooks/alertmanager"));
    assert!(refusal(&json!(4)).ends_with("post to /webhooks/alertmanager"));
    assert!(refusal(&json!("0")).contains("takes Grafana Alerting's webhook, version \"1\""));
    assert!(refusal(&json!("one")).contains("is not supported"));
    assert!(refusal(&json!([])).contains("such as \"1\""));
    for version in [json!("1"), json!(1), json!("2"), json!(null)] {
        let payload = json!({ "version": version, "alerts": [] }).to_string();
        assert!(parse(payload.as_bytes()).is_ok(), "{version}");
    }
}

#[test]
fn the_sender_of_a_payload_is_told_by_its_version() {
    assert_eq!(sender_of(FIRING), Sender::Grafana);
    // What its webhook takes, a later version too.
    for own in [
        r#"{"version":1}"#,
        r#"{"version":"2","orgId":1}"#,
        r#"{"version":"5","orgId":1}"#,
    ] {
        assert_eq!(sender_of(own.as_bytes()), Sender::Grafana, "{own}");
    }
    for other in [
        r#"{"version":"4"}"#,
        r#"{"version":"4","orgId":1}"#,
        r#"{"version":"5"}"#,
        r#"{"version":"3"}"#,
        r#"{"version":"0"}"#,
        "{}",
        "nonsense",
        r#"{"version":[]}"#,
    ] {
        assert_eq!(sender_of(other.as_bytes()), Sender::Alertmanager, "{other}");
    }
}
