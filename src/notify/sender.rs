//! One notifier, ready to send: whichever way it goes, a letter is taken or it is not, within limits of time.

use std::fmt;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;

use crate::config::{Channel, Notifier};
use crate::domain::timestamp::Timestamp;
use crate::notify::email::Mail;
use crate::notify::http::{HttpClient, Request};
use crate::notify::letter::Letter;
use crate::notify::text::line;
use crate::notify::{slack, webhook};

/// How long the other side may take for the status of its answer.
const PATIENCE: Duration = Duration::from_secs(20);

/// How long reading secrets, templates and certificates may take: they may be on disks that do not answer.
const PREPARING: Duration = Duration::from_secs(20);

/// How much of what the other side says is kept.
const ANSWER_CHARS: usize = 300;

/// Why a letter was not taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{why}")]
pub struct Unsent {
    /// A line for people; never has a secret in it.
    pub(super) why: String,
    /// What the other side asks us to wait.
    pub(super) wait: Option<Duration>,
}

impl Unsent {
    pub(super) fn new(why: impl fmt::Display) -> Self {
        Self {
            why: line(&why.to_string(), ANSWER_CHARS),
            wait: None,
        }
    }

    pub(super) fn by_mistake() -> Self {
        Self::new("a mistake in the program kept it from being sent")
    }
}

/// What became of a letter that was taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Taken {
    /// What the other side said.
    pub(super) said: String,
    /// Who did not get it, and why.
    pub(super) left_out: Option<String>,
}

impl Taken {
    pub(super) fn by_all(said: &str) -> Self {
        Self {
            said: line(said, ANSWER_CHARS),
            left_out: None,
        }
    }
}

impl fmt::Display for Taken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.left_out {
            None => write!(f, "{}", self.said),
            Some(left_out) => write!(f, "{}; but not by {left_out}", self.said),
        }
    }
}

/// A notifier with what it needs to reach its other side.
#[derive(Debug)]
pub struct Sender {
    notifier: Arc<Notifier>,
    http: HttpClient,
    hostname: Arc<str>,
    patience: Duration,
}

/// All that is needed has been read.
enum Prepared {
    Post(Request),
    Mail(Box<Mail>),
}

impl Sender {
    /// `hostname` is how this machine calls itself.
    pub fn new(notifier: Notifier, hostname: &str) -> Self {
        let ca_file = match &notifier.channel {
            Channel::Slack(slack) => slack.ca_file.clone(),
            Channel::Webhook(webhook) => webhook.ca_file.clone(),
            Channel::Email(_) => None,
        };
        Self {
            notifier: Arc::new(notifier),
            http: HttpClient::new(ca_file),
            hostname: hostname.into(),
            patience: PATIENCE,
        }
    }

    /// The same, with another limit of time for one answer.
    #[must_use]
    pub fn with_patience(self, patience: Duration) -> Self {
        Self { patience, ..self }
    }

    pub(super) fn notifier(&self) -> &Notifier {
        &self.notifier
    }

    /// Sends the letter once. Answers with what the other side said.
    pub async fn send(&self, letter: Letter, now: Timestamp) -> Result<String, Unsent> {
        self.try_once(letter, now).await.map(|taken| taken.to_string())
    }

    pub(super) async fn try_once(&self, letter: Letter, now: Timestamp) -> Result<Taken, Unsent> {
        // Other people's libraries on other people's texts: their mistakes must not end who calls them.
        let sending = AssertUnwindSafe(self.pass_on(letter, now)).catch_unwind();
        sending.await.unwrap_or_else(|_| Err(Unsent::by_mistake()))
    }

    async fn pass_on(&self, letter: Letter, now: Timestamp) -> Result<Taken, Unsent> {
        let (notifier, hostname) = (Arc::clone(&self.notifier), Arc::clone(&self.hostname));
        let preparing = tokio::task::spawn_blocking(move || prepare(&notifier, &hostname, &letter, now));
        let prepared = within(PREPARING, async { preparing.await.map_err(Unsent::new)? });
        match prepared.await? {
            Prepared::Post(request) => {
                let said = self.http.post(request, self.patience).await?;
                Ok(Taken::by_all(&said))
            }
            Prepared::Mail(mail) => mail.send().await,
        }
    }
}

/// What comes of it within the limit.
pub(super) async fn within<T>(limit: Duration, work: impl Future<Output = Result<T, Unsent>>) -> Result<T, Unsent> {
    let ended = tokio::time::timeout(limit, work).await;
    ended.unwrap_or_else(|_| Err(Unsent::new(format!("no answer within {limit:?}"))))
}

fn prepare(notifier: &Notifier, hostname: &str, letter: &Letter, now: Timestamp) -> Result<Prepared, Unsent> {
    let own = notifier.template.as_deref();
    match &notifier.channel {
        Channel::Slack(slack) => slack::request(slack, own, letter).map(Prepared::Post),
        Channel::Webhook(webhook) => webhook::request(webhook, own, letter, now).map(Prepared::Post),
        Channel::Email(email) => {
            let mail = Mail::prepare(email, own, letter, (hostname, now))?;
            Ok(Prepared::Mail(Box::new(mail)))
        }
    }
}
