//! `healgate completions`: what a shell needs to complete the command line.

use std::io::Write;
use std::process::ExitCode;

use clap_complete::{Shell, generate};

use crate::cli::manual::visible;

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
    // A reader that has gone away is no reason to fail.
    let _ = std::io::stdout().lock().write_all(&script);
    ExitCode::SUCCESS
}
