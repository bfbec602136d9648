//! `healgate jobs run` and `jobs rerun`: make a job, and follow it if that is wanted.

use std::fs;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::ValueEnum;
use serde_json::{Map, Value, json};

use crate::cli::client::{self, Access, Client};
use crate::cli::failure::Failure;
use crate::cli::follow::{self, Patience};
use crate::cli::jobs::headline;
use crate::cli::jobs::pick::Pick;
use crate::cli::show::{Format, View, aside, once};
use crate::cli::table::{items, printable, text};

#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Run {
    /// Its name in remediations.yml
    playbook: String,
    /// A variable, as a text; it replaces the playbook's own of that name
    #[arg(long = "var", value_name = "NAME=VALUE", value_parser = pair)]
    vars: Vec<(String, String)>,
    /// Variables of any kind: a file with a JSON object
    #[arg(long, value_name = "FILE")]
    vars_file: Option<PathBuf>,
    /// Hosts and groups, separated by commas, instead of the playbook's own limit
    #[arg(long, value_name = "HOSTS")]
    limit: Option<String>,
    /// Only say what would change
    #[arg(long)]
    check: bool,
    /// A label of the alert that the playbook's templates see
    #[arg(long = "label", value_name = "NAME=VALUE", value_parser = pair)]
    labels: Vec<(String, String)>,
    /// An annotation of that alert
    #[arg(long = "annotation", value_name = "NAME=VALUE", value_parser = pair)]
    annotations: Vec<(String, String)>,
    #[command(flatten)]
    after: After,
}

#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Rerun {
    /// Its id, or the beginning of it
    #[arg(value_parser = Pick::parse)]
    job: Pick,
    /// On which hosts
    #[arg(long, value_enum, default_value_t = Hosts::All)]
    hosts: Hosts,
    /// Only say what would change
    #[arg(long)]
    check: bool,
    /// How much Ansible says: 0, 1 or 2
    #[arg(long, value_name = "LEVEL", value_parser = clap::value_parser!(u8).range(0..=2))]
    verbosity: Option<u8>,
    #[command(flatten)]
    after: After,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Hosts {
    /// As the playbook says
    All,
    /// Those that failed or could not be reached
    Failed,
}

/// What happens once the job is there.
#[derive(Debug, clap::Args)]
struct After {
    /// Print the log as it comes, and succeed only if the job does
    #[arg(short, long, conflicts_with = "output")]
    follow: bool,
    #[command(flatten)]
    patience: Patience,
    #[command(flatten)]
    format: Format,
    #[command(flatten)]
    access: Access,
}

fn pair(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        Some(_) | None => Err("write NAME=VALUE".to_owned()),
    }
}

pub(super) fn run(args: &Run) -> ExitCode {
    client::run(&args.after.access, async |client: Client| {
        let body = body(args)?.to_string().into_bytes();
        let job = client.post(&["api", "v1", "jobs"], Some(body)).await?;
        go_on(&client, &job, &args.after).await
    })
}

pub(super) fn rerun(args: &Rerun) -> ExitCode {
    client::run(&args.after.access, async |client: Client| {
        let id = args.job.id(&client).await?;
        let hosts = match args.hosts {
            Hosts::All => "all",
            Hosts::Failed => "failed",
        };
        let mut body = json!({ "hosts": hosts, "check": args.check });
        if let Some(verbosity) = args.verbosity {
            body["verbosity"] = verbosity.into();
        }
        let body = body.to_string().into_bytes();
        let job = client.post(&["api", "v1", "jobs", &id, "rerun"], Some(body)).await?;
        go_on(&client, &job, &args.after).await
    })
}

fn body(args: &Run) -> Result<Value, Failure> {
    let mut vars = match &args.vars_file {
        Some(file) => read_vars(file)?,
        None => Map::new(),
    };
    vars.extend(texts(&args.vars));
    let mut body = json!({ "playbook": args.playbook, "vars": vars, "check": args.check });
    if let Some(limit) = &args.limit {
        body["limit"] = limit.as_str().into();
    }
    if !args.labels.is_empty() || !args.annotations.is_empty() {
        body["alert"] = json!({ "labels": texts(&args.labels), "annotations": texts(&args.annotations) });
    }
    Ok(body)
}

fn texts(pairs: &[(String, String)]) -> Map<String, Value> {
    pairs
        .iter()
        .map(|(name, value)| (name.clone(), value.as_str().into()))
        .collect()
}

fn read_vars(file: &PathBuf) -> Result<Map<String, Value>, Failure> {
    let text = fs::read_to_string(file).map_err(|error| format!("failed to read {}: {error}", file.display()))?;
    serde_json::from_str(&text)
        .map_err(|error| Failure::usage(format!("{} is no JSON object of variables: {error}", file.display())))
}

/// Tells of the new job, or follows it.
async fn go_on(client: &Client, job: &Value, after: &After) -> Result<(), Failure> {
    if !after.follow {
        return once(after.format, job, told);
    }
    // The log alone is on standard output.
    aside(&told(job, View::now()));
    follow::to_the_end(client, &text(job, "id"), &after.patience).await
}

fn told(job: &Value, view: View) -> String {
    let mut told = format!("job {}: {}", printable(&text(job, "id")), headline(job, view));
    for change in items(job, "changes") {
        let name = printable(&text(change, "parameter"));
        if name == "playbook_sha256" {
            told.push_str("\n  the playbook's file was edited meanwhile");
            continue;
        }
        let (before, after) = (
            printable(&change["before"].to_string()),
            printable(&change["after"].to_string()),
        );
        told.push_str(&format!(
            "\n  the catalogue has another {name} now: {after} (was {before})"
        ));
    }
    told
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pair_is_cut_at_its_first_sign() {
        assert_eq!(pair("a=b=c"), Ok(("a".to_owned(), "b=c".to_owned())));
        assert_eq!(pair("a="), Ok(("a".to_owned(), String::new())));
        assert!(pair("=b").is_err() && pair("a").is_err());
    }
}
