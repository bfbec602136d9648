//! Heartbeats: an alert that must keep coming, and when it is missed. Never asks what time it is.

use std::time::Duration;

use crate::domain::span::Span;
use crate::domain::timestamp::Timestamp;

/// What a route expects of its alert.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Heartbeat {
    /// It is reported again at least that often.
    pub every: Span,
    /// How much later it may come; half of `every` where nothing is said.
    pub grace: Option<Span>,
}

/// A route that waits for a heartbeat.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Expected {
    pub route: String,
    pub heartbeat: Heartbeat,
    /// The notifiers that hear of a missed one.
    pub tell: Vec<String>,
}

/// What is known of a route's heartbeat.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pulse {
    pub route: String,
    /// Since when it is waited for.
    pub watched_since: Timestamp,
    /// When it last came, if it ever did.
    pub last_received_at: Option<Timestamp>,
    /// Since when it is missed, if it is.
    pub missed_since: Option<Timestamp>,
}

impl Heartbeat {
    /// How long it may stay away.
    pub fn patience(&self) -> Duration {
        let every = self.every.duration();
        let grace = self.grace.map_or(every / 2, Span::duration);
        every.saturating_add(grace)
    }
}

impl Pulse {
    /// When it last came, or when it began to be waited for.
    pub fn last_sign(&self) -> Timestamp {
        self.last_received_at
            .unwrap_or(self.watched_since)
            .max(self.watched_since)
    }

    /// When it is missed if it does not come until then; `None` if it is missed already. While the gateway was not there
    /// to hear it (before `listening_since`) nothing was missed.
    pub fn due(&self, heartbeat: &Heartbeat, listening_since: Timestamp) -> Option<Timestamp> {
        let since = self.last_sign().max(listening_since);
        self.missed_since.is_none().then(|| since + heartbeat.patience())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_micros(seconds * 1_000_000)
    }

    fn pulse(last: Option<i64>) -> Pulse {
        Pulse {
            route: "watchdog".to_owned(),
            watched_since: at(100),
            last_received_at: last.map(at),
            missed_since: None,
        }
    }

    const MINUTE: Heartbeat = Heartbeat {
        every: Span::from_secs(60),
        grace: None,
    };

    #[test]
    fn it_may_come_half_as_late_again_where_no_grace_is_given() {
        assert_eq!(MINUTE.patience(), Duration::from_secs(90));
        let strict = Heartbeat {
            grace: Some(Span::default()),
            ..MINUTE
        };
        assert_eq!(strict.patience(), Duration::from_secs(60));
    }

    #[test]
    fn it_is_due_after_the_last_one_or_after_the_watch_began() {
        assert_eq!(pulse(Some(200)).due(&MINUTE, at(0)), Some(at(290)));
        assert_eq!(pulse(None).due(&MINUTE, at(0)), Some(at(190)));
        let missed = Pulse {
            missed_since: Some(at(290)),
            ..pulse(Some(200))
        };
        assert_eq!(missed.due(&MINUTE, at(0)), None);
    }

    #[test]
    fn what_came_while_nobody_listened_is_not_missed() {
        assert_eq!(pulse(Some(200)).due(&MINUTE, at(1_000)), Some(at(1_090)));
    }
}
