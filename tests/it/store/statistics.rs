//! What jobs came to: a store that is filled in a known way, and what is counted of it.

use std::time::Duration;

use healgate::domain::attempt::Outcome;
use healgate::domain::job::NewJob;
use healgate::domain::parameters::Parameters;
use healgate::store::read::{JobFilter, PageRequest, Percentiles, Statistics, Tally};

use super::world::{World, firing, parameters, resolved, route, verified};

const DAY: u64 = 86_400;

impl World {
    /// The same with and without what is kept of hours that are over.
    async fn counted(&self, window: u64) -> Statistics {
        let of_rows = self.store.statistics(self.ago(window)).await.unwrap();
        self.keep_hours().await;
        let with_kept = self.store.statistics(self.ago(window)).await.unwrap();
        assert_eq!(of_rows, with_kept);
        with_kept
    }

    async fn keep_hours(&self) {
        let mut next = Some(self.now());
        while let Some(before) = next {
            next = self.upkeep.keep_hours(before).await.unwrap();
        }
    }

    /// What is kept says another name from now on, so that it shows who has read it.
    fn forge_kept(&self) {
        self.meddle("UPDATE hours SET facts = replace(facts, '\"one\"', '\"kept\"')");
    }

    async fn targets(&self) -> Vec<String> {
        let counted = self.store.statistics(self.ago(30 * DAY)).await.unwrap();
        counted.targets.into_iter().map(|tally| tally.name).collect()
    }

    /// An alert of that name begins now; its job runs, and after `took` seconds the alert resolves.
    async fn heals(&self, name: &str, target: &str, took: i64) {
        let began = self.now();
        let report = || firing(name, began).via(verified("r"), target);
        self.job_for(report()).await;
        let key = self.claim_one().await;
        self.end(key, Outcome::Ok).await;
        self.pass(took);
        self.post(vec![resolved(name, began, self.now()).via(verified("r"), target)])
            .await;
        // A firing would be late for a while.
        self.pass(400);
    }
}

fn first_page() -> PageRequest {
    PageRequest { limit: 10, after: None }
}

fn of<'a>(tallies: &'a [Tally], name: &str) -> &'a Tally {
    tallies.iter().find(|tally| tally.name == name).unwrap()
}

#[tokio::test]
async fn jobs_are_counted_by_route_playbook_and_target_with_what_they_came_to() {
    let world = World::new().await;
    for took in [10, 20, 30] {
        world.heals("a", "one", took).await;
    }
    // Not healed in time, failed, unverified, and one that still waits.
    world.job_for(firing("b", world.now()).via(verified("r"), "two")).await;
    let key = world.claim_one().await;
    world.end(key, Outcome::Ok).await;
    world.pass(200);
    world.store.settle_due(world.now()).await.unwrap();
    world.job_for(firing("c", world.now()).via(verified("r"), "two")).await;
    let key = world.claim_one().await;
    world.end(key, Outcome::HostsFailed).await;
    world.job_for(firing("d", world.now()).via(route("plain"), "two")).await;
    let key = world.claim_one().await;
    world.end(key, Outcome::Ok).await;
    world.by_hand(world.manual("three")).await;

    let counted = world.counted(DAY).await;
    let r = of(&counted.routes, "r");
    assert_eq!((r.jobs, r.succeeded, r.failed, r.judged, r.healed()), (5, 3, 2, 5, 3));
    assert_eq!(
        r.reasons,
        [("healed", 3), ("hosts_failed", 1), ("not_healed", 1)]
            .map(|(k, v)| (k.to_owned(), v))
            .into()
    );
    let seconds = Duration::from_secs;
    assert_eq!(
        r.time_to_heal,
        Some(Percentiles {
            p50: seconds(20),
            p95: seconds(30)
        })
    );
    let plain = of(&counted.routes, "plain");
    assert_eq!(
        (plain.jobs, plain.succeeded, plain.judged, plain.time_to_heal),
        (1, 1, 0, None)
    );
    let all = of(&counted.playbooks, "restart-container");
    assert_eq!((all.jobs, all.succeeded, all.failed, all.judged), (7, 4, 2, 5));
    let waiting = of(&counted.targets, "three");
    assert_eq!((waiting.jobs, waiting.succeeded + waiting.failed), (1, 0));
    assert!(waiting.reasons.is_empty());
    assert_eq!(of(&counted.targets, "one").time_to_heal.unwrap().p50, seconds(20));
    let order: Vec<&str> = counted.targets.iter().map(|tally| tally.name.as_str()).collect();
    assert_eq!(order, ["one", "two", "three"]);
}

#[tokio::test]
async fn what_a_person_asked_for_is_judged_only_where_the_alert_still_fired() {
    let world = World::new().await;
    world.heals("a", "one", 10).await;
    let jobs = world
        .store
        .list_jobs(&JobFilter::default(), first_page())
        .await
        .unwrap();
    let healed = jobs.items[0].id;
    for outcome in [Outcome::Ok, Outcome::HostsFailed] {
        world.rerun(healed).await;
        let key = world.claim_one().await;
        world.end(key, outcome).await;
    }
    let counted = world.counted(DAY).await;
    let r = of(&counted.routes, "r");
    assert_eq!((r.jobs, r.succeeded, r.failed, r.judged, r.healed()), (3, 2, 1, 1, 1));

    let failed = world.job_for(firing("b", world.now()).via(verified("r"), "two")).await;
    let key = world.claim_one().await;
    world.end(key, Outcome::HostsFailed).await;
    world.rerun(failed).await;
    let key = world.claim_one().await;
    world.end(key, Outcome::TimedOut).await;
    let counted = world.counted(DAY).await;
    let r = of(&counted.routes, "r");
    assert_eq!((r.jobs, r.failed, r.judged, r.healed()), (5, 3, 3, 1));
}

#[tokio::test]
async fn only_the_window_counts_and_check_mode_never_does() {
    let world = World::new().await;
    world.heals("a", "one", 10).await;
    world.pass(2 * 86_400);
    assert_eq!(world.counted(DAY).await, Statistics::default());
    let checked = NewJob {
        parameters: Parameters {
            check: true,
            ..parameters()
        },
        ..world.manual("one")
    };
    world.by_hand(checked).await;
    assert!(world.counted(DAY).await.playbooks.is_empty());
    let key = world.claim_one().await;
    world.end(key, Outcome::Ok).await;
    assert!(world.counted(DAY).await.playbooks.is_empty());
    assert_eq!(world.counted(3 * DAY).await.playbooks[0].jobs, 1);
}

#[tokio::test]
async fn percentiles_are_of_the_nearest_rank() {
    let world = World::new().await;
    for took in 1..=21 {
        world.heals("a", "one", took).await;
    }
    let times = world.counted(DAY).await.routes[0].time_to_heal.unwrap();
    assert_eq!((times.p50.as_secs(), times.p95.as_secs()), (11, 20));
}

#[tokio::test]
async fn alerts_that_come_back_are_named_the_worst_first() {
    let world = World::new().await;
    for name in ["a", "b", "a", "once", "b", "a"] {
        world.heals(name, &format!("target of {name}"), 5).await;
    }
    // Comes back, and no route matches it.
    for _ in 0..2 {
        world.post(vec![firing("c", world.now())]).await;
        world.post(vec![resolved("c", world.now(), world.now())]).await;
        world.pass(400);
    }
    let offenders = world.counted(DAY).await.repeat_offenders;
    let told: Vec<_> = offenders
        .iter()
        .map(|one| (one.fingerprint.as_str(), one.target.as_deref(), one.episodes, one.jobs))
        .collect();
    assert_eq!(
        told,
        [
            ("a", Some("target of a"), 3, 3),
            ("b", Some("target of b"), 2, 2),
            ("c", None, 2, 0)
        ]
    );
    assert_eq!(offenders[0].alertname, "NginxDown");
}

#[tokio::test]
async fn a_list_has_a_hundred_entries_at_most() {
    let world = World::new().await;
    for number in 0..103 {
        world.by_hand(world.manual(&format!("target {number}"))).await;
    }
    let counted = world.counted(DAY).await;
    assert_eq!((counted.targets.len(), counted.playbooks[0].jobs), (100, 103));
}

#[tokio::test]
async fn hours_that_are_over_are_counted_once() {
    let world = World::new().await;
    for _ in 0..30 {
        world.heals("a", "one", 10).await;
        world.pass(3_600);
    }
    world.keep_hours().await;
    world.forge_kept();
    assert_eq!(world.targets().await, ["kept"]);
    // Nothing is kept of the hour that goes on.
    world.by_hand(world.manual("one")).await;
    world.keep_hours().await;
    assert_eq!(world.targets().await, ["kept", "one"]);
    // The first hour of this window began before it.
    let window = world.store.statistics(world.ago(10 * 3_600)).await.unwrap();
    assert_eq!(window.targets.iter().map(|tally| tally.jobs).sum::<u64>(), 9);
    assert_eq!(window.repeat_offenders[0].episodes, 8);
}

#[tokio::test]
async fn what_is_kept_of_an_hour_goes_with_any_change_of_it() {
    let world = World::new().await;
    let waiting = world.by_hand(world.manual("one")).await;
    // Into the next hour.
    world.pass(3_000);
    let forge = async || {
        world.keep_hours().await;
        world.forge_kept();
        assert_eq!(world.targets().await, ["kept"]);
    };
    forge().await;
    let key = world.claim_one().await;
    assert_eq!(key.job, waiting);
    // That it runs is nothing that counts.
    assert_eq!(world.targets().await, ["kept"]);
    world.end(key, Outcome::Ok).await;
    assert_eq!(world.targets().await, ["one"]);
    assert_eq!(world.counted(DAY).await.targets[0].succeeded, 1);
    forge().await;
    // A clock that went back makes jobs in hours that were over.
    world.pass(-2_500);
    world.by_hand(world.manual("one")).await;
    world.pass(2_500);
    assert_eq!(world.targets().await, ["one"]);
    forge().await;
    world.meddle("DELETE FROM job_events WHERE job IN (SELECT id FROM jobs WHERE reason IS NULL)");
    world.meddle("DELETE FROM jobs WHERE reason IS NULL");
    assert_eq!(world.targets().await, ["one"]);
    assert_eq!(world.counted(DAY).await.targets[0].jobs, 1);
}

#[tokio::test]
async fn episodes_of_hours_that_were_over_are_not_forgotten() {
    let world = World::new().await;
    let come_back = async || {
        let began = world.now();
        world.post(vec![firing("a", began)]).await;
        world.post(vec![resolved("a", began, began)]).await;
        world.pass(400);
    };
    come_back().await;
    world.pass(7_200);
    world.keep_hours().await;
    world.pass(-7_200);
    come_back().await;
    world.pass(7_200);
    assert_eq!(world.counted(DAY).await.repeat_offenders[0].episodes, 2);
    world.meddle("DELETE FROM decisions");
    world.meddle("UPDATE alerts SET last_episode = (SELECT MAX(id) FROM episodes)");
    world.meddle("DELETE FROM episodes WHERE id = (SELECT MIN(id) FROM episodes)");
    assert_eq!(world.counted(DAY).await.repeat_offenders, []);
}
