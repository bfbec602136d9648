//! `healgate init`: from an empty folder to a job, with what it writes and prints as it is.
#![expect(
    clippy::disallowed_methods,
    reason = "starts amtool, which checks what Alertmanager gets"
)]

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use crate::support::alerts::firing;
use crate::support::cli::{Said, command, run, run_in};
use crate::support::folder::Folder;
use crate::support::gateway::Gateway;
use crate::support::monitoring::free_address;

const ANSIBLE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/.venv/bin/ansible-playbook");

/// A folder with what `init` writes into it, and what it said.
fn begun() -> (Folder, Said) {
    let folder = Folder::empty();
    let address = free_address().to_string();
    let said = run_in(&folder.path(""), &["init", "--listen", &address, "--ansible", ANSIBLE]);
    assert_eq!(said.code, 0, "{said:?}");
    (folder, said)
}

#[tokio::test(flavor = "multi_thread")]
async fn what_init_writes_is_checked_served_and_runs_a_job_for_an_alert() {
    let (folder, said) = begun();
    let name = folder.path("").display().to_string();
    insta::assert_snapshot!(said.told().replace(&name, "FOLDER/").replace(ANSIBLE, "ANSIBLE"));
    let checked = run_in(&folder.path(""), &["check"]);
    assert_eq!((checked.code, checked.err.as_str()), (0, ""), "{checked:?}");
    assert!(checked.out.contains("are fine: 1 playbook, 1 route"), "{checked:?}");

    let (sender, operator) = (folder.read("tokens/alertmanager"), folder.read("tokens/operator"));
    let gateway = Gateway::start(&folder).await.with_token(sender.trim());
    let job = gateway.queue(firing("HealgateTest", "f1")).await;
    let gateway = gateway.with_token(operator.trim());
    let finished = gateway.until_finished(&job).await;
    assert_eq!(finished["status"], "succeeded", "{finished}");
    let log = gateway.log_of(&job).await;
    assert!(log.contains("HealgateTest") && log.contains("load average"), "{log}");

    let mut by_hand = command(&[
        "jobs",
        "run",
        "look",
        "--follow",
        "--url",
        gateway.url(),
        "--token-file",
        "tokens/operator",
    ]);
    by_hand.current_dir(folder.path(""));
    let by_hand = run(by_hand);
    assert_eq!(by_hand.code, 0, "{by_hand:?}");
    assert!(by_hand.out.contains("by hand: job"), "{by_hand:?}");
}

#[test]
fn tokens_are_for_their_owner_alone_and_only_their_hashes_are_in_the_settings() {
    let (folder, said) = begun();
    for name in ["tokens/alertmanager", "tokens/operator"] {
        let token = folder.read(name);
        assert_eq!(
            fs::metadata(folder.path(name)).unwrap().permissions().mode() & 0o777,
            0o600
        );
        assert!(token.starts_with("hg_") && token.len() > 40, "{token}");
        assert!(!said.out.contains(token.trim()) && !said.err.contains(token.trim()));
        let hash = hex::encode(<sha2::Sha256 as sha2::Digest>::digest(token.trim()));
        let settings = folder.read("healgate.yml");
        assert!(settings.contains(&hash) && !settings.contains(token.trim()));
    }
    assert_eq!(
        fs::metadata(folder.path("tokens")).unwrap().permissions().mode() & 0o777,
        0o700
    );
    assert_eq!(folder.read(".gitignore"), "/var/\n/tokens/\n");
}

#[test]
fn alertmanager_takes_what_is_printed_for_it() {
    let (folder, said) = begun();
    folder.write("alertmanager.yml", &said.out);
    let checked = Command::new("amtool")
        .arg("check-config")
        .arg(folder.path("alertmanager.yml"))
        .output()
        .expect("amtool is missing: `make deps` installs it");
    assert!(checked.status.success(), "{checked:?}\n{}", said.out);
    assert!(said.out.contains("send_resolved: true") && said.out.contains("/webhooks/alertmanager"));
    let token_file = folder.path("tokens/alertmanager");
    assert!(
        said.out
            .contains(&format!("credentials_file: '{}'", token_file.display())),
        "{}",
        said.out
    );
}

#[test]
fn nothing_that_is_there_is_written_over_and_then_nothing_is_written_at_all() {
    let folder = Folder::empty();
    folder.write("remediations.yml", "mine");
    let said = run_in(&folder.path(""), &["init"]);
    assert_eq!((said.code, said.out.as_str()), (6, ""), "{said:?}");
    assert!(
        said.err.contains("remediations.yml") && said.err.contains("nothing was written"),
        "{said:?}"
    );
    assert_eq!(folder.read("remediations.yml"), "mine");
    assert_eq!(fs::read_dir(folder.path("")).unwrap().count(), 1);
    // A folder that is not there yet, and one that cannot be written.
    assert_eq!(run_in(&folder.path(""), &["init", "deep/inside"]).code, 0);
    assert!(folder.path("deep/inside/healgate.yml").is_file());
    let again = run_in(&folder.path(""), &["init", "deep/inside"]);
    assert_eq!(again.code, 6, "{again:?}");
    let nowhere = run_in(&folder.path(""), &["init", "remediations.yml/below"]);
    assert_eq!(nowhere.code, 1, "{nowhere:?}");
}

#[test]
fn a_gateway_that_listens_everywhere_is_told_of_by_this_machines_name_and_names_can_be_pasted() {
    let folder = Folder::empty();
    let said = run_in(&folder.path(""), &["init", "my gateway", "--listen", "0.0.0.0:8750"]);
    assert_eq!(said.code, 0, "{said:?}");
    let name = rustix::system::uname().nodename().to_string_lossy().into_owned();
    assert!(
        said.out
            .contains(&format!("- url: http://{name}:8750/webhooks/alertmanager\n")),
        "{said:?}"
    );
    let settings = folder.read("my gateway/healgate.yml");
    assert!(settings.contains("  listen: 0.0.0.0:8750\n"), "{settings}");
    assert!(
        settings.contains(&format!("  external_url: http://{name}:8750\n")),
        "{settings}"
    );
    let next = "export HEALGATE_URL=http://localhost:8750 HEALGATE_TOKEN=$(cat 'my gateway'/tokens/operator)";
    assert!(
        said.err.contains(next) && said.err.contains("check --config 'my gateway'/healgate.yml"),
        "{said:?}"
    );
}
