//! The command line as a person or a script meets it: a process with arguments, an environment and an end.

use std::path::Path;

use assert_cmd::Command;
use regex::Regex;
use serde_json::Value;

use super::gateway::Gateway;

/// How a command ended and what it said.
#[derive(Debug)]
pub(crate) struct Said {
    pub(crate) code: i32,
    pub(crate) out: String,
    pub(crate) err: String,
    pub(crate) bytes: Vec<u8>,
}

impl Said {
    /// As a snapshot shows it, without what is another thing each time.
    pub(crate) fn told(&self) -> String {
        let mut told = format!("exit {}\n", self.code);
        for (name, text) in [("", &self.out), ("stderr:\n", &self.err)] {
            if !text.is_empty() {
                told.push_str(name);
                told.push_str(text);
            }
        }
        redacted(&told)
    }

    /// What it printed as JSON.
    pub(crate) fn json(&self) -> Value {
        assert_eq!(self.code, 0, "{self:?}");
        serde_json::from_str(&self.out).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }
}

/// Without ids, times, addresses and lengths of time.
pub(crate) fn redacted(text: &str) -> String {
    let mut text = text.to_owned();
    for (found, instead) in [
        (
            r"\b[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}\b",
            "ID",
        ),
        (r"\b\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z", "TIME"),
        (r"\b127\.0\.0\.1:\d+", "ADDRESS"),
        (r"\b\d{1,4}(s|m\d\ds|h\d\dm|d\d\dh)\b *", "AGE "),
        (r"\bby [\w.-]+/\d+", "by WORKER"),
        (r" +\n", "\n"),
    ] {
        text = Regex::new(found).unwrap().replace_all(&text, instead).into_owned();
    }
    text
}

/// A command that knows of no gateway and no terminal.
pub(crate) fn command(arguments: &[&str]) -> Command {
    let mut command = Command::cargo_bin("healgate").unwrap();
    command.args(arguments);
    for name in ["HEALGATE_URL", "HEALGATE_TOKEN", "NO_COLOR"] {
        command.env_remove(name);
    }
    command
}

/// Runs a command to its end.
pub(crate) fn run(mut command: Command) -> Said {
    let output = command.output().unwrap();
    Said {
        code: output.status.code().unwrap(),
        out: String::from_utf8_lossy(&output.stdout).into_owned(),
        err: String::from_utf8_lossy(&output.stderr).into_owned(),
        bytes: output.stdout,
    }
}

/// Runs a command that asks that gateway.
pub(crate) fn ask(gateway: &Gateway, arguments: &[&str]) -> Said {
    let mut command = command(arguments);
    command.env("HEALGATE_URL", gateway.url());
    run(command)
}

/// The same in a folder.
pub(crate) fn run_in(folder: &Path, arguments: &[&str]) -> Said {
    let mut command = command(arguments);
    command.current_dir(folder);
    run(command)
}
