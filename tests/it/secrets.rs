//! What must never be written down.

use reqwest::Method;

use crate::support::alerts::{firing, notification};
use crate::support::folder::Folder;
use crate::support::gateway::Gateway;

#[tokio::test]
async fn a_requests_credentials_are_stored_nowhere() {
    use sha2::Digest;
    let folder = Folder::new();
    let digest = hex::encode(sha2::Sha256::digest("hunter2-token"));
    folder.settings(&format!(
        "auth:\n  tokens:\n    - {{name: am, role: admin, sha256: \"{digest}\"}}\n"
    ));
    let gateway = Gateway::start(&folder).await.with_token("hunter2-token");
    let request = gateway
        .request(Method::POST, "/webhooks/alertmanager")
        .header("Cookie", "session=hunter2-cookie")
        .json(&notification(&[firing("Down", "f1")]));
    let answer: serde_json::Value = request.send().await.unwrap().json().await.unwrap();
    let job = answer["decisions"][0]["job"].as_str().unwrap();
    let job = gateway.until_finished(job).await;
    assert_eq!(job["triggered_by"], "am");

    let logged = gateway.logged();
    gateway.kill().await;
    let mut looked_at = 0;
    for entry in std::fs::read_dir(folder.path("var")).unwrap().flatten() {
        if let Ok(bytes) = std::fs::read(entry.path()) {
            looked_at += bytes.len();
            assert!(!contains(&bytes, b"hunter2"), "{} has a secret", entry.path().display());
        }
    }
    assert!(looked_at > 10_000, "the database was not looked at");
    assert!(!logged.contains("hunter2"), "{logged}");
}

fn contains(bytes: &[u8], part: &[u8]) -> bool {
    bytes.windows(part.len()).any(|window| window == part)
}
