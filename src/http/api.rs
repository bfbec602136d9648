//! The API's resources, one file each.

pub(crate) mod actions;
pub(crate) mod alerts;
pub(crate) mod breakers;
pub(crate) mod events;
pub mod explain;
pub(crate) mod health;
pub(crate) mod held;
pub(crate) mod jobs;
pub(crate) mod log;
pub(crate) mod log_stream;
pub(crate) mod manual;
pub(crate) mod metrics;
pub(crate) mod notifications;
pub mod openapi;
pub(crate) mod pause;
pub(crate) mod playbooks;
pub(crate) mod reload;
pub(crate) mod rerun;
pub(crate) mod routes;
pub(crate) mod stats;
pub(crate) mod stream;
pub(crate) mod tasks;

pub use log_stream::Streams;

pub(crate) mod ansi;
pub(crate) mod by_hand;
mod range;
mod sse;

use crate::domain::ids::JobId;
use crate::domain::job::Job;
use crate::http::App;
use crate::http::problem::Problem;

/// The job, which must exist.
pub(crate) async fn find_job(app: &App, id: JobId) -> Result<Job, Problem> {
    app.store
        .find_job(id)
        .await?
        .ok_or_else(|| Problem::not_found("job", id))
}
