//! `healgate alerts`: the alerts that a gateway has seen, and the story of one.

use std::process::ExitCode;

use clap::Subcommand;
use serde_json::{Value, json};

use crate::cli::client::{self, Access, Client, MOST_ITEMS};
use crate::cli::failure::Failure;
use crate::cli::jobs;
use crate::cli::show::{View, Watched, Watching};
use crate::cli::table::{items, printable, table, text};
use crate::cli::when::{age, moment, second, time};

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
    fingerprint: String,
    #[command(flatten)]
    how: Watched,
    #[command(flatten)]
    access: Access,
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
                false => client.list(&["api", "v1", "alerts"], &[], most).await,
            },
            render: render_list,
            is_over: |_: &Value| false,
        };
        watching.show().await
    })
}

/// How many pages of alerts are looked at for those that fire.
const SEARCHED: usize = 10;

/// The alerts that fire, of those that were received last.
pub(super) async fn firing(client: &Client, most: usize) -> Result<Value, Failure> {
    let (mut found, mut cursor) = (Vec::new(), Value::Null);
    for _ in 0..SEARCHED {
        let mut query = vec![("limit", MOST_ITEMS.to_string())];
        query.extend(cursor.as_str().map(|cursor| ("cursor", cursor.to_owned())));
        let mut page = client.get(&["api", "v1", "alerts"], &query).await?;
        let fires = |alert: &&Value| alert["status"] == "firing";
        found.extend(items(&page, "items").iter().filter(fires).cloned());
        cursor = page["next_cursor"].take();
        if cursor.is_null() || found.len() >= most {
            break;
        }
    }
    found.truncate(most);
    Ok(json!({ "items": found, "next_cursor": cursor }))
}

fn render_list(alerts: &Value, view: View) -> String {
    let all = items(alerts, "items");
    if all.is_empty() {
        return "no alerts".to_owned();
    }
    let head = [
        "FINGERPRINT",
        "STATUS",
        "ALERT",
        "INSTANCE",
        "SINCE",
        "RECEIVED",
        "EPISODES",
        "JOBS",
    ];
    let mut text = table(view.screen, &head, &rows(all, view));
    if !alerts["next_cursor"].is_null() {
        text.push_str(&format!("there are more: --limit shows more than {}\n", all.len()));
    }
    text
}

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
            ask: async || client.get(&["api", "v1", "alerts", &args.fingerprint], &[]).await,
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
