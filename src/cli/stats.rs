//! `healgate stats`: what jobs came to within a window of time.

use std::process::ExitCode;

use serde_json::Value;

use crate::cli::client::{self, Access, Client};
use crate::cli::show::{Format, View, once};
use crate::cli::table::{items, printable, table, text};
use crate::cli::when::long;
use crate::domain::span::Span;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// How far back: 12h, 7d; at most 366d
    #[arg(long, value_name = "DURATION", default_value = "7d")]
    window: Span,
    #[command(flatten)]
    format: Format,
    #[command(flatten)]
    access: Access,
}

pub(super) fn run(args: &Args) -> ExitCode {
    client::run(&args.access, async |client: Client| {
        let stats = client
            .get(&["api", "v1", "stats"], &[("window", args.window.to_string())])
            .await?;
        once(args.format, &stats, render)
    })
}

fn render(stats: &Value, view: View) -> String {
    let mut told = format!("in the last {}:\n", printable(&text(stats, "window")));
    for (name, list) in [("ROUTE", "routes"), ("PLAYBOOK", "playbooks"), ("TARGET", "targets")] {
        let rows: Vec<_> = items(stats, list).iter().map(tally).collect();
        if rows.is_empty() {
            continue;
        }
        let head = [name, "JOBS", "SUCCEEDED", "HEALED", "P50", "P95", "ENDED"];
        told.push_str(&format!("\n{}", table(view.screen, &head, &rows)));
    }
    let offenders: Vec<_> = items(stats, "repeat_offenders").iter().map(offender).collect();
    if !offenders.is_empty() {
        let head = ["CAME BACK", "ALERT", "TARGET", "EPISODES", "JOBS"];
        told.push_str(&format!("\n{}", table(view.screen, &head, &offenders)));
    }
    if told.lines().count() == 1 {
        return format!("no jobs in the last {}", printable(&text(stats, "window")));
    }
    told
}

fn tally(tally: &Value) -> Vec<String> {
    let times = &tally["time_to_heal_seconds"];
    let reasons = tally["reasons"].as_object().into_iter().flatten();
    let reasons: Vec<String> = reasons.map(|(reason, count)| format!("{count} {reason}")).collect();
    vec![
        text(tally, "name"),
        tally["jobs"].to_string(),
        rate(&tally["success_rate"]),
        rate(&tally["healed_rate"]),
        seconds(&times["p50"]),
        seconds(&times["p95"]),
        reasons.join(", "),
    ]
}

fn offender(offender: &Value) -> Vec<String> {
    vec![
        text(offender, "fingerprint"),
        text(offender, "alertname"),
        text(offender, "target"),
        offender["episodes"].to_string(),
        offender["jobs"].to_string(),
    ]
}

/// In percent; a dash of nothing.
fn rate(rate: &Value) -> String {
    rate.as_f64()
        .map_or_else(|| "-".to_owned(), |rate| format!("{:.0}%", rate * 100.0))
}

fn seconds(seconds: &Value) -> String {
    let told = seconds
        .as_f64()
        .and_then(|seconds| std::time::Duration::try_from_secs_f64(seconds).ok());
    told.map_or_else(|| "-".to_owned(), long)
}
