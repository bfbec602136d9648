//! `unless` and `heartbeat` of a route.

use super::*;

#[test]
fn unless_is_a_list_of_matchers() {
    let catalog = load(
        "playbooks: {p: {path: play.yml}}\nroutes: [{name: r, matchers: [a=b], playbook: p, unless: [env=staging, 'c!~\"d|e\"']}, \
         {name: s, matchers: [a=b], playbook: p, unless: []}]",
    );
    let of = |at: usize| -> Vec<String> { catalog.routes()[at].unless.iter().map(ToString::to_string).collect() };
    assert_eq!(of(0), ["env=\"staging\"", "c!~\"d|e\""]);
    assert!(of(1).is_empty());
    insta::assert_snapshot!(route_errors("unless: env=staging"), @r#"
    remediations.yml:6:13: `routes[0].unless` must be a list
          unless: env=staging
                  ^
    "#);
    insta::assert_snapshot!(route_errors("unless: [env, 1]"), @r#"
    remediations.yml:6:17: `routes[0].unless[0]` is no valid matcher: expected an operator after the label name: =, !=, =~ or !~
          unless: [env, 1]
                      ^

    remediations.yml:6:19: `routes[0].unless[1]` must be a text; to mean the text, quote it: "1"
          unless: [env, 1]
                        ^
    "#);
}

#[test]
fn a_route_with_a_heartbeat_needs_no_playbook() {
    let catalog = load(
        "playbooks: {p: {path: play.yml}}\nroutes:\n\
         \x20 - {name: a, matchers: [alertname=Watchdog], heartbeat: {every: 5m}}\n\
         \x20 - {name: b, matchers: [alertname=Watchdog], heartbeat: {every: 10s, grace: 0s}, playbook: p}\n",
    );
    let [first, second] = catalog.routes() else {
        panic!("{catalog:?}");
    };
    assert_eq!(
        (first.playbook.as_deref(), first.heartbeat.unwrap().patience().as_secs()),
        (None, 450)
    );
    assert_eq!(
        (
            second.playbook.as_deref(),
            second.heartbeat.unwrap().patience().as_secs()
        ),
        (Some("p"), 10)
    );
    insta::assert_snapshot!(route_errors("heartbeat: {evry: 5m}"), @r#"
    remediations.yml:6:16: `routes[0].heartbeat.every` is missing
          heartbeat: {evry: 5m}
                     ^

    remediations.yml:6:17: unknown key `routes[0].heartbeat.evry` (did you mean `every`?); allowed here: every, grace
          heartbeat: {evry: 5m}
                      ^
    "#);
    insta::assert_snapshot!(route_errors("heartbeat: {every: 0s, grace: later}"), @r#"
    remediations.yml:6:24: `routes[0].heartbeat.every` must be longer than 0s
          heartbeat: {every: 0s, grace: later}
                             ^

    remediations.yml:6:35: `routes[0].heartbeat.grace` is wrong: "later" is not a duration: write a number and a unit, such as 30s, 5m, 1h or 7d
          heartbeat: {every: 0s, grace: later}
                                        ^
    "#);
    insta::assert_snapshot!(route_errors("heartbeat: 5m"), @r#"
    remediations.yml:6:16: `routes[0].heartbeat` must be a mapping of keys to values
          heartbeat: 5m
                     ^
    "#);
}
