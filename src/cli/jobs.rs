//! `healgate jobs`: lists jobs, shows one, runs them, and acts on them. Asks the gateway for all of it.

mod act;
mod list;
pub(super) mod pick;
mod run;
mod show;

use std::process::ExitCode;

use clap::Subcommand;

pub(super) use list::rows;
pub(super) use show::headline;

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// List jobs, newest first
    List(list::Args),
    /// Show a job: what became of it on which host, its history, what to do next
    Show(show::Args),
    /// Run a playbook of the catalogue by hand
    Run(run::Run),
    /// Run a finished job again, on all hosts or on those that failed
    Rerun(run::Rerun),
    /// Cancel a job that waits, or stop it while it runs
    Cancel(act::Args),
    /// Let a job run that waits for approval
    Approve(act::Args),
    /// Say that a job that waits for approval must not run
    Reject(act::Args),
}

pub(super) fn run(command: &Command) -> ExitCode {
    match command {
        Command::List(args) => list::run(args),
        Command::Show(args) => show::run(args),
        Command::Run(args) => run::run(args),
        Command::Rerun(args) => run::rerun(args),
        Command::Cancel(args) => act::run(args, "cancel"),
        Command::Approve(args) => act::run(args, "approve"),
        Command::Reject(args) => act::run(args, "reject"),
    }
}
