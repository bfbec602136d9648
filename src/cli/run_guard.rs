//! `healgate run-guard`.

use std::io::{Write, stderr};
use std::path::PathBuf;
use std::process::ExitCode;

use crate::ansible::guard_run;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The run directory
    dir: PathBuf,
}

/// Guards a run until its host has ended.
pub(super) fn run(args: &Args) -> ExitCode {
    match guard_run(&args.dir) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(stderr(), "healgate run-guard: {error}");
            ExitCode::FAILURE
        }
    }
}
