//! A stop of real Ansible ends all that unfinished tasks began and spares what ended ones left, whoever dies first: with the
//! oldest and the newest ansible-core that are supported.

use std::time::{Duration, Instant};

use healgate::domain::attempt::Outcome;

use crate::runs::{Run, World, cores, kill, lives, pid_in};
use crate::warm_runs::children_of;

const HEADER: &str = "- hosts: all\n  gather_facts: false\n  tasks:\n";

/// The first task leaves a daemon on purpose; the second never ends, and what it begins resists in every way.
const RESISTING: &str = r#"
- hosts: all
  gather_facts: false
  tasks:
    - shell: "setsid sh -c 'echo $$ > $DIR/daemon; exec sleep 300' > /dev/null 2>&1 < /dev/null &"
    - shell: "setsid env -i sh -c 'echo $$ > $DIR/bare_daemon; exec sleep 300' > /dev/null 2>&1 < /dev/null &"
    - wait_for: {path: $DIR/bare_daemon}
    - shell: |
        trap '' INT TERM
        echo $$ > $DIR/deaf
        setsid sh -c 'trap "" INT TERM; echo $$ > $DIR/away; while :; do sleep 1; done' &
        (setsid sh -c 'trap "" INT TERM; echo $$ > $DIR/orphan; while :; do sleep 1; done' > /dev/null 2>&1 &)
        (setsid env -i sh -c 'trap "" INT TERM; echo $$ > $DIR/bare; while :; do sleep 1; done' > /dev/null 2>&1 &)
        while :; do sleep 1; done
"#;

/// Stops a run of that world in the middle of it.
pub(crate) async fn stop_is_complete(world: &World, check: impl FnOnce(&Run)) {
    let run = world.play(RESISTING, |_| {});
    check(&run);
    let mut doomed = Vec::new();
    for name in ["deaf", "away", "orphan", "bare"] {
        doomed.push(pid_in(&world.path(name)).await);
    }
    let asked = Instant::now();
    run.stop();
    let ended = run.end().await;
    assert!(asked.elapsed() < Duration::from_secs(4), "{:?}", asked.elapsed());
    assert_eq!(ended.outcome, Outcome::Canceled);
    for (name, pid) in ["deaf", "away", "orphan", "bare"].iter().zip(doomed) {
        assert!(!lives(pid), "{name} lives\n{}", ended.log);
    }
    for name in ["daemon", "bare_daemon"] {
        let pid = pid_in(&world.path(name)).await;
        assert!(lives(pid), "the stop killed {name}\n{}", ended.log);
        kill(pid);
    }
    let text = &ended.log;
    assert!(
        text.contains("healgate: stopped by alice (cancel)") && text.contains("healgate: killed"),
        "{text}"
    );
}

#[tokio::test]
async fn a_stop_ends_all_that_unfinished_tasks_began_and_spares_what_ended_ones_left() {
    for core in cores() {
        stop_is_complete(&World::new(&core), |_| {}).await;
    }
}

/// As the kernel does when memory is short.
#[tokio::test]
async fn what_unfinished_tasks_began_ends_with_a_playbook_that_is_killed() {
    for core in cores() {
        let world = World::new(&core);
        let run = world.play(RESISTING, |_| {});
        let mut doomed = Vec::new();
        for name in ["deaf", "away", "orphan", "bare"] {
            doomed.push(pid_in(&world.path(name)).await);
        }
        let started = children_of(world.hosts(&run.dir)[0]);
        let commands = |pid: &&i32| std::fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        let play = started.iter().find(|pid| commands(pid).contains("-playbook")).unwrap();
        kill(*play);
        let ended = run.end().await;
        assert_eq!(ended.status.how, healgate::ansible::rundir::How::Signaled { signal: 9 });
        for pid in doomed {
            assert!(!lives(pid), "{}", ended.log);
        }
        for name in ["daemon", "bare_daemon"] {
            let pid = pid_in(&world.path(name)).await;
            assert!(lives(pid), "{name} was killed\n{}", ended.log);
            kill(pid);
        }
        assert!(
            ended.log.contains("healgate: ansible-playbook died; killed "),
            "{}",
            ended.log
        );
    }
}

#[tokio::test]
async fn a_daemon_lives_on_after_the_end_of_its_run() {
    for core in cores() {
        let world = World::new(&core);
        let tasks = "    - shell: \"setsid sh -c 'echo $$ > $DIR/daemon; exec sleep 300' > /dev/null 2>&1 < /dev/null &\"\n    - wait_for: {path: $DIR/daemon}\n";
        let ended = world.play(&format!("{HEADER}{tasks}"), |_| {}).end().await;
        assert_eq!(ended.outcome, Outcome::Ok, "{}", ended.log);
        let daemon = pid_in(&world.path("daemon")).await;
        assert!(lives(daemon));
        kill(daemon);
    }
}

#[tokio::test]
async fn a_stop_ends_ansible_by_its_own_way_out() {
    for core in cores() {
        let world = World::with_grace(&core, Duration::from_secs(10));
        let run = world.play(
            &format!("{HEADER}    - shell: echo $$ > $DIR/pid; exec sleep 300\n"),
            |_| {},
        );
        let sleep = pid_in(&world.path("pid")).await;
        let asked = Instant::now();
        run.stop();
        let ended = run.end().await;
        assert!(
            asked.elapsed() < Duration::from_secs(3),
            "{core}: {:?}",
            asked.elapsed()
        );
        assert_eq!(
            ended.status.how,
            healgate::ansible::rundir::How::Exited { code: 99 },
            "{}",
            ended.log
        );
        assert!(!lives(sleep) && ended.status.killed.is_empty(), "{:?}", ended.status);
    }
}

/// One task on two hosts: it has ended on the first, where it left a daemon, and goes on on the second.
#[tokio::test]
async fn a_stop_knows_what_the_same_task_began_on_which_host() {
    let play = r#"
- hosts: all
  gather_facts: false
  tasks:
    - shell: |
        setsid sh -c 'echo $$ > $DIR/{{ inventory_hostname }}; trap "" TERM; while :; do sleep 1; done' > /dev/null 2>&1 < /dev/null &
        [ {{ inventory_hostname }} = web1 ] || exec sleep 300
"#;
    for core in cores() {
        let world = World::new(&core);
        world.write(
            "hosts",
            "web1 ansible_connection=local\nweb2 ansible_connection=local\n",
        );
        let run = world.play(play, |_| {});
        let (daemon, doomed) = (pid_in(&world.path("web1")).await, pid_in(&world.path("web2")).await);
        run.says("changed: [web1]").await;
        run.stop();
        let ended = run.end().await;
        assert!(!lives(doomed), "{core}: {}", ended.log);
        assert!(lives(daemon), "{core}: {}", ended.log);
        kill(daemon);
    }
}

/// Ansible has installed no handlers yet, or is still being imported.
#[tokio::test]
async fn a_stop_comes_never_too_early() {
    for core in cores() {
        for delay in [0, 50, 150, 300, 450] {
            let world = World::with_grace(&core, Duration::from_secs(10));
            let run = world.play(&format!("{HEADER}    - command: sleep 300\n"), |_| {});
            let moment = Instant::now() + Duration::from_millis(delay);
            tokio::time::sleep_until(moment.into()).await;
            let asked = Instant::now();
            run.stop();
            let ended = run.end().await;
            assert_eq!(ended.outcome, Outcome::Canceled, "{}", ended.log);
            assert!(
                asked.elapsed() < Duration::from_secs(4),
                "{core} {delay}: {:?}\n{}",
                asked.elapsed(),
                ended.log
            );
        }
    }
}

#[tokio::test]
async fn nothing_of_a_run_is_left_when_its_host_is_killed() {
    for core in cores() {
        let world = World::new(&core);
        let mut run = world.play(RESISTING, |_| {});
        let mut pids = Vec::new();
        for name in ["deaf", "away", "orphan"] {
            pids.push(pid_in(&world.path(name)).await);
        }
        let bare = pid_in(&world.path("bare")).await;
        // There is no gateway here that could do anything about it.
        run.lose_host().await;
        let killed = run.dir.end_leftovers(Duration::from_secs(5)).unwrap();
        for pid in pids {
            assert!(!lives(pid), "{core}");
            assert!(killed.iter().any(|killed| killed.pid == pid), "{core}: {killed:?}");
        }
        for name in ["daemon", "bare_daemon"] {
            let pid = pid_in(&world.path(name)).await;
            assert!(lives(pid), "{core}: {name} was killed");
            kill(pid);
        }
        // Without a mark, a parent and a host, nothing tells whose it is.
        kill(bare);
    }
}

#[tokio::test]
async fn a_stop_ends_a_task_that_waits_for_its_own_background_job() {
    for core in cores() {
        let world = World::new(&core);
        let tasks = "    - shell: echo $$ > $DIR/pid; exec sleep 300\n      async: 600\n      poll: 1\n";
        let run = world.play(&format!("{HEADER}{tasks}"), |_| {});
        let job = pid_in(&world.path("pid")).await;
        run.stop();
        let ended = run.end().await;
        assert!(!lives(job), "{core}: {}", ended.log);
    }
}
