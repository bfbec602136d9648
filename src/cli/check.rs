//! `healgate check`: everything that is wrong in healgate.yml and remediations.yml. Starts nothing.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use crate::catalog::{Catalog, Defaults, Peers};
use crate::cli::failure::conclude;
use crate::cli::{ConfigArgs, environment, say};
use crate::config::{Diagnostics, Settings};

/// Reports on both files: errors and warnings on standard error, the summary on standard output.
pub(super) fn run(args: &ConfigArgs) -> ExitCode {
    match load(args) {
        Ok((settings, catalog)) => {
            for warning in settings.warnings.iter().chain(catalog.warnings()) {
                say::error(&format_args!("{warning}\n"));
            }
            if let Some(warning) = missing_ansible(&settings.ansible.command, environment().get("PATH").map(OsStr::new))
            {
                say::error(&format_args!("{}: warning: {warning}\n", args.config.display()));
            }
            conclude(say::line(&summary(&settings, &catalog)).map(drop))
        }
        Err(diagnostics) => {
            say::error(&diagnostics);
            ExitCode::FAILURE
        }
    }
}

/// Reads both files. The error holds everything that is wrong in either: where the settings are wrong, the catalogue
/// is still read beside them with the defaults.
pub(super) fn load(args: &ConfigArgs) -> Result<(Settings, Catalog), Diagnostics> {
    load_with(&args.config, &environment().into_iter().collect::<Vec<_>>())
}

fn load_with(config: &Path, environment: &[(String, String)]) -> Result<(Settings, Catalog), Diagnostics> {
    let mut errors = match Settings::load(config, environment) {
        Ok(settings) => {
            let catalog = Catalog::load(&settings.remediations, &Defaults::from(&settings));
            return match catalog {
                Ok(catalog) => Ok((settings, catalog)),
                Err(mut errors) => {
                    errors.extend(settings.warnings);
                    Err(errors)
                }
            };
        }
        Err(errors) => errors,
    };
    if let Some((file, defaults)) = beside(config)
        && let Err(more) = Catalog::load(&file, &defaults)
    {
        errors.extend(more);
    }
    Err(errors)
}

/// The catalogue that the defaults mean, if it is there.
fn beside(config: &Path) -> Option<(PathBuf, Defaults)> {
    let base = std::path::absolute(config).ok()?.parent()?.to_owned();
    let file = config.parent()?.join("remediations.yml");
    // These are settings, and the settings could not be read: any will do.
    let defaults = Defaults {
        base,
        inventory: "localhost,".to_owned(),
        notifiers: None,
        peers: Peers {
            alertmanagers: true,
            prometheus: true,
        },
    };
    file.is_file().then_some((file, defaults))
}

/// A sentence if there is no such program; only a warning, as a check may run where Ansible is not installed.
fn missing_ansible(command: &Path, search_path: Option<&OsStr>) -> Option<String> {
    let is_program =
        |path: &Path| fs::metadata(path).is_ok_and(|meta| meta.is_file() && meta.permissions().mode() & 0o111 != 0);
    if command.is_absolute() {
        let problem = format!("`ansible.command` names no program: {}", command.display());
        return (!is_program(command)).then_some(problem);
    }
    let found =
        search_path.is_some_and(|path| std::env::split_paths(path).any(|folder| is_program(&folder.join(command))));
    (!found).then(|| format!("`ansible.command` names {}, which is not on PATH", command.display()))
}

fn summary(settings: &Settings, catalog: &Catalog) -> String {
    let count = |number: usize, thing: &str| format!("{number} {thing}{}", if number == 1 { "" } else { "s" });
    format!(
        "{} and {} are fine: {}, {}",
        settings.file.display(),
        settings.remediations.display(),
        count(catalog.playbooks().count(), "playbook"),
        count(catalog.routes().len(), "route"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn project(settings: &str, remediations: &str) -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in [
            ("healgate.yml", settings),
            ("remediations.yml", remediations),
            ("play.yml", "[]"),
            ("hosts.yml", "{}"),
        ] {
            fs::write(folder.path().join(name), text).unwrap();
        }
        let config = folder.path().join("healgate.yml");
        (folder, config)
    }

    #[test]
    fn what_is_fine_is_summed_up() {
        let (folder, config) = project(
            "ansible: {inventory: hosts.yml}",
            "playbooks: {p: {path: play.yml}}\nroutes: [{name: r, matchers: [a=b], playbook: p}, {name: s, matchers: [a=c], playbook: p}]",
        );
        let (settings, catalog) = load_with(&config, &[]).unwrap();
        let summary = summary(&settings, &catalog).replace(&format!("{}/", folder.path().display()), "");
        assert_eq!(
            summary,
            "healgate.yml and remediations.yml are fine: 1 playbook, 2 routes"
        );
    }

    #[test]
    fn the_errors_of_both_files_are_reported() {
        let (folder, config) = project("servr: {}", "playbooks: {p: {path: gone.yml}}");
        let errors = load_with(&config, &[]).unwrap_err().to_string();
        insta::assert_snapshot!(errors.replace(&format!("{}/", folder.path().display()), ""), @r#"
    healgate.yml:1:1: unknown key `servr` (did you mean `server`?); allowed here: server, database, data_dir, remediations, ansible, worker, auth, retention, notifiers, alertmanagers, prometheus
      servr: {}
      ^

    remediations.yml:1:23: `playbooks.p.path` names a file that does not exist: gone.yml
      playbooks: {p: {path: gone.yml}}
                            ^
    "#);
    }

    #[test]
    fn routes_tell_notifiers_that_healgate_yml_has() {
        let remediations =
            "playbooks: {p: {path: play.yml}}\nroutes: [{name: r, matchers: [a=b], playbook: p, notify: {to: [ops]}}]";
        let settings = |more: &str| format!("ansible: {{inventory: hosts.yml}}\n{more}");
        let (_folder, config) = project(
            &settings("notifiers: [{name: ops, slack: {url: 'https://x'}}]"),
            remediations,
        );
        let (_, catalog) = load_with(&config, &[]).unwrap();
        assert_eq!(catalog.routes()[0].notify.as_ref().unwrap().to, ["ops"]);
        let (_folder, config) = project(&settings(""), remediations);
        let errors = load_with(&config, &[]).unwrap_err().to_string();
        assert!(
            errors.contains("names the notifier \"ops\", which is not under `notifiers`"),
            "{errors}"
        );
        // Settings that cannot be read say nothing about notifiers.
        let (_folder, config) = project("servr: {}", remediations);
        let errors = load_with(&config, &[]).unwrap_err().to_string();
        assert!(!errors.contains("notifier \"ops\""), "{errors}");
    }

    #[test]
    fn ansible_is_looked_for_as_a_shell_would() {
        let path = Some(OsStr::new("/nowhere:/usr/bin:/bin"));
        assert_eq!(missing_ansible(Path::new("sh"), path), None);
        assert_eq!(missing_ansible(Path::new("/bin/sh"), None), None);
        assert!(missing_ansible(Path::new("no-such-program"), path).is_some());
        assert!(missing_ansible(Path::new("/etc/passwd"), path).is_some());
    }
}
