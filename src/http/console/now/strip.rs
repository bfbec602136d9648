//! The last hours at a glance: a mark for each job, the oldest first.

use std::time::Duration;

use crate::domain::job::{Job, JobStatus};
use crate::domain::timestamp::Timestamp;
use crate::http::App;
use crate::http::console::moment::Moment;
use crate::http::console::status::Badge;
use crate::http::console::words::headline;
use crate::store::StoreError;
use crate::store::read::{JobFilter, PageRequest};

/// How far back it goes, at most.
pub(super) const HOURS: u64 = 12;

/// How many jobs it has, at most.
const MOST: u32 = 96;

/// The marks.
#[derive(Debug, Default)]
pub(super) struct Strip {
    pub(super) marks: Vec<StripMark>,
    /// When the first of them was made.
    pub(super) begins: Option<Moment>,
    pub(super) hours: u64,
    /// There are older ones within these hours.
    pub(super) is_cut: bool,
    pub(super) good: usize,
    pub(super) bad: usize,
    pub(super) others: usize,
}

/// A job.
#[derive(Debug)]
pub(super) struct StripMark {
    pub(super) id: String,
    pub(super) badge: Badge,
    pub(super) title: String,
}

/// The strip as it is now.
pub(super) async fn read(app: &App, now: Timestamp) -> Result<Strip, StoreError> {
    let filter = JobFilter {
        since: Some(now - Duration::from_secs(HOURS * 3_600)),
        ..JobFilter::default()
    };
    let place = PageRequest::first(MOST);
    let found = app.store.list_jobs(&filter, place).await?;
    Ok(Strip::of(&found.items, found.next.is_some()))
}

impl Strip {
    /// Of jobs, the newest first.
    fn of(jobs: &[Job], is_cut: bool) -> Self {
        let count = |status| jobs.iter().filter(|job| job.status == status).count();
        let (good, bad) = (count(JobStatus::Succeeded), count(JobStatus::Failed));
        let mark = |job: &Job| StripMark {
            id: job.id.to_string(),
            badge: Badge::of(job),
            title: headline(job, None),
        };
        Self {
            begins: jobs.last().map(|job| Moment(job.created_at)),
            marks: jobs.iter().rev().map(mark).collect(),
            hours: HOURS,
            is_cut,
            good,
            bad,
            others: jobs.len() - good - bad,
        }
    }
}
