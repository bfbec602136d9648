//! Whether the files that an interpreter has read are still the same. Looks at what the kernel says about them, never
//! into them.

use std::collections::HashSet;
use std::fs;
use std::path::{Path, PathBuf};

use rustix::time::{ClockId, clock_gettime};

use crate::stamp::{Moment, Stamp};

/// What is said of a file that an interpreter has listed itself.
const LISTED: &str = "ansible-core or what it imports has changed on disk";

/// Now, as a file would be stamped now.
pub(super) fn now() -> Moment {
    let now = clock_gettime(ClockId::RealtimeCoarse);
    (now.tv_sec, now.tv_nsec)
}

/// Of the file behind any links; nothing if there is none.
fn stamp_of(path: &Path) -> Option<Stamp> {
    Some(Stamp::of(&fs::metadata(path).ok()?))
}

/// Files, as they were at one moment.
#[derive(Clone, Debug, Default)]
pub(super) struct Watch {
    files: Vec<(&'static str, PathBuf, Option<Stamp>)>,
}

impl Watch {
    /// These files, and those of an interpreter's list, one path a line.
    pub(super) fn new(files: Vec<(&'static str, PathBuf)>, list: &str) -> Self {
        let mut known = HashSet::new();
        let listed = list.lines().filter(|line| !line.is_empty());
        let all = files
            .into_iter()
            .chain(listed.map(|line| (LISTED, PathBuf::from(line))));
        let files = all
            .filter(|(_, path)| known.insert(path.clone()))
            .map(|(what, path)| {
                let stamp = stamp_of(&path);
                (what, path, stamp)
            })
            .collect();
        Self { files }
    }

    /// What has changed since, as a sentence that names a file.
    pub(super) fn changed(&self) -> Option<String> {
        let changed = self.files.iter().find(|(_, path, stamp)| stamp_of(path) != *stamp);
        changed.map(|(what, path, _)| format!("{what}: {}", path.display()))
    }

    /// A file of the list that was touched at that moment or later, when the interpreter may have read it already.
    pub(super) fn touched_since(&self, moment: Moment) -> Option<String> {
        let touched = |stamp: &Option<Stamp>| stamp.is_some_and(|stamp| stamp.changed >= moment);
        let mut listed = self.files.iter().filter(|(what, _, _)| *what == LISTED);
        let found = listed.find(|(_, _, stamp)| touched(stamp));
        found.map(|(what, path, _)| format!("{what}: {}", path.display()))
    }
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::time::{Duration, SystemTime};

    use super::*;

    #[test]
    fn every_change_is_seen_whatever_it_looks_like() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        fs::write(path("a"), "one").unwrap();
        let watch = || Watch::new(vec![("it has changed", path("a"))], &path("b").display().to_string());
        let before = watch();
        assert_eq!(before.changed(), None);
        // Another content of the same length, with the old time put back.
        let old = SystemTime::UNIX_EPOCH + Duration::from_secs(9);
        File::options()
            .write(true)
            .open(path("a"))
            .unwrap()
            .set_modified(old)
            .unwrap();
        let touched = watch();
        assert!(before.changed().unwrap().starts_with("it has changed: "));
        fs::write(path("b"), "").unwrap();
        assert!(
            touched
                .changed()
                .unwrap()
                .contains("ansible-core or what it imports has changed on disk: ")
        );
        let both = watch();
        fs::remove_file(path("b")).unwrap();
        assert!(both.changed().unwrap().ends_with("/b"));
    }

    #[test]
    fn a_file_touched_after_the_start_counts_as_changed() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("a");
        let start = now();
        fs::write(&file, "").unwrap();
        let watch = Watch::new(Vec::new(), &file.display().to_string());
        assert!(watch.touched_since(start).is_some());
        let (seconds, nanoseconds) = start;
        assert!(watch.touched_since((seconds + 60, nanoseconds)).is_none());
    }
}
