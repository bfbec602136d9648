//! `healgate notify`: tries notifiers. Needs no gateway that runs, and changes nothing.

use std::process::ExitCode;

use clap::Subcommand;

use crate::cli::failure::{Failure, conclude};
use crate::cli::{ConfigArgs, environment, hostname, say};
use crate::clock::{Clock, SystemClock};
use crate::config::fields::did_you_mean;
use crate::config::{Notifier, Settings};
use crate::notify::{Letter, Sender, Unsent};

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Send a test message through a notifier, and say what its other side answered
    Test(TestArgs),
}

#[derive(Debug, clap::Args)]
pub(super) struct TestArgs {
    /// The notifier's name in healgate.yml
    name: String,
    #[command(flatten)]
    config: ConfigArgs,
}

/// 1: there is no such notifier, or it could not reach anybody.
pub(super) fn run(command: &Command) -> ExitCode {
    let Command::Test(args) = command;
    let told = test(args).map_err(Failure::from);
    conclude(told.and_then(|answer| say::line(&format!("{}: {answer}", args.name)).map(drop)))
}

fn test(args: &TestArgs) -> Result<String, String> {
    let environment: Vec<_> = environment().into_iter().collect();
    let settings = Settings::load(&args.config.config, &environment).map_err(|errors| errors.to_string())?;
    let notifier = find(&settings.notifiers, &args.name)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| format!("failed to start the runtime: {error}"))?;
    let sent = runtime.block_on(send(notifier, &settings.server.external_url));
    runtime.shutdown_background();
    sent.map_err(|error| format!("failed to notify {}: {error}", args.name))
}

fn find(notifiers: &[Notifier], name: &str) -> Result<Notifier, String> {
    let found = notifiers.iter().find(|notifier| notifier.name == name);
    found.cloned().ok_or_else(|| {
        let known: Vec<&str> = notifiers.iter().map(|notifier| notifier.name.as_str()).collect();
        match known[..] {
            [] => format!("there is no notifier {name:?}: healgate.yml has none"),
            _ => format!(
                "there is no notifier {name:?}{}; healgate.yml has {}",
                did_you_mean(name, &known),
                known.join(", ")
            ),
        }
    })
}

async fn send(notifier: Notifier, external_url: &str) -> Result<String, Unsent> {
    let now = SystemClock.now();
    let letter = Letter::test(format!("test-{}", now.as_micros()), &notifier.name, external_url);
    Sender::new(notifier, &hostname()).send(letter, now).await
}
