//! Old records go, and nothing that is still needed.

use std::time::Duration;

use futures_util::future::join_all;
use healgate::domain::attempt::{AttemptKey, Outcome};
use healgate::domain::decision::DecisionKind;
use healgate::domain::ids::{Fingerprint, JobId};
use healgate::domain::job::JobStatus;
use healgate::domain::notify::NotifyEvent;
use healgate::domain::route::Route;
use healgate::domain::rules::Cap;
use healgate::domain::span::Span;
use healgate::pruning::{Keep, Pace, Pruned, Pruner, look_back};
use healgate::store::read::{AlertFilter, JobFilter, LogHead};
use healgate::store::upkeep::{Portion, Record, Removed, Room};
use healgate::telemetry::Metrics;
use tokio_util::sync::CancellationToken;

use super::world::{World, asking, ending, firing, first, resolved, route, task, telling, verified};

const DAY: u64 = 86_400;

/// As the settings have it if they say nothing.
const KEEP: Keep = Keep {
    jobs: Span::from_secs(90 * DAY),
    logs: Span::from_secs(30 * DAY),
    size: None,
};

impl World {
    pub(super) fn pruner(&self, keep: Keep, routes: &[Route]) -> Pruner {
        let back = look_back(routes, &self.fleet.lock().unwrap());
        Pruner {
            store: self.upkeep.clone(),
            clock: self.clock(),
            metrics: Metrics::new(),
            keep,
            look_back: Box::new(move || back),
            pace: Pace::Fast,
            stopping: CancellationToken::new(),
        }
    }

    async fn prune(&self) -> Pruned {
        let pruned = self.pruner(KEEP, &[]).pass().await.unwrap();
        assert_eq!(self.damage(), Vec::<String>::new());
        pruned
    }

    fn days(&self, days: i64) {
        self.pass(days * 86_400);
    }

    /// Runs the one job that is ready, with that log and a task.
    async fn run(&self, log: &[u8], outcome: Outcome) -> AttemptKey {
        let key = self.claim_one().await;
        self.write_log(key, log).await;
        self.store.record_tasks(key, 0, vec![task("restart")]).await.unwrap();
        self.store.finish(key, self.ended(log, outcome)).await.unwrap();
        key
    }

    async fn write_log(&self, key: AttemptKey, log: &[u8]) {
        for (number, chunk) in log.chunks(CHUNK).enumerate() {
            let offset = u64::try_from(number * CHUNK).unwrap();
            self.store.append_log(key, offset, chunk.to_vec()).await.unwrap();
        }
    }

    fn ended(&self, log: &[u8], outcome: Outcome) -> healgate::domain::attempt::Ending {
        healgate::domain::attempt::Ending {
            log_bytes: u64::try_from(log.len()).unwrap(),
            ..ending(outcome, self.now())
        }
    }

    /// A job of an alert that fired, was seen to, and resolved.
    async fn over(&self, alert: &str) -> JobId {
        let starts_at = self.ago(9);
        let failing = telling(&[NotifyEvent::Failed], route("r"));
        let job = self.job_for(firing(alert, starts_at).via(failing, alert)).await;
        self.run(b"PLAY [web]\n", Outcome::HostsFailed).await;
        self.messages("ops").await;
        self.post(vec![resolved(alert, starts_at, self.now())]).await;
        job
    }

    async fn is_there(&self, job: JobId) -> bool {
        self.store.find_job(job).await.unwrap().is_some()
    }

    async fn notifications(&self) -> usize {
        self.store.list_notifications(first(500)).await.unwrap().items.len()
    }
}

/// As a worker writes logs.
const CHUNK: usize = 64 << 10;

#[tokio::test]
async fn a_job_goes_with_all_that_belongs_to_it_once_it_is_old() {
    let world = World::new().await;
    let job = world.over("a").await;
    world.days(89);
    world.over("b").await;
    let pruned = world.prune().await;
    assert_eq!((pruned.of(Record::Logs), pruned.of(Record::Jobs)), (1, 0));
    assert!(world.is_there(job).await);
    world.days(2);
    let pruned = world.prune().await;
    let counts = [
        (Record::Jobs, 1),
        (Record::Decisions, 2),
        (Record::Notifications, 2),
        (Record::Episodes, 1),
    ];
    for (record, count) in counts {
        assert_eq!(pruned.of(record), count, "{record:?}: {pruned:?}");
    }
    assert!(!world.is_there(job).await);
    assert_eq!(world.history(job).await, Vec::<String>::new());
    assert_eq!(world.notifications().await, 2);
    let alerts = world
        .store
        .list_alerts(&AlertFilter::default(), first(10))
        .await
        .unwrap()
        .items;
    let names: Vec<&str> = alerts.iter().map(|alert| alert.fingerprint.as_str()).collect();
    assert_eq!(names, ["b"]);
    let gone = Fingerprint::parse("a").unwrap();
    assert!(world.store.find_alert(&gone).await.unwrap().is_none());
    assert_eq!(
        world.prune().await.records.iter().map(|(_, count)| count).sum::<u64>(),
        0
    );
    // The alert may come again, as if it had never been here.
    world.over("a").await;
}

#[tokio::test]
async fn a_log_goes_before_its_job_which_says_so() {
    let world = World::new().await;
    let job = world.over("a").await;
    assert!(!world.job(job).await.attempts[0].log_pruned);
    world.days(31);
    let pruned = world.prune().await;
    assert_eq!((pruned.of(Record::Logs), pruned.log_bytes), (1, 11));
    let attempt = world.job(job).await.attempts.remove(0);
    assert_eq!((attempt.log_pruned, attempt.log_bytes), (true, 11));
    let head = LogHead {
        bytes: 0,
        complete: true,
    };
    assert_eq!(world.store.log_head(job, 1).await.unwrap(), head);
    assert_eq!(world.store.read_log(job, 1, 0, 100).await.unwrap(), b"");
    assert_eq!(world.store.tasks(job, 1, first(10)).await.unwrap().items.len(), 1);
    assert!(!world.history(job).await.is_empty());
    assert_eq!(world.prune().await.of(Record::Logs), 0);
}

#[tokio::test]
async fn what_is_not_finished_stays_however_old_it_is() {
    let world = World::new().await;
    let running = world.job_for(firing("a", world.ago(9)).via(verified("r"), "a")).await;
    let key = world.claim_one().await;
    world.write_log(key, b"PLAY").await;
    let verifying = world.job_for(firing("b", world.ago(9)).via(verified("r"), "b")).await;
    world.run(b"PLAY", Outcome::Ok).await;
    let waiting = world.job_for(firing("c", world.ago(9)).via(asking("r"), "c")).await;
    let queued = world.by_hand(world.manual("d")).await;
    world.days(400);
    let pruned = world.prune().await;
    assert_eq!((pruned.of(Record::Jobs), pruned.of(Record::Logs)), (0, 0), "{pruned:?}");
    for (job, status) in [
        (running, JobStatus::Running),
        (verifying, JobStatus::Verifying),
        (waiting, JobStatus::AwaitingApproval),
        (queued, JobStatus::Queued),
    ] {
        assert_eq!(world.state(job).await.0, status);
    }
    assert_eq!(world.store.read_log(running, 1, 0, 100).await.unwrap(), b"PLAY");
    world.write_log_on(key).await;
}

impl World {
    /// The run goes on as if nothing had happened.
    async fn write_log_on(&self, key: AttemptKey) {
        self.store.append_log(key, 4, b" [web]".to_vec()).await.unwrap();
        self.store
            .finish(key, self.ended(b"PLAY [web]", Outcome::Ok))
            .await
            .unwrap();
        assert_eq!(self.store.read_log(key.job, 1, 0, 100).await.unwrap(), b"PLAY [web]");
    }
}

#[tokio::test]
async fn an_alert_that_still_fires_is_attached_to_its_old_job_after_a_year() {
    let world = World::new().await;
    let starts_at = world.ago(9);
    let again = || firing("a", starts_at).via(route("r"), "a");
    let job = world.job_for(again()).await;
    world.run(b"PLAY", Outcome::Ok).await;
    world.days(365);
    let pruned = world.prune().await;
    assert_eq!((pruned.of(Record::Jobs), pruned.of(Record::Decisions)), (0, 0));
    let decision = world.post(vec![again()]).await.remove(0);
    assert_eq!((decision.kind, decision.job), (DecisionKind::Attached, Some(job)));
    // Of its reports the last word of each route is enough.
    assert_eq!(world.notifications().await, 2);
    let pruned = world.prune().await;
    assert_eq!((pruned.of(Record::Decisions), pruned.of(Record::Notifications)), (1, 1));
    assert_eq!(world.notifications().await, 1);
    assert!(world.is_there(job).await);
}

#[tokio::test]
async fn what_caps_and_cooldowns_look_back_at_stays() {
    let world = World::new().await;
    let capped = Route {
        caps: vec![Cap {
            jobs: 1,
            per: Span::from_secs(120 * DAY),
        }],
        ..route("r")
    };
    let starts_at = world.ago(9);
    let job = world.job_for(firing("a", starts_at).via(capped.clone(), "one")).await;
    world.run(b"", Outcome::Ok).await;
    world.post(vec![resolved("a", starts_at, world.now())]).await;
    world.days(100);
    let routes = [capped.clone()];
    let pruned = world.pruner(KEEP, &routes).pass().await.unwrap();
    assert_eq!(pruned.of(Record::Jobs), 0);
    let decision = world.post(vec![firing("b", world.ago(1)).via(capped, "one")]).await;
    assert_eq!(decision[0].kind, DecisionKind::Capped);
    world.days(21);
    let pruned = world.pruner(KEEP, &routes).pass().await.unwrap();
    assert_eq!(pruned.of(Record::Jobs), 1);
    assert!(!world.is_there(job).await);
}

#[tokio::test]
async fn nothing_that_ended_within_two_hours_goes_whatever_the_settings_say() {
    let world = World::new().await;
    let short = Keep {
        jobs: Span::from_secs(1),
        logs: Span::from_secs(1),
        size: None,
    };
    let job = world.over("a").await;
    world.pass(7_100);
    assert_eq!(world.pruner(short, &[]).pass().await.unwrap().of(Record::Jobs), 0);
    world.pass(200);
    assert_eq!(world.pruner(short, &[]).pass().await.unwrap().of(Record::Jobs), 1);
    assert!(!world.is_there(job).await);
}

#[tokio::test]
async fn a_job_stays_as_long_as_a_younger_one_repeats_it() {
    let world = World::new().await;
    let original = world.over("a").await;
    world.days(80);
    let rerun = world.rerun(original).await;
    world.run(b"", Outcome::Ok).await;
    world.days(80);
    let second = world.rerun(rerun).await;
    world.run(b"", Outcome::Ok).await;
    assert_eq!(world.prune().await.of(Record::Jobs), 0);
    assert_eq!(world.job(second).await.rerun_of, Some(rerun));
    world.days(91);
    let pruned = world.prune().await;
    assert_eq!((pruned.of(Record::Jobs), pruned.of(Record::Episodes)), (3, 1));
    for job in [original, rerun, second] {
        assert!(!world.is_there(job).await);
    }
}

#[tokio::test]
async fn a_job_stays_until_people_were_told_of_it() {
    let world = World::new().await;
    let starts_at = world.ago(9);
    let failing = telling(&[NotifyEvent::Failed], route("r"));
    let job = world.job_for(firing("a", starts_at).via(failing, "a")).await;
    world.run(b"PLAY", Outcome::HostsFailed).await;
    world.post(vec![resolved("a", starts_at, world.now())]).await;
    world.days(100);
    assert_eq!(world.prune().await.of(Record::Jobs), 0);
    assert_eq!(world.events_for("ops").await, ["failed"]);
    assert_eq!(world.prune().await.of(Record::Jobs), 1);
    assert!(!world.is_there(job).await);
}

#[tokio::test]
async fn a_long_log_goes_in_several_portions_and_nobody_reads_a_part_of_it() {
    let world = World::new().await;
    world.job_for(firing("a", world.ago(9)).via(route("r"), "a")).await;
    let log: Vec<u8> = (0..=250).cycle().take(40 * CHUNK).collect();
    let job = world.run(&log, Outcome::Ok).await.job;
    world.days(31);
    let (mut after, mut portions, mut bytes) = (None, 0, 0);
    loop {
        let portion = Portion {
            record: Record::Logs,
            before: world.ago(30 * DAY),
            now: world.now(),
            after,
            most: 5,
        };
        let Removed {
            records,
            log_bytes,
            next,
            ..
        } = world.upkeep.prune(portion).await.unwrap();
        (portions, bytes, after) = (portions + 1, bytes + log_bytes, next);
        assert_eq!(world.store.log_head(job, 1).await.unwrap().bytes, 0);
        assert!(world.job(job).await.attempts[0].log_pruned);
        if after.is_none() {
            assert_eq!(records, 1);
            break;
        }
    }
    assert!(portions > 2, "{portions}");
    assert_eq!(bytes, u64::try_from(log.len()).unwrap());
    assert_eq!(world.damage(), Vec::<String>::new());
}

#[tokio::test]
async fn thousands_of_task_results_and_a_long_log_go_with_their_job() {
    let world = World::new().await;
    let starts_at = world.ago(9);
    world.job_for(firing("a", starts_at).via(route("r"), "a")).await;
    let key = world.claim_one().await;
    let log = vec![b'x'; 40 * CHUNK];
    world.write_log(key, &log).await;
    world
        .store
        .record_tasks(key, 0, vec![task("restart"); 3_500])
        .await
        .unwrap();
    world.store.finish(key, world.ended(&log, Outcome::Ok)).await.unwrap();
    world.post(vec![resolved("a", starts_at, world.now())]).await;
    world.days(91);
    // Logs are kept longer than jobs here, so this one goes with its job.
    let keep = Keep {
        logs: Span::from_secs(500 * DAY),
        ..KEEP
    };
    let pruned = world.pruner(keep, &[]).pass().await.unwrap();
    assert_eq!((pruned.of(Record::Jobs), pruned.of(Record::Logs)), (1, 0));
    assert_eq!(pruned.log_bytes, u64::try_from(log.len()).unwrap());
    assert!(!world.is_there(key.job).await);
    assert_eq!(world.damage(), Vec::<String>::new());
}

fn used(room: Room) -> u64 {
    room.bytes - room.free
}

#[tokio::test]
async fn the_oldest_logs_go_first_when_the_database_has_grown_beyond_its_size() {
    let world = World::new().await;
    let mut jobs = Vec::new();
    for number in 0..30 {
        let alert = format!("a{number}");
        world
            .job_for(firing(&alert, world.ago(9)).via(route("r"), &alert))
            .await;
        jobs.push(world.run(&[7; 4 * CHUNK], Outcome::Ok).await.job);
        world.pass(3_600);
    }
    world.pass(3_600);
    let size = used(world.upkeep.room().await.unwrap()) - (2 << 20);
    let keep = Keep {
        size: Some(size),
        ..KEEP
    };
    let pruned = world.pruner(keep, &[]).pass().await.unwrap();
    assert!(used(world.upkeep.room().await.unwrap()) <= size);
    let gone = usize::try_from(pruned.of(Record::Logs)).unwrap();
    assert!((8..20).contains(&gone), "{pruned:?}");
    for (number, job) in jobs.iter().enumerate() {
        assert_eq!(world.job(*job).await.attempts[0].log_pruned, number < gone, "{number}");
    }
    assert_eq!((pruned.of(Record::Jobs), world.damage()), (0, Vec::new()));
}

#[tokio::test]
async fn old_jobs_go_early_where_there_are_no_logs_to_remove_but_none_of_today() {
    let world = World::new().await;
    let mut jobs = Vec::new();
    for number in 0..40 {
        jobs.push(world.over(&format!("a{number}")).await);
        world.days(2);
    }
    let today = world.over("today").await;
    let keep = Keep { size: Some(1), ..KEEP };
    let pruned = world.pruner(keep, &[]).pass().await.unwrap();
    assert_eq!(pruned.of(Record::Jobs), 40, "{pruned:?}");
    assert!(world.is_there(today).await);
    let everything = used(world.upkeep.room().await.unwrap());
    let keep = Keep {
        size: Some(everything),
        ..KEEP
    };
    world.days(3);
    assert_eq!(world.pruner(keep, &[]).pass().await.unwrap().of(Record::Jobs), 0);
}

#[tokio::test]
async fn the_room_of_what_is_gone_is_given_back_to_the_disk() {
    let world = World::new().await;
    for number in 0..20 {
        let alert = format!("a{number}");
        world
            .job_for(firing(&alert, world.ago(9)).via(route("r"), &alert))
            .await;
        world.run(&[7; 10 * CHUNK], Outcome::Ok).await;
    }
    world.days(31);
    let before = world.upkeep.room().await.unwrap();
    let pruned = world.prune().await;
    let after = world.upkeep.room().await.unwrap();
    assert_eq!(pruned.of(Record::Logs), 20);
    assert_eq!(before.bytes - after.bytes, pruned.given_back);
    assert!(pruned.given_back > 8 << 20, "{pruned:?}");
    // A part stays: the next logs go there.
    assert!((1..=4 << 20).contains(&after.free), "{after:?}");
}

#[tokio::test]
async fn alerts_are_taken_while_old_jobs_go() {
    let world = World::new().await;
    for number in 0..120 {
        world.over(&format!("old{number}")).await;
    }
    world.days(91);
    let pruner = Pruner {
        pace: Pace::Gentle,
        ..world.pruner(KEEP, &[])
    };
    let alerts = (0..60).map(|number| {
        let alert = format!("new{number}");
        let report = firing(&alert, world.ago(9)).via(route("r"), &alert);
        let delivery = world.delivery(vec![report]);
        world.deliver(delivery)
    });
    let (pruned, taken) = tokio::join!(pruner.pass(), join_all(alerts));
    assert_eq!(pruned.unwrap().of(Record::Jobs), 120);
    assert!(taken.iter().all(|decisions| decisions.is_ok()));
    let page = world.store.list_jobs(&JobFilter::default(), first(500)).await.unwrap();
    assert_eq!((page.items.len(), world.damage()), (60, Vec::new()));
}

#[tokio::test]
async fn what_was_recorded_while_the_clock_was_years_ahead_keeps_nothing_else() {
    let world = World::new().await;
    world.over("a").await;
    world.days(3_650);
    let ahead = world.over("ahead").await;
    world.days(-3_650);
    world.over("b").await;
    world.days(91);
    let pruned = world.prune().await;
    let counts = [Record::Jobs, Record::Decisions, Record::Notifications, Record::Episodes];
    assert_eq!(counts.map(|record| pruned.of(record)), [2, 4, 4, 2]);
    assert!(world.is_there(ahead).await);
}

#[tokio::test]
async fn a_pass_ends_when_the_gateway_does() {
    let world = World::new().await;
    for number in 0..20 {
        world.over(&format!("a{number}")).await;
    }
    world.days(91);
    let pruner = world.pruner(KEEP, &[]);
    pruner.stopping.cancel();
    assert_eq!(pruner.pass().await.unwrap().of(Record::Jobs), 0);
    let running = tokio::time::timeout(Duration::from_secs(10), pruner.run());
    running.await.unwrap();
}
