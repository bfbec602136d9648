//! What real Ansible does is judged rightly, stopped completely, and never evaluates what an alert says: with the oldest
//! and the newest ansible-core that are supported.

use std::fs;
use std::time::{Duration, Instant};

use healgate::ansible::rundir::RunState;
use healgate::domain::alert::{Alert, AlertStatus, Labels};
use healgate::domain::attempt::Outcome;
use healgate::domain::ids::Fingerprint;
use healgate::domain::limit::Limit;
use serde_json::{Value, json};

use crate::runs::{World, cores, kill, lives, pid_in};

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

/// The first task leaves a daemon on purpose; the second never ends, and what it begins resists in every way.
const RESISTING: &str = r#"
- hosts: all
  gather_facts: false
  tasks:
    - shell: "setsid sh -c 'echo $$ > $DIR/daemon; exec sleep 300' > /dev/null 2>&1 < /dev/null &"
    - shell: "setsid env -i sh -c 'echo $$ > $DIR/bare_daemon; exec sleep 300' > /dev/null 2>&1 < /dev/null &"
    - wait_for: {path: $DIR/bare_daemon}
    - shell: |
        trap '' INT TERM
        echo $$ > $DIR/deaf
        setsid sh -c 'trap "" INT TERM; echo $$ > $DIR/away; while :; do sleep 1; done' &
        (setsid sh -c 'trap "" INT TERM; echo $$ > $DIR/orphan; while :; do sleep 1; done' > /dev/null 2>&1 &)
        (setsid env -i sh -c 'trap "" INT TERM; echo $$ > $DIR/bare; while :; do sleep 1; done' > /dev/null 2>&1 &)
        while :; do sleep 1; done
"#;

#[tokio::test]
async fn a_stop_ends_all_that_unfinished_tasks_began_and_spares_what_ended_ones_left() {
    for core in cores() {
        let world = World::new(&core);
        let run = world.play(RESISTING, |_| {});
        let mut doomed = Vec::new();
        for name in ["deaf", "away", "orphan", "bare"] {
            doomed.push(pid_in(&world.path(name)).await);
        }
        let asked = Instant::now();
        run.stop();
        let ended = run.end().await;
        assert!(
            asked.elapsed() < Duration::from_secs(4),
            "{core}: {:?}",
            asked.elapsed()
        );
        assert_eq!(ended.outcome, Outcome::Canceled);
        for (name, pid) in ["deaf", "away", "orphan", "bare"].iter().zip(doomed) {
            assert!(!lives(pid), "{core}: {name} lives\n{}", ended.log);
        }
        for name in ["daemon", "bare_daemon"] {
            let pid = pid_in(&world.path(name)).await;
            assert!(lives(pid), "{core}: the stop killed {name}\n{}", ended.log);
            kill(pid);
        }
        let text = &ended.log;
        assert!(
            text.contains("healgate: stopped by alice (cancel)") && text.contains("healgate: killed"),
            "{text}"
        );
    }
}

#[tokio::test]
async fn a_daemon_lives_on_after_the_end_of_its_run() {
    for core in cores() {
        let world = World::new(&core);
        let tasks = "    - shell: \"setsid sh -c 'echo $$ > $DIR/daemon; exec sleep 300' > /dev/null 2>&1 < /dev/null &\"\n    - wait_for: {path: $DIR/daemon}\n";
        let ended = world.play(&format!("{HEADER}{tasks}"), |_| {}).end().await;
        assert_eq!(ended.outcome, Outcome::Ok, "{}", ended.log);
        let daemon = pid_in(&world.path("daemon")).await;
        assert!(lives(daemon));
        kill(daemon);
    }
}

#[tokio::test]
async fn a_stop_ends_ansible_by_its_own_way_out() {
    for core in cores() {
        let world = World::with_grace(&core, Duration::from_secs(10));
        let run = world.play(
            &format!("{HEADER}    - shell: echo $$ > $DIR/pid; exec sleep 300\n"),
            |_| {},
        );
        let sleep = pid_in(&world.path("pid")).await;
        let asked = Instant::now();
        run.stop();
        let ended = run.end().await;
        assert!(
            asked.elapsed() < Duration::from_secs(3),
            "{core}: {:?}",
            asked.elapsed()
        );
        assert_eq!(
            ended.status.how,
            healgate::ansible::rundir::How::Exited { code: 99 },
            "{}",
            ended.log
        );
        assert!(!lives(sleep) && ended.status.killed.is_empty(), "{:?}", ended.status);
    }
}

/// One task on two hosts: it has ended on the first, where it left a daemon, and goes on on the second.
#[tokio::test]
async fn a_stop_knows_what_the_same_task_began_on_which_host() {
    let play = r#"
- hosts: all
  gather_facts: false
  tasks:
    - shell: |
        setsid sh -c 'echo $$ > $DIR/{{ inventory_hostname }}; trap "" TERM; while :; do sleep 1; done' > /dev/null 2>&1 < /dev/null &
        [ {{ inventory_hostname }} = web1 ] || exec sleep 300
"#;
    for core in cores() {
        let world = World::new(&core);
        world.write(
            "hosts",
            "web1 ansible_connection=local\nweb2 ansible_connection=local\n",
        );
        let run = world.play(play, |_| {});
        let (daemon, doomed) = (pid_in(&world.path("web1")).await, pid_in(&world.path("web2")).await);
        run.says("changed: [web1]").await;
        run.stop();
        let ended = run.end().await;
        assert!(!lives(doomed), "{core}: {}", ended.log);
        assert!(lives(daemon), "{core}: {}", ended.log);
        kill(daemon);
    }
}

/// Ansible has installed no handlers yet, or is still being imported.
#[tokio::test]
async fn a_stop_comes_never_too_early() {
    for core in cores() {
        for delay in [0, 50, 150, 300, 450] {
            let world = World::with_grace(&core, Duration::from_secs(10));
            let run = world.play(&format!("{HEADER}    - command: sleep 300\n"), |_| {});
            let moment = Instant::now() + Duration::from_millis(delay);
            tokio::time::sleep_until(moment.into()).await;
            let asked = Instant::now();
            run.stop();
            let ended = run.end().await;
            assert_eq!(ended.outcome, Outcome::Canceled, "{}", ended.log);
            assert!(
                asked.elapsed() < Duration::from_secs(4),
                "{core} {delay}: {:?}\n{}",
                asked.elapsed(),
                ended.log
            );
        }
    }
}

#[tokio::test]
async fn nothing_of_a_run_is_left_when_its_host_is_killed() {
    for core in cores() {
        let world = World::new(&core);
        let mut run = world.play(RESISTING, |_| {});
        let mut pids = Vec::new();
        for name in ["deaf", "away", "orphan"] {
            pids.push(pid_in(&world.path(name)).await);
        }
        let bare = pid_in(&world.path("bare")).await;
        kill(i32::try_from(run.host.pid().unwrap()).unwrap());
        run.host.wait().await.unwrap();
        assert_eq!(run.dir.state().unwrap(), RunState::Vanished);
        run.dir.end_leftovers(Duration::from_secs(5)).unwrap();
        assert!(!pids.into_iter().any(lives), "{core}");
        for name in ["daemon", "bare_daemon"] {
            let pid = pid_in(&world.path(name)).await;
            assert!(lives(pid), "{core}: {name} was killed");
            kill(pid);
        }
        // Without a mark, a parent and a host, nothing tells whose it is.
        kill(bare);
    }
}

#[tokio::test]
async fn a_stop_ends_a_task_that_waits_for_its_own_background_job() {
    for core in cores() {
        let world = World::new(&core);
        let tasks = "    - shell: echo $$ > $DIR/pid; exec sleep 300\n      async: 600\n      poll: 1\n";
        let run = world.play(&format!("{HEADER}{tasks}"), |_| {});
        let job = pid_in(&world.path("pid")).await;
        run.stop();
        let ended = run.end().await;
        assert!(!lives(job), "{core}: {}", ended.log);
    }
}
