//! Follows all jobs at once: says which have moved on, and how. Reads a job when it has moved, and never more often than a
//! reader can use.

use std::collections::{BTreeSet, HashMap};
use std::time::Duration;

use actix_web::web::Bytes;
use actix_web::{HttpResponse, web};
use futures_util::stream;
use serde::Serialize;
use tokio::time::{Instant, sleep, sleep_until};

use crate::domain::attempt::Outcome;
use crate::domain::ids::JobId;
use crate::domain::job::{Job, JobStatus, Reason};
use crate::http::App;
use crate::http::api::sse;
use crate::http::auth::ViewerAccess;
use crate::http::input::Query;
use crate::http::problem::Problem;
use crate::http::views::JobView;
use crate::live::{Move, Moves};
use crate::store::StoreError;

/// After so much silence a comment is sent, so that proxies keep the connection and readers know that it lives.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// Changes that come within this time are told together.
const GATHERED: Duration = Duration::from_millis(200);

/// Jobs that are told of at once. Of more a reader is told that there are more.
const MOST: usize = 100;

/// How many jobs a reader's state is remembered of.
const REMEMBERED: usize = 10_000;

/// More has changed than is told: whoever shows a list asks for it again.
#[derive(Debug, Default, Serialize, utoipa::ToSchema)]
pub(crate) struct Missed {
    /// How many jobs at least; 0 where it is not jobs that changed, but what holds them back.
    jobs: usize,
}

/// Follow the changes of all jobs
#[utoipa::path(
    get, path = "/api/v1/stream", operation_id = "follow_jobs", tag = "jobs",
    responses(
        (status = 200, description = "Events `job` (data: the job, when its status, its attempts or whether it healed has changed) and `missed` (data: a Missed: ask for lists again)", body = Missed, content_type = "text/event-stream"),
    ),
)]
pub(crate) async fn follow(_: ViewerAccess, app: web::Data<App>, query: Query) -> Result<HttpResponse, Problem> {
    query.only(&[])?;
    let following = Following {
        moves: app.live.moves(),
        app,
        known: HashMap::new(),
        is_new: true,
    };
    let events = stream::unfold(following, |mut following| async move {
        let event = following.next().await?;
        Some((Ok::<_, StoreError>(event), following))
    });
    Ok(sse::answer(events))
}

/// What of a job its readers are told of: its log grows without that.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct State {
    status: JobStatus,
    reason: Option<Reason>,
    attempts: usize,
    outcome: Option<Outcome>,
    is_healed: bool,
    is_to_stop: bool,
}

impl From<&Job> for State {
    fn from(job: &Job) -> Self {
        Self {
            status: job.status,
            reason: job.reason,
            attempts: job.attempts.len(),
            outcome: job.attempts.last().and_then(|last| last.outcome),
            is_healed: job.healed_at.is_some(),
            is_to_stop: job.cancel_requested.is_some(),
        }
    }
}

/// One reader.
struct Following {
    app: web::Data<App>,
    moves: Moves,
    /// As the reader was told last.
    known: HashMap<JobId, State>,
    /// Nothing was sent yet.
    is_new: bool,
}

/// What moved within a moment.
#[derive(Debug, Default)]
struct Moved {
    jobs: BTreeSet<JobId>,
    has_more: bool,
}

impl Moved {
    fn add(&mut self, moved: Move) {
        match moved {
            Move::Job(job) if self.jobs.len() < MOST => {
                self.jobs.insert(job);
            }
            Move::Job(job) => self.has_more |= !self.jobs.contains(&job),
            Move::Others => self.has_more = true,
        }
    }
}

impl Following {
    /// The next events; `None` ends the stream.
    async fn next(&mut self) -> Option<Bytes> {
        if std::mem::take(&mut self.is_new) {
            // So that a browser knows at once that it is connected.
            return Some(sse::KEEP_ALIVE);
        }
        let silence = sleep(KEEP_ALIVE);
        tokio::pin!(silence);
        loop {
            let moved = tokio::select! {
                moved = self.moves.next() => moved,
                () = self.app.stopping.cancelled() => return None,
                () = &mut silence => return Some(sse::KEEP_ALIVE),
            };
            let moved = self.gather(moved).await;
            match self.tell(moved).await {
                Ok(events) if events.is_empty() => {}
                Ok(events) => return Some(events),
                Err(error) => {
                    // The reader comes back, and asks for its lists again.
                    tracing::warn!(%error, "failed to follow the jobs");
                    return None;
                }
            }
        }
    }

    /// With what else moves within the moment.
    async fn gather(&mut self, first: Move) -> Moved {
        let mut moved = Moved::default();
        moved.add(first);
        let end = Instant::now() + GATHERED;
        loop {
            tokio::select! {
                next = self.moves.next() => moved.add(next),
                () = sleep_until(end) => return moved,
            }
        }
    }

    async fn tell(&mut self, moved: Moved) -> Result<Bytes, StoreError> {
        let mut events = Vec::new();
        for id in &moved.jobs {
            let Some(job) = self.app.store.find_job(*id).await? else {
                continue;
            };
            let state = State::from(&job);
            if self.known.insert(*id, state) == Some(state) {
                continue;
            }
            if job.status.is_finished() && job.healed_at.is_some() {
                self.known.remove(id);
            }
            events.extend(encoded("job", &JobView::from(job))?);
        }
        if moved.has_more {
            let jobs = if moved.jobs.len() < MOST { 0 } else { MOST };
            events.extend(encoded("missed", &Missed { jobs })?);
        }
        if self.known.len() > REMEMBERED {
            // Told once more than needed, at the worst.
            self.known.clear();
        }
        Ok(Bytes::from(events))
    }
}

fn encoded(name: &str, data: &impl Serialize) -> Result<Bytes, StoreError> {
    sse::event(name, None, data).map_err(|error| StoreError::Database(error.to_string()))
}

#[cfg(test)]
mod tests;
