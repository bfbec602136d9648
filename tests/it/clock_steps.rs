//! The wall clock of a running gateway and of its run hosts steps, by a day and as NTP corrects it: runs are timed by another
//! clock, and nothing that waits for no time is held up.
#![expect(clippy::disallowed_methods, reason = "the clock is compiled")]

use std::path::Path;
use std::process::Command;
use std::time::Instant;

use crate::support::alerts::firing;
use crate::support::folder::{FIX, Folder};
use crate::support::gateway::Gateway;
use crate::support::wait::until;

const DAY: i64 = 86_400;

/// Waits until it is told to go on.
const WAITS: &str = "open('works', 'w').close()\nwait_for('go')\n";

/// A gateway whose wall clock can be stepped.
struct Stepping {
    folder: Folder,
    gateway: Gateway,
    began: Instant,
}

impl Stepping {
    async fn new(timeout: &str) -> Self {
        let folder = Folder::new();
        let catalogue = folder.read("remediations.yml");
        let of_all = format!("    path: fix.yml\n    lock: all\n    timeout: {timeout}\n");
        folder.write("remediations.yml", &catalogue.replace("    path: fix.yml\n", &of_all));
        folder.write("step", "0");
        compile(&folder);
        // Run hosts inherit nothing but this view of the files.
        let etc = folder.path("etc").display().to_string();
        let mount = format!("mount -t overlay overlay -o 'lowerdir={etc}:/etc' /etc && exec \"$@\"");
        let rights = if rustix::process::geteuid().is_root() {
            "-m"
        } else {
            "-rm"
        };
        let way = ["unshare", rights, "sh", "-c", &mount, "sh"];
        let gateway = Gateway::start_binary(&folder, &way, Path::new(env!("CARGO_BIN_EXE_healgate"))).await;
        Self {
            folder,
            gateway,
            began: Instant::now(),
        }
    }

    /// From now on, the wall clock is so many seconds before the machine's.
    fn step(&self, seconds: i64) {
        // A process may look at any moment: it sees the one or the other.
        self.folder.write("next", &seconds.to_string());
        std::fs::rename(self.folder.path("next"), self.folder.path("step")).unwrap();
    }

    /// A job whose playbook works now.
    async fn at_work(&self, fingerprint: &str) -> String {
        let job = self.gateway.queue(firing("Down", fingerprint)).await;
        until("the playbook works", || async {
            self.folder.path("works").exists().then_some(())
        })
        .await;
        job
    }

    /// How long all runs together took, as the metrics have it. That is no longer than the story: they have one target.
    async fn seconds(&self) -> f64 {
        let metrics = self.gateway.text("/metrics").await;
        let sums = metrics
            .lines()
            .filter(|line| line.starts_with("healgate_run_duration_seconds_sum"));
        let seconds = sums.map(|line| line.rsplit(' ').next().unwrap().parse::<f64>().unwrap());
        let (seconds, story) = (seconds.sum(), self.began.elapsed().as_secs_f64());
        assert!(seconds > 0.0 && seconds < story, "{seconds} s, in {story} s");
        seconds
    }
}

/// Makes the clock, and a list of what every process loads.
fn compile(folder: &Folder) {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/stepping_clock.c");
    let library = folder.path("stepping_clock.so");
    let done = Command::new("cc")
        .args(["-shared", "-fPIC", "-O1", "-Wall", "-Werror"])
        .arg(format!("-DSTEPS=\"{}\"", folder.path("step").display()))
        .arg("-o")
        .args([&library, &source])
        .arg("-ldl")
        .status();
    assert!(done.unwrap().success());
    folder.write("etc/ld.so.preload", &library.display().to_string());
}

#[tokio::test]
async fn a_run_during_which_the_clock_steps_is_neither_timed_out_nor_longer_for_it() {
    for seconds in [DAY, -DAY] {
        let stepping = Stepping::new("1h").await;
        stepping.folder.write("fix.yml", &format!("{WAITS}{FIX}"));
        let job = stepping.at_work("f1").await;
        let began = stepping.gateway.job(&job).await["started_at"].clone();
        stepping.step(seconds);
        // What waits for nothing is not held up.
        let next = stepping.gateway.queue(firing("Down", "f2")).await;
        stepping.folder.write("go", "");
        for job in [&job, &next] {
            let ended = stepping.gateway.until_finished(job).await;
            assert_eq!(ended["reason"], "unverified", "{ended:#}");
        }
        // Both clocks stepped: the gateway's, and that of the host.
        let ended = stepping.gateway.job(&job).await["finished_at"].clone();
        let (began, ended) = (began.as_str().unwrap(), ended.as_str().unwrap());
        assert_eq!(began < ended, seconds > 0, "{began} {ended}");
        assert_ne!(began[..10], ended[..10]);
        stepping.seconds().await;
    }
}

#[tokio::test]
async fn a_time_limit_is_what_it_says_also_where_the_clock_goes_back() {
    let stepping = Stepping::new("2s").await;
    stepping.folder.write("fix.yml", &format!("{WAITS}{FIX}"));
    let job = stepping.gateway.queue(firing("Down", "f1")).await;
    stepping.gateway.until_status(&job, "running").await;
    stepping.step(-DAY);
    let ended = stepping.gateway.until_finished(&job).await;
    assert_eq!(ended["reason"], "timed_out", "{ended:#}");
    assert!(stepping.seconds().await >= 2.0);
}

#[tokio::test]
async fn a_clock_that_is_corrected_all_the_time_costs_no_run_and_no_alert() {
    let stepping = Stepping::new("1h").await;
    let mut jobs = Vec::new();
    for (number, seconds) in [1, -1, 3, -40, 40, -60, 0, 2, 60, -1, -30, 0].into_iter().enumerate() {
        stepping.step(seconds);
        jobs.push(stepping.gateway.queue(firing("Down", &format!("f{number}"))).await);
    }
    for job in &jobs {
        let ended = stepping.gateway.until_finished(job).await;
        assert_eq!(ended["reason"], "unverified", "{ended:#}");
        assert_eq!(ended["attempts"].as_array().unwrap().len(), 1, "{ended:#}");
    }
    stepping.seconds().await;
}
