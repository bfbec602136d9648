//! Posts at fixed times, whether the server keeps up or not: an open loop. What a post waits before it can be
//! sent counts as well, so that a server that stalls cannot hide it.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use futures_util::future::{try_join, try_join_all};
use rustix::thread::nanosleep;
use rustix::time::Timespec;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use crate::client::Client;
use crate::failed::{Failed, failed};
use crate::samples::Samples;

/// So many posts a second, over so many connections in turn.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pace {
    pub(crate) per_second: f64,
    pub(crate) connections: usize,
    pub(crate) posts: usize,
}

/// Milliseconds from when each post was due to the answer's last byte.
pub(crate) async fn paced(server: SocketAddr, pace: Pace, body: &dyn Fn() -> String) -> Result<Samples, Failed> {
    let clients = try_join_all((0..pace.connections).map(|_| Client::connect(server))).await?;
    let (senders, receivers): (Vec<_>, Vec<_>) = clients.iter().map(|_| unbounded_channel()).unzip();
    let posting = try_join_all(
        clients
            .into_iter()
            .zip(receivers)
            .map(|(client, due)| post_when_due(client, due, body)),
    );
    // A thread, as the runtime's own clock ticks in milliseconds.
    let beat = tokio::task::spawn_blocking(move || beat(pace, &senders));
    let (all, ()) = try_join(posting, async { beat.await.map_err(failed("keep the pace")) }).await?;
    let mut latencies = Samples::default();
    for samples in all {
        latencies.extend(samples);
    }
    Ok(latencies)
}

fn beat(pace: Pace, connections: &[UnboundedSender<Instant>]) {
    let began = Instant::now();
    let every = Duration::from_secs_f64(1.0 / pace.per_second);
    let mut due = began;
    for (_, connection) in (0..pace.posts).zip(connections.iter().cycle()) {
        let rest = Timespec::try_from(due.saturating_duration_since(Instant::now()));
        if let Ok(rest) = rest {
            let _ = nanosleep(&rest);
        }
        // A connection that failed has said so.
        let _ = connection.send(due);
        due += every;
    }
}

async fn post_when_due(
    mut client: Client,
    mut due: UnboundedReceiver<Instant>,
    body: &dyn Fn() -> String,
) -> Result<Samples, Failed> {
    let mut samples = Samples::default();
    while let Some(due) = due.recv().await {
        client.post(&body()).await?;
        samples.push_ms(due.elapsed());
    }
    Ok(samples)
}
