//! The brakes as an operator has them: the kill switch, breakers, what is held back, and what explain says about it.

use reqwest::{Method, StatusCode};
use rustix::process::Signal;
use serde_json::{Value, json};

use crate::support::alerts::{firing, notification};
use crate::support::folder::{FIX, Folder};
use crate::support::gateway::Gateway;
use crate::support::wait::until;

async fn send(gateway: &Gateway, method: Method, path: &str, body: Option<Value>) -> (StatusCode, Value) {
    let request = gateway.request(method, path);
    let request = match body {
        Some(body) => request.json(&body),
        None => request,
    };
    let answer = request.send().await.unwrap();
    let status = answer.status();
    let text = answer.text().await.unwrap();
    (status, serde_json::from_str(&text).unwrap_or(Value::Null))
}

async fn explained(gateway: &Gateway, alert: &str) -> Value {
    let body = notification(&[firing("Down", alert)]);
    let (status, told) = send(gateway, Method::POST, "/api/v1/explain", Some(body)).await;
    assert_eq!(status, 200);
    told["items"][0]["routes"][0].clone()
}

#[tokio::test]
async fn the_kill_switch_stops_everything_that_has_not_begun_and_lets_it_go_on() {
    let folder = Folder::new();
    let gateway = Gateway::start(&folder).await;
    let done = gateway.queue(firing("Down", "f0")).await;
    gateway.until_finished(&done).await;

    let wish = json!({"scope": "all", "comment": "maintenance"});
    let (status, pause) = send(&gateway, Method::PUT, "/api/v1/pause", Some(wish)).await;
    assert_eq!(status, 200);
    assert_eq!(
        (&pause["scope"], &pause["comment"], &pause["by"]),
        (&"all".into(), &"maintenance".into(), &"anonymous".into())
    );
    assert_eq!(
        gateway.get("/api/v1/pause").await,
        json!({"items": [pause], "next_cursor": null})
    );
    let decisions = gateway.alert(&[firing("Down", "f1")]).await;
    assert_eq!(
        (&decisions[0]["decision"], &decisions[0]["job"]),
        (&"paused".into(), &Value::Null)
    );
    assert!(decisions[0]["reason"].as_str().unwrap().contains("maintenance"));
    assert_eq!(explained(&gateway, "f2").await["paused"], true);
    // A person's jobs are refused, and told why.
    for (path, body) in [
        (format!("/api/v1/jobs/{done}/rerun"), json!({})),
        (
            "/api/v1/jobs".to_owned(),
            json!({"playbook": "fix", "alert": {"labels": {"alertname": "Down"}}}),
        ),
    ] {
        let (status, problem) = send(&gateway, Method::POST, &path, Some(body)).await;
        assert_eq!(status, 409);
        assert!(
            problem["detail"].as_str().unwrap().contains("paused by anonymous"),
            "{problem}"
        );
    }
    let held = gateway.get("/api/v1/held").await;
    assert_eq!(
        (&held["items"][0]["fingerprint"], &held["items"][0]["decision"]),
        (&"f1".into(), &"paused".into())
    );

    let (status, _) = send(&gateway, Method::DELETE, "/api/v1/pause", None).await;
    assert_eq!(status, 204);
    let job = until("what still fires is decided again", || async {
        let jobs = gateway.get("/api/v1/jobs?fingerprint=f1").await;
        jobs["items"][0]["id"].as_str().map(str::to_owned)
    })
    .await;
    assert_eq!(gateway.until_finished(&job).await["status"], "succeeded");
    assert_eq!(gateway.get("/api/v1/held").await["items"], json!([]));
}

#[tokio::test]
async fn a_pause_outlives_the_gateway_and_can_be_of_a_route_or_a_target() {
    let folder = Folder::new();
    let gateway = Gateway::start(&folder).await;
    for scope in ["route:down", "target:fix/f1"] {
        let (status, _) = send(&gateway, Method::PUT, "/api/v1/pause", Some(json!({"scope": scope}))).await;
        assert_eq!(status, 200, "{scope}");
    }
    gateway.kill().await;
    let gateway = Gateway::start(&folder).await;
    assert_eq!(gateway.alert(&[firing("Down", "f1")]).await[0]["decision"], "paused");
    let (status, _) = send(&gateway, Method::DELETE, "/api/v1/pause?scope=route:down", None).await;
    assert_eq!(status, 204);
    assert_eq!(gateway.alert(&[firing("Down", "f1")]).await[0]["decision"], "paused");
    assert_eq!(gateway.alert(&[firing("Down", "f2")]).await[0]["decision"], "queued");
    let wish = json!({"scope": "target:fix/f1"});
    let (status, _) = send(&gateway, Method::DELETE, "/api/v1/pause", Some(wish)).await;
    assert_eq!(status, 204);
    for (body, field) in [
        (json!({"scope": "every"}), "scope"),
        (json!({}), "scope"),
        (json!({"scop": "all"}), "scop"),
    ] {
        let (status, problem) = send(&gateway, Method::PUT, "/api/v1/pause", Some(body)).await;
        assert_eq!(status, 400, "{field}: {problem}");
        assert_eq!(problem["errors"][0]["field"], field, "{problem}");
    }
}

#[tokio::test]
async fn only_a_route_that_is_there_is_paused_and_one_that_is_gone_can_be_resumed() {
    let folder = Folder::new();
    let gateway = Gateway::start(&folder).await;
    for path in ["/api/v1/pause", "/api/v1/breakers"] {
        let (status, problem) = send(&gateway, Method::PUT, path, Some(json!({"scope": "route:dwon"}))).await;
        assert_eq!(status, 400, "{path}: {problem}");
        let message = "the catalogue has no route \"dwon\" (did you mean `down`?)";
        assert_eq!(problem["errors"], json!([{"field": "scope", "message": message}]));
        let wish = json!({"scope": "route:down"});
        assert!(send(&gateway, Method::PUT, path, Some(wish)).await.0.is_success());
    }
    let catalogue = folder.read("remediations.yml");
    folder.write("remediations.yml", &catalogue.replace("name: down", "name: other"));
    assert_eq!(send(&gateway, Method::POST, "/api/v1/reload", None).await.0, 200);
    for path in ["/api/v1/pause", "/api/v1/breakers"] {
        let wish = json!({"scope": "route:down", "comment": "it is gone"});
        assert_eq!(send(&gateway, Method::DELETE, path, Some(wish)).await.0, 204);
        assert_eq!(gateway.get(path).await["items"], json!([]), "{path}");
    }
    until("the log has both comments", || async {
        (gateway.logged().matches("it is gone").count() == 2).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_signal_throws_the_kill_switch_too() {
    let folder = Folder::new();
    let gateway = Gateway::start(&folder).await;
    gateway.signal(Signal::USR1);
    let pause = until("it is paused", || async {
        let pauses = gateway.get("/api/v1/pause").await;
        pauses["items"].get(0).cloned()
    })
    .await;
    assert_eq!((&pause["scope"], &pause["by"]), (&"all".into(), &"SIGUSR1".into()));
    assert_eq!(gateway.alert(&[firing("Down", "f1")]).await[0]["decision"], "paused");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_kill_switch_is_thrown_from_the_terminal() {
    let folder = Folder::new();
    let gateway = Gateway::start(&folder).await;
    let run = |args: &[&str]| {
        let mut command = assert_cmd::Command::cargo_bin("healgate").unwrap();
        // A proxy of the environment is nobody's business: it would see the token.
        let command = command.args(args).env("HEALGATE_URL", gateway.url());
        let command = command.env("HTTP_PROXY", "http://127.0.0.1:9").env_remove("NO_PROXY");
        let output = tokio::task::block_in_place(|| command.output().unwrap());
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        (output.status.code(), text(&output.stdout), text(&output.stderr))
    };
    let (code, said, _) = run(&["pause", "--comment", "the network is down"]);
    assert_eq!(code, Some(0));
    assert!(said.starts_with("paused: all, by anonymous since "), "{said}");
    let decided = gateway.alert(&[firing("Down", "f1")]).await;
    assert!(
        decided[0]["reason"].as_str().unwrap().contains("the network is down"),
        "{decided:?}"
    );
    assert_eq!(run(&["pause", "route:down"]).0, Some(0));
    let (code, said, _) = run(&["pause", "--list"]);
    assert_eq!(code, Some(0));
    assert_eq!(said.lines().count(), 3, "{said}");
    assert!(
        said.contains("the network is down") && said.contains("route:down"),
        "{said}"
    );
    let (_, said, _) = run(&["pause", "--list", "--output", "json"]);
    let listed: Value = serde_json::from_str(&said).unwrap();
    assert_eq!(listed, gateway.get("/api/v1/pause").await);
    let (code, said, _) = run(&["resume"]);
    assert_eq!(code, Some(0));
    assert!(
        said.contains("\nstill paused: route:down, by anonymous since "),
        "{said}"
    );
    assert!(run(&["resume"]).1.starts_with("all was not paused\nstill paused: "));
    let (_, said, _) = run(&["resume", "route:down"]);
    assert_eq!(said, "resumed: route:down; what still fires is decided again\n");
    assert_eq!(run(&["pause", "--list"]).1, "nothing is paused\n");
    let (code, _, said) = run(&["pause", "everything"]);
    assert_eq!(code, Some(2));
    assert!(said.contains("write all, route:NAME or target:NAME"), "{said}");
    gateway.kill().await;
}

#[tokio::test]
async fn cooldowns_caps_and_breakers_are_explained_with_their_times_and_counts() {
    let folder = Folder::new();
    folder.write(
        "remediations.yml",
        r#"
playbooks:
  fix: { path: fix.yml, lock: service/nginx }
routes:
  - name: down
    matchers: ['alertname="Down"']
    playbook: fix
    cooldown: 5m
    caps: [3 per 1h]
    breaker: { failures: 1, within: 1h, pause: 30m }
"#,
    );
    folder.write(
        "fix.yml",
        &FIX.replace(
            "ok()",
            "result(status='failed'); stats(localhost={'failures': 1}); end(2)",
        ),
    );
    let gateway = Gateway::start(&folder).await;
    let before = explained(&gateway, "f1").await;
    assert_eq!(
        (&before["cooldown_until"], &before["caps"], &before["breaker"]),
        (&Value::Null, &json!([{"cap": "3 per 1h", "used": 0}]), &Value::Null)
    );
    let job = gateway.queue(firing("Down", "f1")).await;
    gateway.until_finished(&job).await;
    let after = explained(&gateway, "f2").await;
    assert!(after["cooldown_until"].is_string(), "{after:#}");
    assert_eq!(
        (&after["caps"][0]["used"], &after["breaker"], &after["decision"]),
        (&1.into(), &"open".into(), &"tripped".into())
    );
    assert!(after["argv"].is_array() && after["vars"].is_object());
    let open = gateway.get("/api/v1/breakers").await;
    assert_eq!(
        (&open["items"][0]["scope"], &open["items"][0]["state"]),
        (&"route:down".into(), &"open".into())
    );
    let (status, _) = send(&gateway, Method::DELETE, "/api/v1/breakers?scope=route:down", None).await;
    assert_eq!(status, 204);
    assert_eq!(explained(&gateway, "f2").await["decision"], "cooling_down");
    let wish = json!({"scope": "all", "comment": "the network is down"});
    assert_eq!(send(&gateway, Method::PUT, "/api/v1/breakers", Some(wish)).await.0, 204);
    let told = explained(&gateway, "f2").await;
    assert!(
        told["reason"].as_str().unwrap().contains("the network is down"),
        "{told:#}"
    );
    let wrong = json!({"scope": "target:x"});
    assert_eq!(
        send(&gateway, Method::PUT, "/api/v1/breakers", Some(wrong)).await.0,
        400
    );
}

#[tokio::test]
async fn a_storm_is_held_and_a_person_lets_it_pass() {
    let folder = Folder::new();
    let catalogue = folder.read("remediations.yml");
    folder.write(
        "remediations.yml",
        &format!("{catalogue}\nstorm: {{ jobs: 1, within: 1h }}\n"),
    );
    let gateway = Gateway::start(&folder).await;
    let decisions = gateway.alert(&[firing("Down", "f1"), firing("Down", "f2")]).await;
    assert_eq!(
        (&decisions[0]["decision"], &decisions[1]["decision"]),
        (&"queued".into(), &"held".into())
    );
    let (status, released) = send(&gateway, Method::POST, "/api/v1/held/release", None).await;
    assert_eq!((status, released), (StatusCode::OK, json!({"released": 1})));
    until("it is let pass", || async {
        let jobs = gateway.get("/api/v1/jobs?fingerprint=f2&status=succeeded").await;
        jobs["items"].get(0).cloned()
    })
    .await;
}

#[tokio::test]
async fn a_ladder_climbs_until_something_heals() {
    let folder = Folder::new();
    folder.write(
        "remediations.yml",
        r#"
playbooks:
  fix: { path: fix.yml, lock: service/nginx }
  recreate: { path: recreate.yml, lock: service/nginx }
routes:
  - name: down
    matchers: ['alertname="Down"']
    playbook: fix
    retry: { attempts: 2, backoff: 1s, outcomes: [failed] }
    otherwise: [recreate]
"#,
    );
    folder.write(
        "fix.yml",
        "result(status='failed'); stats(localhost={'failures': 1}); end(2)",
    );
    folder.write("recreate.yml", FIX);
    let gateway = Gateway::start(&folder).await;
    let first = gateway.queue(firing("Down", "f1")).await;
    let failed = gateway.until_finished(&first).await;
    assert_eq!(
        (&failed["reason"], failed["attempts"].as_array().unwrap().len()),
        (&"hosts_failed".into(), 2)
    );
    let second = until("the next rung", || async {
        let jobs = gateway.get("/api/v1/jobs?trigger=ladder").await;
        jobs["items"][0]["id"].as_str().map(str::to_owned)
    })
    .await;
    let healed = gateway.until_finished(&second).await;
    assert_eq!(
        (
            &healed["status"],
            &healed["playbook"],
            &healed["follows"],
            &healed["route"]
        ),
        (
            &"succeeded".into(),
            &"recreate".into(),
            &first.as_str().into(),
            &"down".into()
        )
    );
}
