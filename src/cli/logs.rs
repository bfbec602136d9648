//! `healgate logs`: what a job's run has printed, and prints.

use std::process::ExitCode;

use reqwest::header::HeaderMap;

use crate::cli::client::{self, Access, Client};
use crate::cli::failure::Failure;
use crate::cli::follow::{self, Patience};
use crate::cli::jobs::pick::Pick;
use crate::cli::log_text::LogOut;
use crate::cli::progress::Progress;
use crate::cli::show::{View, aside};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The job's id, the beginning of it, or `last` for the newest job
    #[arg(value_parser = Pick::or_last)]
    job: Pick,
    /// Go on as it is written, until the job runs no more
    #[arg(short, long)]
    follow: bool,
    /// Of which attempt; the last one otherwise
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    attempt: Option<u64>,
    #[command(flatten)]
    patience: Patience,
    #[command(flatten)]
    access: Access,
}

/// Prints a log. It is raw unless it goes to a terminal.
pub(super) fn run(args: &Args) -> ExitCode {
    client::run(&args.access, async |client: Client| {
        let id = args.job.id(&client).await?;
        match args.follow {
            true => follow::log(&client, &id, args.attempt, &args.patience).await,
            false => print(&client, &id, args.attempt).await,
        }
    })
}

async fn print(client: &Client, id: &str, attempt: Option<u64>) -> Result<(), Failure> {
    let query: Vec<_> = attempt
        .map(|number| ("attempt", number.to_string()))
        .into_iter()
        .collect();
    let url = client.address(&["api", "v1", "jobs", id, "log"], &query);
    let (mut response, asked) = client.open(url, HeaderMap::new()).await?;
    let screen = View::now().screen;
    // Where the log itself is on the terminal, it shows how far it is.
    let progress = Progress::bytes(response.content_length(), !screen.is_terminal());
    let (mut out, mut bytes) = (LogOut::new(screen), 0);
    while let Some(chunk) = response.chunk().await.map_err(|error| asked.unanswered(error))? {
        bytes += chunk.len();
        progress.add(chunk.len());
        out.write(&chunk)
            .map_err(|error| format!("failed to print the log: {error}"))?;
        if out.is_gone() {
            return Ok(());
        }
    }
    out.end().map_err(|error| format!("failed to print the log: {error}"))?;
    if bytes == 0 {
        aside("the log is empty");
    }
    Ok(())
}
