//! What the gateway says to an interpreter and to the host of a warm run, and what comes back. Waits for nobody longer
//! than it is told to.

use std::io::{self, IoSlice, Read, Write};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, sendmsg};
use serde::{Deserialize, Serialize};

use crate::domain::attempt::Start;

/// No message that is waited for is longer.
const LONGEST: usize = 64 << 10;

/// A run that an interpreter is asked to fork. One packet, with the host's end of the line.
#[derive(Debug, Serialize)]
pub(super) struct Request<'a> {
    /// The binary that has `run-host`.
    pub(super) host: &'a str,
    pub(super) ticket: &'a str,
    pub(super) dir: &'a str,
}

/// What a play in waiting is to become. One line, with the pipe for its output.
#[derive(Debug, Serialize)]
pub(in crate::ansible) struct Wanted<'a> {
    pub(in crate::ansible) argv: &'a [String],
    pub(in crate::ansible) env: &'a crate::ansible::command::Environment,
    pub(in crate::ansible) cwd: &'a std::path::Path,
}

/// The one message that the line carries.
#[derive(Debug, Default, Deserialize, Serialize)]
struct Message {
    #[serde(flatten)]
    start: Option<Start>,
    /// The host's pid.
    #[serde(skip_serializing_if = "Option::is_none")]
    host: Option<u32>,
    /// Why there is no host, or no play.
    #[serde(skip_serializing_if = "Option::is_none")]
    refused: Option<String>,
    #[serde(default, skip_serializing)]
    ready: bool,
}

/// The gateway's end of its line to a warm run's host.
#[derive(Debug)]
pub(in crate::ansible) struct Line {
    stream: UnixStream,
    host: Option<u32>,
}

/// What was heard on a line.
#[derive(Debug)]
pub(super) enum Heard {
    Start(Start),
    Refused(String),
    /// Whoever had the other end is gone.
    End,
    Nothing,
}

/// What a play in waiting answered.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::ansible) enum Answer {
    Ready,
    Refused(String),
    End,
    Nothing,
}

impl Line {
    pub(super) fn new(stream: UnixStream) -> Self {
        Self { stream, host: None }
    }

    /// Waits for the message.
    pub(super) fn first(&mut self, patience: Duration) -> Heard {
        match read_message(&mut self.stream, patience) {
            Ok(Some(message)) => {
                self.host = message.host;
                match (message.start, message.refused) {
                    (Some(start), _) => Heard::Start(start),
                    (None, Some(because)) => Heard::Refused(because),
                    (None, None) => Heard::Nothing,
                }
            }
            Ok(None) => Heard::End,
            Err(_) => Heard::Nothing,
        }
    }

    /// The host's pid, if it has told.
    pub(in crate::ansible) fn host(&self) -> Option<u32> {
        self.host
    }

    /// What is at its end when the host is gone.
    pub(in crate::ansible) fn into_stream(self) -> UnixStream {
        self.stream
    }
}

/// Tells the gateway how the run starts. It may be gone.
pub(in crate::ansible) fn tell_start(mut line: &UnixStream, start: &Start) {
    let message = Message {
        start: Some(start.clone()),
        host: Some(std::process::id()),
        ..Message::default()
    };
    if let Ok(text) = serde_json::to_string(&message) {
        // Nobody may keep a run waiting; an empty socket takes it at once.
        let _ = line.set_nonblocking(true);
        let _ = line.write_all(format!("{text}\n").as_bytes());
    }
}

/// What the play in waiting says to what it is to become.
pub(in crate::ansible) fn answer(link: &mut UnixStream, patience: Duration) -> Answer {
    match read_message(link, patience) {
        Ok(Some(Message { ready: true, .. })) => Answer::Ready,
        Ok(Some(Message {
            refused: Some(because), ..
        })) => Answer::Refused(because),
        Ok(Some(_)) | Err(_) => Answer::Nothing,
        Ok(None) => Answer::End,
    }
}

/// One line of JSON; nothing if the other end is closed before it is complete.
fn read_message(stream: &mut UnixStream, patience: Duration) -> io::Result<Option<Message>> {
    let give_up = Instant::now() + patience;
    let (mut text, mut byte) = (Vec::new(), [0]);
    // Byte by byte: what may follow is not ours.
    while text.len() < LONGEST {
        let left = give_up.saturating_duration_since(Instant::now());
        stream.set_read_timeout(Some(left.max(Duration::from_millis(1))))?;
        match stream.read(&mut byte) {
            Ok(0) => return Ok(None),
            Ok(_) if byte == *b"\n" => return Ok(Some(serde_json::from_slice(&text)?)),
            Ok(_) => text.extend(byte),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            // A signal of a host that is killed resets nothing; only a socket with unread bytes says so.
            Err(error) if error.kind() == io::ErrorKind::ConnectionReset => return Ok(None),
            Err(error) => return Err(error),
        }
    }
    Err(io::Error::other("a line without an end"))
}

/// Sends the bytes with one descriptor attached to the first of them. Answers with how many bytes went along.
pub(in crate::ansible) fn send_with(socket: impl AsFd, bytes: &[u8], fd: BorrowedFd<'_>) -> io::Result<usize> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let fds = [fd];
    let mut rights = SendAncillaryBuffer::new(&mut space);
    if !rights.push(SendAncillaryMessage::ScmRights(&fds)) {
        return Err(io::Error::other("no room for a descriptor"));
    }
    Ok(sendmsg(
        socket,
        &[IoSlice::new(bytes)],
        &mut rights,
        SendFlags::NOSIGNAL,
    )?)
}

/// The same for a line of JSON on a stream.
pub(in crate::ansible) fn send_line(stream: &mut UnixStream, message: &impl Serialize, fd: &OwnedFd) -> io::Result<()> {
    let mut text = serde_json::to_vec(message)?;
    text.push(b'\n');
    let sent = send_with(&*stream, &text, fd.as_fd())?;
    stream.write_all(&text[sent..])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn heard(text: &str) -> Heard {
        let (ours, mut theirs) = UnixStream::pair().unwrap();
        theirs.write_all(text.as_bytes()).unwrap();
        drop(theirs);
        Line::new(ours).first(Duration::from_secs(1))
    }

    #[test]
    fn a_host_tells_how_its_run_starts() {
        assert!(matches!(
            heard("{\"warm\": true, \"host\": 7}\n"),
            Heard::Start(Start::Warm)
        ));
        let Heard::Start(Start::Cold { because }) = heard("{\"warm\": false, \"cold_because\": \"why\"}\n") else {
            panic!("not cold")
        };
        assert_eq!(because, "why");
        assert!(matches!(heard("{\"refused\": \"no\"}\n"), Heard::Refused(because) if because == "no"));
        assert!(matches!(heard("{\"warm\": tr"), Heard::End));
        assert!(matches!(heard("what?\n"), Heard::Nothing));
    }

    #[test]
    fn what_is_told_is_heard() {
        for start in [Start::Warm, Start::Cold { because: "why".into() }] {
            let (ours, theirs) = UnixStream::pair().unwrap();
            tell_start(&theirs, &start);
            let mut line = Line::new(ours);
            assert!(matches!(line.first(Duration::from_secs(1)), Heard::Start(told) if told == start));
            assert_eq!(line.host(), Some(std::process::id()));
        }
    }

    #[test]
    fn silence_is_not_waited_for_longer_than_said() {
        let (ours, _theirs) = UnixStream::pair().unwrap();
        let begun = Instant::now();
        assert!(matches!(
            Line::new(ours).first(Duration::from_millis(30)),
            Heard::Nothing
        ));
        assert!(begun.elapsed() < Duration::from_secs(5));
    }

    #[test]
    fn a_play_answers_that_it_is_ready_or_why_not() {
        let answered = |text: &str| {
            let (mut ours, mut theirs) = UnixStream::pair().unwrap();
            theirs.write_all(text.as_bytes()).unwrap();
            drop(theirs);
            answer(&mut ours, Duration::from_secs(1))
        };
        assert_eq!(answered("{\"ready\": true}\n"), Answer::Ready);
        assert_eq!(answered("{\"refused\": \"no\"}\n"), Answer::Refused("no".into()));
        assert_eq!(answered(""), Answer::End);
        assert_eq!(answered("{}\n"), Answer::Nothing);
    }
}
