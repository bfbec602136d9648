//! healgate: an Ansible-driven remediation gateway.

pub mod again;
pub mod ansible;
pub mod catalog;
pub mod cli;
pub mod clock;
pub mod config;
pub mod domain;
pub mod http;
pub mod indexing;
pub mod ingest;
pub mod live;
pub mod notify;
mod outbound;
pub mod peers;
mod percent;
pub mod pruning;
pub mod remediations;
pub mod shutdown;
mod stamp;
pub mod store;
pub mod systemd;
pub mod telemetry;
pub mod tls;
pub mod worker;
