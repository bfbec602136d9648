//! What systemd is told of the gateway, on a socket of the test's own.

use std::time::Duration;

use rusqlite::Connection;
use rustix::process::Signal;
use tokio::net::UnixDatagram;
use tokio::time::timeout;

use crate::support::alerts::firing;
use crate::support::folder::Folder;
use crate::support::gateway::Gateway;
use crate::support::wait::{LIMIT, until};

/// Listens as systemd does.
struct Ear(UnixDatagram);

impl Ear {
    fn at(folder: &Folder) -> Self {
        Self(UnixDatagram::bind(folder.path("notify")).unwrap())
    }

    async fn next_within(&self, limit: Duration) -> Option<String> {
        let mut buffer = [0; 4096];
        let length = timeout(limit, self.0.recv(&mut buffer)).await.ok()?.unwrap();
        Some(String::from_utf8_lossy(&buffer[..length]).into_owned())
    }

    /// The next message that is no ping.
    async fn next(&self) -> String {
        loop {
            let message = self.next_within(LIMIT).await.expect("systemd is told nothing");
            if message != "WATCHDOG=1" {
                return message;
            }
        }
    }
}

async fn start(folder: &Folder, watchdog: Option<Duration>) -> Gateway {
    Gateway::start_with(folder, |command| {
        command.env("NOTIFY_SOCKET", folder.path("notify"));
        if let Some(limit) = watchdog {
            command.env("WATCHDOG_USEC", limit.as_micros().to_string());
        }
    })
    .await
}

#[tokio::test]
async fn systemd_is_told_of_the_start_of_reloads_and_of_the_end() {
    let folder = Folder::new();
    let ear = Ear::at(&folder);
    let mut gateway = start(&folder, None).await;
    assert_eq!(ear.next().await, "READY=1");
    gateway.signal(Signal::HUP);
    let reloading = ear.next().await;
    assert!(reloading.starts_with("RELOADING=1\nMONOTONIC_USEC="), "{reloading}");
    assert_eq!(ear.next().await, "READY=1\nSTATUS=1 playbooks, 1 routes");
    folder.write("remediations.yml", "nonsense");
    gateway.signal(Signal::HUP);
    ear.next().await;
    let refused = ear.next().await;
    assert!(refused.starts_with("READY=1\nSTATUS=refused to reload"), "{refused}");
    gateway.signal(Signal::TERM);
    let stopping = ear.next().await;
    assert!(stopping.starts_with("STOPPING=1\nEXTEND_TIMEOUT_USEC="), "{stopping}");
    assert!(gateway.ended().await.success());
}

#[tokio::test]
async fn a_gateway_is_ready_only_once_it_has_taken_up_its_runs() {
    let folder = Folder::new();
    folder.write("fix.yml", "say('working')\nwait_for('/never')");
    let gateway = Gateway::start(&folder).await;
    let job = gateway.queue(firing("Down", "f1")).await;
    gateway.until_status(&job, "running").await;
    gateway.kill().await;
    let ear = Ear::at(&folder);
    let gateway = start(&folder, None).await;
    assert_eq!(ear.next().await, "READY=1");
    // Its log is written without a pause, but read by another task.
    until("the log tells of the run", || async {
        gateway
            .logged()
            .contains("took up the runs of an earlier process")
            .then_some(())
    })
    .await;
}

#[tokio::test]
async fn the_watchdog_is_fed_only_while_the_database_answers() {
    let folder = Folder::new();
    let ear = Ear::at(&folder);
    let limit = Duration::from_millis(600);
    let gateway = start(&folder, Some(limit)).await;
    for _ in 0..5 {
        until("a ping", || async {
            ear.next_within(LIMIT).await.filter(|message| message == "WATCHDOG=1")
        })
        .await;
    }
    let other = Connection::open(folder.path("var/healgate.db")).unwrap();
    // Every write of the gateway waits for this one.
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    until("the gateway knows", || async {
        gateway.logged().contains("the database does not answer").then_some(())
    })
    .await;
    while ear.next_within(Duration::ZERO).await.is_some() {}
    let ping = ear.next_within(limit * 2).await;
    assert_eq!(ping, None, "systemd was told that all is well");
    other.execute_batch("ROLLBACK").unwrap();
    assert_eq!(ear.next_within(LIMIT).await.as_deref(), Some("WATCHDOG=1"));
}
