//! Tells whether a command is ansible-playbook's own Python script, and which Python it names. Reads; executes nothing.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use crate::ansible::command::Environment;

/// What pip and distributions write is far shorter.
const MOST_BYTES: u64 = 4096;

/// What every one of them imports.
const MODULE: &str = "ansible.cli.playbook";

/// Where execvp(3) looks without a PATH.
const DEFAULT_PATH: &str = "/bin:/usr/bin";

/// A console script that Python runs.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Script {
    /// As the script sees it in its arguments.
    pub(super) path: String,
    /// The interpreter and its flags.
    pub(super) python: Vec<String>,
}

impl Script {
    /// The error is a sentence.
    pub(super) fn recognise(command: &str, env: &Environment, cwd: &Path) -> Result<Self, String> {
        let path = executable(command, env, cwd).ok_or_else(|| format!("{command} is not to be found"))?;
        let python = read(&cwd.join(&path)).and_then(|text| python_of(&text, env, cwd));
        match python {
            Some(python) => Ok(Self { path, python }),
            None => Err(format!("{path} is not ansible-playbook's own Python script")),
        }
    }
}

/// What execvp(3) would execute in this environment and folder.
pub(crate) fn executable(command: &str, env: &Environment, cwd: &Path) -> Option<String> {
    if command.contains('/') {
        return Some(command.to_owned());
    }
    let folders = env.get("PATH").map_or(DEFAULT_PATH, String::as_str);
    let candidates = folders.split(':').map(|folder| match folder {
        "" => command.to_owned(),
        folder => format!("{}/{command}", folder.trim_end_matches('/')),
    });
    candidates
        .filter(|_| !command.is_empty())
        .find(|candidate| is_executable(&cwd.join(candidate)))
}

fn is_executable(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|found| found.is_file() && found.permissions().mode() & 0o111 != 0)
}

fn read(path: &Path) -> Option<String> {
    let found = fs::metadata(path).ok()?;
    if !found.is_file() || found.len() > MOST_BYTES {
        return None;
    }
    fs::read_to_string(path).ok().filter(|text| text.contains(MODULE))
}

/// The interpreter with its flags, from the first line or two.
fn python_of(text: &str, env: &Environment, cwd: &Path) -> Option<Vec<String>> {
    let mut lines = text.lines();
    let first = lines.next()?.strip_prefix("#!")?.trim();
    // The kernel makes one argument of all that follows the interpreter.
    let (interpreter, argument) = match first.split_once([' ', '\t']) {
        Some((interpreter, argument)) => (interpreter, Some(argument.trim())),
        None => (first, None),
    };
    match (name_of(interpreter), argument) {
        ("env", Some(argument)) => {
            let words = argument.strip_prefix("-S").unwrap_or(argument).split_whitespace();
            let mut words: Vec<String> = words.map(str::to_owned).collect();
            let python = words.first_mut().filter(|python| name_of(python).contains("python"))?;
            *python = executable(python, env, cwd)?;
            Some(words)
        }
        ("sh", None) => long_path(lines.next()?),
        (name, argument) if name.contains("python") => {
            Some([interpreter].into_iter().chain(argument).map(str::to_owned).collect())
        }
        _ => None,
    }
}

/// What pip writes where the interpreter's path is too long for a first line, or has spaces in it.
fn long_path(line: &str) -> Option<Vec<String>> {
    let command = line.strip_prefix("'''exec' ")?.strip_suffix(" \"$0\" \"$@\"")?;
    let (python, flags) = match command.strip_prefix('"') {
        Some(quoted) => quoted.split_once('"')?,
        None => command.split_once(' ').unwrap_or((command, "")),
    };
    let flags = flags.split_whitespace();
    name_of(python)
        .contains("python")
        .then(|| [python].into_iter().chain(flags).map(str::to_owned).collect())
}

fn name_of(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

/// Where that file is for a process in that folder.
pub(super) fn anchored(path: &str, cwd: &Path) -> PathBuf {
    cwd.join(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    const BODY: &str = "import sys\nfrom ansible.cli.playbook import main\nsys.exit(main())\n";

    fn recognised(head: &str) -> Result<Vec<String>, String> {
        let folder = tempfile::tempdir().unwrap();
        let script = folder.path().join("ansible-playbook");
        fs::write(&script, format!("{head}\n{BODY}")).unwrap();
        for name in ["ansible-playbook", "python3"] {
            let file = folder.path().join(name);
            if !file.exists() {
                fs::write(&file, "").unwrap();
            }
            fs::set_permissions(&file, fs::Permissions::from_mode(0o755)).unwrap();
        }
        let env = Environment::from([("PATH".into(), format!("/nowhere:{}", folder.path().display()))]);
        let found = Script::recognise("ansible-playbook", &env, "/".as_ref());
        let found = found.map_err(|error| error.replace(&*script.to_string_lossy(), "SCRIPT"))?;
        assert_eq!(found.path, script.to_string_lossy());
        let shown = |word: String| word.replace(&*folder.path().to_string_lossy(), "DIR");
        Ok(found.python.into_iter().map(shown).collect())
    }

    #[test]
    fn every_form_of_a_first_line_names_its_python() {
        for (head, python) in [
            ("#!/opt/venv/bin/python3.11", &["/opt/venv/bin/python3.11"][..]),
            ("#! /usr/bin/python3 -sP ", &["/usr/bin/python3", "-sP"]),
            ("#!/usr/bin/env python3", &["DIR/python3"]),
            ("#!/usr/bin/env -S python3 -s -E", &["DIR/python3", "-s", "-E"]),
            (
                "#!/bin/sh\n'''exec' \"/a b/python\" -s \"$0\" \"$@\"\n' '''",
                &["/a b/python", "-s"],
            ),
            (
                "#!/bin/sh\n'''exec' /long/python3 \"$0\" \"$@\"\n' '''",
                &["/long/python3"],
            ),
        ] {
            assert_eq!(recognised(head).unwrap(), python, "{head}");
        }
    }

    #[test]
    fn what_is_not_pythons_script_is_not_taken_for_it() {
        let long = format!("#!/usr/bin/python3\n#{}", "x".repeat(4096));
        for head in [
            "#!/bin/sh",
            "#!/bin/sh\nexec python",
            "",
            "#!/usr/bin/env ruby",
            "#!/usr/bin/perl",
            &long,
        ] {
            let error = recognised(head).unwrap_err();
            assert_eq!(error, "SCRIPT is not ansible-playbook's own Python script", "{head}");
        }
    }

    #[test]
    fn a_script_of_something_else_is_not_ansible_playbook() {
        let folder = tempfile::tempdir().unwrap();
        let script = folder.path().join("ansible-playbook");
        fs::write(&script, "#!/usr/bin/python3\nprint('hello')\n").unwrap();
        let script = script.to_string_lossy();
        assert!(Script::recognise(&script, &Environment::new(), "/".as_ref()).is_err());
        let gone = Script::recognise("no-such-command", &Environment::new(), "/".as_ref());
        assert_eq!(gone.unwrap_err(), "no-such-command is not to be found");
    }
}
