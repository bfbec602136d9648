//! kill -9: what was acknowledged is there, what ran is known, nothing runs twice.

use std::collections::HashSet;
use std::path::PathBuf;

use rustix::process::{Pid, Signal, kill_process};

use crate::support::alerts::{firing, notification};
use crate::support::folder::{FIX, Folder};
use crate::support::gateway::Gateway;
use crate::support::wait::until;

#[tokio::test]
async fn a_playbook_outlives_its_gateway_and_the_next_one_follows_it_to_the_end() {
    let folder = Folder::new();
    folder.write(
        "fix.yml",
        &format!(
            "say('one')\nresult(task='first')\nwait_for({:?})\nsay('two')\n{FIX}",
            folder.path("go")
        ),
    );
    let gateway = Gateway::start(&folder).await;
    let job = gateway.queue(firing("Down", "f1")).await;
    until("the playbook works", || async {
        (gateway.log_of(&job).await == "one\n").then_some(())
    })
    .await;
    gateway.kill().await;

    let gateway = Gateway::start(&folder).await;
    assert_eq!(gateway.job(&job).await["status"], "running");
    let waiting = gateway.alert(&[firing("Down", "f1")]).await;
    assert_eq!(waiting[0]["decision"], "attached");
    folder.write("go", "");
    let ended = gateway.until_finished(&job).await;
    assert_eq!(
        (&ended["status"], ended["attempts"].as_array().unwrap().len()),
        (&"succeeded".into(), 1)
    );
    assert_eq!(gateway.log_of(&job).await, "one\ntwo\nfixed\n");
    let tasks = gateway.get(&format!("/api/v1/jobs/{job}/tasks")).await;
    assert_eq!(tasks["items"].as_array().unwrap().len(), 2);
}

#[tokio::test]
async fn a_playbook_that_ended_while_no_gateway_ran_gets_its_true_outcome() {
    let folder = Folder::new();
    let script = format!(
        "wait_for({:?})\nsay('could not')\nresult(status='failed')\nstats(localhost={{'failures': 1}})\nend(2)",
        folder.path("go")
    );
    folder.write("fix.yml", &script);
    let gateway = Gateway::start(&folder).await;
    let job = gateway.queue(firing("Down", "f1")).await;
    until("the run host works", || async {
        (folder.processes().len() >= 3).then_some(())
    })
    .await;
    gateway.kill().await;
    folder.write("go", "");
    until("the run has ended", || async {
        folder.processes().is_empty().then_some(())
    })
    .await;

    let gateway = Gateway::start(&folder).await;
    let ended = gateway.until_finished(&job).await;
    assert_eq!(ended["reason"], "hosts_failed");
    assert_eq!(gateway.log_of(&job).await, "could not\n");
}

#[tokio::test]
async fn a_run_whose_host_was_killed_is_lost_and_its_target_is_free_again() {
    let folder = Folder::new();
    let catalogue = folder
        .read("remediations.yml")
        .replace("path: fix.yml", "path: fix.yml\n    lock: one");
    folder.write("remediations.yml", &catalogue);
    folder.write(
        "fix.yml",
        &format!("say('working')\nwait_for({:?})\n{FIX}", folder.path("go")),
    );
    let gateway = Gateway::start(&folder).await;
    let job = gateway.queue(firing("Down", "f1")).await;
    until("the playbook works", || async {
        (gateway.log_of(&job).await == "working\n").then_some(())
    })
    .await;
    let next = gateway.queue(firing("Down", "f2")).await;
    kill_runs(&folder, "run-host");
    let lost = gateway.until_finished(&job).await;
    assert_eq!((&lost["status"], &lost["reason"]), (&"failed".into(), &"lost".into()));
    folder.write("go", "");
    assert_eq!(gateway.until_finished(&next).await["status"], "succeeded");
}

#[tokio::test]
async fn whatever_was_acknowledged_before_a_kill_is_there_after_it_and_ran_once() {
    let folder = Folder::new();
    let witness = folder.path("witness").display().to_string();
    folder.write(
        "fix.yml",
        &format!("fd = os.open({witness:?}, os.O_WRONLY | os.O_APPEND | os.O_CREAT)\nos.write(fd, (os.environ['HEALGATE_RUN'] + '\\n').encode())\n{FIX}"),
    );
    let mut acknowledged: HashSet<String> = HashSet::new();
    let mut number = 0;
    for round in 0..8_u32 {
        let gateway = Gateway::start(&folder).await;
        // Posts as fast as they are answered, and dies after a few more each round, whatever it does then.
        let deadline = tokio::time::Instant::now() + std::time::Duration::from_millis(u64::from(round) * 37 + 5);
        let posting = async {
            loop {
                let fingerprint = format!("f{number}");
                number += 1;
                let body = notification(&[firing("Down", &fingerprint)]);
                let request = gateway
                    .request(reqwest::Method::POST, "/webhooks/alertmanager")
                    .json(&body);
                if request.send().await.is_ok_and(|answer| answer.status() == 202) {
                    acknowledged.insert(fingerprint);
                }
            }
        };
        let _ = tokio::time::timeout_at(deadline, posting).await;
        gateway.kill().await;
    }
    assert!(acknowledged.len() > 8, "only {} were acknowledged", acknowledged.len());

    let gateway = Gateway::start(&folder).await;
    until("nothing waits or runs", || async {
        let open = gateway.get("/api/v1/jobs?status=queued&status=running&limit=1").await;
        open["items"].as_array().unwrap().is_empty().then_some(())
    })
    .await;
    let mut jobs_of: HashSet<String> = HashSet::new();
    let mut cursor = String::new();
    loop {
        let page = gateway.get(&format!("/api/v1/jobs?limit=500{cursor}")).await;
        for job in page["items"].as_array().unwrap() {
            let fingerprint = job["alert"]["fingerprint"].as_str().unwrap().to_owned();
            assert!(jobs_of.insert(fingerprint), "two jobs for one alert: {job:#}");
            assert!(job["reason"] == "unverified" || job["reason"] == "lost", "{job:#}");
        }
        match page["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => break,
        }
    }
    let missing: Vec<_> = acknowledged.difference(&jobs_of).collect();
    assert!(missing.is_empty(), "acknowledged and lost: {missing:?}");
    let runs = folder.read("witness");
    let mut seen = HashSet::new();
    for run in runs.lines() {
        assert!(seen.insert(run), "{run} ran twice");
        assert!(run.ends_with("/1"), "{run} is a second attempt");
    }
}

/// Starts a run that says nothing until the file `go` is there, and waits until it works.
async fn silent_run(folder: &Folder, gateway: &Gateway) -> (String, PathBuf) {
    let script = format!("open('works', 'w').close()\nwait_for({:?})\n{FIX}", folder.path("go"));
    folder.write("fix.yml", &script);
    let job = gateway.queue(firing("Down", "f1")).await;
    until("the playbook works", || async {
        folder.path("works").exists().then_some(())
    })
    .await;
    let dir = folder.path(&format!("var/runs/{job}/1"));
    (job, dir)
}

/// Waits until the playbook works, and kills its host as if that had not begun it yet.
async fn dies_before_it_begins(folder: &Folder, job: &str) {
    let works = folder.path("works");
    until("the playbook works", || async { works.exists().then_some(()) }).await;
    std::fs::remove_file(works).unwrap();
    std::fs::remove_file(folder.path(&format!("var/runs/{job}/1/started.json"))).unwrap();
    kill_runs(folder, "run-host");
}

#[tokio::test]
async fn a_host_that_dies_before_it_begins_gives_its_job_back_but_not_for_ever() {
    let folder = Folder::new();
    let gateway = Gateway::start(&folder).await;
    let (job, _) = silent_run(&folder, &gateway).await;
    dies_before_it_begins(&folder, &job).await;
    until("it works again", || async {
        folder.path("works").exists().then_some(())
    })
    .await;
    folder.write("go", "");
    let ended = gateway.until_finished(&job).await;
    assert_eq!(ended["reason"], "unverified", "{ended:#}");
    assert_eq!(ended["attempts"].as_array().unwrap().len(), 1);
    let events = gateway.get(&format!("/api/v1/jobs/{job}/events")).await;
    let events = events["items"].as_array().unwrap();
    assert_eq!(events.iter().filter(|event| event["event"] == "released").count(), 1);

    for name in ["go", "works"] {
        std::fs::remove_file(folder.path(name)).unwrap();
    }
    let job = gateway.queue(firing("Down", "f2")).await;
    for _ in 0..3 {
        dies_before_it_begins(&folder, &job).await;
    }
    let ended = gateway.until_finished(&job).await;
    assert_eq!(ended["reason"], "start_failed");
    let message = ended["attempts"][0]["message"].as_str().unwrap();
    assert!(
        message.starts_with("the run's host died before the run began, 3 times"),
        "{message}"
    );
    assert!(!folder.path("works").exists(), "it was tried once more");
}

/// Kills the folder's processes with that in their command.
fn kill_runs(folder: &Folder, with: &str) {
    let processes = folder.processes().into_iter();
    for (pid, _) in processes.filter(|(_, command)| command.contains(with)) {
        let _ = kill_process(Pid::from_raw(pid).unwrap(), Signal::KILL);
    }
}

#[tokio::test]
async fn a_job_that_was_claimed_but_never_began_is_not_run_once_its_alert_resolved() {
    let folder = Folder::new();
    let gateway = Gateway::start(&folder).await;
    let (job, dir) = silent_run(&folder, &gateway).await;
    let resolved = firing("Down", "f1").resolved("2026-01-31T10:00:00Z");
    gateway.alert(&[resolved]).await;
    gateway.kill().await;
    // As if the gateway had died right after the claim.
    kill_runs(&folder, "");
    std::fs::remove_dir_all(dir).unwrap();

    let gateway = Gateway::start(&folder).await;
    let ended = gateway.until_finished(&job).await;
    assert_eq!(
        (&ended["status"], &ended["reason"]),
        (&"canceled".into(), &"resolved_meanwhile".into())
    );
    assert!(ended["attempts"].as_array().unwrap().is_empty(), "{ended:#}");
}

#[tokio::test]
async fn a_run_whose_host_spoke_and_died_before_it_began_keeps_no_gateway_from_starting() {
    let folder = Folder::new();
    let script = format!("say('stopped')\nwait_for({:?})\n{FIX}", folder.path("go"));
    folder.write("fix.yml", &script);
    let gateway = Gateway::start(&folder).await;
    let job = gateway.queue(firing("Down", "f1")).await;
    until("the log is stored", || async {
        (gateway.log_of(&job).await == "stopped\n").then_some(())
    })
    .await;
    gateway.kill().await;
    // As if it had been stopped before it began, and killed before it could say how that ended.
    kill_runs(&folder, "");
    std::fs::remove_file(folder.path(&format!("var/runs/{job}/1/started.json"))).unwrap();

    let gateway = Gateway::start(&folder).await;
    let ended = gateway.until_finished(&job).await;
    assert_eq!(
        (&ended["status"], &ended["reason"]),
        (&"failed".into(), &"start_failed".into())
    );
    assert_eq!(gateway.log_of(&job).await, "stopped\n");
}

#[tokio::test]
async fn a_run_that_cannot_be_looked_at_for_a_while_keeps_no_gateway_from_starting() {
    let folder = Folder::new();
    let gateway = Gateway::start(&folder).await;
    let (job, dir) = silent_run(&folder, &gateway).await;
    gateway.kill().await;
    folder.write("go", "");
    until("the run has ended", || async {
        folder.processes().is_empty().then_some(())
    })
    .await;
    let (status, aside) = (dir.join("status.json"), dir.join("aside"));
    std::fs::rename(&status, &aside).unwrap();
    std::fs::create_dir(&status).unwrap();

    let gateway = Gateway::start(&folder).await;
    assert_eq!(gateway.job(&job).await["status"], "running");
    std::fs::remove_dir(&status).unwrap();
    std::fs::rename(&aside, &status).unwrap();
    assert_eq!(gateway.until_finished(&job).await["status"], "succeeded");
}

#[tokio::test]
async fn a_stop_that_cannot_be_passed_on_at_once_is_passed_on_later() {
    let folder = Folder::new();
    let gateway = Gateway::start(&folder).await;
    let (job, dir) = silent_run(&folder, &gateway).await;
    // As a full disk would.
    let in_the_way = dir.join("stop.json.tmp");
    std::fs::remove_file(&in_the_way).unwrap();
    std::fs::create_dir(&in_the_way).unwrap();
    assert_eq!(gateway.post(&format!("/api/v1/jobs/{job}/cancel")).await.status(), 202);
    until("the gateway has failed to stop the run", || async {
        gateway.logged().contains("failed to ask the run's host").then_some(())
    })
    .await;
    std::fs::remove_dir(&in_the_way).unwrap();
    assert_eq!(gateway.until_finished(&job).await["status"], "canceled");
}

#[tokio::test]
async fn what_a_kill_left_of_run_directories_is_removed_at_the_next_start() {
    let folder = Folder::new();
    let gateway = Gateway::start(&folder).await;
    let job = gateway.queue(firing("Down", "f1")).await;
    gateway.until_finished(&job).await;
    gateway.kill().await;
    // Killed before the attempt's directory was made, and while it was removed.
    folder.write(&format!("var/runs/{job}/1/output.log"), "fixed\n");
    std::fs::create_dir(folder.path("var/runs/019a1fc3-85e4-763f-8b08-8741df33b16a")).unwrap();

    let _gateway = Gateway::start(&folder).await;
    assert_eq!(std::fs::read_dir(folder.path("var/runs")).unwrap().count(), 0);
}

#[tokio::test]
async fn a_log_that_cannot_be_written_ends_no_gateway() {
    let folder = Folder::new();
    let full = std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let gateway = Gateway::start_with(&folder, |command| {
        command.stderr(full);
    })
    .await;
    let job = gateway.queue(firing("Down", "f1")).await;
    assert_eq!(gateway.until_finished(&job).await["status"], "succeeded");
}
