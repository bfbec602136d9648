//! The rules and words of remediation. Pure: no input or output, no clock, no runtime, no database.

pub mod act;
pub mod aftercare;
pub mod alert;
pub mod attempt;
pub mod by_hand;
pub mod change;
pub mod checks;
pub mod decision;
pub mod heartbeat;
pub mod host_stats;
pub mod ids;
pub mod job;
pub mod limit;
pub mod matcher;
pub mod notify;
pub mod parameters;
pub mod pause;
pub mod policy;
pub mod promql;
pub mod route;
pub mod rules;
pub mod span;
pub mod standing;
pub mod timestamp;
pub mod verification;
