//! What decisions are taken about, and what they come to. Decides nothing.

use std::collections::HashMap;

use crate::domain::aftercare::Rung;
use crate::domain::alert::{Alert, Group};
use crate::domain::decision::Decision;
use crate::domain::ids::{EpisodeId, JobId, NotificationId, Target};
use crate::domain::job::NewJob;
use crate::domain::notify::Notify;
use crate::domain::parameters::{Plan, Refusal};
use crate::domain::pause::Scope;
use crate::domain::policy::episodes::EpisodeChange;
use crate::domain::policy::restrain::Restraint;
use crate::domain::route::Route;
use crate::domain::rules::Fleet;
use crate::domain::timestamp::Timestamp;

/// A notification with all that is needed to decide about it but the facts.
#[derive(Clone, Debug)]
pub struct Delivery {
    pub id: NotificationId,
    pub received_at: Timestamp,
    /// The name of the token that posted it.
    pub posted_by: String,
    pub group: Group,
    pub intakes: Vec<Intake>,
    /// The rules for all routes together.
    pub fleet: Fleet,
}

/// One alert and the routes that it reaches, with what each of them would run.
#[derive(Clone, Debug)]
pub struct Intake {
    pub alert: Alert,
    pub reached: Vec<Reached>,
    /// Names the episode if this report begins one.
    pub spare_episode: EpisodeId,
}

/// A route that an alert reaches.
#[derive(Clone, Debug)]
pub struct Reached {
    pub route: Route,
    /// The rendered playbook; a resolved alert needs none.
    pub plan: Option<Result<Plan, Refusal>>,
    /// Names the job if one is made; the plan was rendered with it.
    pub job: JobId,
    /// The playbooks of the route's ladder, rendered.
    pub ladder: Vec<Rung>,
    /// What runs after a job whose alert resolved while it ran.
    pub cleanup: Option<Rung>,
    /// A person has let it pass the storm limit.
    pub is_released: bool,
    /// The command lines of the plan and of the ladder's, by the names of their jobs; of a route that only observes.
    pub argv: HashMap<JobId, Vec<String>>,
}

/// All that a notification causes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Verdict {
    pub decisions: Vec<Decision>,
    pub episodes: Vec<EpisodeChange>,
    pub jobs: Vec<NewJob>,
    /// Jobs that no longer count for their episode and route, because a new one takes their place.
    pub superseded: Vec<JobId>,
    /// What is to be decided again by the gateway itself, once its cause ends.
    pub held: Vec<Held>,
    /// What is held back no longer.
    pub freed: Vec<(EpisodeId, String)>,
    /// Half-open breakers, and the jobs that try them.
    pub trials: Vec<(Scope, JobId)>,
}

/// An alert that a route would make a job for, if nothing held it back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Held {
    pub episode: EpisodeId,
    pub route: String,
    pub target: Target,
    pub restraint: Restraint,
    pub alert: Alert,
    /// Whom the route wants told.
    pub notify: Option<Notify>,
    /// The job after which a rung of a ladder is held back; nothing for the route's own playbook.
    pub follows: Option<JobId>,
}
