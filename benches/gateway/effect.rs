//! From an alert's POST to the first task's effect, warm and cold through the gateway, beside a shell script that calls
//! `ansible-playbook` and beside `ansible-playbook` itself; and the same ways for a play without a task.

use std::path::Path;
use std::time::Instant;

use serde_json::{Value, json};

use crate::cpu::Group;
use crate::failed::{Failed, failed};
use crate::folder::{self, Folder};
use crate::gateways::{Gateway, attempt_ms};
use crate::process::{Bare, playbook};
use crate::report::{Row, Section, of, spread, tenths, whole};
use crate::samples::Samples;
use crate::watch::Watch;

/// Counted runs of each way.
const RUNS: usize = 15;

/// The figures of one way, in milliseconds but for the CPU.
#[derive(Debug, Default)]
struct Way {
    /// From the POST's first byte, or from the start of the process, to the effect.
    effect: Samples,
    /// From the POST's first byte to the 202.
    answered: Samples,
    /// How long a play without a task ran: from its start to its end, as the job tells it.
    empty: Samples,
    /// CPU seconds of a run with one task: gateway, host, interpreter and play together.
    cpu: Samples,
}

/// What takes turns.
#[derive(Debug)]
enum Runner {
    Gateway(Box<Gateway>, Option<Group>),
    Process(Bare, Folder),
}

pub(crate) async fn measure(root: &Path) -> Result<Section, Failed> {
    let ansible = folder::ansible()?;
    let mut runners = vec![
        ("cold", watched(Gateway::cold(root).await?)?),
        (
            "bare",
            Runner::Process(Bare::Program(ansible.clone()), Folder::new(root)?),
        ),
        (
            "script",
            Runner::Process(Bare::script_of(&ansible, root)?, Folder::new(root)?),
        ),
    ];
    if let Some(gateway) = Gateway::warm(root).await? {
        runners.push(("warm", watched(gateway)?));
    }
    let mut ways: Vec<(&str, Way)> = runners.iter().map(|(name, _)| (*name, Way::default())).collect();
    // Round 0 warms up and is not counted; then who begins changes each time.
    for number in 0..=RUNS {
        for index in 0..runners.len() {
            let index = (index + number) % runners.len();
            let round = runners[index].1.round().await?;
            if number > 0 {
                ways[index].1.add(round);
            }
        }
    }
    Ok(section(&ways))
}

/// A gateway whose CPU time is counted with that of all it starts, where the machine can do that.
fn watched(gateway: Gateway) -> Result<Runner, Failed> {
    let group = Group::of(gateway.server.pid()?);
    Ok(Runner::Gateway(Box::new(gateway), group))
}

impl Runner {
    async fn round(&self) -> Result<Way, Failed> {
        let mut round = Way::default();
        match self {
            Self::Gateway(gateway, group) => {
                let watch = Watch::on(&gateway.folder.path("effect"))?;
                let cpu = group.as_ref().and_then(Group::seconds);
                let asked = gateway.ask("Down").await?;
                let made = watch.made().await?;
                round.answered.push_ms(asked.answered);
                round.effect.push_ms(made - asked.began);
                gateway.end_of(&asked.job).await?;
                if let (Some(before), Some(after)) = (cpu, group.as_ref().and_then(Group::seconds)) {
                    round.cpu.push(after - before);
                }
                gateway.folder.forget_effect()?;
                round.empty.push(attempt_ms(&gateway.run("Empty").await?)?);
            }
            Self::Process(bare, folder) => {
                let watch = Watch::on(&folder.path("effect"))?;
                let began = Instant::now();
                let child = playbook(bare, folder, "touch.yml", None)?;
                round.effect.push_ms(watch.made().await? - began);
                succeeded(child).await?;
                folder.forget_effect()?;
                let began = Instant::now();
                succeeded(playbook(bare, folder, "empty.yml", None)?).await?;
                round.empty.push_ms(began.elapsed());
            }
        }
        Ok(round)
    }
}

pub(crate) async fn succeeded(mut child: tokio::process::Child) -> Result<(), Failed> {
    let status = child.wait().await.map_err(failed("wait for ansible-playbook"))?;
    if status.success() {
        Ok(())
    } else {
        Err(Failed::new("run ansible-playbook", status))
    }
}

impl Way {
    fn add(&mut self, round: Self) {
        self.effect.extend(round.effect);
        self.answered.extend(round.answered);
        self.empty.extend(round.empty);
        self.cpu.extend(round.cpu);
    }

    fn json(&self) -> Value {
        let all = |samples: &Samples| json!({ "median": samples.median(), "runs": samples.all() });
        json!({
            "effect_milliseconds": all(&self.effect),
            "answered_milliseconds": all(&self.answered),
            "empty_play_milliseconds": all(&self.empty),
            "cpu_seconds": all(&self.cpu),
        })
    }
}

fn section(ways: &[(&str, Way)]) -> Section {
    let way = |name: &str| ways.iter().find(|(found, _)| *found == name).map(|(_, way)| way);
    let mut rows = Vec::new();
    if let (Some(cold), Some(bare)) = (way("cold"), way("bare")) {
        rows.push(Row::pairs(
            "effect: cold gateway, bare; median, ms",
            &cold.effect,
            &bare.effect,
        ));
        rows.push(Row::new("fastest–slowest, ms", spread(&cold.effect, whole)).beside(
            spread(&bare.effect, whole),
            cold.effect.percentile(0) / bare.effect.percentile(0),
        ));
        let over = cold.effect.less(&bare.effect).median();
        let allowed = 0.03 * bare.effect.median() + 15.0;
        let beside = format!("{} allowed", tenths(allowed));
        rows.push(
            Row::new("what the cold gateway adds, ms", tenths(over))
                .beside(beside, over / allowed)
                .bound("≤ 3 % + 15 ms"),
        );
        rows.push(Row::new("of it until the 202, ms", tenths(cold.answered.median())));
        rows.push(Row::pairs(
            "empty play: cold gateway, bare; ms",
            &cold.empty,
            &bare.empty,
        ));
        if cold.cpu.count() > 0 {
            rows.push(Row::new("CPU of a one-task run, cold, s", of(cold.cpu.median())));
        }
    }
    if let (Some(warm), Some(cold), Some(script)) = (way("warm"), way("cold"), way("script")) {
        rows.push(Row::pairs("effect: warm gateway, cold gateway; ms", &warm.effect, &cold.effect).bound("≤ 0.45"));
        rows.push(Row::pairs("effect: warm gateway, shell script; ms", &warm.effect, &script.effect).bound("≤ 0.40"));
        rows.push(Row::pairs("empty play: warm, cold; ms", &warm.empty, &cold.empty).bound("≤ 0.15"));
        if warm.cpu.count() > 0 {
            let ratio = warm.cpu.ratios(&cold.cpu).median();
            let row = Row::new("CPU of a one-task run: warm, cold; s", of(warm.cpu.median()));
            rows.push(row.beside(of(cold.cpu.median()), ratio).bound("≤ 0.60"));
        }
    } else {
        rows.push(Row::new("warm", "does not start warm".to_owned()));
    }
    let figures = ways.iter().map(|(name, way)| ((*name).to_owned(), way.json()));
    Section {
        key: "effect",
        title: "to the first task's effect",
        columns: ["this", "that"],
        rows,
        json: json!({ "runs": RUNS, "ways": figures.collect::<serde_json::Map<_, _>>() }),
    }
}
