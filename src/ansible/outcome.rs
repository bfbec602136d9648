//! Judges how a run ended. Pure: takes what is known, reads nothing.
//!
//! Exit codes alone say too little: 4 means unreachable hosts or a playbook that does not parse, and 0 also that no host
//! matched. So the hosts' counts come first.

use std::collections::BTreeSet;

use crate::ansible::events::Summary;
use crate::ansible::rundir::{How, Status, StopKind};
use crate::domain::attempt::Outcome;
use crate::domain::host_stats::Recap;

/// How much of the log's end to hand over.
pub const TAIL_BYTES: usize = 64 << 10;

const MESSAGE_BYTES: usize = 4096;
const MOST_NAMES: usize = 10;

const SIGKILL: i32 = 9;

/// ansible-core 2.16 to 2.19 raise the first before any play begins; the second is older and still in collections.
const NO_HOSTS: [&str; 2] = ["leaves us with no hosts to target", "--limit does not match any hosts"];

/// The outcome, and a sentence about it. `status` is `None` for a run that vanished; `tail` is the end of its log.
pub fn judge(status: Option<&Status>, summary: &Summary, tail: &[u8]) -> (Outcome, Option<String>) {
    let Some(status) = status else {
        let message = "the run vanished: its machine or its host process died";
        return (Outcome::Lost, Some(message.to_owned()));
    };
    if let How::StartFailed { message } = &status.how {
        return (Outcome::StartFailed, Some(message.clone()));
    }
    if let Some(stop) = &status.stopped {
        return match stop.kind {
            StopKind::TimeLimit => (Outcome::TimedOut, Some("the time limit was over".to_owned())),
            StopKind::Cancel | StopKind::Resolved | StopKind::Shutdown => (
                Outcome::Canceled,
                Some(format!("stopped by {} ({})", stop.by, stop.kind.as_str())),
            ),
        };
    }
    match status.how {
        How::Exited { code } if status.log_lost > 0 && summary.recap.is_none() => {
            let (outcome, message) = judge_exit(code, summary, tail);
            let lost = status.log_lost;
            let full = format!("the disk was full: {lost} bytes of the log, and what became of the hosts, are lost");
            (
                outcome,
                Some(message.map_or_else(|| full.clone(), |message| cut(&format!("{message}; {full}")))),
            )
        }
        How::Exited { code } => judge_exit(code, summary, tail),
        How::Signaled { signal } => {
            let mut message = format!("ansible-playbook was ended by {}", signal_name(signal));
            if signal == SIGKILL {
                message.push_str(", as the kernel does when memory is short");
            }
            (Outcome::PlaybookError, Some(message))
        }
        How::StartFailed { .. } | How::NotStarted => (Outcome::Canceled, None),
    }
}

fn judge_exit(code: i32, summary: &Summary, tail: &[u8]) -> (Outcome, Option<String>) {
    let text = plain_text(tail);
    let Some(recap) = &summary.recap else {
        return judge_without_recap(code, &text);
    };
    let failed = hosts_where(recap, |stats| stats.failed > 0);
    let unreachable = hosts_where(recap, |stats| stats.unreachable > 0);
    if !failed.is_empty() {
        let all: BTreeSet<&str> = failed.iter().chain(&unreachable).copied().collect();
        return (Outcome::HostsFailed, Some(about_hosts("failed on", &all, summary)));
    }
    if !unreachable.is_empty() {
        return (
            Outcome::HostsUnreachable,
            Some(about_hosts("could not reach", &unreachable, summary)),
        );
    }
    if code != 0 {
        let message = error_text(&text).unwrap_or_else(|| format!("ansible-playbook exited with {code}"));
        return (Outcome::PlaybookError, Some(message));
    }
    if recap.is_empty() {
        return (Outcome::NoHostsMatched, Some("no host matched".to_owned()));
    }
    (Outcome::Ok, None)
}

/// Ansible ended before its plays did.
fn judge_without_recap(code: i32, text: &str) -> (Outcome, Option<String>) {
    let error = error_text(text);
    if code != 0
        && NO_HOSTS
            .iter()
            .any(|words| error.as_deref().unwrap_or(text).contains(words))
    {
        return (
            Outcome::NoHostsMatched,
            Some("the limit matches no host of the inventory".to_owned()),
        );
    }
    let message = match (code, error) {
        (0, _) => "ansible-playbook ended well but reported no host results".to_owned(),
        (_, Some(error)) => error,
        (_, None) => {
            let message = format!("ansible-playbook exited with {code} and reported no host results");
            // A Python that lacks something says so there.
            let last = text.lines().map(str::trim).rfind(|line| !line.is_empty());
            match last {
                Some(line) => cut(&format!("{message}: {line}")),
                None => message,
            }
        }
    };
    (Outcome::PlaybookError, Some(message))
}

fn hosts_where(recap: &Recap, holds: impl Fn(&crate::domain::host_stats::HostStats) -> bool) -> BTreeSet<&str> {
    let hosts = recap.iter().filter(|(_, stats)| holds(stats));
    hosts.map(|(host, _)| host.as_str()).collect()
}

fn about_hosts(what: &str, hosts: &BTreeSet<&str>, summary: &Summary) -> String {
    let mut message = format!(
        "{what} {}",
        hosts.iter().copied().take(MOST_NAMES).collect::<Vec<_>>().join(", ")
    );
    if hosts.len() > MOST_NAMES {
        message.push_str(&format!(" and {} more", hosts.len() - MOST_NAMES));
    }
    if let Some(failure) = &summary.first_failure {
        message.push_str(&format!(": {} on {}", failure.task, failure.host));
        if let Some(detail) = &failure.message {
            message.push_str(&format!(": {detail}"));
        }
    }
    cut(&message)
}

fn plain_text(tail: &[u8]) -> String {
    String::from_utf8_lossy(&strip_ansi_escapes::strip(tail)).into_owned()
}

/// What Ansible says went wrong: from its last line that begins with ERROR (2.16 writes `ERROR!`, 2.19 `[ERROR]:`) on.
fn error_text(text: &str) -> Option<String> {
    let mut start = None;
    let mut position = 0;
    for line in text.split_inclusive('\n') {
        if line.starts_with("ERROR!") || line.starts_with("[ERROR]") {
            start = Some(position);
        }
        position += line.len();
    }
    let error = text[start?..].trim();
    (!error.is_empty()).then(|| cut(error))
}

fn cut(text: &str) -> String {
    if text.len() <= MESSAGE_BYTES {
        return text.to_owned();
    }
    let end = (0..=MESSAGE_BYTES - 3).rev().find(|end| text.is_char_boundary(*end));
    format!("{}…", &text[..end.unwrap_or(0)])
}

fn signal_name(signal: i32) -> String {
    let names = [
        (1, "SIGHUP"),
        (2, "SIGINT"),
        (3, "SIGQUIT"),
        (4, "SIGILL"),
        (6, "SIGABRT"),
        (7, "SIGBUS"),
        (8, "SIGFPE"),
        (9, "SIGKILL"),
        (11, "SIGSEGV"),
        (13, "SIGPIPE"),
        (15, "SIGTERM"),
    ];
    let known = names.iter().find(|(number, _)| *number == signal);
    known.map_or_else(
        || format!("signal {signal}"),
        |(number, name)| format!("signal {number} ({name})"),
    )
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::ansible::events::Failure;
    use crate::ansible::rundir::Stop;
    use crate::domain::host_stats::HostStats;
    use crate::domain::timestamp::Timestamp;

    fn status(how: How) -> Status {
        Status {
            how,
            stopped: None,
            started_at: Timestamp::from_micros(0),
            finished_at: Timestamp::from_micros(0),
            took: Some(Duration::from_millis(1_500)),
            log_bytes: 0,
            log_truncated: false,
            log_lost: 0,
            killed: Vec::new(),
            start: None,
        }
    }

    fn exited(code: i32, recap: Option<&[(&str, u64, u64)]>, tail: &str) -> (Outcome, Option<String>) {
        let recap = recap.map(|hosts| {
            let stats = |failed, unreachable| HostStats {
                ok: 1,
                failed,
                unreachable,
                ..HostStats::default()
            };
            hosts
                .iter()
                .map(|(host, f, u)| ((*host).to_owned(), stats(*f, *u)))
                .collect()
        });
        let summary = Summary {
            recap,
            first_failure: Some(Failure {
                host: "web2".into(),
                task: "restart".into(),
                message: Some("no such service".into()),
            }),
        };
        judge(Some(&status(How::Exited { code })), &summary, tail.as_bytes())
    }

    #[test]
    fn well_is_only_what_ended_well_on_some_host() {
        assert_eq!(exited(0, Some(&[("web1", 0, 0)]), ""), (Outcome::Ok, None));
        assert_eq!(exited(0, Some(&[]), "").0, Outcome::NoHostsMatched);
        let (outcome, message) = exited(0, None, "");
        assert_eq!(outcome, Outcome::PlaybookError);
        assert!(message.unwrap().contains("reported no host results"));
    }

    #[test]
    fn what_a_python_said_last_is_told() {
        let trace = "Traceback (most recent call last):\n  File \"x\", line 1\nModuleNotFoundError: No module named 'ansible'\n\n";
        let (outcome, message) = exited(1, None, trace);
        assert_eq!(outcome, Outcome::PlaybookError);
        assert_eq!(
            message.unwrap(),
            "ansible-playbook exited with 1 and reported no host results: ModuleNotFoundError: No module named 'ansible'"
        );
    }

    #[test]
    fn failed_and_unreachable_together_are_failed() {
        let (outcome, message) = exited(4, Some(&[("web1", 0, 1), ("web2", 1, 0), ("web3", 0, 0)]), "");
        assert_eq!(outcome, Outcome::HostsFailed);
        assert_eq!(
            message.unwrap(),
            "failed on web1, web2: restart on web2: no such service"
        );
        assert_eq!(exited(4, Some(&[("web1", 0, 1)]), "").0, Outcome::HostsUnreachable);
    }

    #[test]
    fn a_limit_that_matches_nothing_is_known_by_its_words() {
        for words in [
            "[WARNING]: Could not match supplied host pattern, ignoring: web9\n[ERROR]: Specified inventory, host pattern and/or --limit leaves us with no hosts to target.\n",
            "\u{1b}[0;31mERROR! Specified inventory, host pattern and/or --limit leaves us with no hosts to target.\u{1b}[0m\n",
            "ERROR! Specified hosts and/or --limit does not match any hosts\n",
        ] {
            assert_eq!(exited(1, None, words).0, Outcome::NoHostsMatched, "{words}");
        }
    }

    #[test]
    fn an_error_is_told_in_ansibles_words() {
        let tail = "x\n\u{1b}[0;31mERROR! couldn't resolve module/action 'nope'.\n\nThe error appears to be in '/x.yml'\u{1b}[0m\n";
        let (outcome, message) = exited(4, None, tail);
        assert_eq!(outcome, Outcome::PlaybookError);
        assert_eq!(
            message.unwrap(),
            "ERROR! couldn't resolve module/action 'nope'.\n\nThe error appears to be in '/x.yml'"
        );
    }

    #[test]
    fn a_task_that_prints_the_words_does_not_make_a_limit_match_nothing() {
        let (outcome, _) = exited(
            250,
            None,
            "leaves us with no hosts to target\nERROR! Unexpected Exception, boom\n",
        );
        assert_eq!(outcome, Outcome::PlaybookError);
    }

    #[test]
    fn stops_signals_and_losses_have_their_own_outcomes() {
        let none = Summary::default();
        let stopped = |kind| Status {
            stopped: Some(Stop {
                by: "alice".into(),
                kind,
                at: Timestamp::from_micros(0),
            }),
            ..status(How::Exited { code: 99 })
        };
        assert_eq!(
            judge(Some(&stopped(StopKind::TimeLimit)), &none, b"").0,
            Outcome::TimedOut
        );
        let (outcome, message) = judge(Some(&stopped(StopKind::Cancel)), &none, b"");
        assert_eq!(
            (outcome, message.as_deref()),
            (Outcome::Canceled, Some("stopped by alice (cancel)"))
        );
        let (outcome, message) = judge(Some(&status(How::Signaled { signal: 9 })), &none, b"");
        assert_eq!(outcome, Outcome::PlaybookError);
        assert_eq!(
            message.unwrap(),
            "ansible-playbook was ended by signal 9 (SIGKILL), as the kernel does when memory is short"
        );
        assert_eq!(judge(None, &none, b"").0, Outcome::Lost);
        let start_failed = How::StartFailed {
            message: "cannot start x".into(),
        };
        assert_eq!(judge(Some(&status(start_failed)), &none, b"").0, Outcome::StartFailed);
    }

    #[test]
    fn a_long_message_is_cut() {
        let (_, message) = exited(1, None, &format!("ERROR! {}", "é".repeat(5_000)));
        assert!(message.unwrap().len() <= MESSAGE_BYTES);
    }
}
