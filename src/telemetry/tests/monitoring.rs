//! The alert rules and the dashboard in prometheus/ ask only for metrics, labels and values that a gateway shows.

mod asked;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use regex::Regex;
use serde_json::Value;

use self::asked::mistakes;
use crate::config::diagnostic::Findings;
use crate::config::yaml::{self, Kind, Node};
use crate::telemetry::sample::everything;

/// The samples that a gateway shows: their names, with their labels and the values of these.
type Shown = BTreeMap<String, BTreeMap<String, BTreeSet<String>>>;

fn shown() -> Shown {
    let label = Regex::new(r#"(\w+)="([^"]*)""#).unwrap();
    let mut shown = Shown::new();
    for line in everything().lines().filter(|line| !line.starts_with('#')) {
        let name = line.split(['{', ' ']).next().unwrap();
        let labels = shown.entry(name.to_owned()).or_default();
        for found in label.captures_iter(line) {
            labels
                .entry(found[1].to_owned())
                .or_default()
                .insert(found[2].to_owned());
        }
    }
    shown
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The YAML files of a folder of the repository.
fn files(folder: &str) -> Vec<(String, Node)> {
    let entries = root().join(folder).read_dir().unwrap();
    let mut paths: Vec<PathBuf> = entries
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|kind| kind == "yml"))
        .collect();
    paths.sort();
    assert!(!paths.is_empty(), "{folder} is empty");
    paths
        .into_iter()
        .map(|path| {
            let (findings, text) = Findings::open(&path).unwrap();
            let tree = yaml::parse(&text, &findings).unwrap().unwrap();
            (path.strip_prefix(root()).unwrap().display().to_string(), tree)
        })
        .collect()
}

/// The texts of a key, wherever it stands.
fn texts(node: &Node, key: &str) -> Vec<String> {
    match &node.kind {
        Kind::Scalar(_) => Vec::new(),
        Kind::Sequence(items) => items.iter().flat_map(|item| texts(item, key)).collect(),
        Kind::Mapping(entries) => entries
            .iter()
            .flat_map(|entry| match &entry.value.kind {
                Kind::Scalar(scalar) if entry.key == key => vec![scalar.text.to_string()],
                Kind::Scalar(_) | Kind::Sequence(_) | Kind::Mapping(_) => texts(&entry.value, key),
            })
            .collect(),
    }
}

/// Each mapping that has this key.
fn with_key<'n>(node: &'n Node, key: &str) -> Vec<&'n Node> {
    match &node.kind {
        Kind::Scalar(_) => Vec::new(),
        Kind::Sequence(items) => items.iter().flat_map(|item| with_key(item, key)).collect(),
        Kind::Mapping(_) if node.entry(key).is_some() => vec![node],
        Kind::Mapping(entries) => entries.iter().flat_map(|entry| with_key(&entry.value, key)).collect(),
    }
}

#[test]
fn the_rules_ask_only_for_what_is_shown() {
    let shown = shown();
    let mut found = Vec::new();
    let mut rules = 0;
    for (file, tree) in files("prometheus/rules") {
        for rule in with_key(&tree, "expr") {
            rules += 1;
            let expr = &texts(rule, "expr")[0];
            let words = ["summary", "description"].map(|key| texts(rule, key).join(" "));
            let wrong = mistakes(expr, &words.join(" "), &shown);
            found.extend(wrong.into_iter().map(|what| format!("{file}: {what}")));
        }
    }
    assert!(found.is_empty(), "{found:#?}");
    assert!(rules >= 10, "only {rules} rules were read");
}

#[test]
fn the_tests_of_the_rules_feed_them_only_with_what_is_shown() {
    let shown = shown();
    let mut found = Vec::new();
    for (file, tree) in files("prometheus/rules/tests") {
        for series in texts(&tree, "series") {
            let wrong = mistakes(&series, "", &shown);
            found.extend(wrong.into_iter().map(|what| format!("{file}: {series}: {what}")));
        }
    }
    assert!(found.is_empty(), "{found:#?}");
}

#[test]
fn every_alert_about_the_gateway_has_its_words_and_its_page_of_the_runbook() {
    let heading = Regex::new(r"(?m)^#+ (.+)$").unwrap();
    let page = std::fs::read_to_string(root().join("docs/monitoring.md")).unwrap();
    let anchors: Vec<String> = heading
        .captures_iter(&page)
        .map(|found| found[1].to_lowercase().replace(' ', "-"))
        .collect();
    let files = files("prometheus/rules");
    let (_, tree) = files.iter().find(|(file, _)| file.ends_with("healgate.yml")).unwrap();
    for rule in with_key(tree, "alert") {
        let alert = &texts(rule, "alert")[0];
        for key in ["severity", "summary", "description", "runbook_url"] {
            assert_eq!(texts(rule, key).len(), 1, "{alert}: {key}");
        }
        let url = &texts(rule, "runbook_url")[0];
        let (file, anchor) = url.split_once('#').unwrap();
        assert!(file.ends_with("/docs/monitoring.md"), "{alert}: {url}");
        assert!(anchors.iter().any(|known| known == anchor), "{alert}: {url}");
    }
}

fn dashboard() -> Value {
    let text = std::fs::read(root().join("prometheus/grafana/healgate.json")).unwrap();
    serde_json::from_slice(&text).unwrap()
}

/// The panels that show something; rows only have a title.
fn panels(dashboard: &Value) -> Vec<&Value> {
    let panels = dashboard["panels"].as_array().unwrap();
    panels.iter().filter(|panel| panel["type"] != "row").collect()
}

#[test]
fn the_dashboard_asks_only_for_what_is_shown() {
    let (shown, dashboard) = (shown(), dashboard());
    let mut found = Vec::new();
    for panel in panels(&dashboard) {
        let title = panel["title"].as_str().unwrap();
        let targets = panel["targets"].as_array().unwrap();
        assert!(!targets.is_empty(), "{title}");
        for target in targets {
            let expr = target["expr"].as_str().unwrap();
            let legend = target["legendFormat"].as_str().unwrap();
            let wrong = mistakes(expr, legend, &shown);
            found.extend(wrong.into_iter().map(|what| format!("{title}: {what}")));
        }
    }
    for variable in dashboard["templating"]["list"].as_array().unwrap() {
        if let Some(query) = variable["definition"].as_str() {
            let (metric, label) = query
                .strip_prefix("label_values(")
                .and_then(|rest| rest.strip_suffix(')'))
                .and_then(|rest| rest.rsplit_once(", "))
                .unwrap();
            assert_eq!(variable["query"]["query"], query);
            let wrong = mistakes(&format!("sum by ({label}) ({metric})"), "", &shown);
            found.extend(wrong.into_iter().map(|what| format!("{query}: {what}")));
        }
    }
    assert!(found.is_empty(), "{found:#?}");
}

#[test]
fn every_panel_says_what_it_shows_in_which_unit_and_from_where() {
    let dashboard = dashboard();
    assert!(dashboard["schemaVersion"].as_u64().unwrap() >= 38, "Grafana 10");
    let source = &dashboard["templating"]["list"][0];
    assert_eq!(
        (&source["type"], &source["name"]),
        (&"datasource".into(), &"datasource".into())
    );
    let mut ids = BTreeSet::new();
    let mut cells = BTreeSet::new();
    for panel in dashboard["panels"].as_array().unwrap() {
        let title = panel["title"].as_str().unwrap();
        assert!(ids.insert(panel["id"].as_u64().unwrap()), "{title}: its id is taken");
        let place = |side: &str| panel["gridPos"][side].as_u64().unwrap();
        assert!(place("x") + place("w") <= 24, "{title}");
        for (x, y) in (place("x")..place("x") + place("w"))
            .flat_map(|x| (place("y")..place("y") + place("h")).map(move |y| (x, y)))
        {
            assert!(cells.insert((x, y)), "{title} lies over another panel");
        }
    }
    for panel in panels(&dashboard) {
        let title = &panel["title"];
        assert!(!panel["description"].as_str().unwrap().is_empty(), "{title}");
        assert!(panel["fieldConfig"]["defaults"]["unit"].is_string(), "{title}");
        for asked in panel["targets"].as_array().unwrap().iter().chain([panel]) {
            assert_eq!(asked["datasource"]["uid"], "${datasource}", "{title}");
        }
    }
}

#[test]
fn what_is_not_shown_is_found_out() {
    let shown = shown();
    for (expr, words, about) in [
        ("sum(healgate_job)", "", "healgate_job is"),
        (
            "healgate_jobs_finished{status=\"failed\"}",
            "",
            "healgate_jobs_finished is",
        ),
        (
            "rate(healgate_queue_wait_seconds[5m])",
            "",
            "healgate_queue_wait_seconds is",
        ),
        ("healgate_jobs{state=\"queued\"}", "", "state"),
        ("healgate_jobs{status=~\"queued|waiting\"}", "", "waiting"),
        ("healgate_notifier_messages_total{result!=\"fails\"}", "", "fails"),
        ("sum by (reason) (healgate_jobs)", "", "reason"),
        ("sum(healgate_jobs) by (status, route)", "", "route"),
        ("sum by (le) (healgate_queue_wait_seconds_count)", "", "le"),
        ("sum by (status) (healgate_jobs)", "{{ $labels.instance }}", "instance"),
        ("healgate_jobs", "{{ $labels.state }}", "state"),
        ("sum by (status) (healgate_jobs)", "{{state}}", "state"),
        ("heelgate_jobs > 1", "", "nothing"),
    ] {
        let found = mistakes(expr, words, &shown);
        assert!(found.len() == 1 && found[0].contains(about), "{expr}: {found:?}");
    }
    let buckets = "sum by (le) (rate(healgate_queue_wait_seconds_bucket{instance=~\"$instance\"}[5m]))";
    for (expr, words) in [
        (buckets, ""),
        (
            "healgate_jobs{status=~\"queued|running\", job=\"x\"}",
            "{{ $labels.status }} {{ $value }}",
        ),
        (
            "sum by (instance) (healgate_heartbeat_missed{route=\"any\"})",
            "{{instance}}",
        ),
        ("up{job=\"healgate\"} == 0", "{{ $labels.instance }}"),
    ] {
        assert_eq!(mistakes(expr, words, &shown), Vec::<String>::new(), "{expr}");
    }
}
