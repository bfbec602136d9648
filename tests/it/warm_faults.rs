//! Whoever dies at whatever moment of a warm start: the playbook runs once, or the run is known to be lost. With a
//! scripted stand-in for the interpreter, which can be brought to fail anywhere.

use std::time::Duration;

use healgate::ansible::WarmLimits;
use healgate::ansible::rundir::{How, RunSpec, RunState};
use healgate::domain::attempt::Start;

use crate::runs::{Run, World, eventually, kill};
use crate::support::alerts::firing;
use crate::support::folder::Folder;
use crate::support::gateway::Gateway;
use crate::support::wait::until;
use crate::warm_runs::{children_of, cold_because};

/// Stands in for the Python of a console script. Told to be an interpreter, it is one that fails as `FAULT` says;
/// otherwise it is a Python. Ends with what it began, as its standard input does.
const STAND_IN: &str = r#"#!/usr/bin/python3
import json, os, signal, socket, sys, time

def wait_for(name):
    path = os.path.join(os.environ["DIR"], name)
    while not os.path.exists(path):
        time.sleep(0.01)

def note(name):
    open(os.path.join(os.environ["DIR"], name), "w").close()

if not sys.argv[1].endswith("healgate_warm.py"):
    os.execv("/usr/bin/python3", ["python3"] + sys.argv[1:])
script, watch = sys.argv[2:4]
open(watch, "w").close()
control = socket.socket(fileno=os.dup(0))
control.send(json.dumps({"ready": True, "ansible": "0", "python": "0"}).encode())
signal.signal(signal.SIGCHLD, signal.SIG_IGN)

def host_half(request, line):
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    os.setsid()
    if fault == "no host":
        os._exit(1)
    theirs, ours = socket.socketpair()
    host = os.getpid()
    play = os.fork()
    if play == 0:
        os.close(line)
        theirs.close()
        control.close()
        play_half(host, ours)
    for old, new in ((theirs.fileno(), 0), (line, 1)):
        os.dup2(old, new)
    binary = "/nowhere/healgate" if fault == "no binary" else request["host"]
    try:
        os.execve(binary, ["healgate", "run-host", "--ticket", request["ticket"], "--warm", str(play), request["dir"]], {})
    except OSError as error:
        os.write(1, json.dumps({"refused": str(error)}).encode() + b"\n")
        os._exit(127)

def play_half(host, link):
    if fault == "no play":
        os._exit(0)
    data, fds, _, _ = socket.recv_fds(link, 1 << 16, 1)
    if not data:
        os._exit(0)
    order = json.loads(data)
    if fault == "host dies at the order":
        os.kill(host, signal.SIGKILL)
        os._exit(0)
    if fault == "silent play":
        time.sleep(60)
    if fault == "play refuses":
        link.sendall(b'{"refused": "it does not want to"}\n')
        os._exit(0)
    if fault == "play babbles":
        link.sendall(b'what?\n')
        time.sleep(60)
    link.sendall(b'{"ready": true}\n')
    if fault == "play dies when ready":
        os._exit(0)
    if fault == "host dies when ready":
        os.kill(host, signal.SIGKILL)
        os._exit(0)
    if link.recv(3) != b"go\n":
        os._exit(0)
    if fault == "host dies after go":
        os.kill(host, signal.SIGKILL)
        os._exit(0)
    for fd in (1, 2):
        os.dup2(fds[0], fd)
    os.execve("/usr/bin/python3", ["python3"] + order["argv"], order["env"])

while True:
    packet, fds, _, _ = socket.recv_fds(control, 1 << 16, 1)
    if not packet:
        os._exit(0)
    request, line = json.loads(packet), fds[0]
    fault = os.environ["FAULT"]
    if fault == "late once":
        fault = "works" if os.path.exists(os.path.join(os.environ["DIR"], "asked")) else "late"
    note("asked")
    if fault == "dies":
        os._exit(1)
    if fault == "refuses":
        os.write(line, b'{"refused": "cannot fork: no reason"}\n')
    elif fault == "hangs":
        time.sleep(3600)
    elif os.fork() == 0:
        if fault == "late":
            control.close()
            wait_for("late")
            note("came")
        host_half(request, line)
    os.close(line)
"#;

/// The "playbook": counts how often it was run.
const SCRIPT: &str = r#"# ansible.cli.playbook
import os, time
fd = os.open(os.path.join(os.environ["DIR"], "begun"), os.O_WRONLY | os.O_APPEND | os.O_CREAT)
os.write(fd, b"begun\n")
print("begun", flush=True)
while os.environ.get("WAIT") and not os.path.exists(os.path.join(os.environ["DIR"], "go")):
    time.sleep(0.01)
"#;

fn install(world: &World) -> String {
    let python = world.executable("python-stand-in", STAND_IN);
    world.executable("ansible-playbook", &format!("#!{python}\n{SCRIPT}"))
}

fn world() -> World {
    let limits = WarmLimits {
        answer: Duration::from_millis(400),
        ..WarmLimits::default()
    };
    World::with("none", Duration::from_secs(2), Some(limits))
}

fn spec(world: &World, fault: &str) -> RunSpec {
    let mut spec = world.script("");
    spec.argv = vec![install(world)];
    spec.env.insert("FAULT".into(), fault.into());
    spec.env.insert("HEALGATE_RUN".into(), format!("{}/1", spec.job));
    spec
}

/// Starts a run when the interpreter is ready, which fails in this way.
async fn start(world: &World, spec: &RunSpec) -> Run {
    let mut first = spec.clone();
    first.job = world.script("").job;
    first.sockets = world.path("first");
    let run = world.start(&first);
    assert_eq!(cold_because(&run), "no warm interpreter yet");
    world.write("go", "");
    run.end().await;
    std::fs::remove_file(world.path("go")).unwrap();
    std::fs::remove_file(world.path("begun")).unwrap();
    eventually("a stand-in", || {
        (world.ansible.warm_usage().interpreters == 1).then_some(())
    })
    .await;
    world.start(spec)
}

fn begun(world: &World) -> usize {
    let text = std::fs::read_to_string(world.path("begun")).unwrap_or_default();
    text.lines().count()
}

#[tokio::test]
async fn the_stand_in_can_do_it_right() {
    let world = world();
    let run = start(&world, &spec(&world, "works")).await;
    assert_eq!(run.host.start(), Some(&Start::Warm));
    let ended = run.end().await;
    assert_eq!((ended.status.how, begun(&world)), (How::Exited { code: 0 }, 1));
}

#[tokio::test]
async fn whatever_fails_before_the_playbook_begins_it_begins_once_and_cold() {
    for (fault, because) in [
        ("dies", "the warm interpreter ended before the run began"),
        ("refuses", "cannot fork: no reason"),
        ("hangs", "the warm interpreter did not answer within 0.4 s"),
        ("no host", "the warm interpreter ended before the run began"),
        ("no binary", "[Errno 2] No such file or directory: '/nowhere/healgate'"),
        ("no play", "the warm play has died"),
        (
            "host dies at the order",
            "the warm interpreter ended before the run began",
        ),
        ("play refuses", "it does not want to"),
        ("play babbles", "the warm play did not answer"),
    ] {
        let world = world();
        let run = start(&world, &spec(&world, fault)).await;
        let told = run.host.start().cloned();
        let ended = run.end().await;
        assert_eq!(ended.status.how, How::Exited { code: 0 }, "{fault}");
        assert_eq!((begun(&world), ended.log.as_str()), (1, "begun\n"), "{fault}");
        let started = ended.status.start.unwrap();
        let said = started.cold_because().unwrap_or_default();
        // A busy machine may give up on any of them.
        assert!(said == because || said.contains("did not answer"), "{fault}: {said}");
        assert!(told.is_none() || told == Some(started.clone()), "{fault}: {told:?}");
        // The next run need not go through the same.
        assert_eq!(world.ansible.warm_usage().interpreters, 0, "{fault}");
    }
}

#[tokio::test]
async fn a_play_that_never_answers_is_ended_and_the_playbook_begins_once() {
    let world = world();
    let run = start(&world, &spec(&world, "silent play")).await;
    // The gateway has given up waiting for the host's word, but the host lives.
    assert_eq!(run.host.start(), None);
    assert_eq!(run.dir.state().unwrap(), RunState::Live);
    let ended = run.end().await;
    assert_eq!(begun(&world), 1);
    let because = "the warm play did not answer within 5 s".to_owned();
    assert_eq!(ended.status.start, Some(Start::Cold { because }));
}

#[tokio::test]
async fn a_play_or_host_that_dies_between_ready_and_go_runs_nothing_twice() {
    for fault in ["play dies when ready", "host dies when ready", "host dies after go"] {
        let world = world();
        let mut run = start(&world, &spec(&world, fault)).await;
        run.host.wait().await.unwrap();
        let known = || Some(run.dir.state().unwrap()).filter(|state| *state != RunState::Live);
        match eventually("what became of the run", known).await {
            // It ran once, cold or as the play that died at its first step.
            RunState::Ended(status) => {
                let ran = matches!(status.start, Some(Start::Cold { .. }));
                assert_eq!(begun(&world), usize::from(ran), "{fault}: {status:?}");
            }
            RunState::Vanished => assert_eq!(begun(&world), 0, "{fault}"),
            state @ (RunState::Live | RunState::NeverStarted) => panic!("{fault}: {state:?}"),
        }
        if fault == "host dies after go" {
            assert_eq!(run.dir.state().unwrap(), RunState::Vanished);
        }
    }
}

#[tokio::test]
async fn a_host_that_comes_late_finds_the_run_taken() {
    let world = world();
    let mut spec = spec(&world, "late");
    spec.env.insert("WAIT".into(), "1".into());
    let mut waiting = spec.clone();
    waiting.env.insert("WAIT".into(), "1".into());
    let run = start(&world, &waiting).await;
    assert_eq!(cold_because(&run), "the warm interpreter did not answer within 0.4 s");
    run.says("begun").await;
    world.write("late", "");
    let said = || std::fs::read_to_string(run.dir.path().join("host.log")).unwrap_or_default();
    eventually("the late host has ended", || {
        let over = world.path("came").exists() && world.hosts(&run.dir).len() == 1;
        over.then_some(())
    })
    .await;
    world.write("go", "");
    let log = said();
    let ended = run.end().await;
    assert_eq!((begun(&world), ended.log.as_str()), (1, "begun\n"), "{log}");
    assert_eq!(ended.status.how, How::Exited { code: 0 });
}

#[tokio::test]
async fn an_interpreter_that_failed_a_run_is_not_replaced_at_once() {
    let world = world();
    let spec = spec(&world, "dies");
    let run = start(&world, &spec).await;
    run.end().await;
    let mut again = spec.clone();
    again.job = world.script("").job;
    again.sockets = world.path("again");
    for _ in 0..2 {
        let run = world.start(&again);
        assert_eq!(cold_because(&run), "the warm interpreter ended before the run began");
        run.end().await;
    }
    assert_eq!(world.interpreter(), None);
}

fn folder(fault: &str) -> Folder {
    let folder = Folder::new();
    folder.program("python-stand-in", STAND_IN);
    let python = folder.path("python-stand-in");
    folder.program("ansible-playbook", &format!("#!{}\n{SCRIPT}", python.display()));
    folder.warm_settings("./ansible-playbook", "");
    let dir = folder.path("");
    let catalogue = folder.read("remediations.yml").replace(
        "path: fix.yml",
        &format!("path: fix.yml\n    env: {{FAULT: '{fault}', DIR: '{}'}}", dir.display()),
    );
    folder.write("remediations.yml", &catalogue);
    folder
}

async fn until_warm(gateway: &Gateway) {
    until("a warm interpreter", || async {
        let metrics = gateway.text("/metrics").await;
        metrics.contains("\nhealgate_warm_interpreters 1\n").then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_gateway_killed_in_the_middle_of_a_warm_start_runs_nothing_twice() {
    let folder = folder("late once");
    let gateway = Gateway::start(&folder).await;
    until_warm(&gateway).await;
    let job = gateway.queue(firing("Down", "f1")).await;
    until("the interpreter was asked", || async {
        folder.path("asked").exists().then_some(())
    })
    .await;
    gateway.kill().await;
    let gateway = Gateway::start(&folder).await;
    let ended = gateway.until_finished(&job).await;
    assert_eq!(ended["attempts"].as_array().unwrap().len(), 1, "{ended}");
    folder.write("late", "");
    until("the late host has come and gone", || async {
        let hosts = folder
            .processes()
            .into_iter()
            .filter(|(_, command)| command.contains("run-host"));
        (folder.path("came").exists() && hosts.count() == 0).then_some(())
    })
    .await;
    assert_eq!(folder.read("begun"), "begun\n");
}

#[tokio::test]
async fn an_interpreter_killed_at_any_moment_of_many_runs_costs_none_of_them() {
    let folder = folder("works");
    let gateway = Gateway::start(&folder).await;
    until_warm(&gateway).await;
    let mut jobs = Vec::new();
    for number in 0..40 {
        jobs.push(gateway.queue(firing("Down", &format!("f{number}"))).await);
        if number % 3 == 0 {
            for pid in children_of(i32::try_from(gateway.pid()).unwrap()) {
                let command = std::fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap_or_default();
                if command.contains("healgate_warm.py") {
                    kill(pid);
                }
            }
        }
    }
    for job in jobs {
        gateway.until_finished(&job).await;
    }
    assert_eq!(folder.read("begun").lines().count(), 40);
}
