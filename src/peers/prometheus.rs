//! Prometheus's instant queries. Asks, and reads the answer.
//!
//! Source: <https://prometheus.io/docs/prometheus/latest/querying/api/>.

use async_trait::async_trait;
use serde::Deserialize;

use crate::config::Peer;
use crate::domain::promql::Answer;
use crate::peers::client::PeerClient;
use crate::peers::{PeerError, Prometheus};

/// A Prometheus server, or what speaks its API: Thanos, Mimir, VictoriaMetrics.
#[derive(Debug)]
pub struct PrometheusServer {
    client: PeerClient,
    timeout: String,
}

#[derive(Deserialize)]
struct Response {
    data: Data,
}

#[derive(Deserialize)]
#[serde(tag = "resultType", content = "result", rename_all = "lowercase")]
enum Data {
    Vector(Vec<Sample>),
    Scalar(Point),
    String(serde::de::IgnoredAny),
    Matrix(serde::de::IgnoredAny),
}

#[derive(Deserialize)]
struct Sample {
    /// A native histogram has none.
    value: Option<Point>,
}

/// Seconds, and the value as a text.
#[derive(Deserialize)]
struct Point(serde::de::IgnoredAny, String);

impl PrometheusServer {
    /// Connects when it is first asked.
    pub fn new(peer: &Peer) -> Self {
        Self {
            timeout: peer.timeout.to_string(),
            client: PeerClient::new(peer.clone()),
        }
    }

    fn answer(&self, data: Data) -> Result<Answer, PeerError> {
        match data {
            Data::Scalar(point) => Ok(Answer::Scalar(self.number(&point)?)),
            Data::Vector(samples) => {
                let values = samples.iter().map(|sample| match &sample.value {
                    Some(point) => self.number(point),
                    None => Err(self
                        .client
                        .unusable("the query's result has histograms; compare something of them")),
                });
                Ok(Answer::Vector(values.collect::<Result<_, _>>()?))
            }
            Data::String(_) => Err(self
                .client
                .unusable("the query's result is a text, which is neither true nor false")),
            Data::Matrix(_) => Err(self
                .client
                .unusable("the query's result is a range; ask for an instant")),
        }
    }

    fn number(&self, point: &Point) -> Result<f64, PeerError> {
        point
            .1
            .parse()
            .map_err(|_| self.client.unusable(format!("{:?} is no number", point.1)))
    }
}

#[async_trait]
impl Prometheus for PrometheusServer {
    async fn query(&self, expression: &str) -> Result<Answer, PeerError> {
        let params = [("query", expression.to_owned()), ("timeout", self.timeout.clone())];
        let response: Response = self.client.get("api/v1/query", &params).await?;
        self.answer(response.data)
    }
}
