//! Watches alerts that were found resolved by asking, until Alertmanager must have said so itself: one that fires again
//! before that is reported by nobody. Starts nothing: it has the alert decided about.

use std::time::Duration;

use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use crate::domain::alert::Alert;
use crate::store::StoreError;
use crate::worker::Asking;

/// Between two looks.
const EVERY: Duration = Duration::from_secs(30);

/// Alertmanager says `resolved` within a `group_interval`, which nobody here knows; it is 5 minutes by default.
const WATCHED_FOR: Duration = Duration::from_secs(3_600);

/// Looks until it is told to end.
pub async fn watch_for_comebacks(asking: Asking, stopping: CancellationToken) {
    while asking.peers.alertmanagers.is_some() && !stopping.is_cancelled() {
        if let Err(error) = look_for_comebacks(&asking).await {
            tracing::error!(%error, "failed to look for alerts that fire again");
        }
        tokio::select! {
            () = sleep(EVERY) => {}
            () = stopping.cancelled() => return,
        }
    }
}

/// Has those decided about that fire again. One look for all of them.
///
/// # Errors
///
/// The store failed.
pub async fn look_for_comebacks(asking: &Asking) -> Result<(), StoreError> {
    let Some(alertmanagers) = &asking.peers.alertmanagers else {
        return Ok(());
    };
    let now = asking.clock.now();
    let gone = asking.store.asked_episodes(now - WATCHED_FOR).await?;
    if gone.is_empty() {
        return Ok(());
    }
    let alerts: Vec<&Alert> = gone.iter().map(|comeback| &comeback.alert).collect();
    let look = alertmanagers.look(&alerts).await;
    for mut comeback in gone {
        // One that is silenced, inhibited or muted would not be reported either; it is looked at again.
        let Some(active) = look.open(&comeback.alert.fingerprint) else {
            continue;
        };
        comeback.alert.starts_at = active.starts_at.unwrap_or(now);
        let alert = comeback.alert.fingerprint.clone();
        if asking.store.come_back(comeback, asking.clock.now()).await? {
            tracing::info!(%alert, "fires again: Alertmanager was asked");
        }
    }
    Ok(())
}
