//! Tells whether a playbook file was edited. Reads it again only when it was.

use std::fs;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use sha2::{Digest, Sha256};

use crate::stamp::Stamp;

/// A file whose digest is asked for again and again.
#[derive(Debug)]
pub(super) struct Watched {
    path: PathBuf,
    last: Mutex<Option<(Stamp, String)>>,
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
        let stamp = Stamp::of(&fs::metadata(&self.path).ok().filter(fs::Metadata::is_file)?);
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, digest)) = last.as_ref().filter(|(known, _)| *known == stamp) {
            return Some(digest.clone());
        }
        let digest = hex::encode(Sha256::digest(fs::read(&self.path).ok()?));
        *last = Some((stamp, digest.clone()));
        Some(digest)
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
