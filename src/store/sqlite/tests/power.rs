//! The power goes: what was acknowledged is there again. A process stores what webhooks and workers bring, while strace(1)
//! records what it asks of the disk and what it acknowledges; then the disk is made anew as it might have been at many
//! moments, without what was not synced by then. With `synchronous=NORMAL` the same must lose something.

mod disk;
mod recording;

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use futures_util::future::join_all;
use rusqlite::Connection;

use self::disk::{Disk, Loss};
use self::recording::{CALLS, Call};
use super::deaf;
use crate::clock::Ids;
use crate::domain::alert::{Alert, AlertStatus, Group, Sender};
use crate::domain::attempt::{Ending, Outcome};
use crate::domain::checks::Checks;
use crate::domain::ids::{Fingerprint, NotificationId, Target};
use crate::domain::parameters::Plan;
use crate::domain::policy::{Delivery, Intake, Reached};
use crate::domain::rules::Fleet;
use crate::http::fake::{now, parameters, route};
use crate::store::sqlite::SqliteStore;
use crate::store::sqlite::open::{open, open_with};
use crate::store::{Received, Store, StoreError};

/// Enough for two checkpoints and more, which go on beside the writes of others.
const NOTIFICATIONS: u64 = 120;
const AT_ONCE: u64 = 4;

/// At how many moments the power goes. `make soak` takes more.
const MOMENTS: usize = 30;

/// What tells the recorded process that it is one.
const TOLD: &str = "HEALGATE_IS_RECORDED";
pub(super) const ACKNOWLEDGED: &str = "acknowledged ";

#[expect(clippy::disallowed_methods, reason = "a test's only way to be told something")]
pub(super) fn told(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

fn delivery(ids: &Ids, number: u64) -> Delivery {
    let target = Target::parse(&format!("host-{}", number % 7)).unwrap();
    let alert = Alert {
        status: AlertStatus::Firing,
        labels: BTreeMap::from([("alertname".to_owned(), "Down".to_owned())]),
        annotations: BTreeMap::new(),
        starts_at: now(),
        ends_at: None,
        fingerprint: Fingerprint::parse(&format!("{number:016x}")).unwrap(),
        generator_url: String::new(),
    };
    let plan = Plan {
        playbook: "restart".to_owned(),
        target,
        parameters: parameters(),
        checks: Checks::default(),
    };
    let reached = Reached {
        route: crate::domain::route::Route {
            resolved_within: None,
            ..route("down")
        },
        plan: Some(Ok(plan)),
        job: ids.job(now()),
        ladder: Vec::new(),
        cleanup: None,
        is_released: false,
        argv: HashMap::new(),
    };
    Delivery {
        id: ids.notification(now()),
        received_at: now(),
        posted_by: "alertmanager".to_owned(),
        group: Group::default(),
        intakes: vec![Intake {
            alert,
            reached: vec![reached],
            spare_episode: ids.episode(now()),
        }],
        fleet: Fleet::default(),
    }
}

/// Bytes that do not compress.
fn noise(number: u64) -> Vec<u8> {
    let mut bytes = vec![0; 3_000];
    getrandom::fill(&mut bytes).unwrap();
    bytes.extend(number.to_le_bytes());
    bytes
}

/// Whether this process is the one that is recorded.
pub(super) fn is_recorded() -> bool {
    told(TOLD).is_some()
}

/// What is recorded: notifications are stored, and jobs run, and each is acknowledged on standard output.
pub(super) async fn store_and_say(synchronous: &'static str, notifications: u64) {
    let opened = open_with(Path::new("healgate.db"), synchronous).await.unwrap();
    let store = SqliteStore::over(opened, deaf()).unwrap();
    let ids = Ids::default();
    let senders = (0..AT_ONCE).map(|first| {
        let (store, ids) = (&store, &ids);
        async move {
            for number in (first..notifications).step_by(usize::try_from(AT_ONCE).unwrap()) {
                let id = insist(|| send(store, delivery(ids, number), number)).await;
                println!("{ACKNOWLEDGED}{id}");
                run_one(store).await;
            }
        }
    });
    join_all(senders).await;
    store.close().await;
}

/// As senders and workers do: what the disk refused is asked for again.
async fn insist<T, Asked: Future<Output = Result<T, StoreError>>>(ask: impl Fn() -> Asked) -> T {
    for _ in 0..10 {
        match ask().await {
            Err(StoreError::Unavailable(_)) => {}
            answer => return answer.unwrap(),
        }
    }
    panic!("it does not recover");
}

async fn send(store: &SqliteStore, delivery: Delivery, number: u64) -> Result<NotificationId, StoreError> {
    let received = Received {
        sender: Sender::Alertmanager,
        body: noise(number),
        truncated_alerts: 0,
    };
    let id = delivery.id;
    store.accept(received, delivery).await.map(|_| id)
}

async fn run_one(store: &SqliteStore) {
    for claim in insist(|| store.claim("worker", 1, now())).await {
        let said = noise(0);
        insist(|| store.append_log(claim.key, 0, said.clone())).await;
        let ending = Ending {
            outcome: Outcome::Ok,
            message: None,
            exit_code: Some(0),
            recap: BTreeMap::new(),
            finished_at: now(),
            log_bytes: said.len() as u64,
            log_truncated: false,
            start: None,
        };
        let job = insist(|| store.finish(claim.key, ending.clone())).await;
        assert!(job.status.is_finished());
        println!("{ACKNOWLEDGED}{}", job.id);
    }
}

/// Runs this very test again, as the process that is recorded.
#[expect(clippy::disallowed_methods, reason = "only another process can be recorded")]
pub(super) fn recorded(test: &str, folder: &Path, how: &[&str]) -> (Output, String) {
    let recording = folder.with_extension("strace");
    let recorded = Command::new("strace")
        .args(["--follow-forks", "--seccomp-bpf", "-o"])
        .arg(&recording)
        .args(how)
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", test, "--nocapture"])
        .env(TOLD, "yes")
        .current_dir(folder)
        .stdin(Stdio::null())
        .output()
        .unwrap();
    assert!(recorded.status.success(), "{recorded:?}");
    (recorded, fs::read_to_string(recording).unwrap())
}

fn record(test: &str, folder: &Path) -> Vec<Call> {
    let (_, recording) = recorded(test, folder, &["-yy", "-xx", "--string-limit=1000000", "-e", CALLS]);
    recording::read(&recording, folder)
}

/// What was found on a disk after the power went.
#[derive(Debug, Default)]
struct Found {
    moments: usize,
    /// What was acknowledged and is gone, each with the moment and the loss.
    lost: Vec<String>,
    /// How often some was, while other things were kept.
    partly: usize,
    /// What SQLite says of files that it can no longer make sense of.
    broken: Vec<String>,
}

/// Lets the power go at many moments, evenly spread over all that was asked of the disk, and right after acknowledgements.
async fn let_the_power_go(calls: &[Call], moments: usize) -> Found {
    let is_said = |call: &Call| matches!(call, Call::Say(text) if text.contains(ACKNOWLEDGED));
    let said: Vec<usize> = (0..calls.len()).filter(|at| is_said(&calls[*at])).collect();
    let mut when: Vec<usize> = (0..moments / 2)
        .map(|number| number * (calls.len() - 1) / (moments / 2))
        .collect();
    when.extend((0..moments / 2).map(|number| said[number * (said.len() - 1) / (moments / 2)]));
    when.push(calls.len() - 1);
    let mut disk = Disk::default();
    let mut promised: Vec<&str> = Vec::new();
    let mut found = Found::default();
    for (at, call) in calls.iter().enumerate() {
        disk.follow(call);
        if let Call::Say(text) = call {
            promised.extend(text.lines().filter_map(|line| line.strip_prefix(ACKNOWLEDGED)));
        }
        if when.contains(&at) {
            found.moments += 1;
            for loss in [
                Loss::All,
                Loss::Nothing,
                Loss::Some(at as u64),
                Loss::Some(!(at as u64)),
            ] {
                look(&disk, loss, &promised, &mut found).await;
            }
        }
    }
    found
}

/// Opens what is left as a gateway does, and looks for what was promised.
async fn look(disk: &Disk, loss: Loss, promised: &[&str], found: &mut Found) {
    let folder = tempfile::tempdir().unwrap();
    for (path, bytes) in disk.after(loss) {
        fs::write(folder.path().join(path.file_name().unwrap()), bytes).unwrap();
    }
    let database = folder.path().join("healgate.db");
    if let Err(error) = open(&database).await {
        return found.broken.push(format!("{loss:?}: {error}"));
    }
    let database = Connection::open(&database).unwrap();
    let integrity = strings(&database, "PRAGMA integrity_check");
    let orphans = strings(&database, "SELECT \"table\" FROM pragma_foreign_key_check");
    if !integrity.as_ref().is_ok_and(|said| said == &["ok"]) || !orphans.as_ref().is_ok_and(Vec::is_empty) {
        found.broken.push(format!("{loss:?}: {integrity:?} {orphans:?}"));
    }
    let kept = "SELECT id FROM notifications UNION ALL SELECT id FROM jobs WHERE finished_at IS NOT NULL";
    let kept = strings(&database, kept).unwrap_or_default();
    let gone: Vec<&&str> = promised
        .iter()
        .filter(|id| !kept.iter().any(|kept| kept == *id))
        .collect();
    found.partly += usize::from(!gone.is_empty() && !kept.is_empty());
    found.lost.extend(gone.iter().map(|id| format!("{id}, {loss:?}")));
}

pub(super) fn strings(database: &Connection, sql: &str) -> Result<Vec<String>, rusqlite::Error> {
    let mut statement = database.prepare(sql)?;
    statement.query_map([], |row| row.get(0))?.collect()
}

/// All that was recorded makes the files that are there.
fn check_replay(calls: &[Call], folder: &Path) {
    let mut disk = Disk::default();
    calls.iter().for_each(|call| disk.follow(call));
    for (path, bytes) in disk.after(Loss::Nothing) {
        assert!(
            fs::read(path).is_ok_and(|real| real == bytes),
            "{} is another one",
            path.display()
        );
    }
    assert_eq!(disk.after(Loss::Nothing).len(), fs::read_dir(folder).unwrap().count());
}

/// Records, and lets the power go; in the recorded process it stores instead.
async fn story(test: &str, synchronous: &'static str, moments: usize) -> Option<Found> {
    if is_recorded() {
        store_and_say(synchronous, NOTIFICATIONS).await;
        return None;
    }
    let folder = tempfile::tempdir().unwrap();
    let inside = folder.path().canonicalize().unwrap().join("disk");
    fs::create_dir(&inside).unwrap();
    let calls = record(test, &inside);
    let said = calls
        .iter()
        .filter(|call| matches!(call, Call::Say(text) if text.contains(ACKNOWLEDGED)));
    assert!(said.count() as u64 >= NOTIFICATIONS, "not all was heard");
    check_replay(&calls, &inside);
    let found = let_the_power_go(&calls, moments).await;
    println!(
        "{} moments in {} calls: {} lost, partly {} times; {} broken",
        found.moments,
        calls.len(),
        found.lost.len(),
        found.partly,
        found.broken.len()
    );
    Some(found)
}

#[tokio::test]
async fn what_was_acknowledged_is_there_after_the_power_went() {
    let test = "store::sqlite::tests::power::what_was_acknowledged_is_there_after_the_power_went";
    let moments = told("MOMENTS").map_or(MOMENTS, |moments| moments.parse().unwrap());
    if let Some(found) = story(test, "FULL", moments).await {
        assert_eq!((found.lost, found.broken), (vec![], vec![]));
    }
}

#[tokio::test]
async fn with_less_than_full_synchronisation_the_same_loses_something() {
    let test = "store::sqlite::tests::power::with_less_than_full_synchronisation_the_same_loses_something";
    if let Some(found) = story(test, "NORMAL", 8).await {
        assert!(
            !found.lost.is_empty() && found.partly > 0,
            "nothing was lost, or all: {found:#?}"
        );
    }
}
