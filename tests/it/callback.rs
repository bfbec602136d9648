//! What the callback plugin tells of real plays, with the oldest and the newest ansible-core that are supported; and that
//! a project's own callbacks and ansible.cfg keep working beside it.

use std::fs;

use healgate::domain::attempt::{Outcome, TaskResult};
use serde_json::Value;

use crate::runs::{World, cores};

const EVERY_KIND: &str = r#"
- name: every kind
  hosts: all
  gather_facts: false
  vars: {word: rendered}
  roles: [r]
  tasks:
    - {name: "{{ word }} name", command: "true", changed_when: false, notify: never}
    - {name: include, include_tasks: included.yml, loop: [one], loop_control: {loop_var: which}}
    - name: block
      block:
        - {name: falls, command: "false"}
      rescue:
        - {name: rescuer, debug: {msg: saved}}
      always:
        - {name: always, debug: {msg: last}}
    - {name: ignored, command: "false", ignore_errors: true}
    - name: gone
      ping:
      ignore_unreachable: true
      vars: {ansible_connection: ssh, ansible_port: 1, ansible_host: 127.0.0.1}
    - {name: skipped, command: "true", when: false}
    - name: looped
      command: "sh -c 'exit {{ n.rc }}'"
      loop: [{rc: 0, name: good}, {rc: 1, name: bad}, {rc: 0, name: out}]
      loop_control: {loop_var: n, label: "{{ n.name }}"}
      when: n.name != 'out'
      ignore_errors: true
    - {name: diffed, copy: {content: "new\n", dest: $DIR/old}, check_mode: true, diff: true}
    - {name: diffed loop, copy: {content: "new\n", dest: "$DIR/{{ item }}"}, check_mode: true, diff: true, loop: [a, b]}
    - {name: hidden, command: echo s3cr3t, no_log: true}
    - {name: hidden loop, command: "echo {{ item }}", no_log: true, loop: [s3cr3t1, s3cr3t2]}
    - {name: half hidden, debug: {msg: "{{ item }}"}, no_log: "{{ item == 's3cr3t' }}", loop: [open, s3cr3t]}
    - {name: hidden failure, shell: echo s3cr3t >&2; false, no_log: true, ignore_errors: true}
    - {name: background, command: "true", async: 30, poll: 1}
    - meta: noop
    - {name: delegated, command: "true", delegate_to: localhost}
    - {name: once, debug: {msg: once}, run_once: true}
    - {name: notifies, command: "true", notify: handler}
  handlers:
    - {name: handler, debug: {msg: handled}}
    - {name: never, debug: {msg: never}}
- {name: free, hosts: all, gather_facts: false, strategy: free, tasks: [{name: free one, command: "true"}]}
- {name: pinned, hosts: all, gather_facts: false, strategy: host_pinned, tasks: [{name: pinned one, debug: {msg: x}}]}
- {name: bad, hosts: all, gather_facts: false, tasks: [{name: fails, shell: echo why >&2; exit 7}]}
"#;

/// Task, action, status and message of each result, in order.
const TOLD: [(&str, &str, &str, Option<&str>); 25] = [
    ("r : in a role", "command", "changed", None),
    ("rendered name", "command", "ok", None),
    ("include", "include_tasks", "ok", Some("All items completed")),
    ("included one", "debug", "ok", Some("one")),
    ("falls", "command", "rescued", Some("non-zero return code (1)")),
    ("rescuer", "debug", "ok", Some("saved")),
    ("always", "debug", "ok", Some("last")),
    ("ignored", "command", "ignored", Some("non-zero return code (1)")),
    ("gone", "ping", "ignored", Some("ssh: connect to host")),
    ("skipped", "command", "skipped", Some("Conditional result was False")),
    ("looped", "command", "ignored", Some("One or more items failed")),
    ("diffed", "copy", "changed", None),
    ("diffed loop", "copy", "changed", Some("All items completed")),
    ("hidden", "command", "changed", Some("the output has been hidden")),
    ("hidden loop", "command", "changed", Some("the output has been hidden")),
    ("half hidden", "debug", "ok", Some("the output has been hidden")),
    ("hidden failure", "shell", "ignored", Some("the output has been hidden")),
    ("background", "command", "changed", None),
    ("delegated", "command", "changed", None),
    ("once", "debug", "ok", Some("once")),
    ("notifies", "command", "changed", None),
    ("handler", "debug", "ok", Some("handled")),
    ("free one", "command", "changed", None),
    ("pinned one", "debug", "ok", Some("x")),
    ("fails", "shell", "failed", Some("non-zero return code (7): why")),
];

fn find<'a>(tasks: &'a [TaskResult], name: &str) -> &'a TaskResult {
    tasks.iter().find(|task| task.task == name).unwrap()
}

#[tokio::test]
async fn every_result_of_every_kind_is_told() {
    for core in cores() {
        let world = World::new(&core);
        fs::create_dir_all(world.path("roles/r/tasks")).unwrap();
        world.write("roles/r/tasks/main.yml", "- {name: in a role, command: 'true'}\n");
        world.write(
            "included.yml",
            "- {name: 'included {{ which }}', debug: {msg: '{{ which }}'}}\n",
        );
        world.write("old", "old\n");
        let ended = world.play(EVERY_KIND, |_| {}).end().await;
        assert_eq!(ended.outcome, Outcome::HostsFailed, "{}", ended.log);
        let tasks = &ended.tasks;
        assert_eq!(tasks.len(), TOLD.len(), "{core}: {tasks:#?}");
        for (task, (name, action, status, message)) in tasks.iter().zip(TOLD) {
            assert_eq!(
                (task.task.as_str(), task.action.as_str(), task.status.as_str()),
                (name, action, status)
            );
            let told = task.message.as_deref();
            let is_told = message.map_or(told.is_none(), |words| told.is_some_and(|told| told.contains(words)));
            assert!(is_told, "{core}: {task:#?}");
            assert_eq!(task.host, "localhost");
            assert!(
                task.path.as_ref().is_some_and(|path| path.contains(".yml:")),
                "{task:#?}"
            );
            assert!(task.seconds > 0.0 && task.seconds < 60.0, "{task:#?}");
        }
        assert!(
            tasks.windows(2).all(|pair| pair[0].started_at < pair[1].started_at),
            "{tasks:#?}"
        );
        check_details(tasks);
        let everything = serde_json::to_string(tasks).unwrap();
        assert!(!everything.contains("s3cr3t"), "{core}: a secret is told");
    }
}

fn check_details(tasks: &[TaskResult]) {
    let items: Vec<(Value, Value)> = find(tasks, "looped")
        .items
        .as_ref()
        .unwrap()
        .as_array()
        .unwrap()
        .iter()
        .map(|item| (item["item"].clone(), item["status"].clone()))
        .collect();
    let expected = [("good", "changed"), ("bad", "failed"), ("out", "skipped")];
    assert_eq!(items, expected.map(|(item, status)| (item.into(), status.into())));
    let diff = find(tasks, "diffed").diff.as_ref().unwrap();
    assert_eq!(
        (&diff[0]["before"], &diff[0]["after"]),
        (&"old\n".into(), &"new\n".into())
    );
    let diffs = find(tasks, "diffed loop").diff.as_ref().unwrap();
    assert_eq!(diffs.as_array().unwrap().len(), 2, "{diffs}");
}

/// Hands over what no module would, as a broken or a malicious one may.
const ODD_ACTION: &str = r#"
from ansible.plugins.action import ActionBase

class ActionModule(ActionBase):
    def run(self, tmp=None, task_vars=None):
        kind = self._task.args["kind"]
        wide = [1] * 30000
        odd = {
            "huge": 10**5000, "nan": float("nan"), "infinite": float("inf"), "surrogate": "a\udcffb\x00\x1b[31m",
            "bytes": b"\xff", "keys": {1: "x", None: "y", (1, 2): "z", "\udcff": 1}, "long": "\u00e9" * 500000,
            "wide": [wide] * 20, "empty": "", "no": None,
        }[kind]
        return {"changed": False, "msg": odd, "diff": odd, "more": odd}
"#;

#[tokio::test]
async fn whatever_a_module_answers_the_play_goes_on_and_the_result_is_told() {
    let kinds = "[huge, nan, infinite, surrogate, bytes, keys, long, wide, empty, no]";
    let play = format!(
        "- hosts: all\n  gather_facts: false\n  tasks:\n    - include_tasks: odd.yml\n      loop: {kinds}\n    - debug: {{msg: end}}\n"
    );
    for core in cores() {
        let world = World::new(&core);
        fs::create_dir_all(world.path("action_plugins")).unwrap();
        world.write("action_plugins/odd.py", ODD_ACTION);
        world.write(
            "odd.yml",
            "- {name: '{{ item }}', odd: {kind: '{{ item }}'}, diff: true, ignore_errors: true}\n",
        );
        let ended = world.play(&play, |_| {}).end().await;
        assert_eq!(ended.outcome, Outcome::Ok, "{core}: {}", ended.log);
        // The loop of includes, ten results of it, and the last task.
        assert_eq!(ended.tasks.len(), 12, "{core}: {:#?}", ended.tasks);
        let long = find(&ended.tasks, "long");
        assert!(
            long.message
                .as_ref()
                .is_some_and(|message| message.len() <= 4096 && message.ends_with('…'))
        );
        assert!(!ended.log.contains("healgate_events"), "{core}: {}", ended.log);
    }
}

const OWN_CALLBACK: &str = r#"
from ansible.plugins.callback import CallbackBase

class CallbackModule(CallbackBase):
    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "notification"
    CALLBACK_NAME = "own"
    CALLBACK_NEEDS_ENABLED = True

    def v2_runner_on_ok(self, result):
        open("$DIR/own", "a").write(result._task.get_name() + "\n")
"#;

#[tokio::test]
async fn a_projects_own_callbacks_and_settings_keep_working() {
    for core in cores() {
        let world = World::new(&core);
        for dir in ["own_callbacks", "callback_plugins"] {
            fs::create_dir_all(world.path(dir)).unwrap();
        }
        let own = OWN_CALLBACK.replace("$DIR", &world.dir.path().to_string_lossy());
        world.write("own_callbacks/own.py", &own);
        // Beside the playbook, where Ansible looks without being told.
        world.write(
            "callback_plugins/beside.py",
            &own.replace("/own", "/beside").replace("\"own\"", "\"beside\""),
        );
        world.write(
            "ansible.cfg",
            "[defaults]\ncallback_plugins = own_callbacks\ncallbacks_enabled = own, beside\nstdout_callback = minimal\n\
             forks = 3\n",
        );
        let play = "- hosts: all\n  gather_facts: false\n  tasks:\n    - {name: one, debug: {msg: hello}}\n    - {name: \
                    forks, debug: {msg: \"forks={{ ansible_forks }}\"}}\n";
        let ended = world.play(play, |_| {}).end().await;
        assert_eq!(ended.outcome, Outcome::Ok, "{core}: {}", ended.log);
        assert_eq!(ended.tasks.len(), 2);
        for name in ["own", "beside"] {
            assert_eq!(
                fs::read_to_string(world.path(name)).unwrap(),
                "one\nforks\n",
                "{core}: {name}"
            );
        }
        assert!(ended.log.contains("forks=3"), "{}", ended.log);
        assert!(
            !ended.log.contains("PLAY RECAP"),
            "the stdout callback is another one: {}",
            ended.log
        );
    }
}

#[tokio::test]
async fn a_play_does_not_mind_that_its_events_cannot_be_written() {
    for core in cores() {
        let world = World::new(&core);
        let tasks = "- hosts: all\n  gather_facts: false\n  tasks:\n    - shell: >-\n        rm -f $DIR/var/runs/*/*/events.jsonl\n    - debug: {msg: after}\n";
        let ended = world.play(tasks, |_| {}).end().await;
        assert!(
            ended.log.contains("failed=0") && ended.log.contains("after"),
            "{core}: {}",
            ended.log
        );
        assert_eq!(ended.status.exit_code(), Some(0));
    }
}
