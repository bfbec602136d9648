//! Heartbeats: heard by notifications, missed by the watch, and back again.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use healgate::clock::Clock;
use healgate::domain::heartbeat::{Expected, Heartbeat, Pulse};
use healgate::domain::route::Route;
use healgate::domain::span::Span;
use healgate::domain::timestamp::Timestamp;
use healgate::store::HeartbeatMiss;
use healgate::worker::{Expectations, Watch};
use tokio::sync::Notify;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::world::{World, firing, resolved, route};
use crate::support::wait::until;

const MINUTE: Heartbeat = Heartbeat {
    every: Span::from_secs(60),
    grace: None,
};

/// A clock that stands where the world's does.
#[derive(Debug)]
struct Shown(Mutex<Timestamp>);

impl Clock for Shown {
    fn now(&self) -> Timestamp {
        *self.0.lock().unwrap()
    }
}

struct Catalogue(Mutex<Vec<Expected>>, Notify);

#[async_trait]
impl Expectations for Catalogue {
    fn heartbeats(&self) -> Vec<Expected> {
        self.0.lock().unwrap().clone()
    }

    async fn changed(&self) {
        self.1.notified().await;
    }
}

/// A world in which `watchdog` waits for an alert every minute, with a grace of half a minute.
struct Watched {
    world: World,
    clock: Arc<Shown>,
    catalogue: Arc<Catalogue>,
    watch: Watch,
}

impl Watched {
    async fn new() -> Self {
        let world = World::new().await;
        let clock = Arc::new(Shown(Mutex::new(world.now())));
        let expected = vec![Expected {
            route: "watchdog".to_owned(),
            heartbeat: MINUTE,
            tell: vec!["ops".to_owned()],
        }];
        let catalogue = Arc::new(Catalogue(Mutex::new(expected), Notify::new()));
        let watch = Watch::new(
            Arc::clone(&world.store),
            Arc::<Shown>::clone(&clock),
            Arc::<Catalogue>::clone(&catalogue),
        );
        Self {
            world,
            clock,
            catalogue,
            watch,
        }
    }

    /// Lets time pass, and looks.
    async fn look_after(&self, seconds: i64) -> Duration {
        self.world.pass(seconds);
        *self.clock.0.lock().unwrap() = self.world.now();
        self.watch.look().await.unwrap()
    }

    async fn beat(&self) {
        self.world
            .post(vec![firing("w", self.world.ago(1)).via(watchdog(), "a")])
            .await;
    }

    async fn pulses(&self) -> Vec<Pulse> {
        self.world.store.heartbeats().await.unwrap()
    }

    async fn missed_since(&self) -> Option<Timestamp> {
        self.pulses().await[0].missed_since
    }
}

fn watchdog() -> Route {
    Route {
        playbook: None,
        heartbeat: Some(MINUTE),
        ..route("watchdog")
    }
}

#[tokio::test]
async fn a_heartbeat_that_stays_away_is_missed_once_and_comes_back() {
    let watched = Watched::new().await;
    watched.look_after(0).await;
    watched.beat().await;
    let heard = watched.world.now();
    watched.look_after(89).await;
    assert_eq!(watched.missed_since().await, None);
    watched.look_after(1).await;
    let missed = heard + Duration::from_secs(90);
    assert_eq!(watched.missed_since().await, Some(missed));
    watched.look_after(3_600).await;
    assert_eq!(watched.missed_since().await, Some(missed), "the same miss goes on");
    assert_eq!(watched.world.events_for("ops").await, ["heartbeat_missed"]);
    watched.beat().await;
    let pulse = &watched.pulses().await[0];
    assert_eq!(
        (pulse.missed_since, pulse.last_received_at),
        (None, Some(watched.world.now()))
    );
    watched.look_after(90).await;
    assert_eq!(
        watched.missed_since().await,
        Some(watched.world.now()),
        "a miss of its own"
    );
}

#[tokio::test]
async fn one_that_never_came_is_missed_too() {
    let watched = Watched::new().await;
    watched.look_after(0).await;
    let began = watched.world.now();
    watched.look_after(500).await;
    assert_eq!(watched.missed_since().await, Some(began + Duration::from_secs(90)));
    assert_eq!(watched.pulses().await[0].last_received_at, None);
}

#[tokio::test]
async fn only_a_firing_report_that_reaches_the_route_is_a_heartbeat() {
    let watched = Watched::new().await;
    watched.look_after(0).await;
    let world = &watched.world;
    world
        .post(vec![firing("w", world.ago(1)).via(route("other"), "a")])
        .await;
    world
        .post(vec![resolved("w", world.ago(1), world.now()).via(watchdog(), "a")])
        .await;
    assert_eq!(watched.pulses().await[0].last_received_at, None);
    let two = vec![
        firing("x", world.ago(1)).via(watchdog(), "a"),
        firing("y", world.ago(1)).via(watchdog(), "a"),
    ];
    world.post(two).await;
    assert_eq!(watched.pulses().await[0].last_received_at, Some(world.now()));
}

#[tokio::test]
async fn what_was_missed_while_no_gateway_ran_does_not_count() {
    let watched = Watched::new().await;
    watched.look_after(0).await;
    watched.beat().await;
    watched.world.pass(3_600);
    *watched.clock.0.lock().unwrap() = watched.world.now();
    let restarted = Watch::new(
        Arc::clone(&watched.world.store),
        Arc::<Shown>::clone(&watched.clock),
        Arc::<Catalogue>::clone(&watched.catalogue),
    );
    restarted.look().await.unwrap();
    assert_eq!(watched.missed_since().await, None);
    watched.world.pass(90);
    *watched.clock.0.lock().unwrap() = watched.world.now();
    restarted.look().await.unwrap();
    assert_eq!(watched.missed_since().await, Some(watched.world.now()));
}

#[tokio::test]
async fn a_route_that_is_gone_is_not_waited_for() {
    let watched = Watched::new().await;
    watched.look_after(0).await;
    watched.look_after(100).await;
    assert!(watched.missed_since().await.is_some());
    watched.catalogue.0.lock().unwrap()[0].route = "renamed".to_owned();
    watched.look_after(1).await;
    let pulses = watched.pulses().await;
    assert_eq!(pulses.len(), 1);
    assert_eq!((pulses[0].route.as_str(), pulses[0].missed_since), ("renamed", None));
}

#[tokio::test]
async fn the_watch_sleeps_no_longer_than_until_the_next_one_is_due() {
    let watched = Watched::new().await;
    assert_eq!(watched.look_after(0).await, Duration::from_secs(60));
    assert_eq!(watched.look_after(88).await, Duration::from_secs(2));
}

#[tokio::test]
async fn one_that_came_meanwhile_is_not_missed() {
    let watched = Watched::new().await;
    watched.look_after(0).await;
    watched.beat().await;
    let overdue = |last_received_at| HeartbeatMiss {
        route: "watchdog".to_owned(),
        last_received_at,
        missed_since: watched.world.now(),
        tell: Vec::new(),
    };
    let store = &watched.world.store;
    assert!(store.miss_heartbeats(vec![overdue(None)]).await.unwrap().is_empty());
    let last = Some(watched.world.now());
    assert_eq!(
        store.miss_heartbeats(vec![overdue(last)]).await.unwrap(),
        [overdue(last)]
    );
    assert!(store.miss_heartbeats(vec![overdue(last)]).await.unwrap().is_empty());
}

#[tokio::test]
async fn another_catalogue_is_watched_at_once() {
    let Watched {
        world,
        catalogue,
        watch,
        ..
    } = Watched::new().await;
    let stopping = CancellationToken::new();
    let watching = tokio::spawn(watch.run(stopping.clone()));
    let watched = async || {
        let pulses = world.store.heartbeats().await.unwrap();
        pulses.into_iter().map(|pulse| pulse.route).collect::<Vec<_>>()
    };
    until("the first look", async || {
        (watched().await == ["watchdog"]).then_some(())
    })
    .await;
    catalogue.0.lock().unwrap()[0].route = "other".to_owned();
    catalogue.1.notify_one();
    // It would look again after a minute.
    let other = until("a look", async || (watched().await == ["other"]).then_some(()));
    timeout(Duration::from_secs(30), other).await.unwrap();
    stopping.cancel();
    watching.await.unwrap();
}
