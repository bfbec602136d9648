//! What Alertmanager's webhook is, and what is wrong with what is none.

use std::fmt::Write as _;

use proptest::prelude::{any, proptest};
use serde_json::{Value, json};

use super::*;
use crate::domain::alert::{AlertStatus, Group};

const MIXED: &[u8] = include_bytes!("../../../tests/fixtures/alertmanager/mixed_group.json");

fn alert() -> Value {
    json!({
        "status": "firing",
        "labels": { "alertname": "NginxDown" },
        "startsAt": "2026-01-31T09:00:00.5Z",
        "fingerprint": "8e3f9b0c7d1a2b4c",
    })
}

fn read(payload: &Value) -> Result<Notification, InvalidPayload> {
    parse(payload.to_string().as_bytes())
}

/// The errors, one a line.
fn errors(payload: &[u8]) -> String {
    let mut text = String::new();
    for error in parse(payload).unwrap_err().errors {
        writeln!(text, "{}: {}", error.field, error.message).unwrap();
    }
    text
}

#[test]
fn the_fingerprint_of_labels_is_the_one_that_alertmanager_sends() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/alertmanager");
    let mut seen = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        // The mixed group is written by hand.
        if path.extension().is_none_or(|extension| extension != "json") || path.ends_with("mixed_group.json") {
            continue;
        }
        for alert in parse(&std::fs::read(&path).unwrap()).unwrap().alerts {
            let ours = crate::domain::alert::fingerprint(&alert.labels);
            assert_eq!(ours, alert.fingerprint, "{}", path.display());
            seen += 1;
        }
    }
    assert!(seen > 2_000, "{seen}");
    let labels = |pairs: &[(&str, &str)]| pairs.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect();
    // One without a value is none.
    assert_eq!(
        crate::domain::alert::fingerprint(&labels(&[("a", "b"), ("c", "")])),
        crate::domain::alert::fingerprint(&labels(&[("a", "b")]))
    );
}

#[test]
fn a_mixed_group_is_read_as_sent() {
    let notification = parse(MIXED).unwrap();
    assert_eq!(notification.group.receiver, "web.hook");
    assert_eq!(notification.truncated_alerts, 7);
    let [firing, resolved] = notification.alerts.as_slice() else {
        panic!("{notification:?}");
    };
    assert_eq!((firing.status, firing.ends_at), (AlertStatus::Firing, None));
    assert_eq!(resolved.status, AlertStatus::Resolved);
    assert_eq!(resolved.ends_at.unwrap().to_string(), "2026-01-31T09:04:10.123Z");
    assert_eq!(resolved.name(), "NginxDown");
}

#[test]
fn what_newer_or_custom_payloads_leave_out_is_not_missed() {
    let notification = read(&json!({ "alerts": [alert()] })).unwrap();
    assert_eq!(notification.group, Group::default());
    assert!(notification.alerts[0].annotations.is_empty());
    for empty in [Value::Null, json!({})] {
        let mut alert = alert();
        alert["annotations"] = empty.clone();
        alert["endsAt"] = Value::Null;
        let payload = json!({ "version": null, "commonLabels": empty, "receiver": null, "alerts": [alert] });
        assert_eq!(read(&payload).unwrap().alerts.len(), 1, "{payload}");
    }
}

#[test]
fn no_alerts_and_no_labels_are_fine() {
    assert!(read(&json!({ "alerts": [] })).unwrap().alerts.is_empty());
    let mut alert = alert();
    alert["labels"] = json!({});
    assert_eq!(read(&json!({ "alerts": [alert] })).unwrap().alerts[0].name(), "");
}

#[test]
fn version_4_and_newer_are_taken() {
    for version in [json!("4"), json!("5"), json!(4), json!("12")] {
        assert!(
            read(&json!({ "version": version, "alerts": [] })).is_ok(),
            "{version} was refused"
        );
    }
}

#[test]
fn a_fingerprint_is_taken_as_sent_up_to_128_characters() {
    let mut long = alert();
    long["fingerprint"] = json!("é".repeat(128));
    assert!(read(&json!({ "alerts": [long.clone()] })).is_ok());
    long["fingerprint"] = json!("é".repeat(129));
    assert!(read(&json!({ "alerts": [long] })).is_err());
}

#[test]
fn everything_wrong_with_a_payload_is_named() {
    let payload = json!({
        "version": 4, "groupKey": 7, "commonLabels": [], "truncatedAlerts": -1,
        "alerts": [
            alert(),
            {},
            "text",
            { "status": "pending", "labels": { "a": 1 }, "annotations": { "b": null }, "startsAt": "yesterday",
              "endsAt": "soon", "fingerprint": "", "generatorURL": false },
            { "status": 1, "labels": null, "annotations": [], "startsAt": 5, "endsAt": 6, "fingerprint": 7 },
            ["firing", {}, {}, "2026-01-31T09:00:00Z", null, "f"],
        ],
    });
    insta::assert_snapshot!(errors(payload.to_string().as_bytes()));
}

#[test]
fn what_is_no_webhook_at_all_is_named() {
    let mut all = String::new();
    for body in [
        "",
        "{",
        "\u{feff}{}",
        "nonsense",
        "null",
        "[]",
        "{}",
        r#"{"alerts": null}"#,
        r#"{"alerts": {}}"#,
        r#"{"version": "1", "alerts": []}"#,
        r#"{"version": "3", "alerts": []}"#,
        r#"{"version": "four", "alerts": []}"#,
        r#"{"version": 4.5, "alerts": []}"#,
        r#"{"version": [], "alerts": []}"#,
        r#"{"alerts": [], "alerts": []}"#,
        r#"["4", "", 0, "", {}, {}, "", []]"#,
    ] {
        write!(all, "{body:?} → {}", errors(body.as_bytes())).unwrap();
    }
    insta::assert_snapshot!(all);
}

#[test]
fn no_more_than_20_errors_are_listed() {
    let refused = read(&json!({ "alerts": vec![json!({}); 30] })).unwrap_err();
    assert_eq!((refused.errors.len(), refused.found), (20, 120));
}

#[test]
fn a_group_of_20_000_alerts_is_read() {
    let alerts: Vec<Value> = (0..20_000)
        .map(|number| {
            let mut alert = alert();
            alert["fingerprint"] = json!(format!("{number:016x}"));
            alert
        })
        .collect();
    assert_eq!(read(&json!({ "alerts": alerts })).unwrap().alerts.len(), 20_000);
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic(bytes in any::<Vec<u8>>()) {
        if let Err(refused) = parse(&bytes) {
            assert!(!refused.errors.is_empty());
        }
    }

    #[test]
    fn no_part_of_a_payload_makes_it_panic(end in 0..MIXED.len(), at in 0..MIXED.len(), byte in any::<u8>()) {
        let _ = parse(&MIXED[..end]);
        let mut changed = MIXED.to_vec();
        changed[at] = byte;
        if let Err(refused) = parse(&changed) {
            assert!(!refused.errors.is_empty());
        }
    }
}
