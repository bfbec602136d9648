//! Decides. What a notification starts, and what follows a run: pure functions over facts that the store read.

mod after_run;
mod decide;
mod delivery;
mod episodes;
mod guard;
mod new_job;
mod restrain;

pub use after_run::{AfterRun, RunFacts, after_run};
pub use decide::{decide, decide_again};
pub use delivery::{Delivery, Held, Intake, Reached, Verdict};
pub use episodes::{
    ClosedEpisode, EpisodeChange, EpisodeFacts, HeldFacts, JobFacts, LATE_FIRING_WINDOW, Ledger, OpenEpisode,
};
pub use restrain::{CapUse, Cooldown, Heal, PlaceJob, Restraint, Restraints, Wish, cap_uses};

#[cfg(test)]
mod tests;
