//! What holds jobs back, and lets them go: pauses, circuit breakers, and alerts that wait for a cause to end.

use async_trait::async_trait;

use crate::domain::alert::{Alert, Group};
use crate::domain::decision::{Decision, DecisionKind};
use crate::domain::ids::{EpisodeId, JobId, Target};
use crate::domain::pause::{Breaker, Pause, Scope};
use crate::domain::policy::Delivery;
use crate::domain::timestamp::Timestamp;
use crate::store::read::{Page, PageRequest};
use crate::store::{By, StoreError};

/// An alert whose route would make a job, if nothing held it back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeldBack {
    pub episode: EpisodeId,
    pub route: String,
    pub kind: DecisionKind,
    /// A sentence.
    pub reason: String,
    pub target: Target,
    /// Since when for that reason.
    pub since: Timestamp,
    /// When it is decided again; nothing where something must happen first.
    pub due_at: Option<Timestamp>,
    /// The person who has let it pass the storm limit.
    pub released_by: Option<String>,
    pub posted_by: String,
    pub alert: Alert,
    pub group: Group,
    /// The job after which a rung of a ladder is held back.
    pub follows: Option<JobId>,
}

/// The brakes of the gateway. Durable like everything in the store.
#[async_trait]
pub trait Brakes: Send + Sync {
    /// Decides once more about alerts that were held back, each in a delivery of its own that names one route and, as its
    /// intake's `spare_episode`, the episode. What is not held back again is let go. Answers with the new decisions.
    async fn decide_again(&self, held: Vec<(HeldBack, Delivery)>) -> Result<Vec<Decision>, StoreError>;

    /// Goes on with the ladder of a job whose next rung was held back.
    async fn climb_again(&self, follows: JobId, now: Timestamp) -> Result<(), StoreError>;

    /// What is to be decided again by now, at most so many.
    async fn due_held(&self, now: Timestamp, most: usize) -> Result<Vec<HeldBack>, StoreError>;

    /// When there is something to decide again.
    async fn next_held(&self) -> Result<Option<Timestamp>, StoreError>;

    /// All that is held back.
    async fn list_held(&self, page: PageRequest) -> Result<Page<HeldBack>, StoreError>;

    /// Lets what the storm limit holds back pass, of one route or of all. Answers with how many that are.
    async fn release_held(&self, route: Option<String>, by: By) -> Result<u64, StoreError>;

    /// The catalogue has changed: what its rules hold back is due.
    async fn reconsider_held(&self, now: Timestamp) -> Result<(), StoreError>;

    /// Throws the kill switch of a scope. Answers with it as it stands now.
    async fn pause(&self, scope: Scope, by: By) -> Result<Pause, StoreError>;

    /// Lets a scope go on. Whether it was paused.
    async fn resume(&self, scope: Scope, by: By) -> Result<bool, StoreError>;

    /// Every pause in force, the oldest first.
    async fn pauses(&self) -> Result<Vec<Pause>, StoreError>;

    /// Every breaker that is not closed.
    async fn breakers(&self) -> Result<Vec<Breaker>, StoreError>;

    /// Opens a breaker by hand, until a person resets it.
    async fn open_breaker(&self, scope: Scope, by: By) -> Result<(), StoreError>;

    /// Closes a breaker by hand. Whether it was open.
    async fn reset_breaker(&self, scope: Scope, by: By) -> Result<bool, StoreError>;
}
