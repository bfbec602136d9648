//! Alertmanager's API, version 2: its alerts and its silences.
//!
//! Source: `api/v2/openapi.yaml` of prometheus/alertmanager.

use std::collections::BTreeSet;
use std::future::Future;

use async_trait::async_trait;
use futures_util::future::join_all;
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::config::Peer;
use crate::domain::alert::{Alert, Labels};
use crate::domain::ids::{Fingerprint, JobId};
use crate::domain::standing::{Look, Process, Sighting};
use crate::domain::timestamp::Timestamp;
use crate::peers::client::PeerClient;
use crate::peers::{AUTHOR, Alertmanagers, NewSilence, PeerError, Silence};

/// Filters only make answers smaller. So many, and of values so long, keep the URL short.
const MOST_FILTERS: usize = 20;
const LONGEST_VALUE: usize = 200;
const MOST_NAMES: usize = 20;

/// The Alertmanagers of one cluster.
#[derive(Debug)]
pub struct Cluster {
    members: Vec<PeerClient>,
}

#[derive(Deserialize)]
struct ApiAlert {
    fingerprint: Fingerprint,
    status: ApiAlertStatus,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ApiAlertStatus {
    silenced_by: Vec<String>,
}

#[derive(Deserialize)]
struct ApiStatus {
    /// When it started, in spite of the name.
    uptime: Timestamp,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ApiSilence {
    id: String,
    created_by: String,
    comment: String,
    ends_at: Timestamp,
    status: ApiSilenceStatus,
}

#[derive(Deserialize)]
struct ApiSilenceStatus {
    state: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ApiMatcher<'a> {
    name: &'a str,
    value: &'a str,
    is_regex: bool,
    is_equal: bool,
}

#[derive(Deserialize)]
struct Created {
    #[serde(rename = "silenceID")]
    silence_id: String,
}

impl Cluster {
    /// Connects when it is first asked.
    pub fn new(members: &[Peer]) -> Self {
        let members = members.iter().cloned().map(PeerClient::new);
        Self {
            members: members.collect(),
        }
    }

    /// The answer of the first member that gives one; silences are the same in all.
    async fn any<'a, T, F>(&'a self, ask: impl Fn(&'a PeerClient) -> F) -> Result<T, PeerError>
    where
        F: Future<Output = Result<T, PeerError>>,
    {
        let mut last = PeerError::Unanswered {
            peer: "Alertmanager".to_owned(),
            why: "none is configured".to_owned(),
        };
        for member in &self.members {
            match ask(member).await {
                Ok(answer) => return Ok(answer),
                Err(error) => last = error,
            }
        }
        Err(last)
    }
}

#[async_trait]
impl Alertmanagers for Cluster {
    async fn look(&self, alerts: &[&Alert]) -> Look {
        let filters = filters(alerts);
        let mut look = Look::default();
        for answer in join_all(self.members.iter().map(|member| sight(member, &filters))).await {
            match answer {
                Ok(sighting) => look.sightings.push(sighting),
                Err(error) => look.failures.push(error.to_string()),
            }
        }
        look
    }

    async fn find_silence(&self, id: &str) -> Result<Silence, PeerError> {
        let path = silence_path(id);
        let found: ApiSilence = self.any(|member| member.get(&path, &[])).await?;
        Ok(Silence {
            id: found.id,
            created_by: found.created_by,
            comment: found.comment,
            ends_at: found.ends_at,
        })
    }

    async fn create_silence(&self, silence: &NewSilence) -> Result<String, PeerError> {
        let labels = silence.labels.iter().filter(|(_, value)| !value.is_empty());
        let matchers: Vec<ApiMatcher<'_>> = labels
            .map(|(name, value)| ApiMatcher {
                name,
                value,
                is_regex: false,
                is_equal: true,
            })
            .collect();
        let body = json!({
            "matchers": matchers,
            "startsAt": silence.starts_at,
            "endsAt": silence.ends_at,
            "createdBy": AUTHOR,
            "comment": format!("{} ({})", silence.comment, owner(silence.job)),
        });
        let created: Created = self
            .any(|member| member.post("api/v2/silences", body.to_string()))
            .await?;
        Ok(created.silence_id)
    }

    async fn end_silences(&self, job: JobId, labels: &Labels) -> Result<usize, PeerError> {
        let filters = params(labels.iter());
        let owner = owner(job);
        self.any(|member| {
            let (filters, owner) = (&filters, &owner);
            async move {
                let all: Vec<ApiSilence> = member.get("api/v2/silences", filters).await?;
                let own = all.iter().filter(|silence| {
                    silence.created_by == AUTHOR && silence.comment.contains(owner) && silence.status.state != "expired"
                });
                let mut ended = 0;
                for silence in own {
                    member.delete(&silence_path(&silence.id)).await?;
                    ended += 1;
                }
                Ok(ended)
            }
        })
        .await
    }
}

/// In a silence's comment.
fn owner(job: JobId) -> String {
    format!("job {job}")
}

/// Ids come from Alertmanager and are UUIDs; another text must not lead to another place.
fn silence_path(id: &str) -> String {
    let plain: String = id.chars().filter(|c| c.is_ascii_alphanumeric() || *c == '-').collect();
    format!("api/v2/silence/{plain}")
}

/// What one Alertmanager has. The status comes second: if it restarts in between, the start shows that.
async fn sight(member: &PeerClient, filters: &[(&'static str, String)]) -> Result<Sighting, PeerError> {
    let alerts: Vec<ApiAlert> = member.get("api/v2/alerts", filters).await?;
    let status: ApiStatus = member.get("api/v2/status", &[]).await?;
    let active = alerts
        .into_iter()
        .map(|alert| (alert.fingerprint, alert.status.silenced_by));
    Ok(Sighting {
        process: Process {
            name: member.name().to_owned(),
            up_since: status.uptime,
        },
        active: active.collect(),
    })
}

/// What the alerts have in common, and their names. Which alert is meant is said by its fingerprint alone.
fn filters(alerts: &[&Alert]) -> Vec<(&'static str, String)> {
    let Some((first, others)) = alerts.split_first() else {
        return Vec::new();
    };
    let shared = first
        .labels
        .iter()
        .filter(|(name, value)| others.iter().all(|other| other.labels.get(*name) == Some(value)));
    let mut filters = params(shared);
    let names: BTreeSet<&str> = alerts.iter().map(|alert| alert.name()).collect();
    if (2..=MOST_NAMES).contains(&names.len()) {
        let names: Vec<String> = names.into_iter().map(regex::escape).collect();
        filters.push(("filter", format!("alertname=~\"{}\"", quoted(&names.join("|")))));
    }
    filters
}

fn params<'a>(labels: impl Iterator<Item = (&'a String, &'a String)>) -> Vec<(&'static str, String)> {
    let usable = labels.filter(|(name, value)| is_plain(name) && value.len() <= LONGEST_VALUE);
    let filters = usable.map(|(name, value)| ("filter", format!("{name}=\"{}\"", quoted(value))));
    filters.take(MOST_FILTERS).collect()
}

/// A name that Alertmanagers of every version read without quotes.
fn is_plain(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
}

/// Before 0.27 a matcher knows these three escapes and no others.
fn quoted(value: &str) -> String {
    value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}
