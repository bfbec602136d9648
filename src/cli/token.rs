//! `healgate token`: makes access tokens. Stores nothing: the settings hold the hash, the user the token.

use std::process::ExitCode;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use clap::builder::{PossibleValuesParser, TypedValueParser};
use sha2::{Digest, Sha256};

use crate::cli::failure::{Failure, conclude};
use crate::cli::say;
use crate::config::Role;

#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    /// Make a new token; prints it once, with the entry for healgate.yml
    New(New),
}

#[derive(Debug, clap::Args)]
pub(super) struct New {
    /// Who will use it; the events of what it changes name it
    #[arg(long, value_parser = parse_name)]
    name: String,
    /// What it may do
    #[arg(long, value_parser = role_parser())]
    role: Role,
}

fn role_parser() -> impl TypedValueParser<Value = Role> {
    PossibleValuesParser::new(Role::WORDS.map(|(word, _)| word))
        .try_map(|word| Role::parse(&word).ok_or("no such role"))
}

fn parse_name(text: &str) -> Result<String, String> {
    crate::config::check_token_name(text).map(|()| text.to_owned())
}

/// Prints a new token and its entry.
pub(super) fn run(command: &Command) -> ExitCode {
    let Command::New(args) = command;
    conclude(make().and_then(|token| say::write(describe(args, &token).as_bytes()).map(drop)))
}

/// A new token.
pub(super) fn make() -> Result<String, Failure> {
    let mut random = [0; 32];
    getrandom::fill(&mut random).map_err(|error| format!("failed to get random bytes from the system: {error}"))?;
    Ok(token(&random))
}

/// As healgate.yml has it.
pub(super) fn sha256(token: &str) -> String {
    hex::encode(Sha256::digest(token.as_bytes()))
}

fn token(random: &[u8; 32]) -> String {
    format!("hg_{}", URL_SAFE_NO_PAD.encode(random))
}

fn describe(args: &New, token: &str) -> String {
    let (name, role) = (&args.name, args.role);
    let sha256 = sha256(token);
    format!(
        "The token, which is shown only now:\n\n  {token}\n\nIts entry for auth.tokens in healgate.yml:\n\n    \
         - name: \"{name}\"\n      role: {role}\n      sha256: \"{sha256}\"\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_token_comes_with_an_entry_that_the_settings_accept() {
        let args = New {
            name: "alertmanager".to_owned(),
            role: Role::Sender,
        };
        let text = describe(&args, &token(&[7; 32]));
        insta::assert_snapshot!(text, @r#"
    The token, which is shown only now:

      hg_BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc

    Its entry for auth.tokens in healgate.yml:

        - name: "alertmanager"
          role: sender
          sha256: "5cd6b823647379a7932d28ee32f8a67a0ad0aa956bf95adeae116741effcf3f3"
    "#);
        let entry = text.split("healgate.yml:\n\n").nth(1).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("healgate.yml");
        std::fs::write(&file, format!("auth:\n  tokens:\n{entry}")).unwrap();
        let settings = crate::config::Settings::load(&file, &[]).unwrap();
        assert_eq!(settings.auth.tokens[0].name, "alertmanager");
    }

    #[test]
    fn names_that_would_break_the_entry_are_refused() {
        for name in ["", " ", "a\"b", "a\nb", "a\\b", "anonymous"] {
            assert!(parse_name(name).is_err(), "{name:?} was accepted");
        }
        assert!(parse_name("alertmanager 2 (prod)").is_ok());
    }
}
