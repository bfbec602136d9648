//! Guards: why a route runs nothing for an alert that it matches.

use crate::domain::alert::Alert;
use crate::domain::matcher::MatchOperator;
use crate::domain::route::Route;

/// What Grafana calls the alert of a rule that got no data or could not be evaluated, and what that means. The rule's
/// own name is in the label `rulename`. Source: `pkg/services/ngalert/state/compat.go` of grafana/grafana.
const NO_KNOWLEDGE: [(&str, &str); 2] = [
    ("DatasourceNoData", "got no data"),
    ("DatasourceError", "could not be evaluated"),
];

/// Why nothing may run, as a sentence; `None` if nothing stands against it.
pub(super) fn guard(route: &Route, alert: &Alert) -> Option<String> {
    let unless = route.unless.iter().find(|matcher| matcher.matches(&alert.labels));
    if let Some(matcher) = unless {
        return Some(format!("the route's `unless` holds: {matcher}"));
    }
    let (name, what) = NO_KNOWLEDGE.into_iter().find(|(name, _)| *name == alert.name())?;
    if is_named(route, name) {
        return None;
    }
    let rule = alert.labels.get("rulename");
    let rule = rule.map_or_else(|| "a rule".to_owned(), |rule| format!("the rule {rule:?}"));
    Some(format!(
        "{rule} {what} in Grafana, which says nothing about the service; a route that is to run for that needs the \
         matcher alertname=\"{name}\""
    ))
}

/// Whether the route is meant for that very alert.
fn is_named(route: &Route, name: &str) -> bool {
    route.matchers.iter().any(|matcher| {
        matcher.operator() == MatchOperator::Equal && matcher.name() == "alertname" && matcher.value() == name
    })
}
