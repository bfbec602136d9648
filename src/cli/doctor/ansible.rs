//! Ansible as runs would start it: its version, warm starts, the playbooks' syntax, the hosts.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::ansible::examine::{Called, Examiner, Version, Way};
use crate::catalog::Playbook;
use crate::cli::doctor::{Finding, Patient, Report};
use crate::config::Warm;

/// The oldest ansible-core that runs are tested with, and the newest.
const OLDEST: (u32, u32) = (2, 16);
const NEWEST: (u32, u32) = (2, 19);

/// How many hosts that cannot be reached are named.
const NAMED: usize = 10;

pub(super) async fn examine(patient: &Patient, call_hosts: Option<Duration>, report: &mut Report) {
    let ansible = &patient.settings.ansible;
    let command = ansible.command.display().to_string();
    let environment = patient.environment.clone();
    let examiner = Examiner::new(
        &command,
        ansible.config_file.as_deref(),
        &patient.settings.base,
        environment,
    );
    let examiner = match examiner {
        Ok(examiner) => examiner,
        Err(error) => {
            let advice = "Ansible could not be examined; TMPDIR names another place.";
            return report.tell(vec![Finding::failed("ansible", error.to_string(), advice)]);
        }
    };
    report.begin("asking Ansible for its version");
    match examiner.version().await {
        Ok(version) => report.tell(judge_version(&command, &version)),
        Err(why) => {
            let message = format!("{command} does not run: {why}");
            let advice = "Install ansible-core 2.16 or newer (pip install ansible-core, in a venv), and name it in `ansible.command`.";
            return report.tell(vec![Finding::failed("ansible", message, advice)]);
        }
    }
    if ansible.warm == Warm::Auto {
        report.begin("starting a warm interpreter");
        report.tell(vec![judge_warm(examiner.warm_start())]);
    }
    for playbook in patient.catalog.playbooks() {
        report.begin(&format!("reading the playbook {}", playbook.name));
        report.tell(vec![judge_syntax(&examiner, playbook).await]);
    }
    if let Some(patience) = call_hosts {
        for way in ways(patient) {
            report.begin(&format!("calling the hosts of {}", way.inventory));
            report.tell(judge_hosts(&way, examiner.call(&way, patience).await, patience));
        }
    }
}

fn judge_version(command: &str, version: &Version) -> Vec<Finding> {
    let (core, python) = (&version.core, &version.python);
    let message = format!("{command} is ansible-core {core} with Python {python}");
    let advice =
        |what: &str| format!("{what}: pip install 'ansible-core>=2.16,<2.20', in a venv that `ansible.command` names.");
    let release = if version.number < OLDEST {
        Finding::failed(
            "ansible",
            format!("{message}, which is too old"),
            advice("Install a newer one"),
        )
    } else if version.number > NEWEST {
        let message = format!("{message}, which healgate was not tested with");
        Finding::warning("ansible", message, advice("It may work; if not"))
    } else {
        Finding::ok("ansible", message)
    };
    let libyaml = match version.libyaml {
        true => Finding::ok("libyaml", "YAML is read by libyaml"),
        false => {
            let message = "PyYAML has no libyaml: playbooks and inventories are read several times as slowly";
            Finding::warning(
                "libyaml",
                message,
                "Install PyYAML from a wheel, or libyaml-dev before building it.",
            )
        }
    };
    vec![release, libyaml]
}

fn judge_warm(ready: Result<(), String>) -> Finding {
    match ready {
        Ok(()) => Finding::ok("warm start", "runs can start from a warm interpreter"),
        Err(why) => {
            let message = format!("every run starts cold, which takes a second longer: {why}");
            let advice = "`ansible.command` should name ansible-playbook itself, as pip writes it; `ansible.warm: never` keeps this quiet.";
            Finding::warning("warm start", message, advice)
        }
    }
}

async fn judge_syntax(examiner: &Examiner, playbook: &Playbook) -> Finding {
    let way = Way {
        inventory: playbook.inventory.clone(),
        vault_password_file: playbook.vault_password_file.clone(),
        ..Way::default()
    };
    let names: Vec<&str> = playbook.vars.keys().map(String::as_str).collect();
    let own: BTreeMap<_, _> = playbook.env.clone();
    match examiner.syntax(&playbook.path, &way, &names, &own).await {
        Ok(()) => Finding::ok("syntax", format!("{} ({}) can be read", playbook.name, playbook.path)),
        Err(why) if why.contains("is undefined") => {
            let message = format!(
                "{} ({}) cannot be judged without an alert: {why}",
                playbook.name, playbook.path
            );
            Finding::warning(
                "syntax",
                message,
                "Try it: healgate jobs run NAME --check --label … --follow",
            )
        }
        Err(why) => {
            let message = format!("{} ({}): {why}", playbook.name, playbook.path);
            Finding::failed(
                "syntax",
                message,
                format!("Mend {}; ansible-lint shows more.", playbook.path),
            )
        }
    }
}

/// Each inventory with each login that playbooks use on it; without playbooks the inventory of the settings.
fn ways(patient: &Patient) -> Vec<Way> {
    let of = |playbook: &Playbook| Way {
        inventory: playbook.inventory.clone(),
        remote_user: playbook.remote_user.clone(),
        private_key_file: playbook.private_key_file.clone(),
        vault_password_file: playbook.vault_password_file.clone(),
    };
    let mut ways: Vec<Way> = patient.catalog.playbooks().map(of).collect();
    if ways.is_empty() {
        ways.push(Way {
            inventory: patient.settings.ansible.inventory.clone(),
            ..Way::default()
        });
    }
    ways.sort();
    ways.dedup();
    ways
}

fn judge_hosts(way: &Way, called: Result<Called, String>, patience: Duration) -> Vec<Finding> {
    let inventory = &way.inventory;
    let advice = "Try one by hand, as the user that runs the gateway: ansible -i INVENTORY HOST -m ping -vvv";
    let called = match called {
        Ok(called) => called,
        Err(why) => return vec![Finding::failed("hosts", format!("{inventory}: {why}"), advice)],
    };
    let silent: Vec<(&String, &String)> = called
        .hosts
        .iter()
        .filter_map(|(host, answer)| Some((host, answer.as_ref().err()?)))
        .collect();
    let answered = called.hosts.len() - silent.len();
    let mut findings: Vec<Finding> = silent
        .iter()
        .take(NAMED)
        .map(|(host, why)| Finding::failed("hosts", format!("{host} of {inventory} does not answer: {why}"), advice))
        .collect();
    if silent.len() > NAMED {
        let message = format!("{} more hosts of {inventory} do not answer", silent.len() - NAMED);
        findings.push(Finding::failed("hosts", message, advice));
    }
    if called.timed_out {
        let message = format!(
            "{inventory}: not all hosts were done within {} s; {answered} answered",
            patience.as_secs()
        );
        findings.push(Finding::failed(
            "hosts",
            message,
            "Give them longer: --hosts-timeout 2m",
        ));
    } else if called.hosts.is_empty() {
        let message = format!("{inventory} has no hosts that can be called: {}", called.said);
        findings.push(Finding::failed(
            "hosts",
            message,
            "Look at it: ansible-inventory -i INVENTORY --graph",
        ));
    } else if silent.is_empty() {
        let hosts = if answered == 1 { "the only host" } else { "all hosts" };
        findings.push(Finding::ok(
            "hosts",
            format!("{hosts} of {inventory} answered ({answered})"),
        ));
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::doctor::State;

    #[test]
    fn only_releases_that_runs_are_tested_with_are_fine() {
        for (number, state) in [
            ((2, 15), State::Failed),
            ((2, 16), State::Ok),
            ((2, 19), State::Ok),
            ((2, 20), State::Warning),
            ((3, 0), State::Warning),
        ] {
            let version = Version {
                core: String::new(),
                number,
                python: String::new(),
                libyaml: false,
            };
            let findings = judge_version("ansible-playbook", &version);
            assert_eq!(findings[0].state, state, "{number:?}");
            assert_eq!(findings[1].state, State::Warning);
        }
    }

    #[test]
    fn hosts_that_do_not_answer_are_named_and_many_are_counted() {
        let way = Way::default();
        let mut called = Called::default();
        assert_eq!(
            judge_hosts(&way, Ok(called.clone()), Duration::ZERO)[0].state,
            State::Failed
        );
        called.hosts.insert("web1".to_owned(), Ok(()));
        assert_eq!(
            judge_hosts(&way, Ok(called.clone()), Duration::ZERO)[0].state,
            State::Ok
        );
        for number in 0..12 {
            called.hosts.insert(format!("gone{number}"), Err("no route".to_owned()));
        }
        let findings = judge_hosts(&way, Ok(called), Duration::ZERO);
        assert_eq!(findings.len(), 11);
        assert!(findings[10].message.starts_with("2 more hosts"), "{findings:?}");
    }
}
