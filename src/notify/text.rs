//! Makes texts from outside fit to be shown: no control characters, no tricks with the direction, no endless lines.

/// A text as one line of at most `most` characters.
pub(super) fn line(text: &str, most: usize) -> String {
    let joined = text.split_whitespace().collect::<Vec<_>>().join(" ");
    cut(&joined.chars().filter(|char| is_plain(*char)).collect::<String>(), most)
}

/// At most that many characters; one that was cut ends with an ellipsis.
pub(super) fn cut(text: &str, most: usize) -> String {
    if text.chars().count() <= most {
        return text.to_owned();
    }
    let kept: String = text.chars().take(most.saturating_sub(1)).collect();
    kept + "…"
}

/// What may stand in a line. Marks that turn the direction around can make a text read as another one.
/// Source: <https://www.unicode.org/reports/tr9/>, section 2.
pub(super) fn is_plain(char: char) -> bool {
    let turns = matches!(char, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    let breaks = matches!(char, '\u{2028}' | '\u{2029}');
    !char.is_control() && !turns && !breaks
}

/// A link that somebody may follow; nothing if the text is another thing.
pub(super) fn link(text: &str) -> Option<String> {
    let text = text.trim();
    let is_web = ["http://", "https://"].iter().any(|scheme| text.starts_with(scheme));
    let is_plain = !text.contains(|char: char| char.is_whitespace() || !is_plain(char));
    (is_web && is_plain).then(|| {
        text.chars().fold(String::with_capacity(text.len()), |mut link, char| {
            match char {
                '<' => link.push_str("%3C"),
                '>' => link.push_str("%3E"),
                '|' => link.push_str("%7C"),
                '"' => link.push_str("%22"),
                '`' => link.push_str("%60"),
                other => link.push(other),
            }
            link
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_one_line_whatever_it_was() {
        for (raw, expected) in [
            ("nginx is down", "nginx is down"),
            ("a\r\nBcc: x@example.org", "a Bcc: x@example.org"),
            ("  a\tb\n\n c ", "a b c"),
            ("a\x1b[31mred\x07", "a[31mred"),
            ("evil\u{202e}txt\u{2066}", "eviltxt"),
            ("a\u{2028}b", "a b"),
        ] {
            assert_eq!(line(raw, 100), expected, "{raw:?}");
        }
        assert_eq!(line("äöüß", 3), "äö…");
    }

    #[test]
    fn only_links_of_the_web_are_links_and_they_end_where_they_end() {
        assert_eq!(
            link("http://prom:9090/graph?g0.expr=up%7Bjob%3D%22a%22%7D&g0.tab=1").as_deref(),
            Some("http://prom:9090/graph?g0.expr=up%7Bjob%3D%22a%22%7D&g0.tab=1")
        );
        assert_eq!(
            link("https://a/x|evil>`\"<").as_deref(),
            Some("https://a/x%7Cevil%3E%60%22%3C")
        );
        for raw in [
            "",
            "javascript:alert(1)",
            "http://a b",
            "http://a\nhttp://b",
            "file:///etc",
            "prom:9090",
        ] {
            assert_eq!(link(raw), None, "{raw:?}");
        }
    }
}
