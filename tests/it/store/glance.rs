//! What people see at a glance: who is signed in, what fires, and what jobs came to over time.

use std::time::Duration;

use healgate::domain::attempt::Outcome;
use healgate::domain::decision::DecisionKind;
use healgate::domain::ids::Fingerprint;
use healgate::domain::rules::Cap;
use healgate::domain::span::Span;
use healgate::pruning::Keep;
use healgate::store::Session;
use healgate::store::upkeep::Record;

use super::world::{World, firing, resolved, route, verified};

const HOUR: u64 = 3_600;

fn names(fingerprints: &[&str]) -> Vec<Fingerprint> {
    fingerprints
        .iter()
        .map(|raw| Fingerprint::parse(raw).unwrap())
        .collect()
}

impl World {
    fn session(&self) -> Session {
        Session {
            token_name: "olaf".to_owned(),
            token_sha256: [7; 32],
            created_at: self.now(),
            expires_at: self.now() + Duration::from_secs(12 * HOUR),
        }
    }

    /// The alerts that fire, as they are listed.
    async fn firing_now(&self, most: u32) -> (Vec<Fingerprint>, u64) {
        let firing = self.store.firing(most).await.unwrap();
        let listed = firing.alerts.into_iter().map(|alert| alert.fingerprint);
        (listed.collect(), firing.count)
    }
}

#[tokio::test]
async fn a_session_is_found_until_it_expires_or_is_ended() {
    let world = World::new().await;
    let session = world.session();
    for key in [[1; 32], [2; 32]] {
        world.store.open_session(key, session.clone()).await.unwrap();
    }
    assert_eq!(
        world.store.find_session([1; 32], world.now()).await.unwrap(),
        Some(session.clone())
    );
    assert_eq!(world.store.find_session([3; 32], world.now()).await.unwrap(), None);
    assert!(world.store.end_session([1; 32]).await.unwrap());
    assert!(!world.store.end_session([1; 32]).await.unwrap());
    assert_eq!(world.store.find_session([1; 32], world.now()).await.unwrap(), None);
    let world = world.restart().await;
    assert_eq!(
        world.store.find_session([2; 32], world.now()).await.unwrap(),
        Some(session)
    );
    world.pass(12 * 3_600);
    assert_eq!(world.store.find_session([2; 32], world.now()).await.unwrap(), None);
}

#[tokio::test]
async fn sessions_are_removed_once_they_have_expired_however_long_other_things_are_kept() {
    let world = World::new().await;
    world.store.open_session([1; 32], world.session()).await.unwrap();
    world.pass(11 * 3_600);
    world.store.open_session([2; 32], world.session()).await.unwrap();
    world.pass(2 * 3_600);
    let keep = Keep {
        jobs: Span::from_secs(90 * 24 * HOUR),
        logs: Span::from_secs(90 * 24 * HOUR),
        size: None,
    };
    let pruned = world.pruner(keep, &[]).pass().await.unwrap();
    assert_eq!(pruned.of(Record::Sessions), 1);
    assert!(world.store.find_session([2; 32], world.now()).await.unwrap().is_some());
    assert_eq!(world.pruner(keep, &[]).pass().await.unwrap().of(Record::Sessions), 0);
}

#[tokio::test]
async fn what_fires_is_listed_the_last_begun_first_and_counted() {
    let world = World::new().await;
    assert_eq!(world.firing_now(10).await, (Vec::new(), 0));
    for name in ["a", "b", "c"] {
        world.pass(1);
        world.post(vec![firing(name, world.now())]).await;
    }
    assert_eq!(world.firing_now(10).await, (names(&["c", "b", "a"]), 3));
    assert_eq!(world.firing_now(2).await, (names(&["c", "b"]), 3));
    let ended = world.now();
    world.pass(1);
    world.post(vec![resolved("b", ended, world.now())]).await;
    assert_eq!(world.firing_now(10).await, (names(&["c", "a"]), 2));
    let [a, b, unknown] = names(&["a", "b", "x"]).try_into().unwrap();
    assert_eq!(world.store.fires(&a).await.unwrap(), Some(true));
    assert_eq!(world.store.fires(&b).await.unwrap(), Some(false));
    assert_eq!(world.store.fires(&unknown).await.unwrap(), None);
}

#[tokio::test]
async fn jobs_are_counted_stretch_by_stretch() {
    let world = World::new().await;
    let since = world.now();
    for (name, outcome) in [("a", Outcome::Ok), ("b", Outcome::HostsFailed)] {
        let began = world.now();
        world.job_for(firing(name, began).via(verified("r"), name)).await;
        let key = world.claim_one().await;
        world.end(key, outcome).await;
        world.pass(60);
        world
            .post(vec![resolved(name, began, world.now()).via(verified("r"), name)])
            .await;
        world.pass(4 * 3_600);
    }
    let stretch = Duration::from_secs(2 * HOUR);
    let trend = world.store.trend(since, stretch, world.now()).await.unwrap();
    let counts: Vec<_> = trend
        .iter()
        .map(|one| (one.jobs, one.succeeded, one.failed, one.healed, one.judged))
        .collect();
    assert_eq!(counts[0], (1, 1, 0, 1, 1));
    assert_eq!(counts.iter().map(|(jobs, ..)| jobs).sum::<u64>(), 2);
    assert_eq!(counts.iter().filter(|count| **count == (1, 0, 1, 0, 1)).count(), 1);
    let times = trend[0].time_to_heal.unwrap();
    assert_eq!(
        (times.p50, times.p95),
        (Duration::from_secs(60), Duration::from_secs(60))
    );
    assert!(trend.windows(2).all(|pair| pair[1].begins == pair[0].begins + stretch));
}

#[tokio::test]
async fn what_was_held_back_lately_is_counted_by_its_cause() {
    let world = World::new().await;
    let mut capped = route("r");
    capped.caps = vec![Cap {
        jobs: 1,
        per: Span::from_secs(HOUR),
    }];
    for name in ["a", "b", "c"] {
        world
            .post(vec![firing(name, world.now()).via(capped.clone(), "one")])
            .await;
    }
    let held = world.store.held_since(world.ago(HOUR)).await.unwrap();
    let counts: Vec<_> = held.iter().map(|held| (held.kind, held.count)).collect();
    assert_eq!(counts, [(DecisionKind::Capped, 2)]);
    world.pass(60);
    assert!(world.store.held_since(world.ago(1)).await.unwrap().is_empty());
}
