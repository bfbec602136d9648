//! What a list of jobs with a text to look for asks the database: text and values. Asks nothing itself.
//!
//! No index has such a text. But the newest jobs are few, and where they do not have it often enough, what a million jobs have in
//! common is: targets, alerts, routes and playbooks. Each of these is looked at once, and those that have the text give their
//! newest jobs.

use rusqlite::types::Value;

use crate::store::sqlite::list_jobs::{List, Question};

/// How many of the newest jobs are looked at before all else is.
const NEWEST: i64 = 500;

/// The same as of a list without a text. Where targets or alerts are asked for, their jobs are few enough to look at each.
pub(super) fn questions(list: &List<'_>) -> Vec<Question> {
    vec![among_the_newest(list), among_all(list)]
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
    list.each_kind(&mut question);
    question.push(" AND ");
    contains(
        &mut question,
        "coalesce(kind.route, '') || char(10) || kind.playbook",
        &list.filter.q,
    );
    question.push(" UNION ALL SELECT created_at, id FROM jobs WHERE ");
    begins(&mut question, "jobs.id", &list.filter.q);
    other_filters(list, &mut question, "jobs.");
    list.within(&mut question);
    question.push(")");
    list.newest_first(&mut question);
    question.page()
}

/// The newest jobs of each name that has the text.
fn of_names(list: &List<'_>, question: &mut Question, (column, names): (&str, &str), text: &str) {
    question.of_found(&format!("(SELECT {column} AS wanted FROM {names} WHERE "));
    contains(question, text, &list.filter.q);
    question.push(")");
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
