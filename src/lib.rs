//! healgate: an Ansible-driven remediation gateway.

pub mod clock;
pub mod domain;
pub mod live;
pub mod store;
