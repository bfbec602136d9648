//! SIGTERM: what is still accepted, what is waited for, and what goes on.

use reqwest::Method;
use rusqlite::Connection;
use rustix::process::Signal;

use crate::support::alerts::firing;
use crate::support::folder::{FIX, Folder};
use crate::support::gateway::Gateway;
use crate::support::wait::until;

fn slow(folder: &Folder) {
    folder.write(
        "fix.yml",
        &format!("say('working')\nwait_for({:?})\n{FIX}", folder.path("go")),
    );
}

async fn until_not_ready(gateway: &Gateway) {
    until("readyz is 503", || async {
        let answer = gateway.request(Method::GET, "/readyz").send().await.unwrap();
        (answer.status() == 503).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_stopping_gateway_accepts_alerts_starts_nothing_and_waits_for_what_runs() {
    let folder = Folder::new();
    folder.settings("worker:\n  on_shutdown: stop\n");
    slow(&folder);
    let mut gateway = Gateway::start(&folder).await;
    let running = gateway.queue(firing("Down", "f1")).await;
    gateway.until_status(&running, "running").await;
    gateway.signal(Signal::TERM);
    until_not_ready(&gateway).await;
    let waiting = gateway.queue(firing("Down", "f2")).await;
    folder.write("go", "");
    assert!(gateway.ended().await.success());

    let gateway = Gateway::start(&folder).await;
    assert_eq!(gateway.job(&running).await["status"], "succeeded");
    assert_eq!(gateway.until_finished(&waiting).await["status"], "succeeded");
}

#[tokio::test]
async fn what_still_runs_is_left_at_once_to_the_next_start() {
    let folder = Folder::new();
    folder.settings("worker:\n  drain_timeout: 7d\n  on_shutdown: leave\n");
    slow(&folder);
    let mut gateway = Gateway::start(&folder).await;
    let job = gateway.queue(firing("Down", "f1")).await;
    until("the playbook works", || async {
        (gateway.log_of(&job).await == "working\n").then_some(())
    })
    .await;
    gateway.signal(Signal::TERM);
    assert!(gateway.ended().await.success());

    let gateway = Gateway::start(&folder).await;
    let adopted = gateway.job(&job).await;
    assert_eq!(adopted["status"], "running");
    folder.write("go", "");
    let ended = gateway.until_finished(&job).await;
    assert_eq!(ended["status"], "succeeded");
    assert_eq!(ended["attempts"].as_array().unwrap().len(), 1);
    assert_eq!(gateway.log_of(&job).await, "working\nfixed\n");
}

#[tokio::test]
async fn what_still_runs_is_stopped_if_the_settings_say_so() {
    let folder = Folder::new();
    folder.settings("worker:\n  drain_timeout: 0s\n  on_shutdown: stop\n");
    slow(&folder);
    let mut gateway = Gateway::start(&folder).await;
    let job = gateway.queue(firing("Down", "f1")).await;
    gateway.until_status(&job, "running").await;
    gateway.signal(Signal::TERM);
    assert!(gateway.ended().await.success());
    assert!(folder.processes().is_empty(), "{:?}", folder.processes());

    let gateway = Gateway::start(&folder).await;
    let stopped = gateway.job(&job).await;
    assert_eq!(
        (&stopped["status"], &stopped["reason"]),
        (&"canceled".into(), &"canceled".into())
    );
    assert!(gateway.log_of(&job).await.contains("shutdown"));
}

#[tokio::test]
async fn a_second_sigterm_does_not_wait() {
    let folder = Folder::new();
    folder.settings("worker:\n  on_shutdown: stop\n");
    slow(&folder);
    let mut gateway = Gateway::start(&folder).await;
    let job = gateway.queue(firing("Down", "f1")).await;
    gateway.until_status(&job, "running").await;
    gateway.signal(Signal::TERM);
    until_not_ready(&gateway).await;
    gateway.signal(Signal::TERM);
    assert!(gateway.ended().await.success());
    assert_eq!(folder.read("go"), "");
}

#[tokio::test]
async fn a_gateway_that_leaves_its_runs_stores_what_they_have_said_so_far() {
    let folder = Folder::new();
    folder.write(
        "fix.yml",
        &format!(
            "say('one')\nwait_for({:?})\nsay('two')\nopen('said', 'w').close()\nwait_for('/never')",
            folder.path("go")
        ),
    );
    let mut gateway = Gateway::start(&folder).await;
    let job = gateway.queue(firing("Down", "f1")).await;
    until("the playbook works", || async {
        (gateway.log_of(&job).await == "one\n").then_some(())
    })
    .await;
    folder.write("go", "");
    until("the playbook has said more", || async {
        folder.path("said").exists().then_some(())
    })
    .await;
    gateway.signal(Signal::TERM);
    assert!(gateway.ended().await.success());
    let database = Connection::open(folder.path("var/healgate.db")).unwrap();
    let stored: i64 = database
        .query_one("SELECT log_bytes FROM attempts", [], |row| row.get(0))
        .unwrap();
    assert_eq!(stored, 8);
    assert!(
        folder.processes().len() >= 2,
        "the run was not left: {:?}",
        folder.processes()
    );
}

/// The playbook says when SIGINT came, by the clock that all processes share.
#[tokio::test]
async fn a_canceled_playbook_gets_its_signal_at_once() {
    gets_its_signal_at_once("wait_for('/never')").await;
}

/// So much that storing it never catches up.
#[tokio::test]
async fn so_does_one_that_talks_without_end() {
    gets_its_signal_at_once("while True: os.write(1, b'much to say, again and again\\n' * 4000)").await;
}

async fn gets_its_signal_at_once(goes_on: &str) {
    let folder = Folder::new();
    let script = "
import signal
def note(*_):
    open('signaled', 'w').write(str(time.monotonic_ns()))
    sys.exit(99)
signal.signal(signal.SIGINT, note)
say('ready')
";
    folder.write("fix.yml", &format!("{script}{goes_on}\n"));
    let gateway = Gateway::start(&folder).await;
    let job = gateway.queue(firing("Down", "f1")).await;
    until("the playbook works", || async {
        gateway.log_of(&job).await.starts_with("ready\n").then_some(())
    })
    .await;
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    let asked = now.tv_sec * 1_000_000_000 + now.tv_nsec;
    gateway.post(&format!("/api/v1/jobs/{job}/cancel")).await;
    gateway.until_finished(&job).await;
    let came: i64 = folder.read("signaled").parse().unwrap();
    let delay = (came - asked) / 1_000_000;
    // The promise is 100 ms; the rest is for a machine that has much else to do.
    assert!((0..1_000).contains(&delay), "{delay} ms");
}

#[tokio::test]
async fn a_log_stream_ends_when_the_gateway_stops() {
    let folder = Folder::new();
    slow(&folder);
    let gateway = Gateway::start(&folder).await;
    let job = gateway.queue(firing("Down", "f1")).await;
    let path = format!("/api/v1/jobs/{job}/log/stream");
    let stream = gateway.request(Method::GET, &path).send().await.unwrap();
    until("the playbook works", || async {
        (gateway.log_of(&job).await == "working\n").then_some(())
    })
    .await;
    gateway.signal(Signal::TERM);
    let body = stream.text().await.unwrap();
    assert!(body.contains("working"), "{body}");
    folder.write("go", "");
}
