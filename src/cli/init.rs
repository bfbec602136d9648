//! `healgate init`: a folder to start from, with settings, a catalogue, an inventory, a playbook and tokens. Never writes over
//! anything.

use std::collections::BTreeMap;
use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{self, Write};
use std::net::SocketAddr;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use crate::cli::failure::{Failure, Kind, conclude};
use crate::cli::show::aside;
use crate::cli::{environment, explain::quoted, hostname, say, token};

/// Where `make deps` and the docs put Ansible.
const VENV: &str = ".venv/bin/ansible-playbook";

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Where to; made if it is not there
    #[arg(default_value = ".")]
    dir: PathBuf,
    /// Where the gateway is to listen
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8750", value_parser = address)]
    listen: SocketAddr,
    /// ansible-playbook: a path, or a name on PATH; .venv/bin/ansible-playbook is found by itself
    #[arg(long, value_name = "COMMAND")]
    ansible: Option<String>,
}

/// One that others can be told.
fn address(text: &str) -> Result<SocketAddr, String> {
    match text.parse::<SocketAddr>() {
        Ok(address) if address.port() == 0 => Err("the port must be a number that stays: 1 to 65535".to_owned()),
        Ok(address) => Ok(address),
        Err(_) => Err("an IP address and a port, such as 127.0.0.1:8750 or [::1]:8750".to_owned()),
    }
}

/// How others reach it: by this machine's name, where it listens at all of its addresses.
fn named(listen: SocketAddr) -> String {
    match listen.ip().is_unspecified() {
        true => format!("{}:{}", hostname(), listen.port()),
        false => listen.to_string(),
    }
}

/// How this machine reaches it.
fn reached(listen: SocketAddr) -> String {
    match listen.ip().is_unspecified() {
        true => format!("localhost:{}", listen.port()),
        false => listen.to_string(),
    }
}

/// A file to write.
struct Draft {
    name: &'static str,
    text: String,
    mode: u32,
}

/// Standard output gets what Alertmanager needs, standard error what was done and what comes next.
pub(super) fn run(args: &Args) -> ExitCode {
    conclude(init(args))
}

fn init(args: &Args) -> Result<(), Failure> {
    let dir =
        std::path::absolute(&args.dir).map_err(|error| format!("failed to find {}: {error}", args.dir.display()))?;
    let ansible = match &args.ansible {
        Some(command) => command.clone(),
        None => found(&dir, &environment()),
    };
    let (sender, operator) = (token::make()?, token::make()?);
    let values = [
        ("@LISTEN@", args.listen.to_string()),
        ("@NAME@", named(args.listen)),
        ("@ANSIBLE@", in_yaml(&ansible)),
        ("@SENDER@", token::sha256(&sender)),
        ("@OPERATOR@", token::sha256(&operator)),
        (
            "@TOKEN_FILE@",
            dir.join("tokens/alertmanager")
                .display()
                .to_string()
                .replace('\'', "''"),
        ),
    ];
    let filled = |text: &str| {
        values
            .iter()
            .fold(text.to_owned(), |text, (name, value)| text.replace(name, value))
    };
    let drafts = drafts(&filled, sender, operator);
    refuse_what_is_there(&dir, &drafts)?;
    for draft in &drafts {
        write(&dir, draft).map_err(|error| format!("failed to write {}: {error}", dir.join(draft.name).display()))?;
    }
    keep_from_git(&dir).map_err(|error| format!("failed to write {}: {error}", dir.join(".gitignore").display()))?;
    aside(&next_steps(args, &drafts));
    say::line(&filled(include_str!("init/files/alertmanager.yml.in")).trim_end()).map(drop)
}

fn drafts(filled: &impl Fn(&str) -> String, sender: String, operator: String) -> Vec<Draft> {
    let file = |name, text: &str| Draft {
        name,
        text: filled(text),
        mode: 0o644,
    };
    let secret = |name, token: String| Draft {
        name,
        text: token + "\n",
        mode: 0o600,
    };
    vec![
        file("healgate.yml", include_str!("init/files/healgate.yml")),
        file("remediations.yml", include_str!("init/files/remediations.yml")),
        file("ansible.cfg", include_str!("init/files/ansible.cfg")),
        file("inventory/hosts.yml", include_str!("init/files/hosts.yml")),
        file("playbooks/look.yml", include_str!("init/files/playbooks/look.yml")),
        secret("tokens/alertmanager", sender),
        secret("tokens/operator", operator),
    ]
}

/// Before anything is written.
fn refuse_what_is_there(dir: &Path, drafts: &[Draft]) -> Result<(), Failure> {
    let there: Vec<String> = drafts
        .iter()
        .map(|draft| dir.join(draft.name))
        .filter(|path| path.symlink_metadata().is_ok())
        .map(|path| format!("\n  {}", path.display()))
        .collect();
    if there.is_empty() {
        return Ok(());
    }
    let text = format!(
        "these files are there already, and nothing was written:{}",
        there.concat()
    );
    Err(Failure::new(Kind::Conflict, text))
}

fn write(dir: &Path, draft: &Draft) -> io::Result<()> {
    let path = dir.join(draft.name);
    if let Some(parent) = path.parent() {
        let mode = if draft.mode == 0o600 { 0o700 } else { 0o755 };
        DirBuilder::new().recursive(true).mode(mode).create(parent)?;
    }
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(draft.mode)
        .open(&path)?;
    file.write_all(draft.text.as_bytes())
}

/// Where there is no such file yet: tokens do not belong into a repository, nor does the database.
fn keep_from_git(dir: &Path) -> io::Result<()> {
    let path = dir.join(".gitignore");
    match OpenOptions::new().write(true).create_new(true).open(path) {
        Ok(mut file) => file.write_all(b"/var/\n/tokens/\n"),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(error),
    }
}

/// The first that is there; its usual name where none is.
fn found(dir: &Path, environment: &BTreeMap<String, String>) -> String {
    if fs::metadata(dir.join(VENV)).is_ok() {
        return VENV.to_owned();
    }
    if let Some(home) = environment.get("VIRTUAL_ENV") {
        let path = Path::new(home).join("bin/ansible-playbook");
        if path.is_file() {
            return path.display().to_string();
        }
    }
    "ansible-playbook".to_owned()
}

/// A text as YAML takes it for one.
fn in_yaml(text: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_./".contains(c);
    match text.chars().all(is_plain) && !text.is_empty() {
        true => text.to_owned(),
        false => format!("'{}'", text.replace('\'', "''")),
    }
}

fn next_steps(args: &Args, drafts: &[Draft]) -> String {
    let written: Vec<String> = drafts
        .iter()
        .map(|draft| format!("  {}", args.dir.join(draft.name).display()))
        .collect();
    let (dir, address) = (quoted(&args.dir.display().to_string()), reached(args.listen));
    format!(
        "written:\n{}\n\nnext:\n  healgate check --config {dir}/healgate.yml\n  healgate doctor --config {dir}/healgate.yml\n  \
         healgate serve --config {dir}/healgate.yml\n  export HEALGATE_URL=http://{address} HEALGATE_TOKEN=$(cat {dir}/tokens/operator)\n  \
         healgate jobs run look --follow\n\nThe tokens are in {dir}/tokens, for you alone; healgate.yml has only their hashes.\n\
         For alertmanager.yml:\n",
        written.join("\n")
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_with_odd_characters_stays_one_text() {
        assert_eq!(in_yaml(VENV), VENV);
        assert_eq!(in_yaml("/it's here/ansible"), "'/it''s here/ansible'");
        assert_eq!(in_yaml(""), "''");
    }
}
