//! What a person asked for when they made a job, beyond what the catalogue says: what its re-runs take over, and what
//! was meant for one run only.

use serde::{Deserialize, Serialize};

use crate::domain::change::shortened;
use crate::domain::limit::Limit;
use crate::domain::parameters::{Overrides, Parameters};

/// Kept with the job.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ByHand {
    /// What a re-run takes over.
    #[serde(flatten)]
    pub overrides: Overrides,
    /// What a re-run does not take over, as it would have been for this run too.
    usual: Usual,
}

/// What a person may ask of one run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Once {
    /// The hosts that failed.
    pub hosts: Option<Limit>,
    /// Asks for check mode; a playbook that always checks goes on doing so.
    pub check: bool,
    pub verbosity: Option<u8>,
}

/// What `Once` replaces.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Usual {
    limit: Option<Limit>,
    check: bool,
    verbosity: u8,
}

impl ByHand {
    /// Sets in the parameters what is asked of this run, and remembers what they were.
    pub fn apply(overrides: Overrides, once: Once, parameters: &mut Parameters) -> Self {
        let usual = Usual {
            limit: parameters.limit.clone(),
            check: parameters.check,
            verbosity: parameters.verbosity,
        };
        if once.hosts.is_some() {
            parameters.limit = once.hosts;
        }
        parameters.check |= once.check;
        parameters.verbosity = once.verbosity.unwrap_or(parameters.verbosity);
        Self { overrides, usual }
    }

    /// The parameters without what was asked of this run alone.
    pub fn usual(&self, parameters: &Parameters) -> Parameters {
        let Usual {
            limit,
            check,
            verbosity,
        } = self.usual.clone();
        Parameters {
            limit,
            check,
            verbosity,
            ..parameters.clone()
        }
    }

    /// What was asked for, in words that can be joined by commas.
    pub fn wishes(&self, parameters: &Parameters) -> Vec<String> {
        let mut wishes = Vec::new();
        let names: Vec<&str> = self.overrides.vars.keys().map(String::as_str).collect();
        if !names.is_empty() {
            wishes.push(format!("with vars {}", shortened(&names.join(" "))));
        }
        if let Some(limit) = &self.overrides.limit {
            wishes.push(format!("limited to {}", shortened(limit.as_str())));
        }
        if let Some(hosts) = parameters
            .limit
            .as_ref()
            .filter(|_| self.usual.limit != parameters.limit)
        {
            wishes.push(format!("on the failed hosts {}", shortened(hosts.as_str())));
        }
        if self.usual.check != parameters.check {
            wishes.push("in check mode".to_owned());
        }
        if self.usual.verbosity != parameters.verbosity {
            wishes.push(format!("with verbosity {}", parameters.verbosity));
        }
        wishes
    }
}
