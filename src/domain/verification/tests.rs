use std::collections::HashMap as Map;

use uuid::Uuid;

use super::*;
use crate::domain::alert::{AlertStatus, Labels, fingerprint};
use crate::domain::standing::{Active, Process, Sighting};

fn at(second: u64) -> Timestamp {
    Timestamp::from_micros(0) + Duration::from_secs(second)
}

fn job(number: u128) -> JobId {
    JobId::new(Uuid::from_u128(number))
}

fn alert() -> Alert {
    let labels = Labels::from([("alertname".to_owned(), "Down".to_owned())]);
    Alert {
        status: AlertStatus::Firing,
        fingerprint: fingerprint(&labels),
        labels,
        annotations: Labels::new(),
        starts_at: at(10),
        ends_at: None,
        generator_url: String::new(),
    }
}

fn verification(number: u128, until: u64) -> Verification {
    Verification {
        job: job(number),
        episode: None,
        alert: Some(alert()),
        until: at(until),
        query: None,
    }
}

/// An Alertmanager that has been up since that second, and has the alert or not.
fn look(up_since: u64, active: bool) -> Look {
    let silences = active.then(|| (alert().fingerprint, Active::default()));
    Look {
        sightings: vec![Sighting {
            process: Process {
                name: "a".to_owned(),
                up_since: at(up_since),
            },
            active: Map::from_iter(silences),
        }],
        failures: Vec::new(),
    }
}

fn watching(now: u64, until: u64) -> Schedule {
    let mut schedule = Schedule::default();
    schedule.keep(&[verification(1, until)], at(now));
    schedule
}

fn looked(schedule: &mut Schedule, now: u64, look: &Look) -> Option<Timestamp> {
    schedule.looked(job(1), &alert(), look, at(now))
}

#[test]
fn a_job_is_looked_at_at_once_then_often_then_seldom_and_often_again_before_its_end() {
    let mut schedule = watching(1_000, 1_600);
    let mut looks = vec![1_000];
    assert_eq!(schedule.due(at(1_000)), [job(1)]);
    let mut now = at(1_000);
    while now < at(1_600) {
        schedule.asked(job(1), now);
        now = schedule.next().unwrap();
        looks.push(now.since(at(0)).as_secs());
    }
    let gaps: Vec<u64> = looks.windows(2).map(|pair| pair[1] - pair[0]).collect();
    assert_eq!(gaps[..15], [2; 15]);
    assert_eq!(gaps[15..33], [5; 18]);
    assert!(gaps[33..64].iter().all(|gap| *gap == 15), "{gaps:?}");
    assert_eq!(looks[looks.len() - 4..], [1_597, 1_598, 1_599, 1_600]);
}

#[test]
fn an_alert_is_over_when_two_looks_in_a_row_miss_it() {
    let mut schedule = watching(100, 1_000);
    assert_eq!(looked(&mut schedule, 100, &look(0, true)), None);
    assert_eq!(looked(&mut schedule, 102, &look(0, false)), None);
    assert_eq!(schedule.next(), Some(at(103)));
    assert_eq!(looked(&mut schedule, 103, &look(0, false)), Some(at(100)));
}

#[test]
fn one_that_was_never_seen_ended_when_it_was_missed_first() {
    let mut schedule = watching(100, 1_000);
    assert_eq!(looked(&mut schedule, 100, &look(0, false)), None);
    assert_eq!(looked(&mut schedule, 101, &look(0, false)), Some(at(100)));
}

#[test]
fn an_alert_that_shows_again_or_a_look_that_fails_begins_the_count_anew() {
    for between in [look(0, true), Look::default()] {
        let mut schedule = watching(100, 1_000);
        assert_eq!(looked(&mut schedule, 100, &look(0, false)), None);
        assert_eq!(looked(&mut schedule, 101, &between), None);
        assert_eq!(looked(&mut schedule, 103, &look(0, false)), None);
        assert!(looked(&mut schedule, 104, &look(0, false)).is_some());
    }
}

#[test]
fn what_a_restarted_alertmanager_misses_is_not_over_until_it_was_seen_there() {
    let mut schedule = watching(100, 1_000);
    for second in [100, 102, 104] {
        assert_eq!(looked(&mut schedule, second, &look(50, false)), None);
    }
    looked(&mut schedule, 106, &look(50, true));
    looked(&mut schedule, 108, &look(50, false));
    assert_eq!(looked(&mut schedule, 109, &look(50, false)), Some(at(106)));
}

#[test]
fn looks_that_are_due_soon_are_made_together_and_jobs_that_ended_are_forgotten() {
    let mut schedule = watching(100, 1_000);
    schedule.asked(job(1), at(100));
    let later = at(100) + Duration::from_millis(300);
    schedule.keep(&[verification(1, 1_000), verification(2, 1_000)], later);
    schedule.asked(job(2), later);
    assert!(schedule.due(at(101)).is_empty());
    assert_eq!(schedule.due(at(102)), [job(1), job(2)]);
    schedule.keep(&[verification(2, 1_000)], at(103));
    assert_eq!(schedule.due(at(103)), [job(2)]);
    assert_eq!(looked(&mut schedule, 103, &look(0, false)), None);
    schedule.keep(&[], at(104));
    assert_eq!(schedule.next(), None);
}

#[test]
fn that_nobody_answers_is_told_once() {
    let mut schedule = watching(100, 1_000);
    assert!(schedule.complains_first(job(1)));
    assert!(!schedule.complains_first(job(1)));
    assert!(!schedule.complains_first(job(7)));
}
