//! Ansible's recap: what happened on each host, in the recap's own words.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Counts of task results on one host.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct HostStats {
    pub ok: u64,
    pub changed: u64,
    pub unreachable: u64,
    pub failed: u64,
    pub skipped: u64,
    pub rescued: u64,
    pub ignored: u64,
}

/// Host name → its counts. Only hosts that Ansible processed are in it.
pub type Recap = BTreeMap<String, HostStats>;

/// The hosts that failed or could not be reached, which a re-run on failed hosts takes.
pub fn failed_hosts(recap: &Recap) -> Vec<&str> {
    recap
        .iter()
        .filter(|(_, stats)| stats.failed > 0 || stats.unreachable > 0)
        .map(|(host, _)| host.as_str())
        .collect()
}
