//! `healgate jobs list`.

use std::process::ExitCode;

use serde_json::Value;

use crate::cli::client::{self, Access, Client};
use crate::cli::jobs::pick::enough;
use crate::cli::show::{View, Watched, Watching};
use crate::cli::table::{items, table, text};
use crate::cli::when::age;
use crate::clock::{Clock, SystemClock};
use crate::domain::job::{JobStatus, Reason, Trigger};
use crate::domain::span::Span;
use crate::domain::timestamp::Timestamp;

/// On a terminal of so many columns ids are shown whole.
const WIDE: u16 = 140;

#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Args {
    /// Only jobs with one of these; like all filters it may be repeated
    #[arg(long, value_parser = clap::builder::PossibleValuesParser::new(JobStatus::ALL.iter().map(|status| status.as_str())))]
    status: Vec<String>,
    /// Only jobs that ended so
    #[arg(long, value_parser = clap::builder::PossibleValuesParser::new(Reason::ALL.iter().map(|reason| reason.as_str())))]
    reason: Vec<String>,
    /// Only jobs of this playbook
    #[arg(long, value_name = "NAME")]
    playbook: Vec<String>,
    /// Only jobs of this route
    #[arg(long, value_name = "NAME")]
    route: Vec<String>,
    /// Only jobs on this target
    #[arg(long, value_name = "NAME")]
    target: Vec<String>,
    /// Only jobs for alerts of this name
    #[arg(long, value_name = "NAME")]
    alertname: Vec<String>,
    /// Only jobs for this alert
    #[arg(long, value_name = "TEXT")]
    fingerprint: Vec<String>,
    /// Only jobs that came about so
    #[arg(long, value_parser = clap::builder::PossibleValuesParser::new(Trigger::ALL.iter().map(|trigger| trigger.as_str())))]
    trigger: Vec<String>,
    /// Created then or later: a time such as 2026-01-31T09:00:00Z, or how long ago, such as 2h
    #[arg(long, value_name = "TIME", value_parser = moment)]
    since: Option<Timestamp>,
    /// Created then or earlier
    #[arg(long, value_name = "TIME", value_parser = moment)]
    until: Option<Timestamp>,
    /// Only jobs with this text in the playbook, route, target or labels
    #[arg(short, long, value_name = "TEXT")]
    q: Vec<String>,
    /// How many at most
    #[arg(short = 'n', long, value_name = "N", default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..))]
    limit: u32,
    #[command(flatten)]
    how: Watched,
    #[command(flatten)]
    access: Access,
}

/// A time, or how long ago it is.
fn moment(text: &str) -> Result<Timestamp, String> {
    match text.parse::<Span>() {
        // Earlier than any job; the API has no years before the first one.
        Ok(ago) => Ok((SystemClock.now() - ago.duration()).max(Timestamp::from_micros(0))),
        Err(_) => text
            .parse::<Timestamp>()
            .map_err(|error| format!("{error}, nor a duration such as 30s, 5m, 1h or 7d")),
    }
}

pub(super) fn run(args: &Args) -> ExitCode {
    client::run(&args.access, async |client: Client| {
        let (query, most) = (query(args), usize::try_from(args.limit).unwrap_or(usize::MAX));
        let watching = Watching {
            client: &client,
            how: args.how,
            ask: async || client.list(&["api", "v1", "jobs"], &query, most).await,
            render,
            is_over: |_: &Value| false,
        };
        watching.show().await
    })
}

fn query(args: &Args) -> Vec<(&'static str, String)> {
    let lists = [
        ("status", &args.status),
        ("reason", &args.reason),
        ("playbook", &args.playbook),
        ("route", &args.route),
        ("target", &args.target),
        ("alertname", &args.alertname),
        ("fingerprint", &args.fingerprint),
        ("trigger", &args.trigger),
        ("q", &args.q),
    ];
    let texts = lists
        .into_iter()
        .flat_map(|(name, values)| values.iter().map(move |value| (name, value.clone())));
    let times = [("since", args.since), ("until", args.until)];
    let times = times.into_iter().filter_map(|(name, at)| Some((name, at?.to_string())));
    texts.chain(times).collect()
}

fn render(jobs: &Value, view: View) -> String {
    let all = items(jobs, "items");
    if all.is_empty() {
        return "no jobs".to_owned();
    }
    let head = ["ID", "STATUS", "REASON", "AGE", "PLAYBOOK", "TARGET", "FOR"];
    let mut text = table(view.screen, &head, &rows(all, view));
    if !jobs["next_cursor"].is_null() {
        text.push_str(&format!(
            "there are older ones: --limit shows more than {}\n",
            all.len()
        ));
    }
    text
}

/// A row for each job: id, status, reason, age, playbook, target, and why there is one.
pub(in crate::cli) fn rows(jobs: &[Value], view: View) -> Vec<Vec<String>> {
    let ids: Vec<&str> = jobs.iter().filter_map(|job| job["id"].as_str()).collect();
    let length = match view.screen.width() {
        Some(width) if width < WIDE => enough(&ids),
        Some(_) | None => 36,
    };
    let row = |job: &Value| {
        vec![
            text(job, "id").chars().take(length).collect(),
            text(job, "status"),
            text(job, "reason"),
            age(job, "created_at", view.now),
            text(job, "playbook"),
            text(job, "target"),
            cause(job),
        ]
    };
    jobs.iter().map(row).collect()
}

/// The alert, or who wanted it.
fn cause(job: &Value) -> String {
    let trigger = text(job, "trigger");
    match (trigger.as_str(), job["alert"]["labels"]["alertname"].as_str()) {
        ("alert", Some(name)) => name.to_owned(),
        ("ladder", Some(name)) => format!("{name} (ladder)"),
        _ => format!("{trigger} by {}", text(job, "triggered_by")),
    }
}
