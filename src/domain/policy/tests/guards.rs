//! What a route runs nothing for although it matches.

use super::world::World;
use super::{at, firing, resolved, route};
use crate::domain::alert::Alert;
use crate::domain::decision::DecisionKind::{Attached, Guarded, Observed, Queued, Refused, Resolved};
use crate::domain::decision::{Decision, DecisionKind};
use crate::domain::matcher::Matcher;
use crate::domain::route::{Mode, Route};

fn matchers(texts: &[&str]) -> Vec<Matcher> {
    texts.iter().map(|text| Matcher::parse(text).unwrap()).collect()
}

fn labelled(labels: &[(&str, &str)]) -> Alert {
    let mut alert = firing("a", at(90));
    let labels = labels
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    alert.labels.extend(labels);
    alert
}

fn matching(texts: &[&str]) -> Route {
    Route {
        matchers: matchers(texts),
        ..route("restart", Mode::Auto)
    }
}

fn unless(texts: &[&str]) -> Route {
    Route {
        unless: matchers(texts),
        ..route("restart", Mode::Auto)
    }
}

/// What a fresh world decides.
fn decided(alert: Alert, route: Route) -> Decision {
    let verdict = World::default().post(at(100), vec![(alert, vec![(route, true)])]);
    assert_eq!(verdict.jobs.len(), usize::from(verdict.decisions[0].kind == Queued));
    verdict.decisions[0].clone()
}

#[test]
fn any_entry_of_unless_guards_and_is_named() {
    let route = || unless(&["env=staging", "severity=~\"info|none\""]);
    for (labels, expected) in [
        (&[("env", "prod")][..], Queued),
        (&[("env", "staging")], Guarded),
        (&[("env", "prod"), ("severity", "info")], Guarded),
        (&[("severity", "informal")], Queued),
    ] {
        assert_eq!(decided(labelled(labels), route()).kind, expected, "{labels:?}");
    }
    let decision = decided(labelled(&[("env", "staging")]), route());
    assert_eq!(decision.reason, "the route's `unless` holds: env=\"staging\"");
}

#[test]
fn an_absent_label_is_the_empty_text_for_unless_too() {
    assert_eq!(decided(labelled(&[]), unless(&["owner="])).kind, Guarded);
    assert_eq!(decided(labelled(&[("owner", "ops")]), unless(&["owner="])).kind, Queued);
}

#[test]
fn a_rule_that_grafana_could_not_evaluate_runs_nothing_unless_the_route_names_it() {
    for name in ["DatasourceNoData", "DatasourceError"] {
        let alert = || labelled(&[("alertname", name), ("rulename", "NginxDown")]);
        for (route, expected) in [
            (matching(&["alertname=~\".+\""]), Guarded),
            (matching(&["rulename=NginxDown"]), Guarded),
            (matching(&[&format!("alertname=~{name}")]), Guarded),
            (matching(&["alertname!=x"]), Guarded),
            (matching(&[&format!("alertname={name}")]), Queued),
            (
                matching(&["rulename=~\".*\"", &format!("alertname=\"{name}\"")]),
                Queued,
            ),
        ] {
            assert_eq!(
                decided(alert(), route.clone()).kind,
                expected,
                "{name}, {:?}",
                route.matchers
            );
        }
    }
    let reason = |labels| decided(labelled(labels), matching(&[])).reason;
    assert_eq!(
        reason(&[("alertname", "DatasourceNoData"), ("rulename", "NginxDown")]),
        "the rule \"NginxDown\" got no data in Grafana, which says nothing about the service; a route that is to run for \
         that needs the matcher alertname=\"DatasourceNoData\""
    );
    assert!(reason(&[("alertname", "DatasourceError")]).starts_with("a rule could not be evaluated in Grafana"));
}

#[test]
fn a_guard_comes_after_what_was_refused_or_made_and_before_what_is_observed() {
    let guarded = || unless(&["alertname=NginxDown"]);
    let mut world = World::default();
    let mut kind = |now, alert, route, renders| -> DecisionKind {
        world.post(at(now), vec![(alert, vec![(route, renders)])]).decisions[0].kind
    };
    assert_eq!(kind(100, firing("a", at(90)), guarded(), false), Refused);
    assert_eq!(kind(101, firing("a", at(90)), guarded(), true), Guarded);
    let observed = Route {
        mode: Mode::Observe,
        ..guarded()
    };
    assert_eq!(kind(102, firing("a", at(90)), observed, true), Guarded);
    // The guard is gone from the catalogue, and comes back.
    assert_eq!(kind(103, firing("a", at(90)), unless(&[]), true), Queued);
    assert_eq!(kind(104, firing("a", at(90)), guarded(), true), Attached);
    assert_eq!(kind(105, resolved("a", at(90), at(104)), guarded(), true), Resolved);
}

#[test]
fn a_route_that_only_listens_records_what_it_heard() {
    let listening = Route {
        playbook: None,
        ..route("watchdog", Mode::Auto)
    };
    let decision = decided(labelled(&[]), listening);
    assert_eq!((decision.kind, decision.job), (Observed, None));
    assert!(decision.reason.starts_with("heard"), "{}", decision.reason);
}
