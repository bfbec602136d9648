//! Finds a text in a log's lines, as they are without escapes and in any case. Takes the bytes in any pieces, and holds no
//! more than a part of the longest line.

use regex::bytes::{Regex, RegexBuilder};

use crate::http::api::ansi::Stripper;

/// The longest text that is looked for, in characters.
pub(super) const LONGEST: usize = 200;

/// So much of a line is held until it is looked through.
const MOST: usize = 256 * 1024;

/// Looks for one text.
#[derive(Debug)]
pub(super) struct Finder {
    pattern: Regex,
    /// No match is longer: case folding changes how many bytes a character has, up to four.
    overlap: usize,
    /// The number of the line that has begun, from 1.
    line: u64,
    /// What is held of it.
    held: Vec<u8>,
    stripper: Stripper,
    is_found: bool,
}

impl Finder {
    /// Looks for that text; an error if it is too long or empty.
    pub(super) fn new(text: &str) -> Result<Self, String> {
        let length = text.chars().count();
        if length == 0 || length > LONGEST {
            return Err(format!("must have 1 to {LONGEST} characters"));
        }
        let pattern = RegexBuilder::new(&regex::escape(text)).case_insensitive(true).build();
        Ok(Self {
            pattern: pattern.map_err(|error| error.to_string())?,
            overlap: 4 * length,
            line: 1,
            held: Vec::new(),
            stripper: Stripper::default(),
            is_found: false,
        })
    }

    /// Takes the bytes that follow, and adds the numbers of lines that have the text to `found`.
    pub(super) fn add(&mut self, bytes: &[u8], found: &mut Vec<u64>) {
        let mut from = 0;
        for end in memchr::memchr_iter(b'\n', bytes) {
            self.take(&bytes[from..end], found);
            self.end_line(found);
            from = end + 1;
        }
        self.take(&bytes[from..], found);
    }

    /// There are no more bytes.
    pub(super) fn end(&mut self, found: &mut Vec<u64>) {
        self.look(found);
    }

    fn take(&mut self, bytes: &[u8], found: &mut Vec<u64>) {
        for piece in bytes.chunks(MOST) {
            if self.is_found {
                return;
            }
            if self.stripper == Stripper::Text && memchr::memchr(0x1b, piece).is_none() {
                self.held.extend_from_slice(piece);
            } else {
                self.held.extend(self.stripper.strip(piece));
            }
            if self.held.len() >= MOST {
                self.look(found);
                let known = self.held.len().saturating_sub(self.overlap);
                self.held.drain(..known);
            }
        }
    }

    fn end_line(&mut self, found: &mut Vec<u64>) {
        self.look(found);
        self.line += 1;
        self.held.clear();
        self.is_found = false;
        // What one line leaves open does not reach into the next.
        self.stripper = Stripper::default();
    }

    fn look(&mut self, found: &mut Vec<u64>) {
        if !self.is_found && self.pattern.is_match(&self.held) {
            self.is_found = true;
            found.push(self.line);
        }
    }
}

#[cfg(test)]
mod tests;
