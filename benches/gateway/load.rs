//! Posts new alerts, one per request, over as many connections as wanted.

use std::net::SocketAddr;
use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use futures_util::future::try_join_all;

use crate::client::Client;
use crate::failed::Failed;
use crate::samples::Samples;

/// Numbers the alerts of this process, so that each is new to every server.
static NEXT: AtomicU64 = AtomicU64::new(1);

/// Open connections to one server.
#[derive(Debug)]
pub(crate) struct Load {
    clients: Vec<Client>,
}

/// What one round gave.
#[derive(Debug)]
pub(crate) struct Round {
    pub(crate) posts_per_second: f64,
    /// From the request's first byte to the answer's last one, in milliseconds.
    pub(crate) latencies: Samples,
}

impl Load {
    pub(crate) async fn connect(server: SocketAddr, connections: usize) -> Result<Self, Failed> {
        let clients = try_join_all((0..connections).map(|_| Client::connect(server))).await?;
        Ok(Self { clients })
    }

    /// Each connection posts `count` alerts of that name, one after the other.
    pub(crate) async fn round(&mut self, alertname: &str, count: usize) -> Result<Round, Failed> {
        let posts = self.clients.len() * count;
        let began = Instant::now();
        let all = try_join_all(self.clients.iter_mut().map(|client| post(client, alertname, count))).await?;
        let took = began.elapsed();
        let mut latencies = Samples::default();
        for samples in all {
            latencies.extend(samples);
        }
        #[expect(clippy::cast_precision_loss, reason = "a few thousand")]
        let posts_per_second = posts as f64 / took.as_secs_f64();
        Ok(Round {
            posts_per_second,
            latencies,
        })
    }
}

async fn post(client: &mut Client, alertname: &str, count: usize) -> Result<Samples, Failed> {
    let mut samples = Samples::default();
    for _ in 0..count {
        let body = new_alert(alertname);
        let began = Instant::now();
        client.post(&body).await?;
        samples.push_ms(began.elapsed());
    }
    Ok(samples)
}

/// A notification of one alert that was never seen before, as Alertmanager writes it.
pub(crate) fn new_alert(alertname: &str) -> String {
    let number = new_numbers(1).start;
    notification(alertname, &[alert(alertname, number, number)])
}

/// Numbers of alerts that were never seen before.
pub(crate) fn new_numbers(count: u64) -> Range<u64> {
    let first = NEXT.fetch_add(count, Ordering::Relaxed);
    first..first + count
}

/// An alert, as Alertmanager writes it; two of one machine have different fingerprints.
pub(crate) fn alert(alertname: &str, fingerprint: u64, machine: u64) -> String {
    format!(
        r#"{{"status":"firing","labels":{{"alertname":"{alertname}","instance":"web{machine}.example:8080","job":"web","severity":"critical","team":"platform"}},"annotations":{{"description":"web{machine}.example:8080 has not answered for two minutes.","runbook_url":"https://runbooks.example/web/down","summary":"The web server is down"}},"startsAt":"2026-01-31T09:00:00.123Z","endsAt":"0001-01-01T00:00:00Z","generatorURL":"http://prometheus.example/graph?g0.expr=up+%3D%3D+0&g0.tab=1","fingerprint":"{fingerprint:016x}"}}"#
    )
}

/// A notification of these alerts, as Alertmanager writes it.
pub(crate) fn notification(alertname: &str, alerts: &[String]) -> String {
    let alerts = alerts.join(",");
    format!(
        r#"{{"receiver":"healgate","status":"firing","alerts":[{alerts}],"groupLabels":{{"alertname":"{alertname}"}},"commonLabels":{{"alertname":"{alertname}","severity":"critical"}},"commonAnnotations":{{}},"externalURL":"http://alertmanager.example","version":"4","groupKey":"{{}}:{{alertname=\"{alertname}\"}}","truncatedAlerts":0}}"#
    )
}
