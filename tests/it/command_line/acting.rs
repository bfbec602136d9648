//! Running, running again, canceling, approving: what a person does from the terminal.

use super::{CATALOGUE, HALF};
use crate::support::alerts::firing;
use crate::support::cli::{Said, ask};
use crate::support::folder::{FIX, Folder};
use crate::support::gateway::Gateway;

async fn gateway(folder: &Folder, playbook: &str) -> Gateway {
    folder.write("remediations.yml", CATALOGUE);
    folder.write("fix.yml", playbook);
    Gateway::start(folder).await
}

/// Which job a command has made.
fn id(said: &Said) -> String {
    let line = said.out.strip_prefix("job ").or_else(|| said.err.strip_prefix("job "));
    let (id, _) = line.unwrap_or_else(|| panic!("{said:?}")).split_once(':').unwrap();
    id.to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_playbook_is_run_by_hand_with_what_was_given() {
    let folder = Folder::new();
    let gateway = gateway(&folder, FIX).await;
    folder.write("vars.json", r#"{"count": 3, "colour": "green"}"#);
    let vars = folder.path("vars.json").display().to_string();
    let said = ask(
        &gateway,
        &[
            "jobs",
            "run",
            "fix",
            "--vars-file",
            &vars,
            "--var",
            "colour=red=hot",
            "--limit",
            "localhost",
            "--check",
            "--label",
            "alertname=Down",
            "--annotation",
            "summary=by hand",
        ],
    );
    assert_eq!(said.code, 0, "{said:?}");
    let job = gateway.until_finished(&id(&said)).await;
    let parameters = &job["parameters"];
    assert_eq!(
        parameters["vars"],
        serde_json::json!({ "colour": "red=hot", "count": 3 })
    );
    assert_eq!(
        (&parameters["limit"], &parameters["check"]),
        (&"localhost".into(), &true.into())
    );
    assert_eq!(job["target"], "service/Down");
    assert_eq!(job["alert"]["annotations"]["summary"], "by hand");
    let shown = ask(
        &gateway,
        &["jobs", "run", "fix", "--label", "alertname=Down", "--output", "json"],
    )
    .json();
    assert_eq!(shown["trigger"], "manual");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_is_followed_decides_the_exit_code() {
    let folder = Folder::new();
    let gateway = gateway(&folder, HALF).await;
    let failed = ask(
        &gateway,
        &["jobs", "run", "fix", "--label", "alertname=Down", "--follow"],
    );
    insta::assert_snapshot!("followed_to_its_failure", failed.told());
    assert_eq!((failed.code, failed.out.as_str()), (1, "working\n"));

    folder.write("fix.yml", "say(sys.argv[-2])\nstats(web2={'ok': 1})\nend(0)");
    let first = id(&failed);
    let again = ask(
        &gateway,
        &["jobs", "rerun", &first, "--hosts", "failed", "--verbosity", "1", "-f"],
    );
    insta::assert_snapshot!("followed_to_its_success", again.told());
    assert_eq!(again.code, 0, "{again:?}");
    let second = gateway.until_finished(&id(&again)).await;
    assert_eq!(
        (&second["rerun_of"], &second["parameters"]["limit"]),
        (&first.as_str().into(), &"web2".into())
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_approves_rejects_and_cancels_with_a_comment() {
    let folder = Folder::new();
    let gateway = gateway(&folder, "wait_for('/never')").await;
    let mut jobs = Vec::new();
    for fingerprint in ["f1", "f2"] {
        let decisions = gateway.alert(&[firing("Slow", fingerprint)]).await;
        jobs.push(decisions[0]["job"].as_str().unwrap().to_owned());
    }
    let rejected = ask(
        &gateway,
        &["jobs", "reject", &jobs[0], "--comment", "not during the sale"],
    );
    assert_eq!(rejected.code, 0, "{rejected:?}");
    assert!(rejected.out.contains("canceled, rejected"), "{rejected:?}");
    let events = gateway.get(&format!("/api/v1/jobs/{}/events", jobs[0])).await;
    assert!(events.to_string().contains("not during the sale"), "{events}");

    assert_eq!(ask(&gateway, &["jobs", "approve", &jobs[1], "--comment", "go"]).code, 0);
    gateway.until_status(&jobs[1], "running").await;
    let canceled = ask(&gateway, &["jobs", "cancel", &jobs[1], "--output", "json"]).json();
    assert_eq!(canceled["id"], jobs[1].as_str());
    assert_eq!(gateway.until_finished(&jobs[1]).await["reason"], "canceled");
    let late = ask(&gateway, &["jobs", "cancel", &jobs[1]]);
    insta::assert_snapshot!("canceled_too_late", late.told());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_gateway_will_not_do_is_told_with_its_exit_code() {
    let folder = Folder::new();
    let gateway = gateway(&folder, FIX).await;
    insta::assert_snapshot!("no_such_playbook", ask(&gateway, &["jobs", "run", "fxi"]).told());
    insta::assert_snapshot!("a_label_is_missing", ask(&gateway, &["jobs", "run", "fix"]).told());
    folder.write("broken.json", "[]");
    let broken = folder.path("broken.json").display().to_string();
    assert_eq!(ask(&gateway, &["jobs", "run", "fix", "--vars-file", &broken]).code, 2);
    assert_eq!(
        ask(&gateway, &["jobs", "run", "fix", "--vars-file", "/nowhere.json"]).code,
        1
    );
    let unknown = "019a5b3c-1234-7000-8000-00000000000a";
    for action in ["rerun", "cancel", "approve", "reject"] {
        let said = ask(&gateway, &["jobs", action, unknown]);
        assert_eq!(said.code, 5, "{said:?}");
        assert!(said.err.contains("no such job"), "{said:?}");
    }
}
