//! Masks byte strings in a stream, also where a chunk's border cuts them. Holds back only what may still become one.

use std::collections::{BTreeSet, HashMap};
use std::ops::Range;

use aho_corasick::automaton::{Automaton, StateID};
use aho_corasick::{Anchored, BuildError, MatchKind, Span, dfa, nfa};

/// What stands in the place of a secret, or of several that overlap.
const MASK: &[u8] = b"******";

/// Up to so many bytes of secrets are worth the faster automaton, which takes about half a kilobyte for each.
const DENSE_BYTES: usize = 16 << 10;

/// A stream and the secrets that must not be in it.
#[derive(Debug)]
pub(super) struct Mask {
    machine: Machine,
    start: StateID,
    state: StateID,
    /// How many bytes of a secret each state has seen: so many bytes of the stream are not decided yet.
    depths: HashMap<StateID, usize>,
    longest: usize,
    /// The undecided end of the stream.
    held: Vec<u8>,
    /// Secrets in `held`: in order, none overlapping another.
    hidden: Vec<Range<usize>>,
    /// The first of `hidden` began before `held`, and its mask is out.
    is_begun: bool,
}

#[derive(Debug)]
enum Machine {
    Dense(dfa::DFA),
    Sparse(nfa::contiguous::NFA),
}

impl Mask {
    /// Nothing if there are no secrets; empty ones are none. The error says that they are too large to look for.
    pub(super) fn new(secrets: &BTreeSet<Vec<u8>>) -> Result<Option<Self>, BuildError> {
        let secrets: Vec<&[u8]> = secrets.iter().map(Vec::as_slice).filter(|s| !s.is_empty()).collect();
        if secrets.is_empty() {
            return Ok(None);
        }
        // The standard kind finds every secret, also those inside or across another.
        let kind = MatchKind::Standard;
        let machine = if secrets.iter().map(|secret| secret.len()).sum::<usize>() <= DENSE_BYTES {
            Machine::Dense(dfa::Builder::new().match_kind(kind).build(&secrets)?)
        } else {
            Machine::Sparse(nfa::contiguous::Builder::new().match_kind(kind).build(&secrets)?)
        };
        let (start, depths) = match &machine {
            Machine::Dense(dfa) => depths(dfa, &secrets),
            Machine::Sparse(nfa) => depths(nfa, &secrets),
        };
        Ok(Some(Self {
            machine,
            start,
            state: start,
            depths,
            longest: secrets.iter().map(|secret| secret.len()).max().unwrap_or(0),
            held: Vec::new(),
            hidden: Vec::new(),
            is_begun: false,
        }))
    }

    /// Takes more of the stream and appends what is decided by now.
    pub(super) fn push(&mut self, bytes: &[u8], out: &mut Vec<u8>) {
        let from = self.held.len();
        self.held.extend_from_slice(bytes);
        let scan = Scan {
            start: self.start,
            state: self.state,
            longest: self.longest,
        };
        let hidden = &mut self.hidden;
        let mut found = |end: usize, length: usize| hide(hidden, from + end - length..from + end);
        self.state = match &self.machine {
            Machine::Dense(dfa) => scan.run(dfa, bytes, &mut found),
            Machine::Sparse(nfa) => scan.run(nfa, bytes, &mut found),
        };
        let undecided = self.depths.get(&self.state).copied().unwrap_or(0);
        self.decide(self.held.len() - undecided, out);
    }

    /// Appends the rest: nothing more will come.
    pub(super) fn finish(&mut self, out: &mut Vec<u8>) {
        self.state = self.start;
        self.decide(self.held.len(), out);
    }

    /// No secret that is still to be found begins in the first `count` bytes that are held.
    fn decide(&mut self, count: usize, out: &mut Vec<u8>) {
        let mut position = 0;
        let mut undecided = Vec::new();
        for range in self.hidden.drain(..) {
            if range.start >= count {
                undecided.push(range.start - count..range.end - count);
                continue;
            }
            out.extend_from_slice(&self.held[position..range.start]);
            if !self.is_begun {
                out.extend_from_slice(MASK);
            }
            self.is_begun = range.end > count;
            if self.is_begun {
                undecided.push(0..range.end - count);
            }
            position = range.end.min(count);
        }
        out.extend_from_slice(&self.held[position..count]);
        self.held.drain(..count);
        self.hidden = undecided;
    }
}

/// Adds a secret; they come in the order of their ends.
fn hide(hidden: &mut Vec<Range<usize>>, mut range: Range<usize>) {
    while let Some(before) = hidden.pop_if(|before| range.start < before.end) {
        range.start = range.start.min(before.start);
    }
    hidden.push(range);
}

/// The start state, and how deep every other one is.
fn depths<A: Automaton>(automaton: &A, secrets: &[&[u8]]) -> (StateID, HashMap<StateID, usize>) {
    // Never an error: both builders make what an unanchored search needs.
    let start = automaton.start_state(Anchored::No).unwrap_or_default();
    let mut depths = HashMap::new();
    for secret in secrets {
        let mut state = start;
        for (index, byte) in secret.iter().enumerate() {
            state = automaton.next_state(Anchored::No, state, *byte);
            depths.insert(state, index + 1);
        }
    }
    (start, depths)
}

/// One chunk's way through the automaton.
#[derive(Clone, Copy)]
struct Scan {
    start: StateID,
    state: StateID,
    longest: usize,
}

impl Scan {
    /// Tells where in the chunk a secret ends and how long it is; answers with the state after the chunk.
    fn run<A: Automaton>(self, automaton: &A, bytes: &[u8], found: &mut impl FnMut(usize, usize)) -> StateID {
        let mut state = self.state;
        let mut at = 0;
        // Whole secrets may be looked for up to here; after it one may begin whose rest is in the next chunk.
        let safe = bytes.len().saturating_sub(self.longest - 1);
        let prefilter = automaton.prefilter();
        // Where the prefilter may look, if there is one.
        let leap_before = if prefilter.is_some() { safe } else { 0 };
        while at < bytes.len() {
            if at < leap_before && state == self.start {
                let next = prefilter.and_then(|p| p.find_in(bytes, Span::from(at..bytes.len())).into_option());
                at = next.map_or(safe, |next| next.min(safe));
                if at == bytes.len() {
                    break;
                }
            }
            state = automaton.next_state(Anchored::No, state, bytes[at]);
            at += 1;
            if automaton.is_special(state) && automaton.is_match(state) {
                let lengths = (0..automaton.match_len(state))
                    .map(|index| automaton.pattern_len(automaton.match_pattern(state, index)));
                found(at, lengths.max().unwrap_or(0));
            }
        }
        state
    }
}

#[cfg(test)]
mod tests;
