//! The gateway as its users meet it: one binary of tests, modules named after what they prove.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "what tests share may fail as loudly as they do"
)]

mod adoption;
mod alertmanager;
mod ansible_runs;
mod ansible_stops;
mod brakes;
mod callback;
mod chaos;
mod check;
mod clock_steps;
mod command_line;
mod console_actions;
mod console_log;
mod console_pages;
mod console_sessions;
mod contract_auth;
mod contract_episodes;
mod contract_http;
mod contract_lists;
mod contract_manual;
mod contract_reads;
mod crash;
mod db;
mod doctor;
mod end_to_end;
mod endings;
mod escalation;
mod explain;
mod failures;
mod faults;
mod grafana;
mod healing;
mod hostile;
mod init;
mod live_log;
mod long_limits;
mod notify;
mod peers;
mod recorded;
mod reload;
mod rerun;
mod rerun_changes;
mod resisting;
mod run_host;
mod runs;
mod secrets;
mod service;
mod ssh;
mod stopping;
mod store;
mod support;
mod tidy;
mod warm_changes;
mod warm_equality;
mod warm_faults;
mod warm_gateway;
mod warm_runs;
