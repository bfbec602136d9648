//! `healgate pause` and `healgate resume`: the kill switch of a gateway, thrown from the terminal.

use std::process::ExitCode;

use reqwest::Method;
use serde_json::{Value, json};

use crate::cli::client::{self, Access, Client};
use crate::cli::failure::Failure;
use crate::cli::say;
use crate::cli::show::{Format, View, once};
use crate::cli::table::{items, printable, table, text};
use crate::domain::pause::Scope;

const PAUSE: [&str; 3] = ["api", "v1", "pause"];

/// More than anybody pauses.
const MOST: usize = 10_000;

#[derive(Debug, clap::Args)]
pub(super) struct Pause {
    /// What must not start any more: all, route:NAME or target:NAME
    #[arg(default_value = "all")]
    scope: Scope,
    /// For those who wonder why nothing runs
    #[arg(long, value_name = "TEXT")]
    comment: Option<String>,
    /// Pause nothing; list what is paused
    #[arg(long, conflicts_with_all = ["scope", "comment"])]
    list: bool,
    #[command(flatten)]
    format: Format,
    #[command(flatten)]
    access: Access,
}

#[derive(Debug, clap::Args)]
pub(super) struct Resume {
    /// What may start again: all, route:NAME or target:NAME
    #[arg(default_value = "all")]
    scope: Scope,
    #[command(flatten)]
    access: Access,
}

/// Pauses a scope, or lists what is paused.
pub(super) fn pause(args: &Pause) -> ExitCode {
    client::run(&args.access, async |client: Client| {
        if args.list {
            return once(args.format, &client.list(&PAUSE, &[], MOST).await?, list);
        }
        let body = json!({ "scope": args.scope, "comment": args.comment });
        let url = client.address(&PAUSE, &[]);
        let pause = client
            .call(Method::PUT, url, Some(body.to_string().into_bytes()))
            .await?;
        once(args.format, &pause, |pause, _| {
            format!("paused: {}; alerts are recorded, and nothing of it starts", who(pause))
        })
    })
}

fn list(pauses: &Value, view: View) -> String {
    let pauses = items(pauses, "items");
    if pauses.is_empty() {
        return "nothing is paused".to_owned();
    }
    let row = |pause: &Value| {
        ["scope", "by", "since", "comment"]
            .map(|name| text(pause, name))
            .to_vec()
    };
    let rows: Vec<Vec<String>> = pauses.iter().map(row).collect();
    table(view.screen, &["SCOPE", "BY", "SINCE", "COMMENT"], &rows)
}

/// Lets a scope go on.
pub(super) fn resume(args: &Resume) -> ExitCode {
    client::run(&args.access, async |client: Client| {
        say::line(&release(&client, &args.scope.to_string()).await?).map(drop)
    })
}

async fn release(client: &Client, scope: &str) -> Result<String, Failure> {
    let before = client.list(&PAUSE, &[], MOST).await?;
    let body = json!({ "scope": scope }).to_string().into_bytes();
    client
        .call(Method::DELETE, client.address(&PAUSE, &[]), Some(body))
        .await?;
    let was_paused = items(&before, "items").iter().any(|pause| pause["scope"] == scope);
    let still = client.list(&PAUSE, &[], MOST).await?;
    Ok(resumed(scope, was_paused, items(&still, "items")))
}

/// What came of it, and what is paused all the same.
fn resumed(scope: &str, was_paused: bool, still: &[Value]) -> String {
    let scope = printable(scope);
    let mut told = match (was_paused, still.is_empty()) {
        (true, true) => format!("resumed: {scope}; what still fires is decided again"),
        (true, false) => format!("resumed: {scope}; what still fires and is not paused otherwise is decided again"),
        (false, _) => format!("{scope} was not paused"),
    };
    for pause in still {
        told.push_str(&format!("\nstill paused: {}", who(pause)));
    }
    told
}

/// A pause, who threw it, and since when.
fn who(pause: &Value) -> String {
    let text = |name: &str| printable(&text(pause, name));
    format!("{}, by {} since {}", text("scope"), text("by"), text("since"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_still_paused_is_told_after_a_resume() {
        let pause = json!({"scope": "route:a", "by": "ada", "since": "2026-01-31T09:00:00Z", "comment": null});
        let still = "still paused: route:a, by ada since 2026-01-31T09:00:00Z";
        let pauses = std::slice::from_ref(&pause);
        assert_eq!(
            resumed("all", true, &[]),
            "resumed: all; what still fires is decided again"
        );
        assert_eq!(
            resumed("all", true, pauses),
            format!("resumed: all; what still fires and is not paused otherwise is decided again\n{still}")
        );
        assert_eq!(resumed("all", false, pauses), format!("all was not paused\n{still}"));
        assert_eq!(resumed("all", false, &[]), "all was not paused");
    }

    #[test]
    fn pauses_are_listed_in_a_table() {
        let view = View {
            screen: crate::cli::terminal::Screen::default(),
            now: "2026-01-31T09:00:00Z".parse().unwrap(),
        };
        assert_eq!(
            list(&json!({"items": [], "next_cursor": null}), view),
            "nothing is paused"
        );
        let pause = json!({"scope": "all", "by": "ada", "since": "2026-01-31T09:00:00Z", "comment": null});
        assert_eq!(
            list(&json!({"items": [pause], "next_cursor": null}), view),
            "SCOPE  BY   SINCE                 COMMENT\nall    ada  2026-01-31T09:00:00Z  -\n"
        );
    }
}
