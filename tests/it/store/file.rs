//! The file: who may open it, and what is in it afterwards.

use std::sync::Arc;

use healgate::store::read::AlertFilter;
use healgate::store::{Store, StoreError};
use rusqlite::Connection;

use super::world::{Heard, World, firing, first, open, received, route};

#[tokio::test]
async fn what_was_stored_is_there_after_the_store_was_opened_again() {
    let folder = tempfile::tempdir().unwrap();
    let world = World::new().await;
    let delivery = world.delivery(vec![firing("a", world.ago(1)).via(route("r"), "a")]);
    let (id, notification) = (delivery.intakes[0].reached[0].job, delivery.id);
    let store = open(folder.path(), Arc::new(Heard::default())).await.unwrap();
    store.accept(received(), delivery).await.unwrap();
    let claim = store.claim("worker-1", 1, world.now()).await.unwrap().remove(0);
    store.append_log(claim.key, 0, b"PLAY".to_vec()).await.unwrap();
    let job = store.find_job(id).await.unwrap();
    store.close().await;

    let store = open(folder.path(), Arc::new(Heard::default())).await.unwrap();
    assert_eq!(store.find_job(id).await.unwrap(), job);
    assert_eq!(store.read_log(id, 1, 0, 100).await.unwrap(), b"PLAY");
    assert_eq!(store.active_runs().await.unwrap()[0].key, claim.key);
    assert!(store.find_notification(notification).await.unwrap().is_some());
    assert_eq!(
        store
            .list_alerts(&AlertFilter::default(), first(10))
            .await
            .unwrap()
            .items
            .len(),
        1
    );
}

#[tokio::test]
async fn a_database_of_the_first_version_keeps_its_jobs() {
    let folder = tempfile::tempdir().unwrap();
    let connection = Connection::open(folder.path().join("healgate.db")).unwrap();
    connection
        .execute_batch(include_str!("../../../migrations/sqlite/0001_initial.sql"))
        .unwrap();
    let world = World::new().await;
    let made = world.manual("a");
    let id = made.id;
    let insert = "
        INSERT INTO jobs (id, status, playbook, target, trigger_kind, triggered_by, parameters, created_at, run_at,
                          expires_at)
        VALUES (?1, 'queued', 'restart-container', 'a', 'manual', 'ada', ?2, 1, 1, 1)";
    let parameters = serde_json::to_string(&made.parameters).unwrap();
    connection.execute(insert, (id.to_string(), parameters)).unwrap();
    connection.execute_batch("PRAGMA user_version = 1").unwrap();
    drop(connection);
    let store = open(folder.path(), Arc::new(Heard::default())).await.unwrap();
    let job = store.find_job(id).await.unwrap().unwrap();
    assert_eq!(
        (job.parameters, job.by_hand, job.changes),
        (made.parameters, None, None)
    );
}

#[tokio::test]
async fn a_file_that_is_open_is_not_opened_twice() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path(), Arc::new(Heard::default())).await.unwrap();
    let error = open(folder.path(), Arc::new(Heard::default())).await.unwrap_err();
    assert!(
        matches!(&error, StoreError::Refused(text) if text.starts_with("another healgate uses ")),
        "{error}"
    );
    store.probe().await.unwrap();
    store.close().await;
    open(folder.path(), Arc::new(Heard::default())).await.unwrap();
}

#[tokio::test]
async fn a_lock_that_a_killed_gateways_child_holds_a_moment_longer_is_waited_for() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("healgate.db");
    open(folder.path(), Arc::new(Heard::default()))
        .await
        .unwrap()
        .close()
        .await;
    let lock = std::fs::File::open(path.with_extension("db.lock")).unwrap();
    lock.lock().unwrap();
    let moment = tokio::time::Instant::now() + std::time::Duration::from_millis(100);
    let letting_go = async {
        tokio::time::sleep_until(moment).await;
        drop(lock);
    };
    let (store, ()) = tokio::join!(open(folder.path(), Arc::new(Heard::default())), letting_go);
    store.unwrap();
}

#[tokio::test]
async fn a_schema_of_a_newer_healgate_is_refused_and_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    open(folder.path(), Arc::new(Heard::default()))
        .await
        .unwrap()
        .close()
        .await;
    let connection = Connection::open(folder.path().join("healgate.db")).unwrap();
    connection.execute_batch("PRAGMA user_version = 999").unwrap();
    drop(connection);
    let error = open(folder.path(), Arc::new(Heard::default()))
        .await
        .unwrap_err()
        .to_string();
    assert!(
        error.starts_with("the database has schema 999, and this healgate knows schemas up to "),
        "{error}"
    );
    assert!(error.contains("written by a newer healgate"), "{error}");
}

#[tokio::test]
async fn what_is_not_a_database_is_not_overwritten() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("healgate.db");
    std::fs::write(&path, "not a database, but somebody's text".repeat(100)).unwrap();
    open(folder.path(), Arc::new(Heard::default())).await.unwrap_err();
    assert!(std::fs::read_to_string(&path).unwrap().starts_with("not a database"));
}
