//! The gateway asks the real Alertmanager and the real Prometheus, before a run and after it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use healgate::clock::{Clock, SystemClock};
use healgate::domain::alert::fingerprint;
use healgate::store::Store;
use healgate::store::observe::{Committed, Observer};
use healgate::store::sqlite::SqliteStore;
use serde_json::{Value, json};

use crate::support::alerts::{TestAlert, firing};
use crate::support::folder::{FIX, Folder};
use crate::support::gateway::Gateway;
use crate::support::monitoring::{Alertmanager, Prometheus, free_address};
use crate::support::wait::until;

/// Hears of no commit.
#[derive(Debug)]
struct Nobody;

impl Observer for Nobody {
    fn committed(&self, _: &Committed) {}
}

const OVER: &str = "2026-01-31T09:00:00Z";

/// A catalogue whose one route has these lines too.
fn catalogue(lines: &str) -> String {
    format!(
        "playbooks: {{fix: {{path: fix.yml, timeout: 2m}}}}\nroutes:\n  - name: down\n    matchers: ['alertname=\"Down\"']\n    \
         playbook: fix\n    {}\n",
        lines.replace('\n', "\n    ")
    )
}

fn settings(alertmanager: Option<&str>, prometheus: Option<&str>) -> String {
    let alertmanager = alertmanager.map(|url| format!("alertmanagers: [{{name: am, url: '{url}'}}]\n"));
    let prometheus = prometheus.map(|url| format!("prometheus: {{name: prom, url: '{url}', timeout: 5s}}\n"));
    [alertmanager, prometheus].into_iter().flatten().collect()
}

fn labels() -> BTreeMap<String, String> {
    let labels = [
        ("alertname", "Down"),
        ("instance", "localhost:8080"),
        ("severity", "critical"),
    ];
    labels.map(|(name, value)| (name.to_owned(), value.to_owned())).into()
}

/// The alert as Alertmanager would report it, begun now.
fn reported() -> TestAlert {
    let fingerprint = fingerprint(&labels());
    firing("Down", fingerprint.as_str()).since(&SystemClock.now().to_string())
}

async fn told(gateway: &Gateway, job: &str, event: &str) -> String {
    let events = gateway.get(&format!("/api/v1/jobs/{job}/events")).await;
    let events = events["items"].as_array().unwrap();
    let found = events.iter().find(|entry| entry["event"] == event);
    let found = found.unwrap_or_else(|| panic!("no {event} in {events:#?}"));
    found["message"].as_str().unwrap().to_owned()
}

fn ending(job: &Value) -> (&str, &str, usize) {
    let text = |key: &str| job[key].as_str().unwrap_or_default();
    (
        text("status"),
        text("reason"),
        job["attempts"].as_array().unwrap().len(),
    )
}

#[tokio::test]
async fn an_alert_that_was_silenced_before_the_start_is_left_alone() {
    let folder = Folder::new();
    let alertmanager = Alertmanager::start(&folder).await;
    folder.settings(&settings(Some(alertmanager.url()), None));
    let gateway = Gateway::start(&folder).await;
    let silence = alertmanager.silence("Down", "ada").await;
    alertmanager.post(&json!(labels()), None).await;
    let job = gateway.queue(reported()).await;
    let job = gateway.until_finished(&job).await;
    assert_eq!(ending(&job), ("canceled", "silenced", 0));
    let told = told(&gateway, job["id"].as_str().unwrap(), "checked").await;
    assert_eq!(
        told,
        format!(
            "the alert is silenced in Alertmanager by ada until 2099-01-31T09:00:00Z: maintenance (silence {silence})"
        )
    );
    assert_eq!(gateway.log_of(job["id"].as_str().unwrap()).await, "");
}

#[tokio::test]
async fn an_alert_that_resolved_before_the_start_is_left_alone_and_one_that_fires_is_not() {
    let folder = Folder::new();
    let alertmanager = Alertmanager::start(&folder).await;
    folder.settings(&settings(Some(alertmanager.url()), None));
    let gateway = Gateway::start(&folder).await;
    alertmanager.post(&json!(labels()), None).await;
    // Its own fingerprint is the one that the gateway asks about.
    let known = alertmanager.get("/api/v2/alerts").await;
    assert_eq!(known[0]["fingerprint"], fingerprint(&labels()).as_str());
    let fires = gateway.queue(reported()).await;
    let fires = gateway.until_finished(&fires).await;
    assert_eq!(ending(&fires), ("succeeded", "unverified", 1));
    let fired = told(&gateway, fires["id"].as_str().unwrap(), "checked").await;
    assert_eq!(fired, "Alertmanager (am) says that the alert still fires");
    gateway
        .alert(&[reported().resolved(&SystemClock.now().to_string())])
        .await;

    alertmanager.post(&json!(labels()), Some(OVER)).await;
    let over = gateway.queue(reported()).await;
    let over = gateway.until_finished(&over).await;
    assert_eq!(ending(&over), ("canceled", "resolved_meanwhile", 0));
    let told = told(&gateway, over["id"].as_str().unwrap(), "checked").await;
    assert_eq!(
        told,
        "the alert has resolved: Alertmanager (am) does not have it any more"
    );
    until("its episode is closed too", || async {
        let story = gateway.get(&format!("/api/v1/alerts/{}", fingerprint(&labels()))).await;
        let open = story["episodes"]
            .as_array()?
            .iter()
            .any(|episode| episode["ended_at"].is_null());
        (!open).then_some(())
    })
    .await;
}

#[tokio::test]
async fn an_alertmanager_that_does_not_answer_holds_up_nothing() {
    let folder = Folder::new();
    folder.settings(&settings(Some(&format!("http://{}", free_address())), None));
    let gateway = Gateway::start(&folder).await;
    let job = gateway.queue(reported()).await;
    let job = gateway.until_finished(&job).await;
    assert_eq!(ending(&job), ("succeeded", "unverified", 1));
    let told = told(&gateway, job["id"].as_str().unwrap(), "checked").await;
    let expected =
        "goes on without knowing whether the alert still fires: no Alertmanager answered: am does not answer: ";
    assert!(told.starts_with(expected), "{told}");
}

/// A filter that Alertmanager reads otherwise than it is meant would make a firing alert look resolved.
#[tokio::test]
async fn alerts_with_labels_of_any_kind_are_found_one_by_one_and_together() {
    let folder = Folder::new();
    let alertmanager = Alertmanager::start(&folder).await;
    folder.settings(&settings(Some(alertmanager.url()), None));
    let lines = "verify: {resolved_within: 1h}";
    folder.write(
        "remediations.yml",
        &catalogue(lines).replace("alertname=\"Down\"", "alertname=~\"(?s)Do.*\""),
    );
    let gateway = Gateway::start(&folder).await;
    let hostile = "a\"b\\ \\n\n\t'`{}=~.*|(é, \u{1}\\";
    let mut jobs = Vec::new();
    for alertname in ["Down", "Do\"wn\\ (a.b)|\n[c]"] {
        let mut labels = labels();
        labels.insert("alertname".to_owned(), alertname.to_owned());
        labels.insert("hostile".to_owned(), hostile.to_owned());
        labels.insert("long".to_owned(), "x".repeat(1_000));
        alertmanager.post(&json!(labels), None).await;
        let alert = firing(alertname, fingerprint(&labels).as_str()).since(&SystemClock.now().to_string());
        let alert = alert.label("hostile", hostile).label("long", &"x".repeat(1_000));
        let job = gateway.queue(alert).await;
        gateway.until_status(&job, "verifying").await;
        let told = told(&gateway, &job, "checked").await;
        assert_eq!(told, "Alertmanager (am) says that the alert still fires");
        jobs.push((job, labels));
    }
    alertmanager.post(&json!(jobs[1].1), Some(OVER)).await;
    let healed = gateway.until_finished(&jobs[1].0).await;
    assert_eq!(ending(&healed), ("succeeded", "healed", 1));
    assert_eq!(gateway.job(&jobs[0].0).await["status"], "verifying");
    alertmanager.post(&json!(jobs[0].1), Some(OVER)).await;
    let healed = gateway.until_finished(&jobs[0].0).await;
    assert_eq!(ending(&healed), ("succeeded", "healed", 1));
}

#[tokio::test]
async fn a_precondition_decides_whether_a_job_runs() {
    let folder = Folder::new();
    let prometheus = Prometheus::start(&folder).await;
    folder.settings(&settings(None, Some(prometheus.url())));
    // The hostile label is a label in the query, and nothing else.
    folder.write(
        "remediations.yml",
        &catalogue(
            "precondition: |\n  label_replace(vector({{ alert.annotations.up | float }}), \"x\", \"{{ alert.labels.x }}\", \"\", \"\") >= 0.8",
        ),
    );
    let gateway = Gateway::start(&folder).await;
    let hostile = "\") or vector(1) # \\";
    for (fingerprint, up, expected, message) in [
        ("f1", "0.9", ("succeeded", "unverified", 1), "the precondition holds: "),
        (
            "f2",
            "0.5",
            ("failed", "precondition_failed", 0),
            "the precondition does not hold: ",
        ),
    ] {
        let alert = firing("Down", fingerprint).label("x", hostile).annotation("up", up);
        let job = gateway.queue(alert).await;
        let job = gateway.until_finished(&job).await;
        assert_eq!(ending(&job), expected);
        let told = told(&gateway, job["id"].as_str().unwrap(), "checked").await;
        assert!(told.starts_with(message), "{told}");
    }
}

#[tokio::test]
async fn a_query_that_prometheus_refuses_is_told_with_its_own_words() {
    let folder = Folder::new();
    let prometheus = Prometheus::start(&folder).await;
    folder.settings(&settings(None, Some(prometheus.url())));
    folder.write("remediations.yml", &catalogue("precondition: 'sum(('"));
    let gateway = Gateway::start(&folder).await;
    let job = gateway.queue(firing("Down", "f1")).await;
    let job = gateway.until_finished(&job).await;
    assert_eq!(ending(&job), ("failed", "precondition_failed", 0));
    let told = told(&gateway, job["id"].as_str().unwrap(), "checked").await;
    assert!(told.contains("prom answers 400: "), "{told}");
    assert!(told.contains("parse error: unclosed left parenthesis"), "{told}");
}

#[tokio::test]
async fn where_prometheus_is_down_the_route_says_what_happens() {
    for (on_error, expected) in [
        ("refuse", ("failed", "precondition_failed", 0)),
        ("proceed", ("succeeded", "unverified", 1)),
    ] {
        let folder = Folder::new();
        folder.settings(&settings(None, Some(&format!("http://{}", free_address()))));
        let lines = format!("precondition: {{query: vector(1), on_error: {on_error}}}");
        folder.write("remediations.yml", &catalogue(&lines));
        let gateway = Gateway::start(&folder).await;
        let job = gateway.queue(firing("Down", "f1")).await;
        let job = gateway.until_finished(&job).await;
        assert_eq!(ending(&job), expected, "{on_error}");
        let told = told(&gateway, job["id"].as_str().unwrap(), "checked").await;
        assert!(told.contains("prom does not answer: "), "{told}");
    }
}

#[tokio::test]
async fn asking_notices_the_recovery_before_the_webhook_does() {
    let folder = Folder::new();
    let webhook = free_address();
    let alertmanager =
        Alertmanager::posting_to(&folder, &format!("http://{webhook}/webhooks/alertmanager"), "15s").await;
    folder.settings(&settings(Some(alertmanager.url()), None));
    let text = folder.read("healgate.yml").replace("127.0.0.1:0", &webhook.to_string());
    folder.write("healgate.yml", &text);
    folder.write("remediations.yml", &catalogue("verify: {resolved_within: 1h}"));
    let gateway = Gateway::start(&folder).await;
    alertmanager.post(&json!(labels()), None).await;
    let job = until("the webhook has made a job", || async {
        let jobs = gateway.get("/api/v1/jobs?status=verifying").await;
        Some(jobs["items"][0]["id"].as_str()?.to_owned())
    })
    .await;

    let recovered = Instant::now();
    alertmanager.post(&json!(labels()), Some(OVER)).await;
    let healed = gateway.until_finished(&job).await;
    let by_asking = recovered.elapsed();
    assert_eq!(ending(&healed), ("succeeded", "healed", 1));
    let source = told(&gateway, &job, "resolved").await;
    assert_eq!(source, "Alertmanager was asked: the alert has resolved");
    let before = gateway.get("/api/v1/notifications").await;
    assert_eq!(before["items"].as_array().unwrap().len(), 1, "the webhook came first");

    until("Alertmanager says it too", || async {
        let all = gateway.get("/api/v1/notifications").await;
        (all["items"].as_array()?.len() == 2).then_some(())
    })
    .await;
    let by_webhook = recovered.elapsed();
    println!("healed after {by_asking:.1?} by asking; the webhook came after {by_webhook:.1?} (group_interval 15s)");
    assert!(by_asking < Duration::from_secs(10), "{by_asking:?}");
    assert!(by_asking < by_webhook);
    assert_eq!(gateway.job(&job).await, healed);
}

/// A gateway, and its job whose alert is silenced while it works; it goes on once there is a file `go`.
async fn works_in_silence(folder: &Folder, alertmanager: &Alertmanager) -> (Gateway, String) {
    folder.settings(&settings(Some(alertmanager.url()), None));
    folder.write(
        "remediations.yml",
        &catalogue("verify: {resolved_within: 1h}\nsilence: true"),
    );
    folder.write(
        "fix.yml",
        &format!("say('working')\nwait_for({:?})\n{FIX}", folder.path("go")),
    );
    let gateway = Gateway::start(folder).await;
    alertmanager.post(&json!(labels()), None).await;
    let job = gateway.queue(reported()).await;
    until("it works", || async {
        (gateway.log_of(&job).await == "working\n").then_some(())
    })
    .await;
    (gateway, job)
}

async fn until_no_silence(alertmanager: &Alertmanager) {
    until("the silence is over", || async {
        let silences = alertmanager.get("/api/v2/silences").await;
        (silences[0]["status"]["state"] == "expired").then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_silence_lasts_as_long_as_the_run_and_does_not_hide_the_recovery() {
    let folder = Folder::new();
    let alertmanager = Alertmanager::start(&folder).await;
    let (gateway, job) = works_in_silence(&folder, &alertmanager).await;

    let silences = alertmanager.get("/api/v2/silences").await;
    let silence = &silences[0];
    assert_eq!(
        (&silence["createdBy"], &silence["status"]["state"]),
        (&"healgate".into(), &"active".into())
    );
    let comment = silence["comment"].as_str().unwrap();
    assert!(comment.contains(&format!("job {job}")), "{comment}");
    let alerts = alertmanager.get("/api/v2/alerts").await;
    assert_eq!(alerts[0]["status"]["state"], "suppressed");

    folder.write("go", "");
    gateway.until_status(&job, "verifying").await;
    until_no_silence(&alertmanager).await;
    alertmanager.post(&json!(labels()), Some(OVER)).await;
    let healed = gateway.until_finished(&job).await;
    assert_eq!(ending(&healed), ("succeeded", "healed", 1));
    assert!(
        told(&gateway, &job, "silenced")
            .await
            .contains("silenced the alert in Alertmanager until ")
    );
    assert_eq!(
        told(&gateway, &job, "silence_ended").await,
        "ended the silence in Alertmanager"
    );
}

#[tokio::test]
async fn a_silence_is_ended_by_the_next_gateway_if_the_first_is_killed() {
    let folder = Folder::new();
    let alertmanager = Alertmanager::start(&folder).await;
    let (gateway, job) = works_in_silence(&folder, &alertmanager).await;
    gateway.kill().await;
    let gateway = Gateway::start(&folder).await;
    folder.write("go", "");
    gateway.until_status(&job, "verifying").await;
    until_no_silence(&alertmanager).await;
}

#[tokio::test]
async fn where_a_query_verifies_it_decides_and_not_the_alert() {
    let (folder, scratch) = (Folder::new(), Folder::new());
    // Prometheus watches it; that it is gone is what the query waits for.
    let watched = Alertmanager::start(&scratch).await;
    let address = watched.url().trim_start_matches("http://").to_owned();
    let prometheus = Prometheus::watching(&folder, &address, watched.url()).await;
    folder.settings(&settings(None, Some(prometheus.url())));
    let lines = "verify: {query: 'up == bool 0', resolved_within: RESOLVED}";
    folder.write("remediations.yml", &catalogue(&lines.replace("RESOLVED", "1h")));
    let gateway = Gateway::start(&folder).await;
    let job = gateway.queue(firing("Down", "f1")).await;
    gateway.until_status(&job, "verifying").await;
    gateway.alert(&[firing("Down", "f1").resolved(OVER)]).await;
    assert_eq!(gateway.job(&job).await["status"], "verifying");
    drop(watched);
    let healed = gateway.until_finished(&job).await;
    assert_eq!(ending(&healed), ("succeeded", "healed", 1));
    assert_ne!(healed["healed_at"], OVER);
    let message = told(&gateway, &job, "finished").await;
    assert_eq!(message, "healed: the query became true: up == bool 0");

    let never = lines.replace("RESOLVED", "1s").replace("up == bool 0", "vector(0)");
    folder.write("remediations.yml", &catalogue(&never));
    let waiting = format!("say('working')\nwait_for({:?})\n{FIX}", folder.path("go"));
    folder.write("fix.yml", &waiting);
    assert_eq!(gateway.post("/api/v1/reload").await.status(), 200);
    let job = gateway.queue(firing("Down", "f2")).await;
    gateway.until_status(&job, "running").await;
    gateway.alert(&[firing("Down", "f2").resolved(OVER)]).await;
    folder.write("go", "");
    let failed = gateway.until_finished(&job).await;
    assert_eq!(ending(&failed), ("failed", "not_healed", 1));
}

/// Alertmanager answers nobody when the run ends.
#[tokio::test]
async fn a_silence_that_could_not_be_ended_is_ended_once_alertmanager_is_back() {
    let folder = Folder::new();
    let alertmanager = Alertmanager::start(&folder).await;
    folder.settings(&settings(Some(alertmanager.url()), None));
    folder.write(
        "remediations.yml",
        &catalogue("verify: {resolved_within: 1h}\nsilence: true"),
    );
    let waiting = format!("say('working')\nwait_for({:?})\n{FIX}", folder.path("go"));
    folder.write("fix.yml", &waiting);
    let gateway = Gateway::start(&folder).await;
    alertmanager.post(&json!(labels()), None).await;
    let job = gateway.queue(reported()).await;
    until("it works", || async {
        (gateway.log_of(&job).await == "working\n").then_some(())
    })
    .await;
    alertmanager.signal(rustix::process::Signal::STOP);
    folder.write("go", "");
    gateway.until_status(&job, "verifying").await;
    until("the history says that it is left", || async {
        let events = gateway.get(&format!("/api/v1/jobs/{job}/events")).await;
        let mut events = events["items"].as_array()?.iter();
        events.any(|entry| entry["event"] == "silence_left").then_some(())
    })
    .await;
    alertmanager.signal(rustix::process::Signal::CONT);
    until_no_silence(&alertmanager).await;
}

/// As if the gateway had been killed between making the silence and starting the run.
#[tokio::test]
async fn a_silence_whose_run_never_began_is_ended_by_the_next_gateway() {
    let folder = Folder::new();
    let alertmanager = Alertmanager::start(&folder).await;
    let one_slot = settings(Some(alertmanager.url()), None) + "worker: {slots: 1}\n";
    folder.settings(&one_slot);
    folder.write(
        "remediations.yml",
        &catalogue("verify: {resolved_within: 1h}\nsilence: true"),
    );
    let waiting = format!("say('working')\nwait_for({:?})\n{FIX}", folder.path("go"));
    folder.write("fix.yml", &waiting);
    let gateway = Gateway::start(&folder).await;
    let first = gateway.queue(reported()).await;
    gateway.until_status(&first, "running").await;
    let mut labels = labels();
    labels.insert("instance".to_owned(), "web2".to_owned());
    let alert = firing("Down", fingerprint(&labels).as_str()).label("instance", "web2");
    let waits = gateway.queue(alert).await;
    gateway.kill().await;
    // The slot is taken, so nothing but the next start sees to the other one.
    let store = SqliteStore::open(&folder.path("var/healgate.db"), Arc::new(Nobody)).await;
    let store = store.unwrap();
    let claims = store.claim("gone", 1, SystemClock.now()).await.unwrap();
    assert_eq!(claims[0].key.job.to_string(), waits);
    store.close().await;
    let comment = format!("healgate runs fix (job {waits}, claim {})", claims[0].key.fence);
    let silence = alertmanager.silence_all(&labels, "healgate", &comment).await;

    let _gateway = Gateway::start(&folder).await;
    until("the silence is over", || async {
        let silence = alertmanager.get(&format!("/api/v2/silence/{silence}")).await;
        (silence["status"]["state"] == "expired").then_some(())
    })
    .await;
    folder.write("go", "");
}
