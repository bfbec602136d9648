//! What the kill switch and the circuit breakers are about.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::domain::ids::{JobId, Target};
use crate::domain::timestamp::Timestamp;

/// What may not be worked on. As text: `all`, `route:NAME` or `target:NAME`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Scope {
    All,
    Route(String),
    Target(Target),
}

/// The text names no scope.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no scope: write all, route:NAME or target:NAME")]
pub struct InvalidScope(String);

impl Scope {
    /// Whether a job of that route on that target is in it.
    pub fn covers(&self, route: Option<&str>, target: &Target) -> bool {
        match self {
            Self::All => true,
            Self::Route(name) => route == Some(name),
            Self::Target(name) => name == target,
        }
    }

    /// Whether it covers whatever the route does, on that target where one is known.
    pub fn concerns(&self, route: &str, target: Option<&Target>) -> bool {
        match self {
            Self::All => true,
            Self::Route(name) => route == name,
            Self::Target(name) => target == Some(name),
        }
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::All => f.write_str("all"),
            Self::Route(name) => write!(f, "route:{name}"),
            Self::Target(name) => write!(f, "target:{name}"),
        }
    }
}

impl FromStr for Scope {
    type Err = InvalidScope;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let invalid = || InvalidScope(text.to_owned());
        if text == "all" {
            return Ok(Self::All);
        }
        match text.split_once(':') {
            Some(("route", name)) if !name.is_empty() => Ok(Self::Route(name.to_owned())),
            Some(("target", name)) => Target::parse(name).map(Self::Target).map_err(|_| invalid()),
            _ => Err(invalid()),
        }
    }
}

impl Serialize for Scope {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Scope {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(de::Error::custom)
    }
}

/// The kill switch of one scope, thrown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pause {
    pub scope: Scope,
    pub comment: Option<String>,
    /// A token's name, `anonymous`, or the signal that came.
    pub by: String,
    pub since: Timestamp,
}

/// A circuit breaker that is not closed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Breaker {
    /// `All` or a route.
    pub scope: Scope,
    /// Why it is open, a sentence.
    pub reason: String,
    pub opened_at: Timestamp,
    /// From then on it is half-open: one job may try. Nothing if only a person closes it.
    pub until: Option<Timestamp>,
    /// The one that tries.
    pub trial: Option<JobId>,
}

/// What an open breaker lets pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BreakerState {
    Open,
    /// The next job tries.
    HalfOpen,
    /// A job tries.
    Trying(JobId),
}

impl Breaker {
    /// Its state at that moment.
    pub fn state(&self, now: Timestamp) -> BreakerState {
        match (self.until, self.trial) {
            (Some(until), Some(job)) if until <= now => BreakerState::Trying(job),
            (Some(until), None) if until <= now => BreakerState::HalfOpen,
            _ => BreakerState::Open,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scopes_are_read_as_they_are_written() {
        for text in ["all", "route:nginx-down", "target:container/nginx", "route:a:b"] {
            assert_eq!(text.parse::<Scope>().unwrap().to_string(), text);
        }
        for text in ["", "every", "route:", "target:", "Route:x"] {
            assert!(text.parse::<Scope>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_scope_covers_what_it_names() {
        let target = Target::parse("container/nginx").unwrap();
        let other = Target::parse("container/db").unwrap();
        let route = Scope::Route("down".to_owned());
        assert!(Scope::All.covers(None, &target));
        assert!(
            route.covers(Some("down"), &target) && !route.covers(Some("up"), &target) && !route.covers(None, &target)
        );
        let scope = Scope::Target(target.clone());
        assert!(scope.covers(None, &target) && !scope.covers(Some("down"), &other));
        assert!(scope.concerns("down", Some(&target)) && !scope.concerns("down", None));
        assert!(Scope::All.concerns("up", None) && route.concerns("down", None) && !route.concerns("up", None));
    }
}
