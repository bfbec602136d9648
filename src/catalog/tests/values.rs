use super::*;
use crate::domain::notify::NotifyEvent;

#[test]
fn everything_wrong_in_a_playbook_is_reported() {
    insta::assert_snapshot!(playbook_errors(
        "check: yes\ndiff: 'true'\nforks: 0\nverbosity: 3\ntags: a\nskip_tags: [1]\ntimeout: 0s\nremote_user: 7\n\
         description: [x]\nlimit:\nenv: {A-B: x, C: 1}\nbecome: on"
    ), @r#"
    remediations.yml:4:12: `playbooks.p.check` must be true or false, not "yes"
          check: yes
                 ^

    remediations.yml:5:11: `playbooks.p.diff` must be true or false, not "true"
          diff: 'true'
                ^

    remediations.yml:6:12: `playbooks.p.forks` must be a whole number from 1 to 1000, not "0"
          forks: 0
                 ^

    remediations.yml:7:16: `playbooks.p.verbosity` must be a whole number from 0 to 2, not "3"
          verbosity: 3
                     ^

    remediations.yml:8:11: `playbooks.p.tags` must be a list
          tags: a
                ^

    remediations.yml:9:17: `playbooks.p.skip_tags[0]` must be a text; to mean the text, quote it: "1"
          skip_tags: [1]
                      ^

    remediations.yml:10:14: `playbooks.p.timeout` must be longer than 0s
          timeout: 0s
                   ^

    remediations.yml:11:18: `playbooks.p.remote_user` must be a text; to mean the text, quote it: "7"
          remote_user: 7
                       ^

    remediations.yml:12:18: `playbooks.p.description` is a list; it must be a text
          description: [x]
                       ^

    remediations.yml:13:5: `playbooks.p.limit` has no value; it must be a text
          limit:
          ^

    remediations.yml:14:11: `playbooks.p.env.A-B` is no name of a variable: those have letters, digits and `_`
          env: {A-B: x, C: 1}
                ^

    remediations.yml:14:22: `playbooks.p.env.C` must be a text; to mean the text, quote it: "1"
          env: {A-B: x, C: 1}
                           ^

    remediations.yml:15:13: `playbooks.p.become` must be true or false, not "on"
          become: on
                  ^
    "#);
}

#[test]
fn everything_wrong_in_a_route_is_reported() {
    insta::assert_snapshot!(route_errors(
        "mode: autoo\ncontinue: no\ncooldown: 5\ncaps: [3 in 1h, 0 per 1h]\n\
         retry: {attempts: 0, backoff: 10s, max_backoff: 5s, outcomes: [fail]}\nexpires: soon\n\
         on_resolved: stop\nnotify: {to: [ops], events: [heal]}"
    ), @r#"
    remediations.yml:6:11: `routes[0].mode` must be one of auto, approve, observe, not "autoo" (did you mean `auto`?)
          mode: autoo
                ^

    remediations.yml:7:15: `routes[0].continue` must be true or false, not "no"
          continue: no
                    ^

    remediations.yml:8:15: `routes[0].cooldown` is wrong: "5" is not a duration: write a number and a unit, such as 30s, 5m, 1h or 7d
          cooldown: 5
                    ^

    remediations.yml:9:12: `routes[0].caps[0]` must be a number of jobs per duration, such as 3 per 1h, not "3 in 1h"
          caps: [3 in 1h, 0 per 1h]
                 ^

    remediations.yml:9:21: `routes[0].caps[1]` must be a number of jobs per duration, such as 3 per 1h, not "0 per 1h"
          caps: [3 in 1h, 0 per 1h]
                          ^

    remediations.yml:10:23: `routes[0].retry.attempts` must be a whole number from 1 to 100, not "0"
          retry: {attempts: 0, backoff: 10s, max_backoff: 5s, outcomes: [fail]}
                            ^

    remediations.yml:10:53: `routes[0].retry.max_backoff` is shorter than `backoff`
          retry: {attempts: 0, backoff: 10s, max_backoff: 5s, outcomes: [fail]}
                                                          ^

    remediations.yml:10:68: `routes[0].retry.outcomes[0]` must be one of unreachable, failed, timed_out, lost, not "fail" (did you mean `failed`?)
          retry: {attempts: 0, backoff: 10s, max_backoff: 5s, outcomes: [fail]}
                                                                         ^

    remediations.yml:11:14: `routes[0].expires` is wrong: "soon" is not a duration: write a number and a unit, such as 30s, 5m, 1h or 7d
          expires: soon
                   ^

    remediations.yml:12:18: `routes[0].on_resolved` must be one of ignore, cancel, not "stop"
          on_resolved: stop
                       ^

    remediations.yml:13:34: `routes[0].notify.events[0]` must be one of failed, not_healed, exhausted, healed, awaiting_approval, lost, breaker_opened, storm, heartbeat_missed, not "heal" (did you mean `healed`?)
          notify: {to: [ops], events: [heal]}
                                       ^
    "#);
}

#[test]
fn a_route_tells_notifiers_that_exist_of_events_that_exist() {
    let notify = |lines: &str| {
        let text = format!(
            "playbooks: {{p: {{path: play.yml}}}}\nroutes:\n  - {{name: r, matchers: [a=b], playbook: p, notify: {lines}}}\n"
        );
        load(&text).routes()[0].notify.clone().unwrap()
    };
    let named = notify("{to: [ops, pager, ops], events: [healed, failed, healed]}");
    assert_eq!(named.to, ["ops", "pager"]);
    assert_eq!(named.events, [NotifyEvent::Healed, NotifyEvent::Failed]);
    let unnamed = notify("{to: [ops]}");
    assert!(!unnamed.events.contains(&NotifyEvent::Healed) && unnamed.events.len() == 8);
    insta::assert_snapshot!(route_errors("notify: {to: [op, Ops]}"), @r#"
    remediations.yml:6:19: `routes[0].notify.to[0]` names the notifier "op", which is not under `notifiers` in healgate.yml (did you mean `ops`?)
          notify: {to: [op, Ops]}
                        ^

    remediations.yml:6:23: `routes[0].notify.to[1]` names the notifier "Ops", which is not under `notifiers` in healgate.yml (did you mean `ops`?)
          notify: {to: [op, Ops]}
                            ^
    "#);
    insta::assert_snapshot!(route_errors("notify: {to: [], events: [failed]}"), @"
    remediations.yml:6:18: `routes[0].notify.to` is empty: it must name at least one notifier
          notify: {to: [], events: [failed]}
                       ^
    ");
    insta::assert_snapshot!(route_errors("notify: {events: [failed]}"), @"
    remediations.yml:6:13: `routes[0].notify.to` is missing
          notify: {events: [failed]}
                  ^
    ");
}

#[test]
fn files_must_exist() {
    insta::assert_snapshot!(errors(
        "playbooks:\n  p:\n    path: gone.yml\n    inventory: gone/hosts\n    vault_password_file: v\n    private_key_file: k\n"
    ), @r#"
    remediations.yml:3:11: `playbooks.p.path` names a file that does not exist: gone.yml
          path: gone.yml
                ^

    remediations.yml:4:16: `playbooks.p.inventory` names a file that does not exist: gone/hosts
          inventory: gone/hosts
                     ^

    remediations.yml:5:26: `playbooks.p.vault_password_file` names a file that does not exist: v
          vault_password_file: v
                               ^

    remediations.yml:6:23: `playbooks.p.private_key_file` names a file that does not exist: k
          private_key_file: k
                            ^
    "#);
}

#[test]
fn secrets_and_variables_may_come_from_files() {
    let catalog = load(
        "playbooks:\n  p:\n    path: play.yml\n    env: {A: text, HEALGATE_X: {file: play.yml}, B: {file: hosts.yml}}\n    secrets: [play.yml, hosts.yml]\n",
    );
    let playbook = catalog.playbook("p").unwrap();
    let env = |map: &BTreeMap<String, String>| serde_json::to_string(map).unwrap();
    assert_eq!(env(&playbook.env), r#"{"A":"text"}"#);
    assert_eq!(env(&playbook.env_files), r#"{"B":"hosts.yml","HEALGATE_X":"play.yml"}"#);
    assert_eq!(playbook.secrets, ["play.yml", "hosts.yml"]);
}

#[test]
fn mistakes_about_secrets_are_shown_at_their_places() {
    insta::assert_snapshot!(errors(
        "secrets: [x]\nplaybooks:\n  p:\n    path: play.yml\n    secrets: [gone, '']\n    env: {A: {file: gone}, B: {fil: x}, HOME: {file: play.yml}, C: []}\n  q:\n    path: play.yml\n    secrets: play.yml\n\
         routes:\n  - {name: r, matchers: [a=b], playbook: p, secrets: [x]}\n"
    ), @r#"
    remediations.yml:1:1: `secrets` belongs in an entry of `playbooks` in remediations.yml
      secrets: [x]
      ^

    remediations.yml:5:15: `playbooks.p.secrets[0]` names a file that does not exist: gone
          secrets: [gone, '']
                    ^

    remediations.yml:5:21: `playbooks.p.secrets[1]` is empty
          secrets: [gone, '']
                          ^

    remediations.yml:6:21: `playbooks.p.env.A.file` names a file that does not exist: gone
          env: {A: {file: gone}, B: {fil: x}, HOME: {file: play.yml}, C: []}
                          ^

    remediations.yml:6:31: `playbooks.p.env.B.file` is missing
          env: {A: {file: gone}, B: {fil: x}, HOME: {file: play.yml}, C: []}
                                    ^

    remediations.yml:6:32: unknown key `playbooks.p.env.B.fil` (did you mean `file`?); allowed here: file
          env: {A: {file: gone}, B: {fil: x}, HOME: {file: play.yml}, C: []}
                                     ^

    remediations.yml:6:47: `playbooks.p.env.HOME` must be a text: it says where Ansible finds what belongs to healgate
          env: {A: {file: gone}, B: {fil: x}, HOME: {file: play.yml}, C: []}
                                                    ^

    remediations.yml:6:68: `playbooks.p.env.C` is a list; it must be a text
          env: {A: {file: gone}, B: {fil: x}, HOME: {file: play.yml}, C: []}
                                                                         ^

    remediations.yml:9:14: `playbooks.q.secrets` must be a list
          secrets: play.yml
                   ^

    remediations.yml:11:45: `routes[0].secrets` belongs in an entry of `playbooks` in remediations.yml
        - {name: r, matchers: [a=b], playbook: p, secrets: [x]}
                                                  ^
    "#);
}

#[test]
fn a_bad_matcher_is_shown_inside_its_text() {
    insta::assert_snapshot!(errors(
        "playbooks: {p: {path: play.yml}}\nroutes:\n  - name: r\n    playbook: p\n    matchers:\n\
         \x20     - 'it''s=~\"(\"'\n\
         \x20     - 'a=~\"x(\"'\n\
         \x20     - \"a=~\\\"x(\\\"\"\n\
         \x20     - a=~[0-9]{2}\n\
         \x20     - >-\n\
         \x20       a=~\"x(\"\n\
         \x20     - |\n\
         \x20       a==b\n\
         \x20     - severity\n\
         \x20     - 5\n"
    ), @r#"
    remediations.yml:6:12: `routes[0].matchers[0]` is no valid matcher: expected an operator after the label name: =, !=, =~ or !~
            - 'it''s=~"("'
                 ^

    remediations.yml:7:15: `routes[0].matchers[1]` is no valid matcher: this is not a regular expression: unclosed group
            - 'a=~"x("'
                    ^

    remediations.yml:8:16: `routes[0].matchers[2]` is no valid matcher: this is not a regular expression: unclosed group
            - "a=~\"x(\""
                     ^

    remediations.yml:9:17: `routes[0].matchers[3]` is no valid matcher: expected the end after the value; with spaces or any of {}!=~,'` it must be in double quotes
            - a=~[0-9]{2}
                      ^

    remediations.yml:11:14: `routes[0].matchers[4]` is no valid matcher: this is not a regular expression: unclosed group
              a=~"x("
                   ^

    remediations.yml:14:17: `routes[0].matchers[6]` is no valid matcher: expected an operator after the label name: =, !=, =~ or !~
            - severity
                      ^

    remediations.yml:15:9: `routes[0].matchers[7]` must be a text; to mean the text, quote it: "5"
            - 5
              ^
    "#);
}

#[test]
fn a_bad_template_is_shown_inside_its_text() {
    insta::assert_snapshot!(playbook_errors(
        "limit: '{{ alert.labels.x'\nlock: 'x/{{ alert.lables.x }}'\nvars:\n  a: \"{{ alert.labels.x | hots }}\"\n\
         \x20 b: '{{ labels.x }}'\n  c: |\n    fine\n    {% iff x %}\n  d: ['{{ alert is good }}']\n  e: '{{ foo() }}'\n\
         \x20 f: '{% include \"limit\" %}{% for i in range(99999) %}{% endfor %}'"
    ), @r#"
    remediations.yml:4:29: `playbooks.p.limit` is no valid template: syntax error: unexpected end of input, expected end of variable block
          limit: '{{ alert.labels.x'
                                  ^

    remediations.yml:5:17: `playbooks.p.lock` is no valid template: `alert` has no `lables` (did you mean `labels`?); it has status, labels, annotations, starts_at, ends_at, fingerprint, generator_url
          lock: 'x/{{ alert.lables.x }}'
                      ^

    remediations.yml:7:31: `playbooks.p.vars.a` is no valid template: unknown filter: filter hots is unknown
            a: "{{ alert.labels.x | hots }}"
                                    ^

    remediations.yml:8:14: `playbooks.p.vars.b` is no valid template: unknown name `labels`; templates see alert, group, job
            b: '{{ labels.x }}'
                   ^

    remediations.yml:11:12: `playbooks.p.vars.c` is no valid template: syntax error: unknown statement iff
              {% iff x %}
                 ^

    remediations.yml:12:24: `playbooks.p.vars.d[0]` is no valid template: unknown test: test good is unknown
            d: ['{{ alert is good }}']
                             ^

    remediations.yml:13:14: `playbooks.p.vars.e` is no valid template: unknown name `foo` (did you mean `job`?); templates see alert, group, job
            e: '{{ foo() }}'
                   ^

    remediations.yml:14:14: `playbooks.p.vars.f` is no valid template: template not found: tried to include non-existing template 'limit'
            f: '{% include "limit" %}{% for i in range(99999) %}{% endfor %}'
                   ^
    "#);
}

#[test]
fn places_inside_a_text_are_found_through_its_quoting() {
    insta::assert_snapshot!(playbook_errors(
        "vars:\n  a: 'it''s {{ x }}'\n  b: \"\\\"\\u00e9é\\x41 {{ x }}\"\n  c: |2-\n    two\n\n    é {{ x }}\n  d: >\n    folded\n    {{ x }}\n\
         \x20 e: \"over\n     lines {{ x }}\"\n  f: plain é {{ x }}\n  g: &g\n    !!str z {{ x }}"
    ), @r#"
    remediations.yml:5:20: `playbooks.p.vars.a` is no valid template: unknown name `x`; templates see alert, group, job
            a: 'it''s {{ x }}'
                         ^

    remediations.yml:6:28: `playbooks.p.vars.b` is no valid template: unknown name `x`; templates see alert, group, job
            b: "\"\u00e9é\x41 {{ x }}"
                                 ^

    remediations.yml:10:14: `playbooks.p.vars.c` is no valid template: unknown name `x`; templates see alert, group, job
              é {{ x }}
                   ^

    remediations.yml:12:9: `playbooks.p.vars.d` is no valid template: unknown name `x`; templates see alert, group, job
              folded
              ^

    remediations.yml:14:10: `playbooks.p.vars.e` is no valid template: unknown name `x`; templates see alert, group, job
            e: "over
               ^

    remediations.yml:16:21: `playbooks.p.vars.f` is no valid template: unknown name `x`; templates see alert, group, job
            f: plain é {{ x }}
                          ^

    remediations.yml:17:10: `playbooks.p.vars.g` is no valid template: unknown name `x`; templates see alert, group, job
            g: &g
               ^
    "#);
}

#[test]
fn names_of_variables_are_those_that_ansible_accepts() {
    insta::assert_snapshot!(playbook_errors("vars: {alert: 1, healgate: 1, a-b: 1, 1a: 1, if: 1, ü: 1}"), @r#"
    remediations.yml:4:12: `playbooks.p.vars.alert` is a name that healgate sets itself; choose another
          vars: {alert: 1, healgate: 1, a-b: 1, 1a: 1, if: 1, ü: 1}
                 ^

    remediations.yml:4:22: `playbooks.p.vars.healgate` is a name that healgate sets itself; choose another
          vars: {alert: 1, healgate: 1, a-b: 1, 1a: 1, if: 1, ü: 1}
                           ^

    remediations.yml:4:35: `playbooks.p.vars.a-b` is no name for an Ansible variable: those have letters, digits and `_`, start with no digit, and are no keyword of Python
          vars: {alert: 1, healgate: 1, a-b: 1, 1a: 1, if: 1, ü: 1}
                                        ^

    remediations.yml:4:43: `playbooks.p.vars.1a` is no name for an Ansible variable: those have letters, digits and `_`, start with no digit, and are no keyword of Python
          vars: {alert: 1, healgate: 1, a-b: 1, 1a: 1, if: 1, ü: 1}
                                                ^

    remediations.yml:4:50: `playbooks.p.vars.if` is no name for an Ansible variable: those have letters, digits and `_`, start with no digit, and are no keyword of Python
          vars: {alert: 1, healgate: 1, a-b: 1, 1a: 1, if: 1, ü: 1}
                                                       ^

    remediations.yml:4:57: `playbooks.p.vars.ü` is no name for an Ansible variable: those have letters, digits and `_`, start with no digit, and are no keyword of Python
          vars: {alert: 1, healgate: 1, a-b: 1, 1a: 1, if: 1, ü: 1}
                                                              ^
    "#);
}

#[test]
fn yaml_1_1_traps_in_vars_are_pointed_out() {
    insta::assert_snapshot!(playbook_errors("vars: {on_boot: yes, mode: 0644}"), @r#"
    remediations.yml:4:21: warning: `playbooks.p.vars.on_boot` is the text "yes" here, though Ansible's YAML reads a boolean; write true, or quote it
          vars: {on_boot: yes, mode: 0644}
                          ^

    remediations.yml:4:32: `playbooks.p.vars.mode` is a number that Ansible's YAML reads to the base of 8; quote it to mean the text: "0644"
          vars: {on_boot: yes, mode: 0644}
                                     ^
    "#);
}

#[test]
fn tags_are_refused() {
    insta::assert_snapshot!(playbook_errors("vars: {a: !vault x, b: !!str 5, c: !unsafe {d: e}}"), @r#"
    remediations.yml:4:15: the tag `!vault` is not supported; only `!!str` is
          vars: {a: !vault x, b: !!str 5, c: !unsafe {d: e}}
                    ^

    remediations.yml:4:40: the tag `!unsafe` is not supported; only `!!str` is
          vars: {a: !vault x, b: !!str 5, c: !unsafe {d: e}}
                                             ^
    "#);
}
