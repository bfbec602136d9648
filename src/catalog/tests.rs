use std::fs;

use serde_json::json;
use tempfile::TempDir;

use super::*;
use crate::domain::alert::{Alert, AlertStatus, Group, Labels};
use crate::domain::ids::{Fingerprint, JobId};
use crate::domain::parameters::{Overrides, Plan, Refusal};

mod errors;
mod guards;
mod queries;
mod rendering;
mod values;

/// Routes may have everybody asked.
const ASKED: Peers = Peers {
    alertmanagers: true,
    prometheus: true,
};

/// A folder with a playbook and an inventory, as a user has it.
struct Project(TempDir);

impl Project {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("play.yml"), "[]").unwrap();
        fs::write(folder.path().join("hosts.yml"), "{}").unwrap();
        Self(folder)
    }

    fn load(&self, text: &str) -> Result<Catalog, Diagnostics> {
        let file = self.0.path().join("remediations.yml");
        fs::write(&file, text).unwrap();
        let defaults = Defaults {
            base: self.0.path().to_owned(),
            inventory: "hosts.yml".to_owned(),
            notifiers: Some(vec!["ops".to_owned(), "pager".to_owned()]),
            peers: ASKED,
        };
        Catalog::load(&file, &defaults)
    }

    /// What the user sees, without the folder of this test.
    fn errors(&self, text: &str) -> String {
        let errors = self.load(text).expect_err("the file should be refused").to_string();
        errors.replace(&format!("{}/", self.0.path().display()), "")
    }
}

fn errors(text: &str) -> String {
    Project::new().errors(text)
}

fn load(text: &str) -> Catalog {
    Project::new().load(text).unwrap_or_else(|errors| panic!("{errors}"))
}

/// The errors of a file whose one playbook has these lines.
fn playbook_errors(lines: &str) -> String {
    let lines = lines.replace('\n', "\n    ");
    errors(&format!("playbooks:\n  p:\n    path: play.yml\n    {lines}\n"))
}

/// The errors of a file whose one route has these lines.
fn route_errors(lines: &str) -> String {
    let lines = lines.replace('\n', "\n    ");
    errors(&format!(
        "playbooks: {{p: {{path: play.yml}}}}\nroutes:\n  - name: r\n    matchers: ['a=\"b\"']\n    playbook: p\n    {lines}\n"
    ))
}

fn labels(pairs: &[(&str, &str)]) -> Labels {
    pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect()
}

fn alert(pairs: &[(&str, &str)]) -> Alert {
    Alert {
        status: AlertStatus::Firing,
        labels: labels(pairs),
        annotations: labels(&[("summary", "It is down")]),
        starts_at: "2026-01-31T09:00:00Z".parse().unwrap(),
        ends_at: None,
        fingerprint: Fingerprint::parse("f00d").unwrap(),
        generator_url: "http://prometheus/graph".to_owned(),
    }
}

fn job() -> JobId {
    "0190b6a2-7c1e-7d3a-9f00-0123456789ab".parse().unwrap()
}

fn render(catalog: &Catalog, alert: &Alert) -> Result<Plan, Refusal> {
    let group = Group {
        group_key: "{}:{}".to_owned(),
        receiver: "healgate".to_owned(),
        ..Group::default()
    };
    let scope = Scope {
        alert: Some(alert),
        group: Some(&group),
        job: job(),
        attempt: 1,
    };
    catalog.playbook("p").expect("the playbook p").render(&scope)
}
