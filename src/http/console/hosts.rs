//! On which hosts something would run, as far as that can be told without asking Ansible.

use crate::domain::parameters::Parameters;
use crate::http::App;
use crate::http::console::words::named;
use crate::store::StoreError;
use crate::store::read::{JobFilter, PageRequest};

/// How many of the playbook's last jobs are looked at for one that ran the same way.
const LOOKED_AT: u32 = 20;

/// As a sentence says it: the limit, or that the plays choose, and which hosts these were the last time.
pub(super) async fn of(app: &App, playbook: &str, parameters: &Parameters) -> Result<String, StoreError> {
    let chosen = match &parameters.limit {
        Some(limit) => format!("on {limit}"),
        None => "on all hosts that its plays choose".to_owned(),
    };
    let filter = JobFilter {
        playbook: vec![playbook.to_owned()],
        ..JobFilter::default()
    };
    let page = PageRequest::first(LOOKED_AT);
    let last = app.store.list_jobs(&filter, page).await?.items;
    let is_alike = |other: &Parameters| {
        (&other.inventory, &other.limit, &other.path) == (&parameters.inventory, &parameters.limit, &parameters.path)
    };
    let recaps = last.iter().filter(|job| is_alike(&job.parameters)).filter_map(|job| {
        job.attempts
            .iter()
            .rev()
            .map(|attempt| &attempt.recap)
            .find(|recap| !recap.is_empty())
    });
    let hosts = recaps
        .map(|recap| recap.keys().map(String::as_str).collect::<Vec<_>>())
        .next();
    let limit = parameters.limit.as_ref().map(ToString::to_string);
    Ok(match hosts {
        // The limit names them already.
        Some(hosts) if limit == Some(hosts.join(",")) => chosen,
        Some(hosts) => format!("{chosen}; last time these were {}", named(&hosts)),
        None => chosen,
    })
}
