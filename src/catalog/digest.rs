//! Tells whether a playbook file was edited. Reads it again only when it was.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use sha2::{Digest, Sha256};

/// A file whose digest is asked for again and again.
#[derive(Debug)]
pub(super) struct Watched {
    path: PathBuf,
    last: Mutex<Option<(Stamp, String)>>,
}

/// What differs after an edit, also after one that keeps the length or sets the time back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stamp {
    inode: (u64, u64),
    size: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl Watched {
    pub(super) fn new(path: PathBuf) -> Self {
        Self {
            path,
            last: Mutex::new(None),
        }
    }

    /// The SHA-256 of the file as it is now, in hexadecimal; nothing if it cannot be read.
    pub(super) fn digest(&self) -> Option<String> {
        let stamp = Stamp::of(&self.path)?;
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, digest)) = last.as_ref().filter(|(known, _)| *known == stamp) {
            return Some(digest.clone());
        }
        let digest = hex::encode(Sha256::digest(fs::read(&self.path).ok()?));
        *last = Some((stamp, digest.clone()));
        Some(digest)
    }
}

impl Stamp {
    fn of(path: &Path) -> Option<Self> {
        let metadata = fs::metadata(path).ok().filter(fs::Metadata::is_file)?;
        Some(Self {
            inode: (metadata.dev(), metadata.ino()),
            size: metadata.size(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_edit_of_the_same_length_at_the_same_time_is_seen() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("play.yml");
        fs::write(&path, "one").unwrap();
        let watched = Watched::new(path.clone());
        let first = watched.digest().unwrap();
        assert_eq!(first, hex::encode(Sha256::digest("one")));
        assert_eq!(watched.digest().as_ref(), Some(&first));
        let modified = fs::metadata(&path).unwrap().modified().unwrap();
        // As editors and rsync do it: a new file takes the place of the old.
        fs::write(folder.path().join("new"), "two").unwrap();
        fs::rename(folder.path().join("new"), &path).unwrap();
        fs::File::options()
            .write(true)
            .open(&path)
            .unwrap()
            .set_modified(modified)
            .unwrap();
        assert_eq!(watched.digest(), Some(hex::encode(Sha256::digest("two"))));
        fs::remove_file(&path).unwrap();
        assert_eq!(watched.digest(), None);
    }
}
