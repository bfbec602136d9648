//! Times as people read them: how long ago, and for how long. Asks no clock.

use std::time::Duration;

use serde_json::Value;

use crate::domain::timestamp::Timestamp;

/// How long that is, in its two largest units.
pub(super) fn long(duration: Duration) -> String {
    let seconds = duration.as_secs();
    let (minutes, hours, days) = (seconds / 60, seconds / 3_600, seconds / 86_400);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds}s"),
        (0, 0, _) => format!("{minutes}m{:02}s", seconds % 60),
        (0, _, _) => format!("{hours}h{:02}m", minutes % 60),
        (_, _, _) => format!("{days}d{:02}h", hours % 24),
    }
}

/// How long ago a member's time is; a dash where there is none.
pub(super) fn age(value: &Value, name: &str, now: Timestamp) -> String {
    let at = time(value, name);
    at.map_or_else(|| "-".to_owned(), |at| long(now.since(at)))
}

/// How long it still takes until a member's time; a dash where there is none.
pub(super) fn left(value: &Value, name: &str, now: Timestamp) -> String {
    let at = time(value, name);
    at.map_or_else(|| "-".to_owned(), |at| long(at.since(now)))
}

/// A member that is a time, to the second, and how long ago it is.
pub(super) fn moment(value: &Value, name: &str, now: Timestamp) -> Option<String> {
    let at = time(value, name)?;
    Some(format!("{} ({} ago)", second(at), long(now.since(at))))
}

/// How long it took from one member to another, or takes already.
pub(super) fn took(value: &Value, (from, to): (&str, &str), now: Timestamp) -> String {
    let Some(from) = time(value, from) else {
        return "-".to_owned();
    };
    long(time(value, to).unwrap_or(now).since(from))
}

/// To the second.
pub(super) fn second(at: Timestamp) -> String {
    Timestamp::from_micros(at.as_micros().div_euclid(1_000_000) * 1_000_000).to_string()
}

/// A member that is a time.
pub(super) fn time(value: &Value, name: &str) -> Option<Timestamp> {
    value[name].as_str()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_length_is_told_in_its_two_largest_units() {
        for (seconds, told) in [
            (0, "0s"),
            (59, "59s"),
            (61, "1m01s"),
            (3_599, "59m59s"),
            (3_600, "1h00m"),
            (90_000, "1d01h"),
            (8_640_000, "100d00h"),
        ] {
            assert_eq!(long(Duration::from_secs(seconds)), told);
        }
    }

    #[test]
    fn a_time_is_told_with_its_age_and_what_has_none_is_a_dash() {
        let job = json!({ "at": "2026-01-31T09:00:00.123456Z", "end": "2026-01-31T09:00:30Z", "none": null });
        let now: Timestamp = "2026-01-31T09:02:00Z".parse().unwrap();
        assert_eq!(age(&job, "at", now), "1m59s");
        assert_eq!(age(&job, "none", now), "-");
        assert_eq!(left(&job, "at", now), "0s");
        assert_eq!(moment(&job, "at", now).unwrap(), "2026-01-31T09:00:00Z (1m59s ago)");
        assert_eq!(took(&job, ("at", "end"), now), "29s");
        assert_eq!(took(&job, ("at", "none"), now), "1m59s");
    }
}
