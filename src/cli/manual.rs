//! `healgate manual`: man pages and completions of the command line, for packages. Leaves out what people do not call.

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

/// Writes `man/*.1` and `completions/*`.
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
    let (pages, completions) = (dir.join("man"), dir.join("completions"));
    fs::create_dir_all(&pages)?;
    fs::create_dir_all(&completions)?;
    clap_mangen::generate_to(visible(), &pages)?;
    for shell in SHELLS {
        generate_to(shell, &mut visible(), "healgate", &completions)?;
    }
    Ok(())
}

/// The command line without its hidden commands, which completions would offer.
fn visible() -> clap::Command {
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
    fn every_command_for_people_has_a_page_and_is_completed_and_no_other() {
        let folder = tempfile::tempdir().unwrap();
        write(folder.path()).unwrap();
        let completions = ["healgate.bash", "_healgate", "healgate.fish"]
            .map(|name| fs::read_to_string(folder.path().join("completions").join(name)).unwrap());
        for command in Cli::command().get_subcommands() {
            let (name, shown) = (command.get_name(), !command.is_hide_set());
            let page = folder.path().join(format!("man/healgate-{name}.1"));
            assert_eq!(page.exists(), shown, "{name}");
            for text in &completions {
                assert_eq!(text.contains(name), shown, "{name}");
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
