//! `healgate explain` as a person at a terminal meets it: alone with the files, and asking a gateway.

use std::process::Output;

use assert_cmd::Command;
use serde_json::Value;

use crate::support::alerts::{firing, notification};
use crate::support::folder::Folder;
use crate::support::gateway::Gateway;

const CATALOGUE: &str = r#"
playbooks:
  fix: {path: fix.yml, vars: {name: "{{ alert.labels.instance | host }}", text: "it's {{ alert.annotations.summary }}"}, lock: one}
  strict: {path: fix.yml, limit: "{{ alert.labels.host }}"}
routes:
  - {name: strict, matchers: ['alertname="Down"'], playbook: strict, continue: true}
  - {name: quiet, matchers: ['alertname="Down"'], playbook: fix, unless: [severity=critical], continue: true}
  - {name: down, matchers: ['alertname="Down"'], playbook: fix}
  - {name: other, matchers: ['alertname="Up"'], playbook: fix}
"#;

fn folder() -> Folder {
    let folder = Folder::new();
    folder.write("remediations.yml", CATALOGUE);
    let alert = firing("Down", "f1").annotation("summary", "\u{1b}[31mred");
    folder.write("payload.json", &notification(&[alert]).to_string());
    folder
}

fn explain(folder: &Folder, arguments: &[&str], environment: &[(&str, &str)]) -> Output {
    let mut command = Command::cargo_bin("healgate").unwrap();
    command.arg("explain").args(arguments).current_dir(folder.path(""));
    command.env_remove("HEALGATE_URL").env_remove("HEALGATE_TOKEN");
    command.envs(environment.iter().copied());
    command.write_stdin(folder.read("payload.json")).output().unwrap()
}

fn said(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn complained(output: &Output, code: i32) -> String {
    assert_eq!(
        (output.status.code(), said(output)),
        (Some(code), String::new()),
        "{output:?}"
    );
    String::from_utf8(output.stderr.clone()).unwrap()
}

#[test]
fn a_payload_is_explained_from_the_files_alone() {
    let folder = folder();
    let output = explain(&folder, &["payload.json"], &[]);
    assert!(output.status.success(), "{output:?}");
    let text = said(&output).replace(&folder.path("").display().to_string(), "FOLDER/");
    insta::assert_snapshot!(text);
    assert!(!folder.path("var").exists(), "something was written");
    assert_eq!(said(&explain(&folder, &["-"], &[])), said(&output));
}

#[test]
fn grafanas_payload_is_known_by_its_version() {
    let folder = Folder::new();
    folder.write("payload.json", include_str!("../fixtures/grafana/no_data.json"));
    let catalogue = folder
        .read("remediations.yml")
        .replace("alertname=\"Down\"", "rulename=NginxDown");
    folder.write("remediations.yml", &catalogue);
    let output = explain(&folder, &["payload.json", "--output", "json"], &[]);
    let explanation: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(explanation["items"][0]["routes"][0]["decision"], "guarded");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gateway_answers_the_same_and_knows_what_happened() {
    let folder = folder();
    folder.write("fix.yml", "wait_for('/never')");
    let gateway = Gateway::start(&folder).await;
    let asked = [("HEALGATE_URL", gateway.url())];
    let alone = explain(&folder, &["payload.json", "--output", "json"], &[]);
    let told = explain(&folder, &["payload.json", "--output=json"], &asked);
    assert!(told.status.success(), "{told:?}");
    let (alone, told): (Value, Value) = (
        serde_json::from_slice(&alone.stdout).unwrap(),
        serde_json::from_slice(&told.stdout).unwrap(),
    );
    assert_eq!(alone, told);
    gateway.alert(&[firing("Down", "f1")]).await;
    let told = explain(&folder, &["payload.json"], &asked);
    assert!(said(&told).contains("attached"), "{told:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gateway_that_says_no_or_nothing_is_told_of() {
    let folder = folder();
    folder.settings(&format!(
        "auth: {{tokens: [{{name: v, role: viewer, sha256: {}}}]}}\n",
        hex::encode(<sha2::Sha256 as sha2::Digest>::digest("right"))
    ));
    let gateway = Gateway::start(&folder).await;
    let url = ("HEALGATE_URL", gateway.url());
    let right = explain(&folder, &["-"], &[url, ("HEALGATE_TOKEN", "right")]);
    assert!(right.status.success(), "{right:?}");
    let wrong = complained(&explain(&folder, &["-"], &[url, ("HEALGATE_TOKEN", "wrong")]), 4);
    assert!(
        wrong.contains("401") && wrong.contains("the credentials are wrong"),
        "{wrong}"
    );
    folder.write("payload.json", "{}");
    let refused = complained(&explain(&folder, &["-"], &[url, ("HEALGATE_TOKEN", "right")]), 2);
    assert!(refused.contains("alerts: is missing"), "{refused}");
    let nobody = complained(&explain(&folder, &["-"], &[("HEALGATE_URL", "http://127.0.0.1:9")]), 3);
    assert!(
        nobody.contains("failed to POST http://127.0.0.1:9/api/v1/explain"),
        "{nobody}"
    );
}

#[test]
fn what_cannot_be_explained_is_an_error_that_says_why() {
    let folder = folder();
    let gone = complained(&explain(&folder, &["gone.json"], &[]), 1);
    assert!(gone.contains("failed to read gone.json"), "{gone}");
    folder.write("payload.json", r#"{"alerts": [{}]}"#);
    let wrong = complained(&explain(&folder, &["payload.json"], &[]), 2);
    assert!(wrong.contains("alerts[0].status: is missing"), "{wrong}");
    folder.write("payload.json", r#"{"alerts": []}"#);
    assert_eq!(
        said(&explain(&folder, &["payload.json"], &[])),
        "the payload has no alerts\n"
    );
    folder.write("remediations.yml", "playbooks: []\n");
    let refused = complained(&explain(&folder, &["payload.json"], &[]), 1);
    assert!(refused.contains("remediations.yml:1:12: "), "{refused}");
}
