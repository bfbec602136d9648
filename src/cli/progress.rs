//! How far long work is, on standard error and only where that is a terminal. Never part of an answer.

use std::io::IsTerminal;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// How often what turns turns.
const TURN: Duration = Duration::from_millis(120);

/// Something that takes a while. It is gone from the terminal with the value.
#[derive(Debug)]
pub(super) struct Progress(ProgressBar);

impl Progress {
    /// So many bytes; shown only if it `may` be.
    pub(super) fn bytes(total: Option<u64>, may: bool) -> Self {
        let bar = match total {
            Some(total) => ProgressBar::with_draw_target(Some(total), target(may))
                .with_style(style("{bar:30} {bytes} of {total_bytes}, {eta} left")),
            None => ProgressBar::with_draw_target(None, target(may)).with_style(style("{spinner} {bytes}")),
        };
        Self(bar)
    }

    /// Work of which nobody knows how long it takes.
    pub(super) fn of(what: &str) -> Self {
        let bar = ProgressBar::with_draw_target(None, target(true))
            .with_style(style("{spinner} {msg} ({elapsed})"))
            .with_message(what.to_owned());
        bar.enable_steady_tick(TURN);
        Self(bar)
    }

    /// So much more is done.
    pub(super) fn add(&self, bytes: usize) {
        self.0.inc(u64::try_from(bytes).unwrap_or(0));
    }

    /// What is being done now.
    pub(super) fn say(&self, what: &str) {
        self.0.set_message(what.to_owned());
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}

fn target(may: bool) -> ProgressDrawTarget {
    match may && std::io::stderr().is_terminal() {
        true => ProgressDrawTarget::stderr(),
        false => ProgressDrawTarget::hidden(),
    }
}

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_spinner())
}
