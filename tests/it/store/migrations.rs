//! Databases of every version before the last: filled, upgraded, and read back.

use std::path::Path;
use std::sync::Arc;

use healgate::domain::attempt::Outcome;
use healgate::domain::ids::{Fingerprint, JobId, NotificationId};
use healgate::domain::job::{JobStatus, Reason, Trigger};
use healgate::store::Store;
use healgate::store::outbox::Outbox;
use healgate::store::read::JobFilter;
use healgate::store::sqlite::{SqliteStore, check};
use rusqlite::Connection;

use super::world::{Heard, World, ending, first, open, parameters, task};

/// The steps, as `src/store/sqlite/migrations.rs` applies them.
fn steps() -> Vec<String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("migrations/sqlite");
    let mut files: Vec<_> = folder.read_dir().unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
        .iter()
        .map(|file| std::fs::read_to_string(file).unwrap())
        .collect()
}

/// What a gateway of the first version has written: a finished job with a log, a re-run of it that waits, one that runs.
const FIRST: &str = "
    INSERT INTO notifications VALUES ('NOTIFICATION', 1000000, 'alertmanager', 'am', 'healgate', 'key', 1, 0,
                                      x'28b52ffd240001000099e9d851');
    INSERT INTO episodes (id, fingerprint, alertname, labels, annotations, generator_url, starts_at, opened_at,
                          last_received_at, received)
    VALUES ('EPISODE', 'f1', 'Down', '{\"alertname\":\"Down\"}', '{}', '', 900000, 1000000, 1000000, 1);
    INSERT INTO alerts VALUES ('f1', 'EPISODE', 1000000);
    INSERT INTO jobs (id, status, reason, playbook, route, target, trigger_kind, triggered_by, episode, alertname, fingerprint,
                      alert, alert_group, parameters, created_at, run_at, expires_at, started_at, finished_at, attempts, fence)
    VALUES ('FINISHED', 'failed', 'hosts_failed', 'fix', 'down', 't1', 'alert', 'am', 'EPISODE', 'Down', 'f1', 'ALERT', 'GROUP',
            'PARAMETERS', 1000000, 1000000, 9000000, 2000000, 3000000, 1, 1);
    INSERT INTO jobs (id, status, playbook, target, trigger_kind, triggered_by, rerun_of, parameters, created_at, run_at,
                      expires_at, started_at, front, attempts, fence, cancel_requested_at, cancel_requested_by)
    VALUES ('RUNNING', 'running', 'fix', 't1', 'rerun', 'ada', 'FINISHED', 'PARAMETERS', 4000000, 4000000, 9000000, 5000000,
            1, 1, 7, 5500000, 'bob');
    INSERT INTO jobs (id, status, playbook, target, trigger_kind, triggered_by, parameters, created_at, run_at, expires_at)
    VALUES ('WAITING', 'queued', 'fix', 't1', 'manual', 'ada', 'PARAMETERS', 6000000, 6000000, 9000000);
    INSERT INTO attempts (id, job, number, fence, outcome, exit_code, started_at, finished_at, worker, log_bytes, tasks,
                          host_stats)
    VALUES (1, 'FINISHED', 1, 1, 'hosts_failed', 2, 2000000, 3000000, 'w', 4, 1, '{}'),
           (2, 'RUNNING', 1, 7, NULL, NULL, 5000000, NULL, 'w', 0, 0, '{}');
    INSERT INTO log_chunks VALUES (1, 0, 4, 0, x'504c4159');
    INSERT INTO tasks VALUES (1, 0, 'TASK');
    INSERT INTO job_events (job, at, event, actor, message) VALUES ('FINISHED', 1000000, 'queued', 'am', 'queued: fix on t1');
    INSERT INTO decisions (notification, at, episode, fingerprint, alertname, route, decision, reason, job)
    VALUES ('NOTIFICATION', 1000000, 'EPISODE', 'f1', 'Down', 'down', 'queued', 'a new episode', 'FINISHED');";

/// What versions from that one on may have written beside.
const LATER: [(usize, &str); 4] = [
    (
        2,
        "UPDATE attempts SET cold_because = 'no warm interpreter yet' WHERE id = 1",
    ),
    (
        5,
        "INSERT INTO outbox (job, event, notifier, created_at, due_at) VALUES ('FINISHED', 'failed', 'ops', 3000000, 3000000)",
    ),
    (7, "INSERT INTO heartbeats VALUES ('watchdog', 1000000, 2000000)"),
    (
        8,
        "INSERT INTO pauses VALUES ('route:other', 'because', 'ada', 1000000);
         INSERT INTO held (episode, route, decision, reason, target, since, posted_by, alert, alert_group)
         VALUES ('EPISODE', 'second', 'capped', 'the cap is full', 't1', 1000000, 'am', 'ALERT', 'GROUP');
         INSERT INTO held (episode, route, decision, reason, target, since, released, posted_by, alert, alert_group)
         VALUES ('EPISODE', 'third', 'held', 'a storm', 't1', 1000000, 1, 'am', 'ALERT', 'GROUP')",
    ),
];

struct Old {
    folder: tempfile::TempDir,
    finished: JobId,
    running: JobId,
    waiting: JobId,
    notification: NotificationId,
}

impl Old {
    /// A database as that version has left it.
    async fn of(version: usize) -> Self {
        let world = World::new().await;
        let ids = [(); 5].map(|()| world.unknown_job().to_string());
        let old = Self {
            folder: tempfile::tempdir().unwrap(),
            finished: ids[0].parse().unwrap(),
            running: ids[1].parse().unwrap(),
            waiting: ids[2].parse().unwrap(),
            notification: ids[3].parse().unwrap(),
        };
        let alert = r#"{"status":"firing","labels":{"alertname":"Down"},"annotations":{},"starts_at":"1970-01-01T00:00:00.9Z","ends_at":null,"fingerprint":"f1","generator_url":""}"#;
        let group =
            r#"{"receiver":"healgate","group_key":"key","common_labels":{},"common_annotations":{},"external_url":""}"#;
        let filled = |text: &str| {
            text.replace("FINISHED", &ids[0])
                .replace("RUNNING", &ids[1])
                .replace("WAITING", &ids[2])
                .replace("NOTIFICATION", &ids[3])
                .replace("EPISODE", &ids[4])
                .replace("ALERT", alert)
                .replace("GROUP", group)
                .replace("PARAMETERS", &serde_json::to_string(&parameters()).unwrap())
                .replace("TASK", &serde_json::to_string(&task("restart")).unwrap())
        };
        let connection = Connection::open(old.folder.path().join("healgate.db")).unwrap();
        let mut run = steps()[..version].to_vec();
        run.insert(1, filled(FIRST));
        // In its place among the steps: what a version wrote, later ones have changed.
        for (since, text) in LATER.iter().rev().filter(|(since, _)| *since <= version) {
            run.insert(since + 1, filled(text));
        }
        run.push(format!("PRAGMA user_version = {version}"));
        for text in run {
            connection.execute_batch(&text).unwrap();
        }
        old
    }

    async fn open(&self) -> SqliteStore {
        open(self.folder.path(), Arc::new(Heard::default())).await.unwrap()
    }

    async fn reads_as_it_was_written(&self, store: &SqliteStore) {
        let job = store.find_job(self.finished).await.unwrap().unwrap();
        assert_eq!((job.status, job.reason), (JobStatus::Failed, Some(Reason::HostsFailed)));
        assert_eq!((job.trigger, job.parameters), (Trigger::Alert, parameters()));
        assert_eq!(job.alert.unwrap().name(), "Down");
        let attempt = &job.attempts[0];
        assert_eq!(
            (attempt.outcome, attempt.log_pruned),
            (Some(Outcome::HostsFailed), false)
        );
        assert_eq!(store.read_log(self.finished, 1, 0, 100).await.unwrap(), b"PLAY");
        let tasks = store.tasks(self.finished, 1, first(10)).await.unwrap().items;
        assert_eq!(tasks, [task("restart")]);
        assert_eq!(store.job_events(self.finished, first(10)).await.unwrap().items.len(), 1);
        let story = store
            .find_alert(&Fingerprint::parse("f1").unwrap())
            .await
            .unwrap()
            .unwrap();
        assert_eq!((story.episodes.len(), story.decisions.len()), (1, 1));
        let notification = store.find_notification(self.notification).await.unwrap().unwrap();
        assert_eq!(notification.decisions[0].job, Some(self.finished));
        let all = store.list_jobs(&JobFilter::default(), first(10)).await.unwrap();
        assert_eq!(all.items.len(), 3);
    }

    /// The run of before goes on, and the job behind it gets the target.
    async fn goes_on(&self, store: &SqliteStore, world: &World) {
        let run = store.active_runs().await.unwrap().remove(0);
        assert_eq!((run.key.job, run.key.fence), (self.running, 7));
        assert_eq!(run.job.rerun_of, Some(self.finished));
        store.append_log(run.key, 0, b"PLAY".to_vec()).await.unwrap();
        let mut ended = ending(Outcome::Canceled, world.now());
        ended.log_bytes = 4;
        let job = store.finish(run.key, ended).await.unwrap();
        assert_eq!(job.reason, Some(Reason::Canceled), "bob has asked for that");
        let waiting = store.find_job(self.waiting).await.unwrap().unwrap();
        assert_eq!(waiting.status, JobStatus::Queued);
        let claims = store
            .claim("w", 9, healgate::domain::timestamp::Timestamp::from_micros(6_500_000))
            .await;
        assert_eq!(claims.unwrap()[0].key.job, self.waiting);
    }
}

#[tokio::test]
async fn a_filled_database_of_every_version_is_upgraded_and_read_back() {
    let newest = steps().len();
    for version in 1..newest {
        let old = Old::of(version).await;
        let path = old.folder.path().join("healgate.db");
        let before = check(&path).unwrap();
        assert_eq!((before.schema, before.findings), (version, Vec::new()), "{version}");
        let store = old.open().await;
        old.reads_as_it_was_written(&store).await;
        let told = store.next_message("ops").await.unwrap();
        assert_eq!(told.is_some(), version >= 5, "{version}");
        assert_eq!(store.heartbeats().await.unwrap().len(), usize::from(version >= 7));
        let held = healgate::store::Brakes::list_held(&store, first(10))
            .await
            .unwrap()
            .items;
        let released: Vec<bool> = held.iter().map(|held| held.released_by.is_some()).collect();
        assert_eq!(released, if version >= 8 { vec![false, true] } else { vec![] });
        old.goes_on(&store, &World::new().await).await;
        store.close().await;
        let after = check(&path).unwrap();
        assert_eq!(
            (after.schema, after.newest, after.findings),
            (newest, newest, Vec::new()),
            "{version}"
        );
    }
}
