//! What a filtered list of jobs asks the database: text and values. Asks nothing itself.
//!
//! Filters that many jobs pass are soon satisfied among the newest jobs, which are read. Where they are not, each kind of job that
//! passes them gives its newest ones, from an index alone: kinds are few, however many jobs there are.

use std::collections::BTreeSet;

use rusqlite::types::Value;

use crate::domain::job::{JobStatus, Reason};
use crate::store::read::JobFilter;
use crate::store::sqlite::search_jobs;

/// How many of the newest jobs are looked at before kinds are.
const NEWEST: i64 = 1_000;

/// A statement with its values, in order.
#[derive(Debug, Default)]
pub(super) struct Question {
    pub(super) sql: String,
    pub(super) values: Vec<Value>,
}

/// Where a page begins: after the job that was created then and has that id.
pub(super) type Place = (i64, String);

/// What to ask, one after the other, until an answer has as many rows as were asked for; the last one has all that there are.
/// `is_indexed`: texts are looked for in an index.
pub(super) fn questions(filter: &JobFilter, most: i64, place: Option<Place>, is_indexed: bool) -> Vec<Question> {
    // Every id sorts before this one.
    let until = filter.until.map(|until| (until.as_micros(), "g".to_owned()));
    let list = List {
        filter,
        most,
        place: place.into_iter().chain(until).min(),
        ends_at_edge: false,
    };
    if !filter.fingerprint.is_empty() {
        return vec![list.of_each("fingerprint", &filter.fingerprint)];
    }
    if !filter.target.is_empty() {
        return vec![list.of_each("target", &filter.target)];
    }
    if list.endings().is_empty() {
        return Vec::new();
    }
    if !filter.q.is_empty() {
        return search_jobs::questions(&list, is_indexed);
    }
    if !list.has_kinds() {
        return vec![list.by_time()];
    }
    vec![list.of_the_newest(), list.of_kinds()]
}

/// What is asked for.
pub(super) struct List<'a> {
    pub(super) filter: &'a JobFilter,
    pub(super) most: i64,
    /// Where it begins, also if that is only the latest time of creation.
    place: Option<Place>,
    /// It ends at the edge that the question has found.
    ends_at_edge: bool,
}

impl List<'_> {
    /// The columns that a job has for good and that make its kind, and the values that pass; any if there are none.
    pub(super) fn kinds(&self) -> [(&'static str, Vec<String>); 4] {
        let filter = self.filter;
        let triggers = filter.trigger.iter().map(|word| word.as_str().to_owned());
        [
            ("route", filter.route.clone()),
            ("playbook", filter.playbook.clone()),
            ("alertname", filter.alertname.clone()),
            ("trigger_kind", triggers.collect()),
        ]
    }

    /// The same for where the job is on its way.
    pub(super) fn states(&self) -> [(&'static str, Vec<String>); 2] {
        let filter = self.filter;
        let statuses = filter.status.iter().map(|word| word.as_str().to_owned());
        let reasons = filter.reason.iter().map(|word| word.as_str().to_owned());
        [("status", statuses.collect()), ("reason", reasons.collect())]
    }

    /// Every status with every reason that passes; a job that is not over has none.
    fn endings(&self) -> BTreeSet<(&'static str, Option<&'static str>)> {
        fn wanted<T>(wanted: &'static [T], some: &[T]) -> Vec<&'static T>
        where
            T: PartialEq,
        {
            let passes = |value: &&T| some.is_empty() || some.contains(value);
            wanted.iter().filter(passes).collect()
        }
        let reasons = wanted(Reason::ALL, &self.filter.reason);
        let statuses = wanted(JobStatus::ALL, &self.filter.status).into_iter();
        let of_status = |status: &'static JobStatus| {
            let open = (!status.is_finished() && self.filter.reason.is_empty()).then_some(None);
            let over = reasons
                .iter()
                .filter(|_| status.is_finished())
                .map(|reason| Some(reason.as_str()));
            open.into_iter()
                .chain(over)
                .map(|reason| (status.as_str(), reason))
                .collect::<Vec<_>>()
        };
        statuses.flat_map(of_status).collect()
    }

    /// Only the time counts, if anything does.
    fn by_time(&self) -> Question {
        let mut question = Question::default();
        question.push("SELECT created_at, id FROM jobs INDEXED BY jobs_by_creation WHERE true");
        self.within(&mut question);
        self.newest_first(&mut question);
        question.page()
    }

    /// All of the list that lies among so many of the newest jobs; `passing` asks for it where `edge` was asked before.
    pub(super) fn to_edge(&self, newest: i64) -> Self {
        Self {
            most: newest,
            place: self.place.clone(),
            ends_at_edge: true,
            ..*self
        }
    }

    /// Begins a question with where these jobs end.
    pub(super) fn edge(&self, question: &mut Question) {
        question
            .push("WITH edge (at) AS MATERIALIZED (SELECT created_at FROM jobs INDEXED BY jobs_by_creation WHERE true");
        self.after_place(question);
        question
            .push(" ORDER BY created_at DESC, id DESC LIMIT 1 OFFSET ")
            .bind(Value::Integer(self.most));
        question.push(") ");
    }

    /// Whether more is asked for than a time or a text.
    pub(super) fn has_kinds(&self) -> bool {
        let mut wanted = self.kinds().into_iter().chain(self.states());
        wanted.any(|(_, values)| !values.is_empty())
    }

    /// What passes among the newest jobs, in their order.
    fn of_the_newest(&self) -> Question {
        let mut question = Question::default();
        question.push(
            "SELECT created_at, id FROM (SELECT created_at, id, status, reason, route, playbook, alertname, trigger_kind \
             FROM jobs INDEXED BY jobs_by_creation WHERE true",
        );
        self.within(&mut question);
        question
            .push(" ORDER BY created_at DESC, id DESC LIMIT ")
            .bind(Value::Integer(NEWEST));
        question.push(") WHERE true");
        for (column, values) in self.kinds().iter().chain(&self.states()) {
            question.any_of(column, values);
        }
        question.push(" LIMIT ").bind(Value::Integer(self.most));
        question.page()
    }

    /// The newest of each kind that passes, for each status and reason that do.
    fn of_kinds(&self) -> Question {
        let mut question = Question::default();
        self.passing(&mut question);
        question.page()
    }

    /// The newest that pass, whatever text they have.
    pub(super) fn passing(&self, question: &mut Question) {
        self.each_kind(question);
        self.newest_found(question);
    }

    /// What each kind that passes leads to; more about the kind may be added.
    pub(super) fn each_kind(&self, question: &mut Question) {
        question.of_found("(SELECT column1 AS status, column2 AS reason FROM (VALUES ");
        for (index, (status, reason)) in self.endings().into_iter().enumerate() {
            question.push(if index == 0 { "(" } else { ", (" });
            question.bind(Value::Text(status.to_owned()));
            // No reason is no value that could come from outside.
            question.push(", ");
            match reason {
                Some(reason) => question.bind(Value::Text(reason.to_owned())),
                None => drop(question.push("NULL")),
            }
            question.push(")");
        }
        question.push(")) AS ending, job_kinds AS kind");
        question.each(
            "jobs INDEXED BY jobs_by_kind WHERE jobs.status = ending.status AND jobs.reason IS ending.reason \
             AND jobs.route IS kind.route AND jobs.playbook = kind.playbook AND jobs.alertname IS kind.alertname \
             AND jobs.trigger_kind = kind.trigger_kind",
        );
        self.within(question);
        self.newest_first(question);
        question.push("))) AS found WHERE true");
        for (column, values) in &self.kinds() {
            question.any_of(&format!("kind.{column}"), values);
        }
    }

    /// The newest for each of the values of a column that has an index of its own.
    fn of_each(&self, column: &str, wanted: &[String]) -> Question {
        // Each once, or its jobs would come twice.
        let wanted: BTreeSet<&String> = wanted.iter().collect();
        let mut question = Question::default();
        question.of_found("(SELECT column1 AS wanted FROM (VALUES ");
        for (index, wanted) in wanted.into_iter().enumerate() {
            question.push(if index == 0 { "(" } else { ", (" });
            question.bind(Value::Text(wanted.clone()));
            question.push(")");
        }
        question.push("))");
        question.each(&format!(
            "jobs INDEXED BY jobs_by_{column} WHERE jobs.{column} = wanted"
        ));
        for (column, values) in self.kinds().iter().chain(&self.states()) {
            question.any_of(&format!("jobs.{column}"), values);
        }
        if column != "target" {
            question.any_of("jobs.target", &self.filter.target);
        }
        // Filters that no job passes together are seen at once: this is asked once, where EXISTS would be for each row.
        question.push(" AND (SELECT COUNT(*) FROM job_kinds AS kind WHERE true");
        for (column, values) in &self.kinds() {
            question.any_of(&format!("kind.{column}"), values);
        }
        question.push(") > 0");
        search_jobs::has_text(&mut question, &self.filter.q);
        self.within(&mut question);
        self.newest_first(&mut question);
        question.push("))) AS found");
        self.newest_found(&mut question);
        question.page()
    }

    /// The time of creation, and what comes after the page before.
    pub(super) fn within(&self, question: &mut Question) {
        if let Some(since) = self.filter.since {
            question
                .push(" AND created_at >= ")
                .bind(Value::Integer(since.as_micros()));
        }
        if self.ends_at_edge {
            // With fewer jobs there is none.
            question.push(" AND created_at >= coalesce((SELECT at FROM edge), 0)");
        }
        self.after_place(question);
    }

    fn after_place(&self, question: &mut Question) {
        if let Some((created_at, id)) = &self.place {
            question
                .push(" AND (created_at, id) < (")
                .bind(Value::Integer(*created_at));
            question.push(", ").bind(Value::Text(id.clone()));
            question.push(")");
        }
    }

    pub(super) fn newest_first(&self, question: &mut Question) {
        question
            .push(" ORDER BY created_at DESC, id DESC LIMIT ")
            .bind(Value::Integer(self.most));
    }

    pub(super) fn newest_found(&self, question: &mut Question) {
        question
            .push(" ORDER BY found.value ->> 0 DESC, found.value ->> 1 DESC LIMIT ")
            .bind(Value::Integer(self.most));
    }
}

impl Question {
    pub(super) fn push(&mut self, text: &str) -> &mut Self {
        self.sql.push_str(text);
        self
    }

    pub(super) fn bind(&mut self, value: Value) {
        self.sql.push('?');
        self.values.push(value);
    }

    /// Begins a list of what each row of something leads to.
    pub(super) fn of_found(&mut self, rows: &str) {
        self.push("SELECT found.value ->> 0 AS created_at, found.value ->> 1 AS id FROM ");
        self.push(rows);
    }

    /// Joins the jobs that each row of what is named before leads to. SQLite joins a query that depends on a row only if all
    /// that it finds is one value.
    pub(super) fn each(&mut self, jobs: &str) {
        self.push(", json_each((SELECT json_group_array(json_array(created_at, id)) FROM (SELECT created_at, id FROM ");
        self.push(jobs);
    }

    pub(super) fn any_of(&mut self, column: &str, values: &[String]) {
        for (index, value) in values.iter().enumerate() {
            if index == 0 {
                self.push(" AND ").push(column).push(" IN (");
            } else {
                self.push(", ");
            }
            self.bind(Value::Text(value.clone()));
        }
        if !values.is_empty() {
            self.push(")");
        }
    }

    /// The rows of the page itself, which are found by their ids.
    pub(super) fn page(mut self) -> Self {
        self.sql = format!(
            "SELECT jobs.* FROM ({}) AS listed CROSS JOIN jobs ON jobs.id = listed.id \
             ORDER BY jobs.created_at DESC, jobs.id DESC",
            self.sql
        );
        self
    }
}
