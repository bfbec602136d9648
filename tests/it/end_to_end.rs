//! The demo's loop with the real Prometheus, Alertmanager, blackbox exporter, nginx and Ansible.
#![expect(clippy::disallowed_methods, reason = "starts the demo as its users do")]

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use serde_json::Value;
use tokio::process::Command;

/// The demo has a limit for each of its stages; this one is for a demo that hangs.
const LIMIT: Duration = Duration::from_secs(300);

/// Runs the demo and answers with its stages: name → what it said.
async fn story() -> (Vec<String>, BTreeMap<String, Value>, String) {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let demo = Command::new("python3")
        .arg(root.join("scripts/demo.py"))
        .args(["--json", "--gateway", env!("CARGO_BIN_EXE_healgate")])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let ended = tokio::time::timeout(LIMIT, demo.wait_with_output())
        .await
        .expect("the demo hangs")
        .unwrap();
    let told = String::from_utf8_lossy(&ended.stdout).into_owned();
    assert!(
        ended.status.success(),
        "{told}\n{}",
        String::from_utf8_lossy(&ended.stderr)
    );
    let (mut order, mut stages) = (Vec::new(), BTreeMap::new());
    for line in told.lines() {
        let stage: Value = serde_json::from_str(line).unwrap();
        let name = stage["stage"].as_str().unwrap().to_owned();
        // A stage that comes more than once, such as a line of output, is taken at its first time.
        stages.entry(name.clone()).or_insert_with(|| {
            order.push(name);
            stage
        });
    }
    (order, stages, told)
}

#[tokio::test]
async fn a_real_alert_heals_a_real_nginx() {
    let (order, stages, told) = story().await;
    for stage in [
        "killed",
        "probe_failed",
        "firing",
        "alertmanager",
        "notified",
        "queued",
        "running",
        "output",
    ] {
        assert!(stages.contains_key(stage), "no stage {stage}: {told}");
    }
    let at = |name: &str| {
        order
            .iter()
            .position(|stage| stage == name)
            .unwrap_or_else(|| panic!("no {name}: {told}"))
    };
    assert!(
        at("killed") < at("firing") && at("firing") < at("ran") && at("ran") < at("job_healed"),
        "{order:?}"
    );
    assert_eq!(stages["ran"]["host_stats"]["localhost"]["failed"], 0);
    assert_eq!(stages["job_healed"]["reason"], "healed");
    assert_eq!(order.last().unwrap(), "healed");
    // What the playbook printed was told while it ran, not afterwards.
    assert!(at("output") < at("ran"), "{order:?}");
}
