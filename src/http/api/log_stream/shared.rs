//! What the followers of one log share: mostly they want the same at the same time, so each part is read and encoded once.
//! Never waits for a reader: one that lags behind reads for itself.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use actix_web::web::Bytes;

use crate::domain::attempt::Outcome;
use crate::domain::ids::JobId;
use crate::http::api::sse;
use crate::store::{Store, StoreError};

/// How much of the log goes into one event at most. A connection buffers two, and there may be thousands.
const EVENT: usize = 16 * 1024;

/// How much of the log is read at once.
const READ: usize = 64 * 1024;

/// Events that are kept for those who come a little later.
const KEPT: usize = 64;

/// An attempt of a job.
type Name = (JobId, u32);

/// The logs that are being followed.
#[derive(Debug, Default)]
pub struct Streams(Mutex<HashMap<Name, Weak<SharedLog>>>);

/// One of them.
#[derive(Debug)]
pub(super) struct SharedLog {
    name: Name,
    /// The events that were read last, in the order in which they were read.
    events: Mutex<VecDeque<Arc<LogEvent>>>,
    seen: Mutex<Option<Seen>>,
    /// Held by whoever asks the store: the others wait and find what it found.
    asking: tokio::sync::Mutex<()>,
}

/// How far the attempt goes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Seen {
    /// It was read after this change of the job.
    change: u64,
    bytes: u64,
    /// Nothing will be added.
    pub(super) complete: bool,
    pub(super) outcome: Option<Outcome>,
}

/// A reader's place.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Place {
    /// How far the events went.
    pub(super) offset: u64,
    /// Bytes after `offset` that are the beginning of a code point.
    pub(super) carry: Vec<u8>,
}

/// An event, encoded.
#[derive(Debug)]
pub(super) struct LogEvent {
    from: Place,
    /// Where its readers are after it.
    pub(super) to: Place,
    pub(super) event: Bytes,
}

impl Streams {
    /// The attempt's log, shared with those who follow it already.
    pub(super) fn log(&self, name: Name) -> Arc<SharedLog> {
        let mut logs = lock(&self.0);
        if let Some(log) = logs.get(&name).and_then(Weak::upgrade) {
            return log;
        }
        // Nobody else forgets those that nobody follows any more.
        logs.retain(|_, log| log.strong_count() > 0);
        let log = Arc::new(SharedLog {
            name,
            events: Mutex::default(),
            seen: Mutex::default(),
            asking: tokio::sync::Mutex::default(),
        });
        logs.insert(name, Arc::downgrade(&log));
        log
    }
}

impl SharedLog {
    /// How far the attempt goes, read after that change of its job, or `anew`; `None` if it is gone.
    pub(super) async fn seen(&self, store: &dyn Store, change: u64, anew: bool) -> Result<Option<Seen>, StoreError> {
        let known = || lock(&self.seen).filter(|seen| seen.change >= change && !anew);
        if let Some(seen) = known() {
            return Ok(Some(seen));
        }
        let _asking = self.asking.lock().await;
        if let Some(seen) = known() {
            return Ok(Some(seen));
        }
        let (job, number) = self.name;
        let Some(attempt) = store.find_attempt(job, Some(number)).await? else {
            return Ok(None);
        };
        let head = store.log_head(job, number).await?;
        let seen = Seen {
            change,
            bytes: head.bytes,
            complete: head.complete,
            outcome: attempt.outcome,
        };
        *lock(&self.seen) = Some(seen);
        Ok(Some(seen))
    }

    /// The event that begins there; `None` if more has to be said first.
    pub(super) async fn event(
        self: &Arc<Self>,
        store: &dyn Store,
        place: &Place,
        seen: Seen,
    ) -> Result<Option<Arc<LogEvent>>, StoreError> {
        if let Some(event) = self.known(place) {
            return Ok(Some(event));
        }
        if place.read() >= seen.bytes && (place.carry.is_empty() || !seen.complete) {
            return Ok(None);
        }
        let _asking = self.asking.lock().await;
        if let Some(event) = self.known(place) {
            return Ok(Some(event));
        }
        let read = self.read(store, place, seen).await?;
        let mut events = lock(&self.events);
        events.extend(read);
        let surplus = events.len().saturating_sub(KEPT);
        events.drain(..surplus);
        drop(events);
        Ok(self.known(place))
    }

    /// An event that was read already.
    fn known(self: &Arc<Self>, place: &Place) -> Option<Arc<LogEvent>> {
        let mut events = lock(&self.events);
        let index = events.iter().position(|event| event.from == *place)?;
        if Arc::strong_count(self) > 1 {
            return events.get(index).map(Arc::clone);
        }
        // Its only reader has been past what was before it.
        events.drain(..=index).next_back()
    }

    /// The next events from there on; none if more has to be said first.
    async fn read(&self, store: &dyn Store, place: &Place, seen: Seen) -> Result<Vec<Arc<LogEvent>>, StoreError> {
        let (job, number) = self.name;
        let mut bytes = place.carry.clone();
        loop {
            let at = place.offset + length(&bytes);
            let more = if at < seen.bytes {
                store.read_log(job, number, at, READ).await?
            } else {
                Vec::new()
            };
            let is_all = more.is_empty();
            bytes.extend_from_slice(&more);
            let events = cut(place, &bytes, is_all && seen.complete)?;
            if is_all || !events.is_empty() {
                return Ok(events);
            }
        }
    }
}

impl Place {
    /// The end of what was read.
    fn read(&self) -> u64 {
        self.offset + length(&self.carry)
    }
}

/// Cuts what follows a place into events. All of it is taken, but for the beginning of a code point at the end, unless these
/// are the `last` bytes.
fn cut(place: &Place, bytes: &[u8], last: bool) -> Result<Vec<Arc<LogEvent>>, StoreError> {
    let (mut events, mut from, mut rest) = (Vec::new(), place.clone(), bytes);
    loop {
        let part = &rest[..rest.len().min(EVENT)];
        let (text, taken) = sse::text(part, last && part.len() == rest.len());
        if taken == 0 {
            return Ok(events);
        }
        rest = &rest[taken..];
        let offset = from.offset + u64::try_from(taken).unwrap_or(0);
        let event = sse::event("log", Some(offset), &text).map_err(|error| StoreError::Database(error.to_string()))?;
        // What is left of a code point is shorter than any.
        let carry = if rest.len() < 4 { rest.to_vec() } else { Vec::new() };
        let to = Place { offset, carry };
        // The next one begins there, though it was not read for it alone.
        let next = to.clone();
        events.push(Arc::new(LogEvent { from, to, event }));
        from = next;
    }
}

fn length(bytes: &[u8]) -> u64 {
    u64::try_from(bytes.len()).unwrap_or(u64::MAX)
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Nothing is done under these locks that could panic half-way.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{ProptestConfig, any, prop, proptest};

    use super::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn the_events_of_a_log_join_to_all_of_it(
            start in any::<String>(), piece in "[a-c€\u{1f600}]{1,9}", times in 0..9_000_usize, end in prop::collection::vec(any::<u8>(), 0..4),
        ) {
            let mut log = (start + &piece.repeat(times)).into_bytes();
            log.extend(end);
            let begin = Place { offset: 7, ..Place::default() };
            let (mut place, mut text) = (begin.clone(), String::new());
            // The rest comes later, and begins with what was left of a code point.
            for last in [false, true] {
                let from = usize::try_from(place.read() - begin.offset).unwrap();
                let rest = if last { log[from..].to_vec() } else { log[..log.len() / 2].to_vec() };
                let bytes = [place.carry.clone(), rest].concat();
                for event in cut(&place, &bytes, last).unwrap() {
                    assert_eq!(event.from, place);
                    let written = String::from_utf8(event.event.to_vec()).unwrap();
                    let data = written.split_once("data: ").unwrap().1;
                    let said: String = serde_json::from_str(data.trim_end()).unwrap();
                    text.push_str(&said);
                    place = event.to.clone();
                    assert!(written.contains(&format!("id: {}\n", place.offset)));
                    assert!(place.offset - event.from.offset <= EVENT as u64 + 3);
                }
            }
            assert_eq!(text, String::from_utf8_lossy(&log));
            assert_eq!(place.offset - begin.offset, log.len() as u64);
        }
    }
}
