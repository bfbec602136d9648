//! `healgate alerts`: the alerts that a gateway has seen, and the story of one.

use std::process::ExitCode;

use clap::Subcommand;
use serde_json::Value;

use crate::cli::client::{self, Access, Client};
use crate::cli::failure::Failure;
use crate::cli::jobs;
use crate::cli::show::{View, Watched, Watching};
use crate::cli::table::{items, printable, table, text};
use crate::cli::when::{age, moment, second, time};
use crate::domain::ids::Fingerprint;

const ALERTS: [&str; 3] = ["api", "v1", "alerts"];

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// List alerts, the last received first
    List(List),
    /// Tell the story of an alert: what came, what was decided, what ran, whether it healed
    Show(Show),
}

#[derive(Debug, clap::Args)]
pub(super) struct List {
    /// Only alerts that fire
    #[arg(long)]
    firing: bool,
    /// How many at most
    #[arg(short = 'n', long, value_name = "N", default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..))]
    limit: u32,
    #[command(flatten)]
    how: Watched,
    #[command(flatten)]
    access: Access,
}

#[derive(Debug, clap::Args)]
pub(super) struct Show {
    /// The alert's fingerprint, as `alerts list` shows it
    #[arg(value_parser = fingerprint)]
    fingerprint: Fingerprint,
    #[command(flatten)]
    how: Watched,
    #[command(flatten)]
    access: Access,
}

/// One that an address can have in it.
fn fingerprint(text: &str) -> Result<Fingerprint, String> {
    match text {
        "." | ".." => Err("no address leads to an alert of that name".to_owned()),
        _ => Fingerprint::parse(text).map_err(|error| error.to_string()),
    }
}

pub(super) fn run(command: &Command) -> ExitCode {
    match command {
        Command::List(args) => list(args),
        Command::Show(args) => show(args),
    }
}

fn list(args: &List) -> ExitCode {
    client::run(&args.access, async |client: Client| {
        let most = usize::try_from(args.limit).unwrap_or(usize::MAX);
        let watching = Watching {
            client: &client,
            how: args.how,
            ask: async || match args.firing {
                true => firing(&client, most).await,
                false => client.list(&ALERTS, &[], most).await,
            },
            render: render_list,
            is_over: |_: &Value| false,
        };
        watching.show().await
    })
}

/// The alerts that fire, the last received first.
pub(super) async fn firing(client: &Client, most: usize) -> Result<Value, Failure> {
    client.list(&ALERTS, &[("status", "firing".to_owned())], most).await
}

fn render_list(alerts: &Value, view: View) -> String {
    let all = items(alerts, "items");
    if all.is_empty() {
        return "no alerts".to_owned();
    }
    let mut text = table(view.screen, &HEAD, &rows(all, view));
    if !alerts["next_cursor"].is_null() {
        text.push_str(&format!("there are more: --limit shows more than {}\n", all.len()));
    }
    text
}

/// What [`rows`] tells.
pub(super) const HEAD: [&str; 8] = [
    "FINGERPRINT",
    "STATUS",
    "ALERT",
    "INSTANCE",
    "SINCE",
    "RECEIVED",
    "EPISODES",
    "JOBS",
];

/// A row for each alert.
pub(super) fn rows(alerts: &[Value], view: View) -> Vec<Vec<String>> {
    let row = |alert: &Value| {
        vec![
            text(alert, "fingerprint"),
            text(alert, "status"),
            text(alert, "alertname"),
            alert["labels"]["instance"].as_str().unwrap_or("-").to_owned(),
            age(alert, "starts_at", view.now),
            age(alert, "last_received_at", view.now),
            alert["episode_count"].to_string(),
            alert["job_count"].to_string(),
        ]
    };
    alerts.iter().map(row).collect()
}

fn show(args: &Show) -> ExitCode {
    client::run(&args.access, async |client: Client| {
        let watching = Watching {
            client: &client,
            how: args.how,
            ask: async || {
                client
                    .get(&["api", "v1", "alerts", args.fingerprint.as_str()], &[])
                    .await
            },
            render: render_story,
            is_over: |_: &Value| false,
        };
        watching.show().await
    })
}

fn render_story(alert: &Value, view: View) -> String {
    let pairs = |name: &str| -> String {
        let all = alert[name].as_object().into_iter().flatten();
        all.map(|(key, value)| {
            format!(
                "  {}: {}\n",
                printable(key),
                printable(value.as_str().unwrap_or_default())
            )
        })
        .collect()
    };
    let mut told = format!(
        "{} ({}): {}\n",
        printable(&text(alert, "alertname")),
        printable(&text(alert, "fingerprint")),
        view.screen.word(&text(alert, "status"))
    );
    for (title, name) in [("since", "starts_at"), ("last received", "last_received_at")] {
        if let Some(at) = moment(alert, name, view.now) {
            told.push_str(&format!("{title}: {at}\n"));
        }
    }
    told.push_str(&format!(
        "labels:\n{}annotations:\n{}",
        pairs("labels"),
        pairs("annotations")
    ));
    let story: Vec<Vec<String>> = items(alert, "story")
        .iter()
        .map(|entry| {
            vec![
                time(entry, "at").map_or_else(String::new, second),
                text(entry, "what"),
                text(entry, "route"),
                text(entry, "text"),
            ]
        })
        .collect();
    if !story.is_empty() {
        told.push_str(&format!(
            "\n{}",
            table(view.screen, &["AT", "WHAT", "ROUTE", "STORY"], &story)
        ));
    }
    let ran = items(alert, "jobs");
    if !ran.is_empty() {
        let head = ["ID", "STATUS", "REASON", "AGE", "PLAYBOOK", "TARGET", "FOR"];
        told.push_str(&format!("\n{}", table(view.screen, &head, &jobs::rows(ran, view))));
    }
    told
}
