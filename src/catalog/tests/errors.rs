use super::*;
use crate::domain::attempt::Outcome;
use crate::domain::route::OnResolved;
use crate::domain::rules::{BreakerRule, FlapRule, StormRule};
use crate::domain::span::Span;

const CONTRACT: &str = r#"
playbooks:
  restart-container:
    path: play.yml
    description: Restart a container
    vars:                                    # templates
      container: "{{ alert.labels.container }}"
    limit: "{{ alert.labels.instance | host }}"
    inventory: hosts.yml
    timeout: 2m
    lock: "container/{{ alert.labels.container }}"
  recreate-container: { path: play.yml }
routes:
  - name: nginx-down
    matchers: ['alertname="NginxDown"', 'severity=~"critical|page"']
    playbook: restart-container
    mode: auto
    continue: false
    cooldown: 5m
    caps: [3 per 1h, 10 per 1d]
    retry: { attempts: 3, backoff: 10s, max_backoff: 5m, outcomes: [unreachable, failed, timed_out] }
    verify: { resolved_within: 2m }
    otherwise: [recreate-container]
    on_resolved: cancel
    expires: 1h
    again_after: 4h
    notify: { to: [ops], events: [failed, not_healed, exhausted, healed, awaiting_approval] }
"#;

#[test]
fn the_example_of_the_contract_is_read_as_a_whole() {
    let catalog = load(CONTRACT);
    let route = &catalog.routes()[0];
    assert_eq!((route.name.as_str(), route.matchers.len()), ("nginx-down", 2));
    assert_eq!(route.resolved_within, Some("2m".parse().unwrap()));
    assert_eq!(route.again_after, Some("4h".parse().unwrap()));
    assert_eq!(route.on_resolved, OnResolved::Cancel);
    assert_eq!(catalog.playbooks().count(), 2);
    assert!(catalog.warnings().is_empty(), "{:?}", catalog.warnings());
}

#[test]
fn an_empty_file_is_an_error_at_its_first_place() {
    for text in ["", "\n\n", "# nothing\n", "---\n", "~\n"] {
        assert_eq!(
            errors(text).lines().next(),
            Some("remediations.yml:1:1: the file is empty; it must have `playbooks` and `routes`"),
            "{text:?}"
        );
    }
    insta::assert_snapshot!(errors("{}"), @r#"
    remediations.yml:1:1: the file has neither `playbooks` nor `routes`
      {}
      ^
    "#);
    insta::assert_snapshot!(errors("- a"), @r#"
    remediations.yml:1:1: the file must be a mapping of keys to values
      - a
      ^
    "#);
}

#[test]
fn a_missing_file_is_named() {
    let defaults = Defaults {
        base: "/".into(),
        inventory: "x,".to_owned(),
        notifiers: None,
        peers: ASKED,
    };
    let error = Catalog::load(Path::new("no/such.yml"), &defaults)
        .unwrap_err()
        .to_string();
    insta::assert_snapshot!(error, @"no/such.yml:1:1: there is no such file; `healgate init` writes one to start from");
}

#[test]
fn broken_yaml_is_reported_with_its_place() {
    insta::assert_snapshot!(errors("playbooks:\n  p: [1, 2\nroutes: []\n"), @r#"
    remediations.yml:3:7: this is not YAML: illegal placement of ':' indicator
      routes: []
            ^
    "#);
    insta::assert_snapshot!(errors("playbooks:\n\tp: 1\n"), @r#"
    remediations.yml:2:2: this is not YAML: tabs disallowed within this context (block indentation)
      	p: 1
      	^
    "#);
    insta::assert_snapshot!(errors("playbooks: {}\n---\nroutes: []\n"), @r#"
    remediations.yml:2:1: a second document begins; there can be only one
      ---
      ^
    "#);
    insta::assert_snapshot!(errors("playbooks: *gone\n"), @r#"
    remediations.yml:1:12: this is not YAML: while parsing node, found unknown anchor
      playbooks: *gone
                 ^
    "#);
}

#[test]
fn unknown_keys_come_with_the_allowed_ones() {
    insta::assert_snapshot!(errors("playbook: {}\n"), @r#"
    remediations.yml:1:1: unknown key `playbook` (did you mean `playbooks`?); allowed here: playbooks, routes, storm, breaker
      playbook: {}
      ^

    remediations.yml:1:1: the file has neither `playbooks` nor `routes`
      playbook: {}
      ^
    "#);
    insta::assert_snapshot!(playbook_errors("tiemout: 2m"), @r#"
    remediations.yml:4:5: unknown key `playbooks.p.tiemout` (did you mean `timeout`?); allowed here: path, description, vars, limit, inventory, tags, skip_tags, check, diff, forks, env, secrets, vault_password_file, private_key_file, remote_user, become, verbosity, timeout, lock
          tiemout: 2m
          ^
    "#);
    insta::assert_snapshot!(route_errors("verify: {within: 2m}\nretry: {atempts: 2}"), @r#"
    remediations.yml:6:13: `routes[0].verify.resolved_within` is missing
          verify: {within: 2m}
                  ^

    remediations.yml:6:14: unknown key `routes[0].verify.within`; allowed here: resolved_within, query
          verify: {within: 2m}
                   ^

    remediations.yml:7:13: unknown key `routes[0].retry.atempts` (did you mean `attempts`?); allowed here: attempts, backoff, max_backoff, outcomes
          retry: {atempts: 2}
                  ^
    "#);
}

#[test]
fn keys_of_routes_are_not_dropped_in_silence_where_they_do_nothing() {
    insta::assert_snapshot!(playbook_errors("precondition: x"), @"
    remediations.yml:4:5: `playbooks.p.precondition` belongs in an entry of `routes`
          precondition: x
          ^
    ");
}

#[test]
fn names_must_be_known_and_unique() {
    insta::assert_snapshot!(errors(
        "playbooks:\n  p: {path: play.yml}\n  p: {path: play.yml}\nroutes:\n\
         \x20 - {name: r, matchers: [a=b], playbook: q}\n\
         \x20 - {name: r, matchers: [a=b], playbook: p, otherwise: [x], on_resolved: {run: y}}\n"
    ), @r#"
    remediations.yml:3:3: the key `p` is there already, in line 2
        p: {path: play.yml}
        ^

    remediations.yml:5:42: `routes[0].playbook` names the playbook "q", which is not under `playbooks`
        - {name: r, matchers: [a=b], playbook: q}
                                               ^

    remediations.yml:6:12: there is another route with the name "r"
        - {name: r, matchers: [a=b], playbook: p, otherwise: [x], on_resolved: {run: y}}
                 ^

    remediations.yml:6:57: `routes[1].otherwise[0]` names the playbook "x", which is not under `playbooks`
        - {name: r, matchers: [a=b], playbook: p, otherwise: [x], on_resolved: {run: y}}
                                                              ^

    remediations.yml:6:80: `routes[1].on_resolved.run` names the playbook "y", which is not under `playbooks`
        - {name: r, matchers: [a=b], playbook: p, otherwise: [x], on_resolved: {run: y}}
                                                                                     ^
    "#);
}

#[test]
fn required_keys_are_required() {
    insta::assert_snapshot!(errors("playbooks:\n  p:\n    description: x\nroutes:\n  - mode: auto\n"), @r#"
    remediations.yml:3:5: `playbooks.p.path` is missing
          description: x
          ^

    remediations.yml:5:5: `routes[0].name` is missing
        - mode: auto
          ^

    remediations.yml:5:5: `routes[0].matchers` is missing
        - mode: auto
          ^

    remediations.yml:5:5: `routes[0].playbook` is missing
        - mode: auto
          ^
    "#);
    insta::assert_snapshot!(errors("routes:\n  - {name: r, matchers: [], playbook: p}\n  - {name: s, matchers: , playbook: p}\n  - {name: t, matchers: a=b, playbook: p}\n"), @r#"
    remediations.yml:2:25: `routes[0].matchers` is empty: the route would match every alert; write at least one matcher
        - {name: r, matchers: [], playbook: p}
                              ^

    remediations.yml:2:39: `routes[0].playbook` names the playbook "p", which is not under `playbooks`
        - {name: r, matchers: [], playbook: p}
                                            ^

    remediations.yml:3:15: `routes[1].matchers` is empty: the route would match every alert; write at least one matcher
        - {name: s, matchers: , playbook: p}
                    ^

    remediations.yml:3:37: `routes[1].playbook` names the playbook "p", which is not under `playbooks`
        - {name: s, matchers: , playbook: p}
                                          ^

    remediations.yml:4:25: `routes[2].matchers` must be a list, such as ['alertname="NginxDown"']
        - {name: t, matchers: a=b, playbook: p}
                              ^

    remediations.yml:4:40: `routes[2].playbook` names the playbook "p", which is not under `playbooks`
        - {name: t, matchers: a=b, playbook: p}
                                             ^
    "#);
}

#[test]
fn aliases_and_merge_keys_work() {
    let catalog = load(
        "playbooks:\n  a: &base {path: play.yml, timeout: 3m, vars: {x: 1}}\n  p:\n    <<: *base\n    timeout: 4m\n  c: *base\n",
    );
    let timeouts: Vec<String> = catalog.playbooks().map(|p| p.timeout.to_string()).collect();
    assert_eq!(timeouts, ["3m", "3m", "4m"]);
    assert_eq!(catalog.playbook("p").unwrap().vars["x"], json!(1));
    insta::assert_snapshot!(errors("playbooks: {p: {<<: 5, path: play.yml}}"), @r#"
    remediations.yml:1:21: `<<` takes a mapping, or a list of mappings
      playbooks: {p: {<<: 5, path: play.yml}}
                          ^
    "#);
}

#[test]
fn yaml_bombs_are_refused() {
    let mut bomb =
        "playbooks:\n  p:\n    path: play.yml\n    vars:\n      a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
    for level in 1..12 {
        let inner = level - 1;
        let items = vec![format!("*a{inner}"); 10].join(", ");
        bomb.push_str(&format!("      a{level}: &a{level} [{items}]\n"));
    }
    insta::assert_snapshot!(errors(&bomb), @r#"
    remediations.yml:10:31: the aliases of this file unfold to too much
            a5: &a5 [*a4, *a4, *a4, *a4, *a4, *a4, *a4, *a4, *a4, *a4]
                                    ^
    "#);
    let deep = |levels: usize| errors(&format!("playbooks: {}{}", "[".repeat(levels), "]".repeat(levels)));
    assert!(deep(100).contains("nested more than 64 levels deep"));
    assert!(deep(100_000).starts_with("remediations.yml:1:"));
    insta::assert_snapshot!(errors("playbooks: &a\n  p: *a\n"), @r#"
    remediations.yml:2:6: this alias stands inside the value it refers to
        p: *a
           ^
    "#);
}

#[test]
fn what_is_not_utf_8_is_refused_at_its_place() {
    let project = Project::new();
    let file = project.0.path().join("remediations.yml");
    fs::write(&file, b"playbooks:\n  p\xff: 1\n").unwrap();
    let defaults = Defaults {
        base: project.0.path().to_owned(),
        inventory: "hosts.yml".to_owned(),
        notifiers: None,
        peers: ASKED,
    };
    let error = Catalog::load(&file, &defaults).unwrap_err().to_string();
    assert!(
        error.contains("remediations.yml:2:4: this is not UTF-8 text"),
        "{error}"
    );
}

#[test]
fn no_text_makes_the_reader_panic() {
    use proptest::prelude::*;
    let project = Project::new();
    proptest!(|(text in "(playbooks|routes|path|vars|limit|:|-| |\n|\n  |\n    |'|\"|\\{|\\}|\\[|\\]|a=~\\(|&a|\\*a|<<|\\||>|!!str|#|x|é){0,40}")| {
        let _ = project.load(&text);
    });
}

#[test]
fn the_rules_of_routes_and_of_all_routes_are_read() {
    let text = CONTRACT.replace("    expires: 1h\n", "    expires: 1h\n    breaker: {failures: 5, within: 30m, pause: 1h}\n    flap: {times: 3, within: 1h}\n    approval: {expires: 30m}\n    at_once: 2\n");
    let catalog = load(&format!(
        "{text}storm: {{jobs: 100, within: 5m}}\nbreaker: {{failures: 9, within: 1h, pause: 2h}}\n"
    ));
    let route = &catalog.routes()[0];
    let caps: Vec<String> = route.caps.iter().map(ToString::to_string).collect();
    assert_eq!(caps, ["3 per 1h", "10 per 1d"]);
    assert_eq!(route.otherwise, ["recreate-container"]);
    assert_eq!(route.cooldown.to_string(), "5m");
    let retry = route.retry.as_ref().unwrap();
    assert_eq!(
        (retry.attempts, retry.backoff, retry.max_backoff),
        (3, span("10s"), span("5m"))
    );
    assert_eq!(
        retry.outcomes,
        [Outcome::HostsUnreachable, Outcome::HostsFailed, Outcome::TimedOut]
    );
    let breaker = |failures, within, pause| BreakerRule {
        failures,
        within: span(within),
        pause: span(pause),
    };
    assert_eq!(route.breaker, Some(breaker(5, "30m", "1h")));
    assert_eq!(catalog.fleet().breaker, Some(breaker(9, "1h", "2h")));
    let (times, within) = (3, span("1h"));
    assert_eq!(route.flap, Some(FlapRule { times, within }));
    let (jobs, within) = (100, span("5m"));
    assert_eq!(catalog.fleet().storm, Some(StormRule { jobs, within }));
    assert_eq!((route.approval_expires, route.at_once), (span("30m"), Some(2)));
}

fn span(text: &str) -> Span {
    text.parse().unwrap()
}

#[test]
fn everything_wrong_in_the_rules_is_reported() {
    insta::assert_snapshot!(route_errors(
        "breaker: {failures: 0, within: 0s}\nflap: {times: often, within: 1h}\napproval: {expires: never}\nat_once: 0\n\
         storm: {jobs: 1, within: 1m}"
    ), @r#"
    remediations.yml:6:14: `routes[0].breaker.pause` is missing
          breaker: {failures: 0, within: 0s}
                   ^

    remediations.yml:6:25: `routes[0].breaker.failures` must be a whole number from 1 to 1000000, not "0"
          breaker: {failures: 0, within: 0s}
                              ^

    remediations.yml:6:36: `routes[0].breaker.within` must be longer than 0s
          breaker: {failures: 0, within: 0s}
                                         ^

    remediations.yml:7:19: `routes[0].flap.times` must be a whole number from 1 to 1000000, not "often"
          flap: {times: often, within: 1h}
                        ^

    remediations.yml:8:25: `routes[0].approval.expires` is wrong: "never" is not a duration: write a number and a unit, such as 30s, 5m, 1h or 7d
          approval: {expires: never}
                              ^

    remediations.yml:9:14: `routes[0].at_once` must be a whole number from 1 to 1000000, not "0"
          at_once: 0
                   ^

    remediations.yml:10:5: `routes[0].storm` belongs in remediations.yml, at its top
          storm: {jobs: 1, within: 1m}
          ^
    "#);
}

#[test]
fn a_key_that_belongs_elsewhere_is_sent_there() {
    let said = errors("playbooks: {}\nheartbeat: {every: 5m}\nheartbeats: {}\ncaps: []\nnotifiers: []\n");
    let lines: Vec<&str> = said.lines().filter(|line| line.contains(" belongs in ")).collect();
    assert_eq!(
        lines,
        [
            "remediations.yml:2:1: `heartbeat` belongs in an entry of `routes` in remediations.yml",
            "remediations.yml:3:1: `heartbeats` belongs in an entry of `routes` in remediations.yml, as its `heartbeat`",
            "remediations.yml:4:1: `caps` belongs in an entry of `routes` in remediations.yml",
            "remediations.yml:5:1: `notifiers` belongs in healgate.yml",
        ]
    );
}
