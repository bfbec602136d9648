//! What becomes of a command whose reader goes away, and of one whose output has no room.
#![expect(clippy::disallowed_methods, reason = "starts pipes of the shell")]

use std::process::{Command, Output};

use crate::support::alerts::firing;
use crate::support::folder::Folder;
use crate::support::gateway::Gateway;

const HEALGATE: &str = env!("CARGO_BIN_EXE_healgate");

/// What a pipe of the shell says, and how the first command in it ended.
fn piped(url: &str, arguments: &str, into: &str) -> Output {
    let script = format!("timeout 50 {HEALGATE} {arguments} {into}; exit ${{PIPESTATUS[0]}}");
    let mut shell = Command::new("bash");
    shell.args(["-c", &script]).env("HEALGATE_URL", url);
    shell.output().unwrap()
}

/// Commands that print something.
const COMMANDS: &[&str] = &[
    "jobs list",
    "jobs show last",
    "alerts list --output json",
    "status",
    "stats",
    "pause --list",
    "completions zsh",
    "token new --name x --role viewer",
];

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_that_goes_away_is_no_failure_and_a_full_disk_is() {
    let folder = Folder::new();
    let gateway = Gateway::start(&folder).await;
    let job = gateway.queue(firing("Down", "f1")).await;
    gateway.until_finished(&job).await;
    for command in COMMANDS {
        let gone = piped(gateway.url(), command, "| true");
        assert_eq!((gone.status.code(), gone.stderr), (Some(0), Vec::new()), "{command}");
        let full = piped(gateway.url(), command, "> /dev/full");
        let told = String::from_utf8(full.stderr).unwrap();
        assert_eq!(full.status.code(), Some(1), "{command}: {told}");
        assert_eq!(
            told, "failed to write to standard output: No space left on device (os error 28)\n",
            "{command}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_watched_ends_when_nobody_reads_it_though_nothing_happens() {
    let folder = Folder::new();
    let gateway = Gateway::start(&folder).await;
    let watched = piped(gateway.url(), "jobs list --watch --output json", "| head -n 1");
    assert_eq!(
        (watched.status.code(), String::from_utf8(watched.stdout).unwrap()),
        (Some(0), "{\"items\":[],\"next_cursor\":null}\n".to_owned())
    );
}
