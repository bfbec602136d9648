//! Decides. What a notification starts, and what follows a run: pure functions over facts that the store read.

mod after_run;
mod decide;
mod episodes;

pub use after_run::{AfterRun, RunFacts, after_run};
pub use decide::{Delivery, Intake, Reached, Verdict, decide};
pub use episodes::{ClosedEpisode, EpisodeChange, EpisodeFacts, JobFacts, LATE_FIRING_WINDOW, Ledger, OpenEpisode};

#[cfg(test)]
mod tests;
