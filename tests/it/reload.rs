//! Changing the catalogue of a gateway that runs.

use reqwest::Method;
use rustix::process::Signal;
use serde_json::Value;

use crate::support::alerts::firing;
use crate::support::folder::{Folder, REMEDIATIONS};
use crate::support::gateway::Gateway;
use crate::support::wait::until;

fn other() -> String {
    REMEDIATIONS
        .replace("- name: down", "- name: other")
        .replace("\"Down\"", "\"Other\"")
}

async fn route_names(gateway: &Gateway) -> Vec<String> {
    let routes = gateway.get("/api/v1/routes").await;
    routes["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|route| route["name"].as_str().unwrap().to_owned())
        .collect()
}

#[tokio::test]
async fn sighup_and_the_api_put_a_changed_catalogue_in_force() {
    let folder = Folder::new();
    let gateway = Gateway::start(&folder).await;
    folder.write("remediations.yml", &other());
    gateway.signal(Signal::HUP);
    until("the new route is in force", || async {
        (route_names(&gateway).await == ["other"]).then_some(())
    })
    .await;
    assert_eq!(gateway.alert(&[firing("Down", "f1")]).await[0]["decision"], "unmatched");

    folder.write("remediations.yml", REMEDIATIONS);
    assert_eq!(gateway.post("/api/v1/reload").await.status(), 200);
    assert_eq!(route_names(&gateway).await, ["down"]);
    gateway.queue(firing("Down", "f2")).await;
}

#[tokio::test]
async fn a_bad_catalogue_is_refused_as_a_whole_and_every_mistake_is_told() {
    let folder = Folder::new();
    let gateway = Gateway::start(&folder).await;
    folder.write(
        "remediations.yml",
        &other().replace("playbook: fix", "playbook: fxi\n    mode: sometimes"),
    );
    let answer = gateway.post("/api/v1/reload").await;
    assert_eq!(answer.status(), 422);
    let problem: Value = answer.json().await.unwrap();
    let errors: Vec<String> = problem["errors"]
        .as_array()
        .unwrap()
        .iter()
        .map(|error| {
            format!(
                "{}: {}",
                error["field"].as_str().unwrap(),
                error["message"].as_str().unwrap()
            )
        })
        .collect();
    assert_eq!(errors.len(), 2, "{errors:#?}");
    assert!(errors[0].contains("remediations.yml:8:15"), "{errors:#?}");
    assert!(errors[1].contains("remediations.yml:9:11"), "{errors:#?}");
    assert_eq!(route_names(&gateway).await, ["down"]);

    gateway.signal(Signal::HUP);
    until("the refusal is logged", || async {
        gateway.logged().contains("refused to reload").then_some(())
    })
    .await;
    assert_eq!(route_names(&gateway).await, ["down"]);
    gateway.queue(firing("Down", "f1")).await;
}

#[tokio::test]
async fn only_an_admin_may_reload() {
    let folder = Folder::new();
    // The SHA-256 of "secret-of-the-operator".
    let digest = sha256("secret-of-the-operator");
    folder.settings(&format!(
        "auth:\n  tokens:\n    - name: op\n      role: operator\n      sha256: {digest}\n"
    ));
    let gateway = Gateway::start(&folder).await;
    assert_eq!(gateway.post("/api/v1/reload").await.status(), 401);
    let gateway = gateway.with_token("secret-of-the-operator");
    assert_eq!(gateway.post("/api/v1/reload").await.status(), 403);
    assert_eq!(
        gateway
            .request(Method::GET, "/api/v1/routes")
            .send()
            .await
            .unwrap()
            .status(),
        200
    );
}

fn sha256(text: &str) -> String {
    use sha2::Digest;
    hex::encode(sha2::Sha256::digest(text))
}
