//! Makes a database that has grown for ninety days: as many jobs as wanted, with all that belongs to them, in the shapes in
//! which a gateway wrote them. The same size and the same end give the same rows. Asks no clock and starts nothing.

mod fleet;
mod story;
mod tables;
mod texts;

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::fs;
use std::path::Path;

use rusqlite::{Connection, Result};

use self::fleet::{Dice, Fleet};
use self::story::{Past, Reason, Story};
use self::tables::{Closing, Tables};

pub(crate) const DAYS: i64 = 90;

pub(crate) const DAY: i64 = 86_400_000_000;

/// As `retention` keeps logs where the settings say nothing.
const LOGS: i64 = 30 * DAY;

/// Of the one long log: what `yes` could print in a second, and a playbook in an hour.
pub(crate) const LONG_LOG: usize = 64 << 20;

/// Jobs that re-runs and rungs of ladders may follow.
const RECENT: usize = 64;

/// What is wanted.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Size {
    pub(crate) jobs: u64,
    /// The last job is made just before; microseconds since 1970.
    pub(crate) until: i64,
    /// The version of the schema: so many steps of `migrations/sqlite`.
    pub(crate) schema: usize,
    /// Bytes of the one long log; none if 0.
    pub(crate) long_log: usize,
}

/// The schema's steps, in order.
pub(crate) fn steps() -> Vec<String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("migrations/sqlite");
    let files = fs::read_dir(folder).into_iter().flatten().flatten();
    let mut paths: Vec<_> = files.map(|file| file.path()).collect();
    paths.sort();
    paths.iter().filter_map(|path| fs::read_to_string(path).ok()).collect()
}

/// Makes the file; it must not be there yet. The id of the job with the long log.
pub(crate) fn make(path: &Path, size: Size) -> Result<String> {
    let connection = Connection::open(path)?;
    // Nobody needs the file if this does not come to its end.
    connection.execute_batch(
        "PRAGMA auto_vacuum = INCREMENTAL;
         PRAGMA journal_mode = OFF;
         PRAGMA synchronous = OFF;
         PRAGMA foreign_keys = OFF;
         PRAGMA cache_size = -200000;
         PRAGMA temp_store = MEMORY;",
    )?;
    for step in steps().iter().take(size.schema) {
        connection.execute_batch(step)?;
    }
    connection.execute_batch(&format!("PRAGMA user_version = {}", size.schema))?;
    let indexes = take_indexes(&connection)?;
    connection.execute_batch("BEGIN")?;
    let long = Filling::new(&connection, size)?.fill()?;
    connection.execute_batch("COMMIT")?;
    // All at once they are made many times as fast as row by row.
    for index in indexes {
        connection.execute_batch(&index)?;
    }
    connection.execute_batch("PRAGMA journal_mode = WAL")?;
    Ok(long)
}

/// Drops the indexes, and says how to make them; not the one of kinds, of which there are few and each comes often.
fn take_indexes(connection: &Connection) -> Result<Vec<String>> {
    let mut found = connection.prepare(
        "SELECT name, sql FROM sqlite_master WHERE type = 'index' AND sql IS NOT NULL AND tbl_name <> 'job_kinds'",
    )?;
    let found = found.query_map([], |row| Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?)))?;
    let found = found.collect::<Result<Vec<_>>>()?;
    for (name, _) in &found {
        connection.execute_batch(&format!("DROP INDEX {name}"))?;
    }
    Ok(found.into_iter().map(|(_, sql)| sql).collect())
}

/// The file while it is filled, in the order of time.
struct Filling<'c> {
    size: Size,
    fleet: Fleet,
    dice: Dice,
    tables: Tables<'c>,
    /// Notifications of ends that are still to come: by their time, and a number, as several may come at once.
    closings: BTreeMap<(i64, u64), Closing>,
    /// The last jobs that did not heal.
    unhealed: VecDeque<Past>,
    /// Of each alert, by its route and host: when its last episode ends, if it does.
    busy: HashMap<(usize, u64), Option<i64>>,
}

impl<'c> Filling<'c> {
    fn new(connection: &'c Connection, size: Size) -> Result<Self> {
        Ok(Self {
            size,
            fleet: Fleet::of(size.jobs),
            dice: Dice::new(size.jobs),
            tables: Tables::of(connection)?,
            closings: BTreeMap::new(),
            unhealed: VecDeque::new(),
            busy: HashMap::new(),
        })
    }

    fn fill(mut self) -> Result<String> {
        let Size { jobs, until, .. } = self.size;
        let step = DAYS * DAY / i64::try_from(jobs.max(1)).unwrap_or(i64::MAX);
        let mut long = String::new();
        let mut number = 0;
        while number < jobs {
            let group = self.dice.group().min(jobs - number);
            let left = i64::try_from(jobs - number).unwrap_or(i64::MAX);
            // A job is at least a millisecond older than the next, so that ids sort like times.
            let at = until - left * step + i64::try_from(self.dice.below(1_000)).unwrap_or(0);
            self.close_until(at)?;
            let stories = self.stories(at, group, jobs - number);
            // The middle of the time in which logs are kept.
            let is_long = long.is_empty() && at > until - LOGS / 2 && stories[0].attempts.last().is_some();
            if is_long {
                long.clone_from(&stories[0].id);
            }
            self.add(&stories, is_long)?;
            number += group;
        }
        self.close_until(i64::MAX)?;
        self.tables.end()?;
        Ok(long)
    }

    /// What becomes of alerts that come together.
    fn stories(&mut self, at: i64, group: u64, left: u64) -> Vec<Story> {
        let notification = self.dice.id(at);
        let mut stories = Vec::new();
        for place in 0..group {
            let mut story = self.story(at, group == 1, left - place);
            story.notification = story.comes_from_alert().then(|| notification.clone());
            if story.comes_from_alert() {
                self.busy.insert((story.route, story.host), story.closed_at);
            }
            stories.push(story);
        }
        stories
    }

    fn story(&mut self, at: i64, is_alone: bool, left: u64) -> Story {
        let Size { jobs, until, .. } = self.size;
        // The last few wait for people or for the end of their alerts.
        let is_open = left <= (jobs / 10_000).clamp(2, 100);
        let may_follow = is_alone && !is_open && self.dice.chance(80);
        let mut followed = if may_follow { self.unhealed.pop_front() } else { None };
        loop {
            let mut story = Story::tell(&self.fleet, &mut self.dice, at, followed.take());
            let busy = self.busy.get(&(story.route, story.host));
            // While an alert fires, it is only repeated.
            if story.comes_from_alert() && busy.is_some_and(|ends| ends.is_none_or(|ends| ends >= at)) {
                continue;
            }
            if is_open {
                story.keep_open(left, until);
            } else {
                story.fit_before(until);
            }
            return story;
        }
    }

    fn add(&mut self, stories: &[Story], is_long: bool) -> Result<()> {
        self.tables.notification(stories)?;
        let mut closing: Option<Closing> = None;
        for story in stories {
            let with_log = story.at > self.size.until - LOGS;
            self.tables.story(&mut self.dice, story, with_log)?;
            if is_long {
                self.tables.long_log(self.size.long_log)?;
            }
            if let Some(closed_at) = story.closed_at.filter(|_| story.comes_from_alert()) {
                let closing = closing.get_or_insert_with(|| Closing::at(closed_at));
                closing.at = closing.at.max(closed_at);
                closing.ended.push(story.clone());
            }
            if !matches!(story.reason, Some(Reason::Healed) | None) && story.episode.is_some() {
                self.unhealed.push_back(story.past());
                self.unhealed.truncate(RECENT);
            }
        }
        if let Some(closing) = closing {
            self.closings.insert((closing.at, self.dice.next()), closing);
        }
        Ok(())
    }

    /// Notifications of the ends that come before.
    fn close_until(&mut self, at: i64) -> Result<()> {
        while let Some(first) = self.closings.first_entry().filter(|first| first.key().0 < at) {
            let closing = first.remove();
            let id = self.dice.id(closing.at);
            self.tables.closing(&id, &closing)?;
        }
        Ok(())
    }
}
