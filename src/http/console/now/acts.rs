//! What people did to the gateway as a whole in the last hours.

use std::time::Duration;

use crate::domain::act::{Act, ActKind};
use crate::domain::pause::Scope;
use crate::domain::timestamp::Timestamp;
use crate::http::App;
use crate::http::console::moment::Moment;
use crate::http::console::now::strip::HOURS;
use crate::http::console::words::scope_named;
use crate::store::StoreError;

/// How many are shown.
const MOST: u32 = 10;

/// What somebody did.
pub(super) struct ActPart {
    pub(super) by: String,
    pub(super) words: String,
    pub(super) comment: Option<String>,
    pub(super) at: Moment,
}

/// The last ones first.
pub(super) async fn read(app: &App, now: Timestamp) -> Result<Vec<ActPart>, StoreError> {
    let since = now - Duration::from_secs(HOURS * 3_600);
    let acts = app.store.acts(since, MOST).await?;
    Ok(acts.into_iter().map(ActPart::of).collect())
}

impl ActPart {
    fn of(act: Act) -> Self {
        Self {
            words: words(act.kind, &act.scope),
            by: act.by,
            comment: act.comment.filter(|comment| !comment.is_empty()),
            at: Moment(act.at),
        }
    }
}

fn words(kind: ActKind, scope: &Scope) -> String {
    let (all, routes) = (scope_named(scope, "everything"), scope_named(scope, "all routes"));
    match kind {
        ActKind::Paused => format!("paused {all}"),
        ActKind::Resumed => format!("resumed {all}"),
        ActKind::OpenedBreaker => format!("opened the breaker of {routes}"),
        ActKind::ClosedBreaker => format!("closed the breaker of {routes}"),
        ActKind::Released => format!("let the storm pass of {routes}"),
    }
}
