//! Programs that are measured from outside: the gateway as its users start it, and its baselines.
#![expect(clippy::disallowed_methods, reason = "a benchmark starts what it measures")]

use std::fs::{self, File};
use std::net::SocketAddr;
use std::path::Path;
use std::process::Stdio;

use serde_json::Value;
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

    /// Kills it and waits until it is gone.
    pub(crate) async fn end(mut self) -> Result<(), Failed> {
        self.child.kill().await.map_err(failed("end a server"))
    }
}

/// The address in `… http://127.0.0.1:8750 …`.
fn address_in(line: &str) -> Option<SocketAddr> {
    let (_, rest) = line.split_once("http://")?;
    let end = rest.find(|c: char| c.is_whitespace() || c == '/').unwrap_or(rest.len());
    rest[..end].parse().ok()
}

/// A bare `ansible-playbook` on the folder's playbook, as a person would start it.
pub(crate) fn bare_playbook(ansible: &Path, folder: &Folder) -> Result<Child, Failed> {
    Command::new(ansible)
        .arg("-i")
        .arg(folder.path("hosts.yml"))
        .arg(folder.path("touch.yml"))
        .current_dir(folder.path("."))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .map_err(failed("start ansible-playbook"))
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
