//! The machine that the figures come from: without it they say nothing.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use crate::failed::{Failed, failed};
use crate::folder;
use crate::process::version;

/// What is to be known of it.
#[derive(Debug)]
pub(crate) struct Machine {
    pub(crate) cpu: String,
    pub(crate) cores: usize,
    pub(crate) is_virtual: bool,
    pub(crate) memory_gib: f64,
    pub(crate) kernel: String,
    pub(crate) disk: String,
    pub(crate) rustc: String,
    pub(crate) ansible: String,
    /// Of the minute before: others that work disturb the figures.
    pub(crate) load_before: String,
}

impl Machine {
    /// Looks around. An error on a file system that keeps nothing, where durability would seem to be free.
    pub(crate) fn look(root: &Path) -> Result<Self, Failed> {
        let cpuinfo = read("/proc/cpuinfo")?;
        let disk = file_system(&read("/proc/mounts")?, root);
        if disk.ends_with("tmpfs") {
            let why = format!("{} is in memory ({disk})", root.display());
            return Err(Failed::new("measure durable answers", why));
        }
        let uname = rustix::system::uname();
        Ok(Self {
            cpu: field(&cpuinfo, "model name").unwrap_or("unknown").to_owned(),
            cores: std::thread::available_parallelism().map_or(0, usize::from),
            is_virtual: field(&cpuinfo, "flags").is_some_and(|flags| flags.split(' ').any(|flag| flag == "hypervisor")),
            memory_gib: memory_gib(&read("/proc/meminfo")?),
            kernel: uname.release().to_string_lossy().into_owned(),
            disk,
            rustc: version(Path::new("rustc"), "--version"),
            ansible: version(&folder::ansible()?, "--version"),
            load_before: read("/proc/loadavg")?.split(' ').next().unwrap_or_default().to_owned(),
        })
    }

    pub(crate) fn json(&self) -> Value {
        json!({
            "cpu": self.cpu,
            "cores": self.cores,
            "virtual": self.is_virtual,
            "memory_gib": self.memory_gib,
            "kernel": self.kernel,
            "disk": self.disk,
            "rustc": self.rustc,
            "ansible": self.ansible,
            "load_before": self.load_before,
        })
    }
}

fn read(path: &str) -> Result<String, Failed> {
    fs::read_to_string(path).map_err(failed(format!("read {path}")))
}

fn field<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    let line = text.lines().find(|line| line.starts_with(name))?;
    line.split_once(':').map(|(_, value)| value.trim())
}

fn memory_gib(meminfo: &str) -> f64 {
    let kib = field(meminfo, "MemTotal").and_then(|value| value.split(' ').next()?.parse::<f64>().ok());
    kib.map_or(0.0, |kib| (kib / 1024.0 / 1024.0 * 10.0).round() / 10.0)
}

/// Device and type of what is mounted nearest above that path.
fn file_system(mounts: &str, path: &Path) -> String {
    let above = mounts.lines().filter_map(|line| {
        let mut fields = line.split(' ');
        let (device, point, kind) = (fields.next()?, fields.next()?, fields.next()?);
        path.starts_with(point)
            .then(|| (point.len(), format!("{device} {kind}")))
    });
    above
        .max_by_key(|(length, _)| *length)
        .map_or_else(|| "unknown".to_owned(), |(_, disk)| disk)
}
