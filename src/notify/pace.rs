//! How often is sent, and when is tried again. Never asks what time it is.

use std::collections::VecDeque;
use std::time::Duration;

use crate::config::Rate;
use crate::domain::timestamp::Timestamp;

/// The first wait after a message was not taken; each further one is twice as long, up to the longest.
const FIRST_WAIT: Duration = Duration::from_secs(1);
const LONGEST_WAIT: Duration = Duration::from_secs(15 * 60);

/// What the other side may ask us to wait.
const LONGEST_ASKED: Duration = Duration::from_secs(60 * 60);

/// How often a message is tried: for a bit more than two hours.
pub(super) const MOST_TRIES: u32 = 18;

/// How long to wait after a message was tried that often in vain; nothing: it is given up. `asked` is what the other
/// side wants.
pub(super) fn wait_after(tries: u32, asked: Option<Duration>) -> Option<Duration> {
    if tries >= MOST_TRIES {
        return None;
    }
    let doubled = FIRST_WAIT.saturating_mul(1_u32.checked_shl(tries.saturating_sub(1)).unwrap_or(u32::MAX));
    let own = doubled.min(LONGEST_WAIT);
    Some(own.max(asked.unwrap_or_default().min(LONGEST_ASKED)))
}

/// Remembers what was sent lately. Begins empty with each process.
#[derive(Clone, Debug)]
pub(super) struct Window {
    rate: Rate,
    sent: VecDeque<Timestamp>,
}

impl Window {
    pub(super) fn new(rate: Rate) -> Self {
        Self {
            rate,
            sent: VecDeque::new(),
        }
    }

    /// When the next message may be sent, if that is not now.
    pub(super) fn full_until(&mut self, now: Timestamp) -> Option<Timestamp> {
        let within = self.rate.within.duration();
        // A time that is still to come was noted before the clock was set back.
        self.sent.retain(|sent| *sent <= now && now.since(*sent) < within);
        let is_full = self.sent.len() >= usize::try_from(self.rate.messages).unwrap_or(usize::MAX);
        self.sent.front().filter(|_| is_full).map(|oldest| *oldest + within)
    }

    /// Notes that one is sent.
    pub(super) fn sends(&mut self, now: Timestamp) {
        self.sent.push_back(now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::span::Span;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_micros(seconds * 1_000_000)
    }

    #[test]
    fn each_wait_is_twice_the_one_before_up_to_the_longest_and_then_it_is_given_up() {
        let waits: Vec<u64> = (1..MOST_TRIES)
            .map(|tries| wait_after(tries, None).unwrap().as_secs())
            .collect();
        assert_eq!(waits[..11], [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 900]);
        assert!(waits[10..].iter().all(|wait| *wait == 900));
        let hours = waits.iter().sum::<u64>() as f64 / 3_600.0;
        assert!((2.0..2.5).contains(&hours), "{hours}");
        assert_eq!(wait_after(MOST_TRIES, None), None);
        assert_eq!(wait_after(u32::MAX, Some(Duration::from_secs(5))), None);
    }

    #[test]
    fn the_other_side_may_ask_for_a_longer_wait_within_limits() {
        let wait = |seconds| wait_after(3, Some(Duration::from_secs(seconds)));
        assert_eq!(wait(30), Some(Duration::from_secs(30)));
        assert_eq!(wait(1), Some(Duration::from_secs(4)));
        assert_eq!(wait(1_000_000), Some(Duration::from_secs(3_600)));
    }

    #[test]
    fn no_more_than_the_rate_are_sent_within_its_window() {
        let mut window = Window::new(Rate {
            messages: 2,
            within: Span::from_secs(10),
        });
        for (now, full_until) in [
            (0, None),
            (1, None),
            (2, Some(10)),
            (9, Some(10)),
            (10, None),
            (10, Some(11)),
        ] {
            let full = window.full_until(at(now));
            assert_eq!(full, full_until.map(at), "at {now}");
            if full.is_none() {
                window.sends(at(now));
            }
        }
    }

    #[test]
    fn a_clock_that_is_set_back_does_not_silence_anybody() {
        let mut window = Window::new(Rate {
            messages: 1,
            within: Span::from_secs(10),
        });
        window.sends(at(1_000_000));
        assert_eq!(window.full_until(at(5)), None);
    }
}
