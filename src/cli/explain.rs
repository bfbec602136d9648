//! `healgate explain`: what a payload would cause. Asks a gateway, or reads both files; does nothing of what it says.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use serde_json::Value;

use crate::ansible::command::{self, Playbooks};
use crate::cli::client::{self, Access, Client};
use crate::cli::failure::{Failure, conclude};
use crate::cli::serve::catalogue::InForce;
use crate::cli::show::{Format, View, once};
use crate::cli::table::{items, printable, table, text};
use crate::cli::{ConfigArgs, check, environment};
use crate::clock::{Clock, SystemClock};
use crate::config::Settings;
use crate::domain::ids::NotificationId;
use crate::http::api::explain::explain_offline;

/// As for the webhook.
const LARGEST: u64 = 32 << 20;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// A payload as Alertmanager or Grafana posts it; `-` for standard input
    #[arg(value_name = "FILE|-", required_unless_present = "notification")]
    file: Option<PathBuf>,
    /// Instead of a file: what a notification of the past would cause now; asks the gateway for it
    #[arg(long, value_name = "ID", conflicts_with = "file")]
    notification: Option<NotificationId>,
    #[command(flatten)]
    format: Format,
    #[command(flatten)]
    config: ConfigArgs,
    #[command(flatten)]
    access: Access,
}

/// Prints the explanation.
pub(super) fn run(args: &Args) -> ExitCode {
    conclude(explain(args).and_then(|explanation| once(args.format, &explanation, describe)))
}

fn explain(args: &Args) -> Result<Value, Failure> {
    let body = args.file.as_deref().map(read).transpose()?;
    let environment = environment();
    match body {
        Some(body) if !args.access.is_named(&environment) => offline(&args.config, &body),
        body => {
            let client = Client::at(&args.access, &environment)?;
            client::block_on(online(&client, body, args.notification))?
        }
    }
}

/// The gateway is asked, which knows what has happened.
async fn online(
    client: &Client,
    body: Option<Vec<u8>>,
    notification: Option<NotificationId>,
) -> Result<Value, Failure> {
    let body = match (body, notification) {
        (Some(body), _) => body,
        (None, id) => {
            let id = id.map_or_else(String::new, |id| id.to_string());
            let path = ["api", "v1", "notifications", &id];
            client.get(&path, &[]).await?["received"].to_string().into_bytes()
        }
    };
    client.post(&["api", "v1", "explain"], Some(body)).await
}

fn read(file: &Path) -> Result<Vec<u8>, Failure> {
    let source: io::Result<Box<dyn Read>> = if file == Path::new("-") {
        Ok(Box::new(io::stdin().lock()))
    } else {
        File::open(file).map(|file| Box::new(file) as Box<dyn Read>)
    };
    let mut body = Vec::new();
    source
        .and_then(|source| source.take(LARGEST + 1).read_to_end(&mut body))
        .map_err(|error| format!("failed to read {}: {error}", file.display()))?;
    if body.len() as u64 > LARGEST {
        let text = format!("{} is larger than a webhook may be (32 MiB)", file.display());
        return Err(Failure::usage(text));
    }
    Ok(body)
}

fn offline(config: &ConfigArgs, body: &[u8]) -> Result<Value, Failure> {
    let (settings, catalog) = check::load(config).map_err(|diagnostics| diagnostics.to_string())?;
    let playbooks = playbooks(&settings);
    let argv = Arc::new(move |parameters: &_| command::argv(&playbooks, parameters, None));
    let in_force = InForce::new(catalog, argv);
    let explanation = explain_offline(&in_force, body, SystemClock.now()).map_err(|invalid| {
        let lines = invalid
            .errors
            .iter()
            .map(|error| format!("\n  {}: {}", error.field, error.message));
        Failure::usage(format!("this is no webhook's payload:{}", lines.collect::<String>()))
    })?;
    serde_json::to_value(&explanation).map_err(|error| Failure::from(format!("failed to write JSON: {error}")))
}

/// As `serve` would run them; the plugin's place is in no command line.
fn playbooks(settings: &Settings) -> Playbooks {
    Playbooks {
        command: settings.ansible.command.display().to_string(),
        config_file: settings.ansible.config_file.clone(),
        base: settings.base.clone(),
        plugins: PathBuf::new(),
    }
}

/// For each alert a table of the routes, and below it what would be run.
fn describe(explanation: &Value, view: View) -> String {
    let alerts = items(explanation, "items")
        .iter()
        .map(|alert| describe_alert(alert, view));
    let text = alerts.collect::<Vec<_>>().join("\n");
    if text.is_empty() {
        return "the payload has no alerts".to_owned();
    }
    text.trim_end().to_owned()
}

fn describe_alert(alert: &Value, view: View) -> String {
    let routes = items(alert, "routes");
    let rows: Vec<Vec<String>> = routes.iter().map(row).collect();
    let head = ["ROUTE", "MATCHED", "DECISION", "PLAYBOOK", "TARGET", "REASON"];
    let below: String = routes.iter().map(|route| brakes(route) + &what_runs(route)).collect();
    let (name, fingerprint) = (text(alert, "alertname"), text(alert, "fingerprint"));
    let title = format!("{} ({})", printable(&name), printable(&fingerprint));
    if routes.is_empty() {
        return format!("{title}\nno routes\n");
    }
    format!("{title}\n{}{below}", table(view.screen, &head, &rows))
}

/// What holds back the jobs of a route that the alert reaches, or soon may.
fn brakes(route: &Value) -> String {
    if route["decision"].is_null() {
        return String::new();
    }
    let mut told = Vec::new();
    if route["paused"] == true {
        told.push("is paused".to_owned());
    }
    if let Some(state) = route["breaker"].as_str() {
        told.push(format!("has a circuit breaker that is {}", state.replace('_', "-")));
    }
    for cap in items(route, "caps") {
        told.push(format!("has used {} of {}", cap["used"], text(cap, "cap")));
    }
    if let Some(until) = route["cooldown_until"].as_str() {
        told.push(format!("cools down until {until}"));
    }
    let name = printable(&text(route, "route"));
    let lines = told.iter().map(|told| format!("  {name} {}\n", printable(told)));
    lines.collect()
}

fn row(route: &Value) -> Vec<String> {
    let matched = if route["matched"] == true { "yes" } else { "no" };
    vec![
        text(route, "route"),
        matched.to_owned(),
        text(route, "decision"),
        text(route, "playbook"),
        text(route, "target"),
        text(route, "reason"),
    ]
}

/// The command line and the variables, where there are any.
fn what_runs(route: &Value) -> String {
    let argv = items(route, "argv");
    if argv.is_empty() {
        return String::new();
    }
    let words: Vec<String> = argv
        .iter()
        .map(|word| quoted(word.as_str().unwrap_or_default()))
        .collect();
    let (route_name, vars) = (printable(&text(route, "route")), printable(&route["vars"].to_string()));
    format!("  {route_name} would run: {}\n  with: {vars}\n", words.join(" "))
}

/// As a shell takes it.
pub(super) fn quoted(word: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_./=@:,+%".contains(c);
    if !word.is_empty() && word.chars().all(is_plain) {
        return word.to_owned();
    }
    format!("'{}'", printable(word).replace('\'', "'\\''"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_holds_a_route_back_is_told_below_the_table() {
        let route = |name: &str, more: Value| {
            let mut route = json!({
                "route": name, "matched": true, "decision": "tripped", "caps": [], "paused": false, "breaker": null,
                "cooldown_until": null, "reason": "because"
            });
            route.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            route
        };
        let all = json!({
            "paused": true, "breaker": "half_open", "cooldown_until": "2026-01-31T09:05:00Z",
            "caps": [{"cap": "3 per 1h", "used": 1}, {"cap": "10 per 1d", "used": 10}]
        });
        let unreached = json!({"decision": null, "paused": true});
        let routes = json!([route("down", all), route("free", json!({})), route("other", unreached)]);
        let view = View {
            screen: crate::cli::terminal::Screen::default(),
            now: "2026-01-31T09:00:00Z".parse().unwrap(),
        };
        let told = describe(
            &json!({"items": [{"alertname": "Down", "fingerprint": "f1", "routes": routes}]}),
            view,
        );
        let below: Vec<&str> = told.lines().skip(5).collect();
        assert_eq!(
            below,
            [
                "  down is paused",
                "  down has a circuit breaker that is half-open",
                "  down has used 1 of 3 per 1h",
                "  down has used 10 of 10 per 1d",
                "  down cools down until 2026-01-31T09:05:00Z",
            ]
        );
    }
}
