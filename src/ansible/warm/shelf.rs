//! Which interpreters there are, and which may be added. Pure: starts none, looks at no clock.

use std::collections::HashMap;
use std::hash::Hash;
use std::time::{Duration, Instant};

const NOT_YET: &str = "no warm interpreter yet";

/// One place for each key that was asked for.
#[derive(Debug)]
pub(super) struct Shelf<K, I, W> {
    places: HashMap<K, Place<I, W>>,
    most: usize,
    idle: Duration,
    retry: Duration,
}

#[derive(Debug)]
enum Place<I, W> {
    Starting,
    Ready {
        interpreter: I,
        used: Instant,
    },
    /// With what was watched while it failed.
    Failed {
        at: Instant,
        because: String,
        watched: W,
    },
}

/// What a run finds.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Found<I> {
    Ready(I),
    /// One is to be started now; this run is cold. What made room for it is to be dropped.
    Start {
        because: String,
        evicted: Option<I>,
    },
    Cold(String),
}

impl<K: Clone + Eq + Hash, I: Clone + PartialEq, W> Shelf<K, I, W> {
    pub(super) fn new(most: usize, idle: Duration, retry: Duration) -> Self {
        Self {
            places: HashMap::new(),
            most,
            idle,
            retry,
        }
    }

    /// Looks for an interpreter, and makes a place for one if there is none and there is room. `changed` tells whether
    /// what a failed start depended on has changed since.
    pub(super) fn look(&mut self, key: &K, now: Instant, changed: impl Fn(&W) -> bool) -> Found<I> {
        match self.places.get_mut(key) {
            Some(Place::Ready { interpreter, used }) => {
                *used = now;
                return Found::Ready(interpreter.clone());
            }
            Some(Place::Starting) => return Found::Cold(NOT_YET.to_owned()),
            Some(Place::Failed { at, because, watched })
                if now.saturating_duration_since(*at) < self.retry && !changed(watched) =>
            {
                return Found::Cold(because.clone());
            }
            Some(Place::Failed { .. }) | None => {}
        }
        // What failed long ago and was never asked for again takes no room, but it need not be remembered either.
        let retry = self.retry;
        self.places.retain(|_, place| match place {
            Place::Failed { at, .. } => now.saturating_duration_since(*at) < retry,
            Place::Starting | Place::Ready { .. } => true,
        });
        let evicted = match self.make_room(key, now) {
            Ok(evicted) => evicted,
            Err(because) => return Found::Cold(because),
        };
        self.places.insert(key.clone(), Place::Starting);
        Found::Start {
            because: NOT_YET.to_owned(),
            evicted,
        }
    }

    fn make_room(&mut self, key: &K, now: Instant) -> Result<Option<I>, String> {
        let taken = self
            .places
            .iter()
            .filter(|(known, place)| *known != key && matches!(place, Place::Starting | Place::Ready { .. }));
        if taken.count() < self.most {
            return Ok(None);
        }
        let ready = self.places.iter().filter_map(|(key, place)| match place {
            Place::Ready { used, .. } => Some((*used, key)),
            Place::Starting | Place::Failed { .. } => None,
        });
        let oldest = ready.min_by_key(|(used, _)| *used);
        let idle = oldest.filter(|(used, _)| now.saturating_duration_since(*used) >= self.idle);
        let Some(key) = idle.map(|(_, key)| key.clone()) else {
            return Err(format!(
                "all {} warm interpreters are in use by other environments",
                self.most
            ));
        };
        match self.places.remove(&key) {
            Some(Place::Ready { interpreter, .. }) => Ok(Some(interpreter)),
            Some(Place::Starting | Place::Failed { .. }) | None => Ok(None),
        }
    }

    /// Takes an interpreter away that must not be used any more. Whether another one is to be started in its place:
    /// not if somebody else has seen to that.
    pub(super) fn replace(&mut self, key: &K, unfit: &I) -> bool {
        let is_there = self.holds(key, unfit);
        if is_there {
            self.places.insert(key.clone(), Place::Starting);
        }
        is_there
    }

    /// Takes an interpreter away and remembers why no other one should be started soon.
    pub(super) fn give_up(&mut self, key: &K, unfit: &I, now: Instant, failure: (String, W)) {
        if self.holds(key, unfit) {
            self.failed(key, now, failure);
        }
    }

    fn holds(&self, key: &K, wanted: &I) -> bool {
        matches!(self.places.get(key), Some(Place::Ready { interpreter, .. }) if interpreter == wanted)
    }

    /// One that was started is ready.
    pub(super) fn ready(&mut self, key: &K, interpreter: I, now: Instant) {
        let used = now;
        self.places.insert(key.clone(), Place::Ready { interpreter, used });
    }

    /// One could not be started.
    pub(super) fn failed(&mut self, key: &K, now: Instant, (because, watched): (String, W)) {
        let at = now;
        self.places.insert(key.clone(), Place::Failed { at, because, watched });
    }

    pub(super) fn all(&self) -> Vec<I> {
        let ready = self.places.values().filter_map(|place| match place {
            Place::Ready { interpreter, .. } => Some(interpreter.clone()),
            Place::Starting | Place::Failed { .. } => None,
        });
        ready.collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const IDLE: Duration = Duration::from_secs(600);
    const RETRY: Duration = Duration::from_secs(60);

    type Names = Shelf<&'static str, u32, bool>;

    struct Story {
        shelf: Names,
        begun: Instant,
    }

    impl Story {
        fn new() -> Self {
            Self {
                shelf: Shelf::new(2, IDLE, RETRY),
                begun: Instant::now(),
            }
        }

        fn at(&self, seconds: u64) -> Instant {
            self.begun + Duration::from_secs(seconds)
        }

        fn look(&mut self, key: &'static str, seconds: u64) -> Found<u32> {
            let now = self.at(seconds);
            self.shelf.look(&key, now, |changed| *changed)
        }

        fn ready(&mut self, key: &'static str, interpreter: u32, seconds: u64) {
            let now = self.at(seconds);
            self.shelf.ready(&key, interpreter, now);
        }
    }

    fn start(evicted: Option<u32>) -> Found<u32> {
        Found::Start {
            because: NOT_YET.to_owned(),
            evicted,
        }
    }

    #[test]
    fn the_first_run_of_a_key_is_cold_and_has_one_started_for_the_next() {
        let mut story = Story::new();
        assert_eq!(story.look("a", 0), start(None));
        assert_eq!(story.look("a", 0), Found::Cold(NOT_YET.to_owned()));
        story.ready("a", 1, 1);
        assert_eq!(story.look("a", 2), Found::Ready(1));
    }

    #[test]
    fn only_one_that_was_idle_for_long_makes_room() {
        let mut story = Story::new();
        for (key, interpreter) in [("a", 1), ("b", 2)] {
            story.look(key, 0);
            story.ready(key, interpreter, 0);
        }
        story.look("a", 10);
        let full = Found::Cold("all 2 warm interpreters are in use by other environments".to_owned());
        assert_eq!(story.look("c", 599), full);
        assert_eq!(story.look("c", 600), start(Some(2)));
        assert_eq!(story.look("b", 601), full);
        assert_eq!(story.look("a", 602), Found::Ready(1));
    }

    #[test]
    fn one_that_is_starting_is_not_in_anybodys_way_for_ever_but_never_evicted() {
        let mut story = Story::new();
        story.look("a", 0);
        story.look("b", 0);
        assert!(matches!(story.look("c", 10_000), Found::Cold(_)));
    }

    #[test]
    fn what_failed_is_tried_again_after_a_while_or_when_something_has_changed() {
        let mut story = Story::new();
        for watched_has_changed in [false, true] {
            story.look("a", 0);
            let now = story.at(1);
            story
                .shelf
                .failed(&"a", now, ("it broke".to_owned(), watched_has_changed));
            if !watched_has_changed {
                assert_eq!(story.look("a", 60), Found::Cold("it broke".to_owned()));
            }
            assert_eq!(story.look("a", if watched_has_changed { 2 } else { 61 }), start(None));
        }
    }

    #[test]
    fn one_that_is_unfit_is_replaced_once() {
        let mut story = Story::new();
        story.look("a", 0);
        story.ready("a", 1, 0);
        assert!(story.shelf.replace(&"a", &1));
        assert!(!story.shelf.replace(&"a", &1));
        story.ready("a", 2, 1);
        assert!(!story.shelf.replace(&"a", &1), "the new one was taken away");
        assert_eq!(story.shelf.all(), [2]);
    }

    #[test]
    fn one_that_is_useless_is_not_replaced_at_once() {
        let mut story = Story::new();
        story.look("a", 0);
        story.ready("a", 1, 0);
        let now = story.at(1);
        story.shelf.give_up(&"a", &1, now, ("it died".to_owned(), false));
        assert_eq!(story.look("a", 2), Found::Cold("it died".to_owned()));
        assert_eq!(story.look("a", 62), start(None));
    }
}
