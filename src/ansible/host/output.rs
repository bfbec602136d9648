//! The log of a run: bytes as they come, the beginning live and the end kept when there is too much. Never fails and
//! never waits for a reader, as the playbook would wait too.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use crate::ansible::host::mask::Mask;

/// For what the host itself has to say.
const RESERVE: u64 = 4096;

/// Space that a log leaves free: Ansible keeps its own temporary files beside it, and fails without them.
const LEFT_FREE: u64 = 4 << 20;

/// How much is masked at once: a short secret that comes again and again makes it several times as long.
const MASK_AT_ONCE: usize = 64 << 10;

/// Writes `output.log`.
#[derive(Debug)]
pub(super) struct Output {
    file: File,
    dir: PathBuf,
    cap: u64,
    /// How many bytes are in the file.
    written: u64,
    /// What came after the head was full.
    tail: Option<Tail>,
    /// Bytes that could not be written.
    lost: u64,
    last: u8,
    /// Sees everything before it is written anywhere.
    mask: Option<Mask>,
}

/// What the log came to.
#[derive(Debug)]
pub(super) struct Totals {
    pub(super) bytes: u64,
    pub(super) truncated: bool,
    pub(super) lost: u64,
}

impl Output {
    pub(super) fn create(dir: &Path, cap: u64) -> io::Result<Self> {
        Ok(Self {
            file: private().open(dir.join("output.log"))?,
            dir: dir.to_path_buf(),
            cap,
            written: 0,
            tail: None,
            lost: 0,
            last: b'\n',
            mask: None,
        })
    }

    /// The same log without secrets.
    pub(super) fn masked(self, mask: Option<Mask>) -> Self {
        Self { mask, ..self }
    }

    fn tail_bytes(&self) -> u64 {
        (self.cap / 4).max(1)
    }

    fn head_bytes(&self) -> u64 {
        self.cap - self.tail_bytes().min(self.cap) - RESERVE.min(self.cap / 8)
    }

    /// Takes what the playbook said.
    pub(super) fn take(&mut self, bytes: &[u8]) {
        let Some(mut mask) = self.mask.take() else {
            return self.keep(bytes);
        };
        let mut masked = Vec::new();
        for part in bytes.chunks(MASK_AT_ONCE) {
            masked.clear();
            mask.push(part, &mut masked);
            self.keep(&masked);
        }
        self.mask = Some(mask);
    }

    fn keep(&mut self, bytes: &[u8]) {
        if !has_room(&self.file) {
            self.lost += bytes.len() as u64;
            return;
        }
        let room = self.head_bytes().saturating_sub(self.written + self.lost);
        let head = bytes.len().min(usize::try_from(room).unwrap_or(usize::MAX));
        self.append(&bytes[..head]);
        if head < bytes.len() {
            self.take_tail(&bytes[head..]);
        }
    }

    fn append(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            match self.file.write(bytes) {
                Ok(0) => break,
                Ok(count) => {
                    self.written += count as u64;
                    self.last = bytes[count - 1];
                    bytes = &bytes[count..];
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                // Most likely the disk is full: the playbook goes on, the log has a gap.
                Err(_) => break,
            }
        }
        self.lost += bytes.len() as u64;
    }

    fn take_tail(&mut self, bytes: &[u8]) {
        if self.tail.is_none() {
            self.tail = Tail::create(&self.dir, self.tail_bytes()).ok();
        }
        let Some(tail) = &mut self.tail else {
            self.lost += bytes.len() as u64;
            return;
        };
        let fitted = tail.left_out() == 0;
        self.lost += tail.take(bytes);
        if fitted && tail.left_out() > 0 {
            let kept = tail.size;
            self.line(&format!(
                "the output is longer than the log may be ({} bytes); only its last {kept} bytes follow, at the end",
                self.cap
            ));
        }
    }

    /// Adds a line of the host's own.
    fn line(&mut self, text: &str) {
        let gap = if self.last == b'\n' { "" } else { "\n" };
        let line = format!("{gap}healgate: {text}\n");
        self.append(line.as_bytes());
    }

    /// Completes the log with the end of what was left out and with these lines, and syncs it.
    pub(super) fn finish(mut self, lines: &[String]) -> Totals {
        if let Some(mut mask) = self.mask.take() {
            let mut rest = Vec::new();
            mask.finish(&mut rest);
            self.keep(&rest);
        }
        let mut truncated = false;
        if let Some(tail) = self.tail.take() {
            let left_out = tail.left_out();
            if left_out > 0 {
                truncated = true;
                self.line(&format!("{left_out} bytes are left out here"));
            }
            tail.replay(&mut |bytes| self.append(bytes));
        }
        for line in lines {
            self.line(line);
        }
        if self.lost > 0 {
            let lost = self.lost;
            self.line(&format!("{lost} bytes of the log could not be written"));
        }
        let _ = self.file.sync_data();
        Totals {
            bytes: self.written,
            truncated: truncated || self.lost > 0,
            lost: self.lost,
        }
    }
}

/// The last bytes of something long, in a file that is written round and round.
#[derive(Debug)]
struct Tail {
    file: File,
    size: u64,
    taken: u64,
}

impl Tail {
    fn create(dir: &Path, size: u64) -> io::Result<Self> {
        let path = dir.join("output.tail");
        let file = private().read(true).open(&path)?;
        // Nobody else needs it, and so it cannot be left behind.
        std::fs::remove_file(&path)?;
        Ok(Self { file, size, taken: 0 })
    }

    /// Answers with how many bytes could not be written.
    fn take(&mut self, bytes: &[u8]) -> u64 {
        let mut lost = 0;
        let mut rest = bytes;
        while !rest.is_empty() {
            let position = self.taken % self.size;
            let room = usize::try_from(self.size - position).unwrap_or(usize::MAX);
            let part = &rest[..rest.len().min(room)];
            if self.file.write_all_at(part, position).is_err() {
                lost += part.len() as u64;
            }
            self.taken += part.len() as u64;
            rest = &rest[part.len()..];
        }
        lost
    }

    fn left_out(&self) -> u64 {
        self.taken.saturating_sub(self.size)
    }

    fn replay(&self, write: &mut dyn FnMut(&[u8])) {
        let mut position = self.left_out();
        let mut buffer = vec![0; 64 << 10];
        while position < self.taken {
            let place = position % self.size;
            let most = (self.size - place).min(self.taken - position).min(buffer.len() as u64);
            let part = &mut buffer[..usize::try_from(most).unwrap_or(0)];
            match self.file.read_at(part, place) {
                Ok(read) if read > 0 => {
                    write(&part[..read]);
                    position += read as u64;
                }
                _ => return,
            }
        }
    }
}

fn has_room(file: &File) -> bool {
    let room = rustix::fs::fstatvfs(file).map(|disk| disk.f_bavail.saturating_mul(disk.f_frsize));
    // Where the disk does not tell, writing does.
    room.map_or(true, |room| room >= LEFT_FREE)
}

fn private() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true).mode(0o600);
    options
}

#[cfg(test)]
mod tests {
    use super::*;

    fn log_of(cap: u64, pieces: &[&[u8]], lines: &[&str]) -> (Vec<u8>, Totals) {
        log_without(&[], cap, pieces, lines)
    }

    fn log_without(secrets: &[&str], cap: u64, pieces: &[&[u8]], lines: &[&str]) -> (Vec<u8>, Totals) {
        let dir = tempfile::tempdir().unwrap();
        let secrets = secrets.iter().map(|secret| secret.as_bytes().to_vec()).collect();
        let output = Output::create(dir.path(), cap).unwrap();
        let mut output = output.masked(Mask::new(&secrets).unwrap());
        for piece in pieces {
            output.take(piece);
        }
        let lines: Vec<String> = lines.iter().map(|line| (*line).to_owned()).collect();
        let totals = output.finish(&lines);
        (std::fs::read(dir.path().join("output.log")).unwrap(), totals)
    }

    #[test]
    fn bytes_are_kept_as_they_come() {
        let (log, totals) = log_of(1 << 20, &[b"a\xff\x00", b"b"], &["stopped"]);
        assert_eq!(log, b"a\xff\x00b\nhealgate: stopped\n");
        assert_eq!((totals.bytes, totals.truncated), (log.len() as u64, false));
    }

    #[test]
    fn a_log_that_just_fits_is_not_cut() {
        let all = vec![b'x'; 80_000];
        let (log, totals) = log_of(100_000, &[&all[..79_000], &all[79_000..]], &[]);
        assert_eq!(log, all);
        assert!(!totals.truncated);
    }

    #[test]
    fn a_long_log_keeps_its_beginning_and_its_end() {
        let text: Vec<u8> = (0..40_000).flat_map(|n| format!("line {n}\n").into_bytes()).collect();
        let pieces: Vec<&[u8]> = text.chunks(7_777).collect();
        let (log, totals) = log_of(100_000, &pieces, &["over"]);
        let log = String::from_utf8(log).unwrap();
        assert!(log.starts_with("line 0\nline 1\n"));
        assert!(log.ends_with("line 39999\nhealgate: over\n"));
        assert!(log.contains("bytes are left out here\n"));
        assert!(log.len() <= 100_000 && totals.truncated, "{} bytes", log.len());
        assert_eq!(totals.bytes, log.len() as u64);
    }

    #[test]
    fn what_was_held_back_comes_before_the_last_words() {
        let (log, totals) = log_without(&["hunter2"], 1 << 20, &[b"x hun", b"ter2 hunt"], &["stopped"]);
        assert_eq!(log, b"x ****** hunt\nhealgate: stopped\n");
        assert_eq!(totals.bytes, log.len() as u64);
    }

    #[test]
    fn no_border_of_a_long_log_saves_a_secret() {
        let text: Vec<u8> = (0..40_000)
            .flat_map(|n| format!("{n} hunter2\n").into_bytes())
            .collect();
        for size in [7_777, 8_000, 9_001] {
            let pieces: Vec<&[u8]> = text.chunks(size).collect();
            let (log, totals) = log_without(&["hunter2"], 100_000, &pieces, &["over"]);
            let log = String::from_utf8(log).unwrap();
            assert!(totals.truncated && log.ends_with("39999 ******\nhealgate: over\n"));
            let leaks = ["hunte", "unter2", "nter2"].iter().filter(|part| log.contains(**part));
            assert_eq!(leaks.count(), 0);
        }
    }
}
