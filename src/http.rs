//! The gateway's HTTP side: receives webhooks, answers questions, passes on what operators ask for. Never runs a
//! playbook, never speaks SQL, never decides.

pub mod api;
pub mod app;
pub mod auth;
pub mod console;
pub mod problem;
pub mod server;
pub mod signature;

pub(crate) mod views;

mod input;
mod loopback;
mod session;
mod webhooks;

#[cfg(test)]
pub(crate) mod fake;

pub use app::App;
pub use server::serve;
