//! What the log page's script asks for besides the log itself: the log's outline, and where a text is in it. Reads a log in
//! blocks and never holds a whole one.

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use actix_web::http::header::CACHE_CONTROL;
use actix_web::web::Bytes;
use actix_web::{HttpResponse, web};
use futures_util::{Stream, stream};
use serde_json::json;

use crate::domain::ids::JobId;
use crate::http::App;
use crate::http::api::find_job;
use crate::http::auth::ViewerAccess;
use crate::http::console::log::outline::Outline;
use crate::http::console::log::search::Finder;
use crate::http::input::{PathId, Query};
use crate::http::problem::Problem;
use crate::store::read::LogHead;
use crate::store::{LOG_BLOCK, StoreError};

/// Outlines that are kept: a log that is looked at again is read from where it went on.
const MOST_OUTLINES: usize = 8;

/// Lines that a search finds at most.
const MOST_LINES: usize = 10_000;

/// An attempt of a job.
type Name = (JobId, u32);

/// The outlines of the logs that were looked at last.
#[derive(Default)]
pub struct Outlines(Mutex<VecDeque<(Name, Kept)>>);

/// Held by whoever reads on; the others wait and find what was read.
type Kept = Arc<tokio::sync::Mutex<Outline>>;

impl fmt::Debug for Outlines {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Outlines").finish_non_exhaustive()
    }
}

impl Outlines {
    /// The outline of that log as far as it was read.
    fn of(&self, name: Name) -> Kept {
        // Nothing is done under this lock that could panic half-way.
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let index = kept.iter().position(|(known, _)| *known == name);
        let outline = index.and_then(|index| kept.remove(index)).map(|(_, outline)| outline);
        let outline = outline.unwrap_or_default();
        kept.push_front((name, Arc::clone(&outline)));
        kept.truncate(MOST_OUTLINES);
        outline
    }
}

/// The log's outline as far as it goes now.
pub(in crate::http::console) async fn outline(
    _: ViewerAccess,
    app: web::Data<App>,
    id: PathId<JobId>,
    query: Query,
) -> Result<HttpResponse, Problem> {
    let wanted = query.only(&["attempt"])?.attempt()?;
    let Some((name, head)) = find(&app, id.0, wanted).await? else {
        return Ok(answer().json(Outline::default().view(false)));
    };
    let kept = app.outlines.of(name);
    let mut outline = kept.lock().await;
    while outline.bytes() < head.bytes {
        let read = app.store.read_log(name.0, name.1, outline.bytes(), LOG_BLOCK).await?;
        if read.is_empty() {
            // It was removed in this moment.
            break;
        }
        outline.add(&read);
    }
    Ok(answer().json(outline.view(head.complete)))
}

/// Where `q` is in the log as far as it goes now: JSON texts, one a line, each with the `lines` that were found since the one
/// before it; the last one is `done`, and says whether there may be `more`.
pub(in crate::http::console) async fn search(
    _: ViewerAccess,
    app: web::Data<App>,
    id: PathId<JobId>,
    query: Query,
) -> Result<HttpResponse, Problem> {
    let wanted = query.only(&["attempt", "q"])?.attempt()?;
    let finder = query.one("q", Finder::new)?;
    let finder = finder.ok_or_else(|| Problem::invalid("q", "is what to look for; it must be given"))?;
    let found = find(&app, id.0, wanted).await?;
    let searching = found.map(|(name, head)| Searching {
        app,
        name,
        finder,
        at: 0,
        end: head.bytes,
        found: 0,
    });
    let mut response = answer();
    response.content_type("application/x-ndjson");
    Ok(response.streaming(Box::pin(found_by(searching))))
}

fn answer() -> actix_web::HttpResponseBuilder {
    let mut response = HttpResponse::Ok();
    response.insert_header((CACHE_CONTROL, "no-store"));
    response
}

/// The attempt that is asked for, and how far its log goes; nothing if it is the first one, and has not begun.
async fn find(app: &App, job: JobId, wanted: Option<u32>) -> Result<Option<(Name, LogHead)>, Problem> {
    find_job(app, job).await?;
    match (app.store.find_attempt(job, wanted).await?, wanted) {
        (Some(attempt), _) if attempt.log_pruned => Err(Problem::log_pruned(job, attempt.number)),
        (Some(attempt), _) => {
            let head = app.store.log_head(job, attempt.number).await?;
            Ok(Some(((job, attempt.number), head)))
        }
        (None, None | Some(1)) => Ok(None),
        (None, Some(number)) => Err(Problem::not_found("attempt", number)),
    }
}

/// A search that is under way.
struct Searching {
    app: web::Data<App>,
    name: Name,
    finder: Finder,
    at: u64,
    end: u64,
    /// How many lines were found.
    found: usize,
}

/// What a search finds, block by block, as its reader takes it. The last text needs no search any more.
fn found_by(searching: Option<Searching>) -> impl Stream<Item = Result<Bytes, StoreError>> {
    stream::try_unfold((searching, false), |(searching, is_done)| async move {
        if is_done {
            return Ok(None);
        }
        let Some(mut searching) = searching else {
            return Ok(Some((said(&json!({"done": true, "more": false})), (None, true))));
        };
        let lines = searching.next().await?;
        let has_more = searching.found > MOST_LINES;
        let is_done = has_more || searching.at >= searching.end;
        let text = if is_done {
            let kept = lines.len().saturating_sub(searching.found.saturating_sub(MOST_LINES));
            json!({"lines": lines[..kept], "done": true, "more": has_more})
        } else {
            json!({"lines": lines})
        };
        Ok(Some((said(&text), (Some(searching), is_done))))
    })
}

impl Searching {
    /// Looks through the next block, and to the end of the log if that is its last one.
    async fn next(&mut self) -> Result<Vec<u64>, StoreError> {
        let (job, attempt) = self.name;
        let mut lines = Vec::new();
        if self.at < self.end {
            let read = self.app.store.read_log(job, attempt, self.at, LOG_BLOCK).await?;
            self.finder.add(&read, &mut lines);
            // Where nothing is to be read any more, the log was removed in this moment.
            self.at = if read.is_empty() {
                self.end
            } else {
                self.at + read.len() as u64
            };
        }
        if self.at >= self.end {
            self.finder.end(&mut lines);
        }
        self.found += lines.len();
        Ok(lines)
    }
}

fn said(text: &serde_json::Value) -> Bytes {
    Bytes::from(format!("{text}\n"))
}
