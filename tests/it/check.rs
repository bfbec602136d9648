//! `healgate check` as a person at a terminal meets it.

use assert_cmd::Command;

use crate::support::folder::Folder;

/// Exit code, standard output and standard error, with the folder's name taken out.
fn check(folder: &Folder, environment: &[(&str, &str)]) -> String {
    let mut command = Command::cargo_bin("healgate").unwrap();
    command
        .args(["check", "--config", "healgate.yml"])
        .current_dir(folder.path(""));
    let output = command.envs(environment.iter().copied()).output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let told = format!(
        "exit {}\n{}{}",
        output.status.code().unwrap(),
        text(&output.stdout),
        text(&output.stderr)
    );
    told.replace(&folder.path("").display().to_string(), "FOLDER/")
}

#[test]
fn files_that_are_fine_are_summed_up_in_a_line() {
    insta::assert_snapshot!(check(&Folder::new(), &[]));
}

#[test]
fn every_mistake_of_both_files_is_shown_at_its_place() {
    let folder = Folder::new();
    folder.settings(
        "worker:\n  slots: many\n  sloths: 3\nauth:\n  tokens:\n    - { name: a, role: boss, sha256: abc }\n",
    );
    folder.write(
        "remediations.yml",
        r#"playbooks:
  fix:
    path: fix.yml
    timeout: soon
    vars:
      service: "{{ alert.labels.service"
    become: yes
  gone:
    path: gone.yml
    inventory: nowhere.yml
  fix:
    path: fix.yml
routes:
  - name: down
    matchers: ['alertname="Down', "severity~=x", 'a=~"("']
    playbook: fxi
    mdoe: auto
  - name: down
    matchers: []
    playbook: fix
"#,
    );
    insta::assert_snapshot!(check(&folder, &[]));
}

#[test]
fn an_empty_catalogue_and_a_variable_that_is_wrong_are_named() {
    let folder = Folder::new();
    folder.write("remediations.yml", "");
    insta::assert_snapshot!(check(&folder, &[("HEALGATE__SERVER__LISTN", "127.0.0.1:1")]));
}

#[test]
fn a_notifier_that_is_not_there_is_named() {
    let folder = Folder::new();
    let catalogue = folder.read("remediations.yml");
    folder.write("remediations.yml", &format!("{catalogue}    notify: {{to: [ops]}}\n"));
    let told = check(&folder, &[]);
    assert!(
        told.contains("names the notifier \"ops\", which is not under `notifiers`"),
        "{told}"
    );
}

#[test]
fn serve_shows_the_same_mistakes_and_does_not_start() {
    let folder = Folder::new();
    folder.write("remediations.yml", "playbooks: []\n");
    let mut command = Command::cargo_bin("healgate").unwrap();
    let output = command
        .args(["serve", "--config", "healgate.yml"])
        .current_dir(folder.path(""))
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(
        String::from_utf8_lossy(&output.stderr).contains("remediations.yml:1:12: "),
        "{output:?}"
    );
}

#[test]
fn a_new_token_is_printed_once_with_the_entry_that_lets_it_in() {
    let mut command = Command::cargo_bin("healgate").unwrap();
    let output = command
        .args(["token", "new", "--name", "ops", "--role", "operator"])
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let token = text
        .split_whitespace()
        .find(|word| word.starts_with("hg_"))
        .expect("no token");
    use sha2::Digest;
    assert!(text.contains(&hex::encode(sha2::Sha256::digest(token))), "{text}");
    assert!(
        text.contains("name: \"ops\"") && text.contains("role: operator"),
        "{text}"
    );
}
