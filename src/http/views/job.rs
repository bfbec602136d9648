//! A job and its attempts as the API shows them.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::{Map, Value};

use crate::domain::alert::Alert;
use crate::domain::attempt::{Attempt, Outcome};
use crate::domain::change::Change;
use crate::domain::host_stats::HostStats;
use crate::domain::ids::{Fingerprint, JobId, Target};
use crate::domain::job::{Job, JobStatus, Reason, Trigger};
use crate::domain::limit::Limit;
use crate::domain::parameters::Parameters;
use crate::domain::span::Span;
use crate::domain::timestamp::Timestamp;

/// A job.
#[derive(Debug, Serialize, utoipa::ToSchema)]
#[schema(as = Job)]
pub(crate) struct JobView {
    #[schema(value_type = String, format = "uuid")]
    id: JobId,
    status: JobStatus,
    /// Why a finished job has its status.
    reason: Option<Reason>,
    playbook: String,
    route: Option<String>,
    #[schema(value_type = String)]
    target: Target,
    trigger: Trigger,
    /// The name of the token that asked for it.
    triggered_by: String,
    #[schema(value_type = Option<String>, format = "uuid")]
    rerun_of: Option<JobId>,
    #[schema(value_type = Option<String>, format = "uuid")]
    follows: Option<JobId>,
    alert: Option<JobAlertView>,
    parameters: ParametersView,
    /// What the catalogue says otherwise than for the job that this one repeats; `null` where it repeats none.
    changes: Option<Vec<Change>>,
    attempts: Vec<AttemptView>,
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
    /// Not run before that.
    #[schema(value_type = String, format = DateTime)]
    run_at: Timestamp,
    #[schema(value_type = Option<String>, format = DateTime)]
    started_at: Option<Timestamp>,
    #[schema(value_type = Option<String>, format = DateTime)]
    finished_at: Option<Timestamp>,
    #[schema(value_type = Option<String>, format = DateTime)]
    healed_at: Option<Timestamp>,
    /// The alert resolved after the job was finished.
    healed_late: bool,
}

/// The alert that a job is about, as it was when the job was made.
#[derive(Debug, Serialize, utoipa::ToSchema)]
#[schema(as = JobAlert)]
struct JobAlertView {
    #[schema(value_type = String)]
    fingerprint: Fingerprint,
    labels: BTreeMap<String, String>,
    annotations: BTreeMap<String, String>,
    #[schema(value_type = String, format = DateTime)]
    starts_at: Timestamp,
    generator_url: String,
}

/// What exactly a job runs. Its environment is left out: it may hold secrets.
#[derive(Debug, Serialize, utoipa::ToSchema)]
#[schema(as = Parameters)]
struct ParametersView {
    path: String,
    inventory: String,
    #[schema(value_type = Option<String>)]
    limit: Option<Limit>,
    #[schema(value_type = Object)]
    vars: Map<String, Value>,
    tags: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    skip_tags: Vec<String>,
    check: bool,
    diff: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    forks: Option<u32>,
    verbosity: u8,
    #[serde(skip_serializing_if = "Option::is_none")]
    remote_user: Option<String>,
    r#become: bool,
    /// A duration such as `2m`.
    #[schema(value_type = String)]
    timeout: Span,
    /// Of the playbook file when the job was made, in hexadecimal.
    #[serde(skip_serializing_if = "Option::is_none")]
    playbook_sha256: Option<String>,
}

/// One execution of `ansible-playbook`.
#[derive(Debug, Serialize, utoipa::ToSchema)]
#[schema(as = Attempt)]
struct AttemptView {
    /// Counts from 1.
    number: u32,
    outcome: Option<Outcome>,
    /// What went wrong, for people.
    message: Option<String>,
    exit_code: Option<i32>,
    #[schema(value_type = String, format = DateTime)]
    started_at: Timestamp,
    #[schema(value_type = Option<String>, format = DateTime)]
    finished_at: Option<Timestamp>,
    worker: String,
    /// It started from a warm interpreter.
    warm: bool,
    /// Why it did not.
    cold_because: Option<String>,
    log_bytes: u64,
    log_truncated: bool,
    /// The log was removed, for its age or for the room that it took.
    log_pruned: bool,
    /// Ansible's recap, by host.
    host_stats: BTreeMap<String, HostStats>,
}

impl From<Job> for JobView {
    fn from(job: Job) -> Self {
        Self {
            id: job.id,
            status: job.status,
            reason: job.reason,
            playbook: job.playbook,
            route: job.route,
            target: job.target,
            trigger: job.trigger,
            triggered_by: job.triggered_by,
            rerun_of: job.rerun_of,
            follows: job.follows,
            alert: job.alert.map(JobAlertView::from),
            parameters: job.parameters.into(),
            changes: job.changes,
            attempts: job.attempts.into_iter().map(AttemptView::from).collect(),
            created_at: job.created_at,
            run_at: job.run_at,
            started_at: job.started_at,
            finished_at: job.finished_at,
            healed_at: job.healed_at,
            healed_late: job.healed_late,
        }
    }
}

impl From<Alert> for JobAlertView {
    fn from(alert: Alert) -> Self {
        Self {
            fingerprint: alert.fingerprint,
            labels: alert.labels,
            annotations: alert.annotations,
            starts_at: alert.starts_at,
            generator_url: alert.generator_url,
        }
    }
}

impl From<Parameters> for ParametersView {
    fn from(parameters: Parameters) -> Self {
        Self {
            path: parameters.path,
            inventory: parameters.inventory,
            limit: parameters.limit,
            vars: parameters.vars,
            tags: parameters.tags,
            skip_tags: parameters.skip_tags,
            check: parameters.check,
            diff: parameters.diff,
            forks: parameters.forks,
            verbosity: parameters.verbosity,
            remote_user: parameters.remote_user,
            r#become: parameters.become_root,
            timeout: parameters.timeout,
            playbook_sha256: parameters.playbook_sha256,
        }
    }
}

impl From<Attempt> for AttemptView {
    fn from(attempt: Attempt) -> Self {
        Self {
            number: attempt.number,
            outcome: attempt.outcome,
            message: attempt.message,
            exit_code: attempt.exit_code,
            started_at: attempt.started_at,
            finished_at: attempt.finished_at,
            worker: attempt.worker,
            warm: attempt.warm,
            cold_because: attempt.cold_because,
            log_bytes: attempt.log_bytes,
            log_truncated: attempt.log_truncated,
            log_pruned: attempt.log_pruned,
            host_stats: attempt.recap,
        }
    }
}
