//! Sees the moment in which a file is made in a folder, without polling for it.

use std::os::fd::OwnedFd;
use std::path::Path;
use std::time::Instant;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::inotify::{self, CreateFlags, WatchFlags};

use crate::failed::{Failed, failed};

/// After this, no effect will come any more.
const PATIENCE: Timespec = Timespec { tv_sec: 60, tv_nsec: 0 };

/// A folder that is watched from its making on.
#[derive(Debug)]
pub(crate) struct Watch {
    events: OwnedFd,
}

impl Watch {
    pub(crate) fn on(folder: &Path) -> Result<Self, Failed> {
        let watch = || {
            let events = inotify::init(CreateFlags::CLOEXEC)?;
            inotify::add_watch(&events, folder, WatchFlags::CREATE)?;
            Ok::<_, rustix::io::Errno>(events)
        };
        let events = watch().map_err(failed(format!("watch {}", folder.display())))?;
        Ok(Self { events })
    }

    /// Waits until something was made in the folder, and says when.
    pub(crate) async fn made(self) -> Result<Instant, Failed> {
        let seen = tokio::task::spawn_blocking(move || {
            let ready = poll(&mut [PollFd::new(&self.events, PollFlags::IN)], Some(&PATIENCE));
            (ready, Instant::now())
        });
        match seen.await.map_err(failed("watch a folder"))? {
            (Ok(0), _) => Err(Failed::new("see an effect", "there was none within a minute")),
            (Ok(_), at) => Ok(at),
            (Err(error), _) => Err(Failed::new("watch a folder", error)),
        }
    }
}
