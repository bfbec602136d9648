//! Logs as they come: live, over attempts, over a gateway that restarts, and without anybody who watches.
#![expect(clippy::disallowed_methods, reason = "starts the command line as its users do")]

use std::process::{Output, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStderr, ChildStdout, Command};

use super::CATALOGUE;
use super::stand_in::{answering, events, json, raw};
use crate::support::alerts::firing;
use crate::support::cli::{Said, ask, command, run};
use crate::support::folder::{FIX, Folder};
use crate::support::gateway::Gateway;
use crate::support::monitoring::free_address;
use crate::support::wait::LIMIT;

/// A command that goes on beside the test.
pub(super) struct Running {
    child: Child,
    out: Lines<BufReader<ChildStdout>>,
    err: Lines<BufReader<ChildStderr>>,
}

impl Running {
    pub(super) fn start(gateway: &Gateway, arguments: &[&str]) -> Self {
        Self::at(gateway.url(), arguments)
    }

    fn at(url: &str, arguments: &[&str]) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_healgate"))
            .args(arguments)
            .env("HEALGATE_URL", url)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let out = BufReader::new(child.stdout.take().unwrap()).lines();
        let err = BufReader::new(child.stderr.take().unwrap()).lines();
        Self { child, out, err }
    }

    /// The next line on standard output.
    pub(super) async fn line(&mut self) -> String {
        let line = tokio::time::timeout(LIMIT, self.out.next_line()).await;
        line.expect("no line comes").unwrap().expect("there is no more")
    }

    /// Waits for that on standard error.
    pub(super) async fn complains(&mut self, wanted: &str) {
        let seen = async {
            while let Some(line) = self.err.next_line().await.unwrap() {
                if line.contains(wanted) {
                    return;
                }
            }
            panic!("it never said {wanted:?}");
        };
        tokio::time::timeout(LIMIT, seen).await.expect(wanted);
    }

    /// Ctrl-C.
    pub(super) fn interrupt(&self) {
        let id = i32::try_from(self.child.id().unwrap()).unwrap();
        kill_process(Pid::from_raw(id).unwrap(), Signal::INT).unwrap();
    }

    /// Its exit code, and what was left on standard error.
    pub(super) async fn ended(mut self) -> (i32, String) {
        let mut rest = String::new();
        let ended = async {
            while let Some(line) = self.err.next_line().await.unwrap() {
                rest.push_str(&line);
                rest.push('\n');
            }
            self.child.wait().await.unwrap().code().unwrap()
        };
        let code = tokio::time::timeout(LIMIT, ended).await.expect("it does not end");
        (code, rest)
    }
}

/// A gateway at an address that it keeps over restarts.
pub(super) async fn at_one_address(folder: &Folder) -> Gateway {
    let settings = folder
        .read("healgate.yml")
        .replace("127.0.0.1:0", &free_address().to_string());
    folder.write("healgate.yml", &settings);
    folder.write("remediations.yml", CATALOGUE);
    Gateway::start(folder).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_is_printed_byte_for_byte_and_so_is_one_that_is_followed() {
    let folder = Folder::new();
    folder.write(
        "fix.yml",
        "sys.stdout.buffer.write(b'\\xff\\x1b[31mred\\x1b[0m \\xc3\\xa9\\r\\n' + bytes(range(256)) * 2000)\nsys.stdout.flush()\nok()",
    );
    let gateway = Gateway::start(&folder).await;
    let job = gateway.queue(firing("Down", "f1")).await;
    gateway.until_finished(&job).await;
    let mut expected = b"\xff\x1b[31mred\x1b[0m \xc3\xa9\r\n".to_vec();
    for _ in 0..2000 {
        expected.extend(0..=255);
    }
    for arguments in [
        &["logs", &job][..],
        &["logs", "last", "--attempt", "1"],
        &["logs", &job, "-f"],
        &["logs", &job, "--follow", "--attempt=1"],
    ] {
        let said = ask(&gateway, arguments);
        assert_eq!((said.code, said.err.as_str()), (0, ""), "{arguments:?}");
        assert!(said.bytes == expected, "{arguments:?}: {} bytes", said.bytes.len());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_of_the_real_ansible_is_followed_while_it_goes_on() {
    let folder = Folder::new();
    let go = folder.path("go");
    folder.write(
        "fix.yml",
        &format!(
            "- hosts: all\n  gather_facts: false\n  tasks:\n    - name: Begin\n      debug: {{msg: begun}}\n    - name: Wait\n      \
             wait_for: {{path: '{}', sleep: 1}}\n    - name: Finish\n      debug: {{msg: finished}}\n",
            go.display()
        ),
    );
    let ansible = concat!(env!("CARGO_MANIFEST_DIR"), "/.venv/bin/ansible-playbook");
    folder.settings_for(ansible, "");
    let gateway = Gateway::start(&folder).await;
    let mut following = Running::start(&gateway, &["jobs", "run", "fix", "--follow"]);
    let mut log = String::new();
    // It waits for this test, so what came so far came live.
    while !log.contains("begun") {
        log.push_str(&following.line().await);
    }
    folder.write("go", "");
    while !log.contains("finished") {
        log.push_str(&following.line().await);
    }
    assert!(log.contains("TASK [Wait]"), "{log}");
    let (code, told) = following.ended().await;
    assert_eq!(code, 0, "{told}");
    assert!(told.contains("succeeded, it ran well"), "{told}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gateway_that_restarts_loses_and_repeats_nothing_of_what_is_followed() {
    let folder = Folder::new();
    let script = format!(
        "for number in range(40):\n    say('line %d' % number)\nwait_for({:?})\nfor number in range(40, 80):\n    say('line \
         %d' % number)\n{FIX}",
        folder.path("go")
    );
    folder.write("fix.yml", &script);
    let mut gateway = at_one_address(&folder).await;
    let job = gateway.queue(firing("Down", "f1")).await;
    let mut following = Running::start(&gateway, &["logs", &job, "-f"]);
    for number in 0..40 {
        assert_eq!(following.line().await, format!("line {number}"));
    }
    gateway.signal(Signal::TERM);
    gateway.ended().await;
    following.complains("the connection is lost").await;
    let gateway = Gateway::start(&folder).await;
    following.complains("the connection is back").await;
    folder.write("go", "");
    for number in 40..80 {
        assert_eq!(following.line().await, format!("line {number}"));
    }
    assert_eq!(following.line().await, "fixed");
    assert_eq!(following.ended().await.0, 0);
    assert_eq!(gateway.until_finished(&job).await["status"], "succeeded");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gateway_that_stays_away_is_given_up_and_the_job_goes_on() {
    let folder = Folder::new();
    folder.write(
        "fix.yml",
        &format!("say('begun')\nwait_for({:?})\n{FIX}", folder.path("go")),
    );
    let gateway = at_one_address(&folder).await;
    let arguments = [
        "jobs",
        "run",
        "fix",
        "--label=alertname=Down",
        "--follow",
        "--patience",
        "1s",
    ];
    let mut following = Running::start(&gateway, &arguments);
    assert_eq!(following.line().await, "begun");
    gateway.kill().await;
    let (code, told) = following.ended().await;
    assert_eq!(code, 3, "{told}");
    assert!(told.contains("Does healgate run at"), "{told}");
    let gateway = Gateway::start(&folder).await;
    folder.write("go", "");
    let id = gateway.get("/api/v1/jobs").await["items"][0]["id"]
        .as_str()
        .unwrap()
        .to_owned();
    assert_eq!(gateway.until_finished(&id).await["status"], "succeeded");
}

#[tokio::test(flavor = "multi_thread")]
async fn ctrl_c_leaves_the_job_running_and_says_so() {
    let folder = Folder::new();
    folder.write(
        "fix.yml",
        &format!("say('begun')\nwait_for({:?})\n{FIX}", folder.path("go")),
    );
    let gateway = Gateway::start(&folder).await;
    let job = gateway.queue(firing("Down", "f1")).await;
    let mut following = Running::start(&gateway, &["logs", &job, "-f"]);
    assert_eq!(following.line().await, "begun");
    following.interrupt();
    let (code, told) = following.ended().await;
    assert_eq!(code, 130, "{told}");
    let expected =
        format!("job {job} goes on: `healgate logs {job} -f` shows how, `healgate jobs cancel {job}` stops it");
    assert!(told.contains(&expected), "{told}");
    assert_eq!(gateway.job(&job).await["status"], "running");
    folder.write("go", "");
    assert_eq!(gateway.until_finished(&job).await["status"], "succeeded");
}

#[tokio::test(flavor = "multi_thread")]
async fn all_attempts_of_a_job_are_followed() {
    let folder = Folder::new();
    let catalogue = CATALOGUE.replace("playbook: fix}", "playbook: fix, retry: {attempts: 2, backoff: 1s}}");
    folder.write("remediations.yml", &catalogue);
    let second = folder.path("second");
    folder.write(
        "fix.yml",
        &format!(
            "if not os.path.exists({second:?}):\n    open({second:?}, 'w')\n    say('cannot')\n    result(status='failed')\n    \
             stats(localhost={{'failures': 1}})\n    end(2)\n{FIX}"
        ),
    );
    let gateway = Gateway::start(&folder).await;
    let job = gateway.queue(firing("Down", "f1")).await;
    let said = ask(&gateway, &["logs", &job, "-f"]);
    assert_eq!((said.code, said.out.as_str()), (0, "cannot\nfixed\n"), "{said:?}");
    assert_eq!(said.err, "attempt 1 is over; waiting for the next one\n");
    // One alone, if that is asked for.
    assert_eq!(ask(&gateway, &["logs", &job, "-f", "--attempt", "1"]).out, "cannot\n");
    assert_eq!(ask(&gateway, &["logs", &job]).out, "fixed\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_is_followed_is_over_when_it_is_known_whether_it_healed() {
    let folder = Folder::new();
    let catalogue = CATALOGUE.replace("playbook: fix}", "playbook: fix, verify: {resolved_within: 1h}}");
    folder.write("remediations.yml", &catalogue);
    let gateway = Gateway::start(&folder).await;
    let alert = || firing("Down", "f1").since("2026-01-31T09:00:00Z");
    let first = gateway.queue(alert()).await;
    gateway.until_status(&first, "verifying").await;
    gateway.post(&format!("/api/v1/jobs/{first}/cancel")).await;
    gateway.until_finished(&first).await;
    let mut following = Running::start(&gateway, &["jobs", "rerun", &first, "--follow"]);
    following.complains("waiting until its alert resolves").await;
    gateway.alert(&[alert().resolved("2026-01-31T09:05:00Z")]).await;
    let (code, told) = following.ended().await;
    assert_eq!(code, 0, "{told}");
    assert!(told.contains("the alert resolved (healed)"), "{told}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_is_canceled_before_it_began_ends_those_who_follow_it() {
    let folder = Folder::new();
    folder.write("remediations.yml", CATALOGUE);
    let gateway = Gateway::start(&folder).await;
    let decisions = gateway.alert(&[firing("Slow", "f1")]).await;
    let job = decisions[0]["job"].as_str().unwrap();
    let following = Running::start(&gateway, &["logs", job, "-f"]);
    gateway.post(&format!("/api/v1/jobs/{job}/reject")).await;
    assert_eq!(following.ended().await.0, 0);
    let empty = ask(&gateway, &["logs", job]);
    assert_eq!(
        (empty.code, empty.out.as_str(), empty.err.as_str()),
        (0, "", "the log is empty\n")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_that_goes_away_ends_the_log_without_an_error() {
    let folder = Folder::new();
    folder.write("fix.yml", "say('x' * 1000000)\nok()");
    let gateway = Gateway::start(&folder).await;
    let job = gateway.queue(firing("Down", "f1")).await;
    gateway.until_finished(&job).await;
    for more in [&[][..], &["-f"]] {
        let binary = env!("CARGO_BIN_EXE_healgate");
        let piped = format!(
            "{binary} logs {job} {} | head -c 5; exit ${{PIPESTATUS[0]}}",
            more.join(" ")
        );
        let mut shell = Command::new("bash");
        shell.args(["-c", &piped]).env("HEALGATE_URL", gateway.url());
        let ended = tokio::time::timeout(Duration::from_secs(30), shell.output());
        let Output { status, stdout, stderr } = ended.await.unwrap().unwrap();
        assert_eq!(
            (status.code(), stdout, stderr),
            (Some(0), b"xxxxx".to_vec(), Vec::new()),
            "{more:?}"
        );
    }
}

/// A job whose only attempt has ended so.
fn finished(id: &str) -> serde_json::Value {
    serde_json::json!({
        "id": id, "status": "succeeded", "reason": "unverified", "playbook": "fix", "target": "web",
        "finished_at": "2026-01-31T09:00:00Z", "attempts": [{ "number": 1 }]
    })
}

const SOME_JOB: &str = "019a5b3c-1234-7000-8000-00000000000a";

/// What is printed of a job that a stand-in for a gateway has.
fn followed(url: &str, arguments: &[&str]) -> Said {
    run(command(&[&["logs", SOME_JOB, "-f", "--url", url], arguments].concat()))
}

#[test]
fn a_gateway_that_is_away_between_the_log_and_the_job_is_waited_for() {
    let mut asked = 0;
    let url = answering(move |request| {
        if request.contains("/log/stream") {
            return Some(events(
                "event: log\nid: 6\ndata: \"fixed\\n\"\n\nevent: end\ndata: {}\n\n",
            ));
        }
        asked += 1;
        // The second time is after the log, and then nobody is there.
        (asked != 2).then(|| json("200 OK", &finished(SOME_JOB)))
    });
    let said = followed(&url, &[]);
    assert_eq!(
        (said.code, said.out.as_str(), said.err.as_str()),
        (
            0,
            "fixed\n",
            "the connection is lost; trying again\nthe connection is back\n"
        )
    );
}

#[test]
fn who_lets_everybody_in_and_says_nothing_is_given_up() {
    let url = answering(|request| match request.contains("/log/stream") {
        true => Some(events("")),
        false => Some(json("200 OK", &finished(SOME_JOB))),
    });
    let said = followed(&url, &["--patience", "1s"]);
    assert_eq!(said.code, 3, "{said:?}");
    assert!(said.err.ends_with("the gateway closed the connection\n"), "{said:?}");
}

#[test]
fn an_event_without_a_place_in_the_log_does_not_begin_it_anew() {
    let (sender, requests) = std::sync::mpsc::channel();
    let mut opened = 0;
    let url = raw(move |request| {
        if !request.contains("/log/stream") {
            return Some(json("200 OK", &finished(SOME_JOB)));
        }
        sender.send(request.to_owned()).unwrap();
        opened += 1;
        Some(events(match opened {
            1 => "event: log\nid: 6\ndata: \"first\\n\"\n\nevent: other\ndata: {}\n\n",
            _ => "event: log\nid: 13\ndata: \"second\\n\"\n\nevent: end\ndata: {}\n\n",
        }))
    });
    let said = followed(&url, &[]);
    assert_eq!((said.code, said.out.as_str()), (0, "first\nsecond\n"), "{said:?}");
    let requests: Vec<String> = requests.iter().take(2).collect();
    assert!(!requests[0].contains("last-event-id"), "{requests:?}");
    assert!(requests[1].contains("last-event-id: 6\r\n"), "{requests:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn ctrl_c_does_not_say_that_a_finished_job_goes_on() {
    let url = answering(|request| match request.contains("/log/stream") {
        true => Some(events("event: log\nid: 6\ndata: \"fixed\\n\"\n\n")),
        false => Some(json("200 OK", &finished(SOME_JOB))),
    });
    let mut following = Running::at(&url, &["logs", SOME_JOB, "-f"]);
    following.complains("the connection is lost").await;
    following.interrupt();
    let (code, told) = following.ended().await;
    assert_eq!(code, 130, "{told}");
    let expected = format!("job {SOME_JOB} is finished; `healgate logs {SOME_JOB}` prints all of its log\n");
    assert!(told.ends_with(&expected), "{told}");
}
