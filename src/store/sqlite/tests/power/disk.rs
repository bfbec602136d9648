//! A disk that keeps what was synced. Of the rest it keeps what it likes, also halves.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};

use super::recording::Call;

/// What a disk writes in one piece.
const SECTOR: usize = 512;

/// What became of what was not synced when the power went.
#[derive(Clone, Copy, Debug)]
pub(super) enum Loss {
    /// All of it is gone.
    All,
    /// None is: as after a kill.
    Nothing,
    /// Each sector of it, each length and each name may be gone. The number says which.
    Some(u64),
}

#[derive(Clone, Debug)]
enum Change {
    Write(usize, Vec<u8>),
    Truncate(usize),
}

/// A file, with what was not synced yet.
#[derive(Clone, Debug, Default)]
struct File {
    kept: Vec<u8>,
    pending: Vec<Change>,
}

/// Whether a name is there, as synced, and as seen by the process.
#[derive(Clone, Copy, Debug, Default)]
struct Name {
    kept: bool,
    seen: bool,
}

/// Follows a recording.
#[derive(Debug, Default)]
pub(super) struct Disk {
    files: BTreeMap<PathBuf, File>,
    names: BTreeMap<PathBuf, Name>,
    /// How much of the pending changes each sync under way will have kept.
    syncs: HashMap<usize, (PathBuf, usize)>,
}

impl Disk {
    pub(super) fn follow(&mut self, call: &Call) {
        match call {
            Call::Create(file) => self.names.entry(file.clone()).or_default().seen = true,
            Call::Remove(file) => self.names.entry(file.clone()).or_default().seen = false,
            Call::Write { file, at, bytes } => {
                self.file(file).pending.push(Change::Write(*at, bytes.clone()));
            }
            Call::Truncate { file, length } => self.file(file).pending.push(Change::Truncate(*length)),
            Call::SyncBegins { path, number } => {
                let pending = self.files.get(path).map_or(0, |file| file.pending.len());
                self.syncs.insert(*number, (path.clone(), pending));
            }
            Call::SyncEnds { number } => self.keep(*number),
            Call::Say(_) => {}
        }
    }

    fn file(&mut self, path: &Path) -> &mut File {
        self.files.entry(path.to_owned()).or_default()
    }

    fn keep(&mut self, sync: usize) {
        let (path, changes) = self.syncs.remove(&sync).unwrap();
        if let Some(file) = self.files.get_mut(&path) {
            let changes = changes.min(file.pending.len());
            for change in file.pending.drain(..changes) {
                change.apply(&mut file.kept, |_| true);
            }
            return;
        }
        // A folder: its names.
        for (_, name) in self.names.iter_mut().filter(|(file, _)| file.parent() == Some(&path)) {
            name.kept = name.seen;
        }
    }

    /// What is found when the power is back: the files with their bytes.
    pub(super) fn after(&self, loss: Loss) -> Vec<(&Path, Vec<u8>)> {
        let mut dice = match loss {
            Loss::Some(seed) => Dice(seed),
            Loss::All | Loss::Nothing => Dice(0),
        };
        let mut keeps = move || match loss {
            Loss::All => false,
            Loss::Nothing => true,
            Loss::Some(_) => dice.throw(),
        };
        let mut found = Vec::new();
        for (path, name) in &self.names {
            if !(if keeps() { name.seen } else { name.kept }) {
                continue;
            }
            let file = self.files.get(path).cloned().unwrap_or_default();
            let mut bytes = file.kept;
            for change in &file.pending {
                change.apply(&mut bytes, |_| keeps());
            }
            found.push((path.as_path(), bytes));
        }
        found
    }
}

impl Change {
    /// Makes those parts of the change that `keeps` names.
    fn apply(&self, bytes: &mut Vec<u8>, mut keeps: impl FnMut(usize) -> bool) {
        match self {
            Self::Truncate(length) if keeps(*length) => bytes.resize(*length, 0),
            Self::Truncate(_) => {}
            Self::Write(at, written) => {
                let mut from = 0;
                while from < written.len() {
                    let to = (((at + from) / SECTOR + 1) * SECTOR - at).min(written.len());
                    if keeps(at + from) {
                        bytes.resize(bytes.len().max(at + to), 0);
                        bytes[at + from..at + to].copy_from_slice(&written[from..to]);
                    }
                    from = to;
                }
            }
        }
    }
}

/// SplitMix64: the same losses each time.
#[derive(Debug)]
struct Dice(u64);

impl Dice {
    fn throw(&mut self) -> bool {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) & 1 == 0
    }
}

#[test]
fn what_was_synced_stays_and_the_rest_may_go() {
    let (file, folder) = (PathBuf::from("/d/a"), PathBuf::from("/d"));
    let mut disk = Disk::default();
    let write = |at, text: &str| Call::Write {
        file: file.clone(),
        at,
        bytes: text.as_bytes().to_vec(),
    };
    disk.follow(&Call::Create(file.clone()));
    disk.follow(&write(0, "kept"));
    disk.follow(&Call::SyncBegins {
        path: file.clone(),
        number: 1,
    });
    disk.follow(&write(4, " or not"));
    disk.follow(&Call::SyncEnds { number: 1 });
    assert_eq!(disk.after(Loss::All), [], "its name was not synced");
    assert_eq!(disk.after(Loss::Nothing), [(file.as_path(), b"kept or not".to_vec())]);
    disk.follow(&Call::SyncBegins {
        path: folder,
        number: 2,
    });
    disk.follow(&Call::SyncEnds { number: 2 });
    assert_eq!(disk.after(Loss::All), [(file.as_path(), b"kept".to_vec())]);
    disk.follow(&Call::Remove(file.clone()));
    assert_eq!(disk.after(Loss::All), [(file.as_path(), b"kept".to_vec())]);
    assert_eq!(disk.after(Loss::Nothing), []);
}
