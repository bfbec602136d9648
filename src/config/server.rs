//! The section `server`: where we listen, and how others reach us.

use std::net::{Ipv4Addr, SocketAddr};

use crate::config::fields::{Fields, Key, Keys};

pub(super) const KEYS: Keys = Keys::of(&[
    Key::of(
        "listen",
        "`127.0.0.1:8750`",
        "address and port. Another than a loopback address needs tokens",
    ),
    Key::of(
        "external_url",
        "`http://localhost:8750`",
        "how browsers reach the gateway: for links, and for `healgate.url` in playbooks",
    ),
]);

/// Where the gateway serves HTTP.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Server {
    pub listen: SocketAddr,
    /// What links in notifications begin with; without a slash at its end.
    pub external_url: String,
}

impl Server {
    pub(super) fn read(fields: &Fields<'_>) -> Self {
        Self {
            listen: listen(fields).unwrap_or(SocketAddr::from((Ipv4Addr::LOCALHOST, 8750))),
            external_url: external_url(fields).unwrap_or_else(|| "http://localhost:8750".to_owned()),
        }
    }

    /// Whether only this machine can reach it.
    pub fn is_loopback(&self) -> bool {
        self.listen.ip().to_canonical().is_loopback()
    }
}

fn listen(fields: &Fields<'_>) -> Option<SocketAddr> {
    let slot = fields.get("listen")?;
    let raw = slot.raw("an IP address and a port such as 127.0.0.1:8750")?;
    let address = raw.parse().ok();
    if address.is_none() {
        slot.error(&format!(
            "must be an IP address and a port such as 127.0.0.1:8750 or [::1]:8750, not {raw:?}"
        ));
    }
    address
}

fn external_url(fields: &Fields<'_>) -> Option<String> {
    let slot = fields.get("external_url")?;
    let raw = slot.text()?;
    let host = raw.strip_prefix("http://").or_else(|| raw.strip_prefix("https://"));
    let wrong = |rest: &str| {
        rest.trim_start_matches('/').is_empty() || rest.contains(|c: char| c.is_whitespace() || "?#".contains(c))
    };
    if host.is_none_or(wrong) {
        slot.error(&format!(
            "must be a URL such as https://healgate.example.org, not {raw:?}"
        ));
        return None;
    }
    Some(raw.trim_end_matches('/').to_owned())
}
