//! `healgate status`: all that goes on at a gateway, on one screen.

use std::process::ExitCode;

use serde_json::{Value, json};

use crate::cli::client::{self, Access, Client};
use crate::cli::failure::{Answer, Failure};
use crate::cli::show::{View, Watched, Watching};
use crate::cli::table::{items, printable, table, text};
use crate::cli::terminal::Hue;
use crate::cli::when::{age, left};
use crate::cli::{alerts, jobs};

/// How many of each kind are listed.
const MOST: usize = 100;

/// How many jobs that are finished are listed.
const LAST: usize = 5;

const JOBS: [&str; 7] = ["ID", "STATUS", "REASON", "AGE", "PLAYBOOK", "TARGET", "FOR"];

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    how: Watched,
    #[command(flatten)]
    access: Access,
}

pub(super) fn run(args: &Args) -> ExitCode {
    client::run(&args.access, async |client: Client| {
        let watching = Watching {
            client: &client,
            how: args.how,
            ask: async || ask(&client).await,
            render: |status: &Value, view: View| render(status, view, client.url().as_str()),
            is_over: |_: &Value| false,
        };
        watching.show().await
    })
}

/// Lists as the API has them, each under its name.
async fn ask(client: &Client) -> Result<Value, Failure> {
    let (ready, why) = ready(client).await?;
    let jobs = async |statuses: &[&str], most: usize| {
        let query: Vec<_> = statuses.iter().map(|status| ("status", (*status).to_owned())).collect();
        client.list(&["api", "v1", "jobs"], &query, most).await
    };
    let list = async |name: &str| client.list(&["api", "v1", name], &[], MOST).await;
    Ok(json!({
        "ready": ready,
        "not_ready_because": why,
        "paused": list("pause").await?["items"],
        "breakers": list("breakers").await?["items"],
        "running": jobs(&["running", "verifying"], MOST).await?["items"],
        "awaiting_approval": jobs(&["awaiting_approval"], MOST).await?["items"],
        "queued": jobs(&["queued"], MOST).await?["items"],
        "held": list("held").await?["items"],
        "firing": alerts::firing(client, MOST).await?["items"],
        "last": jobs(&["succeeded", "failed", "canceled"], LAST).await?["items"],
    }))
}

/// Whether the gateway takes alerts; if not, why.
async fn ready(client: &Client) -> Result<(bool, Option<String>), Failure> {
    match client.get(&["readyz"], &[]).await {
        Ok(_) => Ok((true, None)),
        Err(failure) => match failure.answer() {
            Some(Answer { status: 503, said }) => Ok((false, Some(said.clone()))),
            Some(_) | None => Err(failure),
        },
    }
}

fn render(status: &Value, view: View, url: &str) -> String {
    let mut told = match status["ready"].as_bool() {
        Some(true) => format!("healgate at {url} takes alerts\n"),
        _ => format!(
            "healgate at {url} takes no alerts: {}{}{}\n",
            view.screen.begin(Hue::Bad),
            printable(&text(status, "not_ready_because")),
            view.screen.end()
        ),
    };
    told.push_str(&brakes(status, view));
    for (title, name) in [
        ("awaiting approval", "awaiting_approval"),
        ("running", "running"),
        ("waiting", "queued"),
    ] {
        told.push_str(&section(
            title,
            items(status, name),
            |all| table(view.screen, &JOBS, &jobs::rows(all, view)),
            view,
        ));
    }
    told.push_str(&section(
        "held back",
        items(status, "held"),
        |all| held(all, view),
        view,
    ));
    let firing = |all: &[Value]| table(view.screen, &alerts::HEAD, &alerts::rows(all, view));
    told.push_str(&section("firing", items(status, "firing"), firing, view));
    let last = |all: &[Value]| table(view.screen, &JOBS, &jobs::rows(all, view));
    told.push_str(&section("finished last", items(status, "last"), last, view));
    told
}

/// What keeps jobs from starting.
fn brakes(status: &Value, view: View) -> String {
    let mut told = String::new();
    for pause in items(status, "paused") {
        let word = |name: &str| printable(&text(pause, name));
        let comment = pause["comment"]
            .as_str()
            .map(|comment| format!(": {}", printable(comment)));
        told.push_str(&format!(
            "{}: {}, by {} {} ago{}\n",
            view.screen.word("paused"),
            word("scope"),
            word("by"),
            age(pause, "since", view.now),
            comment.unwrap_or_default()
        ));
    }
    for breaker in items(status, "breakers") {
        let word = |name: &str| printable(&text(breaker, name));
        told.push_str(&format!(
            "breaker of {}: {}, {}; {}\n",
            word("scope"),
            view.screen.word(&word("state")),
            word("reason"),
            match breaker["until"].is_null() {
                true => "until somebody closes it".to_owned(),
                false => format!("tries again in {}", left(breaker, "until", view.now)),
            }
        ));
    }
    told
}

fn section(title: &str, all: &[Value], table: impl Fn(&[Value]) -> String, view: View) -> String {
    match all.len() {
        0 => format!("\n{}: nothing\n", view.screen.strong(title)),
        MOST => format!("\n{} (the first {MOST}):\n{}", view.screen.strong(title), table(all)),
        count => format!("\n{} ({count}):\n{}", view.screen.strong(title), table(all)),
    }
}

fn held(held: &[Value], view: View) -> String {
    let row = |held: &Value| {
        vec![
            text(held, "alertname"),
            text(held, "route"),
            text(held, "target"),
            text(held, "decision"),
            left(held, "until", view.now),
            text(held, "reason"),
        ]
    };
    let rows: Vec<_> = held.iter().map(row).collect();
    table(
        view.screen,
        &["ALERT", "ROUTE", "TARGET", "DECISION", "LEFT", "REASON"],
        &rows,
    )
}
