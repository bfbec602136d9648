//! Every way in which a command ends other than well, and what it says then.

use assert_cmd::Command;
use rustix::process::Signal;

use super::{CATALOGUE, stand_in};
use crate::support::alerts::firing;
use crate::support::cli::{Said, command, run};
use crate::support::folder::Folder;
use crate::support::gateway::Gateway;
use crate::support::mailbox::{CA_FILE, Mailbox, Way};
use crate::support::wait::until;

const UNKNOWN: &str = "019a5b3c-1234-7000-8000-00000000000a";

/// Settings with a viewer and an operator; their tokens are their names.
fn with_tokens(folder: &Folder) {
    let entry = |name: &str| {
        let hash = hex::encode(<sha2::Sha256 as sha2::Digest>::digest(name));
        format!("    - {{ name: {name}, role: {name}, sha256: {hash} }}\n")
    };
    folder.settings(&format!("auth:\n  tokens:\n{}{}", entry("viewer"), entry("operator")));
}

fn at(url: &str, token: Option<&str>, arguments: &[&str]) -> Said {
    let mut command = command(arguments);
    command.env("HEALGATE_URL", url);
    if let Some(token) = token {
        command.env("HEALGATE_TOKEN", token);
    }
    run(command)
}

/// Somebody who always gives that answer.
fn answering(answer: &'static str) -> String {
    stand_in::answering(move |_| Some(answer.to_owned()))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_is_missing_wrong_or_of_another_role_is_exit_code_4() {
    let folder = Folder::new();
    with_tokens(&folder);
    let gateway = Gateway::start(&folder).await;
    let url = gateway.url();
    insta::assert_snapshot!("without_a_token", at(url, None, &["jobs", "list"]).told());
    insta::assert_snapshot!("with_a_wrong_token", at(url, Some("wrong"), &["status"]).told());
    insta::assert_snapshot!(
        "with_a_viewers_token",
        at(url, Some("viewer"), &["jobs", "cancel", UNKNOWN]).told()
    );
    // Of a file, which goes before the environment.
    folder.write("token", "operator\n");
    let file = folder.path("token").display().to_string();
    let canceled = at(url, Some("wrong"), &["jobs", "cancel", UNKNOWN, "--token-file", &file]);
    assert_eq!(canceled.code, 5, "{canceled:?}");
    let empty = at(url, None, &["stats", "--token-file", "/nowhere"]);
    assert_eq!(empty.code, 1, "{empty:?}");
    assert!(empty.err.contains("cannot read the token from /nowhere"), "{empty:?}");
    // Out of a pipe, as a store of passwords gives it.
    let mut shell = Command::new("bash");
    let binary = env!("CARGO_BIN_EXE_healgate");
    shell
        .args([
            "-c",
            &format!("{binary} jobs cancel {UNKNOWN} --token-file <(echo operator)"),
        ])
        .env("HEALGATE_URL", url);
    let canceled = run(shell);
    assert_eq!(canceled.code, 5, "{canceled:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_that_nobody_trusts_is_told_with_what_to_do() {
    let server = Mailbox::start(Way::Tls).await;
    let url = format!("https://127.0.0.1:{}", server.port());
    let mut doubting = command(&["status", "--url", &url]);
    doubting.env_remove("SSL_CERT_FILE");
    let said = run(doubting);
    assert_eq!(said.code, 3, "{said:?}");
    assert!(said.err.contains("invalid peer certificate"), "{said:?}");
    assert!(said.err.contains("\nSSL_CERT_FILE names a file"), "{said:?}");
    // It is trusted then, and no gateway.
    let mut trusting = command(&["status", "--url", &url]);
    trusting.env("SSL_CERT_FILE", CA_FILE);
    let said = run(trusting);
    assert_eq!(said.code, 3, "{said:?}");
    assert!(said.err.contains("Is it healgate that listens at"), "{said:?}");
}

#[test]
fn nobody_who_answers_is_exit_code_3() {
    insta::assert_snapshot!("nobody_listens", at("http://127.0.0.1:9", None, &["status"]).told());
    for arguments in [
        &["jobs", "list", "--watch"][..],
        &["jobs", "show", UNKNOWN],
        &["jobs", "run", "fix", "--follow"],
        &["logs", UNKNOWN, "-f"],
        &["logs", "last"],
        &["alerts", "list"],
        &["alerts", "show", "f1"],
        &["stats"],
        &["pause"],
        &["resume"],
        &["explain", "--notification", UNKNOWN],
    ] {
        let said = at("http://127.0.0.1:9", None, arguments);
        assert_eq!((said.code, said.out.as_str()), (3, ""), "{arguments:?}: {said:?}");
    }
    let other = answering("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello");
    insta::assert_snapshot!("something_else_listens", at(&other, None, &["stats"]).told());
    let moved = answering("HTTP/1.1 301 Moved\r\nLocation: https://gate.example/api\r\nContent-Length: 0\r\n\r\n");
    insta::assert_snapshot!("it_is_elsewhere", at(&moved, None, &["stats"]).told());
    let web_server =
        answering("HTTP/1.1 404 Not Found\r\nContent-Length: 16\r\nConnection: close\r\n\r\n<h1>Not here\u{1b}</h1>");
    let nowhere = at(&web_server, None, &["jobs", "show", UNKNOWN]);
    assert_eq!(nowhere.code, 3, "{nowhere:?}");
    assert!(
        nowhere
            .err
            .ends_with(&format!("Is it healgate that listens at {web_server}?\n")),
        "{nowhere:?}"
    );
    assert!(!nowhere.err.contains('\u{1b}'), "{nowhere:?}");
    let garbage = answering("SSH-2.0-OpenSSH_9.2\r\n");
    assert_eq!(at(&garbage, None, &["stats"]).code, 3);
    let ailing = answering("HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n");
    assert_eq!(at(&ailing, None, &["stats"]).code, 1);
    let stopping = answering("HTTP/1.1 503 No\r\nContent-Length: 0\r\n\r\n");
    assert_eq!(at(&stopping, None, &["stats"]).code, 3);
}

#[test]
fn a_wrong_command_line_is_exit_code_2_before_anybody_is_asked() {
    for arguments in [
        &["jobs"][..],
        &["jobs", "list", "--status", "broken"],
        &["jobs", "list", "--since", "yesterday"],
        &["jobs", "show", "nginx"],
        &["jobs", "cancel", "last"],
        &["jobs", "run", "fix", "--var", "novalue"],
        &["jobs", "run", "fix", "--follow", "--output", "json"],
        &["jobs", "rerun", UNKNOWN, "--hosts", "some"],
        &["jobs", "rerun", UNKNOWN, "--verbosity", "3"],
        &["logs", UNKNOWN, "--attempt", "0"],
        &["stats", "--window", "a while"],
        &["pause", "everything"],
        &["explain"],
        &["explain", "--notification", "../jobs"],
        &["alerts", "show", ""],
        &["alerts", "show", ".."],
        &["init", "/nowhere", "--listen", "127.0.0.1:0"],
        &["stats", "--url", "http://127.0.0.1:9/?window=7d"],
        &["completions", "tcsh"],
        &["status", "--url", "localhost:8750"],
        &["status", "--token", "secret"],
    ] {
        let said = at("http://127.0.0.1:9", None, arguments);
        assert_eq!((said.code, said.out.as_str()), (2, ""), "{arguments:?}: {said:?}");
    }
    assert_eq!(at("http://127.0.0.1:9", Some("two\nlines"), &["stats"]).code, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_there_is_5_what_cannot_be_now_is_6_and_what_was_asked_wrongly_is_2() {
    let folder = Folder::new();
    folder.write("remediations.yml", CATALOGUE);
    folder.write("fix.yml", "wait_for('/never')");
    let gateway = Gateway::start(&folder).await;
    let running = gateway.queue(firing("Down", "f1")).await;
    gateway.until_status(&running, "running").await;
    let url = gateway.url();
    for arguments in [
        &["jobs", "show", UNKNOWN][..],
        &["jobs", "show", UNKNOWN, "--watch"],
        &["logs", UNKNOWN],
        &["logs", UNKNOWN, "-f"],
        &["logs", &running, "--attempt", "7"],
        &["logs", &running, "--attempt", "7", "-f"],
        &["alerts", "show", "unheard-of"],
    ] {
        let said = at(url, None, arguments);
        assert_eq!((said.code, said.out.as_str()), (5, ""), "{arguments:?}: {said:?}");
    }
    for arguments in [
        &["jobs", "rerun", &running, "--follow"][..],
        &["jobs", "approve", &running],
    ] {
        let said = at(url, None, arguments);
        assert_eq!((said.code, said.out.as_str()), (6, ""), "{arguments:?}: {said:?}");
    }
    for arguments in [&["stats", "--window", "9999d"][..], &["pause", "route:none"]] {
        let said = at(url, None, arguments);
        assert_eq!((said.code, said.out.as_str()), (2, ""), "{arguments:?}: {said:?}");
    }
    let empty = Folder::new();
    let idle = Gateway::start(&empty).await;
    let none = at(idle.url(), None, &["logs", "last"]);
    assert_eq!((none.code, none.err.as_str()), (5, "there is no job yet\n"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gateway_that_takes_no_alerts_is_told_with_all_that_goes_on_there() {
    let folder = Folder::new();
    folder.settings("worker:\n  on_shutdown: stop\n");
    folder.write("fix.yml", "wait_for('/never')");
    let gateway = Gateway::start(&folder).await;
    let running = gateway.queue(firing("Down", "f1")).await;
    gateway.until_status(&running, "running").await;
    // It waits for what runs, and starts nothing more.
    gateway.signal(Signal::TERM);
    until("it takes no alerts", || async {
        let told = at(gateway.url(), None, &["status", "--output", "json"]).json();
        (told["ready"] == false).then_some(())
    })
    .await;
    let told = at(gateway.url(), None, &["status", "--output", "json"]).json();
    assert_eq!(told["not_ready_because"], "the gateway is stopping");
    assert_eq!(told["running"][0]["id"], running.as_str());
    let shown = at(gateway.url(), None, &["status"]);
    let first = format!(
        "healgate at {}/ takes no alerts: the gateway is stopping\n",
        gateway.url()
    );
    assert!(shown.code == 0 && shown.out.starts_with(&first), "{shown:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn addresses_are_taken_as_people_write_them() {
    let folder = Folder::new();
    let gateway = Gateway::start(&folder).await;
    let job = gateway.queue(firing("Down", "f1")).await;
    for url in [format!("{}/", gateway.url()), format!(" {}///\n", gateway.url())] {
        let listed = at(&url, None, &["jobs", "list", "--since", "9999999d", "--output", "json"]).json();
        assert_eq!(listed["items"][0]["id"], job.as_str(), "{url:?}");
    }
}
