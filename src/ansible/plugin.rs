//! Puts our callback plugin, which is part of the binary, where `ansible-playbook` can load it.

use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use crate::ansible::rundir::{named, write_atomically};

const SOURCE: &str = include_str!("../../python/healgate_events.py");
const FILE: &str = "healgate_events.py";

/// The folder with the plugin. One per version of it: a run that goes on while the gateway is upgraded keeps its own.
pub(super) fn install(data_dir: &Path) -> io::Result<PathBuf> {
    let hash = hex::encode(&Sha256::digest(SOURCE)[..8]);
    let dir = data_dir.join("plugins").join(hash);
    if fs::read_to_string(dir.join(FILE)).is_ok_and(|found| found == SOURCE) {
        return Ok(dir);
    }
    let mut builder = DirBuilder::new();
    builder.recursive(true).mode(0o700);
    builder.create(&dir).map_err(|error| named("create", &dir, &error))?;
    write_atomically(&dir, FILE, SOURCE.as_bytes())?;
    Ok(dir)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn installing_twice_is_installing_once() {
        let data = tempfile::tempdir().unwrap();
        let first = install(data.path()).unwrap();
        assert_eq!(install(data.path()).unwrap(), first);
        fs::write(first.join(FILE), "half").unwrap();
        install(data.path()).unwrap();
        assert_eq!(fs::read_to_string(first.join(FILE)).unwrap(), SOURCE);
    }
}
