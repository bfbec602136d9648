//! Writes rows, in the order of their keys wherever there is one. A column that the schema does not have yet is left out.

use std::collections::BTreeMap;

use rusqlite::{Connection, Error, Result, Statement, ToSql};
use zstd::bulk::Compressor;

use super::fleet::{Dice, ROUTES, Route, fingerprint};
use super::story::{Attempt, Reason, Story};
use super::texts;

/// As `src/worker/tail.rs` seals logs.
const BLOCK: usize = 256 << 10;

const WORKER: &str = "healgate-1/2113";

const NOTIFICATIONS: &str = "id received_at sender posted_by receiver group_key alerts truncated_alerts body";
const EPISODES: &str = "id fingerprint alertname labels annotations generator_url starts_at opened_at last_received_at \
                        received ended_at closed_at";
const ALERTS: &str = "fingerprint last_episode last_received_at";
const JOBS: &str = "id status reason playbook route target trigger_kind triggered_by rerun_of follows episode alertname \
                    fingerprint alert alert_group parameters resolved_within created_at run_at expires_at started_at \
                    verify_until finished_at healed_at front fence attempts by_hand changes checks notify";
const ATTEMPTS: &str =
    "job number fence outcome exit_code started_at finished_at worker warm log_bytes tasks host_stats";
const LOG_CHUNKS: &str = "attempt start length compressed data";
const TASKS: &str = "attempt position result";
const EVENTS: &str = "job at event actor attempt message";
const DECISIONS: &str = "notification at episode fingerprint alertname route decision reason job";
const OUTBOX: &str = "job event notifier created_at due_at state settled_at";

/// Where rows of one table go.
struct Table<'c> {
    /// Nothing if the schema has no such table yet.
    insert: Option<Statement<'c>>,
    /// Which of the values given are written.
    kept: Vec<usize>,
}

impl<'c> Table<'c> {
    fn of(connection: &'c Connection, name: &str, columns: &str) -> Result<Self> {
        let mut known = connection.prepare("SELECT name FROM pragma_table_info(?1)")?;
        let known = known.query_map([name], |row| row.get::<_, String>(0))?;
        let known = known.collect::<Result<Vec<_>>>()?;
        let columns = columns.split_whitespace().enumerate();
        let kept: Vec<_> = columns
            .filter(|(_, column)| known.iter().any(|known| known == column))
            .collect();
        let names: Vec<_> = kept.iter().map(|(_, column)| *column).collect();
        let marks = vec!["?"; names.len()].join(", ");
        let insert = format!("INSERT INTO {name} ({}) VALUES ({marks})", names.join(", "));
        Ok(Self {
            insert: (!known.is_empty()).then(|| connection.prepare(&insert)).transpose()?,
            kept: kept.iter().map(|(place, _)| *place).collect(),
        })
    }

    fn add(&mut self, values: &[&dyn ToSql]) -> Result<()> {
        let Some(insert) = &mut self.insert else { return Ok(()) };
        let kept: Vec<&dyn ToSql> = self.kept.iter().map(|place| values[*place]).collect();
        insert.execute(&*kept)?;
        Ok(())
    }
}

/// A notification of alerts that have ended.
#[derive(Clone, Debug)]
pub(super) struct Closing {
    pub(super) at: i64,
    pub(super) ended: Vec<Story>,
}

impl Closing {
    pub(super) const fn at(at: i64) -> Self {
        Self { at, ended: Vec::new() }
    }
}

/// All tables of a history.
pub(super) struct Tables<'c> {
    notifications: Table<'c>,
    episodes: Table<'c>,
    alerts: Table<'c>,
    jobs: Table<'c>,
    attempts: Table<'c>,
    log_chunks: Table<'c>,
    tasks: Table<'c>,
    events: Table<'c>,
    decisions: Table<'c>,
    outbox: Table<'c>,
    bodies: Compressor<'static>,
    logs: Compressor<'static>,
    /// The last attempt's number.
    attempt: i64,
    connection: &'c Connection,
    /// Of each fingerprint: its last episode, and when it was last heard of.
    last: BTreeMap<String, (String, i64)>,
}

impl<'c> Tables<'c> {
    pub(super) fn of(connection: &'c Connection) -> Result<Self> {
        Ok(Self {
            notifications: Table::of(connection, "notifications", NOTIFICATIONS)?,
            episodes: Table::of(connection, "episodes", EPISODES)?,
            alerts: Table::of(connection, "alerts", ALERTS)?,
            jobs: Table::of(connection, "jobs", JOBS)?,
            attempts: Table::of(connection, "attempts", ATTEMPTS)?,
            log_chunks: Table::of(connection, "log_chunks", LOG_CHUNKS)?,
            tasks: Table::of(connection, "tasks", TASKS)?,
            events: Table::of(connection, "job_events", EVENTS)?,
            decisions: Table::of(connection, "decisions", DECISIONS)?,
            outbox: Table::of(connection, "outbox", OUTBOX)?,
            bodies: Compressor::new(1).map_err(odd)?,
            logs: Compressor::new(zstd::DEFAULT_COMPRESSION_LEVEL).map_err(odd)?,
            attempt: 0,
            connection,
            last: BTreeMap::new(),
        })
    }

    /// The notification that these alerts came with; of those that a person asked for there is none.
    pub(super) fn notification(&mut self, stories: &[Story]) -> Result<()> {
        let Some(first) = stories.iter().find(|story| story.notification.is_some()) else {
            return Ok(());
        };
        let id = first.notification.clone().unwrap_or_default();
        self.received(&id, first.at, stories, None)
    }

    /// The notification that they have ended, and what was decided.
    pub(super) fn closing(&mut self, id: &str, Closing { at, ended }: &Closing) -> Result<()> {
        self.received(id, *at, ended, Some(*at))?;
        for story in ended {
            let reason = "the alert has resolved; its episode is closed";
            self.decision(story, (Some(id), *at), ("resolved", reason))?;
        }
        Ok(())
    }

    fn received(&mut self, id: &str, at: i64, stories: &[Story], ended_at: Option<i64>) -> Result<()> {
        let body = texts::body(stories, ended_at);
        let body = self.bodies.compress(body.as_bytes()).map_err(odd)?;
        let (key, alerts) = (texts::group_key(&stories[0]), whole(stories.len()));
        self.notifications.add(&[
            &id,
            &at,
            &"alertmanager",
            &"prod",
            &"healgate",
            &key,
            &alerts,
            &0,
            &body,
        ])
    }

    fn decision(
        &mut self,
        story: &Story,
        (notification, at): (Option<&str>, i64),
        (decision, reason): (&str, &str),
    ) -> Result<()> {
        let Route { name, alertname, .. } = ROUTES[story.route];
        let fingerprint = fingerprint(story.route, story.host);
        self.decisions.add(&[
            &notification,
            &at,
            &story.episode,
            &fingerprint,
            &alertname,
            &name,
            &decision,
            &reason,
            &story.id,
        ])
    }

    /// A job with its episode, attempts, tasks, history and messages; its log, if logs of that time are still there.
    pub(super) fn story(&mut self, dice: &mut Dice, story: &Story, with_log: bool) -> Result<()> {
        let playbook = ROUTES[story.route].playbook;
        if story.comes_from_alert() {
            self.episode(story)?;
            let reason = format!("queued {playbook} on {}", story.target);
            self.decision(story, (story.notification.as_deref(), story.at), ("queued", &reason))?;
        }
        self.job(story)?;
        self.event(
            story,
            story.at,
            ("queued", None),
            &format!("queued: {playbook} on {}", story.target),
        )?;
        for (number, attempt) in (1_i64..).zip(&story.attempts) {
            self.run(dice, story, (number, attempt), with_log)?;
        }
        if let (Some(reason), Some(at)) = (story.reason, story.finished_at) {
            let message = format!("{} ({})", story.status, reason.as_str());
            self.event(story, at, ("finished", None), &message)?;
            if story.status == "failed" {
                let event = if reason == Reason::NotHealed {
                    "not_healed"
                } else {
                    "failed"
                };
                self.outbox
                    .add(&[&story.id, &event, &"ops", &at, &at, &"sent", &(at + 200_000)])?;
            }
        }
        Ok(())
    }

    fn episode(&mut self, story: &Story) -> Result<()> {
        let fingerprint = fingerprint(story.route, story.host);
        let episode = story.episode.clone().unwrap_or_default();
        let last = story.closed_at.unwrap_or(story.at);
        self.episodes.add(&[
            &episode,
            &fingerprint,
            &ROUTES[story.route].alertname,
            &texts::labels(story),
            &texts::annotations(story),
            &texts::generator_url(story),
            &story.starts_at,
            &story.at,
            &last,
            &(1 + i64::from(story.closed_at.is_some())),
            &story.closed_at.map(|at| at - 300_000),
            &story.closed_at,
        ])?;
        self.last.insert(fingerprint, (episode, last));
        Ok(())
    }

    fn job(&mut self, story: &Story) -> Result<()> {
        let Route {
            name,
            playbook,
            alertname,
            ..
        } = ROUTES[story.route];
        let has_alert = story.episode.is_some();
        let fingerprint = has_alert.then(|| fingerprint(story.route, story.host));
        let of = |trigger: &str| story.followed.as_ref().filter(|_| story.trigger == trigger);
        let resolved_within = (has_alert && ROUTES[story.route].verifies).then_some(300);
        let is_by_hand = matches!(story.trigger, "manual" | "rerun");
        self.jobs.add(&[
            &story.id,
            &story.status,
            &story.reason.map(Reason::as_str),
            &playbook,
            &has_alert.then_some(name),
            &story.target,
            &story.trigger,
            &if is_by_hand { "anna" } else { "prod" },
            &of("rerun"),
            &of("ladder"),
            &story.episode,
            &has_alert.then_some(alertname),
            &fingerprint,
            &has_alert.then(|| texts::alert(story)),
            &has_alert.then(|| texts::group(story)),
            &texts::parameters(story),
            &resolved_within,
            &story.at,
            &story.at,
            &(story.at + 3_600_000_000 * if story.reason.is_none() { 48 } else { 1 }),
            &story.attempts.first().map(|attempt| attempt.started_at - 2_000),
            &story.verify_until,
            &story.finished_at,
            &story.healed_at,
            &i64::from(story.status == "verifying"),
            &whole(story.attempts.len()),
            &whole(story.attempts.len()),
            &is_by_hand.then_some(r#"{"usual":{"limit":null,"check":false,"verbosity":0}}"#),
            &(story.trigger == "rerun").then_some("[]"),
            &r#"{"precondition":null,"verify_query":null,"silence":false}"#,
            &r#"{"to":["ops"],"events":["failed","not_healed","exhausted"]}"#,
        ])
    }

    fn event(&mut self, story: &Story, at: i64, (event, attempt): (&str, Option<i64>), message: &str) -> Result<()> {
        let actor = if event == "queued" { "prod" } else { "healgate" };
        self.events.add(&[&story.id, &at, &event, &actor, &attempt, &message])
    }

    fn run(
        &mut self,
        dice: &mut Dice,
        story: &Story,
        (number, attempt): (i64, &Attempt),
        with_log: bool,
    ) -> Result<()> {
        let claimed = format!("claimed for attempt {number} by {WORKER}");
        self.event(story, attempt.started_at - 2_000, ("claimed", Some(number)), &claimed)?;
        let started = "ansible-playbook was started warm";
        self.event(story, attempt.started_at, ("started", Some(number)), started)?;
        let ended = format!("attempt {number} ended {}", attempt.outcome);
        self.event(story, attempt.finished_at, ("ended", Some(number)), &ended)?;
        let tasks = texts::tasks(story, attempt, dice);
        let log = if with_log {
            texts::log(story, attempt, dice)
        } else {
            String::new()
        };
        self.attempts.add(&[
            &story.id,
            &number,
            &number,
            &attempt.outcome,
            &i64::from(attempt.outcome != "ok"),
            &attempt.started_at,
            &attempt.finished_at,
            &WORKER,
            &1,
            &whole(log.len()),
            &whole(tasks.len()),
            &texts::host_stats(story, attempt),
        ])?;
        self.attempt += 1;
        for (position, task) in (0_i64..).zip(&tasks) {
            self.tasks.add(&[&self.attempt, &position, task])?;
        }
        if with_log {
            self.chunk(0, log.as_bytes())?;
        }
        Ok(())
    }

    fn chunk(&mut self, start: usize, bytes: &[u8]) -> Result<()> {
        let data = self.logs.compress(bytes).map_err(odd)?;
        self.log_chunks
            .add(&[&self.attempt, &whole(start), &whole(bytes.len()), &1, &data])
    }

    /// Gives the last attempt a log of so many bytes.
    pub(super) fn long_log(&mut self, length: usize) -> Result<()> {
        if length == 0 {
            return Ok(());
        }
        let attempt = [self.attempt];
        self.connection
            .execute("DELETE FROM log_chunks WHERE attempt = ?1", attempt)?;
        self.connection.execute(
            "UPDATE attempts SET log_bytes = ?2 WHERE id = ?1",
            (self.attempt, whole(length)),
        )?;
        let (mut dice, mut block) = (Dice::new(1), String::new());
        for start in (0..length).step_by(BLOCK) {
            let wanted = BLOCK.min(length - start);
            while block.len() < wanted {
                block.push_str(&texts::line(&mut dice));
            }
            let rest = block.split_off(wanted);
            self.chunk(start, block.as_bytes())?;
            block = rest;
        }
        Ok(())
    }

    /// What is known only at the end.
    pub(super) fn end(&mut self) -> Result<()> {
        for (fingerprint, (episode, last)) in &self.last {
            self.alerts.add(&[fingerprint, episode, last])?;
        }
        let kinds =
            "INSERT OR IGNORE INTO job_kinds SELECT DISTINCT route, playbook, alertname, trigger_kind FROM jobs";
        let has_kinds = self.connection.table_exists(None, "job_kinds")?;
        if has_kinds {
            self.connection.execute_batch(kinds)?;
        }
        Ok(())
    }
}

/// An error of a library that only compresses.
fn odd(error: std::io::Error) -> Error {
    Error::ToSqlConversionFailure(Box::new(error))
}

fn whole(number: usize) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}
