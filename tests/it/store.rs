//! What every store must do, told through the `Store` trait alone: an adapter joins in `world::open`.
#![expect(clippy::unwrap_used, reason = "what tests share may fail as loudly as they do")]

mod accepting;
mod alerts;
mod answers;
mod asked;
mod asking;
mod backlog;
mod backups;
mod blocked;
mod brakes;
mod breakers;
mod claims;
mod clocks;
mod couriers;
mod file;
mod glance;
mod healing;
mod heartbeats;
mod history;
mod ladders;
mod letters;
mod lists;
mod logs;
mod mails;
mod migrations;
mod outbox;
mod pruning;
mod statistics;
mod storms;
mod table;
mod texts;
mod week;
mod world;
