//! What a PromQL expression asks for, held against what is shown. Knows no more of PromQL than that.

use std::collections::BTreeSet;

use regex::Regex;

use super::Shown;

/// Labels that Prometheus itself adds.
const ADDED: [&str; 2] = ["job", "instance"];

/// Labels whose values come from a configuration: any will do.
const OPEN: [&str; 5] = ["route", "playbook", "notifier", "version", "le"];

/// Metrics that are not ours, with the labels that our rules use of them.
const OTHERS: [&str; 2] = ["up", "probe_success"];

/// What the expression asks for, and these words with `$labels.name` or `{{name}}` tell of, and is not there.
pub(super) fn mistakes(expr: &str, words: &str, shown: &Shown) -> Vec<String> {
    let selector = Regex::new(r"\b(healgate_\w+|up|probe_success)\b\s*(?:\{([^}]*)\})?").unwrap();
    let mut found = Vec::new();
    let mut labels: BTreeSet<&str> = ADDED.into();
    let mut asked = 0;
    for selected in selector.captures_iter(expr) {
        asked += 1;
        let name = &selected[1];
        if OTHERS.contains(&name) {
            continue;
        }
        let Some((_, known)) = shown.get_key_value(name) else {
            found.push(format!("{name} is not shown"));
            continue;
        };
        labels.extend(known.keys().map(String::as_str));
        let matchers = selected.get(2).map_or("", |matchers| matchers.as_str());
        found.extend(matched(name, matchers, shown));
    }
    if asked == 0 {
        found.push(format!("{expr:?} asks for nothing of ours"));
    }
    if !found.is_empty() {
        return found;
    }
    let grouped = groups(expr);
    let others = OTHERS.iter().any(|other| expr.contains(&format!("{other}{{")));
    found.extend(
        grouped
            .iter()
            .filter(|label| !labels.contains(label.as_str()))
            .map(|label| format!("{label} is no label of what is grouped")),
    );
    let left = |label: &str| match grouped.is_empty() {
        true => others || labels.contains(label),
        false => grouped.contains(label),
    };
    let told = told(words);
    let gone = told.iter().filter(|label| !left(label));
    found.extend(gone.map(|label| format!("{label} is no label of what comes out")));
    found
}

/// What is wrong with the matchers of a metric.
fn matched(name: &str, matchers: &str, shown: &Shown) -> Vec<String> {
    let matcher = Regex::new(r#"(\w+)\s*(?:=~|!~|!=|=)\s*"([^"]*)""#).unwrap();
    let mut found = Vec::new();
    for asked in matcher.captures_iter(matchers) {
        let (label, values) = (&asked[1], &asked[2]);
        let Some(known) = shown[name].get(label) else {
            if !ADDED.contains(&label) {
                found.push(format!("{name} has no label {label}"));
            }
            continue;
        };
        if OPEN.contains(&label) || values.starts_with('$') {
            continue;
        }
        let strange = values.split('|').filter(|value| !known.contains(*value));
        found.extend(strange.map(|value| format!("{label} of {name} is never {value:?}")));
    }
    found
}

/// The labels by which anything is grouped.
fn groups(expr: &str) -> BTreeSet<String> {
    let group = Regex::new(r"\b(?:by|on|without|ignoring|group_left|group_right)\s*\(([^)]*)\)").unwrap();
    let lists = group.captures_iter(expr).map(|found| found[1].to_owned());
    lists
        .flat_map(|list| list.split(',').map(|label| label.trim().to_owned()).collect::<Vec<_>>())
        .filter(|label| !label.is_empty())
        .collect()
}

/// The labels that a text tells of; the other words of templates are none.
fn told(words: &str) -> BTreeSet<String> {
    let label = Regex::new(r"\$labels\.(\w+)|\{\{\s*(?:else|end|(\w+))\s*\}\}").unwrap();
    label
        .captures_iter(words)
        .filter_map(|found| found.get(1).or(found.get(2)).map(|name| name.as_str().to_owned()))
        .collect()
}
