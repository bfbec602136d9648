//! What the callback plugin costs a play of 2,000 results: the same play with and without it.

use std::path::Path;
use std::time::Instant;

use serde_json::json;

use crate::failed::{Failed, failed};
use crate::folder::{self, Folder};
use crate::process::{Bare, Used, playbook_with, used_by};
use crate::report::{Row, Section, of, tenths};
use crate::samples::Samples;

/// Counted runs of each way.
const RUNS: usize = 10;

const HOSTS: usize = 20;
const TASKS: usize = 100;

pub(crate) async fn measure(root: &Path) -> Result<Section, Failed> {
    let ansible = Bare::Program(folder::ansible()?);
    let folder = Folder::new(root)?;
    write_play(&folder)?;
    let plugins = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("python")
        .display()
        .to_string();
    let events = folder.path("events.jsonl").display().to_string();
    let on = [
        ("ANSIBLE_CALLBACK_PLUGINS", plugins.as_str()),
        ("ANSIBLE_CALLBACKS_ENABLED", "healgate_events"),
        ("HEALGATE_EVENTS", events.as_str()),
    ];
    let (mut with, mut without) = (Way::default(), Way::default());
    for number in 0..=RUNS {
        for way in 0..2 {
            let env: &[(&str, &str)] = if (way + number) % 2 == 0 { &on } else { &[] };
            let began = Instant::now();
            let child = playbook_with(&ansible, &folder, "many.yml", Some("output"), env)?;
            let used = used_by(child).await?;
            let wall = began.elapsed().as_secs_f64();
            if number > 0 {
                if env.is_empty() { &mut without } else { &mut with }.take(wall, &used);
            }
        }
    }
    let told = std::fs::read_to_string(&events).map_err(failed("read events"))?;
    let results = told
        .lines()
        .filter(|line| line.contains("\"event\":\"result\""))
        .count();
    if results != HOSTS * TASKS * (RUNS + 1) {
        return Err(Failed::new("see every result told", results));
    }
    Ok(section(&with, &without))
}

#[derive(Debug, Default)]
struct Way {
    wall: Samples,
    /// CPU seconds of `ansible-playbook` and all its workers.
    all: Samples,
    /// CPU seconds of its main process, which calls the plugin.
    main: Samples,
}

impl Way {
    fn take(&mut self, wall: f64, used: &Used) {
        self.wall.push(wall);
        self.all.push(used.all);
        self.main.push(used.main);
    }
}

fn write_play(folder: &Folder) -> Result<(), Failed> {
    let hosts: String = (0..HOSTS).map(|n| format!("    web{n}:\n")).collect();
    let inventory = format!(
        "all:\n  vars:\n    ansible_connection: local\n    ansible_python_interpreter: \"{{{{ ansible_playbook_python }}}}\"\n  hosts:\n{hosts}"
    );
    let task = |n| {
        format!(
            "    - name: Task {n}\n      ansible.builtin.debug:\n        msg: hello {{{{ inventory_hostname }}}} {n}\n"
        )
    };
    let tasks: String = (0..TASKS).map(task).collect();
    folder.write("hosts.yml", &inventory)?;
    folder.write(
        "many.yml",
        &format!("- name: Many results\n  hosts: all\n  gather_facts: false\n  tasks:\n{tasks}"),
    )
}

fn section(with: &Way, without: &Way) -> Section {
    let row = |what: &str, this: &Samples, that: &Samples| {
        Row::new(what, of(this.median())).beside(of(that.median()), this.ratios(that).median())
    };
    let each = (with.all.median() - without.all.median()) * 1e6 / 2_000.0;
    Section {
        key: "callback",
        title: "a play of 2,000 results",
        columns: ["with the callback", "without"],
        rows: vec![
            row("duration, s", &with.wall, &without.wall).bound("≤ 1.02"),
            row("CPU with all workers, s", &with.all, &without.all).bound("≤ 1.02"),
            row("CPU of the main process, s", &with.main, &without.main),
            Row::new("CPU of one result (of the medians), µs", tenths(each)),
        ],
        json: json!({
            "runs": RUNS,
            "seconds": { "with": with.wall.all(), "without": without.wall.all() },
            "cpu_seconds": { "with": with.all.all(), "without": without.all.all() },
            "main_cpu_seconds": { "with": with.main.all(), "without": without.main.all() },
        }),
    }
}
