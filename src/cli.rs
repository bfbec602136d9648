//! The command line: one file per command.

mod check;
mod client;
mod db;
mod explain;
mod manual;
mod notify;
mod pause;
mod run_guard;
mod run_host;
mod say;
mod serve;
mod table;
mod token;

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
    /// Receive alerts and run playbooks
    Serve(ConfigArgs),
    /// Check healgate.yml and remediations.yml, and print every error with its place
    Check(ConfigArgs),
    /// Say what a webhook's payload would cause, and why, without doing it
    ///
    /// With HEALGATE_URL (and HEALGATE_TOKEN) set, the gateway there is asked, which knows what has happened so far.
    /// Otherwise both files are read, and it is as if nothing had happened yet.
    Explain(explain::Args),
    /// Look after the database: remove what is old, copy it, check it
    #[command(subcommand)]
    Db(db::Command),
    /// Try notifiers
    #[command(subcommand)]
    Notify(notify::Command),
    /// Stop everything, a route or a target from starting, at the gateway of HEALGATE_URL
    Pause(pause::Pause),
    /// Let it go on; what still fires is decided again
    Resume(pause::Resume),
    /// Make access tokens
    #[command(subcommand)]
    Token(token::Command),
    /// Write the man pages and the shells' completions; for packages
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
        Command::Serve(args) => serve::run(&args),
        Command::Check(args) => check::run(&args),
        Command::Explain(args) => explain::run(&args),
        Command::Db(command) => db::run(&command),
        Command::Notify(command) => notify::run(&command),
        Command::Pause(args) => pause::pause(&args),
        Command::Resume(args) => pause::resume(&args),
        Command::Token(command) => token::run(&command),
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
