//! No statement reads a whole table that grows: SQLite says how it would go about each of them.

use std::path::Path;

use rusqlite::params_from_iter;

use super::opened;
use crate::domain::job::{JobStatus, Reason, Trigger};
use crate::domain::timestamp::Timestamp;
use crate::store::read::JobFilter;
use crate::store::sqlite::connection::Connection;
use crate::store::sqlite::list_jobs::{Question, questions};

/// The statements of the adapter: constants whose first line is their name.
fn statements() -> Vec<(String, String)> {
    let adapter = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/store/sqlite");
    let files = adapter.read_dir().unwrap().map(|entry| entry.unwrap().path());
    let sources = files.filter(|path| path.extension().is_some_and(|kind| kind == "rs"));
    let mut statements = Vec::new();
    for source in sources.chain([adapter.with_extension("rs")]) {
        let text = std::fs::read_to_string(source).unwrap();
        for rest in text.split("const ").filter(|rest| is_statement(rest)) {
            let (_, rest) = rest.split_once("= \"").unwrap();
            let (sql, _) = rest.split_once("\";").unwrap();
            let (name, sql) = sql.trim_start().split_once('\n').unwrap();
            let name = name.strip_prefix("-- ");
            let name = name.unwrap_or_else(|| panic!("a statement begins with its name: {sql}"));
            statements.push((name.to_owned(), sql.to_owned()));
        }
    }
    statements
}

fn is_statement(rest: &str) -> bool {
    let declared = rest.split_once("= \"").map(|(declared, _)| declared);
    declared.is_some_and(|declared| declared.trim_end().ends_with(": &str"))
}

fn plan(connection: &Connection, sql: &str) -> Vec<String> {
    // What is bound has no part in it, but SQLite wants as many values as the statement has places.
    let places = (1..20).filter(|number| sql.contains(&format!("?{number}"))).max();
    let values = vec![None::<i64>; places.unwrap_or_else(|| sql.matches('?').count())];
    let rows = connection.all(&format!("EXPLAIN QUERY PLAN {sql}"), params_from_iter(values));
    rows.unwrap().iter().map(|row| row.get("detail").unwrap()).collect()
}

/// Whether a step of a plan reads all of something that grows: neither what was passed in nor what a search gave.
fn reads_everything(step: &str) -> bool {
    let passed = [
        "json_each",
        "wanted",
        "given",
        "closed",
        "touched",
        "free",
        "heard",
        "(subquery",
        "counted",
        "healed",
        "named",
        "reasons",
        "summed",
        "placed",
        "ranked",
        "again",
        "candidate",
        "asked",
        "recipient",
        "ended",
        "causes",
        "decided",
        // Found by an index of parts of words.
        "hit",
        "search_texts VIRTUAL TABLE INDEX 0:M",
        "search_texts VIRTUAL TABLE INDEX 0:=",
        // No more of it than a step takes, or than a list looks at.
        "search_backlog",
        "waiting",
        "CONSTANT ROW",
        "pragma_",
    ];
    step.strip_prefix("SCAN ")
        .is_some_and(|what| !passed.iter().any(|name| what.starts_with(name)))
}

#[tokio::test]
async fn no_statement_reads_a_whole_table() {
    // The first two count, along an index, the second one only what waits; the third one ends after the newest jobs. The next
    // three name tables that refer to what they insert, which SQLite reads only if a reference to it is already broken. The
    // others read a row for each route or kind of job, or what people have paused.
    let counts = [
        "count_jobs",
        "pending_messages",
        "lately",
        "open_episode",
        "reopen",
        "insert_job",
        // No more of the newest than are looked at.
        "decided_lately",
    ];
    let few = [
        "list_pulses",
        "pauses",
        "open_breakers",
        "tried_by",
        "drop_trials",
        "old_jobs",
    ];
    // A person at a terminal asks for this one, of a connection of their own.
    let asked = ["count_old"];
    let (_folder, opened) = opened().await;
    let statements = statements();
    assert!(statements.len() > 100, "{}", statements.len());
    for (name, sql) in statements {
        if counts.iter().chain(&few).chain(&asked).any(|allowed| *allowed == name) {
            continue;
        }
        let plan = plan(&opened.writer, &sql);
        assert!(!plan.iter().any(|step| reads_everything(step)), "{name}: {plan:#?}");
    }
}

/// What these statements search by.
const INDEXES: &[(&str, &[&str])] = &[
    ("next_ready", &["jobs_ready (run_at<?)"]),
    (
        "promote",
        &["jobs_in_line (target=?)", "jobs_front_of_target (target=?)"],
    ),
    ("next_due", &["jobs_expiring", "jobs_verifying", "jobs_retrying"]),
    ("expire_waiting", &["jobs_expiring (expires_at<?)"]),
    ("give_up_verifying", &["jobs_verifying (verify_until<?)"]),
    ("withdraw_waiting", &["jobs_of_episode (episode=?)"]),
    ("heal_verifying", &["jobs_of_episode (episode=?)"]),
    ("counted_jobs", &["jobs_of_episode (episode=?)"]),
    ("active_runs", &["jobs_by_kind (status=?)"]),
    ("read_chunks", &["(attempt=? AND start>?)", "(attempt=? AND start<?)"]),
    ("list_tasks", &["(attempt=? AND position>?)"]),
    ("list_events", &["job_events_of_job (job=? AND id>?)"]),
    ("outcomes", &["jobs_by_creation (created_at>? AND created_at<?)"]),
    (
        "opened",
        &["COVERING INDEX episodes_by_opening (opened_at>? AND opened_at<?)"],
    ),
    ("kept_hours", &["(rowid>?)"]),
    (
        "hour_before",
        &[
            "COVERING INDEX jobs_by_creation (created_at<?)",
            "COVERING INDEX episodes_by_opening (opened_at<?)",
        ],
    ),
    ("repeat_offenders", &["jobs_by_fingerprint (fingerprint=?"]),
    ("events_of_jobs", &["job_events_of_job (job=?)"]),
    (
        "waiting_jobs",
        &[
            "INDEX jobs_ready (run_at<?)",
            "INDEX jobs_in_line",
            "INDEX jobs_blocked",
        ],
    ),
    ("pending_messages", &["outbox_due"]),
    ("next_message", &["outbox_due (notifier=?)"]),
    ("next_notifier", &["outbox_due (notifier>?)"]),
    ("drop_messages", &["outbox_due (notifier=?)"]),
    (
        "place_jobs",
        &[
            "jobs_of_place (route=? AND target=? AND finished_at=?)",
            "jobs_of_place (route=? AND target=? AND finished_at>?)",
        ],
    ),
    ("heals", &["jobs_healed (fingerprint=? AND route=? AND finished_at>?)"]),
    ("lately", &["INDEX jobs_by_creation"]),
    ("due_held", &["held_due (due_at<?)"]),
    ("next_held", &["held_due"]),
    ("wake_decision", &["held_by_decision (decision=?)"]),
    ("wake_place", &["held_of_place (route=? AND target=?)"]),
    ("causes", &["jobs_blocked (blocked_by>?)"]),
    ("unblock", &["jobs_blocked (blocked_by=?)"]),
    ("asked_episodes", &["episodes_asked (closed_at>?)"]),
    ("free_rung", &["held_of_rung (follows=?)"]),
    (
        "failures_of_route",
        &["jobs_failed_of_route (route=? AND finished_at>?)"],
    ),
    ("failures", &["jobs_failed (finished_at>?)"]),
    ("old_logs", &["attempts_with_log (finished_at"]),
    ("old_jobs", &["jobs_by_creation ((created_at,id)<(?,?))"]),
    ("old_decisions", &["INTEGER PRIMARY KEY (rowid>?)"]),
    (
        "remove_jobs",
        &[
            "jobs_of_original (rerun_of=?)",
            "jobs_of_predecessor (follows=?)",
            "decisions_of_job (job=?)",
            "held_of_rung (follows=?)",
            "outbox_once_per_job (job=?)",
        ],
    ),
    (
        "remove_episodes",
        &[
            "decisions_of_episode (episode=?)",
            "alerts_of_episode (last_episode=?)",
            "jobs_of_episode (episode=?)",
        ],
    ),
    ("remove_notifications", &["decisions_of_notification (notification=?)"]),
    (
        "list_firing_alerts",
        &["episodes_firing_by_reception ((last_received_at,fingerprint)<(?,?))"],
    ),
    (
        "list_resolved_alerts",
        &["alerts_by_reception ((last_received_at,fingerprint)<(?,?))"],
    ),
    ("list_firing", &["episodes_firing (opened_at<?)"]),
    ("count_firing", &["episodes_firing (opened_at<?)"]),
    ("find_session", &["sessions_by_key (key=?)"]),
    ("end_session", &["sessions_by_key (key=?)"]),
    ("old_sessions", &["INTEGER PRIMARY KEY (rowid>?)"]),
    ("remove_attempts_of_jobs", &["log_chunks", "tasks"]),
];

/// Those whose index is in the order that they ask for.
const IN_ORDER: &[&str] = &["next_ready", "list_firing_alerts", "list_resolved_alerts"];

#[tokio::test]
async fn the_statements_that_run_all_the_time_use_the_indexes_made_for_them() {
    let (_folder, opened) = opened().await;
    for (name, indexes) in INDEXES {
        let (_, sql) = statements().into_iter().find(|(known, _)| known == name).unwrap();
        let plan = plan(&opened.writer, &sql);
        for index in *indexes {
            assert!(
                plan.iter().any(|step| step.contains(index)),
                "{name}, {index}: {plan:#?}"
            );
        }
        assert!(
            !plan
                .iter()
                .any(|step| IN_ORDER.contains(name) && step.contains("ORDER BY")),
            "{plan:#?}"
        );
    }
}

/// Whatever filters come together, jobs are found by an index that begins where the page does. Rows that are not on the page
/// are read only of the newest jobs, and of those of an alert. But for a text that is looked for, which every job may have.
#[tokio::test]
async fn a_list_of_jobs_with_any_filters_is_found_by_indexes() {
    let (_folder, opened) = opened().await;
    for set in 0_u32..1 << filters().len() {
        let mut filter = JobFilter::default();
        for (place, (_, add)) in filters().iter().enumerate() {
            if set >> place & 1 == 1 {
                add(&mut filter);
            }
        }
        for place in [None, Some((7, "id".to_owned()))] {
            let is_deep = place.is_some();
            for Question { sql, .. } in questions(&filter, 51, place, false) {
                let plan = plan(&opened.writer, &sql);
                assert_plan_of_list(&filter, is_deep || filter.until.is_some(), &plan);
            }
        }
    }
}

#[tokio::test]
async fn a_text_is_looked_for_without_a_look_at_every_job() {
    let (_folder, opened) = opened().await;
    for (_, add) in filters() {
        let mut filter = JobFilter {
            q: two(),
            ..JobFilter::default()
        };
        add(&mut filter);
        let places = [None, Some((7, "id".to_owned()))];
        for (place, is_indexed) in places
            .into_iter()
            .flat_map(|place| [(place.clone(), false), (place, true)])
        {
            let questions = questions(&filter, 51, place, is_indexed);
            for Question { sql, .. } in &questions {
                let plan = plan(&opened.writer, sql);
                // The newest jobs are read in the order of their index, and no more of them than are looked at.
                let all = |step: &&String| step.starts_with("SCAN jobs") && !step.ends_with("jobs_by_creation");
                assert_eq!(plan.iter().find(all), None, "{filter:?}: {plan:#?}");
                assert!(!plan.iter().any(|step| step.starts_with("SCAN labelled")), "{plan:#?}");
            }
            let newest = |question: &&Question| {
                let reads_rows = question.sql.contains("INDEXED BY jobs_by_creation");
                // Where the newer ones end is told by the index alone.
                reads_rows && !question.sql.contains("WITH edge")
            };
            assert!(questions.iter().filter(newest).count() <= 1, "{filter:?}");
        }
    }
}

fn assert_plan_of_list(filter: &JobFilter, is_deep: bool, plan: &[String]) {
    let of_jobs: Vec<&String> = plan.iter().filter(|step| step.contains(" jobs ")).collect();
    let (page, found) = of_jobs.split_last().unwrap();
    assert_eq!(
        *page, "SEARCH jobs USING INDEX sqlite_autoindex_jobs_1 (id=?)",
        "{plan:#?}"
    );
    let index = match (filter.fingerprint.is_empty(), filter.target.is_empty()) {
        (false, _) => "SEARCH jobs USING INDEX jobs_by_fingerprint (fingerprint=?",
        (true, false) => "SEARCH jobs USING COVERING INDEX jobs_by_target (target=?",
        (true, true) => "INDEX jobs_by_",
    };
    assert!(
        found.iter().all(|step| step
            .replace("COVERING INDEX jobs_by_f", "INDEX jobs_by_f")
            .contains(index)),
        "{filter:?}: {plan:#?}"
    );
    // A page in the middle of the history begins there, and ends where the filter does.
    let bounds = [
        (is_deep, ["created_at<?", "(created_at,id)<(?,?)"]),
        (filter.since.is_some(), ["created_at>?"; 2]),
    ];
    for bound in bounds.iter().filter(|(is_there, _)| *is_there).map(|(_, bound)| bound) {
        let begins = |step: &&String| bound.iter().any(|bound| step.contains(bound));
        assert!(found.iter().all(begins), "{filter:?}: {plan:#?}");
    }
    let steps = plan
        .iter()
        .filter(|step| step.starts_with("SCAN ") && !step.contains(" jobs "));
    for step in steps {
        let few = [
            "SCAN kind",
            "SCAN found",
            "SCAN listed",
            "SCAN (subquery",
            "VALUES CLAUSE",
        ];
        assert!(few.iter().any(|few| step.contains(few)), "{step}: {plan:#?}");
    }
}

type Add = fn(&mut JobFilter);

fn filters() -> [(&'static str, Add); 10] {
    [
        ("status", |jobs| {
            jobs.status = vec![JobStatus::Failed, JobStatus::Succeeded];
        }),
        ("reason", |jobs| jobs.reason = vec![Reason::Healed]),
        ("playbook", |jobs| jobs.playbook = two()),
        ("route", |jobs| jobs.route = two()),
        ("target", |jobs| jobs.target = two()),
        ("alertname", |jobs| jobs.alertname = two()),
        ("fingerprint", |jobs| jobs.fingerprint = two()),
        ("trigger", |jobs| jobs.trigger = vec![Trigger::Alert]),
        ("since", |jobs| jobs.since = Some(Timestamp::from_micros(1))),
        ("until", |jobs| jobs.until = Some(Timestamp::from_micros(9))),
    ]
}

fn two() -> Vec<String> {
    vec!["a".to_owned(), "b".to_owned()]
}
