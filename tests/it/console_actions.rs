//! Acting in the console without scripts: every act says first what it will do, is done once, and names who did it.

use reqwest::Method;
use serde_json::Value;

use crate::console_sessions::{guarded, tokens};
use crate::support::alerts::firing;
use crate::support::folder::{FIX, Folder};
use crate::support::gateway::Gateway;
use crate::support::visitor::Visitor;
use crate::support::wait::until;

/// A playbook that fails on one of two hosts.
const BROKEN: &str = "result(host='web1', status='failed', message='no such service')\nresult(host='web2')\n\
                      stats(web1={'failures': 1}, web2={'ok': 1})\nend(2)\n";

async fn jobs(gateway: &Gateway) -> Vec<Value> {
    gateway.get("/api/v1/jobs").await["items"].as_array().unwrap().clone()
}

/// The messages of a job's history that a person is named in.
async fn acts_of(gateway: &Gateway, job: &str, person: &str) -> Vec<String> {
    let events = gateway.get(&format!("/api/v1/jobs/{job}/events")).await;
    let events = events["items"].as_array().unwrap();
    let own = events.iter().filter(|event| event["by"] == person);
    own.map(|event| event["message"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn failed_hosts_are_run_again_once_however_often_the_button_is_pressed() {
    let folder = Folder::new();
    folder.write("fix.yml", BROKEN);
    let gateway = guarded(&folder).await;
    let first = gateway.queue(firing("Down", "f1")).await;
    gateway.until_finished(&first).await;
    let visitor = Visitor::signed_in(&gateway, "secret-operator").await;
    let page = visitor.see(&format!("/jobs/{first}")).await;
    let text = page.text();
    assert!(
        text.contains("failed on web1: a task on web1: no such service; the alert still fires"),
        "{text}"
    );
    assert!(page.leads_to(&format!("/jobs/{first}/rerun?hosts=failed")));

    let path = format!("/jobs/{first}/rerun");
    let confirm = visitor.see(&format!("{path}?hosts=failed")).await;
    let text = confirm.text();
    assert!(
        text.contains("fix will run on the host that failed: web1. The inventory is"),
        "{text}"
    );
    let everywhere = visitor.see(&path).await.text();
    assert!(
        everywhere.contains("fix will run on all hosts that its plays choose; last time these were web1, web2."),
        "{everywhere}"
    );
    assert_eq!(jobs(&gateway).await.len(), 1, "asking did something");

    let form = confirm.form(&path);
    let (one, two) = tokio::join!(visitor.send(&form), visitor.send(&form));
    assert_eq!((one.status, two.status), (303, 303), "{} {}", one.html, two.html);
    assert_eq!(one.location, two.location);
    assert_eq!(visitor.send(&form).await.location, one.location);
    let all = jobs(&gateway).await;
    assert_eq!(all.len(), 2);
    let (new, to) = (&all[0], one.location.unwrap());
    assert_eq!(to, format!("/jobs/{}", new["id"].as_str().unwrap()));
    assert_eq!(
        (&new["rerun_of"], &new["parameters"]["limit"]),
        (&first.as_str().into(), &"web1".into())
    );
    assert_eq!(new["triggered_by"], "operator");
    let followed = visitor.see(&to).await.text();
    assert!(followed.contains("run again by operator for Down"), "{followed}");
    // And the old one leads to it.
    assert!(visitor.see(&format!("/jobs/{first}")).await.leads_to(&to));
    // Without its token, and with that of another session, the form does nothing.
    let other = Visitor::signed_in(&gateway, "secret-operator").await;
    assert_eq!(other.send(&confirm.form(&path)).await.status, 403);
    assert_eq!(visitor.send(&form.with("proof", "")).await.status, 403);
}

#[tokio::test]
async fn a_re_run_says_what_the_catalogue_has_changed_since() {
    let folder = Folder::new();
    let gateway = guarded(&folder).await;
    let first = gateway.queue(firing("Down", "f1")).await;
    gateway.until_finished(&first).await;
    folder.write("fix.yml", &format!("say('otherwise')\n{FIX}"));
    let visitor = Visitor::signed_in(&gateway, "secret-operator").await;
    let text = visitor.see(&format!("/jobs/{first}")).await.text();
    assert!(text.contains("Changed since playbook_sha256"), "{text}");
    let text = visitor.see(&format!("/jobs/{first}/rerun?check=true")).await.text();
    assert!(
        text.contains("The catalogue has changed since that job was made"),
        "{text}"
    );
    assert!(text.contains("run in check mode, which changes nothing"), "{text}");
}

#[tokio::test]
async fn a_running_job_is_canceled_with_a_comment() {
    let folder = Folder::new();
    folder.write("fix.yml", "wait_for('/never')");
    let gateway = guarded(&folder).await;
    let job = gateway.queue(firing("Down", "f1")).await;
    gateway.until_status(&job, "running").await;
    let visitor = Visitor::signed_in(&gateway, "secret-operator").await;
    let path = format!("/jobs/{job}/cancel");
    let confirm = visitor.see(&path).await;
    assert!(
        confirm.text().contains("fix is running on all hosts"),
        "{}",
        confirm.text()
    );
    let form = confirm.form(&path).with("comment", "wrong <host>");
    assert_eq!(visitor.follow(&form).await.0, format!("/jobs/{job}"));
    // The second click leads to the job, too.
    assert_eq!(visitor.send(&form).await.location, Some(format!("/jobs/{job}")));
    assert_eq!(gateway.until_finished(&job).await["reason"], "canceled");
    let told = acts_of(&gateway, &job, "operator").await.join(" ");
    assert!(told.contains("wrong <host>"), "{told}");
    let page = visitor.see(&format!("/jobs/{job}")).await;
    assert!(
        page.text().contains("wrong <host>") && !page.html.contains("<host>"),
        "{}",
        page.html
    );
    let late = visitor.get(&path).await;
    assert_eq!(late.status, 409);
    assert!(late.text().contains("there is nothing to cancel"), "{}", late.text());
}

#[tokio::test]
async fn what_has_begun_meanwhile_is_not_canceled_by_who_was_told_that_it_will_not_run() {
    let folder = Folder::new();
    folder.settings(&format!("{}worker:\n  slots: 1\n", tokens(&["operator", "admin"])));
    folder.write("fix.yml", &format!("wait_for({:?})\n{FIX}", folder.path("go")));
    folder.write("slow.yml", "wait_for('/never')");
    folder.write(
        "remediations.yml",
        "playbooks:\n  fix: {path: fix.yml}\n  slow: {path: slow.yml}\nroutes:\n  \
         - {name: down, matchers: ['alertname=\"Down\"'], playbook: fix}\n  \
         - {name: slow, matchers: ['alertname=\"Slow\"'], playbook: slow}\n",
    );
    let gateway = Gateway::start(&folder).await.with_token("secret-admin");
    let first = gateway.queue(firing("Down", "f1")).await;
    gateway.until_status(&first, "running").await;
    let second = gateway.queue(firing("Slow", "f2")).await;
    let visitor = Visitor::signed_in(&gateway, "secret-operator").await;
    let path = format!("/jobs/{second}/cancel");
    let asked = visitor.see(&path).await;
    assert!(asked.text().contains("slow will not run."), "{}", asked.text());
    folder.write("go", "");
    gateway.until_status(&second, "running").await;
    let again = visitor.send(&asked.form(&path)).await;
    assert_eq!(again.status, 200, "{}", again.html);
    let text = again.text();
    assert!(
        text.contains("has moved on") && text.contains("Ansible is stopped"),
        "{text}"
    );
    assert_eq!(gateway.job(&second).await["status"], "running");
    assert_eq!(visitor.send(&again.form(&path)).await.status, 303);
    assert_eq!(gateway.until_finished(&second).await["status"], "canceled");
}

#[tokio::test]
async fn nothing_runs_that_is_another_thing_than_was_shown() {
    let folder = Folder::new();
    let gateway = guarded(&folder).await;
    let first = gateway.queue(firing("Down", "f1")).await;
    gateway.until_finished(&first).await;
    let visitor = Visitor::signed_in(&gateway, "secret-operator").await;
    let path = format!("/jobs/{first}/rerun");
    let again = visitor.see(&path).await.form(&path);
    let by_hand = visitor.see("/playbooks/fix/run").await.form("/playbooks/fix/run");
    let by_hand = visitor
        .send(&by_hand)
        .await
        .form("/playbooks/fix/run")
        .with("step", "run");
    let catalogue = folder.read("remediations.yml");
    folder.write("other.yml", FIX);
    folder.write("remediations.yml", &catalogue.replace("fix.yml", "other.yml"));
    assert_eq!(gateway.post("/api/v1/reload").await.status(), 200);
    for form in [&again, &by_hand] {
        let refused = visitor.send(form).await;
        assert_eq!(refused.status, 409, "{}", refused.html);
        assert!(refused.text().contains("nothing was run"), "{}", refused.text());
    }
    assert_eq!(jobs(&gateway).await.len(), 1);
    folder.write("remediations.yml", &catalogue);
    assert_eq!(gateway.post("/api/v1/reload").await.status(), 200);
    for form in [&again, &by_hand] {
        assert_eq!(visitor.send(form).await.status, 303);
    }
    assert_eq!(jobs(&gateway).await.len(), 3);
}

#[tokio::test]
async fn a_job_is_approved_or_rejected_by_somebody_with_a_comment() {
    let folder = Folder::new();
    folder.write(
        "remediations.yml",
        "playbooks:\n  fix: {path: fix.yml}\nroutes:\n  - {name: down, matchers: ['alertname=\"Down\"'], playbook: fix, mode: approve}\n",
    );
    let gateway = guarded(&folder).await;
    let visitor = Visitor::signed_in(&gateway, "secret-operator").await;
    for (fingerprint, act, status) in [("f1", "approve", "succeeded"), ("f2", "reject", "canceled")] {
        let decisions = gateway.alert(&[firing("Down", fingerprint)]).await;
        let job = decisions[0]["job"].as_str().unwrap().to_owned();
        let now = visitor.see("/").await;
        assert!(now.text().contains("Waits for approval") && now.leads_to(&format!("/jobs/{job}")));
        let path = format!("/jobs/{job}/{act}");
        assert!(visitor.see(&format!("/jobs/{job}")).await.leads_to(&path));
        let form = visitor.see(&path).await.form(&path).with("comment", "as agreed");
        visitor.follow(&form).await;
        assert_eq!(gateway.until_finished(&job).await["status"], status);
        let told = acts_of(&gateway, &job, "operator").await.join(" ");
        assert!(told.contains("as agreed"), "{told}");
    }
}

#[tokio::test]
async fn a_playbook_is_run_by_hand_with_a_form_made_of_what_it_takes() {
    let folder = Folder::new();
    folder.write(
        "remediations.yml",
        "playbooks:\n  fix:\n    path: fix.yml\n    vars: {container: '{{ alert.labels.container }}', days: 7}\n    lock: 'container/{{ alert.labels.container }}'\n",
    );
    let gateway = guarded(&folder).await;
    let visitor = Visitor::signed_in(&gateway, "secret-operator").await;
    let path = "/playbooks/fix/run";
    let form = visitor.see(path).await.form(path);
    let names: Vec<&str> = form.fields.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(
        names,
        [
            "nonce",
            "proof",
            "label.container",
            "var.container",
            "var.days",
            "limit"
        ]
    );
    // What is missing is named, and what was filled in stays.
    let refused = visitor.send(&form.clone().with("var.days", "9")).await;
    assert_eq!(refused.status, 400);
    assert!(refused.text().contains("container"), "{}", refused.text());
    let form = refused.form(path);
    assert!(
        form.fields.contains(&("var.days".to_owned(), "9".to_owned())),
        "{form:?}"
    );
    let form = form.with("label.container", "nginx").with("limit", "localhost");
    let confirm = visitor.send(&form).await;
    assert_eq!(confirm.status, 200);
    let text = confirm.text();
    assert!(
        text.contains("fix will run on localhost") && text.contains("the target container/nginx"),
        "{text}"
    );
    assert!(jobs(&gateway).await.is_empty(), "asking did something");

    let run = confirm.form(path).with("step", "run");
    let (one, two) = tokio::join!(visitor.send(&run), visitor.send(&run));
    assert_eq!((one.status, &one.location), (303, &two.location), "{}", one.html);
    let all = jobs(&gateway).await;
    assert_eq!(all.len(), 1);
    assert_eq!(
        (&all[0]["trigger"], &all[0]["triggered_by"]),
        (&"manual".into(), &"operator".into())
    );
    let vars = &all[0]["parameters"]["vars"];
    assert_eq!((&vars["container"], &vars["days"]), (&"nginx".into(), &9.into()));
    assert_eq!(one.location, Some(format!("/jobs/{}", all[0]["id"].as_str().unwrap())));
}

#[tokio::test]
async fn everything_a_route_and_a_target_are_paused_and_resumed() {
    let folder = Folder::new();
    let gateway = guarded(&folder).await;
    let visitor = Visitor::signed_in(&gateway, "secret-operator").await;
    for (scope, target, stored, words) in [
        ("all", "", "all", "Everything is paused by operator"),
        ("route:down", "", "route:down", "The route down is paused by operator"),
        (
            "target",
            "disk/a b",
            "target:disk/a b",
            "The target disk/a b is paused by operator",
        ),
    ] {
        let form = visitor.see("/pause").await.form("/pause");
        let form = form
            .with("scope", scope)
            .with("target", target)
            .with("comment", "<i>maintenance</i>");
        let (_, now) = visitor.follow(&form).await;
        assert!(now.text().contains(words), "{}", now.text());
        assert!(
            now.text().contains("<i>maintenance</i>") && !now.html.contains("<i>"),
            "{}",
            now.html
        );
        assert_eq!(gateway.get("/api/v1/pause").await["items"][0]["scope"], stored);
        let encoded = stored.replace(':', "%3A").replace('/', "%2F").replace(' ', "%20");
        let path = format!("/resume?scope={encoded}");
        assert!(now.leads_to(&path), "{}", now.html);
        let form = visitor.see(&path).await.form("/resume");
        let (_, now) = visitor.follow(&form.with("comment", &format!("{scope} is well"))).await;
        let resumed = words
            .replace(" is paused by operator", "")
            .replacen("The", "the", 1)
            .replacen("Every", "every", 1);
        assert!(
            now.text()
                .contains(&format!("operator resumed {resumed}: {scope} is well")),
            "{}",
            now.text()
        );
        assert!(
            gateway.get("/api/v1/pause").await["items"]
                .as_array()
                .unwrap()
                .is_empty()
        );
        until("the log says why it goes on", || async {
            gateway.logged().contains(&format!("{scope} is well")).then_some(())
        })
        .await;
    }
}

#[tokio::test]
async fn a_pause_of_two_things_or_of_nothing_is_refused() {
    let folder = Folder::new();
    let gateway = guarded(&folder).await;
    let visitor = Visitor::signed_in(&gateway, "secret-operator").await;
    let form = visitor.see("/pause").await.form("/pause").with("scope", "all");
    let unclear = visitor.send(&form.with("target", "disk/a b")).await;
    assert_eq!(unclear.status, 400, "the target is typed, and everything chosen");
    assert!(unclear.text().contains("which of them"), "{}", unclear.text());
    assert_eq!(gateway.get("/api/v1/pause").await["items"], serde_json::json!([]));
    let unknown = visitor.see("/pause").await.form("/pause").with("scope", "route:dwon");
    let refused = visitor.send(&unknown).await;
    assert_eq!(refused.status, 400);
    assert!(refused.text().contains("did you mean"), "{}", refused.text());
}

#[tokio::test]
async fn who_pauses_again_without_a_word_takes_no_place() {
    let folder = Folder::new();
    let gateway = guarded(&folder).await;
    let admin = Visitor::signed_in(&gateway, "secret-admin").await;
    let form = admin.see("/pause").await.form("/pause").with("scope", "all");
    admin.follow(&form.with("comment", "not before 5:00")).await;
    let operator = Visitor::signed_in(&gateway, "secret-operator").await;
    let page = operator.see("/pause").await;
    assert!(page.text().contains("not before 5:00"), "{}", page.text());
    let words = "Everything is paused by admin";
    let form = page.form("/pause").with("scope", "all");
    let (_, now) = operator.follow(&form).await;
    assert!(
        now.text().contains(words) && now.text().contains("not before 5:00"),
        "{}",
        now.text()
    );
    let (_, now) = operator.follow(&form.with("comment", "not before 6:00")).await;
    let words = "Everything is paused by operator";
    assert!(
        now.text().contains(words) && now.text().contains("not before 6:00"),
        "{}",
        now.text()
    );
}

#[tokio::test]
async fn a_breaker_is_opened_and_closed_by_hand() {
    let folder = Folder::new();
    let gateway = guarded(&folder).await;
    let visitor = Visitor::signed_in(&gateway, "secret-operator").await;
    for (scope, of) in [("all", "all routes"), ("route:down", "the route down")] {
        let encoded = scope.replace(':', "%3A");
        let form = visitor.see(&format!("/breakers/open?scope={encoded}")).await;
        assert!(
            form.text().contains(&format!("Open the breaker of {of}?")),
            "{}",
            form.text()
        );
        let form = form.form("/breakers/open").with("comment", "<i>the disk</i>");
        let (_, now) = visitor.follow(&form).await;
        let words = format!("Breaker of {scope}: open");
        assert!(now.text().contains(&words), "{}", now.text());
        assert!(
            now.text().contains("opened by operator: <i>the disk</i>"),
            "{}",
            now.text()
        );
        let late = form.with("comment", "a second click");
        let (_, now) = visitor.follow(&late).await;
        assert!(
            now.text().contains("<i>the disk</i>"),
            "who was first stays named: {}",
            now.text()
        );

        let path = format!("/breakers/close?scope={encoded}");
        assert!(now.leads_to(&path), "{}", now.html);
        let form = visitor.see(&path).await.form("/breakers/close");
        let (_, now) = visitor.follow(&form).await;
        assert!(
            now.text().contains(&format!("operator closed the breaker of {of}")),
            "{}",
            now.text()
        );
        assert!(
            gateway.get("/api/v1/breakers").await["items"]
                .as_array()
                .unwrap()
                .is_empty()
        );
        // What is closed already is nothing to ask about.
        assert_eq!(visitor.get(&path).await.location.as_deref(), Some("/"));
        assert_eq!(visitor.send(&form).await.status, 303);
    }
    for (path, words) in [
        ("/breakers/open?scope=route:dwon", "did you mean"),
        ("/breakers/open?scope=target:x", "a target has no breaker"),
        ("/breakers/close?scope=target:x", "a target has no breaker"),
        ("/breakers/close?scope=nonsense", "is no scope"),
    ] {
        let refused = visitor.get(path).await;
        assert_eq!(refused.status, 400, "{path}");
        assert!(refused.text().contains(words), "{path}: {}", refused.text());
    }
}

#[tokio::test]
async fn a_storm_is_let_pass_by_somebody_who_is_named_afterwards() {
    let folder = Folder::new();
    let catalogue = folder.read("remediations.yml");
    folder.write(
        "remediations.yml",
        &format!("{catalogue}\nstorm: {{ jobs: 1, within: 1h }}\n"),
    );
    let gateway = guarded(&folder).await;
    let visitor = Visitor::signed_in(&gateway, "secret-operator").await;
    assert_eq!(
        visitor.get("/held/release").await.location.as_deref(),
        Some("/"),
        "nothing is held back"
    );
    gateway
        .alert(&[firing("Down", "f1"), firing("Down", "f2"), firing("Down", "f3")])
        .await;
    let now = visitor.see("/").await;
    assert!(now.leads_to("/held/release"), "{}", now.html);
    let confirm = visitor.see("/held/release").await;
    let text = confirm.text();
    assert!(text.contains("The storm limit holds back 2 alerts."), "{text}");
    assert!(text.contains("2 of the route down"), "{text}");
    let form = confirm.form("/held/release");
    let (_, now) = visitor.follow(&form).await;
    assert!(
        now.text().contains("operator let the storm pass of all routes"),
        "{}",
        now.text()
    );
    let job = until("it is let pass", || async {
        let jobs = gateway.get("/api/v1/jobs?fingerprint=f2").await;
        jobs["items"][0]["id"].as_str().map(str::to_owned)
    })
    .await;
    assert_eq!(acts_of(&gateway, &job, "operator").await, ["let pass the storm limit"]);
    let page = visitor.see(&format!("/jobs/{job}")).await.text();
    assert!(page.contains("let pass the storm limit by operator"), "{page}");
}

#[tokio::test]
async fn what_a_role_may_not_do_is_refused_with_a_right_form_too() {
    let folder = Folder::new();
    let gateway = guarded(&folder).await;
    let job = gateway.queue(firing("Down", "f1")).await;
    gateway.until_finished(&job).await;
    let viewer = Visitor::signed_in(&gateway, "secret-viewer").await;
    let operator = Visitor::signed_in(&gateway, "secret-operator").await;
    let own = operator.see("/pause").await.form("/pause");
    for path in [
        format!("/jobs/{job}/rerun"),
        format!("/jobs/{job}/cancel"),
        "/pause".to_owned(),
        "/breakers/open".to_owned(),
        "/breakers/close".to_owned(),
        "/held/release".to_owned(),
        "/playbooks/fix/run".to_owned(),
    ] {
        let form = crate::support::visitor::Form {
            action: path.clone(),
            fields: own.fields.clone(),
        };
        assert_eq!(viewer.send(&form).await.status, 403, "{path}");
    }
    let answer = viewer
        .request(Method::POST, &format!("/api/v1/jobs/{job}/rerun"))
        .header("Origin", gateway.url());
    assert_eq!(answer.send().await.unwrap().status(), 403);
    assert_eq!(jobs(&gateway).await.len(), 1);
}
