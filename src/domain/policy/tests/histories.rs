//! Random histories: whatever happens, the decisions are those of the model, and a database can take them.

use std::collections::HashMap;
use std::time::Duration;

use proptest::prelude::{Strategy, any, prop, prop_oneof, proptest};
use proptest::sample::select;
use proptest::{prop_assert, prop_assert_eq};

use super::model::Memory;
use super::world::World;
use super::{Report, again_after, at, firing, resolved, route};
use crate::domain::decision::DecisionKind;
use crate::domain::job::{JobStatus, NewJob, Reason};
use crate::domain::policy::Verdict;
use crate::domain::route::{Mode, Route};
use crate::domain::timestamp::Timestamp;

/// When an alert says that it began.
#[derive(Clone, Copy, Debug)]
enum Start {
    Ago(u64),
    Ahead(u64),
    WithTheEpisode,
    AtLastReception,
    AtTheEnd,
    JustAfterTheEnd,
}

#[derive(Clone, Debug)]
struct Said {
    fingerprint: usize,
    firing: bool,
    start: Start,
    ended_ago: Option<u64>,
    /// For each route whether it is reached, and whether its playbook can be rendered.
    routes: [Option<bool>; 4],
}

#[derive(Clone, Debug)]
enum Step {
    Post(Vec<Said>),
    End(prop::sample::Index, Reason),
}

const ALERTS: [&str; 3] = ["a", "b", "c"];

fn routes() -> [Route; 4] {
    [
        again_after(600, route("restart", Mode::Auto)),
        route("reboot", Mode::Approve),
        again_after(600, route("look", Mode::Observe)),
        route("clean", Mode::Auto),
    ]
}

fn start() -> impl Strategy<Value = Start> {
    prop_oneof![
        select(vec![0, 1, 60, 300, 700]).prop_map(Start::Ago),
        select(vec![1, 60]).prop_map(Start::Ahead),
        select(vec![
            Start::WithTheEpisode,
            Start::AtLastReception,
            Start::AtTheEnd,
            Start::JustAfterTheEnd,
        ]),
    ]
}

fn said() -> impl Strategy<Value = Said> {
    let reached = prop_oneof![
        2 => select(vec![None]),
        5 => select(vec![Some(true)]),
        1 => select(vec![Some(false)]),
    ];
    (
        0..ALERTS.len(),
        prop::bool::weighted(0.7),
        start(),
        prop::option::of(select(vec![0, 10, 400])),
        prop::array::uniform4(reached),
    )
        .prop_map(|(fingerprint, firing, start, ended_ago, routes)| Said {
            fingerprint,
            firing,
            start,
            ended_ago,
            routes,
        })
}

fn step() -> impl Strategy<Value = Step> {
    let reasons = vec![
        Reason::Expired,
        Reason::Unverified,
        Reason::HostsFailed,
        Reason::Rejected,
    ];
    prop_oneof![
        3 => prop::collection::vec(said(), 0..5).prop_map(Step::Post),
        1 => (any::<prop::sample::Index>(), select(reasons)).prop_map(|(which, reason)| Step::End(which, reason)),
    ]
}

fn report(said: &Said, now: Timestamp, memory: &Memory) -> Report {
    let second = Duration::from_secs(1);
    let starts_at = match said.start {
        Start::Ago(seconds) => now - Duration::from_secs(seconds),
        Start::Ahead(seconds) => now + Duration::from_secs(seconds),
        Start::WithTheEpisode => memory.open.map_or(now, |(began, _)| began),
        Start::AtLastReception => memory.open.map_or(now, |(_, last)| last),
        Start::AtTheEnd => memory.end.map_or(now, |(end, _)| end),
        Start::JustAfterTheEnd => memory.end.map_or(now, |(end, _)| end + second),
    };
    let name = ALERTS[said.fingerprint];
    let alert = match (said.firing, said.ended_ago) {
        (true, _) => firing(name, starts_at),
        (false, Some(ago)) => resolved(name, starts_at, now - Duration::from_secs(ago)),
        (false, None) => crate::domain::alert::Alert {
            ends_at: None,
            ..resolved(name, starts_at, now)
        },
    };
    let reached = routes().into_iter().zip(said.routes);
    (
        alert,
        reached.filter_map(|(route, renders)| Some((route, renders?))).collect(),
    )
}

fn fits(verdict: &Verdict, job: &NewJob) -> bool {
    let decision = verdict.decisions.iter().find(|decision| {
        decision.job == Some(job.id) && matches!(decision.kind, DecisionKind::Queued | DecisionKind::AwaitingApproval)
    });
    decision.is_some_and(|decision| {
        decision.route == job.route
            && decision.episode == job.episode
            && (decision.kind == DecisionKind::AwaitingApproval) == (job.status == JobStatus::AwaitingApproval)
    })
}

proptest! {
    #[test]
    fn every_history_is_decided_as_the_model_says(
        history in prop::collection::vec((select(vec![0, 1, 59, 299, 300, 301, 600, 601, 4_000]), step()), 1..25)
    ) {
        let (mut world, mut memories) = (World::default(), HashMap::<usize, Memory>::new());
        let mut now = at(10_000);
        for (pause, step) in history {
            now = now + Duration::from_secs(pause);
            match step {
                Step::End(which, reason) => end_one(&mut world, &mut memories, (which, reason), now),
                Step::Post(said) => {
                    let reports: Vec<Report> = said
                        .iter()
                        .map(|said| report(said, now, memories.entry(said.fingerprint).or_default()))
                        .collect();
                    let verdict = world.post(now, reports.clone());
                    let mut decisions = verdict.decisions.iter();
                    for (said, report) in said.iter().zip(&reports) {
                        let expected = memories.entry(said.fingerprint).or_default().judge(now, report, &verdict);
                        prop_assert!(!expected.is_empty());
                        for expected in expected {
                            let decision = decisions.next().unwrap();
                            prop_assert_eq!(&decision.fingerprint, &report.0.fingerprint);
                            prop_assert_eq!((decision.route.clone(), decision.kind, decision.job), expected);
                            prop_assert!(!decision.reason.trim().is_empty());
                        }
                    }
                    prop_assert_eq!(decisions.next(), None);
                    prop_assert!(verdict.jobs.iter().all(|job| fits(&verdict, job)));
                }
            }
            for name in ALERTS {
                prop_assert!(world.open(name).len() <= 1);
            }
        }
    }
}

fn end_one(
    world: &mut World,
    memories: &mut HashMap<usize, Memory>,
    (which, reason): (prop::sample::Index, Reason),
    now: Timestamp,
) {
    let going: Vec<_> = world
        .jobs
        .iter()
        .filter(|job| job.facts.reason.is_none())
        .map(|job| job.facts.id)
        .collect();
    if going.is_empty() {
        return;
    }
    let job = going[which.index(going.len())];
    world.finish(job, reason, now);
    for (known, ended) in memories.values_mut().flat_map(|memory| memory.jobs.values_mut()) {
        if *known == job {
            *ended = Some((reason, now));
        }
    }
}
