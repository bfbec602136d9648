//! Follows a job: its log as it comes, over lost connections and further attempts, to its end. Never stops the job.

use std::time::{Duration, Instant};

use reqwest::Url;
use reqwest::header::{HeaderMap, HeaderValue, RANGE};
use serde_json::Value;
use tokio::time::sleep;

use crate::cli::client::Client;
use crate::cli::client::events::{Event, Next, Stream};
use crate::cli::failure::{Failure, Kind};
use crate::cli::jobs::headline;
use crate::cli::log_text::LogOut;
use crate::cli::show::{View, aside};
use crate::cli::table::printable;
use crate::domain::span::Span;

/// What could not be asked is asked again after this.
const AGAIN: Duration = Duration::from_millis(500);

const LOST: &str = "the connection is lost; trying again";
const BACK: &str = "the connection is back";

/// How long to be patient with a gateway that is away.
#[derive(Clone, Copy, Debug, clap::Args)]
pub(super) struct Patience {
    /// How long to try again when the connection is lost while following
    #[arg(long, value_name = "DURATION", default_value = "2m")]
    patience: Span,
}

/// Follows a job until it is finished. A failure unless it succeeded; Ctrl-C leaves it running, and says so.
pub(super) async fn to_the_end(client: &Client, id: &str, patience: &Patience) -> Result<(), Failure> {
    let mut follower = Follower::new(client, id, patience);
    let done = unless_interrupted(follower.until_finished()).await;
    let job = done.unwrap_or_else(|| Err(follower.left()))?;
    let told = format!("job {}: {}", printable(id), headline(&job, View::now()));
    match job["status"].as_str() {
        Some("succeeded") => {
            aside(&told);
            Ok(())
        }
        _ => Err(Failure::new(
            Kind::Failed,
            format!("{told}\nhealgate jobs show {} says more", printable(id)),
        )),
    }
}

/// Follows what a job prints until it prints no more: of all attempts, or of one.
pub(super) async fn log(client: &Client, id: &str, attempt: Option<u64>, patience: &Patience) -> Result<(), Failure> {
    let mut follower = Follower::new(client, id, patience);
    follower.is_for_log = true;
    let done = unless_interrupted(async {
        match attempt {
            Some(attempt) => follower.attempt(attempt).await,
            None => follower.attempts().await.map(drop),
        }
    });
    done.await.unwrap_or_else(|| Err(follower.left()))
}

/// What comes of it; nothing at Ctrl-C.
async fn unless_interrupted<T>(following: impl Future<Output = T>) -> Option<T> {
    tokio::select! {
        done = following => Some(done),
        _ = tokio::signal::ctrl_c() => None,
    }
}

struct Follower<'a> {
    client: &'a Client,
    id: &'a str,
    patience: Span,
    out: LogOut,
    /// Nothing but the log is wanted: it ends when nobody reads it.
    is_for_log: bool,
    /// There is a gateway, which may be away for a while.
    is_known: bool,
    /// The job had reached its end when it was last asked for.
    is_finished: bool,
}

impl<'a> Follower<'a> {
    fn new(client: &'a Client, id: &'a str, patience: &Patience) -> Self {
        Self {
            client,
            id,
            patience: patience.patience,
            out: LogOut::new(View::now().screen),
            is_for_log: false,
            is_known: false,
            is_finished: false,
        }
    }

    /// Until the job is finished; answers with it.
    async fn until_finished(&mut self) -> Result<Value, Failure> {
        loop {
            let job = self.attempts().await?;
            if !job["finished_at"].is_null() {
                return Ok(job);
            }
            aside("it has run; waiting until its alert resolves");
            let job = self.change_of("verifying").await?;
            if !job["finished_at"].is_null() {
                return Ok(job);
            }
        }
    }

    /// Until no attempt is under way or to come; answers with the job as it is then.
    async fn attempts(&mut self) -> Result<Value, Failure> {
        let mut next = last_attempt(&self.job().await?).max(1);
        loop {
            match self.attempt(next).await {
                Ok(()) => {}
                // Only if it was canceled before that attempt began.
                Err(failure) if failure.kind() == Kind::NotFound => {
                    let job = self.job().await?;
                    return if job["finished_at"].is_null() {
                        Err(failure)
                    } else {
                        Ok(job)
                    };
                }
                Err(failure) => return Err(failure),
            }
            let job = self.job().await?;
            let is_over = !job["finished_at"].is_null() || job["status"] == "verifying";
            if is_over || self.is_over() {
                return Ok(job);
            }
            aside(&format!("attempt {next} is over; waiting for the next one"));
            next += 1;
        }
    }

    /// Prints the log of one attempt until it is complete.
    async fn attempt(&mut self, number: u64) -> Result<(), Failure> {
        let path = ["api", "v1", "jobs", self.id, "log", "stream"];
        let url = self.client.address(&path, &[("attempt", number.to_string())]);
        let mut stream = self.stream(url).await?;
        let mut offset = 0;
        while !self.is_over() {
            match stream.next().await? {
                Next::Event(event) if event.name == "log" => offset = self.print(&event, number, offset).await?,
                Next::Event(event) if event.name == "end" => break,
                Next::Event(_) => {}
                Next::Lost(_) => aside(LOST),
                Next::Back => aside(BACK),
            }
        }
        self.out.end().map_err(|error| cannot_print(&error))
    }

    /// Prints a part of the log; answers with where it ends.
    async fn print(&mut self, event: &Event, attempt: u64, from: u64) -> Result<u64, Failure> {
        let text: Option<String> = serde_json::from_str(&event.data).ok();
        let to = event.id.as_deref().and_then(|id| id.parse::<u64>().ok());
        let (Some(text), Some(to)) = (text, to) else {
            return Err(Failure::new(Kind::Unreachable, "what the gateway sends is no log"));
        };
        // An event is text: what was none is asked for as it is.
        if text.contains(char::REPLACEMENT_CHARACTER) && from < to {
            let bytes = self.bytes(attempt, from, to).await?;
            self.out.write(&bytes).map_err(|error| cannot_print(&error))?;
        } else {
            self.out.write(text.as_bytes()).map_err(|error| cannot_print(&error))?;
        }
        Ok(to)
    }

    async fn bytes(&mut self, attempt: u64, from: u64, to: u64) -> Result<Vec<u8>, Failure> {
        let path = ["api", "v1", "jobs", self.id, "log"];
        let url = self.client.address(&path, &[("attempt", attempt.to_string())]);
        let mut headers = HeaderMap::new();
        if let Ok(range) = HeaderValue::from_str(&format!("bytes={from}-{}", to - 1)) {
            headers.insert(RANGE, range);
        }
        let client = self.client;
        let read = async || {
            let (response, asked) = client.open(url.clone(), headers.clone()).await?;
            response.bytes().await.map_err(|error| asked.unanswered(error))
        };
        Ok(self.patiently(read).await?.to_vec())
    }

    /// Waits until the job's status is another one; answers with the job.
    async fn change_of(&mut self, status: &str) -> Result<Value, Failure> {
        let url = self.client.address(&["api", "v1", "stream"], &[]);
        // Opened first, asked then: a change between the two is not missed.
        let mut stream = self.stream(url).await?;
        loop {
            let job = self.job().await?;
            if job["status"] != status {
                return Ok(job);
            }
            loop {
                match stream.next().await? {
                    Next::Event(event) if !event.data.contains(self.id) => {}
                    Next::Lost(_) => aside(LOST),
                    Next::Event(_) => break,
                    Next::Back => {
                        aside(BACK);
                        break;
                    }
                }
            }
        }
    }

    async fn job(&mut self) -> Result<Value, Failure> {
        let (client, id) = (self.client, self.id);
        let ask = async || client.get(&["api", "v1", "jobs", id], &[]).await;
        let job = self.patiently(ask).await?;
        self.is_finished = !job["finished_at"].is_null();
        Ok(job)
    }

    /// What to say at Ctrl-C.
    fn left(&self) -> Failure {
        let id = printable(self.id);
        let text = match self.is_finished {
            true => format!("\njob {id} is finished; `healgate logs {id}` prints all of its log"),
            false => {
                format!("\njob {id} goes on: `healgate logs {id} -f` shows how, `healgate jobs cancel {id}` stops it")
            }
        };
        Failure::new(Kind::Interrupted, text)
    }

    async fn stream(&mut self, url: Url) -> Result<Stream<'a>, Failure> {
        let (client, patience) = (self.client, self.patience.duration());
        self.patiently(async || Stream::open(client, url.clone(), Some(patience)).await)
            .await
    }

    /// Asks, and asks again where a gateway that was there is away.
    async fn patiently<T>(&mut self, ask: impl AsyncFn() -> Result<T, Failure>) -> Result<T, Failure> {
        let (since, mut is_lost) = (Instant::now(), false);
        loop {
            match ask().await {
                Err(failure)
                    if self.is_known
                        && failure.kind() == Kind::Unreachable
                        && since.elapsed() < self.patience.duration() =>
                {
                    if !is_lost {
                        aside(LOST);
                    }
                    is_lost = true;
                    sleep(AGAIN).await;
                }
                answered => {
                    if is_lost && answered.is_ok() {
                        aside(BACK);
                    }
                    self.is_known |= answered.is_ok();
                    return answered;
                }
            }
        }
    }

    fn is_over(&self) -> bool {
        self.is_for_log && self.out.is_gone()
    }
}

fn last_attempt(job: &Value) -> u64 {
    let attempts = job["attempts"].as_array();
    let last = attempts.and_then(|attempts| attempts.last());
    last.and_then(|last| last["number"].as_u64()).unwrap_or(0)
}

fn cannot_print(error: &std::io::Error) -> Failure {
    Failure::from(format!("failed to print the log: {error}"))
}
