//! What is told, before it is put into words for one way of telling: the facts about a job, or an announcement.

mod facts;
mod words;

use minijinja::Value;
use minijinja::value::Serde;
use serde::Serialize;

use crate::domain::job::Job;
use crate::domain::notify::Message;
use crate::domain::timestamp::Timestamp;
use crate::http::views::JobView;
use crate::notify::advice::advice;
use crate::notify::backstory::Backstory;
use crate::notify::letter::facts::{Fact, facts};
use crate::notify::letter::words::Words;
use crate::notify::links::Links;
use crate::notify::text::{line, link};

/// How much of a name, of a fact, of a title, and of a line of an announcement is shown.
const NAME_CHARS: usize = 100;
const FACT_CHARS: usize = 500;
const TITLE_CHARS: usize = 200;
const TEXT_CHARS: usize = 1_000;

/// Everything that a message says.
#[derive(Debug)]
pub struct Letter {
    /// The contract's word for what happened; `test` for a trial.
    pub(super) event: &'static str,
    /// With the event, the same each time that this is sent to this notifier.
    id: String,
    /// How often it was tried before in vain.
    pub(super) tries: u32,
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
    story_url: Option<String>,
    alert_url: Option<String>,
    runbook_url: Option<String>,
    log_tail: &'a str,
    job: Option<&'a JobView>,
}

/// Which message is written, when, and where its links lead.
#[derive(Clone, Copy, Debug)]
pub(super) struct Desk<'a> {
    pub(super) message: &'a Message,
    pub(super) links: Links<'a>,
    pub(super) now: Timestamp,
}

/// Where one can read on about an alert.
#[derive(Default)]
struct AlertLinks {
    story: Option<String>,
    alert: Option<String>,
    runbook: Option<String>,
}

impl Letter {
    /// About a job, as it is now.
    pub(super) fn about_job(job: Job, backstory: &Backstory, log_tail: String, desk: Desk<'_>) -> Self {
        let Desk { message, links, now } = desk;
        let (event, id, url) = (message.event, job.id.to_string(), links.job(job.id));
        let Words { title, headline } = Words::about(event, &job, backstory);
        let (facts, advice) = (facts(&job, now), advice(event, &job, backstory, &url));
        let on_alert = alert_links(&job, links);
        let view = JobView::from(job);
        let told = Value::from(Serde(Told {
            event: event.as_str(),
            title: &title,
            headline,
            facts,
            advice,
            url: &url,
            story_url: on_alert.story,
            alert_url: on_alert.alert,
            runbook_url: on_alert.runbook,
            log_tail: &log_tail,
            job: Some(&view),
        }));
        Self {
            event: event.as_str(),
            id,
            tries: message.tries,
            title,
            url,
            job: Some(view),
            log_tail,
            told,
        }
    }

    /// About no job, in words of its own.
    pub(super) fn announcing((title, text): (&str, &str), desk: Desk<'_>) -> Self {
        let Desk { message, links, .. } = desk;
        let id = format!("{}-{}", message.id.0, message.created_at.as_micros());
        let url = links.announced(message.event);
        let letter = Self::plain(id, message.event.as_str(), (title, text), url);
        Self {
            tries: message.tries,
            ..letter
        }
    }

    /// A trial: is somebody reached?
    pub fn test(id: String, notifier: &str, external_url: &str) -> Self {
        let title = format!("a test of the notifier {notifier}");
        let text = "This is a test. If you can read it, messages of this gateway reach you.";
        Self::plain(id, "test", (&title, text), Links::new(external_url).anything())
    }

    fn plain(id: String, event: &'static str, (title, headline): (&str, &str), url: String) -> Self {
        let title = line(title, TITLE_CHARS);
        let told = Value::from(Serde(Told {
            event,
            title: &title,
            headline: lines(headline),
            facts: Vec::new(),
            advice: String::new(),
            url: &url,
            story_url: None,
            alert_url: None,
            runbook_url: None,
            log_tail: "",
            job: None,
        }));
        Self {
            event,
            id,
            tries: 0,
            title,
            url,
            job: None,
            log_tail: String::new(),
            told,
        }
    }

    /// What tells it from every other one: receivers know by it what they have got before.
    pub(super) fn name(&self) -> String {
        format!("{}.{}", self.id, self.event)
    }
}

/// Sentences of ours that name what came from outside.
fn lines(text: &str) -> String {
    let lines = text.lines().map(|text| line(text, TEXT_CHARS));
    lines.collect::<Vec<_>>().join("\n")
}

fn alert_links(job: &Job, links: Links<'_>) -> AlertLinks {
    let Some(alert) = &job.alert else {
        return AlertLinks::default();
    };
    AlertLinks {
        story: Some(links.story(&alert.fingerprint)),
        alert: link(&alert.generator_url),
        runbook: alert.annotations.get("runbook_url").and_then(|url| link(url)),
    }
}

#[cfg(test)]
mod tests;
