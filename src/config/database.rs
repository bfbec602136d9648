//! The section `database`.

use std::path::{Path, PathBuf};

use crate::config::fields::{Fields, Key, Keys, Slot};

pub(super) const KEYS: Keys = Keys::of(&[Key::of(
    "url",
    "`sqlite://var/healgate.db`",
    "one file; relative to the settings, or `sqlite:///absolute`",
)]);

/// Where the records are kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Database {
    /// The SQLite file, absolute.
    pub path: PathBuf,
}

impl Database {
    pub(super) fn read(fields: &Fields<'_>, base: &Path) -> Self {
        let path = fields.get("url").and_then(|slot| sqlite_path(&slot));
        Self {
            path: base.join(path.unwrap_or("var/healgate.db")),
        }
    }
}

fn sqlite_path<'a>(slot: &Slot<'a>) -> Option<&'a str> {
    let url = slot.text()?;
    if url.starts_with("postgres://") || url.starts_with("postgresql://") {
        slot.error("names PostgreSQL, which is not supported by this version; write sqlite://var/healgate.db");
        return None;
    }
    let path = url.strip_prefix("sqlite://").unwrap_or_default();
    if path.is_empty() || path.ends_with('/') || path.contains(['?', ':']) {
        // The URL may hold a password: it is not repeated.
        slot.error("must be sqlite:// and the path of a file, such as sqlite://var/healgate.db");
        return None;
    }
    Some(path)
}
