//! Copies of the database: made while it is written to, and as good as the original.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;

use healgate::domain::attempt::Outcome;
use healgate::store::read::JobFilter;
use healgate::store::sqlite::{backup, check};
use healgate::store::{Store, StoreError};

use rusqlite::Connection;
use tokio::task::spawn_blocking;

use super::world::{Heard, World, ending, firing, first, open, route};

fn refused(original: &Path, copy: &Path) -> String {
    let error = backup(original, copy).unwrap_err();
    assert!(matches!(error, StoreError::Refused(_)), "{error}");
    error.to_string()
}

/// Makes a copy while alerts come in. How many came meanwhile.
async fn copy_under_load(world: &World, copy: &Path) -> usize {
    let (original, to) = (world.path("healgate.db"), copy.to_owned());
    let copying = spawn_blocking(move || backup(&original, &to));
    let mut during = 0;
    while !copying.is_finished() || during < 20 {
        let alert = format!("during{during}");
        let report = firing(&alert, world.ago(9)).via(route("r"), &alert);
        world.job_for(report).await;
        during += 1;
    }
    let bytes = copying.await.unwrap();
    let file = std::fs::metadata(copy).unwrap();
    assert_eq!((bytes.unwrap(), file.permissions().mode() & 0o777), (file.len(), 0o600));
    during
}

fn auto_vacuum(database: &Path) -> i64 {
    let connection = Connection::open(database).unwrap();
    connection
        .query_one("PRAGMA auto_vacuum", [], |row| row.get(0))
        .unwrap()
}

#[tokio::test]
async fn a_copy_made_under_load_opens_and_has_every_job_that_was_there_before_it() {
    let world = World::new().await;
    let mut before = Vec::new();
    for number in 0..50 {
        let alert = format!("before{number}");
        let report = firing(&alert, world.ago(9)).via(route("r"), &alert);
        before.push(world.job_for(report).await);
    }
    let key = world.claim(1).await.remove(0).key;
    world.store.append_log(key, 0, b"PLAY [web]\n".to_vec()).await.unwrap();
    let restored = tempfile::tempdir().unwrap();
    let copy = restored.path().join("healgate.db");
    let during = copy_under_load(&world, &copy).await;
    let files = restored.path().read_dir().unwrap();
    let names: Vec<_> = files.map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(names, ["healgate.db"], "nothing is left beside it");
    assert_eq!(check(&copy).unwrap().findings, Vec::<String>::new());

    let store = open(restored.path(), Arc::new(Heard::default())).await.unwrap();
    for job in &before {
        assert_eq!(
            store.find_job(*job).await.unwrap(),
            world.store.find_job(*job).await.unwrap()
        );
    }
    assert_eq!(store.read_log(key.job, 1, 0, 100).await.unwrap(), b"PLAY [web]\n");
    assert_eq!(store.active_runs().await.unwrap()[0].key, key);
    let page = store.list_jobs(&JobFilter::default(), first(500)).await.unwrap();
    let jobs = page.items.len();
    assert!(
        (50..=50 + during).contains(&jobs),
        "{jobs} jobs, {during} made meanwhile"
    );
    // It is a whole database: it can be written to, and its room given back.
    store.finish(key, ending(Outcome::Ok, world.now())).await.unwrap();
    store.close().await;
    assert_eq!(auto_vacuum(&copy), 2, "incremental");
    assert_eq!(world.damage(), Vec::<String>::new());
}

#[tokio::test]
async fn a_copy_overwrites_nothing_and_leaves_nothing_where_it_fails() {
    let world = World::new().await;
    let original = world.path("healgate.db");
    let taken = world.path("taken.db");
    std::fs::write(&taken, "mine").unwrap();
    assert!(refused(&original, &taken).contains("already exists"));
    assert_eq!(std::fs::read(&taken).unwrap(), b"mine");
    assert!(refused(&original, &original).contains("already exists"));
    let link = world.path("link.db");
    std::os::unix::fs::symlink("nowhere", &link).unwrap();
    refused(&original, &link);
    let nowhere = world.path("no/such/folder.db");
    assert!(refused(&original, &nowhere).contains("failed to create"));
    assert!(refused(&world.path("gone.db"), &world.path("copy.db")).contains("gone.db"));
    let broken = world.path("broken.db");
    std::fs::write(&broken, "not a database, but somebody's text".repeat(100)).unwrap();
    backup(&broken, &world.path("copy.db")).unwrap_err();
    for left in ["copy.db", "copy.db.unfinished", "taken.db.unfinished"] {
        assert!(!world.path(left).exists(), "{left}");
    }
    world.store.probe().await.unwrap();
}

#[tokio::test]
async fn a_check_finds_what_refers_to_nothing_and_pages_that_are_broken() {
    let world = World::new().await;
    world.job_for(firing("a", world.ago(9)).via(route("r"), "a")).await;
    let checkup = check(&world.path("healgate.db")).unwrap();
    assert_eq!((checkup.schema, checkup.findings), (checkup.newest, Vec::new()));
    world.meddle("PRAGMA foreign_keys = OFF; DELETE FROM notifications; PRAGMA user_version = 999");
    let findings = world.damage().join("\n");
    assert!(
        findings.contains("of decisions refers to a row of notifications"),
        "{findings}"
    );
    assert!(findings.contains("it has schema 999"), "{findings}");

    let copy = world.path("copy.db");
    backup(&world.path("healgate.db"), &copy).unwrap();
    let mut bytes = std::fs::read(&copy).unwrap();
    let middle = bytes.len() / 2 / 4096 * 4096;
    bytes[middle..middle + 64].fill(0xff);
    std::fs::write(&copy, bytes).unwrap();
    let found = check(&copy);
    assert!(found.map_or(true, |checkup| checkup.findings.len() > 2));
}
