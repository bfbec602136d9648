//! Says what was measured: a table for people, and bench/results.json.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a benchmark's only output")]

use std::fmt::Display;
use std::fs;
use std::path::Path;

use serde_json::json;

use crate::effect::Effect;
use crate::failed::{Failed, failed};
use crate::machine::Machine;
use crate::memory::{Memory, Resident};
use crate::samples::Samples;
use crate::webhooks::Webhooks;

/// Everything.
#[derive(Debug)]
pub(crate) struct Report {
    pub(crate) machine: Machine,
    pub(crate) webhooks: Webhooks,
    pub(crate) effect: Effect,
    pub(crate) memory: Memory,
}

/// A line of the report.
pub(crate) fn line(text: &str) {
    println!("{text}");
}

/// A line about the measuring itself.
pub(crate) fn error(text: &impl Display) {
    eprintln!("{text}");
}

impl Report {
    pub(crate) fn print(&self) {
        let machine = &self.machine;
        let kind = if machine.is_virtual {
            "virtual machine"
        } else {
            "machine"
        };
        println!(
            "\n{kind}: {}, {} cores, {} GiB",
            machine.cpu, machine.cores, machine.memory_gib
        );
        println!(
            "kernel {}, disk {}, {}, {}",
            machine.kernel, machine.disk, machine.rustc, machine.ansible
        );
        println!("load average before: {}", machine.load_before);
        self.print_webhooks();
        self.print_effect();
        self.print_memory();
    }

    fn print_webhooks(&self) {
        let Webhooks { durable, unstored, .. } = &self.webhooks;
        heading("Webhooks, one new alert each", ["durable", "not stored", "ratio"]);
        let (fast, faster) = (durable.posts_per_second.median(), unstored.posts_per_second.median());
        row(
            "64 connections: posts/s, median",
            [whole(fast), whole(faster), of(self.webhooks.ratios().median())],
        );
        for percent in [50, 99] {
            let (slow, quick) = (durable.loaded.percentile(percent), unstored.loaded.percentile(percent));
            row(
                &format!("64 connections: p{percent}, ms"),
                [ms(slow), ms(quick), of(slow / quick)],
            );
        }
        for percent in [50, 99] {
            let (slow, quick) = (durable.lone.percentile(percent), unstored.lone.percentile(percent));
            row(
                &format!("1 connection: p{percent}, ms"),
                [ms(slow), ms(quick), of(slow / quick)],
            );
        }
        let appends = &self.webhooks.synced_append;
        for percent in [50, 99] {
            let (lone, append) = (durable.lone.percentile(percent), appends.percentile(percent));
            let name = format!("beside a synced 4 KiB append: p{percent}, ms");
            row(&name, [ms(lone), ms(append), of(lone / append)]);
        }
        row(
            "posts per commit under load",
            [ms(self.webhooks.posts_per_commit.median()), none(), none()],
        );
        row(
            "the one writer busy under load",
            [of(self.webhooks.writer_busy.median()), none(), none()],
        );
    }

    fn print_effect(&self) {
        let effect = &self.effect;
        heading("To the first task's effect", ["gateway", "bare ansible", "ratio"]);
        let (gateway, bare) = (&effect.gateway, &effect.bare);
        row(
            "median, ms",
            [
                whole(gateway.median()),
                whole(bare.median()),
                of(effect.ratios().median()),
            ],
        );
        let spread = |samples: &Samples| format!("{}-{}", whole(samples.percentile(0)), whole(samples.percentile(100)));
        row(
            "fastest-slowest, ms",
            [spread(gateway), spread(bare), spread_of(&effect.ratios())],
        );
        row(
            "overhead (of the medians), ms",
            [whole(effect.overhead()), none(), none()],
        );
        row(
            "of it until the 202, ms",
            [ms(effect.answered.median()), none(), none()],
        );
    }

    fn print_memory(&self) {
        let memory = &self.memory;
        heading("Memory at rest", ["gateway", "python server", "ratio"]);
        let compare = |name: &str, this: &Resident| {
            for (kind, one, other) in [
                ("RSS", this.rss.median(), memory.python.rss.median()),
                ("PSS", this.pss.median(), memory.python.pss.median()),
            ] {
                row(&format!("{name}: {kind}, MiB"), [ms(one), ms(other), of(one / other)]);
            }
        };
        compare("after the start", &memory.started);
        compare("after 1,000 alerts", &memory.after_alerts);
    }

    /// Writes bench/results.json.
    pub(crate) fn write(&self) -> Result<(), Failed> {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("bench");
        let results = json!({
            "machine": self.machine.json(),
            "webhooks": self.webhooks.json(),
            "effect": self.effect.json(),
            "memory": self.memory.json(),
        });
        let write = || {
            fs::create_dir_all(&folder)?;
            fs::write(folder.join("results.json"), format!("{results:#}\n"))
        };
        write().map_err(failed("write bench/results.json"))
    }
}

fn heading(what: &str, columns: [&str; 3]) {
    let [one, two, three] = columns;
    println!("\n{what:<44}{one:>14}{two:>14}{three:>12}");
}

fn row(what: &str, columns: [String; 3]) {
    let [one, two, three] = columns;
    println!("  {what:<42}{one:>14}{two:>14}{three:>12}");
}

fn whole(figure: f64) -> String {
    format!("{figure:.0}")
}

fn ms(figure: f64) -> String {
    format!("{figure:.1}")
}

fn of(ratio: f64) -> String {
    format!("{ratio:.2}")
}

fn spread_of(ratios: &Samples) -> String {
    format!("{}-{}", of(ratios.percentile(0)), of(ratios.percentile(100)))
}

fn none() -> String {
    String::new()
}
