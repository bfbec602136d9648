//! An alert and its story as the API shows them.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::domain::alert::AlertStatus;
use crate::domain::ids::{EpisodeId, Fingerprint};
use crate::domain::timestamp::Timestamp;
use crate::http::views::JobView;
use crate::http::views::notification::StoredDecisionView;
use crate::http::views::story::{self, StoryEntryView};
use crate::store::read::{AlertStory, AlertSummary, Episode};

/// An alert as it was last reported.
#[derive(Debug, Serialize, utoipa::ToSchema)]
#[schema(as = Alert)]
pub(crate) struct AlertView {
    #[schema(value_type = String)]
    fingerprint: Fingerprint,
    alertname: String,
    #[schema(value_type = String, pattern = "^(firing|resolved)$")]
    status: AlertStatus,
    labels: BTreeMap<String, String>,
    annotations: BTreeMap<String, String>,
    generator_url: String,
    #[schema(value_type = String, format = DateTime)]
    starts_at: Timestamp,
    #[schema(value_type = String, format = DateTime)]
    last_received_at: Timestamp,
    episode_count: u64,
    job_count: u64,
}

/// An alert with its episodes, decisions and jobs, newest first, at most 500 of each, and with its story.
#[derive(Debug, Serialize, utoipa::ToSchema)]
#[schema(as = AlertStory)]
pub(crate) struct AlertStoryView {
    #[serde(flatten)]
    summary: AlertView,
    episodes: Vec<EpisodeView>,
    decisions: Vec<StoredDecisionView>,
    jobs: Vec<JobView>,
    /// All that happened, in the order of time: of what is listed here, and of the last 500 entries of the jobs' histories.
    story: Vec<StoryEntryView>,
}

/// One stretch of an alert from its first `firing` to its `resolved`.
#[derive(Debug, Serialize, utoipa::ToSchema)]
#[schema(as = Episode)]
struct EpisodeView {
    #[schema(value_type = String, format = "uuid")]
    id: EpisodeId,
    #[schema(value_type = String, format = DateTime)]
    starts_at: Timestamp,
    #[schema(value_type = String, format = DateTime)]
    opened_at: Timestamp,
    #[schema(value_type = String, format = DateTime)]
    last_received_at: Timestamp,
    /// How many reports of it came.
    received: u64,
    /// The alert's own end.
    #[schema(value_type = Option<String>, format = DateTime)]
    ended_at: Option<Timestamp>,
    /// When the gateway learned of it.
    #[schema(value_type = Option<String>, format = DateTime)]
    closed_at: Option<Timestamp>,
    /// Its `resolved` never came.
    missed: bool,
}

impl From<AlertSummary> for AlertView {
    fn from(summary: AlertSummary) -> Self {
        Self {
            fingerprint: summary.fingerprint,
            alertname: summary.alertname,
            status: if summary.firing {
                AlertStatus::Firing
            } else {
                AlertStatus::Resolved
            },
            labels: summary.labels,
            annotations: summary.annotations,
            generator_url: summary.generator_url,
            starts_at: summary.starts_at,
            last_received_at: summary.last_received_at,
            episode_count: summary.episodes,
            job_count: summary.jobs,
        }
    }
}

impl From<AlertStory> for AlertStoryView {
    fn from(story: AlertStory) -> Self {
        Self {
            story: story::story(&story),
            summary: story.summary.into(),
            episodes: story.episodes.into_iter().map(EpisodeView::from).collect(),
            decisions: story.decisions.into_iter().map(StoredDecisionView::from).collect(),
            jobs: story.jobs.into_iter().map(JobView::from).collect(),
        }
    }
}

impl From<Episode> for EpisodeView {
    fn from(episode: Episode) -> Self {
        Self {
            id: episode.id,
            starts_at: episode.starts_at,
            opened_at: episode.opened_at,
            last_received_at: episode.last_received_at,
            received: episode.received,
            ended_at: episode.ended_at,
            closed_at: episode.closed_at,
            missed: episode.missed,
        }
    }
}
