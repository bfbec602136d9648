//! The `Range` header, RFC 9110 section 14.

use std::ops::Range;

/// What a `Range` header asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Wanted {
    /// All of it: no range, one that cannot be read, or several, which a server may ignore.
    Whole,
    Part(Range<u64>),
    /// Nothing that exists.
    Unsatisfiable,
}

/// Reads the header's value for what has `length` bytes.
pub(super) fn wanted(header: Option<&str>, length: u64) -> Wanted {
    let range = header
        .and_then(|header| header.split_once('='))
        .filter(|(unit, _)| unit.trim().eq_ignore_ascii_case("bytes"))
        .map(|(_, range)| range.trim())
        .and_then(|range| range.split_once('-'));
    let Some((first, last)) = range else {
        return Wanted::Whole;
    };
    match (first, last) {
        ("", suffix) => match number(suffix) {
            None => Wanted::Whole,
            Some(0) => Wanted::Unsatisfiable,
            Some(_) if length == 0 => Wanted::Unsatisfiable,
            Some(count) => Wanted::Part(length.saturating_sub(count)..length),
        },
        (first, last) => {
            let last = if last.is_empty() { Some(u64::MAX) } else { number(last) };
            match (number(first), last) {
                (Some(first), Some(last)) if first > last => Wanted::Whole,
                (Some(first), Some(_)) if first >= length => Wanted::Unsatisfiable,
                (Some(first), Some(last)) => Wanted::Part(first..last.saturating_add(1).min(length)),
                (None, _) | (_, None) => Wanted::Whole,
            }
        }
    }
}

/// Digits only; a number beyond all bounds is as good as the greatest.
fn number(text: &str) -> Option<u64> {
    let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    digits.then(|| text.parse().unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_read_as_the_rfc_says() {
        for (header, expected) in [
            ("bytes=0-3", Wanted::Part(0..4)),
            ("bytes=4-", Wanted::Part(4..10)),
            ("bytes=9-9", Wanted::Part(9..10)),
            ("bytes=5-500", Wanted::Part(5..10)),
            ("bytes=0-99999999999999999999999", Wanted::Part(0..10)),
            ("Bytes=0-0", Wanted::Part(0..1)),
            ("bytes=-3", Wanted::Part(7..10)),
            ("bytes=-300", Wanted::Part(0..10)),
            ("bytes=10-", Wanted::Unsatisfiable),
            ("bytes=10-20", Wanted::Unsatisfiable),
            ("bytes=99999999999999999999999-", Wanted::Unsatisfiable),
            ("bytes=-0", Wanted::Unsatisfiable),
            ("bytes=3-1", Wanted::Whole),
            ("bytes=0-1,4-5", Wanted::Whole),
            ("bytes=-", Wanted::Whole),
            ("bytes=a-b", Wanted::Whole),
            ("bytes=+1-2", Wanted::Whole),
            ("bytes=1 - 2", Wanted::Whole),
            ("bytes", Wanted::Whole),
            ("", Wanted::Whole),
            ("lines=0-3", Wanted::Whole),
        ] {
            assert_eq!(wanted(Some(header), 10), expected, "{header:?}");
        }
        assert_eq!(wanted(None, 10), Wanted::Whole);
    }

    #[test]
    fn nothing_of_an_empty_log_can_be_a_part() {
        for header in ["bytes=0-", "bytes=0-0", "bytes=-1"] {
            assert_eq!(wanted(Some(header), 0), Wanted::Unsatisfiable, "{header:?}");
        }
    }
}
