//! What a process that has nothing to do takes: memory, time of the processor, and how often it wakes.

use std::fs;
use std::time::Duration;

use tokio::time::{Instant, sleep};

use crate::failed::{Failed, failed};
use crate::memory::mib;

/// A stretch in which nobody asks anything.
const QUIET: Duration = Duration::from_secs(30);

/// Whatever a start leaves to do is done by then.
const SETTLING: Duration = Duration::from_secs(5);

/// Figures of one stretch.
#[derive(Debug)]
pub(crate) struct Rest {
    pub(crate) rss_mib: f64,
    /// Of one core, in percent.
    pub(crate) cpu_percent: f64,
    /// How often a thread went to sleep, each second: as often as it was woken.
    pub(crate) wakes: f64,
}

pub(crate) async fn look(pid: u32) -> Result<Rest, Failed> {
    sleep(SETTLING).await;
    let before = (nanos(pid)?, sleeps(pid)?);
    let began = Instant::now();
    sleep(QUIET).await;
    let (took, after) = (began.elapsed().as_secs_f64(), (nanos(pid)?, sleeps(pid)?));
    Ok(Rest {
        rss_mib: mib(pid, "status", "VmRSS:")?,
        cpu_percent: (after.0 - before.0) / 1e9 / took * 100.0,
        wakes: (after.1 - before.1) / took,
    })
}

/// On a processor so far, of all threads: the first field of each `schedstat`.
fn nanos(pid: u32) -> Result<f64, Failed> {
    let of = |text: &str| text.split(' ').next()?.trim().parse().ok();
    sum(pid, "schedstat", of)
}

/// Voluntary context switches so far, of all threads.
fn sleeps(pid: u32) -> Result<f64, Failed> {
    let of = |text: &str| {
        let line = text
            .lines()
            .find_map(|line| line.strip_prefix("voluntary_ctxt_switches:"));
        line?.trim().parse().ok()
    };
    sum(pid, "status", of)
}

fn sum(pid: u32, file: &str, of: impl Fn(&str) -> Option<f64>) -> Result<f64, Failed> {
    let threads = fs::read_dir(format!("/proc/{pid}/task")).map_err(failed("look at a server's threads"))?;
    // A thread that ends meanwhile counts no more.
    let figures = threads.flatten().filter_map(|thread| {
        let text = fs::read_to_string(thread.path().join(file)).ok()?;
        of(&text)
    });
    Ok(figures.sum())
}
