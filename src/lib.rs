//! healgate: an Ansible-driven remediation gateway.

pub mod ansible;
pub mod catalog;
pub mod clock;
pub mod config;
pub mod domain;
pub mod live;
pub mod store;
