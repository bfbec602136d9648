//! The texts of rows: JSON as the gateway writes it, and what Ansible prints. Knows no tables.

use std::fmt::Write as _;

use super::fleet::{Dice, ROUTES, Route, fingerprint, instance};
use super::story::{Attempt, Story};

/// What a playbook does, with how often of a thousand it changes something.
const TASKS: [(&str, &str, u64); 5] = [
    ("Gathering Facts", "gather_facts", 0),
    ("Restart it", "ansible.builtin.systemd_service", 950),
    ("Look at what it has written", "ansible.builtin.stat", 0),
    ("Wait until it answers", "ansible.builtin.uri", 0),
    ("Remove old files", "ansible.builtin.file", 300),
];

/// RFC 3339, with microseconds.
pub(super) fn rfc3339(micros: i64) -> String {
    let (days, rest) = (micros.div_euclid(86_400_000_000), micros.rem_euclid(86_400_000_000));
    let (year, month, day) = date(days);
    let (seconds, fraction) = (rest / 1_000_000, rest % 1_000_000);
    format!(
        "{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}.{fraction:06}Z",
        seconds / 3_600,
        seconds / 60 % 60,
        seconds % 60
    )
}

/// The date so many days after 1970-01-01: Howard Hinnant's `civil_from_days`.
const fn date(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468;
    let era = days.div_euclid(146_097);
    let of_era = days.rem_euclid(146_097);
    let year = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    (year + era * 400 + (month <= 2) as i64, month, day)
}

pub(super) fn labels(story: &Story) -> String {
    let Route { alertname, job, .. } = ROUTES[story.route];
    let severity = if story.host.is_multiple_of(3) {
        "critical"
    } else {
        "warning"
    };
    let team = ["platform", "shop", "search", "payment"][usize::try_from(story.host % 4).unwrap_or(0)];
    format!(
        r#"{{"alertname":"{alertname}","instance":"{}","job":"{job}","severity":"{severity}","team":"{team}"}}"#,
        instance(story.host)
    )
}

pub(super) fn annotations(story: &Story) -> String {
    let Route { alertname, job, .. } = ROUTES[story.route];
    format!(
        r#"{{"description":"{} has not been well for two minutes.","runbook_url":"https://runbooks.example/{job}/{}","summary":"{alertname} on {job}"}}"#,
        instance(story.host),
        alertname.to_lowercase()
    )
}

pub(super) fn generator_url(story: &Story) -> String {
    format!(
        "http://prometheus.example/graph?g0.expr={}+%3E+0&g0.tab=1",
        ROUTES[story.route].job
    )
}

/// As a job keeps it.
pub(super) fn alert(story: &Story) -> String {
    format!(
        r#"{{"status":"firing","labels":{},"annotations":{},"starts_at":"{}","ends_at":null,"fingerprint":"{}","generator_url":"{}"}}"#,
        labels(story),
        annotations(story),
        rfc3339(story.starts_at),
        fingerprint(story.route, story.host),
        generator_url(story)
    )
}

pub(super) fn group_key(story: &Story) -> String {
    format!(r#"{{}}:{{alertname="{}"}}"#, ROUTES[story.route].alertname)
}

pub(super) fn group(story: &Story) -> String {
    let alertname = ROUTES[story.route].alertname;
    format!(
        r#"{{"group_key":"{{}}:{{alertname=\"{alertname}\"}}","receiver":"healgate","common_labels":{{"alertname":"{alertname}"}},"common_annotations":{{}},"external_url":"http://alertmanager.example"}}"#
    )
}

pub(super) fn parameters(story: &Story) -> String {
    let Route { playbook, job, .. } = ROUTES[story.route];
    format!(
        r#"{{"path":"playbooks/{playbook}.yml","inventory":"inventory/production.yml","limit":null,"vars":{{"instance":"{}","service":"{job}"}},"tags":[],"check":false,"verbosity":0,"timeout":"10m","playbook_sha256":"15e44d7cfd13f3cfb3fd5b04d3d85a7f464ba7f469f1d21314a57f227f19e670"}}"#,
        instance(story.host)
    )
}

/// A notification as Alertmanager sends it.
pub(super) fn body(stories: &[Story], ended_at: Option<i64>) -> String {
    let status = if ended_at.is_some() { "resolved" } else { "firing" };
    let ends_at = ended_at.map_or_else(|| "0001-01-01T00:00:00Z".to_owned(), rfc3339);
    let alerts = stories.iter().map(|story| {
        format!(
            r#"{{"status":"{status}","labels":{},"annotations":{},"startsAt":"{}","endsAt":"{ends_at}","generatorURL":"{}","fingerprint":"{}"}}"#,
            labels(story),
            annotations(story),
            rfc3339(story.starts_at),
            generator_url(story),
            fingerprint(story.route, story.host)
        )
    });
    let alerts = alerts.collect::<Vec<_>>().join(",");
    let alertname = ROUTES[stories[0].route].alertname;
    format!(
        r#"{{"receiver":"healgate","status":"{status}","alerts":[{alerts}],"groupLabels":{{"alertname":"{alertname}"}},"commonLabels":{{"alertname":"{alertname}"}},"commonAnnotations":{{}},"externalURL":"http://alertmanager.example","version":"4","groupKey":"{{}}:{{alertname=\"{alertname}\"}}","truncatedAlerts":0}}"#
    )
}

/// What Ansible did on the host: one result a task.
pub(super) fn tasks(story: &Story, attempt: &Attempt, dice: &mut Dice) -> Vec<String> {
    let Route { playbook, .. } = ROUTES[story.route];
    let host = instance(story.host);
    let all = TASKS.iter().enumerate().map(|(place, (task, action, changes))| {
        let is_last = place + 1 == done(attempt);
        let status = match attempt.outcome {
            "hosts_failed" | "timed_out" if is_last => "failed",
            "hosts_unreachable" => "unreachable",
            _ if dice.chance(*changes) => "changed",
            _ => "ok",
        };
        let message = match status {
            "failed" => r#""non-zero return code""#,
            "unreachable" => r#""Failed to connect to the host via ssh: Connection timed out""#,
            _ => "null",
        };
        let micros = dice.below(900_000);
        format!(
            r#"{{"play":"{playbook}","task":"{task}","path":"/etc/healgate/playbooks/{playbook}.yml:{}","host":"{host}","action":"{action}","status":"{status}","started_at":"{}","seconds":0.{micros:06},"message":{message},"items":null,"diff":null}}"#,
            place * 4 + 5,
            rfc3339(attempt.started_at)
        )
    });
    all.take(done(attempt)).collect()
}

/// How many tasks came to their end.
fn done(attempt: &Attempt) -> usize {
    match attempt.outcome {
        "ok" => 2 + usize::try_from(attempt.started_at % 3).unwrap_or(0),
        "hosts_failed" | "timed_out" => 1 + usize::try_from(attempt.started_at % 3).unwrap_or(0),
        "hosts_unreachable" => 1,
        _ => 0,
    }
}

pub(super) fn host_stats(story: &Story, attempt: &Attempt) -> String {
    let host = instance(story.host);
    let (failed, unreachable) = match attempt.outcome {
        "ok" => (0, 0),
        "hosts_failed" | "timed_out" => (1, 0),
        "hosts_unreachable" => (0, 1),
        _ => return "{}".to_owned(),
    };
    format!(
        r#"{{"{host}":{{"ok":{},"changed":1,"unreachable":{unreachable},"failed":{failed},"skipped":0,"rescued":0,"ignored":0}}}}"#,
        done(attempt)
    )
}

/// What the run printed, in colour.
pub(super) fn log(story: &Story, attempt: &Attempt, dice: &mut Dice) -> String {
    let Route { playbook, .. } = ROUTES[story.route];
    let host = instance(story.host);
    let mut log = format!("\nPLAY [{playbook}] {}\n", "*".repeat(70 - playbook.len()));
    for (task, _, changes) in TASKS.iter().take(done(attempt)) {
        let _ = writeln!(log, "\nTASK [{task}] {}", "*".repeat(70 - task.len()));
        if dice.chance(*changes) {
            let _ = writeln!(log, "\u{1b}[0;33mchanged: [{host}]\u{1b}[0m");
        } else {
            let _ = writeln!(log, "\u{1b}[0;32mok: [{host}]\u{1b}[0m");
        }
    }
    // Some playbooks print what they have found.
    for line in 0..dice.below(8).pow(2) {
        let _ = writeln!(
            log,
            "\u{1b}[0;32m    \"{:08x} systemd[{}]: {task}: Main process exited, code=exited, status={line}\",\u{1b}[0m",
            dice.below(1 << 32),
            dice.below(32_768),
            task = ROUTES[story.route].job
        );
    }
    let _ = writeln!(
        log,
        "\nPLAY RECAP {}\n\u{1b}[0;33m{host}\u{1b}[0m : \u{1b}[0;32mok={}\u{1b}[0m changed=1 unreachable=0 failed=0\n",
        "*".repeat(69),
        done(attempt)
    );
    log
}

/// A line of a log without end.
pub(super) fn line(dice: &mut Dice) -> String {
    format!(
        "\u{1b}[0;32mok: [web{}.example] => (item=/srv/archive/{:04}/part-{:05}.tar.zst)\u{1b}[0m\n",
        dice.below(2_000),
        dice.below(400),
        dice.below(100_000)
    )
}
