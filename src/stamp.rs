//! Tells whether a file is still what it was, by what the kernel says about it. Never looks into it.

use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;

/// A moment by the clock that stamps files: seconds and nanoseconds.
pub(crate) type Moment = (i64, i64);

/// What differs after a change, also after one that keeps the length or sets the time back: none of it can be set back
/// together with the `ctime`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stamp {
    /// Device and number.
    inode: (u64, u64),
    size: u64,
    modified: Moment,
    /// When any of it was last changed.
    pub(crate) changed: Moment,
}

impl Stamp {
    pub(crate) fn of(metadata: &Metadata) -> Self {
        Self {
            inode: (metadata.dev(), metadata.ino()),
            size: metadata.size(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        }
    }
}
