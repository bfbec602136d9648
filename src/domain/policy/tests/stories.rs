//! One story for each sentence of the rules.

use std::time::Duration;

use super::world::World;
use super::{Report, again_after, at, firing, resolved, route};
use crate::domain::alert::Alert;
use crate::domain::decision::DecisionKind::{
    self, Attached, AwaitingApproval, Observed, Queued, Refused, Resolved, Unmatched,
};
use crate::domain::ids::JobId;
use crate::domain::job::Reason;
use crate::domain::route::{Mode, Route};
use crate::domain::timestamp::Timestamp;

fn auto() -> Route {
    route("restart", Mode::Auto)
}

impl World {
    /// Posts one alert that reaches one route; what was decided, and for which job.
    fn say(&mut self, now: Timestamp, alert: Alert, route: Route) -> (DecisionKind, Option<JobId>) {
        let verdict = self.post(now, vec![(alert, vec![(route, true)])]);
        assert_eq!(verdict.decisions.len(), 1);
        (verdict.decisions[0].kind, verdict.decisions[0].job)
    }

    fn kind(&mut self, now: Timestamp, alert: Alert) -> DecisionKind {
        self.say(now, alert, auto()).0
    }
}

#[test]
fn a_firing_belongs_to_the_open_episode_also_when_its_start_moved() {
    let mut world = World::default();
    let (_, job) = world.say(at(100), firing("a", at(90)), auto());
    for (now, start) in [(200, 90), (300, 10), (400, 299)] {
        assert_eq!(world.say(at(now), firing("a", at(start)), auto()), (Attached, job));
    }
    assert_eq!(world.episodes.len(), 1);
}

#[test]
fn a_start_at_the_last_reception_still_belongs_to_the_open_episode() {
    let mut world = World::default();
    world.kind(at(100), firing("a", at(90)));
    assert_eq!(world.kind(at(200), firing("a", at(100))), Attached);
    assert_eq!(world.kind(at(300), firing("a", at(200))), Attached);
}

#[test]
fn a_start_after_the_last_reception_shows_that_a_resolved_was_missed() {
    let mut world = World::default();
    let (_, first) = world.say(at(100), firing("a", at(90)), auto());
    let (kind, second) = world.say(at(200), firing("a", at(101)), auto());
    assert_eq!(kind, Queued);
    assert_ne!(first, second);
    assert!(world.episodes[0].missed && world.episodes[0].closed == Some((at(101), at(200))));
    assert_eq!(world.open("a"), [world.episodes[1].id]);
}

#[test]
fn a_senders_clock_that_is_ahead_does_not_make_every_repetition_a_missed_resolved() {
    let mut world = World::default();
    world.kind(at(100), firing("a", at(130)));
    assert_eq!(world.kind(at(110), firing("a", at(130))), Attached);
    assert_eq!(world.kind(at(120), firing("a", at(130))), Attached);
}

#[test]
fn a_firing_that_began_before_the_end_is_late_for_five_minutes() {
    for (now, start, expected) in [
        (200, 90, Resolved),
        (499, 150, Resolved),
        // The end itself is not after the end.
        (499, 180, Resolved),
        (200, 181, Queued),
        // Five minutes after the gateway learned of the end.
        (500, 90, Queued),
        (501, 180, Queued),
    ] {
        let mut world = World::default();
        world.kind(at(100), firing("a", at(90)));
        world.kind(at(200), resolved("a", at(90), at(180)));
        assert_eq!(world.kind(at(now), firing("a", at(start))), expected, "{now} {start}");
        assert_eq!(world.jobs.len(), if expected == Queued { 2 } else { 1 });
    }
}

#[test]
fn a_firing_that_its_resolved_overtook_starts_nothing() {
    let mut world = World::default();
    assert_eq!(world.kind(at(100), resolved("a", at(50), at(90))), Resolved);
    assert_eq!(world.kind(at(101), firing("a", at(50))), Resolved);
    assert!(world.jobs.is_empty() && world.open("a").is_empty());
}

#[test]
fn a_repeated_resolved_does_not_make_the_time_of_late_firings_longer() {
    let mut world = World::default();
    world.kind(at(100), firing("a", at(90)));
    world.kind(at(200), resolved("a", at(90), at(180)));
    world.kind(at(499), resolved("a", at(90), at(180)));
    assert_eq!(world.kind(at(500), firing("a", at(90))), Queued);
}

#[test]
fn a_resolved_closes_the_episode_whichever_route_it_came_by() {
    let mut world = World::default();
    world.kind(at(100), firing("a", at(90)));
    let other = route("other", Mode::Auto);
    assert_eq!(
        world.say(at(200), resolved("a", at(90), at(190)), other),
        (Resolved, None)
    );
    assert!(world.open("a").is_empty());
    world.kind(at(1_000), firing("a", at(900)));
    let verdict = world.post(at(1_100), vec![(resolved("a", at(900), at(1_050)), Vec::new())]);
    assert_eq!(verdict.decisions[0].kind, Unmatched);
    assert!(world.open("a").is_empty());
}

#[test]
fn a_resolved_without_an_end_ends_when_it_comes() {
    let mut world = World::default();
    world.kind(at(100), firing("a", at(90)));
    let alert = Alert {
        ends_at: None,
        ..resolved("a", at(90), at(0))
    };
    world.kind(at(200), alert);
    assert_eq!(world.episodes[0].closed, Some((at(200), at(200))));
}

#[test]
fn a_waiting_running_or_finished_job_of_the_episode_attaches() {
    let mut world = World::default();
    let (_, job) = world.say(at(100), firing("a", at(90)), auto());
    assert_eq!(world.say(at(200), firing("a", at(90)), auto()), (Attached, job));
    world.finish(job.unwrap(), Reason::HostsFailed, at(300));
    assert_eq!(world.say(at(1_000_000), firing("a", at(90)), auto()), (Attached, job));
}

#[test]
fn each_route_has_its_own_job_and_each_alert_too() {
    let mut world = World::default();
    let routes = vec![(auto(), true), (route("clean", Mode::Auto), true)];
    let report = |name: &str| -> Report { (firing(name, at(90)), routes.clone()) };
    let verdict = world.post(at(100), vec![report("a"), report("b")]);
    let said: Vec<_> = verdict
        .decisions
        .iter()
        .map(|decision| {
            (
                decision.fingerprint.as_str(),
                decision.route.as_deref().unwrap(),
                decision.kind,
            )
        })
        .collect();
    let expected = [
        ("a", "restart", Queued),
        ("a", "clean", Queued),
        ("b", "restart", Queued),
        ("b", "clean", Queued),
    ];
    assert_eq!(said, expected);
}

#[test]
fn an_expired_job_does_not_count() {
    let mut world = World::default();
    let (_, first) = world.say(at(100), firing("a", at(90)), auto());
    world.finish(first.unwrap(), Reason::Expired, at(3_700));
    let (kind, second) = world.say(at(3_800), firing("a", at(90)), auto());
    assert_eq!(kind, Queued);
    assert_eq!(world.say(at(3_900), firing("a", at(90)), auto()), (Attached, second));
}

#[test]
fn a_job_counts_until_it_ended_longer_ago_than_again_after() {
    let again = || again_after(600, auto());
    let mut world = World::default();
    let (_, first) = world.say(at(100), firing("a", at(90)), again());
    // It still waits or runs: only its end counts.
    assert_eq!(world.say(at(5_000), firing("a", at(90)), again()), (Attached, first));
    world.finish(first.unwrap(), Reason::HostsFailed, at(5_100));
    assert_eq!(world.say(at(5_700), firing("a", at(90)), again()), (Attached, first));
    let just_after = at(5_700) + Duration::from_micros(1);
    let (kind, second) = world.say(just_after, firing("a", at(90)), again());
    assert_eq!(kind, Queued);
    assert_eq!(world.say(at(5_800), firing("a", at(90)), again()), (Attached, second));
}

#[test]
fn a_refusal_comes_before_an_attachment_and_that_before_the_mode() {
    let mut world = World::default();
    world.kind(at(100), firing("a", at(90)));
    let verdict = world.post(at(110), vec![(firing("a", at(90)), vec![(auto(), false)])]);
    assert_eq!(verdict.decisions[0].kind, Refused);
    assert_eq!(verdict.decisions[0].reason, "the label `container` is not there");
    let observing = route("restart", Mode::Observe);
    assert_eq!(world.say(at(120), firing("a", at(90)), observing).0, Attached);
}

#[test]
fn a_route_that_observes_makes_no_job_and_one_that_asks_makes_one_that_waits() {
    let mut world = World::default();
    let observing = route("look", Mode::Observe);
    assert_eq!(world.say(at(100), firing("a", at(90)), observing), (Observed, None));
    let (kind, job) = world.say(at(100), firing("a", at(90)), route("reboot", Mode::Approve));
    assert_eq!(kind, AwaitingApproval);
    assert!(job.is_some());
}

#[test]
fn an_alert_twice_in_one_notification_makes_one_job() {
    let mut world = World::default();
    let report = || -> Report { (firing("a", at(90)), vec![(auto(), true)]) };
    let verdict = world.post(at(100), vec![report(), report()]);
    let kinds: Vec<_> = verdict.decisions.iter().map(|decision| decision.kind).collect();
    assert_eq!(kinds, [Queued, Attached]);
    assert_eq!(verdict.decisions[0].job, verdict.decisions[1].job);
    assert_eq!(verdict.jobs.len(), 1);
}

#[test]
fn no_alerts_are_no_decisions() {
    assert_eq!(World::default().post(at(100), Vec::new()).decisions, []);
}
