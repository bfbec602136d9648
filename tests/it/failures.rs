//! What the machine denies: each failure is told on its job, and leaves a free slot for the next one.
#![expect(clippy::disallowed_methods, reason = "the machine's limits are set with prlimit(1)")]

use std::fs;
use std::io::Write;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::Command;

use reqwest::Method;
use rustix::process::{Resource, getrlimit};
use serde_json::Value;

use crate::runs::cores;
use crate::support::alerts::{firing, notification};
use crate::support::folder::{FIX, Folder};
use crate::support::gateway::Gateway;
use crate::support::wait::until;

const ONE_SLOT: &str = "worker:\n  slots: 1\n";

/// The next job's end.
async fn ending(gateway: &Gateway, alert: &str) -> (String, String) {
    let job = gateway.queue(firing("Down", alert)).await;
    let job = gateway.until_finished(&job).await;
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    (text(&job["reason"]), text(&job["attempts"][0]["message"]))
}

async fn the_next_one_runs(gateway: &Gateway) {
    let (reason, message) = ending(gateway, "next").await;
    assert_eq!(reason, "unverified", "{message}");
}

#[tokio::test]
async fn a_missing_command_or_interpreter_is_named() {
    let folder = Folder::new();
    folder.settings(ONE_SLOT);
    let good = folder.read("ansible-playbook");
    let gateway = Gateway::start(&folder).await;
    fs::remove_file(folder.path("ansible-playbook")).unwrap();
    let (reason, message) = ending(&gateway, "f1").await;
    assert_eq!(reason, "start_failed");
    assert!(message.contains("/ansible-playbook: No such file"), "{message}");
    folder.program("ansible-playbook", "#!/nowhere/python3\n");
    let (reason, message) = ending(&gateway, "f2").await;
    assert_eq!(reason, "start_failed");
    assert!(
        message.contains("the interpreter that its first line names is missing"),
        "{message}"
    );
    folder.program("ansible-playbook", &good);
    the_next_one_runs(&gateway).await;
}

#[tokio::test]
async fn an_interpreter_that_crashes_is_told_with_its_signal() {
    let folder = Folder::new();
    folder.settings(ONE_SLOT);
    let gateway = Gateway::start(&folder).await;
    for (signal, sentence) in [
        (11, "ansible-playbook was ended by signal 11 (SIGSEGV)"),
        (
            9,
            "ansible-playbook was ended by signal 9 (SIGKILL), as the kernel does when memory is short",
        ),
    ] {
        folder.write("fix.yml", &format!("os.kill(os.getpid(), {signal})"));
        let (reason, message) = ending(&gateway, &format!("f{signal}")).await;
        assert_eq!((reason.as_str(), message.as_str()), ("playbook_error", sentence));
    }
    folder.write("fix.yml", FIX);
    the_next_one_runs(&gateway).await;
}

#[tokio::test]
async fn a_place_for_runs_that_cannot_be_written_is_named() {
    let folder = Folder::new();
    folder.settings(ONE_SLOT);
    let gateway = Gateway::start(&folder).await;
    folder.write("var/runs", "in the way");
    let (reason, message) = ending(&gateway, "f1").await;
    assert_eq!(reason, "start_failed");
    assert!(
        message.starts_with("cannot create ") && message.contains("/var/runs/"),
        "{message}"
    );
    fs::remove_file(folder.path("var/runs")).unwrap();
    the_next_one_runs(&gateway).await;
}

/// A gateway whose folder `disk` is a disk of 8 MiB, with what `prepare` puts there, and where it is for others.
async fn on_small_disk(folder: &Folder, prepare: &str) -> (Gateway, PathBuf) {
    let disk = folder.path("disk");
    fs::create_dir_all(&disk).unwrap();
    let at = disk.display();
    let mount = format!("mount -t tmpfs -o size=8m tmpfs '{at}' && cd '{at}' && {prepare} && exec \"$@\"");
    let rights = if rustix::process::geteuid().is_root() {
        "-m"
    } else {
        "-rm"
    };
    let way = ["unshare", rights, "sh", "-c", &mount, "sh"];
    let gateway = Gateway::start_binary(folder, &way, Path::new(env!("CARGO_BIN_EXE_healgate"))).await;
    let inside = PathBuf::from(format!("/proc/{}/root{}", gateway.pid(), disk.display()));
    assert_ne!(fs::metadata(&inside).unwrap().dev(), fs::metadata(&disk).unwrap().dev());
    (gateway, inside)
}

/// Takes all that the disk has.
fn fill(disk: &Path) -> PathBuf {
    let path = disk.join("filling");
    let mut file = fs::File::create(&path).unwrap();
    for piece in [vec![0; 64 << 10], vec![0; 1]] {
        while file.write_all(&piece).is_ok() {}
    }
    path
}

#[tokio::test]
async fn a_run_that_finds_no_room_on_the_disk_says_so() {
    let folder = Folder::new();
    folder.settings(&format!("data_dir: disk\n{ONE_SLOT}"));
    let (gateway, disk) = on_small_disk(&folder, "true").await;
    let filling = fill(&disk);
    let (reason, message) = ending(&gateway, "f1").await;
    assert_eq!(reason, "start_failed");
    assert!(message.contains("No space left on device"), "{message}");
    fs::remove_file(filling).unwrap();
    the_next_one_runs(&gateway).await;
}

/// Its output is more than pipe and disk can take.
#[tokio::test]
async fn a_full_disk_never_blocks_a_playbook() {
    let play = "
- hosts: all
  gather_facts: false
  tasks:
    - shell: echo > $DIR/works; while [ ! -e $DIR/go ]; do sleep 0.1; done
    - debug: {msg: \"{{ 'x' * 3000000 }}\"}
    - debug: {msg: last}
";
    for core in cores() {
        let folder = Folder::new();
        folder.settings_for(&core, &format!("data_dir: disk\n{ONE_SLOT}"));
        let dir = folder.path("").display().to_string();
        folder.write("fix.yml", &play.replace("$DIR", dir.trim_end_matches('/')));
        let (gateway, disk) = on_small_disk(&folder, "true").await;
        let job = gateway.queue(firing("Down", "f1")).await;
        until("the playbook works", || async {
            folder.path("works").exists().then_some(())
        })
        .await;
        let filling = fill(&disk);
        folder.write("go", "");
        let ended = gateway.until_finished(&job).await;
        let attempt = &ended["attempts"][0];
        assert_eq!(
            (&attempt["exit_code"], &attempt["log_truncated"]),
            (&0.into(), &true.into()),
            "{core}: {ended:#}"
        );
        let message = attempt["message"].as_str().unwrap();
        assert!(message.contains("the disk was full"), "{core}: {message}");
        fs::remove_file(filling).unwrap();
        the_next_one_runs(&gateway).await;
    }
}

#[tokio::test]
async fn a_log_leaves_room_on_the_disk_for_what_ansible_needs() {
    let play = "
- hosts: all
  gather_facts: false
  tasks:
    - debug: {msg: \"{{ 'x' * 3000000 }}\"}
      loop: [1, 2, 3, 4]
    - shell: echo last
";
    for core in cores() {
        let folder = Folder::new();
        folder.settings_for(&core, &format!("data_dir: disk\n{ONE_SLOT}"));
        folder.write("fix.yml", play);
        let (gateway, _disk) = on_small_disk(&folder, "true").await;
        let job = gateway.queue(firing("Down", "f1")).await;
        let ended = gateway.until_finished(&job).await;
        assert_eq!(ended["status"], "succeeded", "{core}: {ended:#}");
        let attempt = &ended["attempts"][0];
        assert_eq!(attempt["log_truncated"], true, "{core}: {attempt:#}");
        assert_eq!(attempt["host_stats"]["localhost"]["ok"], 2, "{core}: {attempt:#}");
    }
}

#[tokio::test]
async fn a_run_is_stopped_on_a_full_disk_whether_or_not_the_database_is_on_it_too() {
    for database in ["sqlite://var/", "sqlite://disk/"] {
        let folder = Folder::new();
        let settings = folder.read("healgate.yml").replace("sqlite://var/", database);
        folder.write("healgate.yml", &format!("{settings}data_dir: disk\n{ONE_SLOT}"));
        folder.write("fix.yml", "open('works', 'w').close()\nwait_for('/never')");
        let (gateway, disk) = on_small_disk(&folder, "true").await;
        let job = gateway.queue(firing("Down", "f1")).await;
        until("the playbook works", || async {
            folder.path("works").exists().then_some(())
        })
        .await;
        let filling = fill(&disk);
        let answer = gateway.post(&format!("/api/v1/jobs/{job}/cancel")).await;
        if answer.status() != 202 {
            let problem: Value = answer.json().await.unwrap();
            assert_eq!(problem["status"], 503, "{database}: {problem}");
            let detail = problem["detail"].as_str().unwrap();
            assert!(
                detail.ends_with("the run is being stopped all the same"),
                "{database}: {detail}"
            );
        }
        until("nothing of the run is left", || async {
            let processes = folder.processes();
            let mut commands = processes.iter().map(|(_, command)| command);
            (!commands.any(|command| command.contains("fix.yml"))).then_some(())
        })
        .await;
        fs::remove_file(filling).unwrap();
        let ended = gateway.until_finished(&job).await;
        assert_eq!(
            (&ended["status"], &ended["reason"]),
            (&"canceled".into(), &"canceled".into())
        );
        let message = ended["attempts"][0]["message"].as_str().unwrap();
        assert_eq!(message, "stopped by anonymous (cancel)", "{database}");
        fs::remove_file(folder.path("works")).unwrap();
        folder.write("fix.yml", FIX);
        the_next_one_runs(&gateway).await;
    }
}

#[tokio::test]
async fn a_gateway_starts_on_a_full_disk_and_takes_writes_once_there_is_room() {
    let folder = Folder::new();
    let settings = folder.read("healgate.yml").replace("sqlite://var/", "sqlite://disk/");
    folder.write("healgate.yml", &format!("{settings}data_dir: disk\n"));
    let gateway = Gateway::start(&folder).await;
    let job = gateway.queue(firing("Down", "f1")).await;
    gateway.until_finished(&job).await;
    gateway.kill().await;
    fs::rename(folder.path("disk"), folder.path("before")).unwrap();
    let fill = "cp -a ../before/. . && { for size in 64k 1; do dd if=/dev/zero bs=$size >> filling; done 2> /dev/null; true; }";
    let (gateway, disk) = on_small_disk(&folder, fill).await;
    assert_eq!(gateway.job(&job).await["reason"], "unverified");
    let body = notification(&[firing("Down", "f2")]);
    let posted = gateway
        .request(Method::POST, "/webhooks/alertmanager")
        .json(&body)
        .send()
        .await;
    assert_eq!(posted.unwrap().status(), 503);
    fs::remove_file(disk.join("filling")).unwrap();
    the_next_one_runs(&gateway).await;
}

/// Another user's limits, as root has none.
#[tokio::test]
async fn a_machine_that_gives_no_more_processes_is_told() {
    const NOBODY: u32 = 65_534;
    let folder = Folder::new();
    folder.settings(ONE_SLOT);
    let binary = folder.path("healgate");
    fs::copy(env!("CARGO_BIN_EXE_healgate"), &binary).unwrap();
    let setpriv = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"];
    let is_root = rustix::process::geteuid().is_root();
    if is_root {
        for name in ["", "fix.yml", "healgate"] {
            std::os::unix::fs::chown(folder.path(name), Some(NOBODY), Some(NOBODY)).unwrap();
        }
        fs::set_permissions(folder.path(""), fs::Permissions::from_mode(0o755)).unwrap();
    }
    let way: &[&str] = if is_root { &setpriv } else { &[] };
    let gateway = Gateway::start_binary(&folder, way, &binary).await;
    let (reason, message) = ending(&gateway, "f0").await;
    assert_eq!(reason, "unverified", "{message}");
    let set_limit = |limit: &str| {
        // By the same user, as even root may lack the right to change another's limits.
        let pid = gateway.pid().to_string();
        let command = ["prlimit", "--pid", &pid, &format!("--nproc={limit}:")].map(str::to_owned);
        let all: Vec<String> = way.iter().map(|word| (*word).to_owned()).chain(command).collect();
        assert!(Command::new(&all[0]).args(&all[1..]).status().unwrap().success());
    };
    set_limit("0");
    let job = gateway.queue(firing("Down", "f1")).await;
    // Asked only later, as the answer may need a thread too.
    until("the start has failed", || async {
        gateway.logged().contains("failed to start").then_some(())
    })
    .await;
    let before = getrlimit(Resource::Nproc).current;
    set_limit(&before.map_or_else(|| "unlimited".to_owned(), |limit| limit.to_string()));
    let ended = gateway.until_finished(&job).await;
    assert_eq!(ended["reason"], "start_failed");
    let message = ended["attempts"][0]["message"].as_str().unwrap();
    assert!(
        message.contains("cannot start") && message.contains("Resource temporarily unavailable"),
        "{message}"
    );
    the_next_one_runs(&gateway).await;
}
