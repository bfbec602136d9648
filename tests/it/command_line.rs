//! The commands that ask a gateway, as processes against one that serves: what they print, and how they end.

mod acting;
mod errors;
mod following;
mod listing;
mod output;
mod stand_in;
mod terminals;
mod watching;

/// `fix` ends well unless it is told otherwise; `ask` waits for approval.
const CATALOGUE: &str = r#"
playbooks:
  fix: {path: fix.yml, lock: "service/{{ alert.labels.alertname }}", vars: {colour: blue}}
  ask: {path: fix.yml, lock: "asked/{{ alert.fingerprint }}"}
routes:
  - {name: down, matchers: ['alertname="Down"'], playbook: fix}
  - {name: slow, matchers: ['alertname="Slow"'], playbook: ask, mode: approve}
"#;

/// Fails on one of two hosts.
const HALF: &str = "say('working')\nresult(host='web1')\nresult(host='web2', status='failed', task='Restart it', \
                    message='no such unit\\nsecond line')\nstats(web1={'ok': 1}, web2={'failures': 1})\nend(2)\n";
