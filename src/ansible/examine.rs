//! Examines the Ansible that runs would start: which one it is, what it makes of playbooks, which hosts it reaches. Starts
//! short processes in a folder of its own; never a job's run, and never one that changes a host.

use std::collections::BTreeMap;
use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group};
use serde_json::{Value, json};
use tokio::process::Command;

use crate::ansible::command::{self, Environment, Place, Playbooks};
use crate::ansible::rundir::named;
use crate::ansible::{plugin, warm};

/// What is slower than this is stuck: an import of Ansible from a cold disk takes seconds.
const PATIENCE: Duration = Duration::from_secs(60);

/// Logs in and runs Ansible's own `ping`, which changes nothing.
const PING: &str = "- hosts: all\n  gather_facts: false\n  tasks:\n    - ansible.builtin.ping:\n";

/// Runs Ansible to look at it.
#[derive(Debug)]
pub struct Examiner {
    playbooks: Playbooks,
    gateway: Environment,
    scratch: Scratch,
}

/// What `ansible-playbook --version` says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Version {
    /// As it is written: `2.19.14`.
    pub core: String,
    /// Its first two numbers.
    pub number: (u32, u32),
    pub python: String,
    /// Whether YAML is read by the fast parser.
    pub libyaml: bool,
}

/// How a playbook or hosts are reached, as the catalogue says.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Way {
    pub inventory: String,
    pub remote_user: Option<String>,
    pub private_key_file: Option<String>,
    pub vault_password_file: Option<String>,
}

/// What became of hosts that were called.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Called {
    /// Each host that answered, or why it did not.
    pub hosts: BTreeMap<String, Result<(), String>>,
    /// There was no time for more.
    pub timed_out: bool,
    /// What Ansible said where there are no hosts.
    pub said: String,
}

/// How a short process ended.
struct Ended {
    code: Option<i32>,
    out: String,
    err: String,
}

impl Examiner {
    /// `gateway` is the environment that the gateway would have. Makes a folder below `temp`, which is gone with the value.
    pub fn new(command: &str, config_file: Option<&Path>, base: &Path, gateway: Environment) -> io::Result<Self> {
        let scratch = Scratch::new(gateway.get("TMPDIR").map_or(Path::new("/tmp"), Path::new))?;
        let plugins = plugin::install(&scratch.0, plugin::EVENTS)?;
        Ok(Self {
            playbooks: Playbooks {
                command: command.to_owned(),
                config_file: config_file.map(Path::to_path_buf),
                base: base.to_path_buf(),
                plugins,
            },
            gateway,
            scratch,
        })
    }

    /// Which Ansible it is. The error says why nobody knows.
    pub async fn version(&self) -> Result<Version, String> {
        let ended = self
            .run(&["--version".to_owned()], &Environment::new(), PATIENCE)
            .await?;
        let ended = ended.ok_or_else(|| format!("it did not answer within {} s", PATIENCE.as_secs()))?;
        if ended.code != Some(0) {
            return Err(last_line(&ended.err).unwrap_or_else(|| "it ended without a word".to_owned()));
        }
        version(&ended.out).ok_or_else(|| "what it says of its version cannot be understood".to_owned())
    }

    /// Whether a warm interpreter gets ready here. The error is a sentence. Blocks.
    pub fn warm_start(&self) -> Result<(), String> {
        let source = plugin::install(&self.scratch.0, plugin::WARM).map_err(|error| error.to_string())?;
        let env = self.environment(&Environment::new());
        let dir = self.scratch.0.join("warm");
        warm::try_out(
            &self.playbooks.command,
            &env,
            &self.playbooks.base,
            (&source.join(plugin::WARM[0].0), &dir),
        )
    }

    /// What Ansible says against a playbook, if anything. `names` are those of its variables.
    pub async fn syntax(&self, path: &str, way: &Way, names: &[&str], own: &Environment) -> Result<(), String> {
        let vars = self.scratch.0.join("vars.json");
        // They stand for what only an alert says.
        let mut given: serde_json::Map<String, Value> = names
            .iter()
            .map(|name| ((*name).to_owned(), "example".into()))
            .collect();
        given.insert(
            "alert".to_owned(),
            json!({ "labels": {}, "annotations": {}, "status": "firing" }),
        );
        given.insert("healgate".to_owned(), json!({ "job_id": "example", "attempt": 1 }));
        fs::write(&vars, Value::Object(given).to_string())
            .map_err(|error| named("write", &vars, &error).to_string())?;
        let mut arguments = way.arguments();
        arguments.extend([
            "--syntax-check".to_owned(),
            "-e".to_owned(),
            format!("@{}", vars.display()),
            path.to_owned(),
        ]);
        let ended = self.run(&arguments, own, PATIENCE).await?;
        let ended = ended.ok_or_else(|| format!("it was not read within {} s", PATIENCE.as_secs()))?;
        match ended.code {
            Some(0) => Ok(()),
            _ => Err(complaint(&ended.err, &ended.out)),
        }
    }

    /// Logs in to all hosts of an inventory.
    pub async fn call(&self, way: &Way, patience: Duration) -> Result<Called, String> {
        let playbook = self.scratch.0.join("ping.yml");
        let events = self.scratch.0.join("events.jsonl");
        let _ = fs::remove_file(&events);
        fs::write(&playbook, PING).map_err(|error| named("write", &playbook, &error).to_string())?;
        let mut arguments = way.arguments();
        arguments.extend(["--forks=20".to_owned(), playbook.display().to_string()]);
        let ended = self.run(&arguments, &Environment::new(), patience).await?;
        let mut called = Called {
            timed_out: ended.is_none(),
            ..Called::default()
        };
        for line in fs::read_to_string(&events).unwrap_or_default().lines() {
            called.hear(&serde_json::from_str(line).unwrap_or_default());
        }
        if let Some(ended) = ended.filter(|_| called.hosts.is_empty()) {
            called.said = complaint(&ended.err, &ended.out);
        }
        Ok(called)
    }

    fn environment(&self, own: &Environment) -> Environment {
        let place = Place {
            dir: &self.scratch.0,
            marker: "doctor/1".to_owned(),
        };
        command::environment(&self.playbooks, own, &place, &self.gateway)
    }

    /// `None`: it was stopped, as it took too long.
    #[expect(clippy::disallowed_methods, reason = "the door to Ansible for those who examine it")]
    async fn run(&self, arguments: &[String], own: &Environment, patience: Duration) -> Result<Option<Ended>, String> {
        let mut env = self.environment(own);
        env.remove("ANSIBLE_FORCE_COLOR");
        env.insert("ANSIBLE_NOCOLOR".to_owned(), "1".to_owned());
        let program = warm::executable(&self.playbooks.command, &env, &self.playbooks.base)
            .ok_or_else(|| format!("{} is not on PATH", self.playbooks.command))?;
        let child = Command::new(&program)
            .args(arguments)
            .env_clear()
            .envs(&env)
            .current_dir(&self.playbooks.base)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            // With all that it starts, it can be stopped.
            .process_group(0)
            .kill_on_drop(true)
            .spawn()
            .map_err(|error| format!("failed to start {program}: {error}"))?;
        // Of those who wait no more, be it for the time that it took or for Ctrl-C, nothing stays behind.
        let group = Group(child.id().and_then(|id| Pid::from_raw(i32::try_from(id).ok()?)));
        match tokio::time::timeout(patience, child.wait_with_output()).await {
            Ok(output) => {
                group.has_ended();
                let output = output.map_err(|error| format!("failed to wait for {program}: {error}"))?;
                Ok(Some(Ended {
                    code: output.status.code(),
                    out: String::from_utf8_lossy(&output.stdout).into_owned(),
                    err: String::from_utf8_lossy(&output.stderr).into_owned(),
                }))
            }
            Err(_) => Ok(None),
        }
    }
}

/// A process with all that it has started, which is killed with the value.
struct Group(Option<Pid>);

impl Group {
    /// Its number may soon be another's.
    fn has_ended(mut self) {
        self.0 = None;
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        if let Some(group) = self.0 {
            // It may have ended just now.
            let _ = kill_process_group(group, Signal::KILL);
        }
    }
}

impl Way {
    fn arguments(&self) -> Vec<String> {
        let mut arguments = vec!["-i".to_owned(), self.inventory.clone()];
        let options = [
            ("--user", &self.remote_user),
            ("--private-key", &self.private_key_file),
            ("--vault-password-file", &self.vault_password_file),
        ];
        for (name, value) in options {
            arguments.extend(value.iter().map(|value| format!("{name}={value}")));
        }
        arguments
    }
}

impl Called {
    /// One event of our callback plugin.
    fn hear(&mut self, event: &Value) {
        let (Some("result"), Some(host)) = (event["event"].as_str(), event["host"].as_str()) else {
            return;
        };
        let heard = match event["status"].as_str() {
            Some("failed" | "unreachable") => {
                let message = event["message"].as_str().unwrap_or("it did not say why");
                Err(message.lines().next().unwrap_or_default().trim().to_owned())
            }
            _ => Ok(()),
        };
        self.hosts.insert(host.to_owned(), heard);
    }
}

/// The parts of what `ansible-playbook --version` prints, from 2.16 to 2.19.
fn version(text: &str) -> Option<Version> {
    let first = text.lines().next()?;
    let (_, core) = first.split_once("[core ")?;
    let core = core.split([']', ' ']).next()?.to_owned();
    let mut numbers = core.split('.').map(|part| {
        let digits = part.find(|c: char| !c.is_ascii_digit()).unwrap_or(part.len());
        part[..digits].parse::<u32>().ok()
    });
    let number = (numbers.next()??, numbers.next()??);
    let after = |name: &str| text.lines().find_map(|line| line.trim().strip_prefix(name));
    let python = after("python version = ").and_then(|python| python.split(' ').next());
    Some(Version {
        number,
        core,
        python: python.unwrap_or("unknown").to_owned(),
        libyaml: text.contains("(with libyaml") || text.contains("libyaml = True"),
    })
}

/// From Ansible's first error on, as one line.
fn complaint(err: &str, out: &str) -> String {
    let text = if err.trim().is_empty() { out } else { err };
    let lines: Vec<&str> = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    let first = lines
        .iter()
        .position(|line| line.starts_with("ERROR") || line.starts_with("[ERROR]"));
    let told: Vec<&str> = lines[first.unwrap_or(0)..].iter().copied().take(6).collect();
    match told.is_empty() {
        true => "it ended without a word".to_owned(),
        false => told.join(" "),
    }
}

fn last_line(text: &str) -> Option<String> {
    let mut lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    lines.next_back().map(str::to_owned)
}

/// A folder of our own, gone with the value.
#[derive(Debug)]
struct Scratch(PathBuf);

impl Scratch {
    fn new(temp: &Path) -> io::Result<Self> {
        let mut random = [0; 8];
        getrandom::fill(&mut random).map_err(|error| io::Error::other(error.to_string()))?;
        let path = temp.join(format!("healgate-doctor-{}", hex::encode(random)));
        DirBuilder::new()
            .mode(0o700)
            .create(&path)
            .map_err(|error| named("create", &path, &error))?;
        Ok(Self(path))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_is_found_in_what_all_releases_print() {
        let new = "ansible-playbook [core 2.19.14]\n  config file = None\n  python version = 3.11.7 (main) [GCC] (/x)\n  pyyaml \
                   version = 6.0.3 (with libyaml v0.2.5)\n";
        let expected = Version {
            core: "2.19.14".to_owned(),
            number: (2, 19),
            python: "3.11.7".to_owned(),
            libyaml: true,
        };
        assert_eq!(version(new).unwrap(), expected);
        let old = "ansible-playbook [core 2.16.0rc1]\n  python version = 3.10.1 (x)\n  libyaml = False\n";
        let old = version(old).unwrap();
        assert_eq!((old.number, old.libyaml), ((2, 16), false));
        assert!(
            !version("ansible-playbook [core 2.20.0]\n  pyyaml version = 6.0 (without libyaml)\n")
                .unwrap()
                .libyaml
        );
        assert_eq!(version("ansible-playbook 2.9.6\n"), None);
    }

    #[test]
    fn a_complaint_begins_at_the_first_error() {
        let err = "[WARNING]: something\n[ERROR]: conflicting action\n\nOrigin: /p.yml:3:7\n";
        assert_eq!(complaint(err, ""), "[ERROR]: conflicting action Origin: /p.yml:3:7");
        assert_eq!(complaint(" ", "out"), "out");
        assert_eq!(complaint("", ""), "it ended without a word");
    }
}
