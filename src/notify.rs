//! Tells people: takes messages out of the outbox and sends them to Slack, webhooks and mailboxes. Never decides whom to
//! tell of what, and never makes a job wait.

mod advice;
mod backstory;
mod courier;
mod email;
mod http;
mod letter;
mod links;
mod pace;
mod post;
mod sender;
mod slack;
mod smtp;
mod tail;
mod template;
mod text;
mod webhook;

pub use courier::{Courier, Next, Tools};
pub use post::Post;
pub use sender::{Sender, Unsent};

pub use letter::Letter;
