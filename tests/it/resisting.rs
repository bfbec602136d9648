//! Processes that resist a stop, each in its own way, and processes that a stop must spare, below real Ansible: with the
//! oldest and the newest ansible-core that are supported. What lives is found by the mark in its environment.

use std::time::Duration;

use healgate::domain::attempt::Outcome;

use crate::runs::{World, cores, eventually, kill, lives, marked, pid_in};

const GRACE: Duration = Duration::from_secs(1);

/// Ignores all that can be ignored.
const DEAF: &str = "
import os, signal, sys, time
for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT):
    signal.signal(number, signal.SIG_IGN)
def show(name):
    with open(f'$DIR/{name}.tmp', 'w') as file:
        file.write(f'{os.getpid()}\\n')
    os.rename(f'$DIR/{name}.tmp', f'$DIR/{name}')
";

const FOREVER: &str = "
while True:
    time.sleep(1)
";

fn world(core: &str) -> World {
    let world = World::with_grace(core, GRACE);
    let dir = world.dir.path().to_string_lossy().into_owned();
    let deaf = DEAF.replace("$DIR", &dir);
    let python = |body: &str| format!("{deaf}{body}");
    world.write("deaf.py", &python(&format!("show('pid')\n{FOREVER}")));
    world.write(
        "library/deaf.py",
        &format!("#!/usr/bin/python3{}", python(&format!("show('pid')\n{FOREVER}"))),
    );
    let away = "
for _ in range(2):
    if os.fork():
        os._exit(0)
    os.setsid()
show('pid')
";
    world.write("double.py", &python(&format!("{away}{FOREVER}")));
    let chain = "
show('pid')
while True:
    if os.fork():
        os._exit(0)
";
    world.write("chain.py", &python(chain));
    world.write("away_chain.py", &python(&format!("{away}{chain}")));
    world
}

/// Stops a run of these tasks once the last of them works, and sees to it that nothing of it lives when it should not.
async fn nothing_survives(tasks: &str) {
    for core in cores() {
        let world = world(&core);
        let play = format!("- hosts: all\n  gather_facts: false\n  tasks:\n{tasks}");
        let run = world.play(&play, |_| {});
        let pid = pid_in(&world.path("pid")).await;
        let mark = run.mark();
        assert!(!marked(&mark).is_empty());
        run.stop();
        let ended = run.end().await;
        let left = marked(&mark);
        assert!(left.is_empty() && !lives(pid), "{core}: {left:?}\n{}", ended.log);
        assert_eq!(ended.outcome, Outcome::Canceled, "{}", ended.log);
        assert!(
            ended.log.contains("healgate: stopped by alice (cancel) at 20"),
            "{}",
            ended.log
        );
        let took = ended.status.finished_at.since(ended.status.stopped.unwrap().at);
        assert!(took < GRACE + Duration::from_secs(2), "{core}: {took:?}\n{}", ended.log);
    }
}

#[tokio::test]
async fn a_worker_in_its_own_session_ends() {
    nothing_survives("    - shell: echo $$ > $DIR/pid; exec sleep 300\n").await;
}

#[tokio::test]
async fn a_module_that_ignores_every_request_ends() {
    nothing_survives("    - deaf:\n").await;
}

#[tokio::test]
async fn a_child_that_forked_twice_into_a_session_of_its_own_ends() {
    nothing_survives("    - shell: python3 $DIR/double.py & exec sleep 300\n").await;
}

#[tokio::test]
async fn a_background_job_that_its_task_waits_for_ends() {
    nothing_survives("    - command: python3 $DIR/deaf.py\n      async: 600\n      poll: 1\n").await;
}

#[tokio::test]
async fn a_child_that_cleared_its_environment_ends() {
    nothing_survives("    - shell: env -i python3 $DIR/double.py & exec sleep 300\n").await;
}

#[tokio::test]
async fn a_child_that_is_halted_ends() {
    nothing_survives("    - shell: echo $$ > $DIR/pid; kill -STOP $$; sleep 300\n").await;
}

#[tokio::test]
async fn a_child_that_flees_by_forking_ends() {
    nothing_survives("    - shell: python3 $DIR/chain.py & exec sleep 300\n").await;
}

#[tokio::test]
async fn a_child_that_flees_by_forking_in_a_session_of_its_own_ends() {
    nothing_survives("    - shell: python3 $DIR/away_chain.py & exec sleep 300\n").await;
}

/// A task that was told not to wait for its job has ended; the job is left on purpose.
#[tokio::test]
async fn a_background_job_that_nobody_waits_for_lives_on() {
    let tasks = "
    - command: python3 $DIR/deaf.py
      async: 600
      poll: 0
    - wait_for: {path: $DIR/pid}
    - shell: echo $$ > $DIR/last; exec sleep 300
";
    for core in cores() {
        let world = world(&core);
        let run = world.play(&format!("- hosts: all\n  gather_facts: false\n  tasks:{tasks}"), |_| {});
        let last = pid_in(&world.path("last")).await;
        let job = pid_in(&world.path("pid")).await;
        run.stop();
        let ended = run.end().await;
        assert!(lives(job) && !lives(last), "{core}: {}", ended.log);
        kill(job);
    }
}

/// The daemon writes to the very pipe that the play's output goes through.
#[tokio::test]
async fn a_daemon_that_holds_the_plays_pipe_does_not_hold_the_run() {
    let tasks = r#"
    - shell: |
        setsid sh -c 'exec >> /proc/{{ play }}/fd/1; echo $$ > $DIR/pid; while :; do echo alive; sleep 0.1; done' &
      vars:
        play: "{{ lookup('pipe', 'cut -d\" \" -f4 /proc/$PPID/stat') }}"
    - wait_for: {path: $DIR/pid}
    - debug: {msg: last}
"#;
    for core in cores() {
        let world = world(&core);
        let run = world.play(&format!("- hosts: all\n  gather_facts: false\n  tasks:{tasks}"), |_| {});
        run.says("alive").await;
        let ended = run.end().await;
        let daemon = pid_in(&world.path("pid")).await;
        assert_eq!(ended.outcome, Outcome::Ok, "{}", ended.log);
        assert!(lives(daemon), "{core}: {}", ended.log);
        kill(daemon);
        eventually("the daemon's end", || (!lives(daemon)).then_some(())).await;
    }
}
