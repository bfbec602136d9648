//! What is asked before a run and while jobs are verified, told with peers that say what the story wants.

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use healgate::domain::alert::{Alert, AlertStatus, Labels, fingerprint};
use healgate::domain::attempt::{AttemptKey, Outcome};
use healgate::domain::checks::{Checks, OnError, Precondition};
use healgate::domain::decision::DecisionKind;
use healgate::domain::ids::JobId;
use healgate::domain::job::{JobStatus, Reason};
use healgate::domain::promql::Answer;
use healgate::domain::route::OnResolved;
use healgate::domain::standing::{Active, Look, Process, Sighting};
use healgate::domain::timestamp::Timestamp;
use healgate::live::Live;
use healgate::peers::{Alertmanagers, NewSilence, PeerError, Peers, Prometheus, Silence};
use healgate::store::Claim;
use healgate::worker::{Asking, Verifier, look_for_comebacks, may_start, verify};
use tokio_util::sync::CancellationToken;

use super::world::{Report, World, firing, first, verified};
use crate::support::wait::until;

/// What Alertmanager says to the next looks; the last one for ever.
#[derive(Default)]
struct FakeAlertmanager {
    looks: Mutex<VecDeque<Look>>,
    /// How many alerts each look was about.
    asked: Mutex<Vec<usize>>,
    silences: Mutex<HashMap<String, Silence>>,
    made: Mutex<Vec<NewSilence>>,
    /// The claims whose silences were to be ended.
    ended: Mutex<Vec<AttemptKey>>,
    is_broken: bool,
}

fn broken() -> PeerError {
    PeerError::Unanswered {
        peer: "am".to_owned(),
        why: "connection refused".to_owned(),
    }
}

#[async_trait]
impl Alertmanagers for FakeAlertmanager {
    async fn look(&self, alerts: &[&Alert]) -> Look {
        self.asked.lock().unwrap().push(alerts.len());
        let mut looks = self.looks.lock().unwrap();
        match looks.len() {
            0 => Look {
                sightings: Vec::new(),
                failures: vec![broken().to_string()],
            },
            1 => looks[0].clone(),
            _ => looks.pop_front().unwrap(),
        }
    }

    async fn find_silence(&self, id: &str) -> Result<Silence, PeerError> {
        self.silences.lock().unwrap().get(id).cloned().ok_or_else(broken)
    }

    async fn create_silence(&self, silence: &NewSilence) -> Result<String, PeerError> {
        if self.is_broken {
            return Err(broken());
        }
        self.made.lock().unwrap().push(silence.clone());
        Ok("s9".to_owned())
    }

    async fn end_silences(&self, claim: AttemptKey, _: &Labels) -> Result<usize, PeerError> {
        self.ended.lock().unwrap().push(claim);
        if self.is_broken {
            return Err(broken());
        }
        Ok(1)
    }
}

/// What Prometheus says to each query; it answers no other.
#[derive(Default)]
struct FakePrometheus {
    answers: Mutex<HashMap<String, Answer>>,
    /// How often it was asked.
    asked: AtomicUsize,
    /// It takes questions, and says nothing.
    hangs: AtomicBool,
}

#[async_trait]
impl Prometheus for FakePrometheus {
    async fn query(&self, expression: &str) -> Result<Answer, PeerError> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        if self.hangs.load(Ordering::SeqCst) {
            std::future::pending::<()>().await;
        }
        let answer = self.answers.lock().unwrap().get(expression).cloned();
        answer.ok_or_else(|| PeerError::Unanswered {
            peer: "prom".to_owned(),
            why: "connection refused".to_owned(),
        })
    }
}

struct Story {
    world: World,
    alertmanager: Arc<FakeAlertmanager>,
    prometheus: Arc<FakePrometheus>,
}

impl Story {
    async fn new(alertmanager: FakeAlertmanager) -> Self {
        Self {
            world: World::new().await,
            alertmanager: Arc::new(alertmanager),
            prometheus: Arc::default(),
        }
    }

    async fn with_looks(looks: Vec<Look>) -> Self {
        Self::new(FakeAlertmanager {
            looks: Mutex::new(looks.into()),
            ..FakeAlertmanager::default()
        })
        .await
    }

    fn asking(&self) -> Asking {
        Asking {
            store: Arc::clone(&self.world.store),
            clock: self.world.clock(),
            peers: Peers {
                alertmanagers: Some(Arc::clone(&self.alertmanager) as Arc<dyn Alertmanagers>),
                prometheus: Some(Arc::clone(&self.prometheus) as Arc<dyn Prometheus>),
            },
        }
    }

    fn says(&self, query: &str, answer: Answer) {
        self.prometheus.answers.lock().unwrap().insert(query.to_owned(), answer);
    }

    /// A claimed job for an alert that Alertmanager can know.
    async fn claimed(&self, checks: &Checks) -> Claim {
        let report = known(&self.world, "web1", checks);
        self.world.job_for(report).await;
        self.world.claim(1).await.remove(0)
    }

    /// A job that waits for its alert or its query.
    async fn verifying(&self, host: &str, checks: &Checks) -> JobId {
        let job = self.world.job_for(known(&self.world, host, checks)).await;
        let key = self.world.claim_one().await;
        self.world.end(key, Outcome::Ok).await;
        job
    }

    async fn may_start(&self, claim: &Claim) -> bool {
        may_start(&self.asking(), claim).await
    }

    /// The last message of that kind in the job's history.
    async fn told(&self, job: JobId, event: &str) -> String {
        let events = self.world.store.job_events(job, first(500)).await.unwrap().items;
        let found = events.iter().rev().find(|entry| entry.event == event);
        found.map(|entry| entry.message.clone()).unwrap_or_default()
    }
}

/// A firing alert of that host with the fingerprint that Alertmanager gives it.
fn known(world: &World, host: &str, checks: &Checks) -> Report {
    let mut report = firing("x", world.ago(60)).with("host", host).via(verified("r"), host);
    report.alert.fingerprint = fingerprint(&report.alert.labels);
    report.reached[0].1.checks = checks.clone();
    report
}

/// One Alertmanager, up since long ago, that has the alerts of these hosts active.
fn look(world: &World, hosts: &[&str], silenced_by: &[&str]) -> Look {
    look_since(world, world.ago(10_000), hosts, silenced_by)
}

fn look_since(world: &World, up_since: Timestamp, hosts: &[&str], silenced_by: &[&str]) -> Look {
    let active = Active {
        silenced_by: silenced_by.iter().map(|id| (*id).to_owned()).collect(),
        starts_at: Some(world.now()),
        ..Active::default()
    };
    let alerts = hosts
        .iter()
        .map(|host| known(world, host, &Checks::default()).alert.fingerprint);
    Look {
        sightings: vec![Sighting {
            process: Process {
                name: "am".to_owned(),
                up_since,
            },
            active: alerts.map(|alert| (alert, active.clone())).collect(),
        }],
        failures: Vec::new(),
    }
}

fn precondition(on_error: OnError) -> Checks {
    Checks {
        precondition: Some(Precondition {
            query: "up > 0".to_owned(),
            on_error,
        }),
        ..Checks::default()
    }
}

fn silence(id: &str, by: &str) -> (String, Silence) {
    let silence = Silence {
        id: id.to_owned(),
        created_by: by.to_owned(),
        comment: "maintenance".to_owned(),
        ends_at: Timestamp::from_micros(1_790_000_600_000_000),
    };
    (id.to_owned(), silence)
}

#[tokio::test]
async fn an_alert_that_still_fires_may_be_worked_on() {
    let story = Story::with_looks(Vec::new()).await;
    *story.alertmanager.looks.lock().unwrap() = [look(&story.world, &["web1"], &[])].into();
    let claim = story.claimed(&Checks::default()).await;
    assert!(story.may_start(&claim).await);
    let told = story.told(claim.key.job, "checked").await;
    assert_eq!(told, "Alertmanager (am) says that the alert still fires");
    assert_eq!(story.world.state(claim.key.job).await, (JobStatus::Running, None));
}

#[tokio::test]
async fn an_alert_that_has_resolved_is_not_worked_on_and_its_episode_is_closed() {
    let story = Story::with_looks(Vec::new()).await;
    *story.alertmanager.looks.lock().unwrap() = [look(&story.world, &["other"], &[])].into();
    let claim = story.claimed(&Checks::default()).await;
    assert!(!story.may_start(&claim).await);
    let job = claim.key.job;
    assert_eq!(
        story.world.state(job).await,
        (JobStatus::Canceled, Some(Reason::ResolvedMeanwhile))
    );
    let told = story.told(job, "checked").await;
    assert_eq!(
        told,
        "the alert has resolved: Alertmanager (am) does not have it any more"
    );
    assert_eq!(story.alertmanager.asked.lock().unwrap().len(), 2);
    let late = story
        .world
        .post(vec![known(&story.world, "web1", &Checks::default())])
        .await;
    assert_eq!(late[0].kind.as_str(), "resolved");
}

#[tokio::test]
async fn a_clean_up_runs_because_its_alert_has_resolved() {
    let story = Story::with_looks(Vec::new()).await;
    *story.alertmanager.looks.lock().unwrap() = [look(&story.world, &["other"], &[])].into();
    let mut report = known(&story.world, "web1", &Checks::default());
    report.reached[0].0.on_resolved = OnResolved::Run("tidy".to_owned());
    let world = &story.world;
    world.job_for(report.clone()).await;
    let key = world.claim_one().await;
    report.alert.status = AlertStatus::Resolved;
    report.alert.ends_at = Some(world.now());
    world.post(vec![report]).await;
    world.end(key, Outcome::Ok).await;
    let claim = world.claim(1).await.remove(0);
    assert_eq!(claim.job.playbook, "tidy");
    assert!(story.may_start(&claim).await);
}

#[tokio::test]
async fn one_look_that_misses_the_alert_is_not_enough() {
    let story = Story::with_looks(Vec::new()).await;
    *story.alertmanager.looks.lock().unwrap() =
        [look(&story.world, &[], &[]), look(&story.world, &["web1"], &[])].into();
    let claim = story.claimed(&Checks::default()).await;
    assert!(story.may_start(&claim).await);
}

#[tokio::test]
async fn where_nobody_can_tell_the_run_goes_on_and_says_so() {
    let story = Story::with_looks(Vec::new()).await;
    let claim = story.claimed(&Checks::default()).await;
    assert!(story.may_start(&claim).await);
    let told = story.told(claim.key.job, "checked").await;
    assert_eq!(
        told,
        "goes on without knowing whether the alert still fires: no Alertmanager answered: am does not answer: connection \
         refused"
    );
    let story = Story::with_looks(Vec::new()).await;
    let restarted = look_since(&story.world, story.world.now(), &[], &[]);
    *story.alertmanager.looks.lock().unwrap() = [restarted].into();
    let claim = story.claimed(&Checks::default()).await;
    assert!(story.may_start(&claim).await);
    let told = story.told(claim.key.job, "checked").await;
    assert!(told.contains("and may not know the alert yet"), "{told}");
}

#[tokio::test]
async fn an_alert_that_a_person_has_silenced_is_not_worked_on() {
    for (silences, told) in [
        (
            vec![silence("s1", "healgate"), silence("s2", "ada")],
            "the alert is silenced in Alertmanager by ada until 2026-09-21T14:23:20Z: maintenance (silence s2)",
        ),
        (
            vec![silence("s1", "healgate")],
            "the alert is silenced in Alertmanager (silence s2; am does not answer: connection refused)",
        ),
    ] {
        let story = Story::with_looks(Vec::new()).await;
        *story.alertmanager.looks.lock().unwrap() = [look(&story.world, &["web1"], &["s1", "s2"])].into();
        story.alertmanager.silences.lock().unwrap().extend(silences);
        let claim = story.claimed(&Checks::default()).await;
        assert!(!story.may_start(&claim).await);
        let job = claim.key.job;
        assert_eq!(
            story.world.state(job).await,
            (JobStatus::Canceled, Some(Reason::Silenced))
        );
        assert_eq!(story.told(job, "checked").await, told);
    }
}

#[tokio::test]
async fn a_silence_of_an_earlier_run_stops_nobody() {
    let story = Story::with_looks(Vec::new()).await;
    *story.alertmanager.looks.lock().unwrap() = [look(&story.world, &["web1"], &["s1"])].into();
    story
        .alertmanager
        .silences
        .lock()
        .unwrap()
        .extend([silence("s1", "healgate")]);
    let claim = story.claimed(&Checks::default()).await;
    assert!(story.may_start(&claim).await);
}

#[tokio::test]
async fn a_precondition_must_hold() {
    for (answer, starts, told) in [
        (Answer::Vector(vec![0.0]), true, "the precondition holds: up > 0"),
        (
            Answer::Vector(Vec::new()),
            false,
            "the precondition does not hold: up > 0",
        ),
        (Answer::Scalar(0.0), false, "the precondition does not hold: up > 0"),
    ] {
        let story = Story::with_looks(Vec::new()).await;
        story.says("up > 0", answer);
        let claim = story.claimed(&precondition(OnError::Refuse)).await;
        assert_eq!(story.may_start(&claim).await, starts);
        let said = story.told(claim.key.job, "checked").await;
        assert!(said.ends_with(told), "{said}");
        let expected = if starts {
            (JobStatus::Running, None)
        } else {
            (JobStatus::Failed, Some(Reason::PreconditionFailed))
        };
        assert_eq!(story.world.state(claim.key.job).await, expected);
    }
}

#[tokio::test]
async fn where_prometheus_does_not_answer_the_route_decides() {
    for (on_error, starts, told) in [
        (
            OnError::Refuse,
            false,
            "the precondition could not be checked, and the route refuses to run then: prom does",
        ),
        (
            OnError::Proceed,
            true,
            "the precondition could not be checked, and the route runs all the same: prom does",
        ),
    ] {
        let story = Story::with_looks(Vec::new()).await;
        let claim = story.claimed(&precondition(on_error)).await;
        assert_eq!(story.may_start(&claim).await, starts);
        let said = story.told(claim.key.job, "checked").await;
        assert!(said.contains(told), "{said}");
    }
}

#[tokio::test]
async fn jobs_by_hand_and_alerts_that_are_not_alertmanagers_are_not_asked_about() {
    let story = Story::with_looks(Vec::new()).await;
    story.world.by_hand(story.world.manual("web1")).await;
    let manual = story.world.claim(1).await.remove(0);
    assert!(story.may_start(&manual).await);
    story
        .world
        .job_for(firing("of another sender", story.world.ago(60)).via(verified("r"), "web2"))
        .await;
    let other = story.world.claim(1).await.remove(0);
    assert!(story.may_start(&other).await);
    story.world.end(other.key, Outcome::Ok).await;
    assert_eq!(Verifier::of_alerts(story.asking()).round().await.unwrap(), None);
    assert_eq!(Verifier::of_queries(story.asking()).round().await.unwrap(), None);
    assert_eq!(story.alertmanager.asked.lock().unwrap().len(), 0);
}

#[tokio::test]
async fn the_alert_is_silenced_for_as_long_as_the_run_may_take() {
    let silent = Checks {
        silence: true,
        ..Checks::default()
    };
    let story = Story::with_looks(Vec::new()).await;
    let claim = story.claimed(&silent).await;
    assert!(story.may_start(&claim).await);
    let made = story.alertmanager.made.lock().unwrap().remove(0);
    assert_eq!(
        (made.claim, &made.labels),
        (claim.key, &claim.job.alert.as_ref().unwrap().labels)
    );
    assert_eq!(made.ends_at.since(made.starts_at).as_secs(), 630);
    let told = story.told(claim.key.job, "silenced").await;
    assert!(told.starts_with("silenced the alert in Alertmanager until "), "{told}");

    let story = Story::new(FakeAlertmanager {
        is_broken: true,
        ..FakeAlertmanager::default()
    })
    .await;
    let claim = story.claimed(&silent).await;
    assert!(story.may_start(&claim).await);
    let told = story.told(claim.key.job, "not_silenced").await;
    assert!(told.contains("it runs all the same: am does not answer"), "{told}");
}

#[tokio::test]
async fn jobs_are_healed_when_two_looks_in_a_row_miss_their_alerts_and_one_look_is_for_all() {
    let story = Story::with_looks(Vec::new()).await;
    let world = &story.world;
    *story.alertmanager.looks.lock().unwrap() = [
        look(world, &["web1", "web2"], &[]),
        look(world, &["web2"], &["s1"]),
        look(world, &["web2"], &["s1"]),
    ]
    .into();
    let healed = story.verifying("web1", &Checks::default()).await;
    let silenced = story.verifying("web2", &Checks::default()).await;
    let seen_at = world.now();
    let mut verifier = Verifier::of_alerts(story.asking());
    assert_eq!(
        verifier.round().await.unwrap(),
        Some(world.now() + std::time::Duration::from_secs(2))
    );
    world.pass(2);
    verifier.round().await.unwrap();
    assert_eq!(world.state(healed).await, (JobStatus::Verifying, None));
    world.pass(1);
    verifier.round().await.unwrap();
    let job = world.job(healed).await;
    assert_eq!((job.status, job.reason), (JobStatus::Succeeded, Some(Reason::Healed)));
    assert_eq!((job.healed_at, job.finished_at), (Some(seen_at), Some(world.now())));
    let told = story.told(healed, "resolved").await;
    assert_eq!(told, "Alertmanager was asked: the alert has resolved");
    assert_eq!(world.state(silenced).await, (JobStatus::Verifying, None));
    assert_eq!(story.alertmanager.asked.lock().unwrap()[..2], [2, 2]);
}

#[tokio::test]
async fn a_query_decides_and_that_it_cannot_be_asked_is_told_once() {
    let story = Story::with_looks(Vec::new()).await;
    let world = &story.world;
    *story.alertmanager.looks.lock().unwrap() = [look(world, &[], &[])].into();
    let by_query = Checks {
        verify_query: Some("up == bool 1".to_owned()),
        ..Checks::default()
    };
    let job = story.verifying("web1", &by_query).await;
    let mut verifier = Verifier::of_queries(story.asking());
    for _ in 0..3 {
        verifier.round().await.unwrap();
        world.pass(2);
    }
    story.says("up == bool 1", Answer::Vector(vec![0.0]));
    verifier.round().await.unwrap();
    assert_eq!(world.state(job).await, (JobStatus::Verifying, None));
    let history = world.history(job).await;
    assert_eq!(history.iter().filter(|event| *event == "unanswered").count(), 1);
    let told = story.told(job, "unanswered").await;
    assert_eq!(
        told,
        "cannot ask whether it has healed; asking again: prom does not answer: connection refused"
    );
    story.says("up == bool 1", Answer::Vector(vec![1.0]));
    world.pass(2);
    assert_eq!(
        verifier.round().await.unwrap(),
        Some(world.now() + std::time::Duration::from_secs(2))
    );
    assert_eq!(world.state(job).await, (JobStatus::Succeeded, Some(Reason::Healed)));
    assert_eq!(
        story.told(job, "finished").await,
        "healed: the query became true: up == bool 1"
    );
    assert_eq!(story.alertmanager.asked.lock().unwrap().len(), 0);
    assert_eq!(verifier.round().await.unwrap(), None);
}

#[tokio::test]
async fn an_alert_that_fires_again_before_alertmanager_says_a_word_is_worked_on_again() {
    let story = Story::with_looks(Vec::new()).await;
    let world = &story.world;
    let (gone, fires) = (look(world, &[], &[]), look(world, &["web1"], &[]));
    *story.alertmanager.looks.lock().unwrap() = [gone.clone(), gone.clone(), gone, fires].into();
    let healed = story.verifying("web1", &Checks::default()).await;
    let mut verifier = Verifier::of_alerts(story.asking());
    for _ in 0..2 {
        verifier.round().await.unwrap();
        world.pass(3);
    }
    assert_eq!(world.state(healed).await, (JobStatus::Succeeded, Some(Reason::Healed)));
    look_for_comebacks(&story.asking()).await.unwrap();
    assert_eq!(world.decide_due().await, [], "it is still gone");
    world.pass(30);
    look_for_comebacks(&story.asking()).await.unwrap();
    let decided = world.decide_due().await;
    assert_eq!((decided.len(), decided[0].kind), (1, DecisionKind::Queued));
    assert_ne!(decided[0].job, Some(healed));
    look_for_comebacks(&story.asking()).await.unwrap();
    assert_eq!(world.decide_due().await, [], "once");
    // When Alertmanager gets round to reporting it, it is the same episode.
    let report = known(world, "web1", &Checks::default());
    let reported = world.post(vec![report]).await;
    assert_eq!(
        (reported[0].kind, reported[0].job),
        (DecisionKind::Attached, decided[0].job)
    );
}

#[tokio::test]
async fn a_prometheus_that_answers_nothing_is_not_asked_everything_and_everybody_is_told() {
    let story = Story::with_looks(Vec::new()).await;
    let mut jobs = Vec::new();
    for number in 0..30 {
        let by_query = Checks {
            verify_query: Some(format!("up == bool {number}")),
            ..Checks::default()
        };
        jobs.push(story.verifying(&format!("web{number}"), &by_query).await);
    }
    let mut verifier = Verifier::of_queries(story.asking());
    verifier.round().await.unwrap();
    let asked = story.prometheus.asked.load(Ordering::SeqCst);
    assert!((8..30).contains(&asked), "{asked}");
    for job in &jobs {
        assert!(story.told(*job, "unanswered").await.contains("prom does not answer"));
    }
    // Whoever answers again is asked everything again.
    for number in 0..30 {
        story.says(&format!("up == bool {number}"), Answer::Vector(vec![1.0]));
    }
    story.world.pass(2);
    verifier.round().await.unwrap();
    for job in jobs {
        assert_eq!(
            story.world.state(job).await,
            (JobStatus::Succeeded, Some(Reason::Healed))
        );
    }
}

#[tokio::test]
async fn what_an_earlier_claim_may_have_left_is_ended_where_the_job_does_not_run() {
    let silent = Checks {
        silence: true,
        ..precondition(OnError::Refuse)
    };
    let story = Story::with_looks(Vec::new()).await;
    let claim = story.claimed(&silent).await;
    assert!(!story.may_start(&claim).await);
    assert_eq!(*story.alertmanager.ended.lock().unwrap(), [claim.key]);
    assert!(story.alertmanager.made.lock().unwrap().is_empty());
}

#[tokio::test]
async fn a_prometheus_that_hangs_does_not_hold_up_what_alertmanager_knows() {
    let story = Story::with_looks(Vec::new()).await;
    let world = &story.world;
    *story.alertmanager.looks.lock().unwrap() = [look(world, &[], &[])].into();
    story.prometheus.hangs.store(true, Ordering::SeqCst);
    let by_query = Checks {
        verify_query: Some("up == bool 1".to_owned()),
        ..Checks::default()
    };
    story.verifying("web1", &by_query).await;
    let by_alert = story.verifying("web2", &Checks::default()).await;
    let verifying = tokio::spawn(verify(
        story.asking(),
        Arc::new(Live::default()),
        CancellationToken::new(),
    ));
    until("both were asked", || async {
        let both =
            story.prometheus.asked.load(Ordering::SeqCst) == 1 && story.alertmanager.asked.lock().unwrap().len() == 1;
        both.then_some(())
    })
    .await;
    world.pass(1);
    until("the alert has resolved", || async {
        (world.state(by_alert).await == (JobStatus::Succeeded, Some(Reason::Healed))).then_some(())
    })
    .await;
    verifying.abort();
}
