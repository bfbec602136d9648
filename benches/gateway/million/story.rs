//! What became of one job: when it was made, for what, how it ran, how it ended. Knows no tables.

use super::fleet::{Dice, Fleet, ROUTES, target};

const SECOND: i64 = 1_000_000;
const MINUTE: i64 = 60 * SECOND;
const HOUR: i64 = 60 * MINUTE;

/// Why a job ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reason {
    Healed,
    Unverified,
    NotHealed,
    HostsFailed,
    HostsUnreachable,
    NoHostsMatched,
    PlaybookError,
    StartFailed,
    TimedOut,
    Lost,
    PreconditionFailed,
    Silenced,
    Canceled,
    Rejected,
    Expired,
    ResolvedMeanwhile,
}

/// How many jobs of a thousand end like that.
const ENDS: [(Reason, u64); 16] = [
    (Reason::Healed, 560),
    (Reason::Unverified, 120),
    (Reason::NotHealed, 70),
    (Reason::HostsFailed, 90),
    (Reason::HostsUnreachable, 30),
    (Reason::NoHostsMatched, 3),
    (Reason::PlaybookError, 6),
    (Reason::StartFailed, 3),
    (Reason::TimedOut, 15),
    (Reason::Lost, 1),
    (Reason::PreconditionFailed, 20),
    (Reason::Silenced, 10),
    (Reason::Canceled, 8),
    (Reason::Rejected, 2),
    (Reason::Expired, 20),
    (Reason::ResolvedMeanwhile, 42),
];

impl Reason {
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Healed => "healed",
            Self::Unverified => "unverified",
            Self::NotHealed => "not_healed",
            Self::HostsFailed => "hosts_failed",
            Self::HostsUnreachable => "hosts_unreachable",
            Self::NoHostsMatched => "no_hosts_matched",
            Self::PlaybookError => "playbook_error",
            Self::StartFailed => "start_failed",
            Self::TimedOut => "timed_out",
            Self::Lost => "lost",
            Self::PreconditionFailed => "precondition_failed",
            Self::Silenced => "silenced",
            Self::Canceled => "canceled",
            Self::Rejected => "rejected",
            Self::Expired => "expired",
            Self::ResolvedMeanwhile => "resolved_meanwhile",
        }
    }

    const fn status(self) -> &'static str {
        match self {
            Self::Healed | Self::Unverified => "succeeded",
            Self::Silenced | Self::Canceled | Self::Rejected | Self::Expired | Self::ResolvedMeanwhile => "canceled",
            _ => "failed",
        }
    }

    /// How its last attempt ended; nothing if it never ran.
    const fn outcome(self) -> Option<&'static str> {
        match self {
            Self::Healed | Self::Unverified | Self::NotHealed => Some("ok"),
            Self::HostsFailed
            | Self::HostsUnreachable
            | Self::NoHostsMatched
            | Self::PlaybookError
            | Self::StartFailed
            | Self::TimedOut
            | Self::Lost => Some(self.as_str()),
            _ => None,
        }
    }
}

/// One run of the job.
#[derive(Clone, Debug)]
pub(super) struct Attempt {
    pub(super) outcome: &'static str,
    pub(super) started_at: i64,
    pub(super) finished_at: i64,
}

/// A job that others may follow.
#[derive(Clone, Debug)]
pub(super) struct Past {
    id: String,
    episode: Option<String>,
    route: usize,
    host: u64,
    starts_at: i64,
}

/// All of it.
#[derive(Clone, Debug)]
pub(super) struct Story {
    pub(super) id: String,
    pub(super) at: i64,
    pub(super) route: usize,
    pub(super) host: u64,
    pub(super) target: String,
    pub(super) trigger: &'static str,
    /// The notification that caused it.
    pub(super) notification: Option<String>,
    pub(super) episode: Option<String>,
    /// The job that it repeats, or whose next rung it is.
    pub(super) followed: Option<String>,
    pub(super) status: &'static str,
    pub(super) reason: Option<Reason>,
    pub(super) attempts: Vec<Attempt>,
    pub(super) verify_until: Option<i64>,
    pub(super) finished_at: Option<i64>,
    pub(super) healed_at: Option<i64>,
    /// Of the alert.
    pub(super) starts_at: i64,
    /// When the gateway learned of the alert's end.
    pub(super) closed_at: Option<i64>,
}

impl Story {
    pub(super) fn tell(fleet: &Fleet, dice: &mut Dice, at: i64, followed: Option<Past>) -> Self {
        let is_manual = followed.is_none() && dice.chance(15);
        let (route, host) = match &followed {
            Some(past) => (past.route, past.host),
            None => (fleet.route(dice), fleet.host(dice)),
        };
        let mut story = Self {
            id: dice.id(at),
            at,
            route,
            host,
            target: target(route, host),
            trigger: match (&followed, is_manual) {
                (Some(_), _) if dice.chance(400) => "rerun",
                (Some(_), _) => "ladder",
                (None, true) => "manual",
                (None, false) => "alert",
            },
            notification: None,
            episode: match &followed {
                Some(past) => past.episode.clone(),
                None => (!is_manual).then(|| dice.id(at)),
            },
            starts_at: followed
                .as_ref()
                .map_or(at - dice.between(SECOND, MINUTE), |past| past.starts_at),
            followed: followed.map(|past| past.id),
            status: "queued",
            reason: None,
            attempts: Vec::new(),
            verify_until: None,
            finished_at: None,
            healed_at: None,
            closed_at: None,
        };
        let reason = reason(dice, &story);
        story.run(dice, reason);
        story.end(dice, reason);
        story
    }

    pub(super) fn comes_from_alert(&self) -> bool {
        self.trigger == "alert"
    }

    pub(super) fn past(&self) -> Past {
        Past {
            id: self.id.clone(),
            episode: self.episode.clone(),
            route: self.route,
            host: self.host,
            starts_at: self.starts_at,
        }
    }

    fn run(&mut self, dice: &mut Dice, reason: Reason) {
        let Some(last) = reason.outcome() else { return };
        let tries = match dice.below(100) {
            0 => 3,
            1..=4 => 2,
            _ => 1,
        };
        let mut at = self.at + dice.between(2_000, 20_000);
        for number in 1..=tries {
            if dice.chance(100) {
                // Its target was busy.
                at += dice.between(SECOND, 5 * MINUTE);
            }
            let finished_at = at + dice.between(2 * SECOND, 90 * SECOND);
            self.attempts.push(Attempt {
                outcome: if number == tries { last } else { "hosts_unreachable" },
                started_at: at,
                finished_at,
            });
            at = finished_at + 30 * SECOND * number;
        }
    }

    fn end(&mut self, dice: &mut Dice, reason: Reason) {
        let ran_until = self.attempts.last().map(|attempt| attempt.finished_at);
        let ended = ran_until.unwrap_or(self.at);
        let finished_at = match reason {
            Reason::Healed => ended + dice.between(5 * SECOND, 4 * MINUTE),
            Reason::NotHealed => ended + 5 * MINUTE,
            Reason::Expired => ended + HOUR,
            Reason::ResolvedMeanwhile | Reason::Canceled | Reason::Rejected => {
                ended + dice.between(SECOND, 10 * MINUTE)
            }
            _ => ended + 1_000,
        };
        self.status = reason.status();
        self.reason = Some(reason);
        self.finished_at = Some(finished_at);
        if matches!(reason, Reason::Healed | Reason::NotHealed) {
            self.verify_until = Some(ended + 5 * MINUTE);
        }
        if reason == Reason::Healed {
            self.healed_at = Some(finished_at - 300_000);
        }
        self.closed_at = self.episode.as_ref().map(|_| match reason {
            Reason::Healed | Reason::ResolvedMeanwhile => finished_at,
            Reason::Unverified => finished_at + dice.between(MINUTE, HOUR),
            _ => finished_at + dice.between(10 * MINUTE, 12 * HOUR),
        });
    }

    /// Nothing happens after that.
    pub(super) fn fit_before(&mut self, until: i64) {
        for time in [&mut self.finished_at, &mut self.healed_at].into_iter().flatten() {
            *time = (*time).min(until);
        }
        for attempt in &mut self.attempts {
            attempt.started_at = attempt.started_at.min(until);
            attempt.finished_at = attempt.finished_at.min(until);
        }
        let heals = matches!(self.reason, Some(Reason::Healed | Reason::ResolvedMeanwhile));
        self.closed_at = match self.closed_at {
            Some(closed_at) if heals => Some(closed_at.min(until)),
            closed_at => closed_at.filter(|closed_at| *closed_at <= until),
        };
    }

    /// It is not over: it waits for a person, or for the end of its alert. Both for longer than anybody looks at it.
    pub(super) fn keep_open(&mut self, number: u64, until: i64) {
        self.reason = None;
        self.finished_at = None;
        self.healed_at = None;
        self.closed_at = None;
        self.target = format!("open/{number}");
        if number.is_multiple_of(2) || self.attempts.is_empty() || self.episode.is_none() {
            self.attempts.clear();
            self.verify_until = None;
            self.status = "awaiting_approval";
        } else {
            self.fit_before(until);
            self.status = "verifying";
            self.attempts.truncate(1);
            self.attempts[0].outcome = "ok";
            self.verify_until = Some(until + 24 * HOUR);
        }
    }
}

/// How that job ends. One that nobody verifies cannot have healed or not.
fn reason(dice: &mut Dice, story: &Story) -> Reason {
    let mut left = dice.below(ENDS.iter().map(|(_, weight)| weight).sum());
    let end = ENDS.iter().find(|(_, weight)| {
        let is_here = left < *weight;
        left = left.saturating_sub(*weight);
        is_here
    });
    let verifies = ROUTES[story.route].verifies && story.episode.is_some();
    match end.map_or(Reason::Healed, |(reason, _)| *reason) {
        Reason::Healed | Reason::NotHealed | Reason::ResolvedMeanwhile if !verifies => Reason::Unverified,
        reason => reason,
    }
}
