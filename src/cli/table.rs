//! Tables for people at a terminal. Nothing that came from outside moves the cursor or sets a colour.

use clap::ValueEnum;
use serde_json::Value;

/// How a command prints what it lists.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Output {
    /// For people
    Table,
    /// As the API answers
    Json,
}

/// Columns as wide as they need to be, two spaces apart; the last one is never filled up.
pub(super) fn table(head: &[&str], rows: &[Vec<String>]) -> String {
    let head: Vec<String> = head.iter().map(|name| (*name).to_owned()).collect();
    let rows: Vec<Vec<String>> = std::iter::once(&head)
        .chain(rows)
        .map(|row| row.iter().map(|cell| printable(cell)).collect())
        .collect();
    let width = |column: usize| {
        let cells = rows.iter().filter_map(|row| row.get(column));
        cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..head.len()).map(width).collect();
    rows.iter().map(|row| line(row, &widths)).collect()
}

fn line(row: &[String], widths: &[usize]) -> String {
    let cells = row.iter().zip(widths).map(|(cell, width)| format!("{cell:width$}"));
    let line = cells.collect::<Vec<_>>().join("  ");
    format!("{}\n", line.trim_end())
}

/// The text with its control characters written out, as in Rust's texts.
pub(super) fn printable(text: &str) -> String {
    let mut printable = String::with_capacity(text.len());
    for character in text.chars() {
        match is_harmless(character) {
            true => printable.push(character),
            false => printable.extend(character.escape_default()),
        }
    }
    printable
}

/// Neither a control character nor one that turns the direction of what follows.
fn is_harmless(character: char) -> bool {
    !(character.is_control()
        || matches!(character, '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}'))
}

/// A member that is a list; nothing where there is none.
pub(super) fn items<'a>(value: &'a Value, name: &str) -> &'a [Value] {
    value[name].as_array().map_or(&[], Vec::as_slice)
}

/// A member as text; a dash where there is none.
pub(super) fn text(value: &Value, name: &str) -> String {
    value[name].as_str().unwrap_or("-").to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_they_need_to_be() {
        let rows = [
            vec!["é".to_owned(), "b".to_owned()],
            vec!["long".to_owned(), String::new()],
        ];
        assert_eq!(table(&["A", "SECOND"], &rows), "A     SECOND\né     b\nlong\n");
        assert_eq!(table(&["A"], &[]), "A\n");
    }

    #[test]
    fn what_came_from_outside_cannot_play_with_the_terminal() {
        assert_eq!(printable("a\u{1b}[31mb\n\u{202e}é"), "a\\u{1b}[31mb\\n\\u{202e}é");
    }
}
