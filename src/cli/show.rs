//! Shows what a gateway answered: once, or anew whenever jobs change. Asks for nothing but the stream of changes.

use std::io::Write;
use std::pin::pin;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::unfold;
use serde_json::Value;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep_until};

use crate::cli::client::Client;
use crate::cli::client::events::{Next, Stream};
use crate::cli::failure::{Failure, Kind};
use crate::cli::say::Reader;
use crate::cli::table::{Output, is_harmless};
use crate::cli::terminal::{Hue, Screen};
use crate::cli::{environment, say};
use crate::clock::{Clock, SystemClock};
use crate::domain::timestamp::Timestamp;

/// Changes that come within this are shown together.
const TOGETHER: Duration = Duration::from_millis(500);

/// What could not be asked is asked again after this.
const AGAIN: Duration = Duration::from_secs(2);

/// Ages grow also where nothing happens.
const AGES: Duration = Duration::from_secs(10);

/// How to print what came back.
#[derive(Clone, Copy, Debug, clap::Args)]
pub(super) struct Format {
    /// How to print it
    #[arg(long, value_enum, default_value_t = Output::Table)]
    pub(super) output: Output,
}

/// The same for what can be watched.
#[derive(Clone, Copy, Debug, clap::Args)]
pub(super) struct Watched {
    #[command(flatten)]
    pub(super) format: Format,
    /// Show it anew whenever something changes, until Ctrl-C
    #[arg(short, long)]
    watch: bool,
}

/// For whom and when something is shown.
#[derive(Clone, Copy, Debug)]
pub(super) struct View {
    pub(super) screen: Screen,
    pub(super) now: Timestamp,
}

impl View {
    /// For standard output, now.
    pub(super) fn now() -> Self {
        Self {
            screen: Screen::of(&environment()),
            now: SystemClock.now(),
        }
    }
}

/// Prints an answer once.
pub(super) fn once(format: Format, answer: &Value, render: impl Fn(&Value, View) -> String) -> Result<(), Failure> {
    let text = match format.output {
        Output::Table => render(answer, View::now()).trim_end().to_owned(),
        Output::Json => json(answer, true),
    };
    say::line(&text).map(drop)
}

/// JSON with everything written out that could play with a terminal; it says the same.
pub(super) fn json(value: &Value, pretty: bool) -> String {
    let text = if pretty {
        format!("{value:#}")
    } else {
        value.to_string()
    };
    let mut safe = String::with_capacity(text.len());
    for character in text.chars() {
        if character == '\n' || is_harmless(character) {
            safe.push(character);
            continue;
        }
        for unit in character.encode_utf16(&mut [0; 2]) {
            safe.push_str(&format!("\\u{unit:04x}"));
        }
    }
    safe
}

/// What is watched.
pub(super) struct Watching<'a, Ask, Render, Over> {
    pub(super) client: &'a Client,
    pub(super) how: Watched,
    /// Asks for it.
    pub(super) ask: Ask,
    pub(super) render: Render,
    /// Whether nothing of it will change any more.
    pub(super) is_over: Over,
}

impl<Ask, Render, Over> Watching<'_, Ask, Render, Over>
where
    Ask: AsyncFn() -> Result<Value, Failure>,
    Render: Fn(&Value, View) -> String,
    Over: Fn(&Value) -> bool,
{
    /// Shows it, once or until it is over.
    pub(super) async fn show(self) -> Result<(), Failure> {
        if !self.how.watch {
            return once(self.how.format, &(self.ask)().await?, &self.render);
        }
        tokio::select! {
            watched = self.watch() => watched,
            // People end it so: that is no failure.
            _ = tokio::signal::ctrl_c() => Ok(()),
        }
    }

    async fn watch(&self) -> Result<(), Failure> {
        // Opened first, asked then: a change between the two is not missed.
        let url = self.client.address(&["api", "v1", "stream"], &[]);
        let stream = Stream::open(self.client, url, None).await?;
        // As a stream, what comes next goes on being waited for, whatever else happens meanwhile.
        let mut changes = pin!(unfold(stream, async |mut stream| Some((stream.next().await, stream))));
        let mut ages = interval(AGES);
        ages.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut picture = Picture::new(self.how.format.output, self.client);
        let (mut answer, mut due) = (Value::Null, Some(Instant::now()));
        loop {
            tokio::select! {
                () = until(due) => {
                    due = None;
                    match (self.ask)().await {
                        Ok(new) => (answer, picture.is_stale) = (new, false),
                        Err(failure) if failure.kind() == Kind::Unreachable => {
                            picture.is_stale = true;
                            due = Some(Instant::now() + AGAIN);
                        }
                        Err(failure) => return Err(failure),
                    }
                    if picture.draw(&answer, &self.render)? == Reader::Gone || (self.is_over)(&answer) {
                        return Ok(());
                    }
                }
                Some(next) = changes.next() => match next? {
                    Next::Event(_) => due = due.or(Some(Instant::now() + TOGETHER)),
                    Next::Back => {
                        picture.is_deaf = false;
                        due = Some(Instant::now());
                    }
                    Next::Lost(_) => {
                        picture.is_deaf = true;
                        picture.redraw(&answer, &self.render)?;
                    }
                },
                _ = ages.tick() => if picture.redraw(&answer, &self.render)? == Reader::Gone {
                    return Ok(());
                },
            }
        }
    }
}

async fn until(due: Option<Instant>) {
    match due {
        Some(due) => sleep_until(due).await,
        None => std::future::pending().await,
    }
}

/// What is on the screen.
struct Picture {
    output: Output,
    screen: Screen,
    of: String,
    /// Nobody says when something changes.
    is_deaf: bool,
    /// What is there now could not be asked.
    is_stale: bool,
    last: String,
}

impl Picture {
    fn new(output: Output, client: &Client) -> Self {
        Self {
            output,
            screen: View::now().screen,
            of: client.url().to_string(),
            is_deaf: false,
            is_stale: false,
            last: String::new(),
        }
    }

    /// Shows it anew: in the place of what is there on a terminal, below it elsewhere, where only changes are shown.
    fn draw(&mut self, answer: &Value, render: &impl Fn(&Value, View) -> String) -> Result<Reader, Failure> {
        if answer.is_null() {
            return Ok(Reader::There);
        }
        let view = View::now();
        let text = match self.output {
            Output::Json => json(answer, false),
            Output::Table => render(answer, view).trim_end().to_owned(),
        };
        if self.output == Output::Table && self.screen.is_terminal() {
            self.screen = view.screen;
            return say::line(&self.framed(&text));
        }
        if self.last == text {
            return Ok(Reader::There);
        }
        let reader = say::line(&text)?;
        self.last = text;
        Ok(reader)
    }

    /// The same where nothing has changed but the time, or the connection.
    fn redraw(&mut self, answer: &Value, render: &impl Fn(&Value, View) -> String) -> Result<Reader, Failure> {
        match self.output == Output::Table && self.screen.is_terminal() {
            true => self.draw(answer, render),
            false => Ok(say::reader()),
        }
    }

    /// From the top of an empty screen, cut to what it holds.
    fn framed(&self, text: &str) -> String {
        let state = match self.is_deaf || self.is_stale {
            true => {
                let (begin, end) = (self.screen.begin(Hue::Bad), self.screen.end());
                format!("{begin}connection lost{end}; trying again")
            }
            false => "live".to_owned(),
        };
        let last = format!("— {} · {state} · Ctrl-C ends this", self.of);
        // Below it are the last line, the one that says how much is cut off, and the cursor's.
        let mut room = usize::from(self.screen.height().unwrap_or(24)).saturating_sub(self.screen.rows(&last) + 2);
        let mut framed = String::from("\u{1b}[H\u{1b}[2J");
        let mut lines = text.lines().peekable();
        while let Some(line) = lines.next_if(|line| self.screen.rows(line) <= room) {
            room -= self.screen.rows(line);
            framed.push_str(line);
            framed.push('\n');
        }
        match lines.count() {
            0 => {}
            1 => framed.push_str("… and 1 line more\n"),
            more => framed.push_str(&format!("… and {more} lines more\n")),
        }
        framed + &last
    }
}

/// Says something beside what a command prints, for people.
pub(super) fn aside(text: &str) {
    let _ = writeln!(std::io::stderr().lock(), "{text}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_is_never_higher_than_the_terminal_though_lines_are_folded() {
        let picture = Picture {
            output: Output::Table,
            screen: Screen::terminal(40, true),
            of: "http://gate".to_owned(),
            is_deaf: false,
            is_stale: true,
            last: String::new(),
        };
        // Three rows each: colours take no room, and wide characters take two columns.
        let long = format!("\u{1b}[31m{}\u{1b}[0m{}", "x".repeat(41), "日".repeat(20));
        let frame = picture.framed(&[long.as_str(); 9].join("\n"));
        let rows: usize = frame.lines().map(|line| picture.screen.rows(line)).sum();
        assert_eq!(rows, 18 + 1 + 2, "{frame}");
        assert!(
            frame.contains("\n… and 3 lines more\n— http://gate · \u{1b}[31mconnection lost"),
            "{frame}"
        );
        assert!(picture.framed("short").starts_with("\u{1b}[H\u{1b}[2Jshort\n— "));
    }

    #[test]
    fn json_says_the_same_and_leaves_the_terminal_alone() {
        let value = serde_json::json!({ "a": "\u{9b}31m \u{202e} \u{e0041} é\n" });
        let text = json(&value, false);
        assert!(text.chars().all(is_harmless), "{text:?}");
        assert_eq!(serde_json::from_str::<Value>(&text).unwrap(), value);
        assert_eq!(json(&serde_json::json!([1]), true), "[\n  1\n]");
    }
}
