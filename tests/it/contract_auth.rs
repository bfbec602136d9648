//! Who may do what, what the gateway refuses to start with, and what it keeps to itself.

use std::os::unix::fs::PermissionsExt;

use assert_cmd::Command;
use reqwest::{Method, StatusCode};
use serde_json::Value;
use sha2::Digest;

use crate::support::alerts::{firing, notification};
use crate::support::folder::Folder;
use crate::support::gateway::Gateway;
use crate::support::wait::until;

const ROLES: [&str; 4] = ["sender", "viewer", "operator", "admin"];

/// An id that no job has.
const NOBODY: &str = "0190b6a2-7c1e-7d3a-9f00-0123456789ab";

/// Tokens named as their roles, whose secrets are `secret-` and the role.
fn tokens() -> String {
    ROLES.iter().fold("auth:\n  tokens:\n".to_owned(), |mut text, role| {
        let digest = hex::encode(sha2::Sha256::digest(format!("secret-{role}")));
        text.push_str(&format!("    - {{name: {role}, role: {role}, sha256: \"{digest}\"}}\n"));
        text
    })
}

/// The status that a call with these headers is answered with.
async fn status(gateway: &Gateway, (method, path): (&str, &str), headers: &[(&str, &str)]) -> u16 {
    let mut request = gateway.request(Method::from_bytes(method.as_bytes()).unwrap(), path);
    if path == "/webhooks/alertmanager" || path == "/alert" || path == "/api/v1/explain" {
        request = request.body(notification(&[]).to_string());
    }
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let answer = request.send().await.unwrap();
    let status = answer.status();
    if status.is_client_error() && method != "HEAD" {
        assert_eq!(answer.headers()["content-type"], "application/problem+json", "{path}");
        assert_eq!(
            answer.headers().contains_key("www-authenticate"),
            status == StatusCode::UNAUTHORIZED,
            "{path}"
        );
        let problem: Value = answer.json().await.unwrap();
        assert_eq!(problem["status"], status.as_u16(), "{path}");
    }
    status.as_u16()
}

#[tokio::test]
async fn each_role_may_do_what_the_contract_says_and_no_more() {
    let folder = Folder::new();
    folder.settings(&tokens());
    let gateway = Gateway::start(&folder).await;
    let job = format!("/api/v1/jobs/{NOBODY}");
    let of_job = |action: &str| format!("{job}/{action}");
    // The statuses for sender, viewer, operator, admin; 404 is what one may ask for in vain.
    for (method, path, expected) in [
        ("POST", "/webhooks/alertmanager".to_owned(), [202, 403, 403, 202]),
        ("POST", "/alert".to_owned(), [202, 403, 403, 202]),
        ("GET", "/api/v1/jobs".to_owned(), [403, 200, 200, 200]),
        ("HEAD", "/api/v1/jobs".to_owned(), [403, 200, 200, 200]),
        ("GET", job.clone(), [403, 404, 404, 404]),
        ("GET", of_job("log"), [403, 404, 404, 404]),
        ("GET", of_job("log/stream"), [403, 404, 404, 404]),
        ("GET", of_job("tasks"), [403, 404, 404, 404]),
        ("GET", of_job("events"), [403, 404, 404, 404]),
        ("POST", "/api/v1/jobs".to_owned(), [403, 403, 400, 400]),
        ("POST", of_job("rerun"), [403, 403, 404, 404]),
        ("POST", of_job("cancel"), [403, 403, 404, 404]),
        ("POST", of_job("approve"), [403, 403, 404, 404]),
        ("POST", of_job("reject"), [403, 403, 404, 404]),
        ("GET", "/api/v1/alerts".to_owned(), [403, 200, 200, 200]),
        ("GET", "/api/v1/alerts/f".to_owned(), [403, 404, 404, 404]),
        ("GET", "/api/v1/notifications".to_owned(), [403, 200, 200, 200]),
        ("POST", "/api/v1/explain".to_owned(), [403, 200, 200, 200]),
        ("GET", "/api/v1/playbooks".to_owned(), [403, 200, 200, 200]),
        ("GET", "/api/v1/routes".to_owned(), [403, 200, 200, 200]),
        ("GET", "/api/v1/openapi.json".to_owned(), [403, 200, 200, 200]),
        ("GET", "/metrics".to_owned(), [403, 200, 200, 200]),
        ("POST", "/api/v1/reload".to_owned(), [403, 403, 403, 200]),
        ("GET", "/healthz".to_owned(), [200, 200, 200, 200]),
        ("GET", "/readyz".to_owned(), [200, 200, 200, 200]),
    ] {
        let call = (method, path.as_str());
        for (role, expected) in ROLES.iter().zip(expected) {
            let bearer = format!("Bearer secret-{role}");
            let status = status(&gateway, call, &[("Authorization", &bearer)]).await;
            assert_eq!(status, expected, "{role}: {method} {path}");
        }
        let open = path == "/healthz" || path == "/readyz";
        let without = status(&gateway, call, &[]).await;
        assert_eq!(without, if open { 200 } else { 401 }, "{method} {path}");
        let wrong = status(&gateway, call, &[("Authorization", "Bearer wrong")]).await;
        assert_eq!(wrong, 401, "{method} {path}");
    }
}

#[tokio::test]
async fn the_token_may_come_as_bearer_or_as_any_users_password() {
    use base64::Engine;
    let folder = Folder::new();
    folder.settings(&tokens());
    let gateway = Gateway::start(&folder).await;
    let basic = |pair: &str| format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(pair));
    for (header, expected) in [
        ("Bearer secret-viewer".to_owned(), 200),
        ("bearer secret-viewer".to_owned(), 200),
        (basic("anyone:secret-viewer"), 200),
        (basic(":secret-viewer"), 200),
        (basic("secret-viewer:"), 401),
        (basic("secret-viewer"), 401),
        (basic("anyone:secret-viewer:"), 401),
        ("Basic ???".to_owned(), 401),
        ("Bearer".to_owned(), 401),
        ("Bearer ".to_owned(), 401),
        ("Token secret-viewer".to_owned(), 401),
        (String::new(), 401),
    ] {
        for path in ["/api/v1/jobs", "/healthz", "/nowhere"] {
            let expected = if path == "/nowhere" && expected == 200 {
                404
            } else {
                expected
            };
            let status = status(&gateway, ("GET", path), &[("Authorization", &header)]).await;
            assert_eq!(status, expected, "{header}: {path}");
        }
    }
}

#[tokio::test]
async fn without_tokens_only_programs_on_this_machine_are_admin() {
    let folder = Folder::new();
    let gateway = Gateway::start(&folder).await;
    let own = gateway.url().to_owned();
    for (headers, near) in [
        (vec![], true),
        (vec![("Host", "localhost")], true),
        (vec![("Host", "[::1]:8750")], true),
        (vec![("Origin", own.as_str())], true),
        (vec![("Host", "gateway.example:8750")], false),
        (vec![("Host", "localhost.example")], false),
        (vec![("Origin", "http://page.example")], false),
        (vec![("Origin", "null")], false),
        (vec![("X-Forwarded-For", "127.0.0.1")], false),
        (vec![("x-forwarded-host", "localhost")], false),
        (vec![("Forwarded", "for=127.0.0.1")], false),
    ] {
        for (call, good) in [
            (("POST", "/api/v1/reload"), 200),
            (("POST", "/webhooks/alertmanager"), 202),
            (("GET", "/api/v1/jobs"), 200),
            (("GET", "/metrics"), 200),
        ] {
            let expected = if near { good } else { 403 };
            assert_eq!(status(&gateway, call, &headers).await, expected, "{call:?} {headers:?}");
        }
        assert_eq!(status(&gateway, ("GET", "/healthz"), &headers).await, 200);
    }
    for path in ["/healthz", "/readyz", "/metrics", "/api/v1/jobs"] {
        let wrong = [("Authorization", "Bearer wrong")];
        assert_eq!(status(&gateway, ("GET", path), &wrong).await, 401, "{path}");
    }
}

#[tokio::test]
async fn anonymous_callers_may_post_webhooks_and_read_where_that_is_allowed() {
    let folder = Folder::new();
    folder.settings("auth: {allow_anonymous: true}\n");
    let listen = |command: &mut tokio::process::Command| {
        command.env("HEALGATE__SERVER__LISTEN", "0.0.0.0:0");
    };
    let gateway = Gateway::start_with(&folder, listen).await;
    let host = [("Host", "gateway.example")];
    for (call, expected) in [
        (("POST", "/webhooks/alertmanager"), 202),
        (("GET", "/api/v1/jobs"), 200),
        (("GET", "/metrics"), 200),
        (("POST", "/api/v1/explain"), 200),
        (("POST", "/api/v1/reload"), 403),
    ] {
        assert_eq!(status(&gateway, call, &host).await, expected, "{call:?}");
        assert_eq!(status(&gateway, call, &[]).await, expected, "{call:?} from near");
    }
    let cancel = format!("/api/v1/jobs/{NOBODY}/cancel");
    assert_eq!(status(&gateway, ("POST", &cancel), &host).await, 403);
}

#[tokio::test]
async fn changes_are_booked_under_the_name_of_their_token() {
    let folder = Folder::new();
    folder.settings(&tokens());
    let gateway = Gateway::start(&folder).await;
    let post = |path: String, role: &str| {
        gateway
            .request(Method::POST, &path)
            .bearer_auth(format!("secret-{role}"))
    };
    let answer = post("/alert".to_owned(), "sender").json(&notification(&[firing("Down", "f1")]));
    let answer: Value = answer.send().await.unwrap().json().await.unwrap();
    let first = answer["decisions"][0]["job"].as_str().unwrap().to_owned();

    let gateway = gateway.with_token("secret-viewer");
    let done = gateway.until_finished(&first).await;
    assert_eq!(done["triggered_by"], "sender");
    let gateway = gateway.with_token("secret-operator");
    let again: Value = gateway
        .post(&format!("/api/v1/jobs/{first}/rerun"))
        .await
        .json()
        .await
        .unwrap();
    assert_eq!(
        (&again["triggered_by"], &again["trigger"], &again["route"]),
        (&"operator".into(), &"rerun".into(), &"down".into())
    );
    let events = format!("/api/v1/jobs/{}/events", again["id"].as_str().unwrap());
    assert_eq!(gateway.get(&events).await["items"][0]["by"], "operator");
}

/// Runs the binary to its end; answers with its exit code and what it said.
fn run(folder: &Folder, args: &[&str], environment: &[(&str, &str)]) -> (Option<i32>, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_healgate"));
    command
        .args(args)
        .args(["--config", "healgate.yml"])
        .current_dir(folder.path(""))
        .envs(environment.iter().copied())
        .timeout(std::time::Duration::from_secs(30));
    let output = command.output().unwrap();
    let said = [output.stdout, output.stderr].concat();
    (output.status.code(), String::from_utf8(said).unwrap())
}

#[test]
fn without_tokens_it_does_not_start_on_an_address_that_others_reach() {
    let folder = Folder::new();
    let (code, said) = run(&folder, &["serve"], &[("HEALGATE__SERVER__LISTEN", "0.0.0.0:0")]);
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("token"), "{said}");
}

#[test]
fn serve_and_check_refuse_bad_files_and_point_at_every_mistake() {
    for (file, text, place) in [
        ("healgate.yml", "server:\n  lissten: 1\n", "healgate.yml:2:3: "),
        ("healgate.yml", "server:\n  listen: [\n", "healgate.yml:"),
        ("remediations.yml", "", "remediations.yml:1:1: "),
        (
            "remediations.yml",
            "playbooks:\n  p: {path: fix.yml}\nroutes:\n  - {name: r, matchers: [a=b], playbook: q}\n",
            "remediations.yml:4:42: ",
        ),
        (
            "remediations.yml",
            "playbooks:\n  p: {path: fix.yml}\nroutes:\n  - {name: r, matchers: ['a=~\"(\"'], playbook: p}\n",
            "remediations.yml:4:",
        ),
        (
            "remediations.yml",
            "playbooks:\n  p: {path: fix.yml}\nroutes:\n  - {name: r, matchers: [a=b], playbook: p}\n  - {name: r, matchers: [a=b], playbook: p}\n",
            "remediations.yml:5:12: ",
        ),
    ] {
        let folder = Folder::new();
        folder.write(file, text);
        for command in ["check", "serve"] {
            let (code, said) = run(&folder, &[command], &[]);
            assert_eq!(code, Some(1), "{command}: {said}");
            assert!(said.contains(place), "{command}: {said}");
        }
    }
}

#[test]
fn variables_of_the_environment_win_over_the_file_and_bad_ones_are_named() {
    let folder = Folder::new();
    let (code, said) = run(&folder, &["check"], &[("HEALGATE__REMEDIATIONS", "other.yml")]);
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("other.yml"), "{said}");
    let (code, said) = run(&folder, &["check"], &[("HEALGATE__SERVER__LISSTEN", "x")]);
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("HEALGATE__SERVER__LISSTEN"), "{said}");
    // Those of the clients are no settings.
    let clients = [("HEALGATE_URL", "http://localhost"), ("HEALGATE_TOKEN", "x")];
    let (code, said) = run(&folder, &["check"], &clients);
    assert_eq!(code, Some(0), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_gateway_on_the_same_database_refuses_to_start() {
    let folder = Folder::new();
    let gateway = Gateway::start(&folder).await;
    let (code, said) = tokio::task::block_in_place(|| run(&folder, &["serve"], &[]));
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("healgate.db"), "{said}");
    gateway.queue(firing("Down", "f1")).await;
}

#[tokio::test]
async fn what_it_writes_is_readable_by_its_user_alone_wherever_it_is() {
    let folder = Folder::new();
    folder.write("var/kept", "");
    folder.write("state/kept", "");
    for name in ["var", "state"] {
        std::fs::set_permissions(folder.path(name), std::fs::Permissions::from_mode(0o755)).unwrap();
    }
    folder.write("fix.yml", "wait_for('/never')");
    let database = |command: &mut tokio::process::Command| {
        command
            .env("HEALGATE__DATABASE__URL", "sqlite://state/healgate.db")
            .current_dir("/");
    };
    let gateway = Gateway::start_with(&folder, database).await;
    let job = gateway.queue(firing("Down", "f1")).await;
    let run = format!("var/runs/{job}/1");
    until("the run has begun", || async {
        folder.path(&format!("{run}/started.json")).exists().then_some(())
    })
    .await;
    for (name, expected) in [
        ("var".to_owned(), 0o700),
        (run.clone(), 0o700),
        (format!("{run}/vars.yml"), 0o600),
        ("state/healgate.db".to_owned(), 0o600),
        ("state/healgate.db-wal".to_owned(), 0o600),
        ("state/healgate.db-shm".to_owned(), 0o600),
    ] {
        let mode = std::fs::metadata(folder.path(&name)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, expected, "{name} has the mode {mode:o}");
    }
}

#[test]
fn a_new_token_is_printed_with_the_entry_that_lets_it_in() {
    let mut command = Command::new(env!("CARGO_BIN_EXE_healgate"));
    let output = command
        .args(["token", "new", "--name", "am", "--role", "sender"])
        .output()
        .unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    let token = said.split_whitespace().find(|word| word.starts_with("hg_")).unwrap();
    let digest = hex::encode(sha2::Sha256::digest(token));
    assert!(said.contains(&digest) && said.contains("role: sender"), "{said}");
    for wrong in [["--name", "am", "--role", "root"], ["--name", "", "--role", "admin"]] {
        let mut command = Command::new(env!("CARGO_BIN_EXE_healgate"));
        assert!(
            !command
                .args(["token", "new"])
                .args(wrong)
                .output()
                .unwrap()
                .status
                .success()
        );
    }
}
