//! Times and durations as pages show them: UTC from the server; a script turns times to the browser's zone.

use std::fmt;
use std::time::Duration;

use askama::filters::{Html, HtmlSafe, escape};

use crate::domain::timestamp::Timestamp;

/// A time, as an element that says exactly which.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Moment(pub(super) Timestamp);

impl fmt::Display for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let exact = self.0.to_string();
        // 2026-01-31T09:00:00.123Z → 2026-01-31 09:00:00 UTC; what is no such time stays as it is.
        let shown = match exact.split_once('T') {
            Some((day, time)) => format!("{day} {} UTC", time.get(..8).unwrap_or(time)),
            None => exact.clone(),
        };
        write!(f, "<time datetime=\"{exact}\">{shown}</time>")
    }
}

/// Digits, dashes and what is written above.
impl HtmlSafe for Moment {}

/// A sentence from elsewhere. The times in it, which the gateway writes in UTC, are elements like every other time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Told(pub(super) String);

impl fmt::Display for Told {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, word) in self.0.split(' ').enumerate() {
            if at > 0 {
                f.write_str(" ")?;
            }
            // As in "until 2026-01-31T09:00:00Z, or earlier".
            let end = word.find('Z').map_or(0, |end| end + 1);
            let (time, rest) = word.split_at(end);
            match time.parse() {
                Ok(time) => write!(f, "{}{}", Moment(time), Escaped(rest))?,
                Err(_) => Escaped(word).fmt(f)?,
            }
        }
        Ok(())
    }
}

/// What is no time is escaped above.
impl HtmlSafe for Told {}

/// A text, safe in a page.
struct Escaped<'a>(&'a str);

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Ok(escaped) = escape(self.0, Html);
        escaped.fmt(f)
    }
}

/// How long something took or takes: the two largest units, as in `3 min 20 s`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Length(pub(super) Duration);

impl fmt::Display for Length {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.0.as_secs();
        let (days, hours, minutes) = (seconds / 86_400, seconds / 3_600 % 24, seconds / 60 % 60);
        match (days, hours, minutes, seconds % 60) {
            (0, 0, 0, 0) => write!(f, "{} ms", self.0.subsec_millis()),
            (0, 0, 0, left) if left < 10 => write!(f, "{left}.{} s", self.0.subsec_millis() / 100),
            (0, 0, 0, left) => write!(f, "{left} s"),
            (0, 0, minutes, 0) => write!(f, "{minutes} min"),
            (0, 0, minutes, left) => write!(f, "{minutes} min {left} s"),
            (0, hours, 0, _) => write!(f, "{hours} h"),
            (0, hours, minutes, _) => write!(f, "{hours} h {minutes} min"),
            (days, 0, _, _) => write!(f, "{days} d"),
            (days, hours, _, _) => write!(f, "{days} d {hours} h"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_shown_in_utc_and_says_exactly_when() {
        let at = |text: &str| Moment(text.parse().unwrap()).to_string();
        assert_eq!(
            at("2026-01-31T09:00:00.123456Z"),
            "<time datetime=\"2026-01-31T09:00:00.123456Z\">2026-01-31 09:00:00 UTC</time>"
        );
        assert_eq!(
            at("2026-01-31T10:00:00+01:00"),
            "<time datetime=\"2026-01-31T09:00:00Z\">2026-01-31 09:00:00 UTC</time>"
        );
    }

    #[test]
    fn times_in_a_sentence_are_times_and_the_rest_is_text() {
        let told = |text: &str| Told(text.to_owned()).to_string();
        assert_eq!(
            told("cooling  down until 2026-01-31T09:00:00.5Z, at <most>"),
            "cooling  down until <time datetime=\"2026-01-31T09:00:00.5Z\">2026-01-31 09:00:00 UTC</time>, at &#60;most&#62;"
        );
        for text in ["Zürich", "<b>2026-01-31T09:00:00Z</b>", "no time at 9Z", ""] {
            assert!(!told(text).contains("<time"), "{text}");
            assert!(!told(text).contains("<b"), "{text}");
        }
    }

    #[test]
    fn a_duration_is_shown_by_its_two_largest_units() {
        let of = |millis: u64| Length(Duration::from_millis(millis)).to_string();
        let shown = [
            0,
            20,
            1_250,
            12_900,
            60_000,
            200_000,
            3_600_000,
            5_400_000,
            86_400_000,
            183_600_000,
        ]
        .map(of);
        let expected = [
            "0 ms",
            "20 ms",
            "1.2 s",
            "12 s",
            "1 min",
            "3 min 20 s",
            "1 h",
            "1 h 30 min",
            "1 d",
            "2 d 3 h",
        ];
        assert_eq!(shown, expected);
    }
}
