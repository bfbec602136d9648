//! Tables for people at a terminal, folded to its width. Nothing that came from outside moves the cursor or sets a colour.

use clap::ValueEnum;
use comfy_table::{ColumnConstraint, ContentArrangement, Table, Width};
use serde_json::Value;
use unicode_width::UnicodeWidthStr;

use crate::cli::terminal::{Hue, Screen};

/// How a command prints what it lists.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Output {
    /// For people
    Table,
    /// As the API answers
    Json,
}

/// Columns whose cells are never folded: words with a colour, such as a status, and what is copied as one.
const WHOLE: &[&str] = &["STATUS", "DECISION", "STATE", "OUTCOME", "RESULT", "ID", "AGE"];

/// Folded further than this, words cannot be read: then it is the terminal that folds lines.
const NARROWEST: u16 = 6;

/// Has no width, and is in no text from outside: marks where a colour ends while a table is laid out.
const PLAIN: char = '\u{2064}';

/// Columns as wide as they need to be, two spaces apart. On a terminal that is too narrow, cells are folded.
pub(super) fn table(screen: Screen, head: &[&str], rows: &[Vec<String>]) -> String {
    let mut table = Table::new();
    table
        .load_style(comfy_table::presets::NOTHING)
        .set_header(head.to_vec());
    if let Some(width) = screen.width() {
        // The space after the last column may be cut off.
        table
            .set_width(width + 2)
            .set_content_arrangement(ContentArrangement::Dynamic);
    }
    for row in rows {
        let cells = row.iter().zip(head).map(|(cell, name)| match WHOLE.contains(name) {
            true => marked(&printable(cell)),
            // A cell is one line, unless the terminal is narrow.
            false => printable(&cell.replace('\n', " ")),
        });
        table.add_row(cells.collect::<Vec<_>>());
    }
    for (at, (column, name)) in table.column_iter_mut().zip(head).enumerate() {
        column.set_padding((0, 2));
        let cells = rows.iter().filter_map(|row| Some(row.get(at)?.width()));
        let widest = cells.chain([name.width()]).max().unwrap_or(0);
        let least = u16::try_from(widest).unwrap_or(NARROWEST).min(NARROWEST) + 2;
        column.set_constraint(match WHOLE.contains(name) {
            true => ColumnConstraint::ContentWidth,
            false => ColumnConstraint::LowerBoundary(Width::Fixed(least)),
        });
    }
    let lines = table.lines().enumerate().map(|(at, line)| {
        let line = line.trim_end();
        match at {
            0 => format!("{}\n", screen.strong(line)),
            _ => format!("{}\n", painted(screen, line)),
        }
    });
    lines.collect()
}

/// The word between invisible marks, if it has a colour.
fn marked(word: &str) -> String {
    match Hue::of(word) {
        Some(hue) => format!("{}{word}{PLAIN}", hue.mark()),
        None => word.to_owned(),
    }
}

/// The line with colours where the marks are.
fn painted(screen: Screen, line: &str) -> String {
    let mut text = String::with_capacity(line.len());
    for character in line.chars() {
        match (Hue::marked_by(character), character == PLAIN) {
            (Some(hue), _) => text.push_str(screen.begin(hue)),
            (None, true) => text.push_str(screen.end()),
            (None, false) => text.push(character),
        }
    }
    text
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

/// Neither a control character nor one that turns the direction of what follows, or cannot be seen.
pub(super) fn is_harmless(character: char) -> bool {
    !(character.is_control()
        || matches!(
            character,
            '\u{ad}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}'  | '\u{3164}' | '\u{feff}' | '\u{ffa0}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}'
        ))
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

    fn rows(rows: &[&[&str]]) -> Vec<Vec<String>> {
        let row = |row: &&[&str]| row.iter().map(|cell| (*cell).to_owned()).collect();
        rows.iter().map(row).collect()
    }

    #[test]
    fn columns_are_as_wide_as_they_need_to_be_where_width_does_not_matter() {
        let rows = rows(&[&["é", "b"], &["long", ""]]);
        let nowhere = Screen::default();
        assert_eq!(table(nowhere, &["A", "SECOND"], &rows), "A     SECOND\né     b\nlong\n");
        assert_eq!(table(nowhere, &["A"], &[]), "A\n");
    }

    #[test]
    fn cells_are_folded_to_the_width_of_the_terminal_and_a_status_never_is() {
        let long = "a reason that goes on for quite a while";
        let rows = rows(&[&["awaiting_approval", long], &["failed", "日本語"]]);
        let narrow = table(Screen::terminal(40, false), &["STATUS", "REASON"], &rows);
        insta::assert_snapshot!(narrow, @r"
        STATUS             REASON
        awaiting_approval  a reason that goes on
                           for quite a while
        failed             日本語
        ");
    }

    #[test]
    fn cells_are_not_folded_into_single_letters() {
        let rows = rows(&[&["succeeded", "unverified", "2", "manual by operator"]]);
        let narrow = table(Screen::terminal(20, false), &["STATUS", "REASON", "N", "FOR"], &rows);
        insta::assert_snapshot!(narrow, @r"
        STATUS     REASON  N  FOR
        succeeded  unveri  2  manual
                   fied       by ope
                              rator
        ");
    }

    #[test]
    fn a_status_has_a_colour_on_a_terminal_that_shows_it() {
        let rows = rows(&[&["failed", "failed"], &["unknown", "x"]]);
        let coloured = table(Screen::terminal(40, true), &["STATUS", "WHY"], &rows);
        assert_eq!(
            coloured,
            "\u{1b}[1mSTATUS   WHY\u{1b}[0m\n\u{1b}[31mfailed\u{1b}[0m   failed\nunknown  x\n"
        );
    }

    #[test]
    fn what_came_from_outside_cannot_play_with_the_terminal() {
        assert_eq!(
            printable("a\u{1b}[31mb\n\u{202e}\u{2062}é"),
            "a\\u{1b}[31mb\\n\\u{202e}\\u{2062}é"
        );
        let rows = rows(&[&["\u{1b}[2J\u{2061}x\u{2064}"]]);
        let text = table(Screen::terminal(80, true), &["STATUS"], &rows);
        assert!(text.ends_with("\\u{1b}[2J\\u{2061}x\\u{2064}\n"), "{text:?}");
    }
}
