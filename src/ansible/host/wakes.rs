//! What a run host waits for: output, children that end, signals, changes in its directory, time. All in one poll.

use std::io::{self, Read};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::inotify;
use signal_hook::consts::{SIGCHLD, SIGTERM};
use signal_hook::low_level::pipe;

/// How often to look for a stop request where the kernel will not tell (it has no inotify instances left).
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// The descriptors to wait for.
#[derive(Debug)]
pub(super) struct Wakes {
    children: UnixStream,
    terminations: UnixStream,
    directory: Option<OwnedFd>,
}

/// What there is to do.
#[derive(Debug, Default)]
pub(super) struct Woken {
    pub(super) output: bool,
    pub(super) child: bool,
    /// Somebody sent SIGTERM to the host itself.
    pub(super) terminated: bool,
    /// Something in the run directory may have changed.
    pub(super) directory: bool,
}

impl Wakes {
    pub(super) fn new(dir: &Path) -> io::Result<Self> {
        Ok(Self {
            children: on_signal(SIGCHLD)?,
            terminations: on_signal(SIGTERM)?,
            directory: watch(dir).ok(),
        })
    }

    /// Waits until there is something to do, or the time is over. `output` is `None` once nobody can write any more.
    pub(super) fn wait(&mut self, output: Option<BorrowedFd<'_>>, timeout: Duration) -> Woken {
        let timeout = if self.directory.is_some() {
            timeout
        } else {
            timeout.min(LOOK_EVERY)
        };
        let mut fds = vec![
            PollFd::new(&self.children, PollFlags::IN),
            PollFd::new(&self.terminations, PollFlags::IN),
        ];
        let directory = self.directory.as_ref().map(|fd| {
            fds.push(PollFd::new(fd, PollFlags::IN));
            fds.len() - 1
        });
        let output = output.map(|fd| {
            fds.push(PollFd::from_borrowed_fd(fd, PollFlags::IN));
            fds.len() - 1
        });
        if poll(&mut fds, Some(&timespec(timeout))).is_err() {
            // Interrupted: nothing is lost by looking everywhere but at the output.
            return Woken {
                child: true,
                directory: true,
                ..Woken::default()
            };
        }
        let ready = |index: usize| !fds[index].revents().is_empty();
        let woken = Woken {
            child: ready(0),
            terminated: ready(1),
            directory: directory.is_none_or(ready),
            output: output.is_some_and(ready),
        };
        drop(fds);
        self.clear(&woken);
        woken
    }

    fn clear(&mut self, woken: &Woken) {
        let mut buffer = [0; 4096];
        if woken.child {
            let _ = self.children.read(&mut buffer);
        }
        if woken.terminated {
            let _ = self.terminations.read(&mut buffer);
        }
        if let (true, Some(fd)) = (woken.directory, &self.directory) {
            let _ = rustix::io::read(fd, &mut buffer);
        }
    }
}

fn on_signal(signal: i32) -> io::Result<UnixStream> {
    let (reader, writer) = UnixStream::pair()?;
    reader.set_nonblocking(true)?;
    pipe::register(signal, writer)?;
    Ok(reader)
}

fn watch(dir: &Path) -> io::Result<OwnedFd> {
    let fd = inotify::init(inotify::CreateFlags::CLOEXEC | inotify::CreateFlags::NONBLOCK)?;
    // A stop request is renamed into place.
    inotify::add_watch(fd.as_fd(), dir, inotify::WatchFlags::MOVED_TO)?;
    Ok(fd)
}

/// Lets time pass where there is nothing to wait for but time.
pub(in crate::ansible) fn pause(duration: Duration) {
    let _ = poll(&mut [], Some(&timespec(duration)));
}

fn timespec(duration: Duration) -> Timespec {
    Timespec {
        tv_sec: i64::try_from(duration.as_secs()).unwrap_or(i64::MAX),
        tv_nsec: i64::from(duration.subsec_nanos()),
    }
}
