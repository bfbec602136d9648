//! `healgate completions`: what a shell needs to complete the command line.

use std::process::ExitCode;

use clap_complete::{Shell, generate};

use crate::cli::failure::conclude;
use crate::cli::manual::visible;
use crate::cli::say;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// For which shell
    #[arg(value_parser = clap::builder::PossibleValuesParser::new(["bash", "zsh", "fish"]))]
    shell: String,
}

/// Prints the script; docs/command-line.md says where each shell wants it.
pub(super) fn run(args: &Args) -> ExitCode {
    let shell = match args.shell.as_str() {
        "bash" => Shell::Bash,
        "zsh" => Shell::Zsh,
        _ => Shell::Fish,
    };
    let mut script = Vec::new();
    generate(shell, &mut visible(), "healgate", &mut script);
    conclude(say::write(&script).map(drop))
}
