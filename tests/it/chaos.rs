//! Many kills, stops and starts in a row, with alerts coming in all the time: the promises hold after all of it.

pub(crate) mod judge;

use std::collections::{HashMap, HashSet, VecDeque};
use std::path::{Path, PathBuf};
use std::time::Duration;

use reqwest::Method;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tokio::time::Instant;

use crate::chaos::judge::{all, all_jobs, check_database, check_logs, check_witness, left_of};
use crate::support::alerts::{TestAlert, firing, notification};
use crate::support::folder::Folder;
use crate::support::gateway::Gateway;
use crate::support::told;
use crate::support::wait::until;

/// `make soak` runs more, and others.
const CYCLES: u32 = 300;
const SEED: u64 = 20_260_131;

/// Of those with real Ansible, which takes that much longer.
const ONE_REAL_IN: u32 = 30;

/// Playbooks of the same `t` never run at once.
const REMEDIATIONS: &str = r#"
playbooks:
  fix:
    path: fix.yml
    lock: "{{ alert.labels.t }}"
routes:
  - name: down
    matchers: ['alertname="Down"']
    playbook: fix
"#;

/// Says when it begins and ends, and takes up to 100 ms, depending on its run. Some have a child in a session of its own,
/// which nothing but its mark ties to the run once its parent is gone.
const FIX: &str = "
import select, subprocess
run = os.environ['HEALGATE_RUN']
n = sum(run.encode())
fd = os.open('witness', os.O_WRONLY | os.O_APPEND | os.O_CREAT)
def witness(what):
    os.write(fd, f'{what} {run} {time.monotonic_ns()}\\n'.encode())
witness('start')
child = subprocess.Popen(['sleep', '600'], start_new_session=True) if n % 5 == 0 else None
for i in range(n % 40):
    say(f'{run} line {i}')
for _ in range(n % 10):
    select.select([], [], [], 0.01)
    witness('alive')
if child:
    child.kill()
    child.wait()
witness('stop')
ok()
";

/// The same with real Ansible.
const REAL_FIX: &str = "
- hosts: all
  gather_facts: false
  tasks:
    - name: begin
      ansible.builtin.shell: echo start $HEALGATE_RUN $(cut -d' ' -f1 /proc/uptime | tr -d .) >> witness
    - name: say
      ansible.builtin.debug: {msg: \"{{ lookup('env', 'HEALGATE_RUN') }} line {{ item }}\"}
      loop: [1, 2, 3, 4, 5]
    - name: work
      ansible.builtin.shell: >-
        for i in 1 2 3 4 5; do
        echo alive $HEALGATE_RUN $(cut -d' ' -f1 /proc/uptime | tr -d .) >> witness; sleep 0.05; done
    - name: end
      ansible.builtin.shell: echo stop $HEALGATE_RUN $(cut -d' ' -f1 /proc/uptime | tr -d .) >> witness
";

/// What runs the playbooks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Plays {
    Scripted,
    Ansible,
}

impl Plays {
    const fn longest_life_ms(self) -> u64 {
        match self {
            Self::Scripted => 350,
            Self::Ansible => 2_500,
        }
    }

    /// Bounds how many playbooks must run, which is what takes the time.
    const fn posts_per_cycle(self) -> u32 {
        match self {
            Self::Scripted => 3,
            Self::Ansible => 1,
        }
    }

    /// One in so many lives may start warm, and most of those wait until they do.
    const fn warm_lives(self) -> u64 {
        match self {
            Self::Scripted => 10,
            Self::Ansible => 2,
        }
    }
}

/// SplitMix64: the same story each time.
struct Dice(u64);

impl Dice {
    fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % end
    }
}

/// What was done, and what was promised for it.
struct Story {
    plays: Plays,
    dice: Dice,
    alerts: u64,
    /// Jobs that an answer named, and the alerts that it said they are for.
    promised: HashSet<(String, String)>,
    /// Notifications that were answered with 2xx.
    taken: HashSet<String>,
    /// What got no answer or a 5xx, to be sent again as Alertmanager does.
    unsent: VecDeque<TestAlert>,
    /// How often that was.
    resent: u32,
    /// Runs whose host was killed.
    killed: HashSet<String>,
    /// Jobs that somebody may have canceled.
    canceled: HashSet<String>,
    kills: Kills,
}

/// How often what was killed.
#[derive(Debug, Default)]
struct Kills {
    gateways: u32,
    hosts: u32,
    warm_interpreters: u32,
}

impl Story {
    fn new(plays: Plays, seed: u64) -> Self {
        Self {
            plays,
            dice: Dice(seed),
            alerts: 0,
            promised: HashSet::new(),
            taken: HashSet::new(),
            unsent: VecDeque::new(),
            resent: 0,
            killed: HashSet::new(),
            canceled: HashSet::new(),
            kills: Kills::default(),
        }
    }

    async fn post(&mut self, gateway: &Gateway) {
        let alert = self.next_alert();
        // First, as this may be dropped at any moment, when the gateway dies.
        self.unsent.push_back(alert);
        self.send_oldest(gateway).await;
    }

    fn next_alert(&mut self) -> TestAlert {
        let repeat = self.alerts > 0 && self.dice.below(3) == 0;
        let number = if repeat {
            self.alerts - self.dice.below(self.alerts.min(9))
        } else {
            self.alerts += 1;
            self.alerts
        };
        let alert = alert(number);
        if repeat && self.dice.below(3) == 0 {
            return alert.resolved("2026-01-31T10:00:00Z");
        }
        alert
    }

    /// Sends what has waited longest. It is done with once it is taken.
    async fn send_oldest(&mut self, gateway: &Gateway) {
        let Some(alert) = self.unsent.front() else { return };
        let request = gateway.request(Method::POST, "/webhooks/alertmanager");
        self.resent += 1;
        let fingerprint = alert.fingerprint().to_owned();
        let Ok(answer) = request.json(&notification(std::slice::from_ref(alert))).send().await else {
            return;
        };
        if answer.status().is_server_error() {
            return;
        }
        assert_eq!(answer.status(), 202);
        self.unsent.pop_front();
        self.resent -= 1;
        let Ok(answer) = answer.json::<Value>().await else {
            return;
        };
        self.taken.insert(answer["notification"].as_str().unwrap().to_owned());
        let Some(job) = answer["decisions"][0]["job"].as_str() else {
            assert_eq!(answer["decisions"][0]["decision"], "resolved", "{answer:#}");
            return;
        };
        self.promised.insert((job.to_owned(), fingerprint));
        self.interfere(gateway, job).await;
    }

    /// Sometimes a person cancels or runs again, sometimes a run host dies.
    async fn interfere(&mut self, gateway: &Gateway, job: &str) {
        let what = match self.dice.below(12) {
            0 => "cancel",
            1 => "rerun",
            _ => return,
        };
        if what == "cancel" {
            self.canceled.insert(job.to_owned());
        }
        let path = format!("/api/v1/jobs/{job}/{what}");
        if let Ok(answer) = gateway.request(Method::POST, &path).send().await {
            assert!(answer.status().as_u16() < 500, "{what}: {}", answer.status());
        }
    }

    fn kill_a_host(&mut self, folder: &Folder) {
        let mut hosts = folder.processes();
        hosts.retain(|(_, command)| command.contains("--ticket"));
        // A host that is just starting its playbook: the child looks like it until it executes that.
        let pids: HashSet<i32> = hosts.iter().map(|(pid, _)| *pid).collect();
        hosts.retain(|(pid, _)| parent_of(*pid).is_none_or(|parent| !pids.contains(&parent)));
        if hosts.is_empty() {
            return;
        }
        let (pid, command) = &hosts[usize::try_from(self.dice.below(hosts.len() as u64)).unwrap()];
        let run = command.split("/runs/").nth(1).unwrap_or_default().trim();
        self.killed.insert(run.to_owned());
        self.kills.hosts += 1;
        let _ = kill_process(Pid::from_raw(*pid).unwrap(), Signal::KILL);
    }

    /// Not a play that it has forked: that is a run's own.
    fn kill_a_warm_interpreter(&mut self, folder: &Folder, gateway: &Gateway) {
        let of_gateway = format!("PPid:\t{}\n", gateway.pid());
        for (pid, command) in folder.processes() {
            let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
            if command.contains("healgate_warm.py") && status.contains(&of_gateway) {
                self.kills.warm_interpreters += 1;
                let _ = kill_process(Pid::from_raw(pid).unwrap(), Signal::KILL);
            }
        }
    }

    async fn cycle(&mut self, folder: &Folder) {
        let on_shutdown = if self.dice.below(2) == 0 { "leave" } else { "stop" };
        let warm = self.dice.below(self.plays.warm_lives()) == 0;
        self.settings(folder, warm, "0s", on_shutdown);
        let mut gateway = Gateway::start(folder).await;
        if warm && self.dice.below(4) > 0 {
            until("a warm interpreter is ready", || async {
                let metrics = gateway.text("/metrics").await;
                metrics.contains("healgate_warm_interpreters 1").then_some(())
            })
            .await;
        }
        while !self.unsent.is_empty() {
            self.send_oldest(&gateway).await;
        }
        let born = Instant::now();
        let longest = self.plays.longest_life_ms();
        let moment = |dice: &mut Dice| dice.below(longest);
        let mut moments: Vec<u64> = (0..=self.dice.below(3)).map(|_| moment(&mut self.dice)).collect();
        moments.sort_unstable();
        let mut posts = 0;
        for (number, moment) in moments.iter().enumerate() {
            let posting = async {
                while posts < self.plays.posts_per_cycle() {
                    posts += 1;
                    self.post(&gateway).await;
                }
                std::future::pending::<()>().await;
            };
            let _ = tokio::time::timeout_at(born + Duration::from_millis(*moment), posting).await;
            // The last moment is the gateway's own.
            if number + 1 < moments.len() {
                match self.dice.below(3) {
                    0 => self.kill_a_warm_interpreter(folder, &gateway),
                    _ => self.kill_a_host(folder),
                }
            }
        }
        match self.dice.below(10) {
            0..7 => {
                self.kills.gateways += 1;
                return gateway.kill().await;
            }
            7..9 => gateway.signal(Signal::TERM),
            _ => {
                gateway.signal(Signal::HUP);
                gateway.signal(Signal::TERM);
                gateway.signal(Signal::TERM);
            }
        }
        assert!(gateway.ended().await.success(), "{}", gateway.logged());
    }

    fn settings(&self, folder: &Folder, warm: bool, drain_timeout: &str, on_shutdown: &str) {
        let worker = format!("worker:\n  drain_timeout: {drain_timeout}\n  on_shutdown: {on_shutdown}\n");
        let ansible = ansible();
        let command = match (self.plays, warm) {
            (Plays::Scripted, true) => WARM,
            (Plays::Scripted, false) => return folder.settings(&worker),
            (Plays::Ansible, _) => ansible.to_str().unwrap(),
        };
        if warm {
            folder.warm_settings(command, &worker);
        } else {
            folder.settings_for(command, &worker);
        }
    }

    fn check(&self, folder: &Folder, jobs: &HashMap<String, Value>) {
        for (promised, fingerprint) in &self.promised {
            let job = jobs.get(promised);
            let job = job.unwrap_or_else(|| panic!("{promised} was acknowledged and is gone"));
            assert_eq!(job["alert"]["fingerprint"], **fingerprint, "{job:#}");
        }
        for (id, job) in jobs {
            let excused = match job["reason"].as_str().unwrap() {
                "unverified" | "resolved_meanwhile" => true,
                "canceled" => self.canceled.contains(id) || job.to_string().contains("(shutdown)"),
                "lost" | "start_failed" => self.killed.iter().any(|run| run.starts_with(id.as_str())),
                _ => false,
            };
            assert!(excused, "{job:#}");
            for (index, attempt) in job["attempts"].as_array().unwrap().iter().enumerate() {
                assert_eq!(attempt["number"], index + 1, "{job:#}");
            }
        }
        check_witness(folder, jobs);
    }
}

fn parent_of(pid: i32) -> Option<i32> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let parent = status.lines().find_map(|line| line.strip_prefix("PPid:"))?;
    parent.trim().parse().ok()
}

fn alert(number: u64) -> TestAlert {
    firing("Down", &format!("f{number}")).label("t", &format!("t{}", number % 5))
}

fn ansible() -> PathBuf {
    let ansible = Path::new(env!("CARGO_MANIFEST_DIR")).join(".venv/bin/ansible-playbook");
    assert!(
        ansible.exists(),
        "{} is missing: `make test` makes it",
        ansible.display()
    );
    ansible
}

/// What `stand_in_that_starts_warm` makes.
const WARM: &str = "./ansible-playbook-warm";

/// The stand-in on the Python that has Ansible, which it imports first: so a warm interpreter takes it for the real one,
/// and runs the stand-in.
fn stand_in_that_starts_warm(folder: &Folder) {
    let python = ansible().with_file_name("python3");
    let stand_in = folder.read("ansible-playbook");
    let (_, rest) = stand_in.split_once('\n').unwrap();
    let text = format!("#!{}\nimport ansible.cli.playbook\n{rest}", python.display());
    folder.program(WARM, &text);
}

/// How many cycles, of which story.
fn told_story() -> (u32, u64) {
    let cycles = told::number("CYCLES").map_or(CYCLES, |cycles| cycles.try_into().unwrap());
    let seed = told::number("SEED").unwrap_or(SEED);
    (cycles, seed)
}

#[tokio::test]
async fn every_promise_holds_after_many_kills_stops_and_starts() {
    let (cycles, seed) = told_story();
    println!("CYCLES={cycles} SEED={seed}");
    let folder = Folder::new();
    stand_in_that_starts_warm(&folder);
    folder.write("remediations.yml", REMEDIATIONS);
    folder.write("fix.yml", FIX);
    let story = Story::new(Plays::Scripted, seed);
    let said = |run: &str| {
        let lines = run.bytes().map(u32::from).sum::<u32>() % 40;
        (0..lines).map(|line| format!("{run} line {line}\n")).collect()
    };
    println!("{}", live(story, &folder, cycles, said).await);
}

#[tokio::test]
async fn every_promise_holds_after_many_kills_with_real_ansible() {
    let (cycles, seed) = told_story();
    println!("CYCLES={cycles} SEED={seed}");
    let folder = Folder::new();
    folder.write("remediations.yml", REMEDIATIONS);
    folder.write("fix.yml", REAL_FIX);
    let story = Story::new(Plays::Ansible, seed);
    // What a run says that nothing disturbs, but for its name.
    story.settings(&folder, false, "5m", "leave");
    let gateway = Gateway::start(&folder).await;
    let job = gateway.queue(alert(0)).await;
    assert_eq!(gateway.until_finished(&job).await["reason"], "unverified");
    let calm = gateway.log_of(&job).await;
    assert!(calm.contains(&format!("{job}/1 line 5")), "{calm}");
    gateway.kill().await;
    let said = |run: &str| calm.replace(&format!("{job}/1"), run);
    println!("{}", live(story, &folder, cycles / ONE_REAL_IN, said).await);
}

/// Goes through all cycles, judges what is left, and sums it up. `said` is what a run of that name says.
async fn live(mut story: Story, folder: &Folder, cycles: u32, said: impl Fn(&str) -> String) -> String {
    for _ in 0..cycles {
        story.cycle(folder).await;
    }
    assert!(!story.promised.is_empty(), "nothing was acknowledged");
    assert!(story.kills.gateways > 0, "{:?}", story.kills);

    story.settings(folder, false, "5m", "leave");
    let mut gateway = Gateway::start(folder).await;
    while !story.unsent.is_empty() {
        story.send_oldest(&gateway).await;
    }
    until("nothing waits or runs", || async {
        let open = gateway.get("/api/v1/jobs?status=queued&status=running&limit=1").await;
        open["items"].as_array().unwrap().is_empty().then_some(())
    })
    .await;
    let jobs = all_jobs(&gateway).await;
    story.check(folder, &jobs);
    let stored = all(&gateway, "/api/v1/notifications").await;
    let gone: Vec<&String> = story.taken.iter().filter(|id| !stored.contains_key(*id)).collect();
    assert!(gone.is_empty(), "acknowledged and gone: {gone:?}");
    check_logs(&gateway, &jobs, said).await;
    gateway.signal(Signal::TERM);
    assert!(gateway.ended().await.success());
    let left = left_of(folder, &jobs);
    assert!(left.is_empty(), "{left:?}");
    assert_eq!(std::fs::read_dir(folder.path("var/runs")).unwrap().count(), 0);
    check_database(folder);
    let attempts = || jobs.values().flat_map(|job| job["attempts"].as_array().unwrap());
    let warm = attempts().filter(|attempt| attempt["warm"] == true).count();
    // How many there are is up to the machine: on a slow one, a life ends before its interpreter is ready.
    assert!(warm > 0, "no run was warm");
    // Few cycles may meet neither.
    let others = story.kills.warm_interpreters.min(story.kills.hosts);
    assert!(story.plays == Plays::Ansible || others > 0, "{:?}", story.kills);
    format!(
        "{:?}: {} notifications, {} sent more than once; {} jobs, {} runs, {warm} of them warm; killed: {:?}",
        story.plays,
        stored.len(),
        story.resent,
        jobs.len(),
        attempts().count(),
        story.kills
    )
}
