//! `healgate run-host`.

use std::ffi::OsString;
use std::io::{Write, stderr};
use std::path::PathBuf;
use std::process::ExitCode;

use crate::ansible::{Summons, exec_playbook, run_host};
use crate::clock::SystemClock;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The run directory
    #[arg(required_unless_present = "exec")]
    dir: Option<PathBuf>,
    /// Must be the one in the directory's run.json
    #[arg(long, default_value = "")]
    ticket: String,
    /// Wake the play in waiting that has this pid, by way of standard input
    #[arg(long, value_name = "PLAY")]
    warm: Option<i32>,
    /// Why there is none
    #[arg(long, default_value = "")]
    cold_because: String,
    /// Become the playbook, as a child of the host with that pid
    #[arg(long, value_name = "HOST", requires = "command")]
    exec: Option<i32>,
    /// The playbook's command
    #[arg(last = true)]
    command: Vec<OsString>,
}

/// Runs a playbook from its directory, or becomes it.
pub(super) fn run(args: &Args) -> ExitCode {
    if let Some(host) = args.exec {
        return exec_playbook(host, &args.command);
    }
    let Some(dir) = &args.dir else {
        return ExitCode::from(2);
    };
    let summons = Summons {
        dir,
        ticket: &args.ticket,
        play: args.warm,
        cold_because: &args.cold_because,
    };
    match run_host(&summons, &SystemClock) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(stderr(), "healgate run-host: {error}");
            ExitCode::FAILURE
        }
    }
}
