//! Tells systemd how the service is (sd_notify(3)), where systemd wants to know. Never waits for systemd, and decides
//! nothing.

use std::collections::BTreeMap;
use std::future::Future;
use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};
use tokio::time::{MissedTickBehavior, interval, timeout};

/// Pings that may be late before systemd acts.
const PINGS_PER_LIMIT: u32 = 3;

/// The line to systemd; without one, nothing is said.
#[derive(Debug)]
pub struct Systemd {
    socket: Option<UnixDatagram>,
    /// After so long without a ping systemd restarts the service.
    watchdog: Option<Duration>,
    /// A reload may come before the service is ready, and must not make it so.
    ready: AtomicBool,
}

impl Systemd {
    /// From what systemd puts into the environment of a service.
    pub fn from(environment: &BTreeMap<String, String>) -> io::Result<Self> {
        let socket = environment.get("NOTIFY_SOCKET").map(|name| connect(name)).transpose()?;
        let number = |name: &str| environment.get(name)?.parse::<u64>().ok();
        // The variable may have been meant for whoever started us.
        let is_ours = number("WATCHDOG_PID").is_none_or(|pid| pid == u64::from(std::process::id()));
        let limit = number("WATCHDOG_USEC").filter(|limit| is_ours && *limit > 0);
        Ok(Self {
            socket,
            watchdog: limit.map(Duration::from_micros),
            ready: AtomicBool::new(false),
        })
    }

    /// The gateway serves, and has taken up all runs.
    pub fn ready(&self) {
        self.ready.store(true, Ordering::Relaxed);
        self.say("READY=1");
    }

    /// A reload begins.
    pub fn reloading(&self) {
        if self.ready.load(Ordering::Relaxed) {
            let now = clock_gettime(ClockId::Monotonic);
            let micros = now.tv_sec * 1_000_000 + now.tv_nsec / 1_000;
            self.say(&format!("RELOADING=1\nMONOTONIC_USEC={micros}"));
        }
    }

    /// A reload is over, whatever came of it.
    pub fn reloaded(&self, result: &str) {
        if self.ready.load(Ordering::Relaxed) {
            self.say(&format!("READY=1\nSTATUS={}", one_line(result)));
        }
    }

    /// The end has begun, and may take so long.
    pub fn stopping(&self, at_most: Duration) {
        self.ready.store(false, Ordering::Relaxed);
        self.say(&format!("STOPPING=1\nEXTEND_TIMEOUT_USEC={}", at_most.as_micros()));
    }

    /// Pings for as long as the probe is answered, and for no reason else. Never returns where systemd keeps watch.
    pub async fn keep_alive<F: Future<Output = ()>>(&self, probe: impl Fn() -> F) {
        let Some(limit) = self.watchdog else {
            return;
        };
        let mut ticks = interval(limit / PINGS_PER_LIMIT);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            if timeout(limit, probe()).await.is_ok() {
                self.say("WATCHDOG=1");
            } else {
                tracing::error!("the database does not answer");
            }
        }
    }

    fn say(&self, what: &str) {
        if let Some(socket) = &self.socket
            && let Err(error) = socket.send(what.as_bytes())
        {
            tracing::warn!(%error, "failed to tell systemd: {}", one_line(what));
        }
    }
}

/// A path, or with @ a name without a file.
fn connect(name: &str) -> io::Result<UnixDatagram> {
    let address = match name.strip_prefix('@') {
        Some(name) => SocketAddr::from_abstract_name(name)?,
        None => SocketAddr::from_pathname(name)?,
    };
    let socket = UnixDatagram::unbound()?;
    socket.connect_addr(&address)?;
    socket.set_nonblocking(true)?;
    Ok(socket)
}

fn one_line(text: &str) -> String {
    text.lines().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn environment(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        let owned = pairs
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        owned.collect()
    }

    #[test]
    fn without_systemd_nothing_is_said_and_nothing_fails() {
        let systemd = Systemd::from(&environment(&[])).unwrap();
        systemd.ready();
        systemd.stopping(Duration::from_secs(1));
    }

    #[test]
    fn a_name_without_a_file_is_reached_too() {
        let name = format!("healgate-test-{}", std::process::id());
        let address = SocketAddr::from_abstract_name(&name).unwrap();
        let listener = UnixDatagram::bind_addr(&address).unwrap();
        let systemd = Systemd::from(&environment(&[("NOTIFY_SOCKET", &format!("@{name}"))])).unwrap();
        systemd.reloading();
        systemd.ready();
        let mut buffer = [0; 100];
        let length = listener.recv(&mut buffer).unwrap();
        assert_eq!(&buffer[..length], b"READY=1", "a reload before READY was announced");
    }

    #[test]
    fn a_watchdog_that_is_meant_for_another_process_is_not_ours() {
        let limit = |pid: &str| {
            let environment = environment(&[("WATCHDOG_USEC", "2000000"), ("WATCHDOG_PID", pid)]);
            Systemd::from(&environment).unwrap().watchdog
        };
        assert_eq!(limit("1"), None);
        assert_eq!(limit(&std::process::id().to_string()), Some(Duration::from_secs(2)));
    }
}
