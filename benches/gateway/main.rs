//! `cargo bench --bench gateway [-- SECTION …]`: what the gateway costs, beside a baseline of the same run. Judges nothing: a figure
//! is never right or wrong here, and the exit code only says whether it could be measured.
//!
//! Everything that is started or written lies below `target/bench`, on the disk that the repository is on, and is gone
//! afterwards; `bench/results.json` stays.

mod adoption;
mod bare;
mod callback;
mod catalogue;
mod client;
mod cpu;
mod disk;
mod effect;
mod failed;
mod flood;
mod folder;
mod gateways;
mod history;
mod lines;
mod load;
mod logs;
mod machine;
mod memory;
mod migration;
mod million;
mod pace;
mod past;
mod process;
mod prune;
mod questions;
mod queue;
mod report;
mod rest;
mod samples;
mod servers;
mod storm;
mod unstored;
mod watch;
mod webhooks;

use std::process::ExitCode;

use tokio::runtime::{Builder, Runtime};
use tokio::signal::unix::{SignalKind, signal};

use crate::failed::{Failed, failed};
use crate::machine::Machine;
use crate::past::Past;
use crate::report::Report;

/// What can be measured; all of it, unless the command line names some.
const SECTIONS: [&str; 13] = [
    "webhooks",
    "storm",
    "queue",
    "effect",
    "callback",
    "lines",
    "flood",
    "logs",
    "adoption",
    "memory",
    "migration",
    "history",
    "prune",
];

fn main() -> ExitCode {
    // `cargo test --all-targets` starts this too, and wants no figures.
    if !std::env::args().any(|argument| argument == "--bench") {
        report::line("nothing is measured without `cargo bench`");
        return ExitCode::SUCCESS;
    }
    match measure() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            report::error(&error);
            ExitCode::FAILURE
        }
    }
}

fn measure() -> Result<(), Failed> {
    // As in `healgate serve`: the same subscriber, the same number of threads.
    healgate::telemetry::init_tracing("warn,healgate=info", false).map_err(failed("log"))?;
    let servers = Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .map_err(failed("start the servers' runtime"))?;
    let clients = Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(failed("start the clients' runtime"))?;
    let report = clients.block_on(async {
        tokio::select! {
            report = all(&servers) => report,
            interrupted = interruption() => interrupted,
        }
    });
    // Whatever still waits there must not hold up the end.
    clients.shutdown_background();
    servers.shutdown_background();
    let report = report?;
    report.print();
    report.write()
}

async fn all(servers: &Runtime) -> Result<Report, Failed> {
    let root = folder::root()?;
    let machine = Machine::look(&root)?;
    let wanted: Vec<String> = std::env::args()
        .skip(1)
        .filter(|argument| !argument.starts_with('-'))
        .collect();
    if let Some(unknown) = wanted.iter().find(|name| !SECTIONS.contains(&name.as_str())) {
        return Err(Failed::new(
            format!("measure {unknown}"),
            format!("there is only {}", SECTIONS.join(", ")),
        ));
    }
    let mut sections = Vec::new();
    let mut past = Past::new(&root);
    for name in SECTIONS {
        if !wanted.is_empty() && !wanted.iter().any(|wanted| wanted == name) {
            continue;
        }
        report::error(&format!("measuring {name} …"));
        sections.push(match name {
            "webhooks" => webhooks::measure(&root, servers).await?,
            "storm" => storm::measure(&root, servers).await?,
            "queue" => queue::measure(&root, servers).await?,
            "effect" => effect::measure(&root).await?,
            "callback" => callback::measure(&root).await?,
            "lines" => lines::measure(&root).await?,
            "flood" => flood::measure(&root).await?,
            "logs" => logs::measure(&root).await?,
            "adoption" => adoption::measure(&root).await?,
            "migration" => migration::measure(&root, &mut past).await?,
            "history" => history::measure(&root, &mut past).await?,
            "prune" => prune::measure(&root, &mut past).await?,
            _ => memory::measure(&root).await?,
        });
    }
    Ok(Report { machine, sections })
}

/// Ends with an error as soon as somebody asks for an end, so that everything is cleaned up on the way out.
async fn interruption<T>() -> Result<T, Failed> {
    let mut terminate = signal(SignalKind::terminate()).map_err(failed("listen to signals"))?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(failed("listen to signals"))?;
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    Err(Failed::new("measure", "interrupted"))
}
