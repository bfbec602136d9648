//! `healgate jobs show`: one job, with what became of it on which host, its history, and what to do next.

use std::process::ExitCode;

use serde_json::{Value, json};

use crate::cli::client::{self, Access, Client};
use crate::cli::failure::Failure;
use crate::cli::jobs::pick::Pick;
use crate::cli::show::{View, Watched, Watching};
use crate::cli::table::{Output, items, printable, table, text};
use crate::cli::when::{moment, time, took};

/// How many entries of a job's history, and of its tasks, are looked at.
const MOST: usize = 2_000;

/// Members of `host_stats`, in the order of Ansible's recap.
const RECAP: [&str; 7] = [
    "ok",
    "changed",
    "unreachable",
    "failed",
    "skipped",
    "rescued",
    "ignored",
];

#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Args {
    /// Its id, the beginning of it, or `last` for the newest job
    #[arg(value_parser = Pick::or_last)]
    job: Pick,
    #[command(flatten)]
    how: Watched,
    #[command(flatten)]
    access: Access,
}

pub(super) fn run(args: &Args) -> ExitCode {
    client::run(&args.access, async |client: Client| {
        let id = args.job.id(&client).await?;
        let output = args.how.format.output;
        let watching = Watching {
            client: &client,
            how: args.how,
            ask: async || ask(&client, &id, output).await,
            render,
            is_over: |answer: &Value| !job_in(answer)["finished_at"].is_null(),
        };
        watching.show().await
    })
}

/// The job as the API has it; for people with its history, and with the tasks that went wrong.
async fn ask(client: &Client, id: &str, output: Output) -> Result<Value, Failure> {
    let job = client.get(&["api", "v1", "jobs", id], &[]).await?;
    if output == Output::Json {
        return Ok(job);
    }
    let events = client.list(&["api", "v1", "jobs", id, "events"], &[], MOST).await?;
    let mut tasks = client.list(&["api", "v1", "jobs", id, "tasks"], &[], MOST).await?;
    if let Some(tasks) = tasks["items"].as_array_mut() {
        tasks.retain(|task| matches!(task["status"].as_str(), Some("failed" | "unreachable")));
    }
    let is_cut = !tasks["next_cursor"].is_null();
    Ok(json!({ "job": job, "events": events["items"], "wrong": tasks["items"], "is_cut": is_cut }))
}

fn job_in(answer: &Value) -> &Value {
    answer.get("job").unwrap_or(answer)
}

fn render(answer: &Value, view: View) -> String {
    let job = job_in(answer);
    let mut told = format!("{}\n\n{}", headline(job, view), facts(job, view));
    if let Some(attempts) = attempts(job, view) {
        told.push_str(&format!("\n{attempts}"));
    }
    if let Some(hosts) = hosts(job, view) {
        told.push_str(&format!("\n{hosts}"));
    }
    for task in items(answer, "wrong") {
        let line = |name: &str| printable(&text(task, name));
        told.push_str(&format!(
            "\n{} on {}: {} ({})\n  {}\n",
            view.screen.word(&text(task, "status")),
            line("host"),
            line("task"),
            line("path"),
            indented(&text(task, "message"))
        ));
    }
    if answer["is_cut"] == true {
        told.push_str(&format!(
            "\nonly the first {MOST} results were looked at; the log has all\n"
        ));
    }
    let events = items(answer, "events");
    if !events.is_empty() {
        let row = |event: &Value| {
            vec![
                time(event, "at").map_or_else(String::new, crate::cli::when::second),
                text(event, "event"),
                text(event, "by"),
                text(event, "message"),
            ]
        };
        let rows: Vec<_> = events.iter().map(row).collect();
        told.push_str(&format!(
            "\n{}",
            table(view.screen, &["AT", "EVENT", "BY", "WHAT"], &rows)
        ));
    }
    told + &advice(job)
}

/// Lines of a text from outside, each made harmless.
fn indented(text: &str) -> String {
    let lines: Vec<String> = text.lines().map(printable).collect();
    lines.join("\n  ")
}

/// What the job is and how it stands, in a sentence.
pub(in crate::cli) fn headline(job: &Value, view: View) -> String {
    let word = |name: &str| printable(&text(job, name));
    let what = format!("{} on {}", word("playbook"), word("target"));
    let status = view.screen.word(&text(job, "status"));
    let told = match job["reason"].as_str() {
        Some(reason) => format!("{what}: {status}, {}", said(reason)),
        None => format!("{what}: {status}"),
    };
    let failed = troubled(job);
    let on = match failed.as_slice() {
        [] => String::new(),
        hosts => format!(" on {}", hosts.join(", ")),
    };
    let late = match job["healed_late"].as_bool() {
        Some(true) => "; the alert resolved later",
        _ => "",
    };
    format!("{told}{on}{late}")
}

/// The reason in words, with its name where the words are others.
fn said(reason: &str) -> String {
    let words = match reason {
        "healed" => "the alert resolved",
        "unverified" => "it ran well, and there was nothing to verify",
        "not_healed" => "it ran well, and the alert still fires",
        "hosts_failed" => "a task failed",
        "hosts_unreachable" => "hosts could not be reached",
        "no_hosts_matched" => "no host was left to run on",
        "playbook_error" => "Ansible could not make sense of the playbook",
        "start_failed" => "it could not be started",
        "timed_out" => "it took too long, and was stopped",
        "lost" => "its run vanished",
        "expired" => "it waited too long",
        "resolved_meanwhile" => "the alert resolved before",
        "silenced" => "a person has silenced the alert",
        "precondition_failed" => "its precondition did not hold",
        other => return printable(other),
    };
    format!("{words} ({reason})")
}

/// The hosts on which the last attempt failed, or which it did not reach.
fn troubled(job: &Value) -> Vec<String> {
    let Some(stats) = items(job, "attempts")
        .last()
        .and_then(|last| last["host_stats"].as_object())
    else {
        return Vec::new();
    };
    let is_troubled = |of: &Value| {
        ["failed", "unreachable"]
            .iter()
            .any(|name| of[*name].as_u64().unwrap_or(0) > 0)
    };
    let hosts = stats.iter().filter(|(_, of)| is_troubled(of));
    hosts.map(|(host, _)| printable(host)).collect()
}

fn facts(job: &Value, view: View) -> String {
    let alert = &job["alert"];
    let labels = alert["labels"].as_object().map(|labels| {
        let pairs = labels.iter().map(|(name, value)| format!("{name}={value}"));
        pairs.collect::<Vec<_>>().join(" ")
    });
    let annotation = |name: &str| alert["annotations"][name].as_str().map(str::to_owned);
    let parameters = &job["parameters"];
    let vars = parameters["vars"].as_object().filter(|vars| !vars.is_empty());
    let check = parameters["check"].as_bool().filter(|check| *check);
    let all = [
        ("job", Some(text(job, "id"))),
        (
            "came from",
            Some(format!("{} by {}", text(job, "trigger"), text(job, "triggered_by"))),
        ),
        ("route", job["route"].as_str().map(str::to_owned)),
        ("repeats", job["rerun_of"].as_str().map(str::to_owned)),
        ("follows", job["follows"].as_str().map(str::to_owned)),
        ("alert", labels),
        ("summary", annotation("summary")),
        ("runbook", annotation("runbook_url")),
        ("dashboard", annotation("dashboard")),
        (
            "source",
            alert["generator_url"]
                .as_str()
                .filter(|url| !url.is_empty())
                .map(str::to_owned),
        ),
        ("limit", parameters["limit"].as_str().map(str::to_owned)),
        ("vars", vars.map(|vars| Value::Object(vars.clone()).to_string())),
        ("check mode", check.map(|_| "nothing is changed".to_owned())),
        ("created", moment(job, "created_at", view.now)),
        ("started", moment(job, "started_at", view.now)),
        ("finished", moment(job, "finished_at", view.now)),
        ("healed", moment(job, "healed_at", view.now)),
    ];
    let lines = all
        .into_iter()
        .filter_map(|(name, value)| Some(format!("{:<11} {}\n", format!("{name}:"), printable(&value?))));
    lines.collect()
}

fn attempts(job: &Value, view: View) -> Option<String> {
    let attempts = items(job, "attempts");
    let row = |attempt: &Value| {
        vec![
            attempt["number"].to_string(),
            attempt["outcome"].as_str().unwrap_or("running").to_owned(),
            took(attempt, ("started_at", "finished_at"), view.now),
            attempt["exit_code"]
                .as_i64()
                .map_or_else(|| "-".to_owned(), |code| code.to_string()),
            if attempt["warm"] == true { "warm" } else { "cold" }.to_owned(),
            format!("{} bytes", attempt["log_bytes"]),
            text(attempt, "message"),
        ]
    };
    let rows: Vec<_> = attempts.iter().map(row).collect();
    let head = ["ATTEMPT", "OUTCOME", "TOOK", "EXIT", "START", "LOG", "MESSAGE"];
    (!rows.is_empty()).then(|| table(view.screen, &head, &rows))
}

/// The recap of the last attempt, with troubled hosts first.
fn hosts(job: &Value, view: View) -> Option<String> {
    let stats = items(job, "attempts").last()?["host_stats"].as_object()?;
    let troubled = troubled(job);
    let mut hosts: Vec<_> = stats.iter().collect();
    hosts.sort_by_key(|(host, _)| !troubled.contains(&printable(host)));
    let row = |(host, counts): &(&String, &Value)| {
        let counts = RECAP.iter().map(|name| counts[*name].to_string());
        std::iter::once((*host).clone()).chain(counts).collect()
    };
    let rows: Vec<Vec<String>> = hosts.iter().map(row).collect();
    let head = [
        "HOST",
        "OK",
        "CHANGED",
        "UNREACHABLE",
        "FAILED",
        "SKIPPED",
        "RESCUED",
        "IGNORED",
    ];
    (!rows.is_empty()).then(|| table(view.screen, &head, &rows))
}

/// What to do next.
fn advice(job: &Value) -> String {
    let id = printable(&text(job, "id"));
    let has_log = !items(job, "attempts").is_empty();
    let next: &[&str] = match job["status"].as_str() {
        Some("awaiting_approval") => &["jobs approve ID", "jobs reject ID --comment WHY"],
        Some("queued" | "running") => &["logs ID -f", "jobs cancel ID"],
        Some("verifying") => &["jobs show ID --watch", "logs ID"],
        Some("failed") if !troubled(job).is_empty() => &["logs ID", "jobs rerun ID --hosts failed --follow"],
        Some("failed") if has_log => &["logs ID", "jobs rerun ID --follow"],
        Some("failed" | "canceled") => &["jobs rerun ID --follow"],
        Some(_) | None => &["logs ID"],
    };
    let lines = next
        .iter()
        .map(|next| format!("  healgate {}\n", next.replace("ID", &id)));
    format!("\nnext:\n{}", lines.collect::<String>())
}
