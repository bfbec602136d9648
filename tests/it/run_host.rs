//! A run host keeps the log, holds the limits and ends what must end, whatever it runs.

use std::fs;
use std::time::{Duration, Instant};

use healgate::ansible::rundir::{How, RunState, StopKind};
use healgate::domain::attempt::Outcome;

use crate::runs::{World, eventually, kill, lives, pid_in};

#[tokio::test]
async fn output_is_in_the_log_as_soon_as_it_is_said() {
    let world = World::new("none");
    let run = world.start(&world.script("printf half; read -r line < $DIR/fifo"));
    let start = Instant::now();
    run.says("half").await;
    assert!(start.elapsed() < Duration::from_millis(500), "{:?}", start.elapsed());
    run.stop();
    run.end().await;
}

#[tokio::test]
async fn the_exit_code_and_all_bytes_are_kept() {
    let world = World::new("none");
    let script = r"printf 'a\377\000b'; head -c 700000 /dev/zero | tr '\0' x; echo err >&2; exit 7";
    let ended = world.start(&world.script(script)).end().await;
    assert_eq!(ended.status.how, How::Exited { code: 7 });
    assert_eq!(ended.status.log_bytes, 4 + 700_000 + 4);
    assert!(ended.log.starts_with("a\u{fffd}\0bxxx") && ended.log.ends_with("xxxerr\n"));
    assert_eq!(ended.status.stopped, None);
}

#[tokio::test]
async fn a_long_log_keeps_its_beginning_and_its_end() {
    let world = World::new("none");
    let ended = world.start(&world.script("seq 1 400000")).end().await;
    assert!(ended.log.starts_with("1\n2\n") && ended.log.ends_with("\n400000\n"));
    assert!(ended.log.contains("bytes are left out here"));
    assert!(ended.status.log_truncated && ended.log.len() <= 1 << 20);
}

#[tokio::test]
async fn a_command_that_is_not_there_is_named() {
    let world = World::new("none");
    let mut spec = world.script("");
    spec.argv = vec!["/nowhere/ansible-playbook".into()];
    let ended = world.start(&spec).end().await;
    assert_eq!(ended.outcome, Outcome::StartFailed);
    assert!(
        ended
            .message
            .starts_with("cannot start /nowhere/ansible-playbook: No such file"),
        "{}",
        ended.message
    );
    world.write("script", "#!/nowhere/python\n");
    fs::set_permissions(
        world.path("script"),
        std::os::unix::fs::PermissionsExt::from_mode(0o755),
    )
    .unwrap();
    let mut spec = world.script("");
    spec.argv = vec![world.path("script").to_string_lossy().into_owned()];
    let ended = world.start(&spec).end().await;
    assert!(ended.message.contains("the interpreter"), "{}", ended.message);
    let mut spec = world.script("");
    spec.cwd = "/nowhere".into();
    assert_eq!(world.start(&spec).end().await.outcome, Outcome::StartFailed);
}

#[tokio::test]
async fn a_command_killed_by_a_signal_names_it() {
    let world = World::new("none");
    let ended = world.start(&world.script("kill -9 $$")).end().await;
    assert_eq!(ended.status.how, How::Signaled { signal: 9 });
    assert_eq!(ended.outcome, Outcome::PlaybookError);
    assert!(ended.message.contains("SIGKILL"), "{}", ended.message);
}

#[tokio::test]
async fn the_time_limit_ends_a_run() {
    let world = World::new("none");
    let mut spec = world.script("echo begun; sleep 300");
    spec.time_limit = Duration::from_millis(300);
    let ended = world.start(&spec).end().await;
    assert_eq!(ended.outcome, Outcome::TimedOut);
    assert_eq!(ended.status.stopped.unwrap().kind, StopKind::TimeLimit);
    assert!(ended.log.contains("healgate: stopped by healgate at "), "{}", ended.log);
}

#[tokio::test]
async fn a_stop_ends_what_resists_and_says_so() {
    let world = World::new("none");
    // Without marks of tasks, all of it is the play's own: one ignores everything, one has a session of its own, one has
    // lost its parent.
    let script = r#"
        trap '' INT TERM
        sh -c 'trap "" INT TERM; echo $$ > $DIR/deaf; while :; do sleep 1; done' &
        setsid sh -c 'trap "" INT TERM; echo $$ > $DIR/away; while :; do sleep 1; done' &
        (setsid sh -c 'trap "" INT TERM; echo $$ > $DIR/orphan; while :; do sleep 1; done' &)
        while :; do sleep 1; done"#;
    let mut spec = world.script(script);
    spec.env.insert("HEALGATE_RUN".into(), format!("{}/1", spec.job));
    let run = world.start(&spec);
    let mut pids = Vec::new();
    for name in ["deaf", "away", "orphan"] {
        pids.push(pid_in(&world.path(name)).await);
    }
    let asked = Instant::now();
    run.stop();
    let ended = run.end().await;
    assert!(
        asked.elapsed() < spec.grace + Duration::from_secs(2),
        "{:?}",
        asked.elapsed()
    );
    for pid in pids {
        assert!(!lives(pid));
        assert!(
            ended.status.killed.iter().any(|killed| killed.pid == pid),
            "{:?}",
            ended.status
        );
        assert!(ended.log.contains(&format!("({pid})")));
    }
    assert_eq!(ended.outcome, Outcome::Canceled);
    assert!(
        ended.log.contains("healgate: stopped by alice (cancel) at 20"),
        "{}",
        ended.log
    );
}

#[tokio::test]
async fn the_first_signal_comes_at_once() {
    let world = World::new("none");
    let script = "import signal,time\nsignal.signal(2, lambda *a: (print('INT', time.time(), flush=True), exit(0)))\n\
                  print('ready', flush=True)\ntime.sleep(300)";
    let mut spec = world.script("");
    spec.argv = vec!["/usr/bin/python3".into(), "-c".into(), script.into()];
    let run = world.start(&spec);
    run.says("ready").await;
    run.stop();
    let ended = run.end().await;
    let asked = ended.status.stopped.unwrap().at.as_micros();
    let said = ended
        .log
        .split_whitespace()
        .skip_while(|word| *word != "INT")
        .nth(1)
        .unwrap();
    let delay = said.parse::<f64>().unwrap() * 1e6 - asked as f64;
    assert!(delay < 100_000.0, "{delay} µs");
}

#[tokio::test]
async fn a_run_that_is_stopped_before_it_begins_never_begins() {
    let world = World::new("none");
    let spec = world.script("touch $DIR/begun");
    let dir = world.ansible.runs().create(&spec).unwrap();
    let host = |dir| crate::runs::Run {
        host: world.ansible.start(&dir).unwrap(),
        dir,
    };
    let stop = healgate::ansible::rundir::Stop {
        by: "alice".into(),
        kind: StopKind::Cancel,
        at: healgate::domain::timestamp::Timestamp::from_micros(0),
    };
    dir.request_stop(&stop).unwrap();
    let ended = host(dir).end().await;
    assert_eq!(ended.status.how, How::NotStarted);
    assert_eq!(ended.outcome, Outcome::Canceled);
    assert!(!world.path("begun").exists());
}

#[tokio::test]
async fn a_daemon_that_holds_the_pipe_does_not_hold_the_run() {
    let world = World::new("none");
    let run = world.start(&world.script("setsid sh -c 'echo $$ > $DIR/daemon; exec sleep 300' & sleep 0.2; echo end"));
    let daemon = pid_in(&world.path("daemon")).await;
    let ended = run.end().await;
    assert!(ended.log.contains("end\n"));
    assert!(lives(daemon), "the end of a run killed a daemon");
    kill(daemon);
}

/// One that writes would die of a pipe without a reader.
#[tokio::test]
async fn a_daemon_goes_on_writing_into_the_output_of_a_run_that_has_ended() {
    let world = World::new("none");
    let daemon = "while :; do echo alive; echo >> $DIR/written; sleep 0.02; done";
    let script =
        format!("setsid sh -c 'echo $$ > $DIR/daemon; {daemon}' & while [ ! -e $DIR/written ]; do sleep 0.02; done");
    let ended = world.start(&world.script(&script)).end().await;
    assert_eq!(ended.status.how, How::Exited { code: 0 });
    let daemon = pid_in(&world.path("daemon")).await;
    let written = || fs::metadata(world.path("written")).unwrap().len();
    let so_far = written();
    eventually("more output", || (written() > so_far + 5).then_some(())).await;
    assert!(lives(daemon));
    kill(daemon);
    eventually("the guard's end", || world.guards().is_empty().then_some(())).await;
}

#[tokio::test]
async fn the_play_dies_with_its_host_and_nothing_of_it_is_left() {
    let world = World::new("none");
    let mut spec = world.script("setsid sh -c 'echo $$ > $DIR/below; exec sleep 300' & echo $$ > $DIR/play; sleep 300");
    spec.env.insert("HEALGATE_RUN".into(), format!("{}/1", spec.job));
    let mut run = world.start(&spec);
    let (play, below) = (pid_in(&world.path("play")).await, pid_in(&world.path("below")).await);
    run.lose_host().await;
    eventually("the play's end", || (!lives(play)).then_some(())).await;
    let killed = run.dir.end_leftovers(Duration::from_secs(2)).unwrap();
    assert!(!lives(below));
    assert!(killed.iter().any(|process| process.pid == below), "{killed:?}");
}

#[tokio::test]
async fn a_host_that_comes_late_begins_nothing() {
    let world = World::new("none");
    let spec = world.script("touch $DIR/begun");
    let dir = world.ansible.runs().create(&spec).unwrap();
    assert_eq!(dir.state().unwrap(), RunState::NeverStarted);
    let mut host = world.ansible.start(&dir).unwrap();
    host.wait().await.unwrap();
    assert_eq!(dir.state().unwrap(), RunState::NeverStarted);
    assert!(!world.path("begun").exists());
    let said = fs::read_to_string(dir.path().join("host.log")).unwrap();
    assert!(said.contains("given it up"), "{said}");
}

#[tokio::test]
async fn a_run_lives_until_its_host_is_gone() {
    let world = World::new("none");
    let run = world.start(&world.script("echo begun; read -r line < $DIR/fifo"));
    rustix::fs::mkfifoat(rustix::fs::CWD, world.path("fifo"), 0o600.into()).unwrap();
    run.says("begun").await;
    assert_eq!(run.dir.state().unwrap(), RunState::Live);
    run.stop();
    let dir = run.dir.clone();
    run.end().await;
    assert!(matches!(dir.state().unwrap(), RunState::Ended(_)));
}

#[tokio::test]
async fn a_play_inherits_nothing_from_its_host() {
    let world = World::new("none");
    let script = r"grep -E 'SigIgn|SigBlk' /proc/self/status; umask; for fd in /proc/self/fd/*; do readlink $fd; done";
    let ended = world.start(&world.script(script)).end().await;
    let lines: Vec<&str> = ended.log.lines().collect();
    for mask in &lines[..2] {
        let mask = u64::from_str_radix(mask.split_whitespace().last().unwrap(), 16).unwrap();
        // Above are the real-time signals, which whoever runs the tests may ignore.
        assert_eq!(mask & 0x7fff_ffff, 0, "{lines:?}");
    }
    assert_eq!(lines[2..4], ["0022", "/dev/null"]);
    assert!(!ended.log.contains(&*world.dir.path().to_string_lossy()), "{lines:?}");
}

#[tokio::test]
async fn a_run_that_floods_its_log_is_stopped_in_time_too() {
    let world = World::new("none");
    let mut spec = world.script("trap '' INT TERM; echo $$ > $DIR/pid; while :; do yes; done");
    spec.env.insert("HEALGATE_RUN".into(), format!("{}/1", spec.job));
    let run = world.start(&spec);
    let pid = pid_in(&world.path("pid")).await;
    let asked = Instant::now();
    run.stop();
    let ended = run.end().await;
    assert!(
        asked.elapsed() < spec.grace + Duration::from_secs(2),
        "{:?}",
        asked.elapsed()
    );
    assert!(!lives(pid) && ended.status.log_truncated);
    assert!(
        ended.log.contains("healgate: stopped by alice"),
        "the log has no last words"
    );
}
