//! How a log is divided: how many lines end in each part of it, and where its plays and tasks begin. Takes the bytes in any
//! pieces; reads no store.

use serde::{Serialize, Serializer};

use crate::http::api::ansi::Stripper;

/// Bytes of a part.
pub(super) const PART: u64 = 64 * 1024;

/// So much of a line's beginning is looked at: headers are no longer.
const HEAD: usize = 2048;

/// A log with more of them is not divided any further.
const MOST_SECTIONS: usize = 10_000;

/// Of a play's or a task's name, in characters.
const NAME: usize = 120;

/// What is known of a log so far.
#[derive(Clone, Debug, Default)]
pub(super) struct Outline {
    bytes: u64,
    /// How many lines end in each part.
    breaks: Vec<u32>,
    lines: u64,
    sections: Vec<Section>,
    /// Where the line begins that has not ended, and the first bytes of it.
    line_at: u64,
    head: Vec<u8>,
    /// The last bytes: they may be the beginning of a code point.
    tail: Vec<u8>,
}

/// A play or a task, by its header.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Section {
    /// The number of the header's line, from 1.
    line: u64,
    kind: Kind,
    failed: bool,
    name: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Play,
    Task,
    Recap,
}

/// What a line says.
#[derive(Debug, PartialEq, Eq)]
enum Meaning {
    Header(Kind, String),
    Failed,
    Ignored,
    Nothing,
}

/// An outline as scripts read it.
#[derive(Debug, Serialize)]
pub(super) struct OutlineView<'a> {
    /// How far it goes: to the end of a complete log, else to the end of a line, if that is not far.
    bytes: u64,
    part: u64,
    breaks: &'a [u32],
    /// Whether the last line has no end.
    open: bool,
    complete: bool,
    sections: &'a [Section],
}

impl Outline {
    /// How much of the log it has seen.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Takes the bytes that follow.
    pub(super) fn add(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let room = usize::try_from(PART - self.bytes % PART).unwrap_or(usize::MAX);
            let (part, rest) = bytes.split_at(room.min(bytes.len()));
            self.add_within_a_part(part);
            bytes = rest;
        }
    }

    pub(super) fn view(&self, complete: bool) -> OutlineView<'_> {
        let bytes = if complete { self.bytes } else { self.settled() };
        let parts = usize::try_from(bytes.div_ceil(PART)).unwrap_or(usize::MAX);
        OutlineView {
            bytes,
            part: PART,
            breaks: &self.breaks[..parts.min(self.breaks.len())],
            open: bytes > self.line_at,
            complete,
            sections: &self.sections,
        }
    }

    /// To where a log that grows can be shown: what follows begins with a line, or with a code point of a long one.
    fn settled(&self) -> u64 {
        if self.bytes - self.line_at < PART {
            return self.line_at;
        }
        let rest = self.tail.utf8_chunks().last().map_or(&[][..], |chunk| chunk.invalid());
        let is_begun = std::str::from_utf8(rest).is_err_and(|error| error.error_len().is_none());
        self.bytes - if is_begun { rest.len() as u64 } else { 0 }
    }

    fn add_within_a_part(&mut self, part: &[u8]) {
        if self.bytes.is_multiple_of(PART) {
            self.breaks.push(0);
        }
        let mut ended = 0;
        let mut from = 0;
        for end in memchr::memchr_iter(b'\n', part) {
            self.end_line(&part[from..end]);
            self.line_at = self.bytes + end as u64 + 1;
            from = end + 1;
            ended += 1;
        }
        let begun = &part[from..];
        let room = HEAD - self.head.len();
        self.head.extend_from_slice(&begun[..begun.len().min(room)]);
        if let Some(breaks) = self.breaks.last_mut() {
            *breaks += ended;
        }
        self.tail.extend_from_slice(&part[part.len().saturating_sub(4)..]);
        self.tail.drain(..self.tail.len().saturating_sub(4));
        self.bytes += part.len() as u64;
    }

    /// The line that has begun ends with these bytes.
    fn end_line(&mut self, end: &[u8]) {
        self.lines += 1;
        let meaning = if self.head.is_empty() {
            meaning(&end[..end.len().min(HEAD)])
        } else {
            let room = HEAD - self.head.len();
            self.head.extend_from_slice(&end[..end.len().min(room)]);
            let meaning = meaning(&self.head);
            self.head.clear();
            meaning
        };
        match meaning {
            Meaning::Header(..) if self.sections.len() >= MOST_SECTIONS => {}
            Meaning::Header(kind, name) => self.sections.push(Section {
                line: self.lines,
                kind,
                failed: false,
                name,
            }),
            Meaning::Failed => self.set_failed(true),
            // The task did not matter after all.
            Meaning::Ignored => self.set_failed(false),
            Meaning::Nothing => {}
        }
    }

    fn set_failed(&mut self, failed: bool) {
        if let Some(section) = self.sections.last_mut() {
            section.failed = failed;
        }
    }
}

impl Serialize for Section {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let kind = match self.kind {
            Kind::Play => "play",
            Kind::Task => "task",
            Kind::Recap => "recap",
        };
        (self.line, kind, self.failed, &self.name).serialize(serializer)
    }
}

/// Headers as Ansible's default callback writes them (`banner` in ansible/utils/display.py), results as it colours them.
fn meaning(line: &[u8]) -> Meaning {
    let begin = without_colours(line);
    let may_mean = [
        &b"PLAY "[..],
        b"TASK [",
        b"RUNNING HANDLER [",
        b"fatal: [",
        b"failed: [",
        b"...ign",
    ]
    .iter()
    .any(|word| begin.starts_with(word));
    if !may_mean {
        return Meaning::Nothing;
    }
    let plain = Stripper::default().strip(begin);
    let text = String::from_utf8_lossy(&plain);
    let text = text.trim_end_matches('\r');
    if text.starts_with("fatal: [") || text.starts_with("failed: [") {
        return Meaning::Failed;
    }
    if text == "...ignoring" {
        return Meaning::Ignored;
    }
    header(text).unwrap_or(Meaning::Nothing)
}

fn header(text: &str) -> Option<Meaning> {
    let title = text.trim_end_matches('*');
    if text.len() - title.len() < 3 {
        return None;
    }
    let title = title.strip_suffix(' ')?;
    if title == "PLAY RECAP" {
        return Some(Meaning::Header(Kind::Recap, String::new()));
    }
    let (kind, rest) = [
        ("PLAY", Kind::Play),
        ("TASK", Kind::Task),
        ("RUNNING HANDLER", Kind::Task),
    ]
    .into_iter()
    .find_map(|(word, kind)| Some((kind, title.strip_prefix(word)?)))?;
    // A play without a name.
    if rest.is_empty() && kind == Kind::Play {
        return Some(Meaning::Header(kind, String::new()));
    }
    let name = rest.strip_prefix(" [")?.strip_suffix(']')?;
    Some(Meaning::Header(kind, name.chars().take(NAME).collect()))
}

/// A line from where its text begins.
fn without_colours(mut line: &[u8]) -> &[u8] {
    while let Some(rest) = line.strip_prefix(b"\x1b[") {
        let end = rest.iter().position(|byte| !matches!(byte, 0x20..=0x3f));
        match end {
            Some(end) => line = &rest[end + 1..],
            None => return rest,
        }
    }
    line
}

#[cfg(test)]
mod tests;
