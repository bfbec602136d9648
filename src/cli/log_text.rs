//! Prints logs: to a terminal with their colours and nothing else that drives it, elsewhere byte for byte.

use std::io::{self, Write};

use crate::cli::table::is_harmless;
use crate::cli::terminal::Screen;

/// Longer than any colour: what goes on is no escape.
const LONGEST: usize = 64;

/// Standard output for a log.
#[derive(Debug)]
pub(super) struct LogOut {
    /// Only on a terminal.
    tamer: Option<Tamer>,
    is_gone: bool,
}

impl LogOut {
    pub(super) fn new(screen: Screen) -> Self {
        Self {
            tamer: screen.is_terminal().then(|| Tamer::new(screen.has_colour())),
            is_gone: false,
        }
    }

    /// Prints the next bytes. Whoever read them may go away: that is no failure.
    pub(super) fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        match &mut self.tamer {
            Some(tamer) => {
                let text = tamer.tame(bytes);
                self.put(text.as_bytes())
            }
            None => self.put(bytes),
        }
    }

    /// Prints what was held back of the last line, and ends its colour.
    pub(super) fn end(&mut self) -> io::Result<()> {
        match &mut self.tamer {
            Some(tamer) => {
                let text = tamer.end();
                self.put(text.as_bytes())
            }
            None => Ok(()),
        }
    }

    /// Whether nobody reads it any more.
    pub(super) const fn is_gone(&self) -> bool {
        self.is_gone
    }

    fn put(&mut self, bytes: &[u8]) -> io::Result<()> {
        if self.is_gone || bytes.is_empty() {
            return Ok(());
        }
        let mut out = io::stdout().lock();
        match out.write_all(bytes).and_then(|()| out.flush()) {
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => {
                self.is_gone = true;
                Ok(())
            }
            done => done,
        }
    }
}

/// Leaves colours in a text and takes away or writes out all else that a terminal would obey.
#[derive(Debug)]
struct Tamer {
    colour: bool,
    /// The beginning of a code point.
    cut: Vec<u8>,
    state: State,
    is_coloured: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum State {
    Text,
    /// After a carriage return, which is harmless only at the end of a line.
    Return,
    Escape,
    /// In `ESC [`, with what came since.
    Control(String),
    /// In a string such as a window title, which ends with BEL or `ESC \`.
    Command,
}

impl Tamer {
    const fn new(colour: bool) -> Self {
        Self {
            colour,
            cut: Vec::new(),
            state: State::Text,
            is_coloured: false,
        }
    }

    fn tame(&mut self, bytes: &[u8]) -> String {
        let mut all = std::mem::take(&mut self.cut);
        all.extend_from_slice(bytes);
        let mut text = String::with_capacity(all.len());
        let mut chunks = all.utf8_chunks().peekable();
        while let Some(chunk) = chunks.next() {
            for character in chunk.valid().chars() {
                self.take(character, &mut text);
            }
            let invalid = chunk.invalid();
            let may_go_on = std::str::from_utf8(invalid).is_err_and(|error| error.error_len().is_none());
            if chunks.peek().is_none() && may_go_on {
                self.cut = invalid.to_vec();
            } else if !invalid.is_empty() {
                self.take(char::REPLACEMENT_CHARACTER, &mut text);
            }
        }
        text
    }

    fn end(&mut self) -> String {
        let mut text = String::new();
        if !std::mem::take(&mut self.cut).is_empty() {
            self.take(char::REPLACEMENT_CHARACTER, &mut text);
        }
        if std::mem::take(&mut self.is_coloured) {
            text.push_str("\u{1b}[0m");
        }
        text
    }

    fn take(&mut self, character: char, text: &mut String) {
        self.state = match std::mem::replace(&mut self.state, State::Text) {
            State::Text => self.plain(character, text),
            State::Return => {
                if character != '\n' {
                    text.push_str("^M");
                }
                self.plain(character, text)
            }
            State::Escape => match character {
                '[' => State::Control(String::new()),
                ']' | 'P' | 'X' | '^' | '_' => State::Command,
                ' '..='/' => State::Escape,
                '0'..='~' => State::Text,
                other => self.plain(other, text),
            },
            State::Control(so_far) => self.control(so_far, character, text),
            State::Command => match character {
                '\u{7}' | '\u{9c}' => State::Text,
                // With the `\` that ends it.
                '\u{1b}' => State::Escape,
                // No title goes on over lines: it was broken off, and must not swallow the rest of the log.
                '\n' => self.plain(character, text),
                _ => State::Command,
            },
        };
    }

    fn plain(&self, character: char, text: &mut String) -> State {
        match character {
            '\u{1b}' => return State::Escape,
            '\u{9b}' => return State::Control(String::new()),
            '\r' => return State::Return,
            '\n' | '\t' => text.push(character),
            // As `less` and `cat -v` write them.
            '\0'..='\u{1f}' => text.extend(['^', char::from(character as u8 ^ 0x40)]),
            character if is_harmless(character) => text.push(character),
            character => text.extend(character.escape_unicode()),
        }
        State::Text
    }

    fn control(&mut self, mut so_far: String, character: char, text: &mut String) -> State {
        match character {
            'm' => {
                let is_colour = so_far.chars().all(|c| c.is_ascii_digit() || c == ';' || c == ':');
                if self.colour && is_colour && !hides(&so_far) {
                    self.is_coloured = !matches!(so_far.as_str(), "" | "0");
                    text.push_str(&format!("\u{1b}[{so_far}m"));
                }
                State::Text
            }
            ' '..='?' if so_far.len() < LONGEST => {
                so_far.push(character);
                State::Control(so_far)
            }
            ' '..='~' => State::Text,
            other => self.plain(other, text),
        }
    }
}

/// Whether a colour makes a text invisible (8, "conceal"); in `38;5;8` that is a part of another one.
fn hides(colour: &str) -> bool {
    let mut parameters = colour.split(';');
    while let Some(parameter) = parameters.next() {
        match parameter.trim_start_matches('0') {
            "8" => return true,
            "38" | "48" | "58" => match parameters.next() {
                Some("5") => drop(parameters.next()),
                Some("2") => drop(parameters.nth(2)),
                Some(_) | None => {}
            },
            _ => {}
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{any, proptest};

    use super::*;

    fn tame(bytes: &[u8], colour: bool) -> String {
        let mut tamer = Tamer::new(colour);
        let text = tamer.tame(bytes);
        text + &tamer.end()
    }

    #[test]
    fn colours_stay_and_nothing_else_drives_the_terminal() {
        for (log, shown) in [
            ("plain\ttext\r\nnext", "plain\ttext\nnext"),
            ("\x1b[0;31mfatal\x1b[0m: é", "\x1b[0;31mfatal\x1b[0m: é"),
            ("\x1b[38;5;196mred", "\x1b[38;5;196mred\x1b[0m"),
            ("\x1b[8mhidden\x1b[0;08mtoo", "hiddentoo"),
            ("\x1b[38;5;8mgrey", "\x1b[38;5;8mgrey\x1b[0m"),
            ("\x1b[48;2;8;8;8mdark", "\x1b[48;2;8;8;8mdark\x1b[0m"),
            ("\x1b[38;5;8;8mhidden", "hidden"),
            ("a\u{61c}\u{ad}b", "a\\u{61c}\\u{ad}b"),
            ("\x1b[2J\x1b[H\x1b[?1049hhidden", "hidden"),
            ("\x1b[>4;2mkeys\x1b[?4m", "keys"),
            ("\x1b]0;title\x07rest", "rest"),
            ("\x1b]52;c;ZXZpbA==\x1b\\rest", "rest"),
            ("\x1bP+q544e\x1b\\rest", "rest"),
            ("\x1bcreset \x1b(0x", "reset x"),
            ("ok\rfailed", "ok^Mfailed"),
            ("a\x07\x08\x00b", "a^G^H^@b"),
            ("\u{9b}2Jx\u{9d}", "x\\u{9d}"),
            ("\u{202e}gnp", "\\u{202e}gnp"),
            ("cut \x1b[3\nnext", "cut \nnext"),
            ("cut \x1b]0;title\nnext", "cut \nnext"),
        ] {
            assert_eq!(tame(log.as_bytes(), true), shown, "{log:?}");
        }
        assert_eq!(tame(b"\xff\x1b[31mred\x1b[0m\xe2\x82", false), "\u{fffd}red\u{fffd}");
    }

    proptest! {
        #[test]
        fn whatever_comes_only_colours_come_out(bytes in any::<Vec<u8>>(), text in "[\\x1b\\[\\]0-9;:?>mJ\\x07\\x9b\\\\ ]{0,40}") {
            for bytes in [bytes.as_slice(), text.as_bytes()] {
                let shown = tame(bytes, true);
                let mut rest = shown.as_str();
                while let Some((before, after)) = rest.split_once('\u{1b}') {
                    assert!(before.chars().all(|c| c == '\n' || c == '\t' || is_harmless(c)), "{shown:?}");
                    let parameters = after.strip_prefix('[').unwrap().trim_start_matches(|c: char| c.is_ascii_digit() || c == ';' || c == ':');
                    rest = parameters.strip_prefix('m').unwrap();
                }
            }
        }

        #[test]
        fn how_a_log_is_cut_into_pieces_does_not_matter(text in "[\\x1b\\[\\]0-9;mé\\x07\r\n]{0,40}", at in any::<u8>()) {
            let at = usize::from(at) % (text.len() + 1);
            let mut tamer = Tamer::new(true);
            let mut pieces = tamer.tame(&text.as_bytes()[..at]);
            pieces.push_str(&tamer.tame(&text.as_bytes()[at..]));
            pieces.push_str(&tamer.end());
            assert_eq!(pieces, tame(text.as_bytes(), true));
        }
    }
}
