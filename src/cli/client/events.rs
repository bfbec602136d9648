//! Server-sent events, as they come, over connections that break. Knows nothing of what they say.

use std::time::{Duration, Instant};

use reqwest::header::{ACCEPT, HeaderMap, HeaderName, HeaderValue};
use reqwest::{Response, Url};

use crate::cli::client::Client;
use crate::cli::client::answer::Asked;
use crate::cli::failure::{Failure, Kind};

const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");

/// Larger than any event of a gateway: what goes on longer is something else.
const LARGEST: usize = 8 << 20;

/// How long to wait before the next try, which is longer each time.
const WAITS: [Duration; 5] = [
    Duration::from_millis(200),
    Duration::from_millis(500),
    Duration::from_secs(1),
    Duration::from_secs(2),
    Duration::from_secs(5),
];

/// One event.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::cli) struct Event {
    pub(in crate::cli) name: String,
    pub(in crate::cli) id: Option<String>,
    pub(in crate::cli) data: String,
}

/// What a stream has to tell next.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::cli) enum Next {
    Event(Event),
    /// The connection broke; it is made anew.
    Lost(String),
    /// It is there again: something may have happened meanwhile.
    Back,
}

/// A stream that goes on after the last event whenever its connection breaks.
#[derive(Debug)]
pub(in crate::cli) struct Stream<'a> {
    client: &'a Client,
    url: Url,
    /// How long to try before it is given up.
    patience: Option<Duration>,
    last_id: Option<String>,
    open: Option<Open>,
    /// Since when nothing came, and how often it was tried since.
    lost: Option<(Instant, usize)>,
}

impl<'a> Stream<'a> {
    /// Opens it. `patience` is how long a lost connection is tried again: for ever without one.
    pub(in crate::cli) async fn open(
        client: &'a Client,
        url: Url,
        patience: Option<Duration>,
    ) -> Result<Self, Failure> {
        let mut stream = Self {
            client,
            url,
            patience,
            last_id: None,
            open: None,
            lost: None,
        };
        stream.open = Some(stream.connect().await?);
        Ok(stream)
    }

    /// What comes next. An error says that there will be no more.
    pub(in crate::cli) async fn next(&mut self) -> Result<Next, Failure> {
        if let Some(open) = &mut self.open {
            return match open.next().await {
                Ok(event) => {
                    if event.id.is_some() {
                        self.last_id.clone_from(&event.id);
                    }
                    Ok(Next::Event(event))
                }
                Err(why) => {
                    let was_heard = open.was_heard;
                    self.open = None;
                    match self.lost {
                        // Who lets everybody in and says nothing is as good as away.
                        Some((since, _)) if !was_heard && self.gave_up(since) => {
                            return Err(Failure::new(Kind::Unreachable, why));
                        }
                        Some(_) if !was_heard => {}
                        Some(_) | None => self.lost = Some((Instant::now(), 0)),
                    }
                    Ok(Next::Lost(why))
                }
            };
        }
        loop {
            let (since, tries) = self.lost.unwrap_or((Instant::now(), 0));
            tokio::time::sleep(WAITS[tries.min(WAITS.len() - 1)]).await;
            self.lost = Some((since, tries + 1));
            match self.connect().await {
                Ok(open) => {
                    self.open = Some(open);
                    return Ok(Next::Back);
                }
                Err(failure) if failure.kind() != Kind::Unreachable => return Err(failure),
                Err(failure) if self.gave_up(since) => return Err(failure),
                Err(_) => {}
            }
        }
    }

    fn gave_up(&self, since: Instant) -> bool {
        self.patience.is_some_and(|patience| since.elapsed() >= patience)
    }

    async fn connect(&self) -> Result<Open, Failure> {
        let mut headers = HeaderMap::new();
        headers.insert(ACCEPT, HeaderValue::from_static("text/event-stream"));
        if let Some(id) = self.last_id.as_deref().and_then(|id| HeaderValue::from_str(id).ok()) {
            headers.insert(LAST_EVENT_ID, id);
        }
        let (response, asked) = self.client.open(self.url.clone(), headers).await?;
        Ok(Open {
            response,
            asked,
            reader: Reader::default(),
            was_heard: false,
        })
    }
}

/// One connection.
#[derive(Debug)]
struct Open {
    response: Response,
    asked: Asked,
    reader: Reader,
    /// Anything came, if only a comment.
    was_heard: bool,
}

impl Open {
    /// The next event, or why there is none any more.
    async fn next(&mut self) -> Result<Event, String> {
        loop {
            if let Some(event) = self.reader.event() {
                return Ok(event);
            }
            match self.response.chunk().await {
                Ok(Some(bytes)) => {
                    self.was_heard = true;
                    self.reader.take(&bytes)?;
                }
                Ok(None) => return Err("the gateway closed the connection".to_owned()),
                Err(error) => return Err(self.asked.unanswered(error).to_string()),
            }
        }
    }
}

/// Finds events in bytes that come in pieces: blocks of lines with an empty line after each.
#[derive(Debug, Default)]
struct Reader {
    bytes: Vec<u8>,
    /// Where no end of a block is before.
    searched: usize,
}

impl Reader {
    fn take(&mut self, bytes: &[u8]) -> Result<(), String> {
        self.bytes.extend_from_slice(bytes);
        match self.bytes.len() > LARGEST {
            true => Err("what comes are no events".to_owned()),
            false => Ok(()),
        }
    }

    fn event(&mut self) -> Option<Event> {
        loop {
            let rest = &self.bytes[self.searched..];
            let Some(end) = rest.windows(2).position(|pair| pair == b"\n\n") else {
                self.searched = self.bytes.len().saturating_sub(1);
                return None;
            };
            let block: Vec<u8> = self.bytes.drain(..self.searched + end + 2).collect();
            self.searched = 0;
            if let Some(event) = parse(&String::from_utf8_lossy(&block)) {
                return Some(event);
            }
        }
    }
}

/// An event, unless the block is a comment.
fn parse(block: &str) -> Option<Event> {
    let (mut event, mut data) = (Event::default(), Vec::new());
    for line in block.lines() {
        let (field, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "event" => value.clone_into(&mut event.name),
            "id" => event.id = Some(value.to_owned()),
            "data" => data.push(value),
            _ => {}
        }
    }
    event.data = data.join("\n");
    (!data.is_empty()).then_some(event)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_found_however_the_bytes_are_cut() {
        let bytes =
            "event: log\nid: 7\ndata: \"é\"\n\n: keep-alive\n\ndata: a\ndata: b\n\nevent: end\ndata: {".as_bytes();
        for size in 1..bytes.len() {
            let (mut reader, mut events) = (Reader::default(), Vec::new());
            for piece in bytes.chunks(size) {
                reader.take(piece).unwrap();
                events.extend(std::iter::from_fn(|| reader.event()));
            }
            let event = |name: &str, id: Option<&str>, data: &str| Event {
                name: name.to_owned(),
                id: id.map(str::to_owned),
                data: data.to_owned(),
            };
            let expected = [event("log", Some("7"), "\"é\""), event("", None, "a\nb")];
            assert_eq!(events, expected, "in pieces of {size}");
        }
    }

    #[test]
    fn what_never_ends_is_not_kept() {
        let mut reader = Reader::default();
        assert!(reader.take(&vec![b'x'; LARGEST]).is_ok());
        assert_eq!(reader.event(), None);
        assert!(reader.take(b"x").is_err());
    }
}
