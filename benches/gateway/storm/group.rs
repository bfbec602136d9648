//! A group of ten thousand alerts in one POST, durable beside the same server answering without storing.

use std::net::SocketAddr;
use std::path::Path;
use std::time::Instant;

use serde_json::{Value, json};
use tokio::runtime::Runtime;

use crate::client::Client;
use crate::failed::Failed;
use crate::folder::Folder;
use crate::load::{alert, new_numbers, notification};
use crate::report::Row;
use crate::samples::Samples;
use crate::servers::Servers;

/// Counted rounds.
const ROUNDS: usize = 5;

const ALERTS: u64 = 10_000;

/// From the request's first byte to the answer's last one, in milliseconds, one per round.
#[derive(Debug, Default)]
pub(super) struct Groups {
    new: Pair,
    repeated: Pair,
}

#[derive(Debug, Default)]
struct Pair {
    durable: Samples,
    unstored: Samples,
}

pub(super) async fn measure(root: &Path, runtime: &Runtime) -> Result<Groups, Failed> {
    let folder = Folder::new(root)?;
    let servers = Servers::start(&folder, runtime).await?;
    let mut groups = Groups::default();
    for number in 0..=ROUNDS {
        let alerts: Vec<String> = new_numbers(ALERTS)
            .map(|number| alert("Down", number, number))
            .collect();
        let body = notification("Down", &alerts);
        for pair in [&mut groups.new, &mut groups.repeated] {
            let (durable, unstored) = if number % 2 == 0 {
                let durable = post(servers.durable, &body).await?;
                (durable, post(servers.unstored, &body).await?)
            } else {
                let unstored = post(servers.unstored, &body).await?;
                (post(servers.durable, &body).await?, unstored)
            };
            if number > 0 {
                pair.durable.push(durable);
                pair.unstored.push(unstored);
            }
        }
    }
    Ok(groups)
}

async fn post(server: SocketAddr, body: &str) -> Result<f64, Failed> {
    let mut client = Client::connect(server).await?;
    let began = Instant::now();
    client.post(body).await?;
    Ok(began.elapsed().as_secs_f64() * 1_000.0)
}

impl Pair {
    fn json(&self) -> Value {
        json!({ "durable": self.durable.all(), "unstored": self.unstored.all() })
    }
}

impl Groups {
    pub(super) fn rows(&self) -> Vec<Row> {
        let row = |what: &str, pair: &Pair| Row::pairs(what, &pair.durable, &pair.unstored).bound("≤ 1000");
        vec![
            row("10,000 new alerts in one POST, not stored; ms", &self.new),
            row("the same again: 10,000 repeats, not stored; ms", &self.repeated),
        ]
    }

    pub(super) fn json(&self) -> Value {
        json!({
            "alerts": ALERTS,
            "new_milliseconds": self.new.json(),
            "repeated_milliseconds": self.repeated.json(),
        })
    }
}
