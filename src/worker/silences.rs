//! Silences a job's alert while its playbook runs, where the route asks for that. Never fails a run.

use std::time::Duration;

use tokio::time::sleep;

use crate::domain::attempt::AttemptKey;
use crate::domain::job::Job;
use crate::domain::timestamp::Timestamp;
use crate::peers::{NewSilence, PeerError};
use crate::store::Claim;
use crate::worker::Asking;

/// A run that is stopped at its time limit still needs its grace, and a little more to be stored.
const MARGIN: Duration = Duration::from_secs(30);

/// Between two tries to end one, each twice as long as the one before.
const FIRST_PAUSE: Duration = Duration::from_secs(2);
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// Makes the silence. It ends by itself if nobody ends it before.
pub(super) async fn begin(asking: &Asking, claim: &Claim) {
    let job = &claim.job;
    let (true, Some(alertmanagers), Some(alert)) = (job.checks.silence, &asking.peers.alertmanagers, &job.alert) else {
        return;
    };
    let starts_at = asking.clock.now();
    let ends_at = starts_at + job.parameters.timeout.duration() + MARGIN;
    let silence = NewSilence {
        claim: claim.key,
        labels: alert.labels.clone(),
        starts_at,
        ends_at,
        comment: format!("healgate runs {} on {}", job.playbook, job.target),
    };
    match alertmanagers.create_silence(&silence).await {
        Ok(id) => {
            let message = format!(
                "silenced the alert in Alertmanager until {} at the latest (silence {id})",
                ends_at.to_second()
            );
            asking.note(claim, "silenced", &message).await;
        }
        Err(error) => {
            let message = format!("could not silence the alert in Alertmanager; it runs all the same: {error}");
            asking.note(claim, "not_silenced", &message).await;
        }
    }
}

/// Ends what `begin` has made for this claim, also in an earlier process. If that fails it is tried again beside
/// everything else: the job must not wait for it.
pub(super) async fn end(asking: &Asking, claim: &Claim) {
    match try_end(asking, claim).await {
        None | Some(Ok(0)) => {}
        Some(Ok(_)) => told_ended(asking, claim).await,
        Some(Err(error)) => {
            let message = format!("could not end the silence in Alertmanager; trying until it ends by itself: {error}");
            asking.note(claim, "silence_left", &message).await;
            tokio::spawn(end_later(asking.clone(), claim.clone()));
        }
    }
}

/// The same for a claim that is known by its name only.
pub(super) async fn end_of(asking: &Asking, key: AttemptKey) {
    match asking.store.find_job(key.job).await {
        Ok(Some(job)) => end(asking, &Claim { key, job }).await,
        Ok(None) => {}
        Err(error) => {
            tracing::warn!(%error, job.id = %key.job, "failed to look for a silence to end; it ends by itself");
        }
    }
}

/// Nothing if no silence was wanted.
async fn try_end(asking: &Asking, claim: &Claim) -> Option<Result<usize, PeerError>> {
    let Job { checks, alert, .. } = &claim.job;
    let (true, Some(alertmanagers), Some(alert)) = (checks.silence, &asking.peers.alertmanagers, alert) else {
        return None;
    };
    Some(alertmanagers.end_silences(claim.key, &alert.labels).await)
}

async fn end_later(asking: Asking, claim: Claim) {
    let ends_at = ends_at(&asking, &claim);
    let mut pause = FIRST_PAUSE;
    loop {
        sleep(pause).await;
        match try_end(&asking, &claim).await {
            None | Some(Ok(0)) => return,
            Some(Ok(_)) => return told_ended(&asking, &claim).await,
            Some(Err(error)) if asking.clock.now() >= ends_at => {
                return tracing::warn!(%error, job.id = %claim.key.job, "failed to end a silence; it has ended by itself");
            }
            Some(Err(_)) => pause = (pause * 2).min(LONGEST_PAUSE),
        }
    }
}

/// When a silence of this claim has ended by itself: it was made a little after the claim.
fn ends_at(asking: &Asking, claim: &Claim) -> Timestamp {
    let attempts = &claim.job.attempts;
    let attempt = attempts.iter().find(|attempt| attempt.number == claim.key.number);
    let claimed_at = attempt.map_or_else(|| asking.clock.now(), |attempt| attempt.started_at);
    claimed_at + claim.job.parameters.timeout.duration() + MARGIN * 2
}

async fn told_ended(asking: &Asking, claim: &Claim) {
    asking
        .note(claim, "silence_ended", "ended the silence in Alertmanager")
        .await;
}
