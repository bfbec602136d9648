//! Between rows and the domain's types.

use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::domain::attempt::{Attempt, Outcome};
use crate::domain::ids::{Fingerprint, JobId, Target};
use crate::domain::job::{CancelRequest, Job, JobEvent, JobStatus, Reason, Trigger};
use crate::domain::span::Span;
use crate::domain::timestamp::Timestamp;
use crate::store::StoreError;
use crate::store::sqlite::connection::{Row, unreadable};

/// A column whose text must be read as something.
pub(super) fn parsed<T>(row: &Row, column: &str) -> Result<T, StoreError>
where
    T: std::str::FromStr,
    T::Err: std::fmt::Display,
{
    let text: String = row.get(column)?;
    text.parse().map_err(|error| unreadable(column, error))
}

/// The same where there may be nothing.
pub(super) fn parsed_option<T>(row: &Row, column: &str) -> Result<Option<T>, StoreError>
where
    T: std::str::FromStr,
    T::Err: std::fmt::Display,
{
    let text: Option<String> = row.get(column)?;
    text.map(|text| text.parse().map_err(|error| unreadable(column, error)))
        .transpose()
}

/// A column of one of our words.
pub(super) fn word<T>(row: &Row, column: &str, parse: fn(&str) -> Option<T>) -> Result<T, StoreError> {
    let text: String = row.get(column)?;
    parse(&text).ok_or_else(|| unreadable(column, format!("unknown word {text:?}")))
}

/// The same where there may be nothing.
pub(super) fn word_option<T>(row: &Row, column: &str, parse: fn(&str) -> Option<T>) -> Result<Option<T>, StoreError> {
    let text: Option<String> = row.get(column)?;
    text.map(|text| parse(&text).ok_or_else(|| unreadable(column, format!("unknown word {text:?}"))))
        .transpose()
}

/// A column of JSON.
pub(super) fn json<T: DeserializeOwned>(row: &Row, column: &str) -> Result<T, StoreError> {
    let text: String = row.get(column)?;
    serde_json::from_str(&text).map_err(|error| unreadable(column, error))
}

/// The same where there may be nothing.
pub(super) fn json_option<T: DeserializeOwned>(row: &Row, column: &str) -> Result<Option<T>, StoreError> {
    let text: Option<String> = row.get(column)?;
    text.map(|text| serde_json::from_str(&text).map_err(|error| unreadable(column, error)))
        .transpose()
}

/// A column of microseconds.
pub(super) fn time(row: &Row, column: &str) -> Result<Timestamp, StoreError> {
    row.get(column).map(Timestamp::from_micros)
}

/// The same where there may be nothing.
pub(super) fn time_option(row: &Row, column: &str) -> Result<Option<Timestamp>, StoreError> {
    let micros: Option<i64> = row.get(column)?;
    Ok(micros.map(Timestamp::from_micros))
}

/// A column that counts.
pub(super) fn count<T: TryFrom<i64>>(row: &Row, column: &str) -> Result<T, StoreError> {
    let number: i64 = row.get(column)?;
    T::try_from(number).map_err(|_| unreadable(column, format!("{number} is out of range")))
}

/// For binding a number that fits by construction: sizes of things in memory.
pub(super) fn integer<T: TryInto<i64>>(number: T) -> i64 {
    number.try_into().unwrap_or(i64::MAX)
}

/// For binding structured values.
pub(super) fn to_json<T: Serialize + ?Sized>(value: &T) -> Result<String, StoreError> {
    serde_json::to_string(value).map_err(|error| StoreError::Database(format!("failed to write JSON: {error}")))
}

/// A row of `jobs`, without its attempts.
pub(super) fn job(row: &Row) -> Result<Job, StoreError> {
    Ok(Job {
        id: parsed(row, "id")?,
        status: word(row, "status", JobStatus::parse)?,
        reason: word_option(row, "reason", Reason::parse)?,
        playbook: row.get("playbook")?,
        route: row.get("route")?,
        target: target(row)?,
        trigger: word(row, "trigger_kind", Trigger::parse)?,
        triggered_by: row.get("triggered_by")?,
        rerun_of: parsed_option(row, "rerun_of")?,
        follows: parsed_option(row, "follows")?,
        episode: parsed_option(row, "episode")?,
        alert: json_option(row, "alert")?,
        group: json_option(row, "alert_group")?,
        parameters: json(row, "parameters")?,
        by_hand: json_option(row, "by_hand")?,
        changes: json_option(row, "changes")?,
        checks: json(row, "checks")?,
        attempts: Vec::new(),
        created_at: time(row, "created_at")?,
        run_at: time(row, "run_at")?,
        started_at: time_option(row, "started_at")?,
        finished_at: time_option(row, "finished_at")?,
        healed_at: time_option(row, "healed_at")?,
        healed_late: row.get("healed_late")?,
        cancel_requested: cancel_requested(row)?,
    })
}

/// Of a row with `cancel_requested_by` and `cancel_reason`.
pub(super) fn cancel_requested(row: &Row) -> Result<Option<CancelRequest>, StoreError> {
    let by: Option<String> = row.get("cancel_requested_by")?;
    let reason = word_option(row, "cancel_reason", Reason::parse)?;
    Ok(by.map(|by| CancelRequest {
        by,
        reason: reason.unwrap_or(Reason::Canceled),
    }))
}

/// A row of `attempts`.
pub(super) fn attempt(row: &Row) -> Result<Attempt, StoreError> {
    Ok(Attempt {
        number: count(row, "number")?,
        outcome: word_option(row, "outcome", Outcome::parse)?,
        message: row.get("message")?,
        exit_code: row.get("exit_code")?,
        started_at: time(row, "started_at")?,
        finished_at: time_option(row, "finished_at")?,
        worker: row.get("worker")?,
        warm: row.get("warm")?,
        cold_because: row.get("cold_because")?,
        log_bytes: count(row, "log_bytes")?,
        log_truncated: row.get("log_truncated")?,
        log_pruned: row.get::<i64>("log_pruned")? > 0,
        recap: json(row, "host_stats")?,
    })
}

/// A row of `job_events`.
pub(super) fn job_event(row: &Row) -> Result<JobEvent, StoreError> {
    Ok(JobEvent {
        at: time(row, "at")?,
        event: row.get("event")?,
        by: row.get("actor")?,
        attempt: row.get("attempt")?,
        message: row.get("message")?,
    })
}

/// A fingerprint that was checked when it came in.
pub(super) fn fingerprint(row: &Row) -> Result<Fingerprint, StoreError> {
    let text: String = row.get("fingerprint")?;
    Fingerprint::parse(&text).map_err(|error| unreadable("fingerprint", error))
}

/// A target that was checked when the job was made.
pub(super) fn target(row: &Row) -> Result<Target, StoreError> {
    let text: String = row.get("target")?;
    Target::parse(&text).map_err(|error| unreadable("target", error))
}

/// Ids as a JSON array, for `json_each`.
pub(super) fn ids(jobs: &[JobId]) -> Result<String, StoreError> {
    to_json(jobs)
}

/// The time between two columns of microseconds, where both are there.
pub(super) fn between(from: Option<Timestamp>, to: Option<Timestamp>) -> Option<Duration> {
    Some(to?.since(from?))
}

/// A span of seconds, if there is one.
pub(super) fn span_option(row: &Row, column: &str) -> Result<Option<Span>, StoreError> {
    let seconds: Option<i64> = row.get(column)?;
    Ok(seconds
        .and_then(|seconds| u64::try_from(seconds).ok())
        .map(Span::from_secs))
}
