//! What the gateway answers, word for word: paths, bodies, problems and ids.

use reqwest::{Method, Response};
use serde_json::{Value, json};

use crate::support::alerts::{firing, notification};
use crate::support::folder::Folder;
use crate::support::gateway::Gateway;

/// An id that nothing has.
const NOBODY: &str = "0190b6a2-7c1e-7d3a-9f00-0123456789ab";

/// The webhook's limit.
const MOST: usize = 32 * 1024 * 1024;

/// Checks that the answer is a problem, and gives it.
pub(crate) async fn problem(answer: Response, status: u16) -> Value {
    let url = answer.url().clone();
    assert_eq!(answer.status(), status, "{url}");
    assert_eq!(answer.headers()["content-type"], "application/problem+json", "{url}");
    let problem: Value = answer.json().await.unwrap();
    for member in ["type", "title", "detail"] {
        assert!(
            problem[member].as_str().is_some_and(|text| !text.is_empty()),
            "{url}: {problem}"
        );
    }
    assert_eq!(problem["status"], status, "{url}");
    problem
}

pub(crate) async fn post(gateway: &Gateway, path: &str, body: impl Into<reqwest::Body>) -> Response {
    gateway.request(Method::POST, path).body(body).send().await.unwrap()
}

pub(crate) async fn get(gateway: &Gateway, path: &str, headers: &[(&str, &str)]) -> Response {
    let mut request = gateway.request(Method::GET, path);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.send().await.unwrap()
}

/// An id is a UUID, version 7.
fn is_id(value: &Value) -> bool {
    value.as_str().is_some_and(|id| {
        id.len() == 36 && id.as_bytes()[14] == b'7' && id.bytes().all(|b| b == b'-' || b.is_ascii_hexdigit())
    })
}

#[tokio::test]
async fn paths_and_methods_that_are_not_served_are_problems() {
    let folder = Folder::new();
    let gateway = Gateway::start(&folder).await;
    for path in [
        "/nowhere",
        "/api/v1",
        "/api/v1/jobs/",
        "/webhooks",
        "/webhooks/alertmanager/",
    ] {
        problem(get(&gateway, path, &[]).await, 404).await;
    }
    let document = gateway.get("/api/v1/openapi.json").await;
    for (path, operations) in document["paths"].as_object().unwrap() {
        let path = path.replace("{id}", NOBODY).replace("{fingerprint}", "f1");
        let served = operations.as_object().unwrap();
        let others = ["PUT", "PATCH", "DELETE", "BREW"].into_iter();
        for method in others.filter(|method| !served.contains_key(&method.to_lowercase())) {
            let method = Method::from_bytes(method.as_bytes()).unwrap();
            let answer = gateway.request(method, &path).send().await.unwrap();
            let allow = answer.headers()["allow"].to_str().unwrap().to_owned();
            for known in served.keys() {
                assert!(allow.contains(&known.to_uppercase()), "{path} allows {allow}");
            }
            problem(answer, 405).await;
        }
        let options = gateway.request(Method::OPTIONS, &path).send().await.unwrap();
        assert!(
            options.status().is_success() && options.headers().contains_key("allow"),
            "{path}"
        );
    }
}

#[tokio::test]
async fn an_id_that_is_none_is_400_and_one_that_nothing_has_is_404() {
    let folder = Folder::new();
    let gateway = Gateway::start(&folder).await;
    for (method, path) in [
        ("GET", "jobs/{}"),
        ("GET", "jobs/{}/log"),
        ("GET", "jobs/{}/log/stream"),
        ("GET", "jobs/{}/tasks"),
        ("GET", "jobs/{}/events"),
        ("POST", "jobs/{}/rerun"),
        ("POST", "jobs/{}/cancel"),
        ("POST", "jobs/{}/approve"),
        ("POST", "jobs/{}/reject"),
        ("GET", "notifications/{}"),
    ] {
        for (id, status) in [
            ("7", 400),
            ("0190b6a27c1e7d3a9f000123456789ab", 400),
            ("%ff", 400),
            (NOBODY, 404),
        ] {
            let path = format!("/api/v1/{}", path.replace("{}", id));
            let method = Method::from_bytes(method.as_bytes()).unwrap();
            problem(gateway.request(method, &path).send().await.unwrap(), status).await;
        }
    }
    problem(get(&gateway, "/api/v1/alerts/never-seen", &[]).await, 404).await;
    problem(
        get(&gateway, &format!("/api/v1/alerts/{}", "f".repeat(129)), &[]).await,
        400,
    )
    .await;
}

#[tokio::test]
async fn a_webhook_of_32_mib_is_taken_and_one_byte_more_is_not() {
    let folder = Folder::new();
    let gateway = Gateway::start(&folder).await;
    let padded = |bytes: usize| {
        let mut body = notification(&[]).to_string();
        body.push_str(&" ".repeat(bytes - body.len()));
        body
    };
    for path in ["/webhooks/alertmanager", "/alert", "/api/v1/explain"] {
        let good = if path == "/api/v1/explain" { 200 } else { 202 };
        assert_eq!(post(&gateway, path, padded(MOST)).await.status(), good, "{path}");
        problem(post(&gateway, path, padded(MOST + 1)).await, 413).await;
        // Of an unknown length.
        let chunks = padded(MOST + 1).into_bytes();
        let chunks: Vec<Result<Vec<u8>, std::io::Error>> = chunks.chunks(1 << 20).map(|c| Ok(c.to_vec())).collect();
        let stream = reqwest::Body::wrap_stream(futures_util::stream::iter(chunks));
        problem(post(&gateway, path, stream).await, 413).await;
    }
    assert_eq!(
        gateway.get("/api/v1/notifications").await["items"]
            .as_array()
            .unwrap()
            .len(),
        2
    );
}

#[tokio::test]
async fn what_is_no_webhook_is_400_with_every_mistake_and_is_not_stored() {
    let folder = Folder::new();
    let gateway = Gateway::start(&folder).await;
    let alert = notification(&[firing("Down", "f1")]);
    let with = |change: &dyn Fn(&mut Value)| {
        let mut body = alert.clone();
        change(&mut body["alerts"][0]);
        body.to_string()
    };
    for (body, field) in [
        (String::new(), ""),
        ("{".to_owned(), ""),
        ("[]".to_owned(), ""),
        ("null".to_owned(), ""),
        ("{}".to_owned(), "alerts"),
        (json!({ "version": "4", "alerts": {} }).to_string(), "alerts"),
        (json!({ "version": "3", "alerts": [] }).to_string(), "version"),
        (with(&|alert| alert["fingerprint"] = "".into()), "alerts[0].fingerprint"),
        (
            with(&|alert| alert["fingerprint"] = "é".repeat(129).into()),
            "alerts[0].fingerprint",
        ),
        (with(&|alert| alert["fingerprint"] = 1.into()), "alerts[0].fingerprint"),
        (with(&|alert| alert["status"] = "pending".into()), "alerts[0].status"),
        (with(&|alert| alert["startsAt"] = "now".into()), "alerts[0].startsAt"),
        (with(&|alert| alert["labels"]["n"] = 1.into()), "alerts[0].labels.n"),
    ] {
        for path in ["/webhooks/alertmanager", "/alert", "/api/v1/explain"] {
            let problem = problem(post(&gateway, path, body.clone()).await, 400).await;
            assert_eq!(problem["errors"][0]["field"], field, "{body}: {problem}");
            assert!(problem["errors"][0]["message"].is_string());
        }
    }
    assert_eq!(gateway.get("/api/v1/notifications").await["items"], json!([]));
}

#[tokio::test]
async fn a_webhook_is_taken_whatever_its_content_type_and_kept_byte_for_byte() {
    let folder = Folder::new();
    let gateway = Gateway::start(&folder).await;
    let body = r#"{ "version":"4",  "alerts" : [], "truncatedAlerts": 2, "x": 1.10, "e": "\u00e9" }"#;
    for content_type in [None, Some("text/plain"), Some("application/x-www-form-urlencoded")] {
        let mut request = gateway.request(Method::POST, "/alert?from=am").body(body);
        if let Some(content_type) = content_type {
            request = request.header("Content-Type", content_type);
        }
        let answer = request.send().await.unwrap();
        assert_eq!(answer.status(), 202, "{content_type:?}");
        let answer: Value = answer.json().await.unwrap();
        assert_eq!(answer["decisions"], json!([]));
        assert!(is_id(&answer["notification"]), "{answer}");
        let id = answer["notification"].as_str().unwrap();
        let kept = gateway.text(&format!("/api/v1/notifications/{id}")).await;
        assert!(kept.contains(body), "{kept}");
        let kept: Value = serde_json::from_str(&kept).unwrap();
        assert_eq!(
            (&kept["sender"], &kept["truncated_alerts"]),
            (&"alertmanager".into(), &2.into())
        );
    }
}

#[tokio::test]
async fn a_fingerprint_of_any_characters_is_found_again() {
    let folder = Folder::new();
    let gateway = Gateway::start(&folder).await;
    for (fingerprint, encoded) in [
        ("a/b", "a%2Fb".to_owned()),
        ("%2F", "%252F".to_owned()),
        ("a b+c", "a%20b%2Bc".to_owned()),
        ("?&#\"'", "%3F%26%23%22%27".to_owned()),
        ("..", "%2E%2E".to_owned()),
        ("\u{0}\n", "%00%0A".to_owned()),
        (&"é".repeat(128), "%C3%A9".repeat(128)),
    ] {
        let decisions = gateway.alert(&[firing("Down", fingerprint)]).await;
        assert_eq!(decisions[0]["fingerprint"], fingerprint);
        let jobs = gateway.get(&format!("/api/v1/jobs?fingerprint={encoded}")).await;
        assert_eq!(jobs["items"][0]["id"], decisions[0]["job"], "{fingerprint:?}");
        // A client takes dots out of a path before it sends it.
        if fingerprint != ".." {
            let story = gateway.get(&format!("/api/v1/alerts/{encoded}")).await;
            assert_eq!(story["fingerprint"], fingerprint);
            assert_eq!(story["jobs"][0]["id"], decisions[0]["job"]);
        }
    }
}

#[tokio::test]
async fn ids_are_uuids_of_version_7_and_times_are_utc() {
    let folder = Folder::new();
    let gateway = Gateway::start(&folder).await;
    let job = gateway.queue(firing("Down", "f1").label("zone", "+02:00")).await;
    let job = gateway.until_finished(&job).await;
    assert!(is_id(&job["id"]), "{job}");
    let times = [
        &job["created_at"],
        &job["run_at"],
        &job["started_at"],
        &job["finished_at"],
        &job["alert"]["starts_at"],
    ];
    let attempt = &job["attempts"][0];
    for time in times
        .into_iter()
        .chain([&attempt["started_at"], &attempt["finished_at"]])
    {
        let text = time.as_str().unwrap();
        assert!(text.ends_with('Z') && text.as_bytes()[10] == b'T', "{text}");
    }
    let story = gateway.get("/api/v1/alerts/f1").await;
    assert!(is_id(&story["episodes"][0]["id"]) && is_id(&story["decisions"][0]["notification"]));
}
