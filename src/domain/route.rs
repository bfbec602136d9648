//! A route: which alerts get which playbook, and under which conditions.

use crate::domain::alert::Labels;
use crate::domain::checks::Checks;
use crate::domain::heartbeat::Heartbeat;
use crate::domain::matcher::Matcher;
use crate::domain::notify::Notify;
use crate::domain::rules::{BreakerRule, Cap, FlapRule, Retry};
use crate::domain::span::Span;

/// What a route does with an alert that it matches.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mode {
    /// Run the playbook.
    #[default]
    Auto,
    /// Make the job, and wait until a person approves it.
    Approve,
    /// Record what would have run.
    Observe,
}

impl Mode {
    /// As in the configuration.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Approve => "approve",
            Self::Observe => "observe",
        }
    }
}

/// What the end of the alert means for a job that runs. One that still waits is never run then.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum OnResolved {
    /// The run goes on.
    #[default]
    Ignore,
    /// The run is stopped.
    Cancel,
    /// The run goes on, and this playbook runs after it.
    Run(String),
}

impl OnResolved {
    /// As in the configuration and the database.
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Ignore => "ignore",
            Self::Cancel => "cancel",
            Self::Run(_) => "run",
        }
    }
}

/// An entry of `routes`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Route {
    pub name: String,
    pub matchers: Vec<Matcher>,
    /// Nothing only where there is a heartbeat.
    pub playbook: Option<String>,
    pub mode: Mode,
    /// Whether later routes are tried after this one matched.
    pub goes_on: bool,
    /// How long the alert has to resolve after the run; `None` asks for no verification.
    pub resolved_within: Option<Span>,
    pub on_resolved: OnResolved,
    /// A job that waits longer than this since it was made is not run any more.
    pub expires: Span,
    /// A new job is made when the episode still fires this long after its last job ended.
    pub again_after: Option<Span>,
    /// How long a job waits for a person's approval.
    pub approval_expires: Span,
    /// After a job on a target has ended, the next one waits so long.
    pub cooldown: Span,
    pub caps: Vec<Cap>,
    pub retry: Option<Retry>,
    /// The ladder: playbooks for when the one before did not heal.
    pub otherwise: Vec<String>,
    pub breaker: Option<BreakerRule>,
    pub flap: Option<FlapRule>,
    /// So many of the route's jobs may run at once.
    pub at_once: Option<u32>,
    /// An alert that satisfies any of these is guarded: it is recorded, and nothing runs.
    pub unless: Vec<Matcher>,
    /// The alert must keep coming.
    pub heartbeat: Option<Heartbeat>,
    /// Whom to tell of what about its jobs.
    pub notify: Option<Notify>,
    /// As written: templates.
    pub checks: Checks,
}

impl Route {
    /// The first matcher that the labels do not satisfy; `None` if the route matches.
    pub fn failed_matcher(&self, labels: &Labels) -> Option<&Matcher> {
        self.matchers.iter().find(|matcher| !matcher.matches(labels))
    }
}

/// The routes that the labels reach: in order, up to the first match that does not go on.
pub fn reached<'a>(routes: &'a [Route], labels: &Labels) -> Vec<&'a Route> {
    let mut reached = Vec::new();
    for route in routes {
        if route.failed_matcher(labels).is_none() {
            reached.push(route);
            if !route.goes_on {
                break;
            }
        }
    }
    reached
}
