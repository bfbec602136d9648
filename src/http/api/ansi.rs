//! Takes terminal escapes out of a text that comes in pieces.

/// Remembers where in an escape the last piece ended. Line ends and tabs stay.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Stripper {
    #[default]
    Text,
    /// After ESC.
    Escape,
    /// After ESC and intermediate bytes, as in a choice of character set.
    Intermediate,
    /// In a control sequence, as in `ESC [ 31 m`.
    Control,
    /// In a string, as in a window title, which ends with BEL or with ESC `\`, and with its line at the latest: else one that was
    /// broken off would hide the rest of a log.
    Command,
    /// In a string, after ESC.
    CommandEscape,
}

const ESC: u8 = 0x1b;
const BEL: u8 = 0x07;

impl Stripper {
    /// What is left of the next piece.
    pub(crate) fn strip(&mut self, piece: &[u8]) -> Vec<u8> {
        let mut plain = Vec::with_capacity(piece.len());
        for byte in piece {
            *self = self.after(*byte, &mut plain);
        }
        plain
    }

    fn after(self, byte: u8, plain: &mut Vec<u8>) -> Self {
        match (self, byte) {
            (Self::Command | Self::CommandEscape, ESC) => Self::CommandEscape,
            (_, ESC) => Self::Escape,
            (Self::Text, _) => {
                plain.push(byte);
                Self::Text
            }
            (Self::Escape, b'[') => Self::Control,
            (Self::Escape, b']' | b'P' | b'X' | b'^' | b'_') => Self::Command,
            (Self::Escape | Self::Intermediate, 0x20..=0x2f) => Self::Intermediate,
            (Self::Control, 0x20..=0x3f) => Self::Control,
            (Self::Command | Self::CommandEscape, b'\n') => {
                plain.push(byte);
                Self::Text
            }
            (Self::Command, BEL) | (Self::CommandEscape, b'\\' | BEL) => Self::Text,
            (Self::Command | Self::CommandEscape, _) => Self::Command,
            (Self::Escape | Self::Intermediate | Self::Control, 0x30..=0x7e) => Self::Text,
            // Not a part of any escape: it was broken off.
            (Self::Escape | Self::Intermediate | Self::Control, _) => {
                plain.push(byte);
                Self::Text
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{any, proptest};

    use super::*;

    fn strip(text: &[u8]) -> Vec<u8> {
        Stripper::default().strip(text)
    }

    #[test]
    fn escapes_go_and_everything_else_stays() {
        for (with, without) in [
            ("plain\ttext\r\n", "plain\ttext\r\n"),
            ("\x1b[0;31mfatal\x1b[0m: é", "fatal: é"),
            ("\x1b[?25l\x1b[38;5;196mred\x1b[K", "red"),
            ("\x1b]0;title\x07rest", "rest"),
            ("\x1b]8;;http://a\x1b\\link\x1b]8;;\x1b\\", "link"),
            ("\x1b(Bx\x1b=y\x1bcz", "xyz"),
            ("cut off \x1b[3\nnext", "cut off \nnext"),
            ("cut off \x1b]0;title\nnext\x1bP\x1b\nlast", "cut off \nnext\nlast"),
        ] {
            assert_eq!(String::from_utf8(strip(with.as_bytes())).unwrap(), without, "{with:?}");
        }
    }

    proptest! {
        #[test]
        fn how_a_text_is_cut_into_pieces_does_not_matter(text in "[\\x1b\\[\\]0-9;ma\\x07\\\\]{0,40}", at in any::<u8>()) {
            let at = usize::from(at) % (text.len() + 1);
            let mut stripper = Stripper::default();
            let mut pieces = stripper.strip(&text.as_bytes()[..at]);
            pieces.extend(stripper.strip(&text.as_bytes()[at..]));
            assert_eq!(pieces, strip(text.as_bytes()));
        }
    }
}
