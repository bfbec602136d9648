//! Shows what a gateway answered: once, or anew whenever jobs change. Asks for nothing but the stream of changes.

use std::io::Write;
use std::time::Duration;

use serde_json::Value;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep_until};

use crate::cli::client::Client;
use crate::cli::client::events::{Next, Stream};
use crate::cli::failure::{Failure, Kind};
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
pub(super) fn once(format: Format, answer: &Value, render: impl Fn(&Value, View) -> String) {
    say::line(&match format.output {
        Output::Table => render(answer, View::now()).trim_end().to_owned(),
        Output::Json => json(answer, true),
    });
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
            once(self.how.format, &(self.ask)().await?, &self.render);
            return Ok(());
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
        let mut stream = Stream::open(self.client, url, None).await?;
        let mut ages = interval(AGES);
        ages.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut picture = Picture::new(self.how.format.output, self.client);
        let (mut answer, mut due) = (Value::Null, Some(Instant::now()));
        loop {
            tokio::select! {
                () = until(due) => {
                    due = None;
                    match (self.ask)().await {
                        Ok(new) => (answer, picture.lost) = (new, None),
                        Err(failure) if failure.kind() == Kind::Unreachable => {
                            picture.lost = Some(failure.to_string());
                            due = Some(Instant::now() + AGAIN);
                        }
                        Err(failure) => return Err(failure),
                    }
                    picture.draw(&answer, &self.render);
                    if (self.is_over)(&answer) {
                        return Ok(());
                    }
                }
                next = stream.next() => match next? {
                    Next::Event(_) => due = due.or(Some(Instant::now() + TOGETHER)),
                    Next::Back => {
                        picture.lost = None;
                        due = Some(Instant::now());
                    }
                    Next::Lost(why) => {
                        picture.lost = Some(why);
                        picture.draw(&answer, &self.render);
                    }
                },
                _ = ages.tick() => picture.redraw(&answer, &self.render),
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
    lost: Option<String>,
    last: String,
}

impl Picture {
    fn new(output: Output, client: &Client) -> Self {
        Self {
            output,
            screen: View::now().screen,
            of: client.url().to_string(),
            lost: None,
            last: String::new(),
        }
    }

    /// Shows it anew: in the place of what is there on a terminal, below it elsewhere, where only changes are shown.
    fn draw(&mut self, answer: &Value, render: &impl Fn(&Value, View) -> String) {
        if answer.is_null() {
            return;
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
        if self.last != text {
            say::line(&text);
            self.last = text;
        }
    }

    /// The same where nothing has changed but the time.
    fn redraw(&mut self, answer: &Value, render: &impl Fn(&Value, View) -> String) {
        if self.output == Output::Table && self.screen.is_terminal() {
            self.draw(answer, render);
        }
    }

    /// From the top of an empty screen, cut to what it holds.
    fn framed(&self, text: &str) -> String {
        let room = usize::from(self.screen.height().unwrap_or(24)).saturating_sub(3);
        let lines: Vec<&str> = text.lines().collect();
        let mut framed = String::from("\u{1b}[H\u{1b}[2J");
        for line in lines.iter().take(room) {
            framed.push_str(line);
            framed.push('\n');
        }
        if lines.len() > room {
            framed.push_str(&format!("… and {} lines more\n", lines.len() - room));
        }
        let state = match &self.lost {
            Some(_) => {
                let (begin, end) = (self.screen.begin(Hue::Bad), self.screen.end());
                format!("{begin}connection lost{end}; trying again")
            }
            None => "live".to_owned(),
        };
        framed.push_str(&format!("— {} · {state} · Ctrl-C ends this", self.of));
        framed
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
    fn json_says_the_same_and_leaves_the_terminal_alone() {
        let value = serde_json::json!({ "a": "\u{9b}31m \u{202e} \u{e0041} é\n" });
        let text = json(&value, false);
        assert!(text.chars().all(is_harmless), "{text:?}");
        assert_eq!(serde_json::from_str::<Value>(&text).unwrap(), value);
        assert_eq!(json(&serde_json::json!([1]), true), "[\n  1\n]");
    }
}
