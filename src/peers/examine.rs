//! Looks at Alertmanager and Prometheus for those who examine a set-up: do they answer, what time is it there, whom do they
//! tell. Changes nothing.

use jiff::fmt::rfc2822;
use reqwest::header::{DATE, HeaderMap};
use serde::Deserialize;

use crate::config::Peer;
use crate::domain::timestamp::Timestamp;
use crate::peers::PeerError;
use crate::peers::client::PeerClient;

/// What somebody has shown of themselves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    /// By their clock, when they answered; to the second.
    pub date: Option<Timestamp>,
    /// Empty where they do not say.
    pub version: String,
    /// Alertmanager's configuration as YAML, with secrets hidden.
    pub config: String,
}

/// Source: `api/v2/openapi.yaml` of prometheus/alertmanager.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Status {
    config: Config,
    version_info: VersionInfo,
}

#[derive(Deserialize)]
struct Config {
    original: String,
}

#[derive(Deserialize)]
struct VersionInfo {
    version: String,
}

/// Looks at an Alertmanager.
pub async fn alertmanager(peer: &Peer) -> Result<Seen, PeerError> {
    let client = PeerClient::new(peer.clone());
    let (headers, status): (HeaderMap, Status) = client.get_with_headers("api/v2/status", &[]).await?;
    Ok(Seen {
        date: date(&headers),
        version: status.version_info.version,
        config: status.config.original,
    })
}

/// Looks at a Prometheus: it has to calculate something, which all that speak its API can.
pub async fn prometheus(peer: &Peer) -> Result<Seen, PeerError> {
    let client = PeerClient::new(peer.clone());
    let question = [("query", "vector(1)".to_owned())];
    let (headers, _): (HeaderMap, serde_json::Value) = client.get_with_headers("api/v1/query", &question).await?;
    Ok(Seen {
        date: date(&headers),
        version: String::new(),
        config: String::new(),
    })
}

fn date(headers: &HeaderMap) -> Option<Timestamp> {
    let text = headers.get(DATE)?.to_str().ok()?;
    let parsed = rfc2822::DateTimeParser::new().parse_timestamp(text).ok()?;
    Some(Timestamp::from_micros(parsed.as_microsecond()))
}

#[cfg(test)]
mod tests {
    use reqwest::header::HeaderValue;

    use super::*;

    #[test]
    fn the_date_of_an_answer_is_read() {
        let with = |date: &'static str| HeaderMap::from_iter([(DATE, HeaderValue::from_static(date))]);
        let read = date(&with("Sat, 31 Jan 2026 09:00:07 GMT")).unwrap();
        assert_eq!(read.to_string(), "2026-01-31T09:00:07Z");
        assert_eq!(date(&with("yesterday")), None);
        assert_eq!(date(&HeaderMap::new()), None);
    }
}
