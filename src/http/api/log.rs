//! A job's log as text, whole or in parts.

use std::ops::Range;

use actix_web::body::{BodyStream, SizedStream};
use actix_web::http::Method;
use actix_web::http::header::{ACCEPT_RANGES, CONTENT_RANGE, IF_RANGE, RANGE};
use actix_web::web::Bytes;
use actix_web::{HttpRequest, HttpResponse, web};
use futures_util::{Stream, TryStreamExt, stream};

use crate::domain::ids::JobId;
use crate::http::App;
use crate::http::api::ansi::Stripper;
use crate::http::api::find_job;
use crate::http::api::range::{Wanted, wanted};
use crate::http::auth::ViewerAccess;
use crate::http::input::{PathId, Query};
use crate::http::problem::{Problem, ProblemView};
use crate::store::StoreError;

/// How much of a log is held in memory for one reader.
const CHUNK: usize = 256 * 1024;

const CONTENT_TYPE: &str = "text/plain; charset=utf-8";

/// The log of an attempt as far as it goes now.
struct Log {
    app: web::Data<App>,
    job: JobId,
    attempt: u32,
    /// Before that there is nothing that a range could be a part of.
    has_begun: bool,
    bytes: u64,
}

/// What happens to terminal escapes.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Ansi {
    Keep,
    Strip,
}

/// Show the log of a job's attempt
#[utoipa::path(
    get, path = "/api/v1/jobs/{id}/log", operation_id = "show_log", tag = "jobs",
    params(
        ("id" = String, Path, format = "uuid", description = "The job"),
        ("attempt" = Option<u32>, Query, minimum = 1, description = "Which attempt; the last one by default"),
        ("ansi" = Option<String>, Query, pattern = "^(keep|strip)$", description = "What to do with terminal escapes; keep by default"),
        ("Range" = Option<String>, Header, description = "A part of the raw log, as in bytes=1000-; not with ansi=strip"),
    ),
    responses(
        (status = 200, description = "The log as far as it goes; empty if no attempt has begun", body = String, content_type = "text/plain; charset=utf-8"),
        (status = 206, description = "The part asked for", body = String, content_type = "text/plain; charset=utf-8", headers(("Content-Range" = String))),
        (status = 404, description = "There is no such job or attempt, or its log was pruned", body = ProblemView, content_type = "application/problem+json"),
        (status = 416, description = "The log does not reach that far", body = ProblemView, content_type = "application/problem+json", headers(("Content-Range" = String))),
    ),
)]
pub(crate) async fn show(
    _: ViewerAccess,
    app: web::Data<App>,
    id: PathId<JobId>,
    query: Query,
    request: HttpRequest,
) -> Result<HttpResponse, Problem> {
    query.only(&["attempt", "ansi"])?;
    let ansi = query.one("ansi", |text| match text {
        "keep" => Ok(Ansi::Keep),
        "strip" => Ok(Ansi::Strip),
        other => Err(format!("{other:?} is neither keep nor strip")),
    })?;
    let log = Log::find(app, id.0, query.attempt()?).await?;
    if ansi == Some(Ansi::Strip) {
        return Ok(log.stripped(&request));
    }
    log.raw(&request)
}

impl Log {
    async fn find(app: web::Data<App>, job: JobId, number: Option<u32>) -> Result<Self, Problem> {
        find_job(&app, job).await?;
        let (attempt, has_begun, bytes) = match (app.store.find_attempt(job, number).await?, number) {
            (Some(attempt), _) if attempt.log_pruned => return Err(Problem::log_pruned(job, attempt.number)),
            (Some(attempt), _) => {
                let head = app.store.log_head(job, attempt.number).await?;
                (attempt.number, true, head.bytes)
            }
            (None, None) => (1, false, 0),
            (None, Some(number)) => return Err(Problem::not_found("attempt", number)),
        };
        Ok(Self {
            app,
            job,
            attempt,
            has_begun,
            bytes,
        })
    }

    fn raw(self, request: &HttpRequest) -> Result<HttpResponse, Problem> {
        let header = request.headers().get(RANGE).and_then(|range| range.to_str().ok());
        // A log has no validator that If-Range could name; and a range means something for GET alone.
        let ranged = self.has_begun && request.method() == Method::GET && !request.headers().contains_key(IF_RANGE);
        let (mut response, part) = match wanted(header.filter(|_| ranged), self.bytes) {
            Wanted::Whole => (HttpResponse::Ok(), 0..self.bytes),
            Wanted::Unsatisfiable => return Err(Problem::range_not_satisfiable(self.bytes)),
            Wanted::Part(part) => {
                let mut response = HttpResponse::PartialContent();
                let range = format!("bytes {}-{}/{}", part.start, part.end - 1, self.bytes);
                response.insert_header((CONTENT_RANGE, range));
                (response, part)
            }
        };
        response
            .content_type(CONTENT_TYPE)
            .insert_header((ACCEPT_RANGES, "bytes"));
        let length = part.end - part.start;
        if request.method() == Method::HEAD {
            return Ok(response.body(SizedStream::new(length, stream::empty::<Result<Bytes, StoreError>>())));
        }
        Ok(response.body(SizedStream::new(length, Box::pin(self.read(part)))))
    }

    fn stripped(self, request: &HttpRequest) -> HttpResponse {
        let mut response = HttpResponse::Ok();
        response
            .content_type(CONTENT_TYPE)
            .insert_header((ACCEPT_RANGES, "none"));
        if request.method() == Method::HEAD {
            return response.finish();
        }
        let bytes = self.bytes;
        let mut stripper = Stripper::default();
        let plain = self
            .read(0..bytes)
            .map_ok(move |chunk| Bytes::from(stripper.strip(&chunk)));
        response.body(BodyStream::new(Box::pin(plain)))
    }

    /// The bytes in `part`, read as the reader takes them.
    fn read(self, part: Range<u64>) -> impl Stream<Item = Result<Bytes, StoreError>> {
        stream::try_unfold((self, part), |(log, part)| async move {
            let left = usize::try_from(part.end - part.start).unwrap_or(usize::MAX);
            if left == 0 {
                return Ok(None);
            }
            let most = left.min(CHUNK);
            let mut chunk = log.app.store.read_log(log.job, log.attempt, part.start, most).await?;
            if chunk.is_empty() {
                // The log was there a moment ago; it was pruned. A short body tells the reader.
                return Ok(None);
            }
            chunk.truncate(left);
            let next = part.start + u64::try_from(chunk.len()).unwrap_or(0);
            Ok(Some((Bytes::from(chunk), (log, next..part.end))))
        })
    }
}

#[cfg(test)]
mod tests;
