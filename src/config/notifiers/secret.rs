//! A secret of a notifier: where it is. Shows it to nobody.

use std::fmt;
use std::path::{Path, PathBuf};

use crate::config::fields::{Fields, Slot};

/// A text that nobody should see, or the file that has it.
#[derive(Clone, PartialEq, Eq)]
pub enum Secret {
    Inline(String),
    /// Read whenever it is needed, so that it can be replaced while the gateway runs. Absolute.
    File(PathBuf),
}

/// Without the text.
impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Inline(_) => f.write_str("Inline(…)"),
            Self::File(path) => f.debug_tuple("File").field(path).finish(),
        }
    }
}

impl Secret {
    /// Under `key`, or in the file that `<key>_file` names; not both.
    pub(super) fn read(fields: &Fields<'_>, key: &str, base: &Path) -> Option<Self> {
        match (fields.get(key), fields.get(&format!("{key}_file"))) {
            (Some(_), Some(slot)) => {
                slot.error(&format!("stands beside `{key}`; only one of them can be in force"));
                None
            }
            (Some(slot), None) => slot.text().map(|text| Self::Inline(text.to_owned())),
            (None, Some(slot)) => file(&slot, base).map(Self::File),
            (None, None) => None,
        }
    }

    /// The same, but it must be there.
    pub(super) fn require(fields: &Fields<'_>, key: &str, base: &Path) -> Option<Self> {
        if fields.get(&format!("{key}_file")).is_none() {
            let _missing = fields.require(key);
        }
        Self::read(fields, key, base)
    }
}

/// A secret may come later than the settings; whoever looks at them now is told.
fn file(slot: &Slot<'_>, base: &Path) -> Option<PathBuf> {
    let path = base.join(slot.text()?);
    if !path.exists() {
        slot.warn(&format!("names a file that does not exist yet: {}", path.display()));
    }
    Some(path)
}
