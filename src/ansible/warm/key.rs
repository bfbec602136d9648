//! What runs must have in common to start from one interpreter: all that importing Ansible looks at. Starts nothing.

use std::fmt;
use std::path::{Path, PathBuf};

use crate::ansible::command::Environment;
use crate::ansible::config_file;
use crate::ansible::warm::script::{Script, anchored};

/// The only variables in which runs of one interpreter differ. Known to healgate_warm_order.py as well.
const OF_ONE_RUN: [&str; 5] = [
    "HEALGATE_EVENTS",
    "HEALGATE_RUN",
    "HEALGATE_SECRETS",
    "ANSIBLE_LOCAL_TEMP",
    "ANSIBLE_SSH_CONTROL_PATH_DIR",
];

/// Names an interpreter by all that it depends on, except what the files hold.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(super) struct Key {
    pub(super) script: Script,
    pub(super) env: Environment,
    pub(super) cwd: PathBuf,
    /// The ansible.cfg that Ansible would find.
    config: Option<PathBuf>,
}

impl Key {
    /// The key of a run of that command. The error says why no interpreter can serve it.
    pub(super) fn of(command: &str, env: &Environment, cwd: &Path) -> Result<Self, String> {
        let script = Script::recognise(command, env, cwd)?;
        let mut common = env.clone();
        for name in OF_ONE_RUN {
            common.remove(name);
        }
        Ok(Self {
            script,
            config: config_file::find(env, cwd),
            env: common,
            cwd: cwd.to_path_buf(),
        })
    }

    /// Files that an interpreter depends on whatever it imports, with what to call them.
    pub(super) fn files(&self) -> Vec<(&'static str, PathBuf)> {
        let python = self.script.python.first().map_or("", String::as_str);
        let mut files = vec![
            ("ansible-playbook has changed", anchored(&self.script.path, &self.cwd)),
            (
                "the Python of ansible-playbook has changed",
                anchored(python, &self.cwd),
            ),
        ];
        if let Some(config) = &self.config {
            files.push(("ansible.cfg has changed", config.clone()));
        }
        files
    }
}

/// Without the environment, which may hold secrets.
impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Key")
            .field("script", &self.script)
            .field("cwd", &self.cwd)
            .field("config", &self.config)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn the_play_knows_the_same_names() {
        let source = include_str!("../../../python/healgate_warm_order.py");
        let line = source
            .lines()
            .find_map(|line| line.strip_prefix("RUN_NAMES = "))
            .unwrap();
        let names: Vec<String> = OF_ONE_RUN.iter().map(|name| format!("\"{name}\"")).collect();
        assert_eq!(line, format!("({})", names.join(", ")));
    }

    #[test]
    fn runs_share_a_key_unless_something_that_counts_differs() {
        let folder = tempfile::tempdir().unwrap();
        let script = folder.path().join("ansible-playbook");
        fs::write(&script, "#!/usr/bin/python3\nimport ansible.cli.playbook\n").unwrap();
        let key = |name: &str, value: &str| {
            let env = Environment::from([
                ("HOME".into(), "/nonexistent".into()),
                (name.to_owned(), value.to_owned()),
            ]);
            Key::of(&script.to_string_lossy(), &env, folder.path()).unwrap()
        };
        assert_eq!(key("HEALGATE_RUN", "a/1"), key("ANSIBLE_LOCAL_TEMP", "/x"));
        assert_ne!(key("REGION", "eu"), key("REGION", "us"));
        let before = key("REGION", "eu");
        fs::write(folder.path().join("ansible.cfg"), "[defaults]\n").unwrap();
        let after = key("REGION", "eu");
        assert_ne!(before, after);
        assert_eq!((before.files().len(), after.files().len()), (2, 3));
        assert!(!format!("{after:?}").contains("REGION"), "the environment is shown");
    }
}
