//! What only a terminal gets: colours, tables that fit, and nothing by which a log could drive it.
#![expect(clippy::disallowed_methods, reason = "starts `script`, which makes a terminal")]

use std::process::{Command, Stdio};

use super::{CATALOGUE, HALF};
use crate::support::alerts::firing;
use crate::support::cli::{command, run};
use crate::support::folder::Folder;
use crate::support::gateway::Gateway;

/// What a terminal of 80 columns gets to see.
fn on_a_terminal(gateway: &Gateway, arguments: &str, environment: &[(&str, &str)]) -> String {
    let command = format!("stty cols 80 rows 24; {} {arguments}", env!("CARGO_BIN_EXE_healgate"));
    let output = Command::new("script")
        .args(["--quiet", "--return", "--command", &command, "/dev/null"])
        .env("HEALGATE_URL", gateway.url())
        .env("TERM", "xterm-256color")
        .env_remove("NO_COLOR")
        .envs(environment.iter().copied())
        .stdin(Stdio::null())
        .output()
        .expect("script is missing: it is in Debian's bsdutils");
    assert!(output.status.success(), "{output:?}");
    // The terminal's own line ends.
    String::from_utf8(output.stdout).unwrap().replace("\r\n", "\n")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_terminal_gets_colours_and_tables_that_fit_it() {
    let folder = Folder::new();
    folder.write("remediations.yml", CATALOGUE);
    folder.write("fix.yml", HALF);
    let gateway = Gateway::start(&folder).await;
    let job = gateway.queue(firing("Down", "f1")).await;
    gateway.until_finished(&job).await;
    let seen = on_a_terminal(&gateway, "jobs list", &[]);
    assert!(seen.contains("\u{1b}[31mfailed\u{1b}[0m"), "{seen:?}");
    // Shortened, as 80 columns are few; it can be given so.
    assert!(seen.contains(&job[..13]) && !seen.contains(&job), "{seen}");
    let plain = on_a_terminal(&gateway, "jobs list", &[("NO_COLOR", "1")]);
    assert!(!plain.contains('\u{1b}'), "{plain:?}");
    assert!(plain.lines().all(|line| line.chars().count() <= 80), "{plain}");
    let dumb = on_a_terminal(&gateway, "status", &[("TERM", "dumb")]);
    assert!(!dumb.contains('\u{1b}'), "{dumb:?}");
    let shown = on_a_terminal(&gateway, &format!("jobs show {}", &job[..13]), &[("NO_COLOR", "1")]);
    assert!(
        shown.contains("failed on web2: Restart it") && shown.contains("no such unit\n  second line"),
        "{shown}"
    );
    let watched = on_a_terminal(&gateway, &format!("jobs show {job} --watch"), &[]);
    assert!(watched.starts_with("\u{1b}[H\u{1b}[2J"), "{watched:?}");
    assert!(watched.contains("lines more") && watched.contains("live"), "{watched}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hostile_log_cannot_drive_the_terminal() {
    let folder = Folder::new();
    folder.write(
        "fix.yml",
        r#"sys.stdout.buffer.write(b"\x1b]0;owned\x07\x1b[2J\x1b[Hfirst\x1b[31mred\n\x1b]52;c;ZXZpbA==\x1b\\\x1b[?1049hlast\xff\rover\xc2\x9b2J")
sys.stdout.flush()
ok()"#,
    );
    let gateway = Gateway::start(&folder).await;
    let job = gateway.queue(firing("Down", "f1")).await;
    gateway.until_finished(&job).await;
    for arguments in [format!("logs {job}"), format!("logs {job} -f")] {
        let seen = on_a_terminal(&gateway, &arguments, &[]);
        assert_eq!(seen, "first\u{1b}[31mred\nlast\u{fffd}^Mover\u{1b}[0m", "{arguments}");
        let plain = on_a_terminal(&gateway, &arguments, &[("NO_COLOR", "1")]);
        assert_eq!(plain, "firstred\nlast\u{fffd}^Mover", "{arguments}");
    }
}

#[test]
fn each_shell_gets_its_completions() {
    for (shell, sign) in [
        ("bash", "complete -F _healgate"),
        ("zsh", "#compdef healgate"),
        ("fish", "complete -c healgate"),
    ] {
        let said = run(command(&["completions", shell]));
        assert_eq!((said.code, said.err.as_str()), (0, ""));
        for word in [sign, "rerun", "token-file", "completions"] {
            assert!(said.out.contains(word), "{shell} does not know {word}");
        }
        assert!(!said.out.contains("run-host"), "{shell} offers a hidden command");
    }
    let script = run(command(&["completions", "bash"])).out;
    let checked = Command::new("bash").args(["-n", "-c", &script]).output().unwrap();
    assert!(checked.status.success(), "{checked:?}");
}

#[test]
fn the_commands_for_people_are_listed_and_each_has_its_help() {
    let help = run(command(&["--help"]));
    assert_eq!(help.code, 0);
    insta::assert_snapshot!("help", help.out);
    insta::assert_snapshot!("help_of_rerun", run(command(&["jobs", "rerun", "--help"])).out);
}
