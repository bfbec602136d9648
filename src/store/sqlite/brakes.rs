//! The brakes, each in a file of its own.

use async_trait::async_trait;

use crate::domain::decision::Decision;
use crate::domain::ids::JobId;
use crate::domain::pause::{Breaker, Pause, Scope};
use crate::domain::policy::Delivery;
use crate::domain::timestamp::Timestamp;
use crate::store::read::{Page, PageRequest};
use crate::store::sqlite::{SqliteStore, accept, breakers, held, ladder, pauses, restraints};
use crate::store::{Brakes, By, HeldBack, StoreError};

#[async_trait]
impl Brakes for SqliteStore {
    async fn decide_again(&self, held: Vec<(HeldBack, Delivery)>) -> Result<Vec<Decision>, StoreError> {
        self.writer.write(accept::DecideAgain(held)).await
    }

    async fn climb_again(&self, follows: JobId, now: Timestamp) -> Result<(), StoreError> {
        self.writer.write(ladder::ClimbAgain { follows, now }).await
    }

    async fn due_held(&self, now: Timestamp, most: usize) -> Result<Vec<HeldBack>, StoreError> {
        self.readers
            .read(move |connection| held::due(connection, now, most))
            .await
    }

    async fn next_held(&self) -> Result<Option<Timestamp>, StoreError> {
        self.readers.read(held::next).await
    }

    async fn list_held(&self, page: PageRequest) -> Result<Page<HeldBack>, StoreError> {
        self.readers.read(move |connection| held::list(connection, &page)).await
    }

    async fn release_held(&self, route: Option<String>, by: By) -> Result<u64, StoreError> {
        self.writer.write(held::ReleaseHeld { route, by }).await
    }

    async fn reconsider_held(&self, now: Timestamp) -> Result<(), StoreError> {
        self.writer.write(held::Reconsider(now)).await
    }

    async fn pause(&self, scope: Scope, by: By) -> Result<Pause, StoreError> {
        self.writer.write(pauses::PauseScope { scope, by }).await
    }

    async fn resume(&self, scope: Scope, by: By) -> Result<bool, StoreError> {
        self.writer.write(pauses::ResumeScope { scope, by }).await
    }

    async fn pauses(&self) -> Result<Vec<Pause>, StoreError> {
        self.readers.read(restraints::pauses).await
    }

    async fn breakers(&self) -> Result<Vec<Breaker>, StoreError> {
        self.readers.read(restraints::open_breakers).await
    }

    async fn open_breaker(&self, scope: Scope, by: By) -> Result<(), StoreError> {
        self.writer.write(breakers::OpenBreaker { scope, by }).await
    }

    async fn reset_breaker(&self, scope: Scope, by: By) -> Result<bool, StoreError> {
        self.writer.write(breakers::ResetBreaker { scope, by }).await
    }
}
