//! Removes records that are older than the settings keep, and the oldest where the database has grown beyond its size. In
//! small portions with a rest after each, so that webhooks need not wait. Never touches what policies still look back at.
//! What statistics count of hours that are over is kept by the way.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use crate::clock::Clock;
use crate::domain::route::Route;
use crate::domain::rules::Fleet;
use crate::domain::span::Span;
use crate::domain::timestamp::Timestamp;
use crate::store::StoreError;
use crate::store::upkeep::{Portion, Record, Upkeep};
use crate::telemetry::Metrics;

/// A start has more urgent things to do.
const FIRST_AFTER: Duration = Duration::from_secs(60);

/// Between two passes.
const EVERY: Duration = Duration::from_secs(3_600);

/// Late reports and alerts that come back are told by their last episode: see `worker/comebacks.rs`.
const YOUNGEST: Duration = Duration::from_secs(2 * 3_600);

/// For its size alone nothing goes that is younger: people look for what has just happened.
const YOUNGEST_FOR_SIZE: Duration = Duration::from_secs(86_400);

/// The same for logs.
const YOUNGEST_LOG_FOR_SIZE: Duration = Duration::from_secs(3_600);

/// How long the writer may be busy with a portion; each is made so large as fits.
const AT_ONCE: Duration = Duration::from_millis(4);

/// Records in a portion.
const FEWEST: u32 = 5;
const MOST: u32 = 500;

/// Free bytes that stay in the file: the next records go there.
const SPARE: u64 = 4 << 20;

/// Bytes given back at once.
const GIVE_BACK: u64 = 256 << 10;

/// How long things are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Keep {
    pub jobs: Span,
    pub logs: Span,
    /// How many bytes of the database may be in use.
    pub size: Option<u64>,
}

impl Keep {
    /// Nothing that happened later goes: jobs and what is about them, and logs.
    pub fn limits(&self, look_back: Duration, now: Timestamp) -> (Timestamp, Timestamp) {
        let jobs = age(self.jobs.duration(), look_back);
        (now - jobs, now - self.logs.duration())
    }
}

/// That age, or the one at which nothing looks at a job any more.
fn age(wanted: Duration, look_back: Duration) -> Duration {
    wanted.max(look_back).max(YOUNGEST)
}

/// How much of the writer's time is left to others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pace {
    /// Most of it: a gateway serves beside.
    Gentle,
    /// Nobody else is there.
    Fast,
}

/// What a pass has removed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pruned {
    pub records: Vec<(Record, u64)>,
    /// Of logs, as stored.
    pub log_bytes: u64,
    /// By which the file became smaller.
    pub given_back: u64,
}

impl Pruned {
    /// How many of a kind.
    pub fn of(&self, record: Record) -> u64 {
        let counted = self.records.iter().filter(|(known, _)| *known == record);
        counted.map(|(_, count)| count).sum()
    }

    fn count(&mut self, record: Record, count: u64) {
        match self.records.iter_mut().find(|(known, _)| *known == record) {
            Some((_, sum)) => *sum += count,
            None => self.records.push((record, count)),
        }
    }
}

/// How long ago the oldest jobs are that the rules of any route count.
pub fn look_back(routes: &[Route], fleet: &Fleet) -> Duration {
    let of_routes = routes.iter().flat_map(|route| {
        let caps = route.caps.iter().map(|cap| cap.per);
        let others = [
            Some(route.cooldown),
            route.flap.map(|flap| flap.within),
            route.breaker.map(|breaker| breaker.within),
        ];
        caps.chain(others.into_iter().flatten())
    });
    let of_all = [
        fleet.storm.map(|storm| storm.within),
        fleet.breaker.map(|breaker| breaker.within),
    ];
    let longest = of_routes.chain(of_all.into_iter().flatten()).max();
    longest.unwrap_or_default().duration()
}

/// How long ago the oldest jobs are that rules count, at this moment.
pub type LookBack = dyn Fn() -> Duration + Send + Sync;

/// The one that removes old records.
pub struct Pruner {
    pub store: Arc<dyn Upkeep>,
    pub clock: Arc<dyn Clock>,
    pub metrics: Metrics,
    pub keep: Keep,
    pub look_back: Box<LookBack>,
    pub pace: Pace,
    /// Ends it.
    pub stopping: CancellationToken,
}

impl fmt::Debug for Pruner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pruner")
            .field("keep", &self.keep)
            .field("pace", &self.pace)
            .finish_non_exhaustive()
    }
}

impl Pruner {
    /// Works until it is stopped, a while after the start and then every hour.
    pub async fn run(self) {
        let mut wait = FIRST_AFTER;
        loop {
            tokio::select! {
                () = sleep(wait) => {}
                () = self.stopping.cancelled() => return,
            }
            match self.pass().await {
                Ok(pruned) => log(&pruned),
                Err(error) => tracing::error!(%error, "failed to remove old records"),
            }
            wait = EVERY;
        }
    }

    /// Removes all that may go now.
    ///
    /// # Errors
    ///
    /// The store failed; what was removed until then is gone.
    pub async fn pass(&self) -> Result<Pruned, StoreError> {
        self.metrics.storage().pruning(true);
        let mut pruned = Pruned::default();
        let done = self.work(&mut pruned).await;
        self.metrics.storage().pruning(false);
        done.map(|()| pruned)
    }

    async fn work(&self, pruned: &mut Pruned) -> Result<(), StoreError> {
        let (jobs, logs) = self.keep.limits((self.look_back)(), self.clock.now());
        self.remove(Record::Logs, logs, pruned).await?;
        self.remove_before(jobs, pruned).await?;
        if let Some(size) = self.keep.size {
            self.shrink_to(size, pruned).await?;
        }
        self.give_back(pruned).await?;
        self.keep_hours().await
    }

    /// Statistics are asked of what is left.
    async fn keep_hours(&self) -> Result<(), StoreError> {
        let mut next = Some(self.clock.now());
        while let Some(before) = next.take().filter(|_| !self.stopping.is_cancelled()) {
            let began = Instant::now();
            next = self.store.keep_hours(before).await?;
            self.rest(began.elapsed()).await;
        }
        Ok(())
    }

    /// All but logs: those go with their jobs.
    async fn remove_before(&self, before: Timestamp, pruned: &mut Pruned) -> Result<(), StoreError> {
        for record in Record::ALL.into_iter().filter(|record| *record != Record::Logs) {
            // What kept one of them may have been another one, which is gone now.
            while self.remove(record, before, pruned).await? > 0 {}
        }
        Ok(())
    }

    /// Goes once through all records of a kind. How many it removed.
    async fn remove(&self, record: Record, before: Timestamp, pruned: &mut Pruned) -> Result<u64, StoreError> {
        let (mut next, mut sum) = (Some(self.first(record, before)), 0);
        while !self.stopping.is_cancelled()
            && let Some(portion) = next.take()
        {
            let records;
            (records, next) = self.take(portion, pruned).await?;
            sum += records;
        }
        Ok(sum)
    }

    /// The portion that a kind begins with.
    fn first(&self, record: Record, before: Timestamp) -> Portion {
        Portion {
            record,
            before,
            now: self.clock.now(),
            after: None,
            most: FEWEST,
        }
    }

    /// Removes a portion, and rests if there is another one. How many records that were, and the next portion.
    async fn take(&self, portion: Portion, pruned: &mut Pruned) -> Result<(u64, Option<Portion>), StoreError> {
        let began = Instant::now();
        let removed = self.store.prune(portion.clone()).await?;
        let (record, records) = (portion.record, removed.records);
        self.metrics.storage().pruned(record, records, removed.log_bytes);
        pruned.count(record, records);
        pruned.log_bytes += removed.log_bytes;
        if removed.next.is_none() {
            return Ok((records, None));
        }
        self.rest(began.elapsed()).await;
        let next = Portion {
            after: removed.next,
            most: next_size(portion.most, removed.took),
            ..portion
        };
        Ok((records, Some(next)))
    }

    /// Removes the oldest logs, then the oldest of all else, until the database has that size.
    async fn shrink_to(&self, size: u64, pruned: &mut Pruned) -> Result<(), StoreError> {
        let mut logs = Some(self.first(Record::Logs, self.clock.now() - YOUNGEST_LOG_FOR_SIZE));
        while self.excess(size).await? > 0
            && !self.stopping.is_cancelled()
            && let Some(portion) = logs.take()
        {
            (_, logs) = self.take(portion, pruned).await?;
        }
        let back = (self.look_back)();
        let youngest = age(YOUNGEST_FOR_SIZE, back);
        let mut oldest = age(self.keep.jobs.duration(), back);
        while self.excess(size).await? > 0 && oldest > youngest && !self.stopping.is_cancelled() {
            oldest = (oldest / 10 * 9).max(youngest);
            self.remove_before(self.clock.now() - oldest, pruned).await?;
        }
        let excess = self.excess(size).await?;
        if excess > 0 {
            tracing::warn!(
                excess,
                size,
                "the database is larger than `retention.size`, and nothing that is left may go"
            );
        }
        Ok(())
    }

    /// By how many bytes what is in use exceeds the size.
    async fn excess(&self, size: u64) -> Result<u64, StoreError> {
        let room = self.store.room().await?;
        Ok((room.bytes - room.free).saturating_sub(size))
    }

    async fn give_back(&self, pruned: &mut Pruned) -> Result<(), StoreError> {
        while !self.stopping.is_cancelled() {
            let free = self.store.room().await?.free.saturating_sub(SPARE);
            let began = Instant::now();
            let given = match free {
                0 => 0,
                free => self.store.give_back(free.min(GIVE_BACK)).await?,
            };
            if given == 0 {
                break;
            }
            self.metrics.storage().given_back(given);
            pruned.given_back += given;
            self.rest(began.elapsed()).await;
        }
        Ok(())
    }

    /// Four times as long as that took: so most of the writer's time and of the disk's is left.
    async fn rest(&self, took: Duration) {
        if self.pace == Pace::Gentle {
            tokio::select! {
                () = sleep(took * 4) => {}
                () = self.stopping.cancelled() => {}
            }
        }
    }
}

/// How many records the next portion looks at, if one of so many has kept the writer busy so long.
fn next_size(most: u32, took: Duration) -> u32 {
    let next = if took > AT_ONCE {
        most / 2
    } else if took < AT_ONCE / 2 {
        most + most / 2
    } else {
        most
    };
    next.clamp(FEWEST, MOST)
}

fn log(pruned: &Pruned) {
    let removed: Vec<String> = pruned
        .records
        .iter()
        .filter(|(_, count)| *count > 0)
        .map(|(record, count)| format!("{count} {}", record.as_str()))
        .collect();
    if !removed.is_empty() {
        let (log_bytes, given_back) = (pruned.log_bytes, pruned.given_back);
        tracing::info!(
            removed = removed.join(", "),
            log_bytes,
            given_back,
            "old records were removed"
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::rules::StormRule;

    #[test]
    fn a_portion_grows_while_it_is_quick_and_shrinks_when_it_is_not() {
        let took = Duration::from_millis;
        assert_eq!(next_size(100, took(1)), 150);
        assert_eq!(next_size(100, took(3)), 100);
        assert_eq!(next_size(100, took(5)), 50);
        assert_eq!(next_size(FEWEST, took(500)), FEWEST);
        assert_eq!(next_size(MOST, took(0)), MOST);
    }

    #[test]
    fn rules_look_back_as_far_as_the_longest_of_them() {
        assert_eq!(look_back(&[], &Fleet::default()), Duration::ZERO);
        let storm = Fleet {
            storm: Some(StormRule {
                jobs: 3,
                within: Span::from_secs(600),
            }),
            ..Fleet::default()
        };
        assert_eq!(look_back(&[], &storm), Duration::from_secs(600));
    }
}
