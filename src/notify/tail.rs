//! The last lines of a job's log, as people can read them. What had to be masked was masked before it was stored.

use crate::domain::attempt::Attempt;
use crate::domain::job::{Job, Reason};
use crate::notify::text::{cut, is_plain};
use crate::store::{Store, StoreError};

/// How much of the log's end is looked at.
const BYTES: u64 = 16 << 10;

/// How many lines are shown, and how much of each.
const LINES: usize = 20;
const LINE_CHARS: usize = 300;

/// The end of the log of the job's last run; empty where there is none. One that cannot be read is no reason to tell
/// nobody.
pub(super) async fn of(store: &dyn Store, job: &Job) -> String {
    // What was not run has no log; that of an attempt before it would be taken for its own.
    let attempt = job.attempts.last();
    let Some(attempt) = attempt.filter(|_| job.reason != Some(Reason::PreconditionFailed)) else {
        return String::new();
    };
    read(store, job, attempt).await.unwrap_or_else(|error| {
        tracing::warn!(job.id = %job.id, %error, "failed to read a log for a message");
        String::new()
    })
}

async fn read(store: &dyn Store, job: &Job, attempt: &Attempt) -> Result<String, StoreError> {
    let end = store.log_head(job.id, attempt.number).await?.bytes;
    let begin = end.saturating_sub(BYTES);
    let mut bytes = Vec::new();
    while begin + (bytes.len() as u64) < end {
        let offset = begin + bytes.len() as u64;
        let most = usize::try_from(end - offset).unwrap_or(usize::MAX);
        let more = store.read_log(job.id, attempt.number, offset, most).await?;
        if more.is_empty() {
            break;
        }
        bytes.extend(more);
    }
    Ok(last_lines(&bytes, begin > 0))
}

/// The last lines without terminal escapes. `is_cut`: the first line may have begun before.
fn last_lines(bytes: &[u8], is_cut: bool) -> String {
    // What takes escapes away takes these away, too.
    let text = String::from_utf8_lossy(bytes).replace('\t', "    ").replace('\r', "\n");
    let text = strip_ansi_escapes::strip_str(text);
    let mut lines: Vec<String> = text.split('\n').map(readable).collect();
    if is_cut && lines.len() > 1 {
        lines.remove(0);
    }
    let lines: Vec<String> = lines.into_iter().filter(|line| !line.is_empty()).collect();
    lines[lines.len().saturating_sub(LINES)..].join("\n")
}

fn readable(line: &str) -> String {
    let line: String = line.chars().filter(|char| is_plain(*char)).collect();
    cut(line.trim_end(), LINE_CHARS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_lines_are_shown_without_escapes_and_empty_lines() {
        let log = b"PLAY [x] ***\n\n\x1b[0;31mfatal: [web1]\x1b[0m:\tno\r\n\nPLAY RECAP\n";
        assert_eq!(last_lines(log, false), "PLAY [x] ***\nfatal: [web1]:    no\nPLAY RECAP");
    }

    #[test]
    fn a_line_whose_begin_is_cut_off_is_left_out_unless_it_is_all() {
        assert_eq!(last_lines(b"ing 1\nline 2\n", true), "line 2");
        assert_eq!(last_lines(b"one endless line", true), "one endless line");
        assert_eq!(last_lines(b"", false), "");
    }

    #[test]
    fn there_are_never_many_lines_nor_long_ones() {
        let many: String = (0..500).map(|number| format!("line {number}\n")).collect();
        let shown = last_lines(many.as_bytes(), false);
        assert_eq!(shown.lines().count(), LINES);
        assert!(shown.ends_with("line 499"));
        let long = last_lines("é".repeat(5_000).as_bytes(), false);
        assert_eq!(long.chars().count(), LINE_CHARS);
    }
}
