//! A run from a warm interpreter is a run like any other: with the oldest and the newest ansible-core that are supported.

use std::collections::BTreeMap;
use std::time::Duration;

use healgate::ansible::WarmLimits;
use healgate::ansible::rundir::{How, StopKind};
use healgate::domain::attempt::{Outcome, Start};
use tokio::task::JoinSet;

use crate::ansible_stops::stop_is_complete;
use crate::runs::{Run, World, cores, eventually, kill, lives, pid_in};

const HEADER: &str = "- hosts: all\n  gather_facts: false\n  tasks:\n";
const SAY: &str = "- hosts: all\n  gather_facts: false\n  tasks:\n    - name: say\n      debug: {msg: hello}\n";

/// Leaves a process below the play that outlives a signal to it.
const BELOW: &str = "    - shell: 'setsid sh -c \"echo \\$\\$ > $DIR/below; exec sleep 300\"'\n";

pub(crate) async fn warm(core: &str) -> World {
    let world = World::warm(core);
    world.until_warm(&BTreeMap::new()).await;
    world
}

#[track_caller]
pub(crate) fn is_warm(run: &Run) {
    assert_eq!(run.host.start(), Some(&Start::Warm));
}

#[track_caller]
pub(crate) fn cold_because(run: &Run) -> String {
    match run.host.start() {
        Some(Start::Cold { because }) => because.clone(),
        other => panic!("{other:?}"),
    }
}

fn limited(core: &str, change: impl FnOnce(&mut WarmLimits)) -> World {
    let mut limits = WarmLimits::default();
    change(&mut limits);
    World::with(core, Duration::from_secs(2), Some(limits))
}

#[tokio::test]
async fn a_warm_run_tells_the_same_as_a_cold_one() {
    for core in cores() {
        let world = warm(&core).await;
        let run = world.play(SAY, |_| {});
        is_warm(&run);
        let ended = run.end().await;
        assert_eq!(
            (ended.outcome, ended.message.as_str()),
            (Outcome::Ok, ""),
            "{}",
            ended.log
        );
        assert_eq!(ended.status.start, Some(Start::Warm));
        assert_eq!(ended.status.how, How::Exited { code: 0 });
        assert_eq!(ended.tasks[0].message.as_deref(), Some("hello"));
        let world = World::new(&core);
        let cold = world.play(SAY, |_| {});
        assert_eq!(
            cold_because(&cold),
            "warm starts are switched off (ansible.warm: never)"
        );
        let cold = cold.end().await;
        assert_eq!(ended.log, cold.log);
    }
}

#[tokio::test]
async fn the_first_run_of_a_kind_is_cold_and_a_later_one_warm() {
    let [core, _] = cores();
    let world = World::warm(&core);
    let first = world.play(SAY, |_| {});
    assert_eq!(cold_because(&first), "no warm interpreter yet");
    let ended = first.end().await;
    assert_eq!(ended.outcome, Outcome::Ok, "{}", ended.log);
    let because = "no warm interpreter yet".to_owned();
    assert_eq!(ended.status.start, Some(Start::Cold { because }));
    eventually("a warm interpreter", || {
        (world.ansible.warm_usage().interpreters == 1).then_some(())
    })
    .await;
    let second = world.play(SAY, |_| {});
    is_warm(&second);
    assert_eq!(second.end().await.outcome, Outcome::Ok);
    let other = world.play(SAY, |parameters| {
        parameters.env.insert("REGION".into(), "eu".into());
    });
    assert_eq!(cold_because(&other), "no warm interpreter yet");
    assert_eq!(other.end().await.outcome, Outcome::Ok);
}

#[tokio::test]
async fn a_warm_play_dies_with_its_host_and_nothing_of_it_is_left() {
    for core in cores() {
        let world = warm(&core).await;
        let mut run = world.play(&format!("{HEADER}{BELOW}"), |_| {});
        is_warm(&run);
        let below = pid_in(&world.path("below")).await;
        let host = i32::try_from(run.host.pid().unwrap()).unwrap();
        let play = children_of(host);
        assert_eq!(play.len(), 1, "{play:?}");
        run.lose_host().await;
        eventually("the play's end", || (!lives(play[0])).then_some(())).await;
        assert_eq!(run.dir.start(), Some(Start::Warm));
        run.dir.end_leftovers(Duration::from_secs(5)).unwrap();
        assert!(!lives(below), "{core}: something of the run lives");
        let marked = world.marked(&run.dir);
        assert!(marked.is_empty(), "{core}: {marked:?}");
        let next = world.play(SAY, |_| {});
        is_warm(&next);
        assert_eq!(next.end().await.outcome, Outcome::Ok);
    }
}

#[tokio::test]
async fn every_process_of_a_warm_play_carries_the_mark_of_its_run() {
    for core in cores() {
        let world = warm(&core).await;
        let run = world.play(&format!("{HEADER}{BELOW}"), |_| {});
        is_warm(&run);
        pid_in(&world.path("below")).await;
        let host = i32::try_from(run.host.pid().unwrap()).unwrap();
        let mut unseen = children_of(host);
        let marked = world.marked(&run.dir);
        while let Some(pid) = unseen.pop() {
            assert!(marked.contains(&pid), "{core}: {pid} is not marked");
            unseen.extend(children_of(pid));
        }
        run.stop();
        run.end().await;
    }
}

#[tokio::test]
async fn a_stop_of_a_warm_run_is_as_complete() {
    for core in cores() {
        let world = warm(&core).await;
        stop_is_complete(&world, |run| is_warm(run)).await;
    }
}

#[tokio::test]
async fn the_time_limit_ends_a_warm_run() {
    let [_, core] = cores();
    let world = warm(&core).await;
    let run = world.play(&format!("{HEADER}    - command: sleep 300\n"), |parameters| {
        parameters.timeout = healgate::domain::span::Span::from_secs(2);
    });
    is_warm(&run);
    let ended = run.end().await;
    assert_eq!(ended.outcome, Outcome::TimedOut);
    assert_eq!(ended.status.stopped.unwrap().kind, StopKind::TimeLimit);
    assert_eq!(ended.status.start, Some(Start::Warm));
}

#[tokio::test]
async fn an_interpreter_that_was_killed_between_two_runs_is_replaced() {
    for core in cores() {
        let world = warm(&core).await;
        let run = world.play(SAY, |_| {});
        is_warm(&run);
        run.end().await;
        kill(world.interpreter().unwrap());
        eventually("the interpreter's end", || {
            (world.ansible.warm_usage().interpreters == 0).then_some(())
        })
        .await;
        let run = world.play(SAY, |_| {});
        assert_eq!(cold_because(&run), "the warm interpreter has died");
        assert_eq!(run.end().await.outcome, Outcome::Ok);
        eventually("another interpreter", || {
            (world.ansible.warm_usage().interpreters == 1).then_some(())
        })
        .await;
        let run = world.play(SAY, |_| {});
        is_warm(&run);
        assert_eq!(run.end().await.outcome, Outcome::Ok);
    }
}

#[tokio::test]
async fn fifty_warm_runs_at_once_end_as_fifty_cold_ones() {
    let [_, core] = cores();
    let world = std::sync::Arc::new(warm(&core).await);
    world.write(
        "number.yml",
        "- hosts: all\n  gather_facts: false\n  tasks:\n    - debug: {msg: 'run {{ number }}'}\n",
    );
    let mut starting = JoinSet::new();
    for number in 0..50 {
        let world = std::sync::Arc::clone(&world);
        starting.spawn_blocking(move || {
            world.play("", |parameters| {
                parameters.path = "number.yml".into();
                parameters.vars.insert("number".into(), number.into());
            })
        });
    }
    let runs = starting.join_all().await;
    let warm = runs.iter().filter(|run| run.host.start() == Some(&Start::Warm)).count();
    assert_eq!(warm, 50);
    let mut said: Vec<i32> = Vec::new();
    for run in runs {
        let ended = run.end().await;
        assert_eq!(ended.outcome, Outcome::Ok, "{}", ended.log);
        let message = ended.tasks[0].message.as_deref().unwrap();
        said.push(message.strip_prefix("run ").unwrap().parse().unwrap());
    }
    said.sort_unstable();
    assert_eq!(said, (0..50).collect::<Vec<_>>());
}

#[tokio::test]
async fn what_is_not_ansibles_own_script_starts_cold_and_says_why() {
    let world = World::warm("none");
    let run = world.start(&world.script("echo hello"));
    assert_eq!(
        cold_because(&run),
        "/bin/sh is not ansible-playbook's own Python script"
    );
    assert_eq!(run.end().await.log, "hello\n");
}

#[tokio::test]
async fn a_python_without_ansible_starts_cold_and_is_not_tried_again_at_once() {
    let script = "#!/usr/bin/python3 -S\n# ansible.cli.playbook\nprint('hello')\n";
    let world = World::warm("none");
    let command = world.executable("ansible-playbook", script);
    let spec = || {
        let mut spec = world.script("");
        spec.argv = vec![command.clone()];
        spec
    };
    let run = world.start(&spec());
    assert_eq!(cold_because(&run), "no warm interpreter yet");
    assert_eq!(run.end().await.log, "hello\n");
    let because = eventually("the interpreter has failed", || {
        let run = world.start(&spec());
        Some(cold_because(&run)).filter(|because| because != "no warm interpreter yet")
    })
    .await;
    assert!(
        because.starts_with("the warm interpreter could not be started: ") && because.contains("ansible"),
        "{because}"
    );
    let run = world.start(&spec());
    assert_eq!(cold_because(&run), because);
    // Something that it depends on has changed.
    world.executable("ansible-playbook", &format!("{script}# \n"));
    let run = world.start(&spec());
    assert_eq!(cold_because(&run), "no warm interpreter yet");
}

#[tokio::test]
async fn limits_are_held_and_told() {
    let [_, core] = cores();
    let world = limited(&core, |limits| limits.available = u64::MAX);
    let run = world.play(SAY, |_| {});
    assert!(cold_because(&run).starts_with("memory is short: "));
    assert_eq!(run.end().await.outcome, Outcome::Ok);

    let world = limited(&core, |limits| limits.interpreters = 1);
    world.until_warm(&BTreeMap::new()).await;
    assert!(world.ansible.warm_usage().memory > 10 << 20);
    let run = world.play(SAY, |parameters| {
        parameters.env.insert("REGION".into(), "eu".into());
    });
    assert_eq!(
        cold_because(&run),
        "all 1 warm interpreters are in use by other environments"
    );
    assert_eq!(run.end().await.outcome, Outcome::Ok);

    let world = limited(&core, |limits| limits.resident = 1 << 20);
    world.until_warm(&BTreeMap::new()).await;
    let run = world.play(SAY, |_| {});
    assert_eq!(cold_because(&run), "the warm interpreter has grown beyond 1 MiB");
    assert_eq!(run.end().await.outcome, Outcome::Ok);
}

/// Without guards, which are no part of a run.
pub(crate) fn children_of(parent: i32) -> Vec<i32> {
    let entries = std::fs::read_dir("/proc").unwrap().flatten();
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
    pids.filter(|pid| {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        let fields = stat.rsplit(')').next().unwrap_or_default();
        let is_child = fields.split_whitespace().nth(1).and_then(|field| field.parse().ok()) == Some(parent);
        let command = || std::fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        is_child && !command().contains("run-guard")
    })
    .collect()
}
