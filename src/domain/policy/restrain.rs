//! What holds a job back that a route would make: pauses, breakers, the storm limit, flapping, caps, cooldowns. In the
//! contract's order of precedence.

use std::collections::HashMap;

use crate::domain::decision::DecisionKind;
use crate::domain::ids::{Fingerprint, JobId, Target};
use crate::domain::pause::{Breaker, BreakerState, Pause, Scope};
use crate::domain::route::Route;
use crate::domain::rules::{Cap, Fleet};
use crate::domain::timestamp::Timestamp;

/// What is known about other jobs and by people's will. Follows a notification while it is decided.
#[derive(Clone, Debug, Default)]
pub struct Restraints {
    /// Those in force.
    pub pauses: Vec<Pause>,
    /// Those that are not closed.
    pub breakers: Vec<Breaker>,
    /// When alerts made the last jobs, the oldest first; as many as the storm rule counts.
    pub lately: Vec<Timestamp>,
    /// The jobs of a route on a target that caps and cooldowns may count.
    pub places: HashMap<(String, Target), Vec<PlaceJob>>,
    /// How many alerts wait for the storm limit already; counted no further than to the limit.
    pub waiting: usize,
    /// When an alert was healed by a route lately, the oldest first.
    pub heals: HashMap<(Fingerprint, String), Vec<Heal>>,
}

/// An alert was healed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Heal {
    pub at: Timestamp,
    pub playbook: String,
}

/// A job of a route on a target. One that never started counts only while it waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PlaceJob {
    pub id: JobId,
    pub started_at: Option<Timestamp>,
    pub finished_at: Option<Timestamp>,
}

/// A job that a route would make.
#[derive(Clone, Copy, Debug)]
pub struct Wish<'a> {
    pub route: &'a Route,
    pub target: &'a Target,
    pub fingerprint: &'a Fingerprint,
    pub fleet: &'a Fleet,
    /// A person has let it pass the storm limit.
    pub is_released: bool,
    /// It is the next rung already, because the alert flaps.
    pub is_rung: bool,
    pub now: Timestamp,
}

/// Why no job is made now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Restraint {
    pub kind: DecisionKind,
    /// A sentence.
    pub reason: String,
    /// When it is decided again; nothing where something must happen first.
    pub until: Option<Timestamp>,
}

/// How far a cap is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CapUse {
    pub cap: Cap,
    pub used: u32,
    /// When it lets one more pass, if it is used up and time alone does that.
    pub free_at: Option<Timestamp>,
}

/// How a cooldown stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cooldown {
    Over,
    Until(Timestamp),
    /// It begins when the job ends that waits or runs.
    NotBegun,
}

impl Restraints {
    /// The first thing that holds the job back.
    pub fn restrain(&self, wish: &Wish<'_>) -> Option<Restraint> {
        self.stopped(&wish.route.name, wish.target, wish.now)
            .or_else(|| self.held(wish))
            .or_else(|| self.flapping(wish))
            .or_else(|| self.capped(wish))
            .or_else(|| self.cooling_down(wish))
    }

    /// The pause or the breaker that stops jobs of that route on that target.
    pub fn stopped(&self, route: &str, target: &Target, now: Timestamp) -> Option<Restraint> {
        self.paused(route, target).or_else(|| self.tripped(route, target, now))
    }

    fn paused(&self, route: &str, target: &Target) -> Option<Restraint> {
        let covers = |pause: &&Pause| pause.scope.covers(Some(route), target);
        let pause = self.pauses.iter().find(covers)?;
        let why = pause
            .comment
            .as_ref()
            .map_or_else(String::new, |why| format!(": {why}"));
        Some(Restraint {
            kind: DecisionKind::Paused,
            reason: format!(
                "{} is paused by {} since {}{why}",
                named(&pause.scope),
                pause.by,
                pause.since
            ),
            until: None,
        })
    }

    fn tripped(&self, route: &str, target: &Target, now: Timestamp) -> Option<Restraint> {
        let concerns = |breaker: &&Breaker| breaker.scope.covers(Some(route), target);
        self.breakers.iter().filter(concerns).find_map(|breaker| {
            let scope = named(&breaker.scope);
            let (reason, until) = match breaker.state(now) {
                BreakerState::HalfOpen => return None,
                BreakerState::Trying(job) => (
                    format!("the breaker of {scope} is half-open, and the job {job} tries whether it works again"),
                    None,
                ),
                BreakerState::Open => {
                    let end = breaker.until.map_or_else(
                        || "until a person resets it".to_owned(),
                        |until| format!("until {}", until.to_second()),
                    );
                    (
                        format!("the breaker of {scope} is open {end}: {}", breaker.reason),
                        breaker.until,
                    )
                }
            };
            Some(Restraint {
                kind: DecisionKind::Tripped,
                reason,
                until,
            })
        })
    }

    fn held(&self, wish: &Wish<'_>) -> Option<Restraint> {
        let storm = wish.fleet.storm.filter(|_| !wish.is_released)?;
        let most = usize::try_from(storm.jobs).unwrap_or(usize::MAX);
        let oldest = self.lately.len().checked_sub(most).map(|at| self.lately[at])?;
        let until = oldest + storm.within.duration();
        // Each waits for its own turn: of all that wait, only one is let pass as a job leaves the window.
        let behind = (self.lately.len() - most + self.waiting).min(self.lately.len() - 1);
        (until > wish.now).then(|| Restraint {
            kind: DecisionKind::Held,
            reason: format!(
                "a storm: alerts made {} jobs within {}, as many as may be; the next one may be made at {until}",
                storm.jobs, storm.within
            ),
            until: Some(self.lately[behind] + storm.within.duration()),
        })
    }

    /// Whether the alert flaps.
    pub fn flapping(&self, wish: &Wish<'_>) -> Option<Restraint> {
        let flap = wish.route.flap.filter(|_| !wish.is_rung)?;
        let heals = self.heals_of(wish)?;
        let most = usize::try_from(flap.times).unwrap_or(usize::MAX);
        let oldest = heals.len().checked_sub(most).map(|at| heals[at].at)?;
        let until = oldest + flap.within.duration();
        (until > wish.now).then(|| Restraint {
            kind: DecisionKind::Flapping,
            reason: format!(
                "the alert flaps: within {} this route healed it {} time{}, and it came back",
                flap.within,
                flap.times,
                if flap.times == 1 { "" } else { "s" }
            ),
            until: Some(until),
        })
    }

    fn heals_of(&self, wish: &Wish<'_>) -> Option<&Vec<Heal>> {
        self.heals.get(&(wish.fingerprint.clone(), wish.route.name.clone()))
    }

    /// The playbook that healed the alert last, as far back as flapping counts.
    pub(super) fn healed_last_by(&self, wish: &Wish<'_>) -> Option<&str> {
        self.heals_of(wish)?.last().map(|heal| heal.playbook.as_str())
    }

    fn capped(&self, wish: &Wish<'_>) -> Option<Restraint> {
        let full = self.caps(wish).into_iter().find(CapUse::is_full)?;
        Some(full.restraint(wish.target))
    }

    /// How far each cap of the route is used on that target.
    pub fn caps(&self, wish: &Wish<'_>) -> Vec<CapUse> {
        cap_uses(&wish.route.caps, self.place(wish), wish.now)
    }

    fn place(&self, wish: &Wish<'_>) -> &[PlaceJob] {
        let key = (wish.route.name.clone(), wish.target.clone());
        self.places.get(&key).map_or(&[], Vec::as_slice)
    }

    /// How the route's cooldown on that target stands.
    pub fn cooldown(&self, wish: &Wish<'_>) -> Cooldown {
        let cooldown = wish.route.cooldown.duration();
        if cooldown.is_zero() {
            return Cooldown::Over;
        }
        let jobs = self.place(wish);
        if jobs.iter().any(|job| job.finished_at.is_none()) {
            return Cooldown::NotBegun;
        }
        let started = jobs.iter().filter(|job| job.started_at.is_some());
        let end = started
            .filter_map(|job| job.finished_at)
            .max()
            .map(|last| last + cooldown);
        match end {
            Some(end) if end > wish.now => Cooldown::Until(end),
            _ => Cooldown::Over,
        }
    }

    fn cooling_down(&self, wish: &Wish<'_>) -> Option<Restraint> {
        let (target, cooldown) = (wish.target, wish.route.cooldown);
        let (reason, until) = match self.cooldown(wish) {
            Cooldown::Over => return None,
            Cooldown::Until(until) => (
                format!(
                    "a job of this route on {target} ended less than {cooldown} ago; cooling down until {}",
                    until.to_second()
                ),
                Some(until),
            ),
            Cooldown::NotBegun => (
                format!("a job of this route on {target} has not ended, and {cooldown} of cooling down follow it"),
                None,
            ),
        };
        Some(Restraint {
            kind: DecisionKind::CoolingDown,
            reason,
            until,
        })
    }

    /// Notes a job that was just made.
    pub(super) fn made(&mut self, wish: &Wish<'_>, job: JobId) {
        self.lately.push(wish.now);
        let key = (wish.route.name.clone(), wish.target.clone());
        self.places.entry(key).or_default().push(PlaceJob {
            id: job,
            started_at: None,
            finished_at: None,
        });
    }

    /// The half-open breakers that this job is to try, which from now on it does.
    pub(super) fn try_with(&mut self, wish: &Wish<'_>, job: JobId) -> Vec<Scope> {
        let mut scopes = Vec::new();
        for breaker in &mut self.breakers {
            let concerns = breaker.scope.covers(Some(&wish.route.name), wish.target);
            if concerns && breaker.state(wish.now) == BreakerState::HalfOpen {
                breaker.trial = Some(job);
                scopes.push(breaker.scope.clone());
            }
        }
        scopes
    }
}

impl CapUse {
    /// Whether it lets no job pass.
    pub fn is_full(&self) -> bool {
        self.used >= self.cap.jobs
    }

    /// What it says to one more job on that target.
    pub fn restraint(&self, target: &Target) -> Restraint {
        let again = self.free_at.map_or_else(
            || "once a waiting one has ended".to_owned(),
            |free_at| format!("at {free_at}"),
        );
        Restraint {
            kind: DecisionKind::Capped,
            reason: format!(
                "the cap of {} on {target} is used up; it lets the next job pass {again}",
                self.cap
            ),
            until: self.free_at,
        }
    }
}

/// How far each cap is used by the jobs of its route on a target.
pub fn cap_uses(caps: &[Cap], jobs: &[PlaceJob], now: Timestamp) -> Vec<CapUse> {
    caps.iter().map(|cap| cap_use(*cap, jobs, now)).collect()
}

fn cap_use(cap: Cap, jobs: &[PlaceJob], now: Timestamp) -> CapUse {
    let since = now - cap.per.duration();
    let mut started: Vec<Timestamp> = jobs
        .iter()
        .filter_map(|job| job.started_at)
        .filter(|at| *at > since)
        .collect();
    started.sort();
    let waiting = jobs
        .iter()
        .filter(|job| job.started_at.is_none() && job.finished_at.is_none());
    let used = started.len() + waiting.count();
    let over = used.checked_sub(usize::try_from(cap.jobs).unwrap_or(usize::MAX));
    CapUse {
        cap,
        used: u32::try_from(used).unwrap_or(u32::MAX),
        free_at: over
            .and_then(|over| started.get(over))
            .map(|at| *at + cap.per.duration()),
    }
}

fn named(scope: &Scope) -> String {
    match scope {
        Scope::All => "everything".to_owned(),
        Scope::Route(name) => format!("the route {name}"),
        Scope::Target(target) => format!("the target {target}"),
    }
}
