//! `healgate pause` and `healgate resume`: the kill switch of a gateway, thrown from the terminal.

use std::process::ExitCode;

use reqwest::Method;
use serde_json::json;

use crate::cli::client::Client;
use crate::cli::table::printable;
use crate::cli::{environment, say};
use crate::domain::pause::Scope;

#[derive(Debug, clap::Args)]
pub(super) struct Pause {
    /// What must not start any more: all, route:NAME or target:NAME
    #[arg(default_value = "all")]
    scope: Scope,
    /// For those who wonder why nothing runs
    #[arg(long, value_name = "TEXT")]
    comment: Option<String>,
}

#[derive(Debug, clap::Args)]
pub(super) struct Resume {
    /// What may start again: all, route:NAME or target:NAME
    #[arg(default_value = "all")]
    scope: Scope,
}

/// Pauses a scope. 1: that failed; standard error says why.
pub(super) fn pause(args: &Pause) -> ExitCode {
    let body = json!({ "scope": args.scope, "comment": args.comment });
    let gateway = Client::at(&environment());
    let paused = gateway.call(Method::PUT, "/api/v1/pause", body.to_string().into_bytes());
    conclude(paused.map(|pause| {
        let text = |name: &str| printable(pause[name].as_str().unwrap_or_default());
        let (scope, by, since) = (text("scope"), text("by"), text("since"));
        format!("paused: {scope}, by {by} since {since}; alerts are recorded, and nothing of it starts")
    }))
}

/// Lets a scope go on. 1: that failed; standard error says why.
pub(super) fn resume(args: &Resume) -> ExitCode {
    let body = json!({ "scope": args.scope });
    let gateway = Client::at(&environment());
    let resumed = gateway.call(Method::DELETE, "/api/v1/pause", body.to_string().into_bytes());
    let scope = printable(&args.scope.to_string());
    conclude(resumed.map(|_| format!("resumed: {scope}; what still fires is decided again")))
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
