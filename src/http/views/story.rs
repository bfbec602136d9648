//! The story of an alert as the API tells it: all that happened, in the order of time.

use serde::Serialize;

use crate::domain::ids::JobId;
use crate::domain::job::{Job, Reason, Trigger};
use crate::domain::timestamp::Timestamp;
use crate::store::read::{AlertStory, Episode, StoredDecision, StoredEvent};

/// One thing that happened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, utoipa::ToSchema)]
#[schema(as = StoryEntry)]
pub(crate) struct StoryEntryView {
    #[schema(value_type = String, format = DateTime)]
    pub(crate) at: Timestamp,
    pub(crate) what: What,
    /// A sentence for people.
    pub(crate) text: String,
    #[schema(value_type = Option<String>, format = "uuid")]
    pub(crate) job: Option<JobId>,
    pub(crate) route: Option<String>,
}

/// What kind of thing; of one moment, they happened in this order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum What {
    /// A notification reported the alert.
    Received,
    /// What was done about it for a route.
    Decided,
    /// A job moved: queued, started, stopped, ended, or changed by a person.
    Run,
    /// Whether the alert resolved, as it was waited for after a run or found out by asking.
    Verified,
    /// The ladder: its next playbook was queued, held back or left out, or there is none.
    Escalated,
}

/// From the oldest to the newest of what is at hand.
pub(crate) fn story(story: &AlertStory) -> Vec<StoryEntryView> {
    let mut entries = received(story);
    entries.extend(story.decisions.iter().rev().map(decided));
    entries.extend(story.events.iter().rev().map(|stored| happened(stored, story)));
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
        entries.extend(ended(episode, story));
    }
    for decision in story.decisions.iter().rev() {
        let is_told = entries.iter().any(|entry| entry.at == decision.at);
        if !is_told && decision.notification.is_some() {
            entries.push(report(decision.at, "received: reported again".to_owned()));
        }
    }
    entries
}

fn ended(episode: &Episode, story: &AlertStory) -> Option<StoryEntryView> {
    let at = episode.closed_at?;
    if !episode.missed && !was_reported(at, story) {
        // Jobs that waited for it tell of it themselves.
        let is_told = |stored: &StoredEvent| stored.event.at == at && stored.event.event == "resolved";
        return (!story.events.iter().any(is_told)).then(|| StoryEntryView {
            what: What::Verified,
            ..report(at, "resolved: Alertmanager was asked".to_owned())
        });
    }
    let text = match episode.ended_at {
        Some(_) if episode.missed => "received: it fires anew; its resolve was missed".to_owned(),
        Some(ended_at) => format!("received: the alert resolved at {ended_at}"),
        None => "received: the alert resolved".to_owned(),
    };
    Some(report(at, text))
}

/// Whether a notification came then: each has its decisions. Of what is older than those at hand nothing else is known.
fn was_reported(at: Timestamp, story: &AlertStory) -> bool {
    let is_older = story.decisions.last().is_none_or(|oldest| at < oldest.at);
    let came = |decision: &StoredDecision| decision.at == at && decision.notification.is_some();
    is_older || story.decisions.iter().any(came)
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

fn happened(stored: &StoredEvent, story: &AlertStory) -> StoryEntryView {
    let job = story.jobs.iter().find(|job| job.id == stored.job);
    let event = &stored.event;
    let by = match event.by.as_str() {
        "healgate" => String::new(),
        name => format!(" (by {name})"),
    };
    StoryEntryView {
        at: event.at,
        what: kind(stored, job, &story.episodes),
        text: format!("{}{by}", event.message),
        job: Some(stored.job),
        route: job.and_then(|job| job.route.clone()),
    }
}

fn kind(stored: &StoredEvent, job: Option<&Job>, episodes: &[Episode]) -> What {
    // A clean-up follows a job too, and belongs to no episode.
    let is_rung = job.is_some_and(|job| job.trigger == Trigger::Ladder && job.episode.is_some());
    let was_verified = job.is_some_and(|job| matches!(job.reason, Some(Reason::Healed | Reason::NotHealed)));
    match stored.event.event.as_str() {
        "queued" | "awaiting_approval" if is_rung => What::Escalated,
        "escalated" | "rung_held" | "exhausted" => What::Escalated,
        // The clean-up is left out in the same words, and only once the alert has resolved.
        "rung_refused" if !is_over(stored, job, episodes) => What::Escalated,
        "verifying" | "resolved" | "unanswered" => What::Verified,
        "finished" if was_verified => What::Verified,
        _ => What::Run,
    }
}

/// Whether the job's episode was closed by then.
fn is_over(stored: &StoredEvent, job: Option<&Job>, episodes: &[Episode]) -> bool {
    let of_job = |episode: &&Episode| job.is_some_and(|job| job.episode == Some(episode.id));
    let closed_at = episodes.iter().find(of_job).and_then(|episode| episode.closed_at);
    closed_at.is_some_and(|closed_at| closed_at <= stored.event.at)
}

#[cfg(test)]
mod tests;
