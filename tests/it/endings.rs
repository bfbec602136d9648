//! Every way in which a playbook can end, told apart.

use serde_json::{Value, json};

use crate::support::alerts::firing;
use crate::support::folder::Folder;
use crate::support::gateway::Gateway;

/// Runs the playbook to its end and answers with status, reason, and what the attempt says.
async fn ending(folder: &Folder) -> Value {
    let gateway = Gateway::start(folder).await;
    let job = gateway.queue(firing("Down", "f1")).await;
    let job = gateway.until_finished(&job).await;
    let attempt = &job["attempts"][0];
    json!({
        "status": job["status"],
        "reason": job["reason"],
        "outcome": attempt["outcome"],
        "exit_code": attempt["exit_code"],
        "message": attempt["message"],
    })
}

async fn scripted(script: &str) -> Value {
    let folder = Folder::new();
    folder.write("fix.yml", script);
    ending(&folder).await
}

#[tokio::test]
async fn a_run_that_ended_well_on_a_host_has_succeeded() {
    let ended = scripted("ok()").await;
    assert_eq!(
        (&ended["status"], &ended["outcome"]),
        (&"succeeded".into(), &"ok".into())
    );
}

#[tokio::test]
async fn a_run_that_processed_no_host_is_no_success() {
    for script in ["stats()\nend(0)", "say('skipping: no hosts matched')\nstats()\nend(0)"] {
        let ended = scripted(script).await;
        assert_eq!(
            (&ended["status"], &ended["reason"]),
            (&"failed".into(), &"no_hosts_matched".into()),
            "{script}"
        );
    }
}

#[tokio::test]
async fn exit_code_zero_without_any_recap_is_no_success() {
    let ended = scripted("end(0)").await;
    assert_eq!(
        (&ended["status"], &ended["reason"]),
        (&"failed".into(), &"playbook_error".into())
    );
}

#[tokio::test]
async fn failed_and_unreachable_hosts_are_told_apart_whatever_the_exit_code() {
    for (script, reason) in [
        ("stats(web1={'failures': 1})\nend(2)", "hosts_failed"),
        ("stats(web1={'unreachable': 1})\nend(4)", "hosts_unreachable"),
        (
            "stats(web1={'failures': 1}, web2={'unreachable': 1})\nend(4)",
            "hosts_failed",
        ),
        (
            "stats(web1={'ok': 3, 'rescued': 1}, web2={'ok': 1, 'ignored': 1})\nend(0)",
            "unverified",
        ),
    ] {
        assert_eq!(scripted(script).await["reason"], reason, "{script}");
    }
}

#[tokio::test]
async fn exit_code_4_without_a_recap_is_an_error_of_the_playbook() {
    let ended = scripted("say('ERROR! Syntax Error while loading YAML.')\nend(4)").await;
    assert_eq!(ended["reason"], "playbook_error");
    assert!(
        ended["message"]
            .as_str()
            .unwrap()
            .contains("Syntax Error while loading YAML"),
        "{ended}"
    );
}

#[tokio::test]
async fn a_playbook_killed_by_a_signal_says_so() {
    let ended = scripted("os.kill(os.getpid(), 9)").await;
    assert_eq!(ended["reason"], "playbook_error");
    assert!(ended["message"].as_str().unwrap().contains("SIGKILL"), "{ended}");
}

#[tokio::test]
async fn a_run_that_takes_too_long_is_timed_out_and_says_so_in_its_log() {
    let folder = Folder::new();
    let remediations = folder
        .read("remediations.yml")
        .replace("path: fix.yml", "path: fix.yml\n    timeout: 1s");
    folder.write("remediations.yml", &remediations);
    folder.write("fix.yml", "say('working')\nwait_for('/never')");
    let gateway = Gateway::start(&folder).await;
    let job = gateway.queue(firing("Down", "f1")).await;
    let ended = gateway.until_finished(&job).await;
    assert_eq!(
        (&ended["status"], &ended["reason"]),
        (&"failed".into(), &"timed_out".into())
    );
    let log = gateway.log_of(&job).await;
    assert!(log.starts_with("working\n") && log.contains("time limit"), "{log}");
}

#[tokio::test]
async fn a_command_that_cannot_be_started_fails_with_its_name() {
    let folder = Folder::new();
    folder.settings_for("./no-such-command", "");
    let ended = ending(&folder).await;
    assert_eq!(
        (&ended["status"], &ended["reason"]),
        (&"failed".into(), &"start_failed".into())
    );
    assert!(
        ended["message"].as_str().unwrap().contains("no-such-command"),
        "{ended}"
    );
}

#[tokio::test]
async fn a_canceled_run_stops_and_says_who_wanted_that() {
    let folder = Folder::new();
    folder.write("fix.yml", "say('working')\nwait_for('/never')");
    let gateway = Gateway::start(&folder).await;
    let job = gateway.queue(firing("Down", "f1")).await;
    gateway.until_status(&job, "running").await;
    let answer = gateway.post(&format!("/api/v1/jobs/{job}/cancel")).await;
    assert_eq!(answer.status(), 202);
    let ended = gateway.until_finished(&job).await;
    assert_eq!(
        (&ended["status"], &ended["reason"]),
        (&"canceled".into(), &"canceled".into())
    );
    assert!(gateway.log_of(&job).await.contains("anonymous"));
    assert!(
        folder
            .processes()
            .iter()
            .all(|(pid, _)| *pid == i32::try_from(gateway.pid()).unwrap())
    );
    assert_eq!(gateway.post(&format!("/api/v1/jobs/{job}/cancel")).await.status(), 409);
}
