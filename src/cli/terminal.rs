//! What the terminal can show: whether it is one, how wide it is, whether colours are wanted. Prints nothing.

use std::collections::BTreeMap;
use std::io::IsTerminal;

use unicode_width::UnicodeWidthStr;

/// Colours that say how something is. Never the only sign: the word is always there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Hue {
    Good,
    Bad,
    Pending,
}

/// Where standard output goes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Screen {
    /// Columns and lines, on a terminal.
    size: Option<(u16, u16)>,
    colour: bool,
}

impl Screen {
    /// Standard output, as it is now. `NO_COLOR` (no-color.org) and `TERM=dumb` keep colours away.
    pub(super) fn of(environment: &BTreeMap<String, String>) -> Self {
        let out = std::io::stdout();
        if !out.is_terminal() {
            return Self::default();
        }
        let size = rustix::termios::tcgetwinsize(&out)
            .ok()
            .map(|size| (size.ws_col, size.ws_row));
        let unwanted = environment.get("NO_COLOR").is_some_and(|value| !value.is_empty());
        let is_dumb = environment.get("TERM").is_none_or(|term| term == "dumb");
        Self {
            // A terminal that does not know its size says 0.
            size: Some(size.filter(|(columns, _)| *columns > 0).unwrap_or((80, 24))),
            colour: !unwanted && !is_dumb,
        }
    }

    /// A terminal of that size, for tests.
    #[cfg(test)]
    pub(super) const fn terminal(columns: u16, colour: bool) -> Self {
        Self {
            size: Some((columns, 24)),
            colour,
        }
    }

    pub(super) const fn is_terminal(self) -> bool {
        self.size.is_some()
    }

    /// How many columns there are; `None` where it does not matter.
    pub(super) fn width(self) -> Option<u16> {
        self.size.map(|(columns, _)| columns)
    }

    /// How many lines there are.
    pub(super) fn height(self) -> Option<u16> {
        self.size.map(|(_, lines)| lines)
    }

    /// How many lines of the terminal a line takes that is longer than one.
    pub(super) fn rows(self, line: &str) -> usize {
        let columns = usize::from(self.width().unwrap_or(u16::MAX)).max(1);
        wide(line).div_ceil(columns).max(1)
    }

    pub(super) const fn has_colour(self) -> bool {
        self.colour
    }

    /// What begins a colour.
    pub(super) const fn begin(self, hue: Hue) -> &'static str {
        match (self.colour, hue) {
            (false, _) => "",
            (true, Hue::Good) => "\u{1b}[32m",
            (true, Hue::Bad) => "\u{1b}[31m",
            (true, Hue::Pending) => "\u{1b}[33m",
        }
    }

    /// What ends it.
    pub(super) const fn end(self) -> &'static str {
        if self.colour { "\u{1b}[0m" } else { "" }
    }

    /// A word in its colour, if it has one.
    pub(super) fn word(self, word: &str) -> String {
        match Hue::of(word) {
            Some(hue) => format!("{}{word}{}", self.begin(hue), self.end()),
            None => word.to_owned(),
        }
    }

    /// The text as a heading.
    pub(super) fn strong(self, text: &str) -> String {
        match self.colour {
            true => format!("\u{1b}[1m{text}\u{1b}[0m"),
            false => text.to_owned(),
        }
    }
}

/// How many columns a text takes; our colours take none.
fn wide(text: &str) -> usize {
    let mut parts = text.split('\u{1b}');
    let first = parts.next().map_or(0, UnicodeWidthStr::width);
    let after = parts.map(|part| part.split_once('m').map_or(0, |(_, text)| text.width()));
    first + after.sum::<usize>()
}

impl Hue {
    /// An invisible character that stands for it while a table is laid out.
    pub(super) const fn mark(self) -> char {
        match self {
            Self::Good => '\u{2061}',
            Self::Bad => '\u{2062}',
            Self::Pending => '\u{2063}',
        }
    }

    /// Which one the character stands for.
    pub(super) fn marked_by(character: char) -> Option<Self> {
        [Self::Good, Self::Bad, Self::Pending]
            .into_iter()
            .find(|hue| hue.mark() == character)
    }

    /// What a status, a reason, a decision or a state looks like.
    pub(super) fn of(word: &str) -> Option<Self> {
        match word {
            "succeeded" | "ok" | "healed" | "resolved" => Some(Self::Good),
            "failed" | "firing" | "lost" | "not_healed" | "open" | "unreachable" | "tripped" => Some(Self::Bad),
            "running" | "queued" | "verifying" | "awaiting_approval" | "warning" | "half_open" | "changed"
            | "paused" | "held" | "capped" | "cooling_down" | "flapping" => Some(Self::Pending),
            _ => None,
        }
    }
}
