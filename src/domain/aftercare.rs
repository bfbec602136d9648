//! What a route asks for after its job has run: frozen into the job when it is made, so that a later reload changes
//! nothing about it.

use serde::{Deserialize, Serialize};

use crate::domain::ids::JobId;
use crate::domain::parameters::{Plan, Refusal};
use crate::domain::route::{Mode, Route};
use crate::domain::rules::{BreakerRule, Cap, Fleet, Retry};
use crate::domain::span::Span;
use crate::domain::timestamp::Timestamp;

/// What follows a job of a route. A job that a person made has none.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Aftercare {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retry: Option<Retry>,
    /// The route's breaker, and that of all routes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub breaker: Option<BreakerRule>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fleet_breaker: Option<BreakerRule>,
    /// Whom to tell when the latter opens: names of notifiers.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub fleet_tell: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub at_once: Option<u32>,
    /// What is still to be tried, the next one first.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub ladder: Vec<Rung>,
    /// What the ladder's jobs are held to, also where none is left. Nothing where the route has no ladder.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rungs: Option<RungTerms>,
    /// Runs after a job whose alert resolved while it ran.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cleanup: Option<Rung>,
}

/// One more playbook, rendered when the first job was made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rung {
    /// The name of the job to be; the plan was rendered with it.
    pub job: JobId,
    pub playbook: String,
    #[serde(flatten)]
    pub plan: RungPlan,
}

/// What a rung runs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RungPlan {
    Plan(Box<Plan>),
    /// Why it cannot run for this alert.
    Refused(String),
}

impl Rung {
    /// What it runs, if it can.
    pub fn plan(&self) -> Option<&Plan> {
        match &self.plan {
            RungPlan::Plan(plan) => Some(plan),
            RungPlan::Refused(_) => None,
        }
    }

    /// What it runs, named anew for a job that is made at that time: lists are in the order of names.
    pub fn made_at(&self, plan: &Plan, now: Timestamp) -> (JobId, Plan) {
        let job = self.job.moved_to(now);
        let renamed = serde_json::to_string(plan).map(|text| text.replace(&self.job.to_string(), &job.to_string()));
        let renamed = renamed.and_then(|text| serde_json::from_str(&text));
        renamed.map_or_else(|_| (self.job, plan.clone()), |plan| (job, plan))
    }

    /// Of a playbook that was rendered, or refused.
    pub fn new(job: JobId, playbook: &str, rendered: Result<Plan, Refusal>) -> Self {
        Self {
            job,
            playbook: playbook.to_owned(),
            plan: match rendered {
                Ok(plan) => RungPlan::Plan(Box::new(plan)),
                Err(refusal) => RungPlan::Refused(refusal.to_string()),
            },
        }
    }
}

/// How long rungs wait, and for what.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RungTerms {
    /// Whether a person approves each.
    pub approve: bool,
    pub expires: Span,
    pub approval_expires: Span,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub caps: Vec<Cap>,
}

impl Aftercare {
    /// What that route asks for, with its ladder rendered.
    pub fn of(route: &Route, fleet: &Fleet, ladder: Vec<Rung>, cleanup: Option<Rung>) -> Self {
        Self {
            retry: route.retry.clone(),
            breaker: route.breaker,
            fleet_breaker: fleet.breaker,
            fleet_tell: fleet.breaker.map_or_else(Vec::new, |_| fleet.tell_breaker.clone()),
            at_once: route.at_once,
            rungs: (!route.otherwise.is_empty()).then(|| RungTerms {
                approve: route.mode == Mode::Approve,
                expires: route.expires,
                approval_expires: route.approval_expires,
                caps: route.caps.clone(),
            }),
            ladder,
            cleanup,
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use uuid::Uuid;

    use super::*;

    #[test]
    fn a_rung_that_is_made_later_is_named_later_and_knows_its_new_name() {
        let spare = JobId::new(Uuid::from_u128(0x0190_b6a2_7c1e_7d3a_9f00_0123_4567_89ab));
        let plan: Plan = serde_json::from_value(json!({
            "playbook": "second",
            "target": "one",
            "parameters": {
                "path": "p.yml", "inventory": "i", "limit": null, "vars": { "me": format!("job {spare}") }, "tags": [],
                "check": false, "timeout": "10m",
            },
        }))
        .unwrap();
        let rung = Rung::new(spare, "second", Ok(plan.clone()));
        let at = Timestamp::from_micros(0x0190_b6a2_ffff * 1_000);
        let (job, made) = rung.made_at(&plan, at);
        assert_eq!(job.to_string(), "0190b6a2-ffff-7d3a-9f00-0123456789ab");
        assert_eq!(made.parameters.vars["me"], format!("job {job}"));
        assert_eq!((made.playbook, made.target), (plan.playbook, plan.target));
    }
}
