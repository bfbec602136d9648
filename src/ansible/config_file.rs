//! Reads from ansible.cfg what our own settings would otherwise replace. Finds the file as Ansible does
//! (`find_ini_config_file` in ansible/config/manager.py, the same in 2.16 and 2.19).

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use configparser::ini::Ini;

use crate::ansible::command::Environment;

/// What a project says about callbacks. Paths are absolute, or begin with what Ansible itself expands.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Callbacks {
    pub(crate) callback_plugins: Option<String>,
    pub(crate) callbacks_enabled: Option<String>,
}

/// Reads the file that Ansible would read with this environment in this folder; nothing if there is none, or one that
/// Ansible will complain about itself.
pub(crate) fn read(env: &Environment, base: &Path) -> Callbacks {
    let Some(file) = find(env, base) else {
        return Callbacks::default();
    };
    let Ok(content) = fs::read_to_string(&file) else {
        return Callbacks::default();
    };
    parse(content, file.parent().unwrap_or(base))
}

/// The file that Ansible would read, if there is one.
pub(crate) fn find(env: &Environment, base: &Path) -> Option<PathBuf> {
    let mut candidates = Vec::new();
    if let Some(named) = env.get("ANSIBLE_CONFIG") {
        let path = base.join(expand_home(named, env));
        candidates.push(if path.is_dir() { path.join("ansible.cfg") } else { path });
    }
    if fs::metadata(base).is_ok_and(|metadata| metadata.permissions().mode() & 0o002 == 0) {
        candidates.push(base.join("ansible.cfg"));
    }
    candidates.push(PathBuf::from(expand_home("~/.ansible.cfg", env)));
    candidates.push(PathBuf::from("/etc/ansible/ansible.cfg"));
    candidates.into_iter().find(|path| path.exists())
}

fn expand_home(path: &str, env: &Environment) -> String {
    match (path.strip_prefix("~/"), env.get("HOME")) {
        (Some(rest), Some(home)) => format!("{home}/{rest}"),
        _ => path.to_owned(),
    }
}

fn parse(content: String, folder: &Path) -> Callbacks {
    let mut ini = Ini::new();
    ini.set_inline_comment_symbols(Some(&[';']));
    if ini.read(content).is_err() {
        return Callbacks::default();
    }
    let value = |key: &str| ini.get("defaults", key).map(|value| value.trim().to_owned());
    let paths = value("callback_plugins").map(|list| {
        let paths: Vec<String> = list.split(':').map(|path| anchored(path.trim(), folder)).collect();
        paths.join(":")
    });
    Callbacks {
        callback_plugins: paths,
        callbacks_enabled: value("callbacks_enabled").or_else(|| value("callback_whitelist")),
    }
}

/// Paths in ansible.cfg are relative to it; those in the environment are relative to the working directory.
fn anchored(path: &str, folder: &Path) -> String {
    if path.is_empty() || path.starts_with(['/', '~', '$', '{']) {
        return path.to_owned();
    }
    folder.join(path).to_string_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn relative_paths_are_relative_to_the_file() {
        let read = parse(
            "[defaults]\ncallback_plugins = plugins/cb:/abs:~/home:{{CWD}}/x\ncallbacks_enabled = timer, profile_tasks ; why\n"
                .into(),
            Path::new("/srv/project"),
        );
        assert_eq!(
            read.callback_plugins.as_deref(),
            Some("/srv/project/plugins/cb:/abs:~/home:{{CWD}}/x")
        );
        assert_eq!(read.callbacks_enabled.as_deref(), Some("timer, profile_tasks"));
    }

    #[test]
    fn the_file_of_the_environment_comes_before_the_folders_own() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(
            folder.path().join("ansible.cfg"),
            "[defaults]\ncallbacks_enabled=here\n",
        )
        .unwrap();
        fs::write(
            folder.path().join("other.cfg"),
            "[defaults]\ncallback_whitelist=other\n",
        )
        .unwrap();
        let mut env = Environment::from([("HOME".to_owned(), "/nonexistent".to_owned())]);
        assert_eq!(read(&env, folder.path()).callbacks_enabled.as_deref(), Some("here"));
        env.insert("ANSIBLE_CONFIG".into(), "other.cfg".into());
        assert_eq!(read(&env, folder.path()).callbacks_enabled.as_deref(), Some("other"));
    }

    #[test]
    fn a_folder_that_everybody_may_write_to_is_not_trusted() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(
            folder.path().join("ansible.cfg"),
            "[defaults]\ncallbacks_enabled=here\n",
        )
        .unwrap();
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o777)).unwrap();
        let env = Environment::from([("HOME".to_owned(), "/nonexistent".to_owned())]);
        assert_eq!(read(&env, folder.path()), Callbacks::default());
    }
}
