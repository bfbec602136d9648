//! Typed reading of YAML: each value is checked where it stands, and every error is recorded, not only the first.

pub(crate) mod keys;
mod slot;
mod suggest;

use crate::config::diagnostic::{Findings, Mark};
use crate::config::yaml::{Entry, Node};
use crate::domain::span::Span;
pub(crate) use keys::{Key, Keys};
pub(crate) use suggest::did_you_mean;

/// A value with the path of keys that leads to it, such as `routes[0].retry.backoff`.
#[derive(Clone, Debug)]
pub(crate) struct Slot<'a> {
    pub(crate) path: String,
    pub(crate) at: &'a Mark,
    pub(crate) node: &'a Node,
    pub(crate) findings: &'a Findings,
}

/// The keys of a mapping.
#[derive(Clone, Debug)]
pub(crate) struct Fields<'a> {
    path: String,
    /// Where to report what is missing.
    pub(crate) at: &'a Mark,
    entries: &'a [Entry],
    pub(crate) findings: &'a Findings,
}

fn join(path: &str, key: &str) -> String {
    if path.is_empty() {
        key.to_owned()
    } else {
        format!("{path}.{key}")
    }
}

impl<'a> Fields<'a> {
    /// The value of a key, if the key is there.
    pub(crate) fn get(&self, key: &str) -> Option<Slot<'a>> {
        let entry = self.entries.iter().find(|entry| entry.key == key)?;
        let parent = Slot {
            path: self.path.clone(),
            at: self.at,
            node: &entry.value,
            findings: self.findings,
        };
        Some(parent.below(entry))
    }

    /// A mapping that was left out: it has no keys.
    pub(crate) fn absent(&self, key: &str) -> Self {
        Self {
            path: join(&self.path, key),
            at: self.at,
            entries: &[],
            findings: self.findings,
        }
    }

    /// The value of a key; an error if the key is not there.
    pub(crate) fn require(&self, key: &str) -> Option<Slot<'a>> {
        let slot = self.get(key);
        if slot.is_none() {
            let message = format!("`{}` is missing", join(&self.path, key));
            self.findings.error(self.at, message);
        }
        slot
    }

    /// A text that may be left out.
    pub(crate) fn text(&self, key: &str) -> Option<String> {
        self.get(key)?.text().map(str::to_owned)
    }

    /// `true` or `false`, or the default.
    pub(crate) fn flag(&self, key: &str, default: bool) -> bool {
        self.get(key).and_then(|slot| slot.flag()).unwrap_or(default)
    }

    /// A duration longer than nothing, or the default.
    pub(crate) fn positive_span(&self, key: &str, default: Span) -> Span {
        self.get(key).and_then(|slot| slot.positive_span()).unwrap_or(default)
    }

    /// One of a few words, or the default.
    pub(crate) fn word<T: Copy>(&self, key: &str, words: &[(&str, T)], default: T) -> T {
        self.get(key).and_then(|slot| slot.word(words)).unwrap_or(default)
    }
}
