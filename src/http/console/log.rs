//! The log of an attempt, a part at a time: its end, with the way to what is before it. A script of the page's own follows
//! it, and shows all of it; what that asks for is below.

mod outline;
pub(super) mod parts;
mod search;

use std::ops::Range;

use actix_web::{HttpResponse, web};
use askama::Template;

use crate::domain::ids::JobId;
use crate::domain::job::Job;
use crate::http::App;
use crate::http::api::ansi::Stripper;
use crate::http::api::find_job;
use crate::http::console::access::Reader;
use crate::http::console::failure::Failure;
use crate::http::console::reply::page;
use crate::http::console::shell::{Place, Shell};
use crate::http::input::{PathId, Query};
use crate::http::problem::Problem;
use crate::store::StoreError;

/// How many bytes the page shows at most.
const PART: u64 = 16 * 1024;

/// How many bytes they may be as HTML: where every byte is a quotation mark, it is five times as many.
const PAGE: usize = 40 * 1024;

/// So far behind the beginning of a part it may begin with a line.
const LINE: usize = 2 * 1024;

#[derive(Template)]
#[template(path = "log.html")]
struct LogPage {
    shell: Shell,
    job: Job,
    has_begun: bool,
    is_pruned: bool,
    log: Shown,
}

/// What a page shows of a log before its script does: a part of it as text.
#[derive(Clone, Debug)]
pub(super) struct Shown {
    pub(super) job: JobId,
    /// The first one where none has begun.
    pub(super) attempt: u32,
    /// Of the whole log.
    pub(super) bytes: u64,
    pub(super) is_complete: bool,
    /// Where the text begins, and where it ends.
    pub(super) from: u64,
    pub(super) to: u64,
    pub(super) text: String,
}

impl Shown {
    /// Nothing, of an attempt that has said nothing.
    fn nothing(job: JobId, attempt: u32, is_complete: bool) -> Self {
        Self {
            job,
            attempt,
            bytes: 0,
            is_complete,
            from: 0,
            to: 0,
            text: String::new(),
        }
    }

    /// At most so many bytes from `from` on, or of the log's end.
    pub(super) async fn of(
        app: &App,
        (job, attempt): (JobId, u32),
        from: Option<u64>,
        most: u64,
    ) -> Result<Self, StoreError> {
        let head = app.store.log_head(job, attempt).await?;
        let begin = from.unwrap_or(head.bytes.saturating_sub(most)).min(head.bytes);
        let read = read(app, (job, attempt), begin, most).await?;
        let part = fitting(&read, begin > 0, from.is_none());
        Ok(Self {
            bytes: head.bytes,
            from: begin + part.start as u64,
            to: begin + part.end as u64,
            text: String::from_utf8_lossy(&Stripper::default().strip(&read[part])).into_owned(),
            ..Self::nothing(job, attempt, head.complete)
        })
    }

    pub(super) fn older(&self) -> Option<u64> {
        (self.from > 0).then(|| self.from.saturating_sub(PART))
    }

    pub(super) fn newer(&self) -> Option<u64> {
        (self.to < self.bytes).then_some(self.to)
    }
}

/// The page: the part that begins at the byte `from`, or the log's end.
pub(super) async fn show(
    reader: Reader,
    app: web::Data<App>,
    id: PathId<JobId>,
    query: Query,
) -> Result<HttpResponse, Failure> {
    let wanted = query.only(&["attempt", "from"])?.attempt()?;
    let from = query.one("from", |text| {
        text.parse::<u64>()
            .map_err(|_| format!("{text:?} is not a place in a log"))
    })?;
    let job = find_job(&app, id.0).await?;
    let attempt = app.store.find_attempt(job.id, wanted).await?;
    if let (None, Some(number)) = (&attempt, wanted) {
        return Err(Problem::not_found("attempt", number).into());
    }
    let log = match &attempt {
        Some(attempt) if !attempt.log_pruned => Shown::of(&app, (job.id, attempt.number), from, PART).await?,
        Some(attempt) => Shown::nothing(job.id, attempt.number, true),
        None => Shown::nothing(job.id, 1, job.status.is_finished()),
    };
    Ok(page(&LogPage {
        shell: Shell::of(&reader.0, Place::Jobs),
        has_begun: attempt.is_some(),
        is_pruned: attempt.is_some_and(|attempt| attempt.log_pruned),
        job,
        log,
    }))
}

async fn read(app: &App, (job, attempt): (JobId, u32), from: u64, most: u64) -> Result<Vec<u8>, StoreError> {
    let most = usize::try_from(most).unwrap_or(usize::MAX);
    let mut read = Vec::new();
    while read.len() < most {
        let at = from + u64::try_from(read.len()).unwrap_or(0);
        let chunk = app.store.read_log(job, attempt, at, most - read.len()).await?;
        if chunk.is_empty() {
            break;
        }
        read.extend_from_slice(&chunk);
    }
    read.truncate(most);
    Ok(read)
}

/// What of these bytes a page shows. The end of a log begins with a line if it can; where not all has room, that is left out
/// which can be asked for.
fn fitting(read: &[u8], is_later: bool, is_end: bool) -> Range<usize> {
    if !is_end {
        return 0..room_for(read.iter());
    }
    let begin = read.len() - room_for(read.iter().rev());
    if !is_later && begin == 0 {
        return 0..read.len();
    }
    let near = &read[begin..read.len().min(begin + LINE)];
    let line = near.iter().position(|byte| *byte == b'\n').map_or(0, |end| end + 1);
    begin + line..read.len()
}

/// How many of the bytes have room on a page.
fn room_for<'a>(bytes: impl Iterator<Item = &'a u8>) -> usize {
    let sizes = bytes.scan(0, |sum, byte| {
        *sum += if b"<>&\"'".contains(byte) { 5 } else { 1 };
        Some(*sum)
    });
    sizes.take_while(|sum| *sum <= PAGE).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_a_log_begins_with_a_line_if_that_is_near() {
        assert_eq!(fitting(b"rest\nline\n", true, true), 5..10);
        assert_eq!(fitting(b"first\nline\n", false, true), 0..11);
        assert_eq!(fitting(b"all one line", true, true), 0..12);
        let far = [vec![b'x'; LINE], b"\nline".to_vec()].concat();
        assert_eq!(fitting(&far, true, true), 0..far.len());
    }

    #[test]
    fn what_needs_more_room_as_html_is_cut_where_it_can_be_asked_for() {
        let quotes = vec![b'"'; 16 * 1024];
        assert_eq!(fitting(&quotes, true, false), 0..PAGE / 5);
        assert_eq!(fitting(&quotes, false, true), quotes.len() - PAGE / 5..quotes.len());
        assert_eq!(fitting(&vec![b'x'; 16 * 1024], true, false), 0..16 * 1024);
    }
}
