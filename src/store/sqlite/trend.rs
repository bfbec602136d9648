//! What jobs came to, stretch by stretch, from what is kept of hours.

use std::time::Duration;

use crate::domain::job::{JobStatus, Reason};
use crate::domain::timestamp::Timestamp;
use crate::store::StoreError;
use crate::store::overview::Stretch;
use crate::store::sqlite::connection::Connection;
use crate::store::sqlite::facts::{self, Facts, HOUR};
use crate::store::sqlite::stats::percentiles;

/// More stretches than anybody can tell apart.
const MOST: i64 = 400;

/// What was counted of a stretch.
#[derive(Clone, Debug, Default)]
struct Counted {
    jobs: u64,
    succeeded: u64,
    failed: u64,
    healed: u64,
    judged: u64,
    took: Vec<u64>,
}

/// Of the jobs created since the hour of that moment.
pub(super) fn trend(
    connection: &Connection,
    since: Timestamp,
    stretch: Duration,
    now: Timestamp,
) -> Result<Vec<Stretch>, StoreError> {
    let hours = i64::try_from(stretch.as_secs() / 3_600).unwrap_or(i64::MAX).max(1);
    let first = since.as_micros().div_euclid(HOUR);
    let last = now.as_micros().div_euclid(HOUR).max(first);
    let length = usize::try_from(((last - first) / hours + 1).min(MOST)).unwrap_or(0);
    let mut counted = vec![Counted::default(); length];
    facts::since(connection, first * HOUR, |hour, facts| {
        let place = usize::try_from((hour - first) / hours);
        // What was made while the clock was wrong belongs to no stretch.
        if let Some(stretch) = place.ok().and_then(|place| counted.get_mut(place)) {
            stretch.add(facts);
        }
    })?;
    let begins = (0_i64..).map(|place| Timestamp::from_micros((first + place * hours) * HOUR));
    Ok(begins
        .zip(counted)
        .map(|(begins, counted)| counted.stretch(begins))
        .collect())
}

impl Counted {
    fn add(&mut self, facts: &Facts<'_>) {
        let is = |place: u32, word: &str| facts.names.get(place as usize).is_some_and(|name| name.0 == word);
        for outcome in &facts.outcomes {
            self.jobs += 1;
            self.succeeded += u64::from(is(outcome.status, JobStatus::Succeeded.as_str()));
            self.failed += u64::from(is(outcome.status, JobStatus::Failed.as_str()));
            self.judged += u64::from(outcome.judged);
            let is_healed = outcome.reason.is_some_and(|reason| is(reason, Reason::Healed.as_str()));
            self.healed += u64::from(is_healed);
            self.took.extend(outcome.took);
        }
    }

    fn stretch(self, begins: Timestamp) -> Stretch {
        Stretch {
            begins,
            jobs: self.jobs,
            succeeded: self.succeeded,
            failed: self.failed,
            healed: self.healed,
            judged: self.judged,
            time_to_heal: percentiles(self.took),
        }
    }
}
