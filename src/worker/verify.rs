//! Asks whether jobs have healed while they are `verifying`: Alertmanager about their alerts, Prometheus what their queries
//! say. Runs nothing, and gives nothing up: a verification's end is the pool's.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use futures_util::stream::{self, StreamExt};
use tokio::time::{Instant, sleep, sleep_until};
use tokio_util::sync::CancellationToken;

use crate::domain::alert::Alert;
use crate::domain::ids::JobId;
use crate::domain::job::JobEvent;
use crate::domain::promql::Answer;
use crate::domain::standing::is_known_by_fingerprint;
use crate::domain::timestamp::Timestamp;
use crate::domain::verification::{Schedule, Verification};
use crate::live::Live;
use crate::peers::Alertmanagers;
use crate::store::{Ended, StoreError};
use crate::worker::{Asking, PAUSE_AFTER_FAILURE};

/// The store is asked at most so often which jobs wait.
const BREATHER: Duration = Duration::from_millis(250);

/// Without jobs to ask about; changes wake it sooner.
const LONGEST_SLEEP: Duration = Duration::from_secs(60);

/// Queries to Prometheus at once.
const AT_ONCE: usize = 8;

/// Whether somebody could be asked the last time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Line {
    Up,
    Down,
}

/// Asks until it is told to end.
#[derive(Debug)]
pub struct Verifier {
    asking: Asking,
    schedule: Schedule,
    alertmanager: Line,
}

impl Verifier {
    pub fn new(asking: Asking) -> Self {
        Self {
            asking,
            schedule: Schedule::default(),
            alertmanager: Line::Up,
        }
    }

    /// Asks whenever something is due.
    pub async fn run(mut self, live: Arc<Live>, stopping: CancellationToken) {
        while !self.asking.peers.is_empty() && !stopping.is_cancelled() {
            let wake = self.wake().await;
            tokio::select! {
                () = live.verifications_to_change() => {}
                () = sleep_until(wake) => {}
                () = stopping.cancelled() => return,
            }
            tokio::select! {
                () = sleep(BREATHER) => {}
                () = stopping.cancelled() => return,
            }
        }
    }

    async fn wake(&mut self) -> Instant {
        match self.round().await {
            Ok(next) => {
                let now = self.asking.clock.now();
                Instant::now() + next.map_or(LONGEST_SLEEP, |next| next.since(now).min(LONGEST_SLEEP))
            }
            Err(error) => {
                tracing::error!(%error, "failed to look for jobs to verify");
                Instant::now() + PAUSE_AFTER_FAILURE
            }
        }
    }

    /// Asks what is due now. Answers when something is due again.
    pub async fn round(&mut self) -> Result<Option<Timestamp>, StoreError> {
        let mut jobs = self.asking.store.verifications(self.asking.clock.now()).await?;
        jobs.retain(|job| self.can_be_asked(job));
        self.schedule.keep(&jobs, self.asking.clock.now());
        let due: HashSet<JobId> = self.schedule.due(self.asking.clock.now()).into_iter().collect();
        jobs.retain(|job| due.contains(&job.job));
        let (by_query, by_alert): (Vec<_>, Vec<_>) = jobs.into_iter().partition(|job| job.query.is_some());
        self.ask_alertmanagers(&by_alert).await?;
        self.ask_prometheus(&by_query).await?;
        Ok(self.schedule.next())
    }

    fn can_be_asked(&self, job: &Verification) -> bool {
        match (&job.query, &job.alert) {
            (Some(_), _) => true,
            (None, Some(alert)) => {
                self.asking.peers.alertmanagers.is_some() && job.episode.is_some() && is_known_by_fingerprint(alert)
            }
            (None, None) => false,
        }
    }

    async fn ask_alertmanagers(&mut self, jobs: &[Verification]) -> Result<(), StoreError> {
        let pairs: Vec<(&Verification, &Alert)> =
            jobs.iter().filter_map(|job| Some((job, job.alert.as_ref()?))).collect();
        let Some(alertmanagers) = self.asking.peers.alertmanagers.clone().filter(|_| !pairs.is_empty()) else {
            return Ok(());
        };
        let ended = self.look(alertmanagers.as_ref(), &pairs).await;
        if ended.is_empty() {
            return Ok(());
        }
        self.asking.store.end_episodes(ended, self.asking.clock.now()).await
    }

    /// One look for all of them.
    async fn look(&mut self, alertmanagers: &dyn Alertmanagers, jobs: &[(&Verification, &Alert)]) -> Vec<Ended> {
        let alerts: Vec<&Alert> = jobs.iter().map(|(_, alert)| *alert).collect();
        // What ends while the answer is on its way has not ended later than this.
        let asked_at = self.asking.clock.now();
        let look = alertmanagers.look(&alerts).await;
        self.tell(look.sightings.is_empty(), &look.failures);
        let mut ended = BTreeMap::new();
        for (job, alert) in jobs {
            if let (Some(at), Some(episode)) = (self.schedule.looked(job.job, alert, &look, asked_at), job.episode) {
                ended.insert(episode, Ended { episode, at });
            }
        }
        ended.into_values().collect()
    }

    /// Says in the log when Alertmanager stops answering, and when it answers again.
    fn tell(&mut self, is_down: bool, failures: &[String]) {
        let now = if is_down { Line::Down } else { Line::Up };
        match (std::mem::replace(&mut self.alertmanager, now), now) {
            (Line::Up, Line::Down) => tracing::warn!(failures = failures.join("; "), "no Alertmanager answers"),
            (Line::Down, Line::Up) => tracing::info!("Alertmanager answers again"),
            (Line::Up, Line::Up) | (Line::Down, Line::Down) => {}
        }
    }

    async fn ask_prometheus(&mut self, jobs: &[Verification]) -> Result<(), StoreError> {
        let queries: HashSet<String> = jobs.iter().filter_map(|job| job.query.clone()).collect();
        let asked = queries.into_iter().map(|query| ask(self.asking.clone(), query));
        let asked: Vec<_> = asked.collect();
        let answers: HashMap<_, _> = stream::iter(asked).buffer_unordered(AT_ONCE).collect().await;
        for job in jobs {
            let Some(query) = job.query.as_deref() else { continue };
            let now = self.asking.clock.now();
            match answers.get(query) {
                Some(Ok(answer)) if answer.holds(query) => {
                    let message = format!("healed: the query became true: {query}");
                    self.asking.store.heal(job.job, &message, now).await?;
                }
                Some(Err(why)) => self.complain(job.job, why, now).await?,
                Some(Ok(_)) | None => {}
            }
            self.schedule.asked(job.job, now);
        }
        Ok(())
    }

    /// Once for each job: it may not heal for no other reason than this.
    async fn complain(&mut self, job: JobId, why: &str, now: Timestamp) -> Result<(), StoreError> {
        if !self.schedule.complains_first(job) {
            return Ok(());
        }
        let event = JobEvent {
            at: now,
            event: "unanswered".to_owned(),
            by: "healgate".to_owned(),
            attempt: None,
            message: format!("cannot ask whether it has healed; asking again: {why}"),
        };
        self.asking.store.note(job, event).await
    }
}

async fn ask(asking: Asking, query: String) -> (String, Result<Answer, String>) {
    let answer = asking.query(&query).await;
    (query, answer)
}
