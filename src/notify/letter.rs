//! What is told, before it is put into words for one way of telling: the facts about a job, or an announcement.

use std::time::Duration;

use minijinja::Value;
use minijinja::value::Serde;
use serde::Serialize;

use crate::domain::alert::Alert;
use crate::domain::host_stats::failed_hosts;
use crate::domain::job::{Job, Trigger};
use crate::domain::notify::NotifyEvent;
use crate::domain::span::Span;
use crate::domain::timestamp::Timestamp;
use crate::http::views::JobView;
use crate::notify::advice::advice;
use crate::notify::text::{line, link};

/// How much of a name, of a fact and of a title is shown.
const NAME_CHARS: usize = 100;
const FACT_CHARS: usize = 500;
const TITLE_CHARS: usize = 200;

/// How many hosts are named.
const HOSTS: usize = 10;

/// Everything that a message says.
#[derive(Debug)]
pub struct Letter {
    /// The contract's word for what happened; `test` for a trial.
    pub(super) event: &'static str,
    /// The same each time that this is sent to this notifier.
    pub(super) id: String,
    /// One line.
    pub(super) title: String,
    /// Where to read more.
    pub(super) url: String,
    pub(super) job: Option<JobView>,
    pub(super) log_tail: String,
    /// What templates see.
    pub(super) told: Value,
}

/// What templates see beside the job.
#[derive(Serialize)]
struct Told<'a> {
    event: &'static str,
    title: &'a str,
    /// A sentence: what happened.
    headline: String,
    facts: Vec<Fact>,
    advice: String,
    url: &'a str,
    alert_url: Option<String>,
    runbook_url: Option<String>,
    log_tail: &'a str,
    job: Option<&'a JobView>,
}

#[derive(Serialize)]
struct Fact {
    name: &'static str,
    value: String,
}

/// When and from where something is told.
#[derive(Clone, Copy, Debug)]
pub(super) struct Desk<'a> {
    /// What links begin with; without a slash at its end.
    pub(super) external_url: &'a str,
    pub(super) now: Timestamp,
}

impl Letter {
    /// About a job, as it is now.
    pub(super) fn about_job(id: String, event: NotifyEvent, job: Job, log_tail: String, desk: Desk<'_>) -> Self {
        let url = format!("{}/jobs/{}", desk.external_url, job.id);
        let api = format!("{}/api/v1/jobs/{}", desk.external_url, job.id);
        let (title, headline) = (title(event, &job), headline(event, &job));
        let (facts, advice) = (facts(&job, desk.now), advice(event, &job, &api));
        let alert = job.alert.as_ref();
        let alert_url = alert.and_then(|alert| link(&alert.generator_url));
        let runbook_url = alert.and_then(|alert| link(alert.annotations.get("runbook_url")?));
        let view = JobView::from(job);
        let told = Value::from(Serde(Told {
            event: event.as_str(),
            title: &title,
            headline,
            facts,
            advice,
            url: &url,
            alert_url,
            runbook_url,
            log_tail: &log_tail,
            job: Some(&view),
        }));
        Self {
            event: event.as_str(),
            id,
            title,
            url,
            job: Some(view),
            log_tail,
            told,
        }
    }

    /// About no job, in words of its own.
    pub(super) fn announcing(id: String, event: NotifyEvent, (title, text): (&str, &str), desk: Desk<'_>) -> Self {
        Self::plain(id, event.as_str(), title, text.to_owned(), desk.external_url)
    }

    /// A trial: is somebody reached?
    pub fn test(id: String, notifier: &str, external_url: &str) -> Self {
        let title = format!("a test of the notifier {notifier}");
        let text = "This is a test. If you can read it, messages of this gateway reach you.".to_owned();
        Self::plain(id, "test", &title, text, external_url)
    }

    fn plain(id: String, event: &'static str, title: &str, headline: String, external_url: &str) -> Self {
        let (title, url) = (line(title, TITLE_CHARS), format!("{external_url}/"));
        let told = Value::from(Serde(Told {
            event,
            title: &title,
            headline,
            facts: Vec::new(),
            advice: String::new(),
            url: &url,
            alert_url: None,
            runbook_url: None,
            log_tail: "",
            job: None,
        }));
        Self {
            event,
            id,
            title,
            url,
            job: None,
            log_tail: String::new(),
            told,
        }
    }
}

fn alert_name(job: &Job) -> String {
    let name = job.alert.as_ref().map_or("", Alert::name);
    let name = line(name, NAME_CHARS);
    if name.is_empty() { "the alert".to_owned() } else { name }
}

fn title(event: NotifyEvent, job: &Job) -> String {
    let alert = alert_name(job);
    let playbook = &job.playbook;
    let what = match event {
        NotifyEvent::Healed => format!("healed: {alert}"),
        NotifyEvent::NotHealed => format!("not healed: {alert}"),
        NotifyEvent::Exhausted => format!("everything was tried: {alert}"),
        NotifyEvent::AwaitingApproval => format!("waits for approval: {playbook}"),
        NotifyEvent::Failed
        | NotifyEvent::Lost
        | NotifyEvent::BreakerOpened
        | NotifyEvent::Storm
        | NotifyEvent::HeartbeatMissed => format!("{}: {playbook}", event.as_str().replace('_', " ")),
    };
    line(&format!("{what} on {}", job.target), TITLE_CHARS)
}

fn headline(event: NotifyEvent, job: &Job) -> String {
    let alert = alert_name(job);
    let work = format!("{} on {}", job.playbook, job.target);
    let sentence = match event {
        NotifyEvent::Failed => format!("{work} failed{}", because(job)),
        NotifyEvent::NotHealed => format!("{work} ran well, but {alert} did not resolve in time."),
        NotifyEvent::Exhausted => format!("{alert} still fires, and {work} was the last playbook to try."),
        NotifyEvent::Healed => format!("{alert} has resolved after {work}."),
        NotifyEvent::AwaitingApproval => format!("{work} waits for a person's approval."),
        NotifyEvent::Lost => format!("The run of {work} has vanished{}", because(job)),
        NotifyEvent::BreakerOpened => format!("The circuit breaker has opened after {work}."),
        NotifyEvent::Storm => format!("There are too many jobs at once; {work} is held back."),
        NotifyEvent::HeartbeatMissed => format!("{alert} does not arrive any more."),
    };
    line(&sentence, FACT_CHARS)
}

/// In the words of the last attempt.
fn because(job: &Job) -> String {
    let message = job.attempts.last().and_then(|attempt| attempt.message.as_deref());
    message.map_or_else(|| ".".to_owned(), |message| format!(": {message}"))
}

fn facts(job: &Job, now: Timestamp) -> Vec<Fact> {
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
mod tests;
