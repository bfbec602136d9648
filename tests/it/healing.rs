//! From an alert to a healed service: what is decided, run, verified and told.

use serde_json::Value;

use crate::support::alerts::firing;
use crate::support::folder::{FIX, Folder};
use crate::support::gateway::Gateway;
use crate::support::wait::until;

const RESOLVED_AT: &str = "2026-01-31T09:05:00Z";

const VERIFIED: &str = r#"
playbooks:
  fix:
    path: fix.yml
    lock: service/nginx
routes:
  - name: down
    matchers: ['alertname="Down"']
    playbook: fix
    verify: { resolved_within: 1h }
"#;

/// The history of a job, one word an entry.
async fn history(gateway: &Gateway, job: &str) -> Vec<String> {
    let events = gateway.get(&format!("/api/v1/jobs/{job}/events")).await;
    events["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|event| event["event"].as_str().unwrap().to_owned())
        .collect()
}

#[tokio::test]
async fn an_alert_runs_its_playbook_once_and_is_healed_when_it_resolves() {
    let folder = Folder::new();
    folder.write("remediations.yml", VERIFIED);
    let gateway = Gateway::start(&folder).await;

    let job = gateway.queue(firing("Down", "f1")).await;
    let verifying = gateway.until_status(&job, "verifying").await;
    assert_eq!(verifying["finished_at"], Value::Null);
    assert_eq!(verifying["target"], "service/nginx");

    let again = gateway.alert(&[firing("Down", "f1")]).await;
    assert_eq!(
        (&again[0]["decision"], &again[0]["job"]),
        (&"attached".into(), &job.as_str().into())
    );

    gateway.alert(&[firing("Down", "f1").resolved(RESOLVED_AT)]).await;
    let healed = gateway.job(&job).await;
    assert_eq!(
        (&healed["status"], &healed["reason"]),
        (&"succeeded".into(), &"healed".into())
    );
    assert_eq!(healed["healed_at"], RESOLVED_AT);
    assert_eq!(healed["attempts"].as_array().unwrap().len(), 1);
    assert_eq!(gateway.log_of(&job).await, "fixed\n");
    insta::assert_compact_json_snapshot!(
        history(&gateway, &job).await,
        @r#"["queued", "claimed", "started", "ended", "verifying", "finished"]"#
    );
}

#[tokio::test]
async fn a_job_is_shaped_as_the_contract_says() {
    let folder = Folder::new();
    let gateway = Gateway::start(&folder).await;
    let job = gateway.queue(firing("Down", "f1")).await;
    let job = gateway.until_finished(&job).await;
    insta::assert_json_snapshot!(job, {
        ".id" => "[id]",
        ".**.started_at" => "[time]",
        ".**.finished_at" => "[time]",
        ".created_at" => "[time]",
        ".run_at" => "[time]",
        ".attempts[].worker" => "[worker]",
    });
}

#[tokio::test]
async fn an_alert_that_does_not_resolve_in_time_is_not_healed_and_a_late_resolve_is_noted() {
    let folder = Folder::new();
    folder.write("remediations.yml", &VERIFIED.replace("1h", "1s"));
    let gateway = Gateway::start(&folder).await;
    let job = gateway.queue(firing("Down", "f1")).await;
    let failed = gateway.until_finished(&job).await;
    assert_eq!(
        (&failed["status"], &failed["reason"]),
        (&"failed".into(), &"not_healed".into())
    );

    gateway.alert(&[firing("Down", "f1").resolved(RESOLVED_AT)]).await;
    let late = gateway.job(&job).await;
    assert_eq!(
        (&late["status"], &late["reason"]),
        (&"failed".into(), &"not_healed".into())
    );
    assert_eq!(
        (&late["healed_at"], &late["healed_late"]),
        (&RESOLVED_AT.into(), &true.into())
    );
}

#[tokio::test]
async fn a_job_that_waits_for_its_target_is_withdrawn_when_its_alert_resolves() {
    let folder = Folder::new();
    folder.write("remediations.yml", VERIFIED);
    folder.write("fix.yml", &format!("wait_for({:?})\n{FIX}", folder.path("go")));
    let gateway = Gateway::start(&folder).await;
    let first = gateway.queue(firing("Down", "f1")).await;
    gateway.until_status(&first, "running").await;
    let second = gateway.queue(firing("Down", "f2")).await;

    gateway.alert(&[firing("Down", "f2").resolved(RESOLVED_AT)]).await;
    let withdrawn = gateway.job(&second).await;
    assert_eq!(
        (&withdrawn["status"], &withdrawn["reason"]),
        (&"canceled".into(), &"resolved_meanwhile".into())
    );

    folder.write("go", "");
    gateway.until_status(&first, "verifying").await;
}

#[tokio::test]
async fn jobs_with_one_target_run_one_after_the_other_and_others_do_not_wait() {
    let folder = Folder::new();
    folder.write(
        "remediations.yml",
        &VERIFIED
            .replace("service/nginx", "'{{ alert.labels.service }}'")
            .replace("    verify: { resolved_within: 1h }\n", ""),
    );
    let busy = folder.path("busy-").display().to_string();
    // Fails where another run of the same target is under way.
    let guard = format!(
        "target = open(VARS).read().split('web-')[1][0]\nbusy = {busy:?} + target\n\
         os.close(os.open(busy, os.O_CREAT | os.O_EXCL))\ntime.sleep(0.05)\nos.unlink(busy)\n"
    );
    folder.write("fix.yml", &format!("{guard}{FIX}"));
    let gateway = Gateway::start(&folder).await;
    let mut jobs = Vec::new();
    for number in 0..8 {
        let service = format!("web-{}", number % 2);
        jobs.push(
            gateway
                .queue(firing("Down", &format!("f{number}")).label("service", &service))
                .await,
        );
    }
    for job in &jobs {
        let job = gateway.until_finished(job).await;
        assert_eq!(job["status"], "succeeded", "two runs met on one target: {job:#}");
    }
}

#[tokio::test]
async fn every_alert_of_a_notification_gets_its_decision_in_order() {
    let folder = Folder::new();
    folder.write(
        "remediations.yml",
        &format!(
            "{}  - name: refused\n    matchers: ['alertname=\"Broken\"']\n    playbook: strict\n",
            VERIFIED.replace(
                "playbooks:\n",
                "playbooks:\n  strict:\n    path: fix.yml\n    limit: '{{ alert.labels.host }}'\n"
            )
        ),
    );
    let gateway = Gateway::start(&folder).await;
    let alerts = [
        firing("Other", "f1"),
        firing("Down", "f2"),
        firing("Broken", "f3"),
        firing("Broken", "f4").label("host", "all"),
        firing("Down", "f2"),
        firing("Down", "f5").resolved(RESOLVED_AT),
    ];
    let decisions = gateway.alert(&alerts).await;
    let told: Vec<String> = decisions
        .iter()
        .map(|decision| {
            let text = |key: &str| decision[key].as_str().unwrap_or("-").to_owned();
            format!(
                "{} {} {}: {}",
                text("fingerprint"),
                text("route"),
                text("decision"),
                text("reason")
            )
        })
        .collect();
    insta::assert_snapshot!(told.join("\n"));
    assert_eq!(decisions[0]["job"], Value::Null);
    assert_eq!(decisions[4]["job"], decisions[1]["job"]);

    let notifications = gateway.get("/api/v1/notifications").await;
    let id = notifications["items"][0]["id"].as_str().unwrap();
    let kept = gateway.get(&format!("/api/v1/notifications/{id}")).await;
    assert_eq!(kept["decisions"].as_array().unwrap().len(), 6);
}

const STOPPED_WHEN_RESOLVED: &str = r#"
playbooks:
  fix: { path: fix.yml }
routes:
  - name: down
    matchers: ['alertname="Down"']
    playbook: fix
    on_resolved: cancel
    verify: { resolved_within: 1h }
"#;

#[tokio::test]
async fn a_run_is_stopped_when_its_alert_resolves_where_its_route_says_so() {
    let folder = Folder::new();
    folder.write("remediations.yml", STOPPED_WHEN_RESOLVED);
    folder.write(
        "fix.yml",
        &format!("say('working')\nwait_for({:?})\n{FIX}", folder.path("go")),
    );
    let gateway = Gateway::start(&folder).await;
    let job = gateway.queue(firing("Down", "f1")).await;
    let other = gateway.queue(firing("Down", "f2")).await;
    for running in [&job, &other] {
        until("it works", || async {
            (gateway.log_of(running).await == "working\n").then_some(())
        })
        .await;
    }

    gateway.alert(&[firing("Down", "f1").resolved(RESOLVED_AT)]).await;
    let stopped = gateway.until_finished(&job).await;
    assert_eq!(
        (&stopped["status"], &stopped["reason"], &stopped["healed_at"]),
        (&"canceled".into(), &"resolved_meanwhile".into(), &Value::Null)
    );
    assert_eq!(stopped["attempts"][0]["outcome"], "canceled");
    let log = gateway.log_of(&job).await;
    assert!(log.contains("stopped by healgate (alert resolved) at "), "{log}");
    insta::assert_compact_json_snapshot!(
        history(&gateway, &job).await,
        @r#"["queued", "claimed", "started", "stop_requested", "ended", "finished"]"#
    );
    assert_eq!(gateway.job(&other).await["status"], "running");
    folder.write("go", "");
    gateway.until_status(&other, "verifying").await;
}
