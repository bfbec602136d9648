//! The metrics, from what `/metrics` answers when everything that is counted has happened.

use std::collections::{BTreeMap, BTreeSet};

use super::{begin, head, row};
use crate::telemetry::sample;

/// Labels whose values come from a configuration.
const OPEN: [&str; 4] = ["route", "playbook", "notifier", "version"];

/// What is known of a family of samples.
#[derive(Default)]
struct Family {
    kind: String,
    help: String,
    labels: BTreeMap<String, BTreeSet<String>>,
}

pub(super) fn page() -> String {
    let about = "What `GET /metrics` answers, in Prometheus' text format. A histogram `NAME` has the samples `NAME_bucket`, \
                 `NAME_sum` and `NAME_count`. [Watching healgate](../monitoring.md) says what to make of them.";
    let mut page = begin("Every metric", about);
    page.push_str(&head(&["metric", "type", "labels", ""]));
    for (name, family) in families(&sample::everything()) {
        let labels: Vec<String> = family.labels.iter().map(label).collect();
        page.push_str(&row(&[
            &format!("`{name}`"),
            &family.kind,
            &labels.join("; "),
            &family.help,
        ]));
    }
    page
}

fn label((name, values): (&String, &BTreeSet<String>)) -> String {
    if OPEN.contains(&name.as_str()) {
        return format!("`{name}`");
    }
    let values: Vec<&str> = values.iter().map(String::as_str).collect();
    format!("`{name}`: {}", values.join(", "))
}

fn families(text: &str) -> BTreeMap<String, Family> {
    let mut families: BTreeMap<String, Family> = BTreeMap::new();
    for line in text.lines() {
        let words: Vec<&str> = line.splitn(4, ' ').collect();
        match words[..] {
            ["#", "HELP", name, help] => families.entry(name.to_owned()).or_default().help = help.to_owned(),
            ["#", "TYPE", name, kind] => families.entry(name.to_owned()).or_default().kind = kind.to_owned(),
            _ => sample(line, &mut families),
        }
    }
    families
}

/// Labels of the family that the sample belongs to.
fn sample(line: &str, families: &mut BTreeMap<String, Family>) {
    let Some((name, labels)) = line.split_once('{') else {
        return;
    };
    let family = ["_bucket", "_sum", "_count", ""]
        .into_iter()
        .find_map(|end| name.strip_suffix(end).filter(|name| families.contains_key(*name)));
    let Some(family) = family.and_then(|family| families.get_mut(family)) else {
        return;
    };
    // Values of ours have neither commas nor quotes.
    let (labels, _) = labels.split_once('}').unwrap_or((labels, ""));
    for (name, value) in labels.split(',').filter_map(|label| label.split_once('=')) {
        if name != "le" {
            let values = family.labels.entry(name.to_owned()).or_default();
            values.insert(value.trim_matches('"').to_owned());
        }
    }
}
