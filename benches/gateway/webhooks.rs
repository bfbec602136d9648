//! Webhooks with durable answers beside the same server answering without storing, and beside a bare loop over SQLite.

use std::net::SocketAddr;
use std::path::Path;

use serde_json::{Value, json};
use tokio::runtime::Runtime;

use crate::bare::Bare;
use crate::cpu;
use crate::disk;
use crate::failed::Failed;
use crate::folder::Folder;
use crate::load::{Load, Round, new_alert};
use crate::pace::{Pace, paced};
use crate::report::{Row, Section, of, tenths, whole};
use crate::samples::Samples;
use crate::servers::Servers;

const CONNECTIONS: usize = 64;

/// Counted rounds of each server.
const ROUNDS: usize = 7;

/// Posts of each connection in a round under load.
const POSTS: usize = 100;

/// Posts in a round of one connection.
const LONE_POSTS: usize = 200;

/// How long half of the full rate goes on in a round.
const PACED_SECONDS: f64 = 1.0;

/// The figures.
#[derive(Debug, Default)]
struct Webhooks {
    durable: Side,
    unstored: Side,
    /// Posts per second of a bare loop that writes the same rows in transactions of as many, per round.
    bare: Samples,
    /// A synced append of 4 KiB, in milliseconds.
    synced_append: Samples,
    /// Posts that shared one commit, per round under load.
    posts_per_commit: Samples,
    /// How much of a round under load the one writer was busy.
    writer_busy: Samples,
}

/// One server's figures.
#[derive(Debug, Default)]
struct Side {
    /// One per round.
    posts_per_second: Samples,
    /// Of every post under load, in milliseconds.
    loaded: Samples,
    /// Of every post on a lone connection, in milliseconds.
    lone: Samples,
    /// Of every post at half of the durable server's full rate, from when it was due, in milliseconds.
    paced: Samples,
    /// CPU seconds of 1,000 posts under load, one per round.
    cpu: Samples,
}

pub(crate) async fn measure(root: &Path, runtime: &Runtime) -> Result<Section, Failed> {
    let folder = Folder::new(root)?;
    let servers = Servers::start(&folder, runtime).await?;
    let mut bare = Bare::open(&servers.spare)?;
    let mut figures = Webhooks::default();
    // Round 0 warms up and is not counted; then who begins changes each time.
    for number in 0..=ROUNDS {
        let mut round = Webhooks::default();
        if number % 2 == 0 {
            round.durable(&servers).await?;
            round.unstored(&servers).await?;
        } else {
            round.unstored(&servers).await?;
            round.durable(&servers).await?;
        }
        round.bare(&mut bare, &servers)?;
        round.durable.lone = lone(servers.durable).await?;
        round.unstored.lone = lone(servers.unstored).await?;
        let half = round.durable.posts_per_second.median() / 2.0;
        round.durable.paced = at_pace(servers.durable, half).await?;
        round.unstored.paced = at_pace(servers.unstored, half).await?;
        round.synced_append = disk::synced_appends(root, LONE_POSTS)?;
        if number > 0 {
            figures.add(round);
        }
    }
    Ok(figures.section())
}

/// One round under load. The server closes connections that idle, so each round has its own.
async fn loaded(server: SocketAddr) -> Result<Round, Failed> {
    Load::connect(server, CONNECTIONS).await?.round("Down", POSTS).await
}

/// One round with its CPU time; what the other server does meanwhile is nothing.
async fn costed(server: SocketAddr) -> Result<(Round, f64), Failed> {
    let before = cpu::of_other_threads();
    let round = loaded(server).await?;
    #[expect(clippy::cast_precision_loss, reason = "a few thousand")]
    let thousands = (CONNECTIONS * POSTS) as f64 / 1_000.0;
    Ok((round, (cpu::of_other_threads() - before) / thousands))
}

async fn at_pace(server: SocketAddr, per_second: f64) -> Result<Samples, Failed> {
    #[expect(clippy::cast_sign_loss, clippy::cast_possible_truncation, reason = "a few thousand")]
    let posts = (per_second * PACED_SECONDS) as usize;
    let pace = Pace {
        per_second,
        connections: CONNECTIONS,
        posts,
    };
    paced(server, pace, &|| new_alert("Down")).await
}

async fn lone(server: SocketAddr) -> Result<Samples, Failed> {
    let round = Load::connect(server, 1).await?.round("Down", LONE_POSTS).await?;
    Ok(round.latencies)
}

impl Side {
    fn take(&mut self, (round, cpu): (Round, f64)) {
        self.cpu.push(cpu);
        self.posts_per_second.push(round.posts_per_second);
        self.loaded.extend(round.latencies);
    }

    fn add(&mut self, other: Self) {
        self.posts_per_second.extend(other.posts_per_second);
        self.loaded.extend(other.loaded);
        self.lone.extend(other.lone);
        self.paced.extend(other.paced);
        self.cpu.extend(other.cpu);
    }

    fn json(&self) -> Value {
        json!({
            "posts_per_second": {
                "median": self.posts_per_second.median(),
                "rounds": self.posts_per_second.all(),
            },
            "milliseconds_under_load": latencies(&self.loaded),
            "milliseconds_alone": latencies(&self.lone),
            "milliseconds_at_half_the_full_rate": latencies(&self.paced),
            "cpu_seconds_per_1000_posts": { "median": self.cpu.median(), "rounds": self.cpu.all() },
        })
    }
}

impl Webhooks {
    async fn unstored(&mut self, servers: &Servers) -> Result<(), Failed> {
        self.unstored.take(costed(servers.unstored).await?);
        Ok(())
    }

    async fn durable(&mut self, servers: &Servers) -> Result<(), Failed> {
        let (commits_before, busy_before) = servers.writer.so_far();
        let (round, cpu) = costed(servers.durable).await?;
        let (commits, busy) = servers.writer.so_far();
        #[expect(clippy::cast_precision_loss, reason = "a few thousand")]
        let posts = (CONNECTIONS * POSTS) as f64;
        self.posts_per_commit.push(posts / (commits - commits_before));
        self.writer_busy
            .push((busy - busy_before) * round.posts_per_second / posts);
        self.durable.take((round, cpu));
        Ok(())
    }

    /// Writes what the posts of this round made once more.
    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_sign_loss,
        clippy::cast_possible_truncation,
        reason = "a few thousand"
    )]
    fn bare(&mut self, bare: &mut Bare, servers: &Servers) -> Result<(), Failed> {
        let rows = bare.missing(&servers.database)?;
        let (took, posts) = bare.write(&rows, self.posts_per_commit.median().round() as usize)?;
        self.bare.push(posts as f64 / took.as_secs_f64());
        Ok(())
    }

    fn add(&mut self, round: Self) {
        self.bare.extend(round.bare);
        self.durable.add(round.durable);
        self.unstored.add(round.unstored);
        self.synced_append.extend(round.synced_append);
        self.posts_per_commit.extend(round.posts_per_commit);
        self.writer_busy.extend(round.writer_busy);
    }

    /// Durable over unstored, round by round.
    fn ratios(&self) -> Samples {
        self.durable.posts_per_second.ratios(&self.unstored.posts_per_second)
    }

    fn section(&self) -> Section {
        let Self { durable, unstored, .. } = self;
        let (fast, faster) = (durable.posts_per_second.median(), unstored.posts_per_second.median());
        let mut rows =
            vec![Row::new("64 connections: posts/s", whole(fast)).beside(whole(faster), self.ratios().median())];
        let bare = self.durable.posts_per_second.ratios(&self.bare).median();
        rows.push(
            Row::new("64 connections, beside a bare loop: posts/s", whole(fast))
                .beside(whole(self.bare.median()), bare)
                .bound("0.5"),
        );
        for (how, slow, quick, bound) in [
            ("64 connections", &durable.loaded, &unstored.loaded, ""),
            ("64 connections, half the rate", &durable.paced, &unstored.paced, "≤ 5"),
            ("1 connection", &durable.lone, &unstored.lone, ""),
            (
                "1 connection, beside a synced append of 4 KiB",
                &durable.lone,
                &self.synced_append,
                "",
            ),
        ] {
            for percent in [50, 99] {
                let (slow, quick) = (slow.percentile(percent), quick.percentile(percent));
                let what = format!("{how}: p{percent}, ms");
                let row = Row::new(what, tenths(slow)).beside(tenths(quick), slow / quick);
                rows.push(if percent == 99 { row.bound(bound) } else { row });
            }
        }
        let (dear, cheap) = (durable.cpu.median(), unstored.cpu.median());
        rows.push(
            Row::new("CPU of 1,000 posts, s", of(dear)).beside(of(cheap), durable.cpu.ratios(&unstored.cpu).median()),
        );
        let shared = self.posts_per_commit.median();
        rows.push(Row::new("posts per commit under load", tenths(shared)));
        rows.push(Row::new(
            "the one writer busy under load",
            of(self.writer_busy.median()),
        ));
        Section {
            key: "webhooks",
            title: "webhooks, one new alert each",
            columns: ["durable", "not stored"],
            rows,
            json: self.json(),
        }
    }

    fn json(&self) -> Value {
        let ratios = self.ratios();
        json!({
            "connections": CONNECTIONS,
            "rounds": ROUNDS,
            "posts_per_round": CONNECTIONS * POSTS,
            "alerts_per_post": 1,
            "durable": self.durable.json(),
            "unstored": self.unstored.json(),
            "ratio": { "median": ratios.median(), "rounds": ratios.all() },
            "bare_posts_per_second": { "median": self.bare.median(), "rounds": self.bare.all() },
            "ratio_to_bare": self.durable.posts_per_second.ratios(&self.bare).median(),
            "posts_per_commit": self.posts_per_commit.median(),
            "writer_busy": self.writer_busy.median(),
            "synced_append_4k_milliseconds": latencies(&self.synced_append),
        })
    }
}

fn latencies(samples: &Samples) -> Value {
    json!({ "count": samples.count(), "p50": samples.median(), "p99": samples.percentile(99) })
}
