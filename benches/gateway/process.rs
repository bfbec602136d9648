//! Programs that are measured from outside: the gateway as its users start it, and its baselines.
#![expect(clippy::disallowed_methods, reason = "a benchmark starts what it measures")]

use std::fs::{self, File};
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use rustix::process::{Pid, WaitId, WaitIdOptions};
use serde_json::Value;
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};

use crate::client::Client;
use crate::failed::{Failed, failed};
use crate::folder::Folder;

/// A server in a process of its own; killed with the value.
#[derive(Debug)]
pub(crate) struct Server {
    child: Child,
    /// Open, so that the server may go on writing.
    _stdout: Lines<BufReader<ChildStdout>>,
    pub(crate) address: SocketAddr,
}

impl Server {
    /// `healgate serve` in that folder, listening.
    pub(crate) async fn healgate(folder: &Folder) -> Result<Self, Failed> {
        let mut command = Command::new(env!("CARGO_BIN_EXE_healgate"));
        command.arg("serve").arg("--config").arg(folder.path("healgate.yml"));
        Self::start(command, folder).await
    }

    /// The smallest server that Python has, on the interpreter that Ansible runs on.
    pub(crate) async fn python(ansible: &Path, folder: &Folder) -> Result<Self, Failed> {
        let mut command = Command::new(ansible.with_file_name("python"));
        command.args(["-u", "-m", "http.server", "0", "--bind", "127.0.0.1"]);
        Self::start(command.current_dir(folder.path("effect")), folder).await
    }

    async fn start(mut command: impl std::borrow::BorrowMut<Command>, folder: &Folder) -> Result<Self, Failed> {
        let said = folder.path("stderr");
        let stderr = File::create(&said).map_err(failed("make a file for what a server says"))?;
        let child = command
            .borrow_mut()
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(stderr)
            .kill_on_drop(true)
            .spawn();
        let mut child = child.map_err(failed("start a server"))?;
        let stdout = child
            .stdout
            .take()
            .ok_or_else(|| Failed::new("start a server", "no stdout"))?;
        let mut lines = BufReader::new(stdout).lines();
        while let Some(line) = lines.next_line().await.map_err(failed("read what a server says"))? {
            if let Some(address) = address_in(&line) {
                return Ok(Self {
                    child,
                    _stdout: lines,
                    address,
                });
            }
        }
        Err(Failed::new(
            "start a server",
            fs::read_to_string(said).unwrap_or_default(),
        ))
    }

    /// The process id, while it runs.
    pub(crate) fn pid(&self) -> Result<u32, Failed> {
        self.child
            .id()
            .ok_or_else(|| Failed::new("measure a server", "it has ended"))
    }

    /// Asks it to end, and waits until it has.
    pub(crate) async fn stop(&mut self) -> Result<(), Failed> {
        let pid = Pid::from_raw(i32::try_from(self.pid()?).unwrap_or(0));
        let pid = pid.ok_or_else(|| Failed::new("end a server", "it has no id"))?;
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).map_err(failed("end a server"))?;
        self.child.wait().await.map_err(failed("end a server"))?;
        Ok(())
    }

    /// Kills it and waits until it is gone.
    pub(crate) async fn end(&mut self) -> Result<(), Failed> {
        self.child.kill().await.map_err(failed("end a server"))
    }
}

/// The address in `… http://127.0.0.1:8750 …`.
fn address_in(line: &str) -> Option<SocketAddr> {
    let (_, rest) = line.split_once("http://")?;
    let end = rest.find(|c: char| c.is_whitespace() || c == '/').unwrap_or(rest.len());
    rest[..end].parse().ok()
}

/// How a playbook is run without a gateway.
#[derive(Debug)]
pub(crate) enum Bare {
    /// `ansible-playbook` itself, as a person would start it.
    Program(PathBuf),
    /// A shell script that calls it, as a webhook receiver would have one.
    Script { path: PathBuf, _dir: TempDir },
}

/// CPU seconds.
#[derive(Debug)]
pub(crate) struct Used {
    /// Of the process itself.
    pub(crate) main: f64,
    /// Of it and of every child that it waited for.
    pub(crate) all: f64,
}

impl Bare {
    pub(crate) fn script_of(ansible: &Path, root: &Path) -> Result<Self, Failed> {
        let make = || {
            let dir = tempfile::tempdir_in(root)?;
            let path = dir.path().join("heal.sh");
            fs::write(&path, format!("#!/bin/sh\nexec {} \"$@\"\n", ansible.display()))?;
            fs::set_permissions(&path, PermissionsExt::from_mode(0o755))?;
            Ok::<_, std::io::Error>(Self::Script { path, _dir: dir })
        };
        make().map_err(failed("make a script"))
    }
}

/// Starts the folder's playbook; what it says goes into a file of the folder, or nowhere.
pub(crate) fn playbook(bare: &Bare, folder: &Folder, name: &str, output: Option<&str>) -> Result<Child, Failed> {
    playbook_with(bare, folder, name, output, &[])
}

/// The same with more in its environment.
pub(crate) fn playbook_with(
    bare: &Bare,
    folder: &Folder,
    name: &str,
    output: Option<&str>,
    env: &[(&str, &str)],
) -> Result<Child, Failed> {
    let (Bare::Program(program) | Bare::Script { path: program, .. }) = bare;
    let into = || {
        let file = File::create(output.map_or_else(|| "/dev/null".into(), |name| folder.path(name)))?;
        Ok::<_, std::io::Error>((Stdio::from(file.try_clone()?), Stdio::from(file)))
    };
    let (stdout, stderr) = into().map_err(failed("make a file for a play's output"))?;
    Command::new(program)
        .arg("-i")
        .arg(folder.path("hosts.yml"))
        .arg(folder.path(name))
        .envs(env.iter().copied())
        .current_dir(folder.path("."))
        .stdin(Stdio::null())
        .stdout(stdout)
        .stderr(stderr)
        .kill_on_drop(true)
        .spawn()
        .map_err(failed("start ansible-playbook"))
}

/// Waits for the end of the process, and says what it has used.
pub(crate) async fn used_by(mut child: Child) -> Result<Used, Failed> {
    let pid = child.id().and_then(|pid| Pid::from_raw(i32::try_from(pid).ok()?));
    let pid = pid.ok_or_else(|| Failed::new("wait for a play", "it has ended"))?;
    let stat = tokio::task::spawn_blocking(move || {
        // Leaves it as it is, so that /proc still tells of it.
        rustix::process::waitid(WaitId::Pid(pid), WaitIdOptions::EXITED | WaitIdOptions::NOWAIT)?;
        fs::read_to_string(format!("/proc/{}/stat", pid.as_raw_nonzero()))
    });
    let stat = stat
        .await
        .map_err(failed("wait for a play"))?
        .map_err(failed("wait for a play"))?;
    let status = child.wait().await.map_err(failed("wait for a play"))?;
    if !status.success() {
        return Err(Failed::new("run ansible-playbook", status));
    }
    // utime, stime, cutime, cstime: fields 14 to 17 of proc_pid_stat(5).
    let after_name = stat.rsplit(") ").next().unwrap_or_default();
    let ticks: Vec<f64> = after_name
        .split(' ')
        .skip(11)
        .take(4)
        .filter_map(|field| field.parse().ok())
        .collect();
    #[expect(clippy::cast_precision_loss, reason = "a hundred")]
    let per_second = rustix::param::clock_ticks_per_second() as f64;
    match ticks[..] {
        [user, system, below_user, below_system] => Ok(Used {
            main: (user + system) / per_second,
            all: (user + system + below_user + below_system) / per_second,
        }),
        _ => Err(Failed::new("read what a play has used", stat)),
    }
}

/// The first line that a program says of itself, or that it is unknown.
pub(crate) fn version(program: &Path, argument: &str) -> String {
    let output = std::process::Command::new(program).arg(argument).output();
    let said = output.ok().and_then(|output| String::from_utf8(output.stdout).ok());
    said.and_then(|said| said.lines().next().map(str::to_owned))
        .unwrap_or_else(|| "unknown".to_owned())
}

/// Reads something of the gateway as JSON.
pub(crate) async fn read(client: &mut Client, path: &str) -> Result<Value, Failed> {
    let body = client.get(path).await?;
    serde_json::from_slice(body).map_err(failed(format!("read {path}")))
}
