//! Looks again just before a run: whether the alert still fires, and whether the route's precondition holds. Starts
//! nothing.

use std::time::Duration;

use tokio::time::sleep;

use crate::domain::alert::Alert;
use crate::domain::checks::{OnError, Precondition};
use crate::domain::job::{Job, Reason, Trigger};
use crate::domain::standing::{Look, Seen, Standing, is_known_by_fingerprint};
use crate::domain::timestamp::Timestamp;
use crate::peers::{AUTHOR, Alertmanagers};
use crate::store::{Claim, Ended, StoreError, Withdrawal};
use crate::worker::silences;
use crate::worker::{Asking, PAUSE_AFTER_FAILURE};

/// Between the look that misses the alert and the one that confirms it.
const CONFIRM: Duration = Duration::from_millis(500);

/// What was found out, a sentence each; or why the job must not run.
type Findings = Result<Vec<String>, Withdrawal>;

/// Whether the claimed job may start. One that may not is ended, or goes back into the queue.
pub async fn may_start(asking: &Asking, claim: &Claim) -> bool {
    let job = &claim.job;
    // A clean-up belongs to no episode: it runs because the alert has resolved.
    let for_alert = job.episode.is_some() && matches!(job.trigger, Trigger::Alert | Trigger::Ladder);
    // A precondition holds also for those who have left nobody in healgate.yml to ask.
    if !for_alert || (asking.peers.is_empty() && job.checks.precondition.is_none()) {
        return true;
    }
    let asked_at = asking.clock.now();
    match look(asking, job).await {
        Ok(findings) => {
            if !findings.is_empty() {
                asking.note(claim, "checked", &findings.join("; ")).await;
            }
            silences::begin(asking, claim).await;
            let confirmed = confirm(asking, claim).await;
            if !confirmed {
                silences::end(asking, claim).await;
            }
            confirmed
        }
        Err(withdrawal) => {
            tracing::info!(
                reason = withdrawal.reason.as_str(),
                message = withdrawal.message,
                "not started"
            );
            withdraw(asking, claim, withdrawal, asked_at).await;
            // An earlier claim of the job may have left one.
            silences::end(asking, claim).await;
            false
        }
    }
}

/// Asking takes time: what has happened meanwhile counts.
async fn confirm(asking: &Asking, claim: &Claim) -> bool {
    loop {
        match asking.store.confirm(claim.key, asking.clock.now()).await {
            Ok(true) => return true,
            Ok(false) => {
                tracing::info!("not started: given back");
                return false;
            }
            Err(StoreError::LostClaim(_)) => {
                tracing::error!("another claim owns this job");
                return false;
            }
            Err(error) => {
                tracing::error!(%error, "failed to look at a claimed job again; trying again");
                sleep(PAUSE_AFTER_FAILURE).await;
            }
        }
    }
}

async fn look(asking: &Asking, job: &Job) -> Findings {
    let mut findings = Vec::new();
    if let (Some(alertmanagers), Some(alert)) = (&asking.peers.alertmanagers, &job.alert)
        && is_known_by_fingerprint(alert)
    {
        findings.push(still_firing(alertmanagers.as_ref(), alert).await?);
    }
    if let Some(precondition) = &job.checks.precondition {
        findings.push(holds(asking, precondition).await?);
    }
    Ok(findings)
}

async fn still_firing(alertmanagers: &dyn Alertmanagers, alert: &Alert) -> Result<String, Withdrawal> {
    let mut look = alertmanagers.look(&[alert]).await;
    let mut standing = look.standing(alert, &Seen::default());
    if standing == Standing::Gone {
        // Alertmanagers tell each other of alerts with a little delay.
        sleep(CONFIRM).await;
        look = alertmanagers.look(&[alert]).await;
        standing = look.standing(alert, &Seen::default());
    }
    match standing {
        Standing::Firing { silenced_by } => not_silenced(alertmanagers, &silenced_by, &look).await,
        Standing::Gone => Err(Withdrawal {
            reason: Reason::ResolvedMeanwhile,
            message: format!(
                "the alert has resolved: Alertmanager ({}) does not have it any more",
                look.answered()
            ),
        }),
        Standing::Unknown { why } => Ok(format!("goes on without knowing whether the alert still fires: {why}")),
    }
}

/// Silences of ours are on alerts because they are being healed.
async fn not_silenced(alertmanagers: &dyn Alertmanagers, ids: &[String], look: &Look) -> Result<String, Withdrawal> {
    for id in ids {
        let message = match alertmanagers.find_silence(id).await {
            Ok(silence) if silence.created_by == AUTHOR => continue,
            Ok(silence) => format!(
                "the alert is silenced in Alertmanager by {} until {}: {} (silence {id})",
                silence.created_by, silence.ends_at, silence.comment
            ),
            Err(error) => format!("the alert is silenced in Alertmanager (silence {id}; {error})"),
        };
        return Err(Withdrawal {
            reason: Reason::Silenced,
            message,
        });
    }
    Ok(format!(
        "Alertmanager ({}) says that the alert still fires",
        look.answered()
    ))
}

async fn holds(asking: &Asking, precondition: &Precondition) -> Result<String, Withdrawal> {
    let Precondition { query, on_error } = precondition;
    let answer = asking.query(query).await;
    let failed = |message| Withdrawal {
        reason: Reason::PreconditionFailed,
        message,
    };
    match (answer, on_error) {
        (Ok(answer), _) if answer.holds(query) => Ok(format!("the precondition holds: {query}")),
        (Ok(_), _) => Err(failed(format!("the precondition does not hold: {query}"))),
        (Err(why), OnError::Refuse) => Err(failed(format!(
            "the precondition could not be checked, and the route refuses to run then: {why}; it is {query}"
        ))),
        (Err(why), OnError::Proceed) => Ok(format!(
            "the precondition could not be checked, and the route runs all the same: {why}; it is {query}"
        )),
    }
}

/// However long that takes: the job must neither run nor stay claimed.
async fn withdraw(asking: &Asking, claim: &Claim, withdrawal: Withdrawal, asked_at: Timestamp) {
    let resolved = withdrawal.reason == Reason::ResolvedMeanwhile;
    loop {
        let now = asking.clock.now();
        match asking.store.withdraw(claim.key, withdrawal.clone(), now).await {
            Ok(()) => break,
            Err(StoreError::LostClaim(_)) => return tracing::error!("another claim owns this job"),
            Err(error) => {
                tracing::error!(%error, "failed to end a job that must not run; trying again");
                sleep(PAUSE_AFTER_FAILURE).await;
            }
        }
    }
    if let (true, Some(episode)) = (resolved, claim.job.episode) {
        // What fires again while the answer is on its way has begun later than this.
        let ended = Ended { episode, at: asked_at };
        // If it fails, Alertmanager's own notification does it.
        if let Err(error) = asking.store.end_episodes(vec![ended], asking.clock.now()).await {
            tracing::warn!(%error, "failed to store that an alert has resolved");
        }
    }
}
