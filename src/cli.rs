//! The command line: one file per command.

mod alerts;
mod check;
mod client;
mod completions;
mod db;
mod doctor;
mod explain;
mod failure;
mod follow;
mod init;
mod jobs;
mod log_text;
mod logs;
mod manual;
mod notify;
mod pause;
mod progress;
mod run_guard;
mod run_host;
mod say;
mod serve;
mod show;
mod stats;
mod status;
mod table;
mod terminal;
mod token;
mod when;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// The remediation gateway between Alertmanager and Ansible.
#[derive(Debug, Parser)]
#[command(version, about, propagate_version = true)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Write a folder to start from: settings, a catalogue, an inventory, a playbook, tokens
    Init(init::Args),
    /// Receive alerts and run playbooks
    Serve(ConfigArgs),
    /// Check healgate.yml and remediations.yml, and print every error with its place
    Check(ConfigArgs),
    /// Say what goes on: what runs, waits, is held back, is paused, and fires
    Status(status::Args),
    /// List jobs, run playbooks by hand or again, cancel, approve
    #[command(subcommand)]
    Jobs(jobs::Command),
    /// Print the log of a job
    Logs(logs::Args),
    /// List alerts, or tell the story of one
    #[command(subcommand)]
    Alerts(alerts::Command),
    /// Count what jobs came to
    Stats(stats::Args),
    /// Look for what usually goes wrong: Ansible, playbooks, hosts, files, disk, clock, Alertmanager
    Doctor(doctor::Args),
    /// Say what a webhook's payload would cause, and why, without doing it
    ///
    /// With --url or HEALGATE_URL, the gateway there is asked, which knows what has happened so far.
    /// Otherwise both files are read, and it is as if nothing had happened yet.
    Explain(explain::Args),
    /// Look after the database: remove what is old, copy it, check it
    #[command(subcommand)]
    Db(db::Command),
    /// Try notifiers
    #[command(subcommand)]
    Notify(notify::Command),
    /// Stop everything, a route or a target from starting
    Pause(pause::Pause),
    /// Let it go on; what still fires is decided again
    Resume(pause::Resume),
    /// Make access tokens
    #[command(subcommand)]
    Token(token::Command),
    /// Print what bash, zsh or fish needs to complete this command line
    Completions(completions::Args),
    /// Write the man pages, the shells' completions, and the reference of the book
    #[command(hide = true)]
    Manual(manual::Args),
    /// Run one playbook from its run directory; started by `serve`
    #[command(hide = true)]
    RunHost(run_host::Args),
    /// End what a run has left when its host is killed; started by `run-host`
    #[command(hide = true)]
    RunGuard(run_guard::Args),
}

/// Where the settings are.
#[derive(Clone, Debug, clap::Args)]
pub struct ConfigArgs {
    /// The settings file
    #[arg(long, value_name = "FILE", default_value = "healgate.yml")]
    pub config: PathBuf,
}

/// Runs the command and answers with the process's exit code.
pub fn run(cli: Cli) -> ExitCode {
    match cli.command {
        Command::Init(args) => init::run(&args),
        Command::Serve(args) => serve::run(&args),
        Command::Check(args) => check::run(&args),
        Command::Status(args) => status::run(&args),
        Command::Jobs(command) => jobs::run(&command),
        Command::Logs(args) => logs::run(&args),
        Command::Alerts(command) => alerts::run(&command),
        Command::Stats(args) => stats::run(&args),
        Command::Doctor(args) => doctor::run(&args),
        Command::Explain(args) => explain::run(&args),
        Command::Db(command) => db::run(&command),
        Command::Notify(command) => notify::run(&command),
        Command::Pause(args) => pause::pause(&args),
        Command::Resume(args) => pause::resume(&args),
        Command::Token(command) => token::run(&command),
        Command::Completions(args) => completions::run(&args),
        Command::Manual(args) => manual::run(&args),
        Command::RunHost(args) => run_host::run(&args),
        Command::RunGuard(args) => run_guard::run(&args),
    }
}

/// How this machine calls itself.
fn hostname() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}

/// The process's environment, read once here. Names and values that are not text are left out: nothing of ours can be
/// in them.
#[expect(clippy::disallowed_methods, reason = "the one place that reads the environment")]
fn environment() -> BTreeMap<String, String> {
    std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .collect()
}
