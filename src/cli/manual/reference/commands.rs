//! The command line, from clap.

use clap::{Arg, Command};

use super::{begin, head, row};
use crate::cli::manual::visible;

pub(super) fn page() -> String {
    let about = "Every command and option, as `healgate COMMAND --help` says them. [The command line](../command-line.md) says \
                 what belongs together, and what scripts can rely on.";
    let mut page = begin("Every command", about);
    let mut command = visible();
    command.build();
    command_page(&mut page, &mut command, "healgate");
    page
}

fn command_page(page: &mut String, command: &mut Command, name: &str) {
    let usage = command.render_usage().to_string();
    page.push_str(&format!("\n## `{name}`\n"));
    if let Some(about) = command.get_long_about().or_else(|| command.get_about()) {
        page.push_str(&format!("\n{about}\n"));
    }
    let usage = usage.trim_start_matches("Usage: ").trim();
    page.push_str(&format!("\n```text\n{usage}\n```\n"));
    let arguments: Vec<&Arg> = command.get_arguments().filter(|arg| is_shown(arg)).collect();
    if !arguments.is_empty() {
        page.push_str(&head(&["", ""]));
    }
    for argument in arguments {
        page.push_str(&row(&[&spelled(argument), &meaning(argument)]));
    }
    for below in command.get_subcommands_mut() {
        if below.get_name() != "help" && !below.is_hide_set() {
            let name = format!("{name} {}", below.get_name());
            command_page(page, below, &name);
        }
    }
}

fn is_shown(argument: &Arg) -> bool {
    !argument.is_hide_set() && !["help", "version"].contains(&argument.get_id().as_str())
}

/// As it is written: `-f, --follow`, `--limit NUMBER`, `JOB`.
fn spelled(argument: &Arg) -> String {
    let values: Vec<&str> = argument
        .get_value_names()
        .filter(|_| argument.get_action().takes_values())
        .map_or_else(Vec::new, |names| names.iter().map(AsRef::as_ref).collect());
    let short = argument.get_short().map(|short| format!("-{short}"));
    let long = argument.get_long().map(|long| format!("--{long}"));
    let names: Vec<String> = short.into_iter().chain(long).collect();
    let text = format!("{} {}", names.join(", "), values.join(" "));
    format!("`{}`", text.trim())
}

fn meaning(argument: &Arg) -> String {
    let help = argument.get_long_help().or_else(|| argument.get_help());
    let mut text = help.map(ToString::to_string).unwrap_or_default();
    if !argument.get_action().takes_values() {
        return text;
    }
    let words: Vec<String> = argument
        .get_possible_values()
        .iter()
        .map(|value| format!("`{}`", value.get_name()))
        .collect();
    if !words.is_empty() {
        text.push_str(&format!(". One of {}", words.join(", ")));
    }
    let defaults: Vec<String> = argument
        .get_default_values()
        .iter()
        .map(|value| format!("`{}`", value.to_string_lossy()))
        .collect();
    if !defaults.is_empty() {
        text.push_str(&format!(". Default: {}", defaults.join(", ")));
    }
    text
}
