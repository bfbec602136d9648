//! Finds the place in a file that a part of a text came from, through YAML's quoting.

use std::iter;

use crate::config::diagnostic::{Findings, Mark};
use crate::config::yaml::{Scalar, Style};

/// Where the byte `offset` of the scalar's text stands in the file. Where that cannot be told (a quoted text of
/// several lines), the scalar's own place.
pub(crate) fn locate(findings: &Findings, at: &Mark, scalar: &Scalar, offset: usize) -> Mark {
    let Mark::File { line, column } = *at else {
        return at.clone();
    };
    let offset = offset.min(scalar.text.len());
    let found = match scalar.style {
        Style::Block => in_block(findings, line, &scalar.text, offset),
        style => in_line(findings.line(line), column, style, offset).map(|column| (line, column)),
    };
    let Some((line, column)) = found else {
        return at.clone();
    };
    // Folding and odd escapes can lead astray; then the character there is another one.
    let meant = scalar.text.get(offset..).and_then(|rest| rest.chars().next());
    let there = findings.line(line).chars().nth(column - 1);
    let escaped = there == Some('\\') || there == Some('\'');
    if meant.is_none() || meant == there || escaped {
        Mark::File { line, column }
    } else {
        at.clone()
    }
}

/// The column of the byte in a scalar that stands on one line and begins at `column`.
fn in_line(source: &str, column: usize, style: Style, offset: usize) -> Option<usize> {
    let mut rest = source.chars().skip(column - 1).peekable();
    let mut place = column;
    if matches!(style, Style::SingleQuoted | Style::DoubleQuoted) {
        rest.next();
        place += 1;
    }
    let mut decoded = 0;
    while decoded < offset {
        let first = rest.next()?;
        let (bytes, taken) = match (style, first) {
            (Style::SingleQuoted, '\'') => {
                rest.next()?;
                (1, 2)
            }
            (Style::DoubleQuoted, '\\') => {
                let name = rest.next()?;
                let digits = match name {
                    'x' => 2,
                    'u' => 4,
                    'U' => 8,
                    _ => 0,
                };
                let code: String = iter::from_fn(|| rest.next()).take(digits).collect();
                let character = u32::from_str_radix(&code, 16).ok().and_then(char::from_u32);
                let bytes = match name {
                    // The escapes for characters outside ASCII: next line, no-break space, line and paragraph ends.
                    'N' | '_' => 2,
                    'L' | 'P' => 3,
                    _ => character.map_or(1, char::len_utf8),
                };
                (bytes, 2 + digits)
            }
            (_, character) => (character.len_utf8(), 1),
        };
        decoded += bytes;
        place += taken;
    }
    (decoded == offset).then_some(place)
}

/// Line and column of the byte in a block scalar, whose lines follow its header and share an indentation.
fn in_block(findings: &Findings, start: usize, text: &str, offset: usize) -> Option<(usize, usize)> {
    let before = text.get(..offset)?;
    let header = findings.line(start).trim_end().ends_with(['|', '>', '-', '+']);
    let first = if header { start + 1 } else { start };
    let first_text = text.lines().next()?;
    let source = findings.line(first);
    let indent = source.chars().count().checked_sub(first_text.chars().count())?;
    let line = first + before.matches('\n').count();
    let column = before.rsplit('\n').next()?.chars().count();
    Some((line, indent + column + 1))
}
