//! Runs outlive their gateway: what the next one finds, whichever binary it is, and how soon.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::support::alerts::firing;
use crate::support::folder::{FIX, Folder};
use crate::support::gateway::Gateway;
use crate::support::wait::until;
use crate::warm_runs::children_of;

fn signal(pid: i32, signal: Signal) {
    kill_process(Pid::from_raw(pid).unwrap(), signal).unwrap();
}

/// A copy of the binary in the folder.
fn install(folder: &Folder) -> PathBuf {
    let path = folder.path("healgate");
    let fresh = folder.path("healgate.new");
    std::fs::copy(env!("CARGO_BIN_EXE_healgate"), &fresh).unwrap();
    std::fs::rename(fresh, &path).unwrap();
    path
}

fn hosts(folder: &Folder) -> Vec<i32> {
    let processes = folder.processes().into_iter();
    let hosts = processes.filter(|(_, command)| command.contains("run-host --cold-because"));
    hosts.map(|(pid, _)| pid).collect()
}

#[tokio::test]
async fn a_run_goes_on_while_the_binary_of_its_gateway_is_replaced() {
    let folder = Folder::new();
    folder.write(
        "fix.yml",
        &format!("say('one')\nwait_for({:?})\n{FIX}", folder.path("go")),
    );
    let mut gateway = Gateway::start_binary(&folder, &[], &install(&folder)).await;
    let job = gateway.queue(firing("Down", "f1")).await;
    until("the playbook works", || async {
        (gateway.log_of(&job).await == "one\n").then_some(())
    })
    .await;
    let new = install(&folder);
    gateway.signal(Signal::TERM);
    assert!(gateway.ended().await.success());
    let gateway = Gateway::start_binary(&folder, &[], &new).await;
    assert_eq!(gateway.job(&job).await["status"], "running");
    folder.write("go", "");
    let ended = gateway.until_finished(&job).await;
    assert_eq!(
        (&ended["status"], &ended["attempts"][1]),
        (&"succeeded".into(), &Value::Null)
    );
    assert_eq!(gateway.log_of(&job).await, "one\nfixed\n");
}

/// Whether a process has a handler for SIGUSR1 and SIGHUP.
fn catches_both(pid: i32) -> bool {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let caught = status.lines().find_map(|line| line.strip_prefix("SigCgt:"));
    let caught = u64::from_str_radix(caught.unwrap_or("0").trim(), 16).unwrap();
    let both = 1 << (Signal::HUP.as_raw() - 1) | 1 << (Signal::USR1.as_raw() - 1);
    caught & both == both
}

#[tokio::test]
async fn what_is_meant_for_the_gateway_and_sent_to_all_that_have_its_name_ends_no_run() {
    let folder = Folder::new();
    folder.write(
        "fix.yml",
        &format!("say('one')\nwait_for({:?})\n{FIX}", folder.path("go")),
    );
    let gateway = Gateway::start(&folder).await;
    let job = gateway.queue(firing("Down", "f1")).await;
    until("the playbook works", || async {
        (gateway.log_of(&job).await == "one\n").then_some(())
    })
    .await;
    let of = |name: &str| {
        let found = folder
            .processes()
            .into_iter()
            .find(|(_, command)| command.contains(name));
        found.map(|(pid, _)| pid).filter(|pid| catches_both(*pid))
    };
    let find = || async { Some((of("run-host --cold-because")?, of("run-guard ")?)) };
    let (host, guard) = until("host and guard hear the signals", find).await;
    for pid in [host, guard] {
        signal(pid, Signal::HUP);
        signal(pid, Signal::USR1);
    }
    folder.write("go", "");
    assert_eq!(gateway.until_finished(&job).await["status"], "succeeded");
    assert_eq!(gateway.log_of(&job).await, "one\nfixed\n");
}

#[tokio::test]
async fn the_time_limit_holds_while_no_gateway_runs() {
    let folder = Folder::new();
    let remediations = folder.read("remediations.yml");
    let limited = remediations.replace("path: fix.yml", "path: fix.yml\n    timeout: 2s");
    folder.write("remediations.yml", &limited);
    folder.write("fix.yml", "say('working')\nwait_for('/never')");
    let gateway = Gateway::start(&folder).await;
    let job = gateway.queue(firing("Down", "f1")).await;
    until("the playbook works", || async {
        (gateway.log_of(&job).await == "working\n").then_some(())
    })
    .await;
    gateway.kill().await;
    until("the run has ended", || async {
        folder.processes().is_empty().then_some(())
    })
    .await;
    let gateway = Gateway::start(&folder).await;
    assert_eq!(gateway.until_finished(&job).await["reason"], "timed_out");
    let log = gateway.log_of(&job).await;
    assert!(log.contains("the time limit of 2s was over"), "{log}");
}

const RUNS: usize = 100;

/// Starts a hundred runs; then a third of them ends and a third of the hosts is killed, with no gateway there to see it.
/// How long it took until all had begun.
async fn a_hundred_runs(folder: &Folder) -> Duration {
    folder.settings(&format!("worker:\n  slots: {RUNS}\n"));
    folder.program("ansible-playbook", "#!/bin/sh\necho working\nexec sleep 1000\n");
    let gateway = Gateway::start(folder).await;
    let alerts: Vec<_> = (0..=RUNS).map(|number| firing("Down", &format!("f{number}"))).collect();
    let sent = Instant::now();
    gateway.alert(&alerts).await;
    until("all run", || async {
        let begun = gateway.get("/api/v1/jobs?status=running&limit=500").await;
        let logs = begun["items"].as_array().unwrap().iter();
        let working = logs.filter(|job| job["attempts"][0]["log_bytes"] == 8);
        (working.count() == RUNS).then_some(())
    })
    .await;
    let took = sent.elapsed();
    gateway.kill().await;
    let hosts = hosts(folder);
    assert_eq!(hosts.len(), RUNS);
    for host in &hosts[..33] {
        signal(*host, Signal::KILL);
    }
    for host in &hosts[33..66] {
        signal(children_of(*host)[0], Signal::TERM);
    }
    until("a third is left", || async {
        (self::hosts(folder).len() == RUNS - 66).then_some(())
    })
    .await;
    took
}

#[tokio::test]
async fn a_hundred_runs_are_taken_up_before_anything_is_claimed() {
    let folder = Folder::new();
    let starting = a_hundred_runs(&folder).await;
    let gateway = Gateway::start(&folder).await;
    let count = async |query: &str| {
        let page = gateway.get(&format!("/api/v1/jobs?limit=500&{query}")).await;
        page["items"].as_array().unwrap().len()
    };
    until("those that ended are finished", || async {
        (count("status=failed").await == 66).then_some(())
    })
    .await;
    let all = gateway.get("/api/v1/jobs?limit=500&status=failed").await;
    let of = |reason: &str| {
        let jobs = all["items"].as_array().unwrap().iter();
        jobs.filter(|job| job["reason"] == reason).count()
    };
    assert_eq!((of("lost"), of("playbook_error")), (33, 33));
    until("the 101st, which was waiting for a slot, has begun", || async {
        (count("status=running").await == RUNS - 66 + 1).then_some(())
    })
    .await;
    let log = gateway.logged();
    let taken_up = log.find("took up the runs").expect("the runs were taken up");
    assert!(
        log.find(": started playbook").is_none_or(|started| taken_up < started),
        "{log}"
    );
    let took = log[taken_up..].split("took_ms=").nth(1).unwrap();
    let took = Duration::from_millis(took.split_whitespace().next().unwrap().parse().unwrap());
    println!("{RUNS} runs were taken up in {took:?}, started in {starting:?}");
    assert!(took < starting, "{took:?} to take up, {starting:?} to start");
}
