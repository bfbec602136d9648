//! `healgate manual`: man pages and completions of the command line, for packages, and the reference of the book. Leaves out
//! what people do not call.

mod reference;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::CommandFactory;
use clap_complete::{Shell, generate_to};

use crate::cli::{Cli, say};

const SHELLS: [Shell; 3] = [Shell::Bash, Shell::Zsh, Shell::Fish];

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Where to; made if it is not there
    dir: PathBuf,
}

/// Writes `man/*.1`, `completions/*` and `reference/*.md`.
pub(super) fn run(args: &Args) -> ExitCode {
    match write(&args.dir) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            say::error(&format_args!("failed to write to {}: {error}\n", args.dir.display()));
            ExitCode::FAILURE
        }
    }
}

fn write(dir: &Path) -> io::Result<()> {
    let (pages, completions, reference) = (dir.join("man"), dir.join("completions"), dir.join("reference"));
    fs::create_dir_all(&pages)?;
    fs::create_dir_all(&completions)?;
    fs::create_dir_all(&reference)?;
    clap_mangen::generate_to(visible(), &pages)?;
    for shell in SHELLS {
        generate_to(shell, &mut visible(), "healgate", &completions)?;
    }
    for (name, text) in reference::pages() {
        fs::write(reference.join(name), text)?;
    }
    Ok(())
}

/// The command line without its hidden commands, which completions would offer.
pub(super) fn visible() -> clap::Command {
    let all = Cli::command();
    let shown: Vec<_> = all
        .get_subcommands()
        .filter(|command| !command.is_hide_set())
        .cloned()
        .collect();
    let mut command = clap::Command::default()
        .name("healgate")
        .propagate_version(true)
        .subcommand_required(true)
        .subcommands(shown);
    command = command.version(env!("CARGO_PKG_VERSION"));
    if let Some(about) = all.get_about() {
        command = command.about(about.clone());
    }
    command
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reference_of_the_book_is_up_to_date() {
        for (name, text) in reference::pages() {
            let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/reference").join(name);
            let committed = fs::read_to_string(path).unwrap_or_default();
            assert!(
                committed == text,
                "docs/reference/{name} is out of date: run `make reference`"
            );
        }
    }

    #[test]
    fn every_command_for_people_has_a_page_and_is_completed_and_no_other() {
        let folder = tempfile::tempdir().unwrap();
        write(folder.path()).unwrap();
        let completions = ["healgate.bash", "_healgate", "healgate.fish"]
            .map(|name| fs::read_to_string(folder.path().join("completions").join(name)).unwrap());
        for command in Cli::command().get_subcommands() {
            let (name, shown) = (command.get_name(), !command.is_hide_set());
            let page = folder.path().join(format!("man/healgate-{name}.1"));
            assert_eq!(page.exists(), shown, "{name}");
            let signs = [
                format!("        healgate,{name})"),
                format!("\n'{name}:"),
                format!("-a \"{name}\""),
            ];
            for (text, sign) in completions.iter().zip(signs) {
                assert_eq!(text.contains(&sign), shown, "{sign}");
            }
        }
        let page = fs::read_to_string(folder.path().join("man/healgate.1")).unwrap();
        assert!(
            page.contains("The remediation gateway between Alertmanager and Ansible"),
            "{page}"
        );
        assert!(page.contains(env!("CARGO_PKG_VERSION")), "{page}");
        assert!(folder.path().join("man/healgate-token-new.1").exists());
    }
}
