//! Whatever a play would see anew in a cold start takes effect on the next run of a gateway with warm interpreters.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use healgate::domain::attempt::Outcome;

use crate::runs::{World, cores, eventually};
use crate::warm_runs::{cold_because, is_warm, warm};

/// Says what the settings and the environment are.
const TELL: &str = "- hosts: all\n  gather_facts: false\n  tasks:\n    - debug: {msg: \"{{ ansible_version.full }} \
                    {{ lookup('config', 'DEFAULT_TIMEOUT') }} {{ lookup('env', 'REGION') }}\"}\n";

/// Runs it, and answers with what it said and why it was cold, if it was.
async fn told(world: &World, own: &BTreeMap<String, String>) -> (String, Option<String>) {
    let run = world.play(TELL, |parameters| parameters.env = own.clone());
    let start = run.host.start().cloned().unwrap();
    let ended = run.end().await;
    assert_eq!(ended.outcome, Outcome::Ok, "{}", ended.log);
    assert_eq!(ended.status.start.as_ref(), Some(&start));
    let said = ended.tasks[0].message.clone().unwrap();
    (said, start.cold_because().map(str::to_owned))
}

/// Waits until the next run would be warm again, and looks whether it says the same.
async fn is_warm_again(world: &World, own: &BTreeMap<String, String>, said: &str) {
    world.ansible.warm_up([own]);
    eventually("a warm interpreter", || {
        (world.ansible.warm_usage().interpreters > 0).then_some(())
    })
    .await;
    for _ in 0..100 {
        let (now, because) = told(world, own).await;
        assert_eq!(now, said);
        if because.is_none() {
            return;
        }
    }
    panic!("never warm again");
}

fn version(said: &str) -> &str {
    said.split(' ').next().unwrap()
}

#[tokio::test]
async fn a_change_of_ansible_cfg_takes_effect_on_the_next_run() {
    for core in cores() {
        let world = warm(&core).await;
        let none = BTreeMap::new();
        let (said, because) = told(&world, &none).await;
        assert_eq!((because, said.ends_with(" 10 ")), (None, true), "{said}");
        world.write("ansible.cfg", "[defaults]\ntimeout = 21\n");
        let (said, because) = told(&world, &none).await;
        assert!(said.ends_with(" 21 "), "{said}");
        assert_eq!(because.as_deref(), Some("no warm interpreter yet"));
        is_warm_again(&world, &none, &said).await;
        world.write("ansible.cfg", "[defaults]\ntimeout = 22\n");
        let (said, because) = told(&world, &none).await;
        assert!(said.ends_with(" 22 "), "{said}");
        let config = world.path("ansible.cfg");
        assert_eq!(
            because.unwrap(),
            format!("ansible.cfg has changed: {}", config.display())
        );
        is_warm_again(&world, &none, &said).await;
    }
}

#[tokio::test]
async fn another_environment_is_another_interpreters() {
    let [_, core] = cores();
    let world = warm(&core).await;
    let mut own = BTreeMap::new();
    for region in ["eu", "us"] {
        own.insert("REGION".to_owned(), region.to_owned());
        own.insert("ANSIBLE_TIMEOUT".to_owned(), region.len().to_string());
        let (said, because) = told(&world, &own).await;
        assert!(said.ends_with(&format!(" 2 {region}")), "{said}");
        assert_eq!(because.as_deref(), Some("no warm interpreter yet"));
        is_warm_again(&world, &own, &said).await;
    }
}

#[tokio::test]
async fn another_script_takes_effect_on_the_next_run() {
    let [old, new] = cores();
    let folder = tempfile::tempdir().unwrap();
    let command = folder.path().join("ansible-playbook");
    fs::copy(&old, &command).unwrap();
    let world = warm(&command.to_string_lossy()).await;
    let none = BTreeMap::new();
    let (before, because) = told(&world, &none).await;
    assert_eq!((version(&before).starts_with("2.16."), because), (true, None));
    // Another Python, and with it another ansible-core: another key.
    fs::copy(&new, &command).unwrap();
    let (after, because) = told(&world, &none).await;
    assert!(version(&after).starts_with("2.19."), "{after}");
    assert_eq!(because.as_deref(), Some("no warm interpreter yet"));
    is_warm_again(&world, &none, &after).await;
    let script = fs::read_to_string(&command).unwrap();
    fs::write(&command, format!("{script}\n# touched\n")).unwrap();
    let (_, because) = told(&world, &none).await;
    assert!(because.unwrap().starts_with("ansible-playbook has changed: "));
}

/// A folder with the ansible package of that core, each of whose parts can be replaced.
fn upgradable(core: &str, folder: &Path) {
    let lib = Path::new(core).parent().unwrap().parent().unwrap().join("lib");
    let python = fs::read_dir(&lib).unwrap().flatten().next().unwrap().path();
    let package = python.join("site-packages/ansible");
    fs::create_dir(folder.join("ansible")).unwrap();
    for entry in fs::read_dir(package).unwrap().flatten() {
        symlink(entry.path(), folder.join("ansible").join(entry.file_name())).unwrap();
    }
}

#[tokio::test]
async fn an_upgrade_of_ansible_while_the_gateway_runs_mixes_no_versions() {
    for core in cores() {
        let library = tempfile::tempdir().unwrap();
        upgradable(&core, library.path());
        let own = BTreeMap::from([("PYTHONPATH".to_owned(), library.path().display().to_string())]);
        let world = World::warm(&core);
        world.until_warm(&own).await;
        let run = world.play(TELL, |parameters| parameters.env = own.clone());
        is_warm(&run);
        run.end().await;
        let release = library.path().join("ansible/release.py");
        let text = fs::read_to_string(&release).unwrap();
        let line = text.lines().find(|line| line.starts_with("__version__")).unwrap();
        let series = if core.contains("2.16") { "2.16" } else { "2.19" };
        let version_now = format!("{series}.99");
        let text = text.replace(line, &format!("__version__ = '{version_now}'"));
        fs::remove_file(&release).unwrap();
        fs::write(&release, text).unwrap();
        let run = world.play(TELL, |parameters| parameters.env = own.clone());
        let because = cold_because(&run);
        assert!(
            because.starts_with("ansible-core or what it imports has changed on disk: "),
            "{because}"
        );
        let ended = run.end().await;
        let said = ended.tasks[0].message.clone().unwrap();
        assert_eq!(version(&said), version_now, "{}", ended.log);
        is_warm_again(&world, &own, &said).await;
    }
}
