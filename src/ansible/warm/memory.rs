//! How much memory there is, and how much a process has, as /proc tells.

use std::fs;

/// Bytes that could be given to a new process without swapping; nothing where /proc does not tell.
pub(super) fn available() -> Option<u64> {
    let meminfo = fs::read_to_string("/proc/meminfo").ok()?;
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
    let kilobytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kilobytes << 10)
}

/// Bytes of the process in memory; 0 for one that is gone.
pub(super) fn resident(pid: u32) -> u64 {
    let statm = fs::read_to_string(format!("/proc/{pid}/statm")).unwrap_or_default();
    let pages: u64 = statm
        .split(' ')
        .nth(1)
        .and_then(|pages| pages.parse().ok())
        .unwrap_or(0);
    pages * rustix::param::page_size() as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_machine_and_this_process_have_memory() {
        assert!(available().unwrap() > 1 << 20);
        let own = resident(std::process::id());
        assert!((1 << 20..1 << 40).contains(&own), "{own}");
        assert_eq!(resident(u32::MAX), 0);
    }
}
