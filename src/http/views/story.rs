//! The story of an alert as the API tells it: all that happened, in the order of time.

use serde::Serialize;

use crate::domain::ids::JobId;
use crate::domain::job::{Job, Reason, Trigger};
use crate::domain::timestamp::Timestamp;
use crate::store::read::{AlertStory, Episode, StoredDecision, StoredEvent};

/// One thing that happened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, utoipa::ToSchema)]
#[schema(as = StoryEntry)]
pub(super) struct StoryEntryView {
    #[schema(value_type = String, format = DateTime)]
    at: Timestamp,
    what: What,
    /// A sentence for people.
    text: String,
    #[schema(value_type = Option<String>, format = "uuid")]
    job: Option<JobId>,
    route: Option<String>,
}

/// What kind of thing; of one moment, they happened in this order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
enum What {
    /// A notification reported the alert.
    Received,
    /// What was done about it for a route.
    Decided,
    /// A job moved: queued, started, stopped, ended, or changed by a person.
    Run,
    /// Whether the alert resolved after a run.
    Verified,
    /// The next playbook of the ladder was queued.
    Escalated,
}

/// From the oldest to the newest of what is at hand.
pub(super) fn story(story: &AlertStory) -> Vec<StoryEntryView> {
    let mut entries = received(story);
    entries.extend(story.decisions.iter().rev().map(decided));
    entries.extend(story.events.iter().rev().map(|stored| happened(stored, &story.jobs)));
    // Stable: what is of one kind and moment stays in its order.
    entries.sort_by_key(|entry| (entry.at, entry.what));
    entries
}

/// One entry for each report: those that begin or end an episode, and those of which decisions tell.
fn received(story: &AlertStory) -> Vec<StoryEntryView> {
    let mut entries: Vec<StoryEntryView> = Vec::new();
    for episode in story.episodes.iter().rev() {
        let began = format!("received: the alert fires since {}", episode.starts_at);
        entries.push(report(episode.opened_at, began));
        entries.extend(ended(episode));
    }
    for decision in story.decisions.iter().rev() {
        let is_told = entries.iter().any(|entry| entry.at == decision.at);
        if !is_told && decision.notification.is_some() {
            entries.push(report(decision.at, "received: reported again".to_owned()));
        }
    }
    entries
}

fn ended(episode: &Episode) -> Option<StoryEntryView> {
    let at = episode.closed_at?;
    let text = match episode.ended_at {
        Some(_) if episode.missed => "received: it fires anew; its resolve was missed".to_owned(),
        Some(ended_at) => format!("received: the alert resolved at {ended_at}"),
        None => "received: the alert resolved".to_owned(),
    };
    Some(report(at, text))
}

fn report(at: Timestamp, text: String) -> StoryEntryView {
    StoryEntryView {
        at,
        what: What::Received,
        text,
        job: None,
        route: None,
    }
}

fn decided(decision: &StoredDecision) -> StoryEntryView {
    StoryEntryView {
        at: decision.at,
        what: What::Decided,
        text: format!("{}: {}", decision.kind.as_str(), decision.reason),
        job: decision.job,
        route: decision.route.clone(),
    }
}

fn happened(stored: &StoredEvent, jobs: &[Job]) -> StoryEntryView {
    let job = jobs.iter().find(|job| job.id == stored.job);
    let event = &stored.event;
    let by = match event.by.as_str() {
        "healgate" => String::new(),
        name => format!(" (by {name})"),
    };
    StoryEntryView {
        at: event.at,
        what: kind(&event.event, job),
        text: format!("{}{by}", event.message),
        job: Some(stored.job),
        route: job.and_then(|job| job.route.clone()),
    }
}

fn kind(event: &str, job: Option<&Job>) -> What {
    let is_rung = job.is_some_and(|job| job.trigger == Trigger::Ladder);
    let was_verified = job.is_some_and(|job| matches!(job.reason, Some(Reason::Healed | Reason::NotHealed)));
    match event {
        "queued" | "awaiting_approval" if is_rung => What::Escalated,
        "verifying" | "resolved" => What::Verified,
        "finished" if was_verified => What::Verified,
        _ => What::Run,
    }
}

#[cfg(test)]
mod tests;
