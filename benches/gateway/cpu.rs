//! CPU time of a process with all that it starts from then on, also what is never waited for: a control group counts it.

use std::fs;
use std::path::{Path, PathBuf};

/// Where groups can be made, and the file that tells their time: version 2, then 1.
const PLACES: [(&str, &str); 3] = [
    ("/sys/fs/cgroup", "cpu.stat"),
    ("/sys/fs/cgroup/unified", "cpu.stat"),
    ("/sys/fs/cgroup/cpuacct", "cpuacct.usage"),
];

/// A control group of our own; gone with the value, as far as it is empty.
#[derive(Debug)]
pub(crate) struct Group {
    dir: PathBuf,
    file: &'static str,
}

impl Group {
    /// Puts that process and what it has started (a warm interpreter) into a new group; nothing where that is not allowed.
    pub(crate) fn of(pid: u32) -> Option<Self> {
        PLACES.iter().find_map(|(place, file)| {
            let dir = Path::new(place).join(format!("healgate-bench-{pid}"));
            fs::create_dir(&dir).ok()?;
            let group = Self { dir, file };
            group.take(pid)?;
            // What it starts from now on is in the group anyway.
            for child in children(pid) {
                group.take(child)?;
            }
            group.seconds()?;
            Some(group)
        })
    }

    fn take(&self, pid: u32) -> Option<()> {
        fs::write(self.dir.join("cgroup.procs"), pid.to_string()).ok()
    }

    /// Used so far.
    pub(crate) fn seconds(&self) -> Option<f64> {
        let text = fs::read_to_string(self.dir.join(self.file)).ok()?;
        match text.lines().find_map(|line| line.strip_prefix("usage_usec ")) {
            Some(micros) => Some(micros.parse::<f64>().ok()? / 1e6),
            None => Some(text.trim().parse::<f64>().ok()? / 1e9),
        }
    }
}

fn children(pid: u32) -> Vec<u32> {
    let threads = fs::read_dir(format!("/proc/{pid}/task"))
        .into_iter()
        .flatten()
        .flatten();
    let lists = threads.map(|thread| fs::read_to_string(thread.path().join("children")).unwrap_or_default());
    let all: Vec<String> = lists.collect();
    let pids = all.iter().flat_map(|list| list.split_whitespace());
    pids.filter_map(|pid| pid.parse().ok()).collect()
}

impl Drop for Group {
    fn drop(&mut self) {
        // Whoever still lives in it goes up; nothing is left there if that fails but an empty group.
        for pid in fs::read_to_string(self.dir.join("cgroup.procs"))
            .unwrap_or_default()
            .lines()
        {
            let up = self.dir.parent().map(|up| up.join("cgroup.procs"));
            let _ = up.map(|up| fs::write(up, pid));
        }
        let _ = fs::remove_dir(&self.dir);
    }
}

/// CPU seconds that this process has used so far, but for the thread that asks: the clients run on that one.
pub(crate) fn of_other_threads() -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "a few minutes")]
    let seconds = |clock| {
        let time = rustix::time::clock_gettime(clock);
        time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
    };
    seconds(rustix::time::ClockId::ProcessCPUTime) - seconds(rustix::time::ClockId::ThreadCPUTime)
}
