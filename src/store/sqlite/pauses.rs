//! The kill switch: thrown and released.

use rusqlite::params;

use crate::domain::act::ActKind;
use crate::domain::decision::DecisionKind;
use crate::domain::pause::{Pause, Scope as Paused};
use crate::store::sqlite::acts;
use crate::store::sqlite::held;
use crate::store::sqlite::restraints::pause;
use crate::store::sqlite::writer::{Scope, Write};
use crate::store::{By, StoreError};

/// Who pauses again and says why pauses in place of who did before; without a word the first one stays named.
const PAUSE: &str = "
    -- pause
    INSERT INTO pauses (scope, comment, by_whom, since) VALUES (?1, ?2, ?3, ?4)
    ON CONFLICT (scope) DO UPDATE
    SET    comment = COALESCE(excluded.comment, comment),
           by_whom = iif(excluded.comment IS NULL, by_whom, excluded.by_whom),
           since = iif(excluded.comment IS NULL, since, excluded.since)
    RETURNING scope, comment, by_whom, since";

const RESUME: &str = "
    -- resume
    DELETE FROM pauses WHERE scope = ?1";

/// Nothing of the scope starts from now on.
pub(super) struct PauseScope {
    pub(super) scope: Paused,
    pub(super) by: By,
}

impl Write for PauseScope {
    type Output = Pause;

    fn apply(self, scope: &mut Scope<'_>) -> Result<Pause, StoreError> {
        let row = scope.connection.one(
            PAUSE,
            params![
                self.scope.to_string(),
                &self.by.comment,
                &self.by.name,
                self.by.at.as_micros()
            ],
        )?;
        tracing::warn!(scope = %self.scope, by = self.by.name, comment = self.by.comment, "paused");
        acts::note(scope, ActKind::Paused, &self.scope, &self.by)?;
        pause(&row)
    }
}

/// The scope goes on, and what it held back is decided again.
pub(super) struct ResumeScope {
    pub(super) scope: Paused,
    pub(super) by: By,
}

impl Write for ResumeScope {
    type Output = bool;

    fn apply(self, scope: &mut Scope<'_>) -> Result<bool, StoreError> {
        let done = scope.execute(RESUME, params![self.scope.to_string()])?;
        held::wake(scope, DecisionKind::Paused, self.by.at)?;
        scope.moved();
        let was_paused = done > 0;
        if was_paused {
            acts::note(scope, ActKind::Resumed, &self.scope, &self.by)?;
        }
        tracing::warn!(scope = %self.scope, by = self.by.name, comment = self.by.comment, was_paused, "resumed");
        Ok(was_paused)
    }
}
