//! What a list of jobs with a text to look for asks the database: text and values. Asks nothing itself.
//!
//! The newest jobs are few. Where they do not have the text often enough, what a million jobs have in common is asked: targets,
//! alerts, routes and playbooks. Those that have the text give their newest jobs. An index knows which targets and alerts do
//! (`search_index.rs`); without it, for texts that are too short for it, each of them is looked at once.

use rusqlite::types::Value;

use crate::store::StoreError;
use crate::store::sqlite::connection::Connection;
use crate::store::sqlite::list_jobs::{List, Question};
use crate::store::sqlite::search_index;

/// How many of the newest jobs are looked at before all else is.
const NEWEST: i64 = 500;

/// Of how many of the newest jobs those are looked at that pass the other filters.
const PASSING: i64 = 10_000;

/// Jobs that are not in the index yet are looked at one by one, as long as they are no more than that.
const BACKLOG: usize = 2_000;

/// The same as of a list without a text. Where targets or alerts are asked for, their jobs are few enough to look at each.
pub(super) fn questions(list: &List<'_>, is_indexed: bool) -> Vec<Question> {
    let all = if is_indexed {
        among_indexed(list)
    } else {
        among_all(list)
    };
    let passing = list.has_kinds().then(|| among_passing(list));
    [Some(among_the_newest(list)), passing, Some(all)]
        .into_iter()
        .flatten()
        .collect()
}

/// Whether the index can tell where such texts are.
pub(super) fn is_indexed(connection: &Connection, texts: &[String]) -> Result<bool, StoreError> {
    // No part of a word is shorter, and SQLite's language for searches knows no such character.
    let is_searchable = |text: &String| text.chars().count() >= 3 && !text.contains('\0');
    if texts.is_empty() || !texts.iter().all(is_searchable) {
        return Ok(false);
    }
    search_index::has_long_backlog(connection, BACKLOG).map(|is_long| !is_long)
}

/// What a job has to have; nothing if no text is looked for.
pub(super) fn has_text(question: &mut Question, texts: &[String]) {
    if texts.is_empty() {
        return;
    }
    question.push(" AND (");
    begins(question, "id", texts);
    question.push(" OR ");
    let all = "playbook || char(10) || coalesce(route, '') || char(10) || target || char(10) || coalesce(alert ->> 'labels', '')";
    contains(question, all, texts);
    question.push(")");
}

fn among_the_newest(list: &List<'_>) -> Question {
    let mut question = Question::default();
    question.push(
        "SELECT created_at, id FROM (SELECT created_at, id, status, reason, route, playbook, alertname, trigger_kind, target, \
         alert FROM jobs INDEXED BY jobs_by_creation WHERE true",
    );
    list.within(&mut question);
    question
        .push(" ORDER BY created_at DESC, id DESC LIMIT ")
        .bind(Value::Integer(NEWEST));
    question.push(") WHERE true");
    other_filters(list, &mut question, "");
    has_text(&mut question, &list.filter.q);
    question.push(" LIMIT ").bind(Value::Integer(list.most));
    question.page()
}

/// Newer jobs that pass the other filters: a text that many jobs have is soon found among them, where it would take long to ask
/// every name that has it for jobs that pass.
fn among_passing(list: &List<'_>) -> Question {
    let mut question = Question::default();
    let newer = list.to_edge(PASSING);
    newer.edge(&mut question);
    question.push("SELECT created_at, id FROM (SELECT id AS passing_id FROM (");
    newer.passing(&mut question);
    question.push(")) AS passing CROSS JOIN jobs ON jobs.id = passing_id WHERE true");
    has_text(&mut question, &list.filter.q);
    // In their order, so that no more of them are read than it takes.
    question.push(" LIMIT ").bind(Value::Integer(list.most));
    question.page()
}

fn among_indexed(list: &List<'_>) -> Question {
    let mut question = Question::default();
    question.push(
        "WITH hit (kind, name) AS MATERIALIZED (SELECT search_names.kind, search_names.name \
         FROM search_texts JOIN search_names ON search_names.id = search_texts.rowid WHERE search_texts MATCH ",
    );
    question.bind(Value::Text(phrases(&list.filter.q)));
    question.push(") SELECT DISTINCT created_at, id FROM (");
    for column in ["target", "fingerprint"] {
        question.of_found(&format!("(SELECT name AS wanted FROM hit WHERE kind = '{column}')"));
        newest_of_each(list, &mut question, column);
        question.push(" UNION ALL ");
    }
    question
        .push("SELECT created_at, id FROM search_backlog CROSS JOIN jobs ON jobs.id = search_backlog.job WHERE true");
    other_filters(list, &mut question, "jobs.");
    list.within(&mut question);
    has_text(&mut question, &list.filter.q);
    question.push(" UNION ALL ");
    of_kinds_and_ids(list, &mut question);
    list.newest_first(&mut question);
    question.page()
}

/// As the index is asked: any of these texts, in lower case like all that it has.
fn phrases(texts: &[String]) -> String {
    let phrase = |text: &String| format!("\"{}\"", text.to_ascii_lowercase().replace('"', "\"\""));
    texts.iter().map(phrase).collect::<Vec<_>>().join(" OR ")
}

fn among_all(list: &List<'_>) -> Question {
    let mut question = Question::default();
    // Each target and each alert: one step along an index for each.
    question.push(
        "
    WITH RECURSIVE targets (target) AS (
        SELECT MIN(target) FROM jobs INDEXED BY jobs_by_target
        UNION ALL
        SELECT (SELECT MIN(target) FROM jobs INDEXED BY jobs_by_target WHERE jobs.target > targets.target)
        FROM   targets
        WHERE  target IS NOT NULL),
    alerts (fingerprint) AS (
        SELECT MIN(fingerprint) FROM jobs INDEXED BY jobs_by_fingerprint
        UNION ALL
        SELECT (SELECT MIN(fingerprint) FROM jobs INDEXED BY jobs_by_fingerprint
                WHERE  jobs.fingerprint > alerts.fingerprint)
        FROM   alerts
        WHERE  fingerprint IS NOT NULL) ",
    );
    question.push("SELECT DISTINCT created_at, id FROM (");
    of_names(list, &mut question, ("target", "targets"), "target");
    question.push(" UNION ALL ");
    let labels = "(SELECT labelled.alert ->> 'labels' FROM jobs AS labelled INDEXED BY jobs_by_fingerprint \
                       WHERE labelled.fingerprint = alerts.fingerprint ORDER BY labelled.created_at DESC LIMIT 1)";
    of_names(list, &mut question, ("fingerprint", "alerts"), labels);
    question.push(" UNION ALL ");
    of_kinds_and_ids(list, &mut question);
    list.newest_first(&mut question);
    question.page()
}

/// The newest jobs of each route and playbook that has the text, and those whose id begins with it.
fn of_kinds_and_ids(list: &List<'_>, question: &mut Question) {
    list.each_kind(question);
    question.push(" AND ");
    contains(
        question,
        "coalesce(kind.route, '') || char(10) || kind.playbook",
        &list.filter.q,
    );
    question.push(" UNION ALL SELECT created_at, id FROM jobs WHERE ");
    begins(question, "jobs.id", &list.filter.q);
    other_filters(list, question, "jobs.");
    list.within(question);
    question.push(")");
}

/// The newest jobs of each name that has the text.
fn of_names(list: &List<'_>, question: &mut Question, (column, names): (&str, &str), text: &str) {
    question.of_found(&format!("(SELECT {column} AS wanted FROM {names} WHERE "));
    contains(question, text, &list.filter.q);
    question.push(")");
    newest_of_each(list, question, column);
}

fn newest_of_each(list: &List<'_>, question: &mut Question, column: &str) {
    question.each(&format!(
        "jobs INDEXED BY jobs_by_{column} WHERE jobs.{column} = wanted"
    ));
    other_filters(list, question, "jobs.");
    list.within(question);
    list.newest_first(question);
    question.push("))) AS found");
}

/// The filters beside the text.
fn other_filters(list: &List<'_>, question: &mut Question, of: &str) {
    for (column, values) in list.kinds().iter().chain(&list.states()) {
        question.any_of(&format!("{of}{column}"), values);
    }
}

/// Whether an expression has one of the texts in it, in any case.
fn contains(question: &mut Question, expression: &str, texts: &[String]) {
    for (index, text) in texts.iter().enumerate() {
        question.push(if index == 0 { "(" } else { " OR " });
        question.push("instr(lower(").push(expression).push("), lower(");
        question.bind(Value::Text(text.clone()));
        question.push(")) > 0");
    }
    question.push(")");
}

/// Whether an id begins with one of the texts. No id has a character after `f`.
fn begins(question: &mut Question, id: &str, texts: &[String]) {
    for (index, text) in texts.iter().enumerate() {
        question.push(if index == 0 { "(" } else { " OR " });
        question.push(id).push(" >= ");
        question.bind(Value::Text(text.to_lowercase()));
        question.push(" AND ").push(id).push(" < ");
        question.bind(Value::Text(text.to_lowercase() + "g"));
    }
    question.push(")");
}
