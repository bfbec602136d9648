//! The facts about a job, a line each.

use std::time::Duration;

use serde::Serialize;

use crate::domain::alert::Alert;
use crate::domain::host_stats::failed_hosts;
use crate::domain::job::{Job, Reason, Trigger};
use crate::domain::span::Span;
use crate::domain::timestamp::Timestamp;
use crate::notify::letter::{FACT_CHARS, NAME_CHARS};
use crate::notify::text::line;

/// How many hosts are named.
const HOSTS: usize = 10;

#[derive(Serialize)]
pub(super) struct Fact {
    name: &'static str,
    value: String,
}

/// As far as they are known.
pub(super) fn facts(job: &Job, now: Timestamp) -> Vec<Fact> {
    let mut facts = Vec::new();
    let mut add = |name, value: String| {
        let value = line(&value, FACT_CHARS);
        if !value.is_empty() {
            facts.push(Fact { name, value });
        }
    };
    if let Some(alert) = &job.alert {
        add("Alert", described(alert));
        add("Summary", summary(alert).to_owned());
        let until = job.healed_at.unwrap_or(now);
        add(
            "Since",
            format!("{} ({})", alert.starts_at, lasting(until.since(alert.starts_at))),
        );
    }
    add("Where", job.target.to_string());
    add(
        "Limit",
        job.parameters
            .limit
            .as_ref()
            .map_or_else(String::new, ToString::to_string),
    );
    add("Playbook", format!("{} ({})", job.playbook, job.parameters.path));
    add("Route", job.route.clone().unwrap_or_default());
    if matches!(job.trigger, Trigger::Rerun | Trigger::Manual) {
        add("Asked for by", job.triggered_by.clone());
    }
    add("State", state(job));
    add("Failed hosts", hosts(job));
    facts
}

fn described(alert: &Alert) -> String {
    let labels = alert.labels.iter().filter(|(name, _)| *name != "alertname");
    let labels: Vec<String> = labels.map(|(name, value)| format!("{name}={value:?}")).collect();
    let name = line(alert.name(), NAME_CHARS);
    if labels.is_empty() {
        return name;
    }
    format!("{name} {{{}}}", labels.join(", "))
}

fn summary(alert: &Alert) -> &str {
    let annotation = |name| alert.annotations.get(name).map(String::as_str);
    annotation("summary")
        .or_else(|| annotation("description"))
        .unwrap_or_default()
}

fn state(job: &Job) -> String {
    let status = job.status.as_str();
    let tries = match job.attempts.len() {
        0 => String::new(),
        1 => ", 1 attempt".to_owned(),
        tries => format!(", {tries} attempts"),
    };
    match job.reason {
        Some(reason) => format!("{status} ({}){tries}", reason.as_str()),
        None => format!("{status}{tries}"),
    }
}

fn hosts(job: &Job) -> String {
    // What did not run failed nowhere; an attempt before it is another story.
    if job.reason == Some(Reason::PreconditionFailed) {
        return String::new();
    }
    let hosts = job
        .attempts
        .last()
        .map_or_else(Vec::new, |attempt| failed_hosts(&attempt.recap));
    let named = hosts.iter().take(HOSTS).copied().collect::<Vec<_>>().join(", ");
    match hosts.len().saturating_sub(HOSTS) {
        0 => named,
        more => format!("{named} and {more} more"),
    }
}

/// Rounded to what is left to say: minutes from an hour on, hours from a day on.
fn lasting(length: Duration) -> String {
    let seconds = length.as_secs();
    let unit = match seconds {
        0..3_600 => 1,
        3_600..86_400 => 60,
        _ => 3_600,
    };
    Span::from_secs(seconds / unit * unit).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn how_long_it_lasts_is_rounded() {
        for (seconds, said) in [
            (0, "0s"),
            (59, "59s"),
            (3_599, "59m59s"),
            (4_983, "1h23m"),
            (90_061, "1d1h"),
        ] {
            assert_eq!(lasting(Duration::from_secs(seconds)), said);
        }
    }
}
