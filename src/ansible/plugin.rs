//! Puts our Python files, which are part of the binary, where they can be executed.

use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use crate::ansible::rundir::{named, write_atomically};

/// Files that belong together, with the one that is named elsewhere first.
type Sources = [(&'static str, &'static str)];

/// The callback plugin.
pub(super) const EVENTS: &Sources = &[("healgate_events.py", include_str!("../../python/healgate_events.py"))];

/// The program of warm interpreters, and its modules.
pub(super) const WARM: &Sources = &[
    ("healgate_warm.py", include_str!("../../python/healgate_warm.py")),
    (
        "healgate_warm_face.py",
        include_str!("../../python/healgate_warm_face.py"),
    ),
    (
        "healgate_warm_load.py",
        include_str!("../../python/healgate_warm_load.py"),
    ),
    (
        "healgate_warm_memo.py",
        include_str!("../../python/healgate_warm_memo.py"),
    ),
    (
        "healgate_warm_order.py",
        include_str!("../../python/healgate_warm_order.py"),
    ),
    (
        "healgate_warm_plugins.py",
        include_str!("../../python/healgate_warm_plugins.py"),
    ),
];

/// The folder with these files and nothing else: Ansible loads all that lies beside a plugin. One per version of them: a
/// run that goes on while the gateway is upgraded keeps its own.
pub(super) fn install(data_dir: &Path, sources: &Sources) -> io::Result<PathBuf> {
    let mut hash = Sha256::new();
    for (_, text) in sources {
        hash.update(text);
    }
    let dir = data_dir.join("plugins").join(hex::encode(&hash.finalize()[..8]));
    let is_there = |(file, text): &(&str, &str)| fs::read_to_string(dir.join(file)).is_ok_and(|found| found == *text);
    if sources.iter().all(is_there) {
        return Ok(dir);
    }
    let mut builder = DirBuilder::new();
    builder.recursive(true).mode(0o700);
    builder.create(&dir).map_err(|error| named("create", &dir, &error))?;
    for (file, text) in sources {
        write_atomically(&dir, file, text.as_bytes())?;
    }
    Ok(dir)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn installing_twice_is_installing_once() {
        let data = tempfile::tempdir().unwrap();
        let first = install(data.path(), EVENTS).unwrap();
        assert_eq!(install(data.path(), EVENTS).unwrap(), first);
        assert_ne!(install(data.path(), WARM).unwrap(), first);
        let (file, text) = EVENTS[0];
        fs::write(first.join(file), "half").unwrap();
        install(data.path(), EVENTS).unwrap();
        assert_eq!(fs::read_to_string(first.join(file)).unwrap(), text);
    }
}
