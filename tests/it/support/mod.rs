//! What the tests share: a gateway as its users run it, alerts, playbooks, receivers, and waiting for a condition.

pub(crate) mod alerts;
pub(crate) mod cli;
pub(crate) mod folder;
pub(crate) mod gateway;
pub(crate) mod mailbox;
pub(crate) mod monitoring;
pub(crate) mod receiver;
pub(crate) mod told;
pub(crate) mod visitor;
pub(crate) mod wait;

/// An HTTP client.
pub(crate) fn client() -> reqwest::Client {
    healgate::tls::use_ring();
    reqwest::Client::new()
}
