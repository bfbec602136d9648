//! `healgate doctor`: looks for what usually goes wrong, and says what to do about it. Changes nothing.

mod ansible;
mod files;
mod peers;
mod routing;

use std::process::ExitCode;

use serde_json::{Value, json};

use crate::catalog::Catalog;
use crate::cli::client::block_on;
use crate::cli::failure::{Failure, Kind, conclude};
use crate::cli::progress::Progress;
use crate::cli::show::{Format, json as as_json};
use crate::cli::table::{Output, printable};
use crate::cli::terminal::{Hue, Screen};
use crate::cli::{ConfigArgs, check, environment, say};
use crate::config::Settings;
use crate::domain::span::Span;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Also log in to all hosts of the inventories, without changing anything
    #[arg(long)]
    hosts: bool,
    /// How long the hosts of an inventory may take to answer
    #[arg(long, value_name = "DURATION", default_value = "30s", requires = "hosts")]
    hosts_timeout: Span,
    #[command(flatten)]
    format: Format,
    #[command(flatten)]
    config: ConfigArgs,
}

/// How something is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Ok,
    /// It works, or may; a person should know.
    Warning,
    Failed,
}

/// What was found out about one thing.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Finding {
    /// What was looked at, in a word.
    check: &'static str,
    state: State,
    /// A sentence.
    message: String,
    /// What to do.
    advice: Option<String>,
}

impl State {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warning => "warning",
            Self::Failed => "failed",
        }
    }
}

impl Finding {
    fn ok(check: &'static str, message: impl Into<String>) -> Self {
        Self {
            check,
            state: State::Ok,
            message: message.into(),
            advice: None,
        }
    }

    fn warning(check: &'static str, message: impl Into<String>, advice: impl Into<String>) -> Self {
        Self {
            check,
            state: State::Warning,
            message: message.into(),
            advice: Some(advice.into()),
        }
    }

    fn failed(check: &'static str, message: impl Into<String>, advice: impl Into<String>) -> Self {
        Self {
            state: State::Failed,
            ..Self::warning(check, message, advice)
        }
    }
}

/// What is examined.
struct Patient {
    settings: Settings,
    catalog: Catalog,
    environment: std::collections::BTreeMap<String, String>,
}

/// Tells findings as they come.
struct Report {
    output: Output,
    screen: Screen,
    progress: Option<Progress>,
    findings: Vec<Finding>,
    /// Whether all of it could be printed.
    said: Result<(), Failure>,
}

/// 1: something failed.
pub(super) fn run(args: &Args) -> ExitCode {
    let mut report = Report {
        output: args.format.output,
        screen: Screen::of(&environment()),
        progress: None,
        findings: Vec::new(),
        said: Ok(()),
    };
    let examined = block_on(async {
        tokio::select! {
            () = examine(args, &mut report) => Ok(()),
            // What was started is stopped, and the folder removed, as they are dropped.
            _ = tokio::signal::ctrl_c() => Err(Failure::new(Kind::Interrupted, "")),
        }
    });
    conclude(examined.and_then(|done| done).and_then(|()| report.end()))
}

async fn examine(args: &Args, report: &mut Report) {
    let (settings, catalog) = match check::load(&args.config) {
        Ok(loaded) => loaded,
        Err(diagnostics) => {
            let advice = "`healgate check` shows each mistake at its place; the rest is examined once there are none.";
            return report.tell(vec![Finding::failed(
                "settings",
                diagnostics.to_string().trim_end(),
                advice,
            )]);
        }
    };
    let patient = Patient {
        settings,
        catalog,
        environment: environment(),
    };
    report.tell(files::settings(&patient));
    report.tell(files::secrets(&patient));
    report.tell(files::data(&patient));
    report.tell(files::disk(&patient));
    ansible::examine(&patient, args.hosts.then(|| args.hosts_timeout.duration()), report).await;
    report.begin("asking Alertmanager and Prometheus");
    report.tell(peers::examine(&patient).await);
}

impl Report {
    /// Says what is being looked at, while that takes a while.
    fn begin(&mut self, what: &str) {
        match &self.progress {
            Some(progress) => progress.say(what),
            None => self.progress = Some(Progress::of(what)),
        }
    }

    fn tell(&mut self, findings: Vec<Finding>) {
        self.progress = None;
        for finding in findings {
            if self.output == Output::Table && self.said.is_ok() {
                self.said = say::line(&self.line(&finding)).map(drop);
            }
            self.findings.push(finding);
        }
    }

    fn line(&self, finding: &Finding) -> String {
        let hue = match finding.state {
            State::Ok => Hue::Good,
            State::Warning => Hue::Pending,
            State::Failed => Hue::Bad,
        };
        let word = finding.state.as_str();
        let (begin, end) = (self.screen.begin(hue), self.screen.end());
        let mut lines = finding.message.lines().map(printable);
        let first = lines.next().unwrap_or_default();
        let mut told = format!("{begin}{word:<7}{end}  {:<13} {first}", finding.check);
        for line in lines {
            told.push_str(&format!("\n         {line}"));
        }
        if let Some(advice) = &finding.advice {
            told.push_str(&format!("\n         → {}", printable(advice)));
        }
        told
    }

    fn end(mut self) -> Result<(), Failure> {
        self.progress = None;
        let count = |state: State| self.findings.iter().filter(|finding| finding.state == state).count();
        let (failed, warnings) = (count(State::Failed), count(State::Warning));
        match self.output {
            Output::Json => say::line(&as_json(&self.as_json(failed, warnings), true))?,
            Output::Table => {
                self.said?;
                let s = if warnings == 1 { "" } else { "s" };
                say::line(&format!(
                    "\n{failed} failed, {warnings} warning{s}, {} ok",
                    count(State::Ok)
                ))?
            }
        };
        match failed {
            0 => Ok(()),
            _ => Err(Failure::new(Kind::Failed, "")),
        }
    }

    fn as_json(&self, failed: usize, warnings: usize) -> Value {
        let item = |finding: &Finding| {
            json!({
                "check": finding.check, "state": finding.state.as_str(), "message": finding.message, "advice": finding.advice
            })
        };
        let items: Vec<Value> = self.findings.iter().map(item).collect();
        json!({ "items": items, "failed": failed, "warnings": warnings })
    }
}
