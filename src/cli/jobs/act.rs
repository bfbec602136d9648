//! `healgate jobs cancel`, `approve` and `reject`: what a person does with a job that exists.

use std::process::ExitCode;

use serde_json::{Value, json};

use crate::cli::client::{self, Access, Client};
use crate::cli::jobs::headline;
use crate::cli::jobs::pick::Pick;
use crate::cli::show::{Format, View, once};
use crate::cli::table::{printable, text};

#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Args {
    /// Its id, or the beginning of it
    #[arg(value_parser = Pick::parse)]
    job: Pick,
    /// For those who read the job's history
    #[arg(long, value_name = "TEXT")]
    comment: Option<String>,
    #[command(flatten)]
    format: Format,
    #[command(flatten)]
    access: Access,
}

/// `action` is the last part of its path in the API.
pub(super) fn run(args: &Args, action: &str) -> ExitCode {
    client::run(&args.access, async |client: Client| {
        let id = args.job.id(&client).await?;
        let body = json!({ "comment": args.comment }).to_string().into_bytes();
        let job = client.post(&["api", "v1", "jobs", &id, action], Some(body)).await?;
        once(args.format, &job, |job, view| told(job, view, action))
    })
}

fn told(job: &Value, view: View, action: &str) -> String {
    let id = printable(&text(job, "id"));
    let more = match (action, job["finished_at"].is_null()) {
        ("cancel", true) => format!("\nit is being stopped; `healgate jobs show {id} --watch` shows when that is done"),
        _ => String::new(),
    };
    format!("job {id}: {}{more}", headline(job, view))
}
