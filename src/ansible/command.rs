//! What to start, as data: the arguments and the environment of `ansible-playbook`. Starts nothing.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::ansible::config_file;
use crate::domain::parameters::Parameters;

/// Names and values of environment variables.
pub type Environment = BTreeMap<String, String>;

/// Of the gateway's own environment, a playbook gets these, the proxies and what begins with `ANSIBLE_`.
const PASSED_ON: [&str; 8] = [
    "PATH",
    "HOME",
    "USER",
    "LOGNAME",
    "SHELL",
    "TZ",
    "TMPDIR",
    "SSH_AUTH_SOCK",
];
const PROXIES: [&str; 4] = ["http_proxy", "https_proxy", "no_proxy", "all_proxy"];

/// Ansible's own default for `callback_plugins`, which ours must not replace.
const DEFAULT_CALLBACK_PLUGINS: &str = "/usr/share/ansible/plugins/callback";

/// The name of our callback plugin.
pub const EVENTS_PLUGIN: &str = "healgate_events";

/// A longer limit goes by way of a file: one argument has at most 128 KiB (`MAX_ARG_STRLEN` in Linux's binfmts.h), and all
/// of them with the environment get no more where the stack is small.
const LIMIT_BYTES: usize = 16 << 10;

/// A Unix socket's path has at most 107 bytes. Ansible's names for ssh's control sockets have 10 (`_create_control_path`
/// in plugins/connection/ssh.py), and ssh itself appends 17 to them for a moment.
const CONTROL_DIR_BYTES: usize = 107 - 10 - 17 - 1;

/// The `ansible-playbook` to run and what it is run with, the same for every run.
#[derive(Clone, Debug)]
pub struct Playbooks {
    /// A path, or a name on PATH.
    pub command: String,
    /// `ansible.config_file`, if one is set.
    pub config_file: Option<PathBuf>,
    /// The folder of healgate.yml: where every playbook runs.
    pub base: PathBuf,
    /// Where our callback plugin lies.
    pub plugins: PathBuf,
}

/// A run's own place and name.
#[derive(Clone, Debug)]
pub struct Place<'a> {
    /// The run directory.
    pub dir: &'a Path,
    /// Marks every process of the run: `<job>/<attempt>`.
    pub marker: String,
}

/// The arguments, with the command first. Without a run directory (to show what would be run) the extra variables'
/// file is named as it will lie in one.
pub fn argv(playbooks: &Playbooks, parameters: &Parameters, run_dir: Option<&Path>) -> Vec<String> {
    let run_dir = run_dir.unwrap_or(Path::new("RUN_DIR"));
    let vars = run_dir.join("vars.yml");
    let mut argv = vec![playbooks.command.clone(), "-i".into(), parameters.inventory.clone()];
    // Joined by `=`, as nothing that begins with a dash may become an option.
    if let Some(limit) = &parameters.limit {
        argv.push(match long_limit(parameters) {
            // With the comma Ansible splits only at commas, and takes white space and colons in the path for what they
            // are (`split_host_pattern` in inventory/manager.py).
            Some(_) => format!("--limit=@{},", run_dir.join("limit").display()),
            None => format!("--limit={limit}"),
        });
    }
    argv.extend(["-e".into(), format!("@{}", vars.display())]);
    if !parameters.tags.is_empty() {
        argv.push(format!("--tags={}", parameters.tags.join(",")));
    }
    if !parameters.skip_tags.is_empty() {
        argv.push(format!("--skip-tags={}", parameters.skip_tags.join(",")));
    }
    if parameters.check {
        argv.push("--check".into());
    }
    // A check that does not say what would change is of little use.
    if parameters.diff || parameters.check {
        argv.push("--diff".into());
    }
    if let Some(forks) = parameters.forks {
        argv.push(format!("--forks={forks}"));
    }
    if parameters.verbosity > 0 {
        argv.push(format!("-{}", "v".repeat(usize::from(parameters.verbosity))));
    }
    if let Some(file) = &parameters.vault_password_file {
        argv.push(format!("--vault-password-file={file}"));
    }
    if let Some(file) = &parameters.private_key_file {
        argv.push(format!("--private-key={file}"));
    }
    if let Some(user) = &parameters.remote_user {
        argv.push(format!("--user={user}"));
    }
    if parameters.become_root {
        argv.push("--become".into());
    }
    argv.push(parameters.path.clone());
    argv
}

/// The content of the run directory's file `limit`, for a limit that is too long for an argument.
pub fn long_limit(parameters: &Parameters) -> Option<Vec<u8>> {
    let limit = parameters.limit.as_ref()?.as_str();
    (limit.len() > LIMIT_BYTES).then(|| limit.replace(',', "\n").into_bytes())
}

/// The environment of a run: the playbook's own, on top of what it gets from the gateway's.
pub fn environment(playbooks: &Playbooks, own: &Environment, place: &Place<'_>, gateway: &Environment) -> Environment {
    let mut env: Environment = gateway
        .iter()
        .filter(|(name, _)| is_passed_on(name))
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect();
    let mut set = |name: &str, value: String| env.insert(name.to_owned(), value);
    // Ansible refuses to run in a locale that is not UTF-8.
    set("LC_ALL", "C.UTF-8".into());
    // Ansible does not flush what it displays; on a pipe it would come in bursts of 8 KiB.
    set("PYTHONUNBUFFERED", "1".into());
    set("ANSIBLE_FORCE_COLOR", "1".into());
    set("ANSIBLE_NOCOWS", "1".into());
    set("ANSIBLE_RETRY_FILES_ENABLED", "False".into());
    set("ANSIBLE_LOCAL_TEMP", text(&place.dir.join("tmp")));
    set("ANSIBLE_SSH_CONTROL_PATH_DIR", text(&control_dir(place)));
    if let Some(file) = &playbooks.config_file {
        set("ANSIBLE_CONFIG", text(file));
    }
    let own = own.iter().filter(|(name, _)| !name.starts_with("HEALGATE"));
    env.extend(own.map(|(name, value)| (name.clone(), value.clone())));
    add_callback(playbooks, &mut env);
    env.insert("HEALGATE_EVENTS".into(), text(&place.dir.join("events.jsonl")));
    env.insert("HEALGATE_RUN".into(), place.marker.clone());
    env
}

fn is_passed_on(name: &str) -> bool {
    PASSED_ON.contains(&name) || name.starts_with("ANSIBLE_") || PROXIES.contains(&name.to_ascii_lowercase().as_str())
}

fn text(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}

/// Where ssh's control sockets are: private to the run, so that ssh's masters of one run never serve another. In the run
/// directory, if that is not too long.
pub fn control_dir(place: &Place<'_>) -> PathBuf {
    let inside = place.dir.join("cp");
    if inside.as_os_str().len() <= CONTROL_DIR_BYTES {
        return inside;
    }
    let tag: String = place.marker.chars().filter(char::is_ascii_alphanumeric).collect();
    let tail = tag.len().saturating_sub(16);
    PathBuf::from(format!("/tmp/healgate-{}", &tag[tail..]))
}

/// Both variables replace what ansible.cfg says, so ours is added to what would have been in force.
fn add_callback(playbooks: &Playbooks, env: &mut Environment) {
    let cfg = config_file::read(env, &playbooks.base);
    let home = env.get("HOME").cloned().unwrap_or_else(|| "~".into());
    let ansible_home = env
        .get("ANSIBLE_HOME")
        .cloned()
        .unwrap_or_else(|| format!("{home}/.ansible"));
    let paths = env
        .get("ANSIBLE_CALLBACK_PLUGINS")
        .cloned()
        .or(cfg.callback_plugins)
        .unwrap_or_else(|| format!("{ansible_home}/plugins/callback:{DEFAULT_CALLBACK_PLUGINS}"));
    let enabled = env.get("ANSIBLE_CALLBACKS_ENABLED").cloned().or(cfg.callbacks_enabled);
    env.insert(
        "ANSIBLE_CALLBACK_PLUGINS".into(),
        joined(&paths, ':', &text(&playbooks.plugins)),
    );
    env.insert(
        "ANSIBLE_CALLBACKS_ENABLED".into(),
        joined(&enabled.unwrap_or_default(), ',', EVENTS_PLUGIN),
    );
}

fn joined(list: &str, separator: char, last: &str) -> String {
    let parts = list
        .split(separator)
        .map(str::trim)
        .filter(|part| !part.is_empty() && *part != last);
    let mut all: Vec<&str> = parts.collect();
    all.push(last);
    all.join(&separator.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::limit::Limit;

    fn playbooks() -> Playbooks {
        Playbooks {
            command: "/srv/.venv/bin/ansible-playbook".into(),
            config_file: None,
            base: "/nonexistent".into(),
            plugins: "/data/plugins/1".into(),
        }
    }

    fn parameters() -> Parameters {
        serde_json::from_value(serde_json::json!({
            "path": "/srv/playbooks/restart.yml", "inventory": "/srv/hosts.yml", "limit": null, "vars": {},
            "tags": [], "check": false, "timeout": "2m"
        }))
        .unwrap()
    }

    fn environment_of(parameters: &Parameters, gateway: &[(&str, &str)]) -> Environment {
        let place = Place {
            dir: Path::new("/data/runs/j/1"),
            marker: "j/1".into(),
        };
        let gateway = gateway
            .iter()
            .map(|(n, v)| ((*n).to_owned(), (*v).to_owned()))
            .collect();
        environment(&playbooks(), &parameters.env, &place, &gateway)
    }

    #[test]
    fn a_plain_playbook_needs_few_arguments() {
        insta::assert_snapshot!(
            argv(&playbooks(), &parameters(), Some(Path::new("/data/runs/j/1"))).join("\n"),
            @r"
        /srv/.venv/bin/ansible-playbook
        -i
        /srv/hosts.yml
        -e
        @/data/runs/j/1/vars.yml
        /srv/playbooks/restart.yml
        "
        );
    }

    #[test]
    fn every_parameter_has_its_argument() {
        let all = Parameters {
            limit: Some(Limit::parse("web1,2001:db8::1").unwrap()),
            tags: vec!["a".into(), "b".into()],
            skip_tags: vec!["c".into()],
            check: true,
            diff: true,
            forks: Some(7),
            verbosity: 2,
            vault_password_file: Some("/srv/vault".into()),
            private_key_file: Some("/srv/key".into()),
            remote_user: Some("ops".into()),
            become_root: true,
            ..parameters()
        };
        insta::assert_snapshot!(argv(&playbooks(), &all, None).join("\n"), @r"
        /srv/.venv/bin/ansible-playbook
        -i
        /srv/hosts.yml
        --limit=web1,2001:db8::1
        -e
        @RUN_DIR/vars.yml
        --tags=a,b
        --skip-tags=c
        --check
        --diff
        --forks=7
        -vv
        --vault-password-file=/srv/vault
        --private-key=/srv/key
        --user=ops
        --become
        /srv/playbooks/restart.yml
        ");
    }

    #[test]
    fn a_limit_that_is_too_long_for_an_argument_goes_by_way_of_a_file() {
        let with = |hosts: usize| {
            let names: Vec<String> = (0..hosts).map(|n| format!("web{n:05}")).collect();
            let limit = Some(Limit::parse(&names.join(",")).unwrap());
            Parameters { limit, ..parameters() }
        };
        let dir = Path::new("/data/a b/j/1");
        let short = with(1_000);
        assert_eq!(long_limit(&short), None);
        assert!(argv(&playbooks(), &short, Some(dir))[3].starts_with("--limit=web00000,web00001,"));
        let long = with(50_000);
        assert_eq!(argv(&playbooks(), &long, Some(dir))[3], "--limit=@/data/a b/j/1/limit,");
        let file = String::from_utf8(long_limit(&long).unwrap()).unwrap();
        assert_eq!(file.lines().count(), 50_000);
        assert!(file.starts_with("web00000\nweb00001\n") && file.ends_with("web49999"));
    }

    #[test]
    fn the_environment_is_made_anew_from_what_may_pass() {
        let own = Parameters {
            env: [("HEALGATE_RUN", "forged"), ("ANSIBLE_NOCOWS", "0"), ("REGION", "eu")]
                .map(|(n, v)| (n.to_owned(), v.to_owned()))
                .into(),
            ..parameters()
        };
        let gateway = [
            ("HOME", "/home/h"),
            ("PATH", "/bin"),
            ("HTTPS_PROXY", "http://p"),
            ("AWS_SECRET", "x"),
            ("HEALGATE__AUTH", "x"),
            ("HEALGATE_TOKEN", "x"),
            ("ANSIBLE_CALLBACKS_ENABLED", "profile_tasks"),
            ("PYTHONHOME", "x"),
        ];
        insta::assert_debug_snapshot!(environment_of(&own, &gateway), @r#"
        {
            "ANSIBLE_CALLBACKS_ENABLED": "profile_tasks,healgate_events",
            "ANSIBLE_CALLBACK_PLUGINS": "/home/h/.ansible/plugins/callback:/usr/share/ansible/plugins/callback:/data/plugins/1",
            "ANSIBLE_FORCE_COLOR": "1",
            "ANSIBLE_LOCAL_TEMP": "/data/runs/j/1/tmp",
            "ANSIBLE_NOCOWS": "0",
            "ANSIBLE_RETRY_FILES_ENABLED": "False",
            "ANSIBLE_SSH_CONTROL_PATH_DIR": "/data/runs/j/1/cp",
            "HEALGATE_EVENTS": "/data/runs/j/1/events.jsonl",
            "HEALGATE_RUN": "j/1",
            "HOME": "/home/h",
            "HTTPS_PROXY": "http://p",
            "LC_ALL": "C.UTF-8",
            "PATH": "/bin",
            "PYTHONUNBUFFERED": "1",
            "REGION": "eu",
        }
        "#);
    }

    #[test]
    fn a_playbook_that_names_its_own_callbacks_keeps_ours() {
        let own = Parameters {
            env: [
                ("ANSIBLE_CALLBACK_PLUGINS", "/own"),
                ("ANSIBLE_CALLBACKS_ENABLED", "timer, x"),
            ]
            .map(|(n, v)| (n.to_owned(), v.to_owned()))
            .into(),
            ..parameters()
        };
        let env = environment_of(&own, &[]);
        assert_eq!(env["ANSIBLE_CALLBACK_PLUGINS"], "/own:/data/plugins/1");
        assert_eq!(env["ANSIBLE_CALLBACKS_ENABLED"], "timer,x,healgate_events");
    }

    #[test]
    fn a_long_run_directory_gets_a_short_place_for_sockets() {
        let long = format!("/{}", "d".repeat(90));
        let place = Place {
            dir: Path::new(&long),
            marker: "019aa3f2-0000-7000-8000-0123456789ab/12".into(),
        };
        let dir = control_dir(&place);
        assert_eq!(dir, Path::new("/tmp/healgate-000123456789ab12"));
    }
}
