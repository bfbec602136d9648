//! Parses the command line and hands over to the command.

use std::process::ExitCode;

use clap::Parser;
use healgate::cli::{Cli, run};

fn main() -> ExitCode {
    run(Cli::parse())
}
