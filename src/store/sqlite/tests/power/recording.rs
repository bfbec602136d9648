//! What a process did to the files of a folder, and what it said meanwhile, as strace(1) saw it.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

/// The calls that change files, or say that changes are to stay, or tell others.
pub(super) const CALLS: &str = "trace=openat,pwrite64,pwritev,write,writev,lseek,ftruncate,fallocate,fsync,fdatasync,\
                                rename,renameat,renameat2,unlink,unlinkat";

/// One of them, in the order in which they happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Call {
    Create(PathBuf),
    Write {
        file: PathBuf,
        at: usize,
        bytes: Vec<u8>,
    },
    Truncate {
        file: PathBuf,
        length: usize,
    },
    /// What was written before is to stay from `SyncEnds` on. `number` ties the two together.
    SyncBegins {
        path: PathBuf,
        number: usize,
    },
    SyncEnds {
        number: usize,
    },
    Remove(PathBuf),
    Say(String),
}

/// Reads the recording. Files beside the folder, and memory that processes share by way of a file, are left out.
pub(super) fn read(recording: &str, folder: &Path) -> Vec<Call> {
    let mut reader = Reader {
        folder,
        positions: HashMap::new(),
        begun: HashMap::new(),
        syncs: 0,
        calls: Vec::new(),
    };
    recording.lines().for_each(|line| reader.line(line));
    reader.calls
}

struct Reader<'a> {
    folder: &'a Path,
    /// Where `write` writes, by descriptor.
    positions: HashMap<String, usize>,
    /// What a thread is in the middle of.
    begun: HashMap<&'a str, (String, Option<usize>)>,
    syncs: usize,
    calls: Vec<Call>,
}

impl<'a> Reader<'a> {
    /// `PID call(arguments) = result`, or that in two halves.
    fn line(&mut self, line: &'a str) {
        let Some((pid, rest)) = line.split_once(' ') else {
            return;
        };
        let rest = rest.trim_start();
        if let Some(resumed) = rest.strip_prefix("<... ") {
            let Some((call, number)) = self.begun.remove(pid) else {
                return;
            };
            let (_, end) = resumed.split_once("resumed>").unwrap();
            self.ends(&format!("{call}{end}"), number);
        } else if let Some(begun) = rest.strip_suffix(" <unfinished ...>") {
            let number = self.begins(begun);
            self.begun.insert(pid, (begun.to_owned(), number));
        } else if rest.contains('(') {
            let number = self.begins(rest);
            self.ends(rest, number);
        }
    }

    /// What counts from its beginning on: writes may have been done by then, and words heard.
    fn begins(&mut self, call: &str) -> Option<usize> {
        let (name, arguments) = call.split_once('(')?;
        let (descriptor, path) = descriptor(arguments)?;
        let words: Vec<&str> = arguments.split(", ").collect();
        if name == "write" && descriptor == "1" {
            let said = String::from_utf8_lossy(&text(words[1])).into_owned();
            self.calls.push(Call::Say(said));
            return None;
        }
        let file = self.own(&path)?;
        match name {
            "pwrite64" => {
                let at = number(words[3]);
                self.calls.push(Call::Write {
                    file,
                    at,
                    bytes: text(words[1]),
                });
            }
            "write" => {
                let bytes = text(words[1]);
                let at = self.positions.entry(descriptor).or_default();
                let call = Call::Write { file, at: *at, bytes };
                *at += number(words[2]);
                self.calls.push(call);
            }
            "ftruncate" => self.calls.push(Call::Truncate {
                file,
                length: number(words[1]),
            }),
            "fsync" | "fdatasync" => {
                self.syncs += 1;
                self.calls.push(Call::SyncBegins {
                    path: file,
                    number: self.syncs,
                });
                return Some(self.syncs);
            }
            "writev" | "pwritev" | "fallocate" => panic!("not known to the recording: {name}"),
            _ => {}
        }
        None
    }

    fn ends(&mut self, call: &str, begun: Option<usize>) {
        let Some((call, result)) = call.rsplit_once(" = ") else {
            return;
        };
        let Some((name, arguments)) = call.split_once('(') else {
            return;
        };
        if result.starts_with('-') {
            return;
        }
        let named = || arguments.split(", ").map(text).filter(|name| !name.is_empty());
        let path = || {
            named()
                .next()
                .map(|name| PathBuf::from(String::from_utf8(name).unwrap()))
        };
        match name {
            "openat" => {
                let (descriptor, opened) = descriptor(result).unwrap();
                self.positions.insert(descriptor, 0);
                if arguments.contains("O_CREAT")
                    && let Some(file) = self.own(&opened)
                {
                    self.calls.push(Call::Create(file));
                }
            }
            "lseek" => {
                let (descriptor, _) = descriptor(arguments).unwrap();
                self.positions.insert(descriptor, number(result));
            }
            "fsync" | "fdatasync" => self.calls.extend(begun.map(|number| Call::SyncEnds { number })),
            "unlink" | "unlinkat" => {
                let removed = path().and_then(|path| self.own(&path));
                self.calls.extend(removed.map(Call::Remove));
            }
            "rename" | "renameat" | "renameat2" if path().is_some_and(|path| self.own(&path).is_some()) => {
                panic!("not known to the recording: {call}")
            }
            _ => {}
        }
    }

    /// The file or the folder itself, if it is one that a power loss could change.
    fn own(&self, path: &Path) -> Option<PathBuf> {
        let is_own = path.starts_with(self.folder) && !path.to_string_lossy().ends_with("-shm");
        is_own.then(|| path.to_owned())
    }
}

/// Of `12</path>`, with the path in hexadecimal.
fn descriptor(arguments: &str) -> Option<(String, PathBuf)> {
    let (descriptor, rest) = arguments.split_once('<')?;
    let (path, _) = rest.split_once('>')?;
    let path = String::from_utf8(hexadecimal(path)).ok()?;
    Some((descriptor.to_owned(), PathBuf::from(path)))
}

/// Of `"\x61\x62"`; nothing of anything else.
fn text(argument: &str) -> Vec<u8> {
    let quoted = argument
        .trim_end_matches(')')
        .strip_prefix('"')
        .and_then(|rest| rest.strip_suffix('"'));
    quoted.map(hexadecimal).unwrap_or_default()
}

fn hexadecimal(text: &str) -> Vec<u8> {
    hex::decode(text.replace("\\x", "")).unwrap_or_default()
}

fn number(text: &str) -> usize {
    let digits = text.split(|letter: char| !letter.is_ascii_digit()).next().unwrap();
    digits.parse().unwrap_or_else(|_| panic!("no number: {text:?}"))
}

#[test]
fn a_recording_is_read_as_it_happened() {
    let hex = |text: &str| text.bytes().map(|byte| format!("\\x{byte:02x}")).collect::<String>();
    let (db, folder, pipe) = (hex("/d/a.db"), hex("/d"), "pipe:[7]");
    let recording = format!(
        "1 openat(AT_FDCWD<{folder}>, \"{db}\", O_RDWR|O_CREAT, 0600) = 3<{db}>\n\
         1 pwrite64(3<{db}>, \"{}\", 2, 4096 <unfinished ...>\n\
         2 write(1<{pipe}>, \"{}\", 2) = 2\n\
         1 <... pwrite64 resumed>) = 2\n\
         1 fdatasync(3<{db}> <unfinished ...>\n\
         2 ftruncate(3<{db}>, 10) = 0\n\
         1 <... fdatasync resumed>) = 0\n\
         1 fsync(4<{folder}>) = -1 EIO (Input/output error)\n\
         1 pwrite64(5<{}>, \"{}\", 2, 0) = 2\n\
         1 lseek(3<{db}>, 7, SEEK_SET) = 7\n\
         1 write(3<{db}>, \"{}\", 1) = 1\n\
         1 unlink(\"{db}\") = 0\n",
        hex("ab"),
        hex("me"),
        hex("/d/a.db-shm"),
        hex("xx"),
        hex("c")
    );
    let file = || PathBuf::from("/d/a.db");
    let calls = vec![
        Call::Create(file()),
        Call::Write {
            file: file(),
            at: 4096,
            bytes: b"ab".to_vec(),
        },
        Call::Say("me".to_owned()),
        Call::SyncBegins {
            path: file(),
            number: 1,
        },
        Call::Truncate {
            file: file(),
            length: 10,
        },
        Call::SyncEnds { number: 1 },
        Call::SyncBegins {
            path: PathBuf::from("/d"),
            number: 2,
        },
        Call::Write {
            file: file(),
            at: 7,
            bytes: b"c".to_vec(),
        },
        Call::Remove(file()),
    ];
    assert_eq!(read(&recording, Path::new("/d")), calls);
}
