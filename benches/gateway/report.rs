//! Says what was measured: tables for people, as docs/benchmarks.md shows them, and bench/results.json.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a benchmark's only output")]

use std::fmt::Display;
use std::fs;
use std::path::Path;

use serde_json::{Map, Value, json};

use crate::failed::{Failed, failed};
use crate::machine::Machine;
use crate::samples::Samples;

/// Everything.
#[derive(Debug)]
pub(crate) struct Report {
    pub(crate) machine: Machine,
    pub(crate) sections: Vec<Section>,
}

/// What was measured of one thing.
#[derive(Debug)]
pub(crate) struct Section {
    /// Its name in bench/results.json.
    pub(crate) key: &'static str,
    pub(crate) title: &'static str,
    /// What is measured, and beside what.
    pub(crate) columns: [&'static str; 2],
    pub(crate) rows: Vec<Row>,
    /// Every round.
    pub(crate) json: Value,
}

/// A figure, its baseline, and what is required of their ratio, or of whatever the bound names.
#[derive(Debug, Default)]
pub(crate) struct Row {
    what: String,
    figure: String,
    baseline: String,
    ratio: String,
    bound: &'static str,
}

/// A line of the report.
pub(crate) fn line(text: &str) {
    println!("{text}");
}

/// A line about the measuring itself.
pub(crate) fn error(text: &impl Display) {
    eprintln!("{text}");
}

impl Row {
    pub(crate) fn new(what: impl Into<String>, figure: String) -> Self {
        Self {
            what: what.into(),
            figure,
            ..Self::default()
        }
    }

    pub(crate) fn beside(mut self, baseline: String, ratio: f64) -> Self {
        self.baseline = baseline;
        self.ratio = of(ratio);
        self
    }

    pub(crate) fn bound(mut self, bound: &'static str) -> Self {
        self.bound = bound;
        self
    }

    /// Medians in milliseconds, and the median of the ratios of neighbours.
    pub(crate) fn pairs(what: &str, figures: &Samples, baseline: &Samples) -> Self {
        Self::new(what, whole(figures.median())).beside(whole(baseline.median()), figures.ratios(baseline).median())
    }
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
        for section in &self.sections {
            let [one, two] = section.columns;
            println!(
                "\n| {} | {one} | {two} | ratio | bound |\n|---|---|---|---|---|",
                section.title
            );
            for row in &section.rows {
                let Row {
                    what,
                    figure,
                    baseline,
                    ratio,
                    bound,
                } = row;
                println!("| {what} | {figure} | {baseline} | {ratio} | {bound} |");
            }
        }
    }

    /// Writes bench/results.json. A section that was not measured this time stays as it was.
    pub(crate) fn write(&self) -> Result<(), Failed> {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("bench");
        let path = folder.join("results.json");
        let before = fs::read(&path)
            .ok()
            .and_then(|bytes| serde_json::from_slice(&bytes).ok());
        let mut results: Map<String, Value> = before.unwrap_or_default();
        results.insert("machine".to_owned(), self.machine.json());
        for section in &self.sections {
            results.insert(section.key.to_owned(), section.json.clone());
        }
        let write = || {
            fs::create_dir_all(&folder)?;
            fs::write(&path, format!("{:#}\n", json!(results)))
        };
        write().map_err(failed("write bench/results.json"))
    }
}

pub(crate) fn whole(figure: f64) -> String {
    format!("{figure:.0}")
}

/// With one digit.
pub(crate) fn tenths(figure: f64) -> String {
    format!("{figure:.1}")
}

/// With two digits.
pub(crate) fn of(figure: f64) -> String {
    format!("{figure:.2}")
}

/// The smallest and the largest.
pub(crate) fn spread(samples: &Samples, show: fn(f64) -> String) -> String {
    format!("{}–{}", show(samples.percentile(0)), show(samples.percentile(100)))
}
