//! What a job's history knows beyond the job: why it was not run, and what follows it. Only reads.

use crate::domain::ids::JobId;
use crate::domain::job::{Job, JobStatus};
use crate::store::read::PageRequest;
use crate::store::{Store, StoreError};

/// Entries read at once.
const ENTRIES: u32 = 500;

/// How the entry begins that tells of the next rung: that nothing healed is what the letter says anyway.
const NOT_HEALED: &str = "did not heal; ";

/// What a letter about a job that failed needs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Backstory {
    /// What was found out just before a run that was not begun.
    pub(super) withdrawn: Option<String>,
    /// What the ladder does next.
    pub(super) next: Option<String>,
}

impl Backstory {
    /// Of that job; empty unless it failed. Without it a letter says less: it is no reason to send none.
    pub(super) async fn of(store: &dyn Store, job: &Job) -> Self {
        if job.status != JobStatus::Failed {
            return Self::default();
        }
        read(store, job.id).await.unwrap_or_else(|error| {
            tracing::warn!(job.id = %job.id, %error, "failed to read a job's history for a message");
            Self::default()
        })
    }
}

async fn read(store: &dyn Store, job: JobId) -> Result<Backstory, StoreError> {
    let mut backstory = Backstory::default();
    let mut after = None;
    loop {
        let page = store.job_events(job, PageRequest { limit: ENTRIES, after }).await?;
        for entry in page.items {
            match entry.event.as_str() {
                "checked" => backstory.withdrawn = Some(entry.message),
                "escalated" | "rung_held" => {
                    let message = entry.message.strip_prefix(NOT_HEALED).unwrap_or(&entry.message);
                    backstory.next = Some(message.to_owned());
                }
                _ => {}
            }
        }
        match page.next {
            Some(next) => after = Some(next),
            None => return Ok(backstory),
        }
    }
}
