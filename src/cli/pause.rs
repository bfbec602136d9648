//! `healgate pause` and `healgate resume`: the kill switch of a gateway, thrown from the terminal.

use std::process::ExitCode;

use reqwest::Method;
use serde_json::{Value, json};

use crate::cli::client::Client;
use crate::cli::table::{Output, items, printable, table, text};
use crate::cli::{environment, say};
use crate::domain::pause::Scope;

const PAUSE: &str = "/api/v1/pause";

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
    /// How to print the list
    #[arg(long, value_enum, default_value_t = Output::Table, requires = "list")]
    output: Output,
}

#[derive(Debug, clap::Args)]
pub(super) struct Resume {
    /// What may start again: all, route:NAME or target:NAME
    #[arg(default_value = "all")]
    scope: Scope,
}

/// Pauses a scope, or lists what is paused. 1: that failed; standard error says why.
pub(super) fn pause(args: &Pause) -> ExitCode {
    let gateway = Client::at(&environment());
    conclude(match args.list {
        true => gateway.list(PAUSE).map(|pauses| list(&pauses, args.output)),
        false => throw(&gateway, args),
    })
}

fn throw(gateway: &Client, args: &Pause) -> Result<String, String> {
    let body = json!({ "scope": args.scope, "comment": args.comment });
    let pause = gateway.call(Method::PUT, PAUSE, body.to_string().into_bytes())?;
    Ok(format!(
        "paused: {}; alerts are recorded, and nothing of it starts",
        who(&pause)
    ))
}

fn list(pauses: &Value, output: Output) -> String {
    if output == Output::Json {
        return format!("{pauses:#}");
    }
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
    let table = table(&["SCOPE", "BY", "SINCE", "COMMENT"], &rows);
    table.trim_end().to_owned()
}

/// Lets a scope go on. 1: that failed; standard error says why.
pub(super) fn resume(args: &Resume) -> ExitCode {
    conclude(release(&Client::at(&environment()), &args.scope.to_string()))
}

fn release(gateway: &Client, scope: &str) -> Result<String, String> {
    let before = gateway.list(PAUSE)?;
    let body = json!({ "scope": scope });
    gateway.call(Method::DELETE, PAUSE, body.to_string().into_bytes())?;
    let was_paused = items(&before, "items").iter().any(|pause| pause["scope"] == scope);
    Ok(resumed(scope, was_paused, items(&gateway.list(PAUSE)?, "items")))
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

fn conclude(told: Result<String, String>) -> ExitCode {
    match told {
        Ok(line) => {
            say::line(&line);
            ExitCode::SUCCESS
        }
        Err(problem) => {
            say::error(&problem);
            ExitCode::FAILURE
        }
    }
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
    fn pauses_are_listed_in_a_table_or_as_they_came() {
        let none = json!({"items": [], "next_cursor": null});
        assert_eq!(list(&none, Output::Table), "nothing is paused");
        let pause = json!({"scope": "all", "by": "ada", "since": "2026-01-31T09:00:00Z", "comment": null});
        let pauses = json!({"items": [pause], "next_cursor": null});
        assert_eq!(
            list(&pauses, Output::Table),
            "SCOPE  BY   SINCE                 COMMENT\nall    ada  2026-01-31T09:00:00Z  -"
        );
        let shown: Value = serde_json::from_str(&list(&pauses, Output::Json)).unwrap();
        assert_eq!(shown, pauses);
    }
}
