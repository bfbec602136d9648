//! ssh's control masters belong to their run: they end with it, however it ends, and nobody else's do. With a real sshd.
#![expect(clippy::disallowed_methods, reason = "the other side is a real sshd")]

use std::fs;
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use healgate::domain::attempt::Outcome;

use crate::runs::{World, cores, eventually, kill, lives, marked, pid_in};

/// An sshd of the test's own; killed with the value.
struct Sshd(Child);

impl Drop for Sshd {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

const CONFIG: &str = "
ListenAddress 127.0.0.1:PORT
HostKey DIR/host_key
AuthorizedKeysFile DIR/key.pub
PidFile none
StrictModes no
UsePAM no
PermitRootLogin yes
PasswordAuthentication no
Subsystem sftp internal-sftp
";

fn run(program: &str, arguments: &[&str]) {
    let output = Command::new(program).args(arguments).output().unwrap();
    assert!(
        output.status.success(),
        "{program}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
}

/// Starts sshd, and writes an inventory whose one host is this machine by way of ssh.
async fn sshd(world: &World) -> Sshd {
    let dir = world.dir.path().to_string_lossy().into_owned();
    for key in ["host_key", "key"] {
        run(
            "ssh-keygen",
            &["-q", "-t", "ed25519", "-N", "", "-f", &format!("{dir}/{key}")],
        );
    }
    let port = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port()
        .to_string();
    world.write("sshd_config", &CONFIG.replace("DIR", &dir).replace("PORT", &port));
    // An sshd of root insists on that one.
    let _ = fs::create_dir("/run/sshd");
    let mut command = Command::new("/usr/sbin/sshd");
    command.args(["-D", "-e", "-f"]).arg(world.path("sshd_config"));
    let child = command
        .stdin(Stdio::null())
        .stderr(fs::File::create(world.path("sshd.log")).unwrap())
        .spawn();
    let sshd = Sshd(child.expect("sshd is missing: `make deps` installs it"));
    eventually("sshd listens", || {
        fs::read_to_string(world.path("sshd.log"))
            .ok()?
            .contains("Server listening")
            .then_some(())
    })
    .await;
    let options = "-o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null";
    world.write(
        "hosts",
        &format!(
            "web1 ansible_host=127.0.0.1 ansible_port={port} ansible_ssh_private_key_file={dir}/key \
             ansible_ssh_common_args=\"{options}\"\n"
        ),
    );
    own_master(&dir, &port, options);
    sshd
}

/// Starts a master of the user's own, to the same host.
fn own_master(dir: &str, port: &str, options: &str) {
    let line = format!(
        "-M -F none -i {dir}/key -p {port} -o ControlPath={dir}/own -o ControlPersist=600 {options} 127.0.0.1 true"
    );
    // It keeps what it inherits, and so must inherit nothing that somebody waits for.
    let status = Command::new("ssh")
        .args(line.split(' '))
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    assert!(status.unwrap().success(), "the sshd refuses");
}

/// The masters whose socket is below that path.
fn masters(path: &Path) -> Vec<i32> {
    let begin = format!("ssh: {}", path.display());
    let pids = fs::read_dir("/proc").unwrap().flatten();
    let pids = pids.filter_map(|process| process.file_name().to_str()?.parse().ok());
    let title = |pid: &i32| fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    pids.filter(|pid| title(pid).starts_with(&begin) && lives(*pid))
        .collect()
}

const PLAY: &str = "
- hosts: all
  gather_facts: false
  tasks:
    - command: 'true'
    - shell: echo $$ > $DIR/pid; while [ ! -e $DIR/go ]; do sleep 0.1; done
";

/// Ends the user's own master, which must have lived on until here.
fn end_own(world: &World, core: &str) {
    let own = masters(&world.path("own"));
    assert_eq!(own.len(), 1, "{core}: the user's own master was ended");
    kill(own[0]);
}

#[tokio::test]
async fn a_run_that_ends_by_itself_leaves_no_master_behind() {
    for core in cores() {
        let world = World::new(&core);
        let _sshd = sshd(&world).await;
        let run = world.play(PLAY, |_| {});
        pid_in(&world.path("pid")).await;
        let cp = run.dir.path().join("cp");
        assert_eq!(masters(&cp).len(), 1, "{core}: {}", run.log());
        world.write("go", "");
        let ended = run.end().await;
        assert_eq!(ended.outcome, Outcome::Ok, "{}", ended.log);
        assert!(masters(&cp).is_empty(), "{core}: {}", ended.log);
        // It went politely, and took its socket with it.
        assert_eq!(fs::read_dir(&cp).unwrap().count(), 0, "{core}");
        end_own(&world, &core);
    }
}

#[tokio::test]
async fn a_stop_ends_ssh_its_master_and_what_it_runs_on_the_host() {
    for core in cores() {
        let world = World::new(&core);
        let _sshd = sshd(&world).await;
        let run = world.play(PLAY, |_| {});
        let remote = pid_in(&world.path("pid")).await;
        let (cp, mark) = (run.dir.path().join("cp"), run.mark());
        run.stop();
        let ended = run.end().await;
        assert_eq!(ended.outcome, Outcome::Canceled, "{}", ended.log);
        assert!(
            masters(&cp).is_empty() && marked(&mark).is_empty(),
            "{core}: {}",
            ended.log
        );
        eventually("the end of what ran on the host", || (!lives(remote)).then_some(())).await;
        end_own(&world, &core);
    }
}

#[tokio::test]
async fn a_master_whose_host_was_killed_is_ended_with_all_that_is_left() {
    for core in cores() {
        let world = World::new(&core);
        let _sshd = sshd(&world).await;
        let mut run = world.play(PLAY, |_| {});
        pid_in(&world.path("pid")).await;
        let cp = run.dir.path().join("cp");
        run.lose_host().await;
        run.dir.end_leftovers(Duration::from_secs(5)).unwrap();
        assert!(
            masters(&cp).is_empty() && marked(&run.mark()).is_empty(),
            "{core}: {}",
            run.log()
        );
        end_own(&world, &core);
    }
}
