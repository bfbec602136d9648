//! One notifier, ready to send: whichever way it goes, a letter is taken or it is not, within a limit of time.

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

/// How long one try may take.
const PATIENCE: Duration = Duration::from_secs(20);

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

    /// The same, with another limit of time for one try.
    #[must_use]
    pub fn with_patience(self, patience: Duration) -> Self {
        Self { patience, ..self }
    }

    pub(super) fn notifier(&self) -> &Notifier {
        &self.notifier
    }

    /// Sends the letter once. Answers with what the other side said.
    pub async fn send(&self, letter: Letter, now: Timestamp) -> Result<String, Unsent> {
        // Other people's libraries on other people's texts: their mistakes must not end who calls them.
        let sending = AssertUnwindSafe(self.pass_on(letter, now)).catch_unwind();
        match tokio::time::timeout(self.patience, sending).await {
            Ok(Ok(Ok(answer))) => Ok(line(&answer, ANSWER_CHARS)),
            Ok(Ok(Err(unsent))) => Err(unsent),
            Ok(Err(_)) => Err(Unsent::new("a mistake in the program kept it from being sent")),
            Err(_) => Err(Unsent::new(format!("no answer within {:?}", self.patience))),
        }
    }

    async fn pass_on(&self, letter: Letter, now: Timestamp) -> Result<String, Unsent> {
        let (notifier, hostname) = (Arc::clone(&self.notifier), Arc::clone(&self.hostname));
        // Files may be on disks that do not answer.
        let prepared = tokio::task::spawn_blocking(move || prepare(&notifier, &hostname, &letter, now));
        match prepared.await.map_err(Unsent::new)?? {
            Prepared::Post(request) => self.http.post(request).await,
            Prepared::Mail(mail) => mail.send().await,
        }
    }
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
