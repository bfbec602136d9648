//! A thousand followers of one log: what they cost the gateway, and that each gets every byte.

use std::fs;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::{Duration, Instant};

use futures_util::future::try_join_all;
use rustix::process::{Resource, getrlimit, setrlimit};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::time::sleep;

use super::recorded::Recorded;
use crate::client::Client;
use crate::failed::{Failed, failed};
use crate::folder::Folder;
use crate::gateways::Gateway;
use crate::memory::mib;
use crate::report::{Row, tenths};
use crate::samples::Samples;

/// Rounds, each with a gateway of its own.
const ROUNDS: usize = 3;

const FOLLOWERS: usize = 1_000;

/// What is said before anybody follows; and as much again meanwhile, in pieces.
const HALF: usize = 512 << 10;

const PIECE: usize = 8 << 10;

const BETWEEN_LOOKS: Duration = Duration::from_millis(20);

/// What the rounds gave.
#[derive(Debug, Default)]
pub(super) struct Followers {
    /// How much more the gateway held at most, in MiB.
    many: Samples,
    /// The same with one follower.
    one: Samples,
    /// From the first follower's request until all have all, in seconds.
    seconds: Samples,
}

pub(super) async fn measure(root: &Path, recorded: &Recorded) -> Result<Followers, Failed> {
    // Both ends of a thousand connections; the gateway inherits the limit.
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    setrlimit(Resource::Nofile, limit).map_err(failed("raise the limit of open files"))?;
    let mut figures = Followers::default();
    for _ in 0..ROUNDS {
        let (grew, took) = round(root, recorded, FOLLOWERS).await?;
        figures.many.push(grew);
        figures.seconds.push(took.as_secs_f64());
        let (grew, _) = round(root, recorded, 1).await?;
        figures.one.push(grew);
    }
    Ok(figures)
}

async fn round(root: &Path, recorded: &Recorded, followers: usize) -> Result<(f64, Duration), Failed> {
    let gateway = talking(root, recorded).await?;
    let job = gateway.ask("Down").await?.job;
    let path = format!("/api/v1/jobs/{job}/log");
    let mut client = Client::connect(gateway.address()).await?;
    while client.get(&path).await?.len() < HALF {
        sleep(BETWEEN_LOOKS).await;
    }
    let log = fs::read(gateway.folder.path("said")).map_err(failed("read what is said"))?;
    let log = String::from_utf8(log).map_err(failed("read what is said"))?;
    let pid = gateway.server.pid()?;
    let before = mib(pid, "status", "VmRSS:")?;
    let began = Instant::now();
    let all = (0..followers).map(|_| Follower::begin(gateway.address(), &job));
    let all = try_join_all(all).await?;
    gateway.folder.write("go", "")?;
    try_join_all(all.into_iter().map(|follower| follower.follow(&log))).await?;
    let took = began.elapsed();
    Ok((mib(pid, "status", "VmHWM:")? - before, took))
}

/// What stands in for `ansible-playbook` says one half of what was recorded, and the other one in pieces once `go` is there.
async fn talking(root: &Path, recorded: &Recorded) -> Result<Gateway, Failed> {
    let folder = Folder::with(root, "./talk", "never", "")?;
    // Whole characters, and again and again if there is not enough of it.
    let text = String::from_utf8_lossy(&recorded.output);
    let mut said: String = text.chars().cycle().take(2 * HALF).collect();
    said.truncate(said.floor_char_boundary(2 * HALF));
    folder.write("said", &said)?;
    let script = format!(
        "#!/bin/sh
head -c {HALF} said
until [ -e go ]; do sleep 0.05; done
for piece in $(seq {first} {last}); do
  dd if=said bs={PIECE} skip=$piece count=1 2> /dev/null
  sleep 0.02
done
echo '{{\"event\":\"stats\",\"hosts\":{{\"localhost\":{{\"ok\":1}}}}}}' >> \"$HEALGATE_EVENTS\"
",
        first = HALF / PIECE,
        last = 2 * HALF / PIECE,
    );
    folder.write("talk", &script)?;
    fs::set_permissions(folder.path("talk"), PermissionsExt::from_mode(0o755)).map_err(failed("make a script"))?;
    Gateway::start(folder).await
}

/// One connection that follows.
#[derive(Debug)]
struct Follower(BufReader<TcpStream>);

impl Follower {
    /// Asks, and reads the answer's head.
    async fn begin(gateway: SocketAddr, job: &str) -> Result<Self, Failed> {
        let begin = async {
            let mut stream = BufReader::new(TcpStream::connect(gateway).await?);
            let request = format!("GET /api/v1/jobs/{job}/log/stream HTTP/1.1\r\nHost: {gateway}\r\n\r\n");
            stream.write_all(request.as_bytes()).await?;
            let mut head = String::new();
            while !head.ends_with("\r\n\r\n") && stream.read_line(&mut head).await? > 0 {}
            Ok::<_, std::io::Error>((stream, head))
        };
        let (stream, head) = begin.await.map_err(failed("begin to follow a log"))?;
        if head.starts_with("HTTP/1.1 200") {
            return Ok(Self(stream));
        }
        Err(Failed::new("begin to follow a log", head))
    }

    /// Reads to the end; an error unless that was just this.
    async fn follow(mut self, log: &str) -> Result<(), Failed> {
        let mut at = 0;
        loop {
            let chunk = self.chunk().await.map_err(failed("follow a log"))?;
            let chunk = std::str::from_utf8(&chunk).map_err(failed("follow a log"))?;
            if chunk.starts_with("event: end\n") && at == log.len() {
                return Ok(());
            }
            let Some((_, data)) = chunk
                .split_once("\ndata: ")
                .filter(|_| chunk.starts_with("event: log\n"))
            else {
                if chunk.starts_with(':') {
                    continue;
                }
                return Err(Failed::new("follow a log", format!("{at} bytes, and then {chunk:?}")));
            };
            let text: String = serde_json::from_str(data.trim_end()).map_err(failed("follow a log"))?;
            if log.get(at..at + text.len()) != Some(&text) {
                return Err(Failed::new("follow a log", format!("something else from byte {at} on")));
            }
            at += text.len();
        }
    }

    /// A chunk of the body: the server sends each event as one.
    async fn chunk(&mut self) -> std::io::Result<Vec<u8>> {
        let mut size = String::new();
        self.0.read_line(&mut size).await?;
        let size = usize::from_str_radix(size.trim_end(), 16).map_err(std::io::Error::other)?;
        let mut chunk = vec![0; size + 2];
        self.0.read_exact(&mut chunk).await?;
        chunk.truncate(size);
        Ok(chunk)
    }
}

impl Followers {
    pub(super) fn rows(&self) -> Vec<Row> {
        vec![
            Row::new(
                "1,000 followers of one log, one: MiB more at most",
                tenths(self.many.percentile(100)),
            )
            .beside(tenths(self.one.percentile(100)), self.many.ratios(&self.one).median())
            .bound("≤ 100"),
            Row::new("until each has every byte of 1 MiB: s", tenths(self.seconds.median())),
        ]
    }

    pub(super) fn json(&self) -> Value {
        json!({
            "followers": FOLLOWERS,
            "bytes": 2 * HALF,
            "growth_mib": { "followers": self.many.all(), "one_follower": self.one.all() },
            "seconds": self.seconds.all(),
        })
    }
}
