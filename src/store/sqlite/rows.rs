//! Between rows and the domain's types.

use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;
use sqlx::Row;
use sqlx::sqlite::SqliteRow;

use crate::domain::attempt::{Attempt, Outcome};
use crate::domain::ids::{Fingerprint, JobId, Target};
use crate::domain::job::{CancelRequest, Job, JobEvent, JobStatus, Reason, Trigger};
use crate::domain::span::Span;
use crate::domain::timestamp::Timestamp;
use crate::store::StoreError;

/// SQLite's primary result codes that mean: not now, or not on this disk.
/// Source: <https://www.sqlite.org/rescode.html>.
const NO_WRITES: [(i32, &str); 6] = [
    (5, "it is busy"),
    (8, "it is read-only"),
    (10, "the disk answers with errors"),
    (13, "the disk is full"),
    (14, "it cannot be opened"),
    (23, "access is denied"),
];

/// Turns sqlx's error into ours.
#[expect(clippy::needless_pass_by_value, reason = "made for map_err")]
pub(super) fn database(error: sqlx::Error) -> StoreError {
    let code = error
        .as_database_error()
        .and_then(sqlx::error::DatabaseError::code)
        .and_then(|code| code.parse::<i32>().ok())
        .map(|code| code & 0xff);
    match NO_WRITES.iter().find(|(number, _)| Some(*number) == code) {
        Some((_, what)) => StoreError::Unavailable(format!("{what} ({error})")),
        None => StoreError::Database(error.to_string()),
    }
}

/// A column by its name.
pub(super) fn get<'r, T>(row: &'r SqliteRow, column: &str) -> Result<T, StoreError>
where
    T: sqlx::Decode<'r, sqlx::Sqlite> + sqlx::Type<sqlx::Sqlite>,
{
    row.try_get(column).map_err(database)
}

/// A column whose text must be read as something.
pub(super) fn parsed<T>(row: &SqliteRow, column: &str) -> Result<T, StoreError>
where
    T: std::str::FromStr,
    T::Err: std::fmt::Display,
{
    let text: String = get(row, column)?;
    text.parse().map_err(|error| unreadable(column, error))
}

/// The same where there may be nothing.
pub(super) fn parsed_option<T>(row: &SqliteRow, column: &str) -> Result<Option<T>, StoreError>
where
    T: std::str::FromStr,
    T::Err: std::fmt::Display,
{
    let text: Option<String> = get(row, column)?;
    text.map(|text| text.parse().map_err(|error| unreadable(column, error)))
        .transpose()
}

/// A column of one of our words.
pub(super) fn word<T>(row: &SqliteRow, column: &str, parse: fn(&str) -> Option<T>) -> Result<T, StoreError> {
    let text: String = get(row, column)?;
    parse(&text).ok_or_else(|| unreadable(column, format!("unknown word {text:?}")))
}

/// The same where there may be nothing.
pub(super) fn word_option<T>(
    row: &SqliteRow,
    column: &str,
    parse: fn(&str) -> Option<T>,
) -> Result<Option<T>, StoreError> {
    let text: Option<String> = get(row, column)?;
    text.map(|text| parse(&text).ok_or_else(|| unreadable(column, format!("unknown word {text:?}"))))
        .transpose()
}

/// A column of JSON.
pub(super) fn json<T: DeserializeOwned>(row: &SqliteRow, column: &str) -> Result<T, StoreError> {
    let text: String = get(row, column)?;
    serde_json::from_str(&text).map_err(|error| unreadable(column, error))
}

/// The same where there may be nothing.
pub(super) fn json_option<T: DeserializeOwned>(row: &SqliteRow, column: &str) -> Result<Option<T>, StoreError> {
    let text: Option<String> = get(row, column)?;
    text.map(|text| serde_json::from_str(&text).map_err(|error| unreadable(column, error)))
        .transpose()
}

/// A column of microseconds.
pub(super) fn time(row: &SqliteRow, column: &str) -> Result<Timestamp, StoreError> {
    get(row, column).map(Timestamp::from_micros)
}

/// The same where there may be nothing.
pub(super) fn time_option(row: &SqliteRow, column: &str) -> Result<Option<Timestamp>, StoreError> {
    let micros: Option<i64> = get(row, column)?;
    Ok(micros.map(Timestamp::from_micros))
}

/// A column that counts.
pub(super) fn count<T: TryFrom<i64>>(row: &SqliteRow, column: &str) -> Result<T, StoreError> {
    let number: i64 = get(row, column)?;
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

fn unreadable(column: &str, error: impl std::fmt::Display) -> StoreError {
    StoreError::Database(format!("failed to read the column {column}: {error}"))
}

/// A row of `jobs`, without its attempts.
pub(super) fn job(row: &SqliteRow) -> Result<Job, StoreError> {
    Ok(Job {
        id: parsed(row, "id")?,
        status: word(row, "status", JobStatus::parse)?,
        reason: word_option(row, "reason", Reason::parse)?,
        playbook: get(row, "playbook")?,
        route: get(row, "route")?,
        target: target(row)?,
        trigger: word(row, "trigger_kind", Trigger::parse)?,
        triggered_by: get(row, "triggered_by")?,
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
        healed_late: get(row, "healed_late")?,
        cancel_requested: cancel_requested(row)?,
    })
}

/// Of a row with `cancel_requested_by` and `cancel_reason`.
pub(super) fn cancel_requested(row: &SqliteRow) -> Result<Option<CancelRequest>, StoreError> {
    let by: Option<String> = get(row, "cancel_requested_by")?;
    let reason = word_option(row, "cancel_reason", Reason::parse)?;
    Ok(by.map(|by| CancelRequest {
        by,
        reason: reason.unwrap_or(Reason::Canceled),
    }))
}

/// A row of `attempts`.
pub(super) fn attempt(row: &SqliteRow) -> Result<Attempt, StoreError> {
    Ok(Attempt {
        number: count(row, "number")?,
        outcome: word_option(row, "outcome", Outcome::parse)?,
        message: get(row, "message")?,
        exit_code: get(row, "exit_code")?,
        started_at: time(row, "started_at")?,
        finished_at: time_option(row, "finished_at")?,
        worker: get(row, "worker")?,
        warm: get(row, "warm")?,
        cold_because: get(row, "cold_because")?,
        log_bytes: count(row, "log_bytes")?,
        log_truncated: get(row, "log_truncated")?,
        log_pruned: get::<i64>(row, "log_pruned")? > 0,
        recap: json(row, "host_stats")?,
    })
}

/// A row of `job_events`.
pub(super) fn job_event(row: &SqliteRow) -> Result<JobEvent, StoreError> {
    Ok(JobEvent {
        at: time(row, "at")?,
        event: get(row, "event")?,
        by: get(row, "actor")?,
        attempt: get(row, "attempt")?,
        message: get(row, "message")?,
    })
}

/// A fingerprint that was checked when it came in.
pub(super) fn fingerprint(row: &SqliteRow) -> Result<Fingerprint, StoreError> {
    let text: String = get(row, "fingerprint")?;
    Fingerprint::parse(&text).map_err(|error| unreadable("fingerprint", error))
}

/// A target that was checked when the job was made.
pub(super) fn target(row: &SqliteRow) -> Result<Target, StoreError> {
    let text: String = get(row, "target")?;
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
pub(super) fn span_option(row: &SqliteRow, column: &str) -> Result<Option<Span>, StoreError> {
    let seconds: Option<i64> = get(row, column)?;
    Ok(seconds
        .and_then(|seconds| u64::try_from(seconds).ok())
        .map(Span::from_secs))
}
