//! Silences a job's alert while its playbook runs, where the route asks for that. Never fails a run.

use std::time::Duration;

use crate::domain::job::Job;
use crate::peers::NewSilence;
use crate::store::Claim;
use crate::worker::Asking;

/// A run that is stopped at its time limit still needs its grace, and a little more to be stored.
const MARGIN: Duration = Duration::from_secs(30);

/// Makes the silence. It ends by itself if nobody ends it before.
pub(super) async fn begin(asking: &Asking, claim: &Claim) {
    let job = &claim.job;
    let (true, Some(alertmanagers), Some(alert)) = (job.checks.silence, &asking.peers.alertmanagers, &job.alert) else {
        return;
    };
    let starts_at = asking.clock.now();
    let ends_at = starts_at + job.parameters.timeout.duration() + MARGIN;
    let silence = NewSilence {
        job: job.id,
        labels: alert.labels.clone(),
        starts_at,
        ends_at,
        comment: format!("healgate runs {} on {}", job.playbook, job.target),
    };
    match alertmanagers.create_silence(&silence).await {
        Ok(id) => {
            let message = format!("silenced the alert in Alertmanager until {ends_at} at the latest (silence {id})");
            asking.note(claim, "silenced", &message).await;
        }
        Err(error) => {
            let message = format!("could not silence the alert in Alertmanager; it runs all the same: {error}");
            asking.note(claim, "not_silenced", &message).await;
        }
    }
}

/// Ends what `begin` has made, also in an earlier process.
pub(super) async fn end(asking: &Asking, claim: &Claim) {
    let Job { id, checks, alert, .. } = &claim.job;
    let (true, Some(alertmanagers), Some(alert)) = (checks.silence, &asking.peers.alertmanagers, alert) else {
        return;
    };
    match alertmanagers.end_silences(*id, &alert.labels).await {
        Ok(0) => {}
        Ok(_) => {
            let message = "ended the silence in Alertmanager";
            asking.note(claim, "silence_ended", message).await;
        }
        Err(error) => {
            let message = format!("could not end the silence in Alertmanager; it ends by itself: {error}");
            asking.note(claim, "silence_left", &message).await;
        }
    }
}
