//! The section `retention`: how long records are kept.

use crate::config::fields::{Fields, Key, Keys, Slot};
use crate::domain::span::Span;

pub(super) const KEYS: Keys = Keys::of(&[
    Key::of(
        "jobs",
        "`90d`",
        "how long finished jobs are kept. See [Operations](../operations.md#what-is-kept-and-how-long)",
    ),
    Key::of(
        "logs",
        "`30d`",
        "how long the logs of attempts that have ended are kept",
    ),
    Key::of(
        "size",
        "none",
        "how much of the database may be in use, as in `10GiB` (KiB, MiB, GiB, TiB; 64MiB at least), before older logs and jobs go earlier",
    ),
]);

/// With less there is no room for the history of a single storm.
const SMALLEST: u64 = 64 << 20;

const UNITS: [(&str, u64); 4] = [("KiB", 1 << 10), ("MiB", 1 << 20), ("GiB", 1 << 30), ("TiB", 1 << 40)];

/// How long finished things are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retention {
    pub jobs: Span,
    pub logs: Span,
    /// How many bytes of the database may be in use before older things go earlier.
    pub size: Option<u64>,
}

impl Retention {
    pub(super) fn read(fields: &Fields<'_>) -> Self {
        Self {
            jobs: fields.positive_span("jobs", Span::from_secs(90 * 86_400)),
            logs: fields.positive_span("logs", Span::from_secs(30 * 86_400)),
            size: fields.get("size").and_then(|slot| size(&slot)),
        }
    }
}

fn size(slot: &Slot<'_>) -> Option<u64> {
    let text = slot.raw("a size such as 500MiB or 10GiB")?;
    match bytes(text) {
        Some(size) if size >= SMALLEST => Some(size),
        Some(_) => {
            slot.error("must be 64MiB or more");
            None
        }
        None => {
            slot.error(&format!(
                "is wrong: {text:?} is not a size: write a whole number and KiB, MiB, GiB or TiB, such as 10GiB"
            ));
            None
        }
    }
}

fn bytes(text: &str) -> Option<u64> {
    let (number, unit) = UNITS
        .iter()
        .find_map(|(name, unit)| Some((text.strip_suffix(name)?, unit)))?;
    let is_number = !number.is_empty() && number.bytes().all(|digit| digit.is_ascii_digit());
    number.parse::<u64>().ok().filter(|_| is_number)?.checked_mul(*unit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_whole_numbers_with_a_unit() {
        for (text, size) in [("64MiB", 64 << 20), ("10GiB", 10 << 30), ("0KiB", 0), ("1TiB", 1 << 40)] {
            assert_eq!(bytes(text), Some(size), "{text}");
        }
        for text in [
            "",
            "10",
            "GiB",
            "10GB",
            "10 GiB",
            "-1GiB",
            "+1GiB",
            "1.5GiB",
            "99999999999TiB",
        ] {
            assert_eq!(bytes(text), None, "{text}");
        }
    }
}
