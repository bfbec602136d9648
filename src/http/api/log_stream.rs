//! Follows the log of one attempt. Reads only as fast as its reader does.

mod shared;

use std::sync::Arc;
use std::time::Duration;

use actix_web::http::header::HeaderName;
use actix_web::web::Bytes;
use actix_web::{HttpRequest, HttpResponse, web};
use futures_util::stream;
use serde::Serialize;

use crate::domain::attempt::Outcome;
use crate::domain::ids::JobId;
use crate::domain::job::{Job, JobStatus, Reason};
use crate::http::App;
pub use crate::http::api::log_stream::shared::Streams;
use crate::http::api::log_stream::shared::{Place, SharedLog};
use crate::http::api::{find_job, sse};
use crate::http::auth::ViewerAccess;
use crate::http::input::{PathId, Query};
use crate::http::problem::{Problem, ProblemView};
use crate::live::Follower;
use crate::store::StoreError;

/// After so much silence a comment is sent, so that proxies keep the connection, and the store is asked again.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");

/// How the attempt ended; all but the job's status is null if none ever began.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(crate) struct LogEnd {
    status: JobStatus,
    reason: Option<Reason>,
    attempt: Option<u32>,
    outcome: Option<Outcome>,
}

/// Follow the log of a job's attempt
#[utoipa::path(
    get, path = "/api/v1/jobs/{id}/log/stream", operation_id = "follow_log", tag = "jobs",
    params(
        ("id" = String, Path, format = "uuid", description = "The job"),
        ("attempt" = Option<u32>, Query, minimum = 1, description = "Which attempt; the last one by default, or the first one if none has begun"),
        ("Last-Event-ID" = Option<u64>, Header, description = "Goes on after that byte offset"),
    ),
    responses(
        (status = 200, description = "Events `log` (id: the byte offset after it, data: a JSON string), then one `end` (data: a LogEnd)", body = LogEnd, content_type = "text/event-stream"),
        (status = 400, description = "A parameter or Last-Event-ID is wrong", body = ProblemView, content_type = "application/problem+json"),
        (status = 404, description = "There is no such job or attempt", body = ProblemView, content_type = "application/problem+json"),
    ),
)]
pub(crate) async fn follow(
    _: ViewerAccess,
    app: web::Data<App>,
    id: PathId<JobId>,
    query: Query,
    request: HttpRequest,
) -> Result<HttpResponse, Problem> {
    query.only(&["attempt"])?;
    let number = query.attempt()?;
    let offset = last_event_id(&request)?;
    // Before anything is read, so that no change falls between the two.
    let follower = app.live.follow(id.0);
    let job = find_job(&app, id.0).await?;
    let following = Following {
        attempt: number.or(job.attempts.last().map(|last| last.number)),
        job: job.id,
        app,
        follower,
        log: None,
        place: Place {
            offset,
            ..Place::default()
        },
        has_sent: false,
        in_doubt: false,
        is_over: false,
    };
    refuse_unknown_attempt(&job, following.attempt)?;
    let events = stream::unfold(following, |mut following| async move {
        let event = following.next().await?;
        Some((Ok::<_, StoreError>(event), following))
    });
    Ok(sse::answer(events))
}

fn last_event_id(request: &HttpRequest) -> Result<u64, Problem> {
    let Some(header) = request.headers().get(LAST_EVENT_ID) else {
        return Ok(0);
    };
    let offset = header.to_str().ok().and_then(|text| text.parse::<u64>().ok());
    offset.ok_or_else(|| Problem::invalid("Last-Event-ID", "must be the id of an event: a byte offset"))
}

/// An attempt that does not exist may be waited for only if it is the one that the job waits for.
fn refuse_unknown_attempt(job: &Job, wanted: Option<u32>) -> Result<(), Problem> {
    let known = job.attempts.last().map_or(0, |last| last.number);
    let next = match job.status {
        JobStatus::AwaitingApproval | JobStatus::Queued => known + 1,
        JobStatus::Running | JobStatus::Verifying | JobStatus::Succeeded | JobStatus::Failed | JobStatus::Canceled => {
            known
        }
    };
    match wanted {
        Some(number) if number > next => Err(Problem::not_found("attempt", number)),
        Some(_) | None => Ok(()),
    }
}

/// One reader's place in a log.
struct Following {
    app: web::Data<App>,
    follower: Follower,
    job: JobId,
    /// `None` until the first attempt begins.
    attempt: Option<u32>,
    /// Of the attempt, once that has begun.
    log: Option<Arc<SharedLog>>,
    place: Place,
    /// The event before this was a part of the log.
    has_sent: bool,
    /// It was silent for long: the store is asked, whatever others have read.
    in_doubt: bool,
    is_over: bool,
}

impl Following {
    /// The next event; `None` ends the stream.
    async fn next(&mut self) -> Option<Bytes> {
        if std::mem::take(&mut self.has_sent) {
            // So that it is sent before there is another one to be held.
            tokio::task::yield_now().await;
        }
        loop {
            if self.is_over || self.app.stopping.is_cancelled() {
                return None;
            }
            match self.look().await {
                Ok(Some(event)) => return Some(event),
                Ok(None) => {}
                Err(error) => {
                    // The reader comes back and goes on where this ended.
                    tracing::warn!(job = %self.job, %error, "failed to follow a log");
                    return None;
                }
            }
            tokio::select! {
                () = self.follower.changed() => {}
                () = self.app.stopping.cancelled() => return None,
                () = tokio::time::sleep(KEEP_ALIVE) => {
                    self.in_doubt = true;
                    return Some(sse::KEEP_ALIVE);
                }
            }
        }
    }

    /// What there is to send now; `None` says that more has to happen first.
    async fn look(&mut self) -> Result<Option<Bytes>, StoreError> {
        // Before anything is read, so that what was read is as new as this says.
        let change = self.follower.last_change();
        let anew = std::mem::take(&mut self.in_doubt);
        self.find_log().await?;
        let Some(log) = &self.log else {
            return self.end_without_attempt().await;
        };
        let store = self.app.store.as_ref();
        let Some(seen) = log.seen(store, change, anew).await? else {
            return self.end_without_attempt().await;
        };
        if let Some(event) = log.event(store, &self.place, seen).await? {
            self.place.clone_from(&event.to);
            self.has_sent = true;
            return Ok(Some(event.event.clone()));
        }
        // Not before the attempt's end is recorded, which is after its log is complete.
        if seen.complete && seen.outcome.is_some() {
            return self.end(seen.outcome).await;
        }
        Ok(None)
    }

    /// Finds the attempt, if that has begun.
    async fn find_log(&mut self) -> Result<(), StoreError> {
        if self.log.is_some() {
            return Ok(());
        }
        if let Some(attempt) = self.app.store.find_attempt(self.job, self.attempt).await? {
            self.attempt = Some(attempt.number);
            self.log = Some(self.app.streams.log((self.job, attempt.number)));
        }
        Ok(())
    }

    async fn end_without_attempt(&mut self) -> Result<Option<Bytes>, StoreError> {
        match self.app.store.find_job(self.job).await? {
            Some(job) if !job.status.is_finished() => Ok(None),
            Some(_) | None => {
                self.attempt = None;
                self.end(None).await
            }
        }
    }

    async fn end(&mut self, outcome: Option<Outcome>) -> Result<Option<Bytes>, StoreError> {
        self.is_over = true;
        let Some(job) = self.app.store.find_job(self.job).await? else {
            let (what, id) = ("job", self.job.to_string());
            return Err(StoreError::NotFound { what, id });
        };
        let end = LogEnd {
            status: job.status,
            reason: job.reason,
            attempt: self.attempt,
            outcome,
        };
        encoded(sse::event("end", None, &end)).map(Some)
    }
}

fn encoded(event: serde_json::Result<Bytes>) -> Result<Bytes, StoreError> {
    event.map_err(|error| StoreError::Database(error.to_string()))
}

#[cfg(test)]
mod tests;
