//! Messages to people: put into the outbox by the change that causes them, taken out by who sends them.

use rusqlite::params;

use crate::domain::ids::JobId;
use crate::domain::job::{JobStatus, Reason};
use crate::domain::notify::{About, Announcement, Message, MessageId, NotifyEvent, Sending};
use crate::domain::timestamp::Timestamp;
use crate::store::StoreError;
use crate::store::sqlite::connection::{Connection, Row};
use crate::store::sqlite::insert::note;
use crate::store::sqlite::rows::{count, ids, parsed_option, time, to_json, word};
use crate::store::sqlite::writer::{Scope, Write};

/// Of several events that would do, the first one that the job's route asks for.
const TELL: &str = "
    -- tell
    INSERT INTO outbox (job, event, notifier, created_at, due_at)
    SELECT telling.id, telling.event, recipient.value, ?3, ?3
    FROM   (SELECT jobs.id, jobs.notify,
                   (SELECT asked.value
                    FROM   json_each(?2) AS candidate
                    JOIN   json_each(jobs.notify, '$.events') AS asked ON asked.value = candidate.value
                    ORDER  BY candidate.key
                    LIMIT  1) AS event
            FROM   json_each(?1) AS wanted
            JOIN   jobs ON jobs.id = wanted.value
            WHERE  jobs.notify IS NOT NULL) AS telling
    JOIN   json_each(telling.notify, '$.to') AS recipient
    WHERE  telling.event IS NOT NULL
    ON CONFLICT DO NOTHING";

const ANNOUNCE: &str = "
    -- announce
    INSERT INTO outbox (key, title, text, event, notifier, created_at, due_at)
    SELECT ?2, ?3, ?4, ?5, recipient.value, ?6, ?6
    FROM   json_each(?1) AS recipient
    WHERE  true
    ON CONFLICT DO NOTHING";

const NEXT_MESSAGE: &str = "
    -- next_message
    SELECT id, job, title, text, event, notifier, created_at, due_at, tries
    FROM   outbox INDEXED BY outbox_due
    WHERE  state = 'pending' AND notifier = ?1
    ORDER  BY due_at, id
    LIMIT  1";

const MESSAGE_SENT: &str = "
    -- message_sent
    UPDATE outbox SET state = 'sent', settled_at = ?2 WHERE id = ?1 AND state = 'pending'";

const MESSAGE_POSTPONED: &str = "
    -- message_postponed
    UPDATE outbox SET tries = tries + 1, last_error = ?2, due_at = ?3 WHERE id = ?1 AND state = 'pending'";

const MESSAGE_FAILED: &str = "
    -- message_failed
    UPDATE outbox
    SET    tries = tries + 1, last_error = ?2, state = 'failed', settled_at = ?3
    WHERE  id = ?1 AND state = 'pending'";

/// The name that follows another one: names are few, messages may be many.
const NEXT_NOTIFIER: &str = "
    -- next_notifier
    SELECT MIN(notifier) FROM outbox INDEXED BY outbox_due WHERE state = 'pending' AND notifier > ?1";

const DROP_MESSAGES: &str = "
    -- drop_messages
    UPDATE outbox INDEXED BY outbox_due
    SET    state = 'dropped', settled_at = ?2, last_error = ?3
    WHERE  state = 'pending' AND notifier = ?1
    RETURNING job, event";

/// Tells that these jobs have ended so, if their routes want that told.
pub(super) fn tell_end(
    scope: &mut Scope<'_>,
    jobs: &[JobId],
    (status, reason): (JobStatus, Reason),
    at: Timestamp,
) -> Result<(), StoreError> {
    tell(scope, jobs, NotifyEvent::of_ending(status, reason), at)
}

/// Puts messages into the outbox, for each job as the first of these events that its route wants told. What was told
/// of a job is not told again.
pub(super) fn tell(
    scope: &mut Scope<'_>,
    jobs: &[JobId],
    events: &[NotifyEvent],
    at: Timestamp,
) -> Result<(), StoreError> {
    if jobs.is_empty() || events.is_empty() {
        return Ok(());
    }
    let told = scope.execute(TELL, params![ids(jobs)?, to_json(events)?, at.as_micros()])?;
    if told > 0 {
        scope.told();
    }
    Ok(())
}

/// Puts a message into the outbox that is about no single job.
pub(super) fn announce(scope: &mut Scope<'_>, announcement: &Announcement, at: Timestamp) -> Result<(), StoreError> {
    let told = scope.execute(
        ANNOUNCE,
        params![
            to_json(&announcement.to)?,
            &announcement.key,
            &announcement.title,
            &announcement.text,
            announcement.event.as_str(),
            at.as_micros()
        ],
    )?;
    if told > 0 {
        scope.told();
    }
    Ok(())
}

/// The command.
pub(super) struct Announce {
    pub(super) announcement: Announcement,
    pub(super) now: Timestamp,
}

impl Write for Announce {
    type Output = ();

    fn apply(self, scope: &mut Scope<'_>) -> Result<(), StoreError> {
        announce(scope, &self.announcement, self.now)
    }
}

/// Notes what came of trying to send a message.
pub(super) struct Tried {
    pub(super) message: Message,
    pub(super) sending: Sending,
    pub(super) now: Timestamp,
}

impl Write for Tried {
    type Output = ();

    fn apply(self, scope: &mut Scope<'_>) -> Result<(), StoreError> {
        let id = self.message.id.0;
        let done = match &self.sending {
            Sending::Sent | Sending::SentInPart { .. } => {
                scope.execute(MESSAGE_SENT, params![id, self.now.as_micros()])?
            }
            Sending::Failed { error, again_at } => {
                let (sql, at) = again_at.map_or((MESSAGE_FAILED, self.now), |at| (MESSAGE_POSTPONED, at));
                scope.execute(sql, params![id, error, at.as_micros()])?
            }
        };
        if done == 0 {
            return Err(StoreError::Conflict(format!("the message {id} does not wait any more")));
        }
        match (&self.message.about, self.entry()) {
            (About::Job(job), Some((event, what))) => in_history(scope, *job, self.now, (event, &what)),
            (About::Job(_) | About::Gateway { .. }, _) => Ok(()),
        }
    }
}

impl Tried {
    /// For the job's history: of all the tries, the first and the last are worth an entry.
    fn entry(&self) -> Option<(&'static str, String)> {
        let Message {
            notifier, event, tries, ..
        } = &self.message;
        let what = format!("{notifier}: {}", event.as_str());
        match &self.sending {
            Sending::Sent => Some(("notified", format!("notified {what}"))),
            Sending::SentInPart { left_out } => Some(("notified", format!("notified {what}; but not {left_out}"))),
            Sending::Failed { error, again_at: None } => {
                let tries = tries + 1;
                let message = format!("could not notify {what}; gave up after {tries} tries: {error}");
                Some(("not_notified", message))
            }
            Sending::Failed {
                error,
                again_at: Some(_),
            } => {
                let message = format!("could not notify {what}; trying again: {error}");
                (*tries == 0).then_some(("not_notified", message))
            }
        }
    }
}

/// Gives up the messages of a notifier.
pub(super) struct DropMessages {
    pub(super) notifier: String,
    pub(super) why: String,
    pub(super) now: Timestamp,
}

impl Write for DropMessages {
    type Output = Vec<String>;

    fn apply(self, scope: &mut Scope<'_>) -> Result<Vec<String>, StoreError> {
        let Self { notifier, why, now } = self;
        let rows = scope
            .connection
            .all(DROP_MESSAGES, params![&notifier, now.as_micros(), &why])?;
        let mut events = Vec::with_capacity(rows.len());
        for row in &rows {
            let event: String = row.get("event")?;
            if let Some(job) = parsed_option::<JobId>(row, "job")? {
                let message = format!("could not notify {notifier}: {event}: {why}");
                in_history(scope, job, now, ("not_notified", &message))?;
            }
            events.push(event);
        }
        Ok(events)
    }
}

fn in_history(
    scope: &mut Scope<'_>,
    job: JobId,
    at: Timestamp,
    (event, message): (&str, &str),
) -> Result<(), StoreError> {
    scope.grew(job);
    note(scope, &job.to_string(), at, (event, "healgate"), message)
}

/// The message for that notifier that is due first.
pub(super) fn next(connection: &Connection, notifier: &str) -> Result<Option<Message>, StoreError> {
    let row = connection.optional(NEXT_MESSAGE, params![notifier])?;
    row.as_ref().map(message).transpose()
}

fn message(row: &Row) -> Result<Message, StoreError> {
    let about = match parsed_option(row, "job")? {
        Some(job) => About::Job(job),
        None => About::Gateway {
            title: row.get("title")?,
            text: row.get("text")?,
        },
    };
    Ok(Message {
        id: MessageId(row.get("id")?),
        notifier: row.get("notifier")?,
        event: word(row, "event", NotifyEvent::parse)?,
        about,
        created_at: time(row, "created_at")?,
        due_at: time(row, "due_at")?,
        tries: count(row, "tries")?,
    })
}

/// The notifiers for which messages wait.
pub(super) fn awaited(connection: &Connection) -> Result<Vec<String>, StoreError> {
    let mut names: Vec<String> = Vec::new();
    loop {
        let last = names.last().map_or("", String::as_str);
        let next: Option<String> = connection.value(NEXT_NOTIFIER, params![last])?;
        let Some(name) = next else { return Ok(names) };
        names.push(name);
    }
}
