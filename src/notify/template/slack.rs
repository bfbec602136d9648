//! Texts for Slack's mrkdwn, which has no escapes but three entities: whatever else would be markup becomes a character that
//! looks the same, or nearly.
//!
//! Source: <https://docs.slack.dev/messaging/formatting-message-text/>.

use minijinja::Value;

/// A value as it stands in a message. `links` are those that templates put between angle brackets; the first one leads to
/// this gateway and may stand anywhere.
pub(super) fn printed(value: &Value, links: &[String]) -> String {
    let text = value.to_string();
    if value.is_safe() {
        // A filter has seen to it.
        return text;
    }
    if links.contains(&text) {
        return escaped(&text);
    }
    match links.first().filter(|own| !own.is_empty()) {
        None => plain(&text),
        Some(own) => text
            .split(own.as_str())
            .map(plain)
            .collect::<Vec<_>>()
            .join(&escaped(own)),
    }
}

/// Without what Slack takes for mentions, links and entities.
pub(super) fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

/// Without bold, italics, code, quotes, and without links that nobody has put between angle brackets.
fn plain(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut before = None;
    let mut chars = text.chars().peekable();
    while let Some(char) = chars.next() {
        let after = chars.peek().copied();
        plain.push(match char {
            '*' => '\u{2217}',
            '~' => '\u{223c}',
            '`' => '\u{02cb}',
            // Within a word it is no markup, and names of labels are full of it.
            '_' if !(is_of_word(before) && is_of_word(after)) => '\u{02cd}',
            // It quotes where a line begins.
            '>' if matches!(before, None | Some('\n')) => '\u{203a}',
            other => other,
        });
        if char == ':' && after == Some('/') {
            // Keeps a scheme from what follows it.
            plain.push('\u{200b}');
        }
        before = Some(char);
    }
    escaped(&plain)
}

fn is_of_word(char: Option<char>) -> bool {
    char.is_some_and(|char| char.is_alphanumeric() || char == '_')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str) -> String {
        let links = ["https://gate/api/v1/jobs/1".to_owned(), "http://p/?a=1&b=2".to_owned()];
        // What cannot be seen is shown.
        printed(&Value::from(text), &links).replace('\u{200b}', "~")
    }

    #[test]
    fn nothing_from_outside_is_markup() {
        for (text, expected) in [
            ("*bold* and ~gone~", "∗bold∗ and ∼gone∼"),
            ("_slanted_ pod_name _", "ˍslantedˍ pod_name ˍ"),
            ("`code` ```block", "ˋcodeˋ ˋˋˋblock"),
            ("> quoted\n> too, 1 > 0", "› quoted\n› too, 1 &gt; 0"),
            (
                "<!channel> & <http://evil|x>",
                "&lt;!channel&gt; &amp; &lt;http:~//evil|x&gt;",
            ),
            ("http://evil https://evil/x", "http:~//evil https:~//evil/x"),
            ("12:30", "12:30"),
        ] {
            assert_eq!(shown(text), expected, "{text:?}");
        }
    }

    #[test]
    fn our_own_links_stay_what_they_are() {
        assert_eq!(shown("http://p/?a=1&b=2"), "http://p/?a=1&amp;b=2");
        assert_eq!(shown("see http://p/?a=1&b=2"), "see http:~//p/?a=1&amp;b=2");
        assert_eq!(
            shown("POST https://gate/api/v1/jobs/1/rerun, *now*"),
            "POST https://gate/api/v1/jobs/1/rerun, ∗now∗"
        );
    }
}
