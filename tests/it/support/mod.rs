//! What the tests share: a gateway as its users run it, alerts, playbooks, and waiting for a condition.

pub(crate) mod alerts;
pub(crate) mod folder;
pub(crate) mod gateway;
pub(crate) mod wait;
