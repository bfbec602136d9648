//! Alertmanager's API, version 2: its alerts and its silences.
//!
//! Source: `api/v2/openapi.yaml` of prometheus/alertmanager.

use std::collections::BTreeSet;
use std::sync::Arc;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::config::Peer;
use crate::domain::alert::{Alert, Labels};
use crate::domain::attempt::AttemptKey;
use crate::domain::ids::Fingerprint;
use crate::domain::standing::{Active, Look, Process, Sighting};
use crate::domain::timestamp::Timestamp;
use crate::peers::client::PeerClient;
use crate::peers::members::Members;
use crate::peers::{AUTHOR, Alertmanagers, NewSilence, PeerError, Silence};

/// Filters only make answers smaller. So many, and of values so long, keep the URL short.
const MOST_FILTERS: usize = 20;
const LONGEST_VALUE: usize = 200;
const MOST_NAMES: usize = 20;

/// The Alertmanagers of one cluster.
#[derive(Debug)]
pub struct Cluster {
    members: Members,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ApiAlert {
    fingerprint: Fingerprint,
    status: ApiAlertStatus,
    starts_at: Option<Timestamp>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ApiAlertStatus {
    silenced_by: Vec<String>,
    #[serde(default)]
    inhibited_by: Vec<String>,
    /// By time; since version 0.28.
    #[serde(default)]
    muted_by: Vec<String>,
}

impl From<ApiAlert> for Active {
    fn from(alert: ApiAlert) -> Self {
        Self {
            is_muted: !(alert.status.inhibited_by.is_empty() && alert.status.muted_by.is_empty()),
            silenced_by: alert.status.silenced_by,
            starts_at: alert.starts_at,
        }
    }
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
        Self {
            members: Members::new(members.iter().cloned().map(PeerClient::new)),
        }
    }
}

#[async_trait]
impl Alertmanagers for Cluster {
    async fn look(&self, alerts: &[&Alert]) -> Look {
        let filters = Arc::new(filters(alerts));
        // Whom one of them has active fires, whatever the others say.
        let all_fire = |sightings: &[Sighting]| {
            let fires = |alert: &&Alert| {
                let has = |sighting: &Sighting| sighting.active.contains_key(&alert.fingerprint);
                sightings.iter().any(has)
            };
            alerts.iter().all(fires)
        };
        let said = self
            .members
            .all(|member| sight(member, Arc::clone(&filters)), all_fire)
            .await;
        Look {
            sightings: said.answers,
            failures: said.failures.iter().map(ToString::to_string).collect(),
        }
    }

    async fn find_silence(&self, id: &str) -> Result<Silence, PeerError> {
        let path = silence_path(id);
        let found: ApiSilence = self.members.any(|member| member.get(&path, &[])).await?;
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
            "comment": format!("{} {}", silence.comment, owner(silence.claim)),
        });
        let created: Created = self
            .members
            .any(|member| member.post("api/v2/silences", body.to_string()))
            .await?;
        Ok(created.silence_id)
    }

    async fn end_silences(&self, claim: AttemptKey, labels: &Labels) -> Result<usize, PeerError> {
        let filters = params(labels.iter());
        self.members
            .any(|member| {
                let filters = &filters;
                async move {
                    let all: Vec<ApiSilence> = member.get("api/v2/silences", filters).await?;
                    let own = all.iter().filter(|silence| {
                        silence.created_by == AUTHOR
                            && silence.status.state != "expired"
                            && is_owned(&silence.comment, claim)
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
fn owner(claim: AttemptKey) -> String {
    format!("{}{})", owner_begin(claim), claim.fence)
}

fn owner_begin(claim: AttemptKey) -> String {
    format!("(job {}, claim ", claim.job)
}

/// Whether that comment names this claim of the job, or one before it, whose run is over too.
fn is_owned(comment: &str, claim: AttemptKey) -> bool {
    let begin = owner_begin(claim);
    let after = comment.rsplit_once(begin.as_str()).map(|(_, after)| after);
    let fence = after.and_then(|after| after.strip_suffix(')')?.parse().ok());
    fence.is_some_and(|fence: i64| fence <= claim.fence)
}

/// Ids come from Alertmanager and are UUIDs; another text must not lead to another place.
fn silence_path(id: &str) -> String {
    let plain: String = id.chars().filter(|c| c.is_ascii_alphanumeric() || *c == '-').collect();
    format!("api/v2/silence/{plain}")
}

/// What one Alertmanager has. The status comes second: if it restarts in between, the start shows that.
async fn sight(member: Arc<PeerClient>, filters: Arc<Vec<(&'static str, String)>>) -> Result<Sighting, PeerError> {
    let alerts: Vec<ApiAlert> = member.get("api/v2/alerts", &filters).await?;
    let status: ApiStatus = member.get("api/v2/status", &[]).await?;
    let active = alerts
        .into_iter()
        .map(|alert| (alert.fingerprint.clone(), Active::from(alert)));
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
