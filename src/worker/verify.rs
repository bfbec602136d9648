//! Asks whether jobs have healed while they are `verifying`: Alertmanager about their alerts, Prometheus what their queries
//! say, side by side: neither waits for the other. Runs nothing, and gives nothing up: a verification's end is the pool's.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use futures_util::stream::{self, StreamExt};
use tokio::sync::watch;
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
use crate::peers::{Alertmanagers, PeerError};
use crate::store::{Ended, StoreError};
use crate::worker::asking::Unasked;
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

/// Whom a verifier asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// Alertmanager.
    Alerts,
    /// Prometheus.
    Queries,
}

/// Asks until it is told to end.
pub async fn verify(asking: Asking, live: Arc<Live>, stopping: CancellationToken) {
    let news = watch::Sender::new(());
    let alerts = Verifier::of_alerts(asking.clone()).run(news.subscribe(), stopping.clone());
    let queries = Verifier::of_queries(asking).run(news.subscribe(), stopping);
    let passing_on = async {
        loop {
            live.verifications_to_change().await;
            news.send_replace(());
        }
    };
    tokio::select! {
        ((), ()) = async { tokio::join!(alerts, queries) } => {}
        () = passing_on => {}
    }
}

/// Asks one of the two.
#[derive(Debug)]
pub struct Verifier {
    asking: Asking,
    kind: Kind,
    schedule: Schedule,
    alertmanager: Line,
}

impl Verifier {
    /// Asks about the jobs that wait for their alerts.
    pub fn of_alerts(asking: Asking) -> Self {
        Self::new(asking, Kind::Alerts)
    }

    /// Asks about the jobs that wait for their queries.
    pub fn of_queries(asking: Asking) -> Self {
        Self::new(asking, Kind::Queries)
    }

    fn new(asking: Asking, kind: Kind) -> Self {
        Self {
            asking,
            kind,
            schedule: Schedule::default(),
            alertmanager: Line::Up,
        }
    }

    /// Asks whenever something is due, and looks for that when there is news.
    async fn run(mut self, mut news: watch::Receiver<()>, stopping: CancellationToken) {
        while !self.asking.peers.is_empty() && !stopping.is_cancelled() {
            let wake = self.wake().await;
            tokio::select! {
                _ = news.changed() => {}
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
        match self.kind {
            Kind::Alerts => self.ask_alertmanagers(&jobs).await?,
            Kind::Queries => self.ask_prometheus(&jobs).await?,
        }
        Ok(self.schedule.next())
    }

    fn can_be_asked(&self, job: &Verification) -> bool {
        match (self.kind, &job.query, &job.alert) {
            (Kind::Queries, query, _) => query.is_some(),
            (Kind::Alerts, None, Some(alert)) => {
                self.asking.peers.alertmanagers.is_some() && job.episode.is_some() && is_known_by_fingerprint(alert)
            }
            (Kind::Alerts, Some(_), _) | (Kind::Alerts, None, None) => false,
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

    /// Each answer counts as soon as it is there. A Prometheus that answers none of so many is not asked the rest.
    async fn ask_prometheus(&mut self, jobs: &[Verification]) -> Result<(), StoreError> {
        let mut waiting: HashMap<String, Vec<JobId>> = HashMap::new();
        for job in jobs {
            if let Some(query) = &job.query {
                waiting.entry(query.clone()).or_default().push(job.job);
            }
        }
        let asked: Vec<_> = waiting
            .keys()
            .map(|query| ask(self.asking.clone(), query.clone()))
            .collect();
        let mut answers = stream::iter(asked).buffer_unordered(AT_ONCE);
        let mut silent = 0;
        while let Some((query, answer)) = answers.next().await {
            let jobs = waiting.remove(&query).unwrap_or_default();
            self.hear(&jobs, &query, answer.as_ref()).await?;
            match answer {
                Err(Unknown { why, is_silent: true }) => {
                    silent += 1;
                    if silent == AT_ONCE {
                        let rest: Vec<JobId> = waiting.into_values().flatten().collect();
                        return self.hear_nothing(&rest, &why).await;
                    }
                }
                // It is there.
                Ok(_) | Err(Unknown { is_silent: false, .. }) => silent = 0,
            }
        }
        Ok(())
    }

    async fn hear(&mut self, jobs: &[JobId], query: &str, answer: Result<&Answer, &Unknown>) -> Result<(), StoreError> {
        match answer {
            Err(Unknown { why, .. }) => self.hear_nothing(jobs, why).await,
            Ok(answer) => {
                for job in jobs {
                    let now = self.asking.clock.now();
                    if answer.holds(query) {
                        let message = format!("healed: the query became true: {query}");
                        self.asking.store.heal(*job, &message, now).await?;
                    }
                    self.schedule.asked(*job, now);
                }
                Ok(())
            }
        }
    }

    async fn hear_nothing(&mut self, jobs: &[JobId], why: &str) -> Result<(), StoreError> {
        for job in jobs {
            let now = self.asking.clock.now();
            self.complain(*job, why, now).await?;
            self.schedule.asked(*job, now);
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

/// Why nobody knows what a query says.
struct Unknown {
    why: String,
    /// There was no answer at all.
    is_silent: bool,
}

async fn ask(asking: Asking, query: String) -> (String, Result<Answer, Unknown>) {
    let answer = asking.query(&query).await.map_err(|error| Unknown {
        is_silent: matches!(
            error,
            Unasked::Peer(PeerError::TimedOut { .. } | PeerError::Unanswered { .. })
        ),
        why: error.to_string(),
    });
    (query, answer)
}
