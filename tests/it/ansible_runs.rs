//! What real Ansible does is judged rightly, and never evaluates what an alert says: with the oldest and the newest
//! ansible-core that are supported.

use std::fs;

use healgate::domain::alert::{Alert, AlertStatus, Labels};
use healgate::domain::attempt::Outcome;
use healgate::domain::ids::Fingerprint;
use healgate::domain::limit::Limit;
use serde_json::{Value, json};

use crate::runs::{World, cores};

const HEADER: &str = "- hosts: all\n  gather_facts: false\n  tasks:\n";

async fn outcome_of(core: &str, tasks: &str) -> crate::runs::Ended {
    World::new(core).play(&format!("{HEADER}{tasks}"), |_| {}).end().await
}

#[tokio::test]
async fn a_run_that_ends_well_tells_what_it_did() {
    for core in cores() {
        let ended = outcome_of(
            &core,
            "    - name: say\n      debug: {msg: hello}\n    - command: 'echo {{ item }}'\n      loop: [a, b]\n",
        )
        .await;
        assert_eq!(
            (ended.outcome, ended.message.as_str()),
            (Outcome::Ok, ""),
            "{}",
            ended.log
        );
        assert_eq!(ended.tasks[0].task, "say");
        assert_eq!(ended.tasks[0].message.as_deref(), Some("hello"));
        assert!(
            ended.tasks[0].path.as_ref().unwrap().ends_with("play.yml:4"),
            "{:?}",
            ended.tasks[0]
        );
        assert_eq!(ended.tasks[1].status, "changed");
        assert_eq!(ended.tasks[1].items.as_ref().unwrap()[1]["item"], "b");
        assert!(ended.log.contains("\u{1b}["), "no colour in {}", ended.log);
        assert!(!ended.log.to_lowercase().contains("warning"), "{}", ended.log);
    }
}

#[tokio::test]
async fn a_failed_host_is_named_with_its_task() {
    for core in cores() {
        let ended = outcome_of(
            &core,
            "    - name: restart\n      command: sh -c 'echo why >&2; exit 3'\n",
        )
        .await;
        assert_eq!(ended.outcome, Outcome::HostsFailed);
        assert_eq!(
            ended.message,
            "failed on localhost: restart on localhost: non-zero return code (3): why"
        );
    }
}

#[tokio::test]
async fn rescued_and_ignored_failures_are_no_failures() {
    for core in cores() {
        let tasks = "    - command: 'false'\n      ignore_errors: true\n    - block:\n        - command: 'false'\n      rescue:\n        - debug: {msg: x}\n";
        let ended = outcome_of(&core, tasks).await;
        assert_eq!(ended.outcome, Outcome::Ok);
        let statuses: Vec<&str> = ended.tasks.iter().map(|task| task.status.as_str()).collect();
        assert_eq!(statuses, ["ignored", "rescued", "ok"]);
    }
}

#[tokio::test]
async fn an_unreachable_host_is_not_a_failed_one() {
    for core in cores() {
        let world = World::new(&core);
        world.write("hosts", "web1 ansible_host=127.0.0.1 ansible_port=1\n");
        let ended = world.play(&format!("{HEADER}    - ping:\n"), |_| {}).end().await;
        assert_eq!(ended.outcome, Outcome::HostsUnreachable, "{}", ended.log);
        assert!(ended.message.starts_with("could not reach web1"), "{}", ended.message);
        world.write(
            "hosts",
            "web1 ansible_host=127.0.0.1 ansible_port=1\nlocalhost ansible_connection=local\n",
        );
        let play = format!("{HEADER}    - ping:\n      when: inventory_hostname == 'web1'\n    - command: 'false'\n");
        let ended = world.play(&play, |_| {}).end().await;
        assert_eq!(ended.outcome, Outcome::HostsFailed, "{}", ended.log);
    }
}

#[tokio::test]
async fn a_run_on_no_host_did_not_end_well() {
    for core in cores() {
        let limited = World::new(&core)
            .play(&format!("{HEADER}    - ping:\n"), |parameters| {
                parameters.limit = Some(Limit::parse("web9").unwrap());
            })
            .end()
            .await;
        assert_eq!(limited.outcome, Outcome::NoHostsMatched, "{}", limited.log);
        let other = World::new(&core)
            .play("- hosts: nobody\n  tasks: []\n", |_| {})
            .end()
            .await;
        assert_eq!(other.outcome, Outcome::NoHostsMatched, "{}", other.log);
    }
}

#[tokio::test]
async fn what_ansible_cannot_read_is_told_in_its_words() {
    for core in cores() {
        for (playbook, words) in [
            ("- hosts: [\n", "yaml"),
            ("- hosts: all\n  roles: [nowhere]\n", "the role 'nowhere' was not found"),
            (
                "- hosts: all\n  tasks:\n    - nope_module: {}\n",
                "couldn't resolve module/action 'nope_module'",
            ),
        ] {
            let ended = World::new(&core).play(playbook, |_| {}).end().await;
            assert_eq!(ended.outcome, Outcome::PlaybookError, "{}", ended.log);
            assert!(ended.message.to_lowercase().contains(words), "{}", ended.message);
        }
        let world = World::new(&core);
        let missing = world.play(HEADER, |parameters| parameters.path = "gone.yml".into());
        let ended = missing.end().await;
        assert_eq!(ended.outcome, Outcome::PlaybookError);
        assert!(ended.message.contains("gone.yml"), "{}", ended.message);
    }
}

fn hostile() -> Labels {
    let texts = [
        "{{ lookup('pipe','touch $DIR/owned') }}",
        "{% for x in [1] %}x{% endfor %}",
        "__ansible_unsafe",
        "__ansible_vault",
        "ansible_connection",
        "!x",
        "!unsafe x",
        "a: b",
        "😀",
        "nul\0in",
        "two\nlines\r\n\ttab",
        "\u{7f}\u{85}\u{2028}\u{feff}\u{fffe}",
        "<<",
        "=",
        "true",
        "123",
        "1e3",
        "0x1F",
        "2026-01-31",
        "12:30:45",
        "null",
        "~",
        "",
        "- x",
        "# x",
        "'\"\\",
        "&a *a",
    ];
    let mut labels: Labels = texts
        .iter()
        .map(|text| ((*text).to_owned(), (*text).to_owned()))
        .collect();
    labels.insert("k".repeat(5_000), "v".repeat(5_000));
    labels
}

#[tokio::test]
async fn whatever_an_alert_says_arrives_as_that_text_and_nothing_runs() {
    let playbook = r#"
- hosts: all
  gather_facts: false
  tasks:
    - copy: {content: "{{ {'alert': alert, 'text': text, 'list': list, 'id': healgate.job_id} | to_json }}", dest: $DIR/seen}
    - debug: {msg: "{{ alert.labels.values() | list }} {{ alert.annotations }} {{ text }}"}
    - debug: {var: alert}
"#;
    for core in cores() {
        let world = World::new(&core);
        let owned = world.path("owned");
        let evil = format!("{{{{ lookup('pipe','touch {}') }}}}", owned.display());
        let mut labels = hostile();
        labels.insert("evil".into(), evil.clone());
        labels.insert(evil.clone(), "x".into());
        let alert = Alert {
            status: AlertStatus::Firing,
            labels: labels.clone(),
            annotations: labels.clone(),
            starts_at: "2026-11-21T01:02:03Z".parse().unwrap(),
            ends_at: None,
            fingerprint: Fingerprint::parse(&evil).unwrap(),
            generator_url: evil.clone(),
        };
        let run = world.play_for(playbook, Some(alert), |parameters| {
            parameters.vars.insert("text".into(), json!(evil));
            parameters.vars.insert(
                "list".into(),
                json!([evil, 1, 1.5e20, true, null, {evil.clone(): [evil]}]),
            );
        });
        let ended = run.end().await;
        assert_eq!(ended.outcome, Outcome::Ok, "{}", ended.log);
        assert!(!owned.exists(), "a label was evaluated");
        let seen: Value = serde_json::from_slice(&fs::read(world.path("seen")).unwrap()).unwrap();
        assert_eq!(seen["alert"]["labels"], json!(labels));
        assert_eq!(seen["alert"]["annotations"], json!(labels));
        assert_eq!(seen["alert"]["starts_at"], "2026-11-21T01:02:03Z");
        assert_eq!(seen["alert"]["ends_at"], Value::Null);
        assert_eq!(seen["alert"]["fingerprint"], json!(evil));
        assert_eq!(seen["text"], json!(evil));
        assert_eq!(
            seen["list"],
            json!([evil, 1, 1.5e20, true, null, {evil.clone(): [evil]}])
        );
    }
}
