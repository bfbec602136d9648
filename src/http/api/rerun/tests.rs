//! What a re-run takes over, what it renews, and when it is refused.

use serde_json::json;

use crate::domain::attempt::Outcome;
use crate::domain::by_hand::{ByHand, Once};
use crate::domain::change::sentence;
use crate::domain::host_stats::{HostStats, Recap};
use crate::domain::ids::Target;
use crate::domain::job::{Job, JobStatus, Trigger};
use crate::domain::notify::{Notify, NotifyEvent};
use crate::domain::parameters::Overrides;
use crate::domain::route::{OnResolved, Route};
use crate::domain::span::Span;
use crate::http::auth::Access;
use crate::http::fake::{Gateway, attempt, job, job_id, now, route, tokens};

fn failed() -> Job {
    Job {
        attempts: vec![attempt(1, Some(Outcome::HostsFailed))],
        ..job(1, JobStatus::Failed)
    }
}

/// The status and the detail of the answer.
async fn rerun(gateway: &Gateway, old: Job, body: &str) -> (u16, String) {
    let id = gateway.add_job(old);
    let answered = gateway.post(&format!("/api/v1/jobs/{id}/rerun"), body).await;
    let detail = answered.json()["detail"].as_str().unwrap_or_default().to_owned();
    (answered.status.as_u16(), detail)
}

#[actix_web::test]
async fn a_rerun_is_a_new_job_with_the_catalogue_in_force() {
    let gateway = Gateway::new();
    let old = gateway.add_job(failed());
    let answered = gateway.post(&format!("/api/v1/jobs/{old}/rerun"), "").await;
    assert_eq!(answered.status, 201);
    let shown = answered.json();
    let id = shown["id"].as_str().unwrap();
    assert_eq!(answered.header("location"), format!("/api/v1/jobs/{id}"));
    assert_eq!(
        (&shown["status"], &shown["trigger"], &shown["triggered_by"]),
        (&json!("queued"), &json!("rerun"), &json!("admin"))
    );
    assert_eq!(shown["rerun_of"], json!(old.to_string()));
    let new = gateway.store.state().inserted.remove(0);
    assert_eq!(new.trigger, Trigger::Rerun);
    assert_eq!(new.resolved_within, Some(Span::from_secs(120)));
    assert_eq!(new.on_resolved, OnResolved::Ignore);
    assert_eq!(new.expires_at, now() + Span::from_secs(1_800).duration());
    assert_eq!(new.parameters.limit, None);
}

#[actix_web::test]
async fn hosts_check_and_verbosity_can_differ() {
    let gateway = Gateway::new();
    let body = r#"{"hosts": "failed", "check": true, "verbosity": 2}"#;
    assert_eq!(rerun(&gateway, failed(), body).await.0, 201);
    let new = gateway.store.state().inserted.remove(0);
    assert_eq!(new.parameters.limit.unwrap().as_str(), "web1");
    assert!(new.parameters.check);
    assert_eq!(new.parameters.verbosity, 2);
}

#[actix_web::test]
async fn a_rerun_tells_whom_its_route_names_now_unless_it_is_only_tried_out() {
    let notify = Notify {
        to: vec!["ops".to_owned()],
        events: vec![NotifyEvent::Failed],
    };
    let telling = Route {
        notify: Some(notify.clone()),
        ..route("nginx-down")
    };
    for (body, expected) in [("", Some(notify)), (r#"{"check": true}"#, None)] {
        let access = Access {
            tokens: tokens(),
            ..Access::default()
        };
        let gateway = Gateway::with(access, vec![telling.clone()]);
        assert_eq!(rerun(&gateway, failed(), body).await.0, 201);
        assert_eq!(gateway.store.state().inserted.remove(0).notify, expected);
    }
}

#[actix_web::test]
async fn a_rerun_says_what_the_catalogue_says_otherwise_now() {
    let gateway = Gateway::new();
    assert_eq!(rerun(&gateway, failed(), "").await.0, 201);
    assert_eq!(gateway.store.state().inserted.remove(0).changes, Some(Vec::new()));

    let mut old = failed();
    old.id = job_id(2);
    old.parameters.timeout = Span::from_secs(30);
    old.target = Target::parse("elsewhere").unwrap();
    let gateway = Gateway::new();
    // What is asked of this run is no change of the catalogue.
    let body = r#"{"hosts": "failed", "check": true, "verbosity": 1}"#;
    assert_eq!(rerun(&gateway, old, body).await.0, 201);
    let changes = gateway.store.state().inserted.remove(0).changes.unwrap();
    assert_eq!(
        sentence(&changes),
        "timeout 30s → 2m, target elsewhere → container/nginx"
    );
}

#[actix_web::test]
async fn a_rerun_of_a_rerun_takes_over_what_was_set_by_hand_and_not_what_was_asked_once() {
    let gateway = Gateway::new();
    let mut old = failed();
    let overrides = Overrides {
        vars: serde_json::Map::from_iter([("container".to_owned(), json!("db"))]),
        limit: Some("web1,web2".parse().unwrap()),
    };
    old.parameters.vars.clone_from(&overrides.vars);
    old.parameters.limit.clone_from(&overrides.limit);
    let once = Once {
        hosts: Some("web1".parse().unwrap()),
        check: true,
        verbosity: Some(2),
    };
    old.by_hand = Some(ByHand::apply(overrides, once, &mut old.parameters));
    assert_eq!(old.parameters.limit.as_ref().unwrap().as_str(), "web1");
    assert_eq!(rerun(&gateway, old, "").await.0, 201);
    let new = gateway.store.state().inserted.remove(0);
    assert_eq!(new.changes, Some(Vec::new()));
    assert_eq!(new.parameters.vars["container"], "db");
    assert_eq!(new.parameters.limit.unwrap().as_str(), "web1,web2");
    assert_eq!((new.parameters.check, new.parameters.verbosity), (false, 0));
}

#[actix_web::test]
async fn a_job_of_a_route_that_is_gone_waits_an_hour_and_is_not_verified() {
    let gateway = Gateway::new();
    let old = Job {
        route: Some("gone".to_owned()),
        ..failed()
    };
    assert_eq!(rerun(&gateway, old, "{}").await.0, 201);
    let new = gateway.store.state().inserted.remove(0);
    assert_eq!((new.route.as_deref(), new.resolved_within), (Some("gone"), None));
    assert_eq!(new.expires_at, now() + Span::from_secs(3_600).duration());
}

#[actix_web::test]
async fn a_job_that_is_not_finished_cannot_be_run_again() {
    for status in JobStatus::ALL.iter().copied().filter(|status| !status.is_finished()) {
        let (answered, detail) = rerun(&Gateway::new(), job(1, status), "").await;
        assert_eq!(answered, 409, "{status:?}");
        assert!(detail.contains(status.as_str()), "{detail}");
    }
}

#[actix_web::test]
async fn what_cannot_be_rendered_now_cannot_be_run_again() {
    let gone = Job {
        playbook: "gone".to_owned(),
        ..failed()
    };
    let mut refused = failed();
    let alert = refused.alert.as_mut().unwrap();
    alert.labels.insert("refuse".to_owned(), "yes".to_owned());
    for (old, expected) in [
        (gone, "the playbook gone is no longer in the catalogue"),
        (refused, "the label asks for it"),
    ] {
        let gateway = Gateway::new();
        assert_eq!(rerun(&gateway, old, "").await, (409, expected.to_owned()));
        assert!(gateway.store.state().inserted.is_empty());
    }
}

#[actix_web::test]
async fn failed_hosts_must_be_known() {
    let with_recap = |recap: Recap| {
        let mut old = failed();
        old.attempts[0].recap = recap;
        old
    };
    let stats = |host: &str, failed: u64| {
        let stats = HostStats {
            failed,
            ..HostStats::default()
        };
        Recap::from([(host.to_owned(), stats)])
    };
    for (old, expected) in [
        (job(1, JobStatus::Canceled), "never ran"),
        (with_recap(Recap::new()), "ended hosts_failed without host stats"),
        (with_recap(stats("web1", 0)), "no host failed"),
        (with_recap(stats("all", 1)), "every host"),
    ] {
        let (status, detail) = rerun(&Gateway::new(), old, r#"{"hosts": "failed"}"#).await;
        assert_eq!(status, 409, "{detail}");
        assert!(detail.contains(expected), "{detail}");
    }
}
