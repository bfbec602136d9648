mod members;

use std::collections::BTreeMap;
use std::time::Duration;

use reqwest::Url;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use super::*;
use crate::config::Credentials;
use crate::domain::alert::{AlertStatus, fingerprint};
use crate::domain::span::Span;

/// A server that gives these answers, one a connection, and hands back the requests.
async fn serve(answers: Vec<String>) -> (Peer, JoinHandle<Vec<String>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = Url::parse(&format!("http://{}/prefix/", listener.local_addr().unwrap())).unwrap();
    let requests = tokio::spawn(async move {
        let mut requests = Vec::new();
        for answer in answers {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut request = Vec::new();
            while !is_whole(&request) {
                let mut piece = [0; 4096];
                let length = stream.read(&mut piece).await.unwrap();
                request.extend_from_slice(&piece[..length]);
            }
            requests.push(String::from_utf8(request).unwrap());
            // Who has heard enough may hang up.
            let _ = stream.write_all(answer.as_bytes()).await;
        }
        requests
    });
    let peer = Peer {
        name: "peer".to_owned(),
        url,
        credentials: None,
        ca_file: None,
        timeout: Span::from_secs(20),
    };
    (peer, requests)
}

fn is_whole(request: &[u8]) -> bool {
    let text = String::from_utf8_lossy(request);
    let Some((head, body)) = text.split_once("\r\n\r\n") else {
        return false;
    };
    let length = head
        .lines()
        .find_map(|line| line.to_lowercase().strip_prefix("content-length: ")?.parse().ok());
    body.len() >= length.unwrap_or(0)
}

fn answer(status: &str, body: &str) -> String {
    let length = body.len();
    format!("HTTP/1.1 {status}\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{body}")
}

fn ok(body: &serde_json::Value) -> String {
    answer("200 OK", &body.to_string())
}

fn value(result_type: &str, result: &serde_json::Value) -> String {
    ok(&json!({"status": "success", "data": {"resultType": result_type, "result": result}}))
}

async fn ask(answers: Vec<String>) -> Result<Answer, PeerError> {
    let (peer, _requests) = serve(answers).await;
    PrometheusServer::new(&peer).query("up").await
}

fn alert(labels: &[(&str, &str)]) -> Alert {
    let labels: Labels = labels.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
    Alert {
        status: AlertStatus::Firing,
        fingerprint: fingerprint(&labels),
        labels,
        annotations: BTreeMap::new(),
        starts_at: "2026-01-31T09:00:00Z".parse().unwrap(),
        ends_at: None,
        generator_url: String::new(),
    }
}

fn status() -> String {
    ok(&json!({"uptime": "2026-01-31T08:00:00.5Z", "cluster": {"status": "disabled"}}))
}

#[tokio::test]
async fn a_query_is_asked_below_the_url_and_its_values_are_read() {
    let (peer, requests) = serve(vec![value("vector", &json!([
        {"metric": {}, "value": [1.5, "1"]}, {"metric": {}, "value": [1.5, "+Inf"]}, {"metric": {}, "value": [1, "0.5"]}
    ]))])
    .await;
    let answered = PrometheusServer::new(&peer).query("up{a=\"b c&d\"} > 0").await.unwrap();
    assert_eq!(answered, Answer::Vector(vec![1.0, f64::INFINITY, 0.5]));
    let requests = requests.await.unwrap();
    let path = "GET /prefix/api/v1/query?query=up%7Ba%3D%22b+c%26d%22%7D+%3E+0&timeout=20s HTTP/1.1\r\n";
    assert!(requests[0].starts_with(path), "{}", requests[0]);
    assert!(!requests[0].to_lowercase().contains("authorization"));
}

#[tokio::test]
async fn scalars_are_read_and_other_results_are_refused() {
    assert_eq!(
        ask(vec![value("scalar", &json!([1.5, "0"]))]).await,
        Ok(Answer::Scalar(0.0))
    );
    for (answer, problem) in [
        (
            value("string", &json!([1, "x"])),
            "peer answers what cannot be used: the query's result is a text",
        ),
        (value("matrix", &json!([])), "the query's result is a range"),
        (
            value("vector", &json!([{"metric": {}, "histogram": [1, {}]}])),
            "the query's result has histograms",
        ),
        (value("scalar", &json!([1, "many"])), "\"many\" is no number"),
        (
            answer("200 OK", "<html>"),
            "peer answers what cannot be used: expected value",
        ),
    ] {
        let error = ask(vec![answer]).await.unwrap_err();
        assert!(error.to_string().contains(problem), "{error}");
    }
}

#[tokio::test]
async fn an_error_is_told_in_prometheuss_own_words() {
    let body = r#"{"status":"error","errorType":"bad_data","error":"parse error: unexpected end"}"#;
    let error = ask(vec![answer("400 Bad Request", body)]).await.unwrap_err();
    assert_eq!(error.to_string(), "peer answers 400: parse error: unexpected end");
    let error = ask(vec![answer("502 Bad Gateway", &format!("{:400}", "<h1>"))])
        .await
        .unwrap_err();
    assert_eq!(error.to_string(), "peer answers 502: <h1>");
    // Longer than what is shown of it.
    let long = json!({"status": "error", "error": "x".repeat(5_000)});
    let error = ask(vec![answer("400 Bad Request", &long.to_string())])
        .await
        .unwrap_err();
    assert_eq!(error.to_string(), format!("peer answers 400: {}", "x".repeat(300)));
}

#[tokio::test]
async fn an_error_is_told_in_alertmanagers_own_words() {
    for (body, expected) in [
        ("\"silence invalid: no matchers\"\n", "silence invalid: no matchers"),
        (r#"{"code":602,"message":"body is required"}"#, "body is required"),
    ] {
        let (peer, _requests) = serve(vec![answer("400 Bad Request", body)]).await;
        let error = Cluster::new(&[peer]).find_silence("s1").await.unwrap_err();
        assert_eq!(error.to_string(), format!("peer answers 400: {expected}"));
    }
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let away =
        "HTTP/1.1 302 Found\r\nlocation: http://elsewhere.invalid/\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
    let error = ask(vec![away.to_owned()]).await.unwrap_err();
    assert_eq!(error.to_string(), "peer answers 302: ");
}

#[tokio::test]
async fn an_answer_without_end_is_given_up() {
    let length = 64 << 20;
    let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n");
    let error = ask(vec![head + &" ".repeat(length)]).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "peer answers what cannot be used: more than 33554432 bytes"
    );
}

#[tokio::test]
async fn who_does_not_answer_is_named_after_the_timeout() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (peer, _requests) = serve(Vec::new()).await;
    let silent = Peer {
        url: Url::parse(&format!("http://{}/", listener.local_addr().unwrap())).unwrap(),
        timeout: Span::from_secs(1),
        ..peer.clone()
    };
    let error = PrometheusServer::new(&silent).query("up").await.unwrap_err();
    assert!(error.to_string().starts_with("peer does not answer: "), "{error}");
    assert!(error.to_string().contains("timed out"), "{error}");
    drop(listener);
    let error = PrometheusServer::new(&silent).query("up").await.unwrap_err();
    assert!(error.to_string().contains("refused"), "{error}");
}

#[tokio::test]
async fn credentials_are_read_from_their_files_for_each_request() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("secret");
    let fine = value("scalar", &json!([1, "1"]));
    let (mut peer, requests) = serve(vec![fine.clone(), fine.clone(), fine]).await;
    peer.credentials = Some(Credentials::Bearer { file: file.clone() });
    let bearer = PrometheusServer::new(&peer);
    let error = bearer.query("1").await.unwrap_err();
    let unread = "peer does not answer: cannot read the token from ";
    assert!(error.to_string().starts_with(unread), "{error}");
    // Nobody is shown an empty token.
    std::fs::write(&file, " \n").unwrap();
    let error = bearer.query("1").await.unwrap_err();
    let empty = "peer does not answer: the token is empty: ";
    assert!(error.to_string().starts_with(empty), "{error}");
    for secret in ["first\n", "second"] {
        std::fs::write(&file, secret).unwrap();
        bearer.query("1").await.unwrap();
    }
    peer.credentials = Some(Credentials::Basic {
        username: "ada".to_owned(),
        password_file: file,
    });
    PrometheusServer::new(&peer).query("1").await.unwrap();
    let requests = requests.await.unwrap();
    for (request, header) in requests
        .iter()
        .zip(["Bearer first", "Bearer second", "Basic YWRhOnNlY29uZA=="])
    {
        assert!(request.contains(&format!("authorization: {header}\r\n")), "{request}");
    }
}

#[tokio::test]
async fn a_certificate_that_cannot_be_used_is_named() {
    let (mut peer, _requests) = serve(Vec::new()).await;
    peer.ca_file = Some("/nowhere/ca.pem".into());
    let error = PrometheusServer::new(&peer).query("1").await.unwrap_err();
    assert!(error.to_string().contains("cannot read /nowhere/ca.pem"), "{error}");
}

#[tokio::test]
async fn alertmanagers_are_asked_for_what_the_alerts_have_in_common() {
    let one = alert(&[
        ("alertname", "Down"),
        ("instance", "a\"b\\c"),
        ("job", "web"),
        ("a.b", "c"),
    ]);
    let two = alert(&[("alertname", "Slow"), ("instance", "b"), ("job", "web")]);
    let alerts = json!([
        {"fingerprint": one.fingerprint, "startsAt": "2026-01-31T08:59:00.000Z",
         "status": {"state": "suppressed", "silencedBy": ["s1"], "inhibitedBy": ["0123456789abcdef"]}},
        {"fingerprint": "0123456789abcdef", "status": {"state": "active", "silencedBy": [], "inhibitedBy": []}},
    ]);
    let (peer, requests) = serve(vec![ok(&alerts), status(), ok(&json!([])), status()]).await;
    let cluster = Cluster::new(&[peer]);
    let look = cluster.look(&[&one, &two]).await;
    assert_eq!(look.failures, Vec::<String>::new());
    let sighting = &look.sightings[0];
    assert_eq!(sighting.process.up_since, "2026-01-31T08:00:00.5Z".parse().unwrap());
    let active = &sighting.active[&one.fingerprint];
    assert_eq!((&active.silenced_by, active.is_muted), (&vec!["s1".to_owned()], true));
    assert_eq!(active.starts_at, Some("2026-01-31T08:59:00Z".parse().unwrap()));
    assert!(!sighting.active.contains_key(&two.fingerprint));
    assert!(cluster.look(&[&one]).await.sightings[0].active.is_empty());
    let requests = requests.await.unwrap();
    let asked: Vec<Vec<String>> = [0, 2].map(|index: usize| parameters(&requests[index])).to_vec();
    assert_eq!(asked[0], ["job=\"web\"", "alertname=~\"Down|Slow\""]);
    assert_eq!(
        asked[1],
        ["alertname=\"Down\"", "instance=\"a\\\"b\\\\c\"", "job=\"web\""]
    );
}

/// The values of a request's query.
fn parameters(request: &str) -> Vec<String> {
    let path = request.split(' ').nth(1).unwrap();
    let url = Url::parse("http://x").unwrap().join(path).unwrap();
    url.query_pairs().map(|(_, value)| value.into_owned()).collect()
}

#[tokio::test]
async fn an_alertmanager_that_fails_does_not_silence_the_others() {
    let (good, _requests) = serve(vec![ok(&json!([])), status()]).await;
    let (bad, _requests_of_bad) = serve(vec![answer("500 Internal Server Error", "oh no")]).await;
    let bad = Peer {
        name: "bad".to_owned(),
        ..bad
    };
    let look = Cluster::new(&[bad, good])
        .look(&[&alert(&[("alertname", "Down")])])
        .await;
    assert_eq!(look.answered(), "peer");
    assert_eq!(look.failures, ["bad answers 500: oh no"]);
}

/// The third claim of a job.
fn claim() -> AttemptKey {
    AttemptKey {
        job: "0190b6a2-7c1e-7d3a-9f00-0123456789ab".parse().unwrap(),
        number: 2,
        fence: 3,
    }
}

#[tokio::test]
async fn a_silence_matches_all_labels_and_names_its_job() {
    let (peer, requests) = serve(vec![ok(&json!({"silenceID": "s1"}))]).await;
    let starts_at: Timestamp = "2026-01-31T09:00:00Z".parse().unwrap();
    let silence = NewSilence {
        claim: claim(),
        labels: alert(&[("alertname", "Down"), ("empty", "")]).labels,
        starts_at,
        ends_at: starts_at + Duration::from_secs(60),
        comment: "healgate runs fix on web1".to_owned(),
    };
    assert_eq!(
        Cluster::new(&[peer]).create_silence(&silence).await,
        Ok("s1".to_owned())
    );
    let requests = requests.await.unwrap();
    assert!(requests[0].starts_with("POST /prefix/api/v2/silences HTTP/1.1"));
    let body: serde_json::Value = serde_json::from_str(requests[0].split("\r\n\r\n").nth(1).unwrap()).unwrap();
    assert_eq!(
        body,
        json!({
            "matchers": [{"name": "alertname", "value": "Down", "isRegex": false, "isEqual": true}],
            "startsAt": "2026-01-31T09:00:00Z", "endsAt": "2026-01-31T09:01:00Z", "createdBy": "healgate",
            "comment": format!("healgate runs fix on web1 (job {}, claim 3)", claim().job),
        })
    );
}

#[tokio::test]
async fn only_the_claims_own_silences_that_still_last_are_ended_by_whoever_answers() {
    let silence = |id: &str, by: &str, comment: &str, state: &str| json!({"id": id, "createdBy": by, "comment": comment, "endsAt": "2026-01-31T09:01:00Z", "status": {"state": state}});
    let of_claim = |number: u32| format!("x (job {}, claim {number})", claim().job);
    let own = of_claim(3);
    let silences = json!([
        silence("s1", "ada", &own, "active"),
        silence("s2", "healgate", "x (job another, claim 3)", "active"),
        silence("s2a", "healgate", &of_claim(4), "active"),
        silence("s2b", "healgate", &of_claim(2), "active"),
        silence("s3", "healgate", &own, "expired"),
        silence("s4/../x", "healgate", &own, "active"),
    ]);
    let (down, _requests_of_down) = serve(vec![answer("503 Service Unavailable", "")]).await;
    let (peer, requests) = serve(vec![ok(&silences), answer("200 OK", ""), answer("200 OK", "")]).await;
    let cluster = Cluster::new(&[down, peer]);
    let labels = alert(&[("alertname", "Down")]).labels;
    assert_eq!(cluster.end_silences(claim(), &labels).await, Ok(2));
    let requests = requests.await.unwrap();
    assert_eq!(parameters(&requests[0]), ["alertname=\"Down\""]);
    for (request, id) in requests[1..].iter().zip(["s2b", "s4x"]) {
        let expected = format!("DELETE /prefix/api/v2/silence/{id} HTTP/1.1");
        assert!(request.starts_with(&expected), "{request}");
    }
}

#[tokio::test]
async fn a_silence_is_found_by_its_id() {
    let found = json!({"id": "s1", "createdBy": "ada", "comment": "maintenance", "endsAt": "2026-01-31T09:01:00Z",
        "status": {"state": "active"}});
    let (peer, _requests) = serve(vec![ok(&found), answer("404 Not Found", "")]).await;
    let cluster = Cluster::new(&[peer]);
    assert_eq!(cluster.find_silence("s1").await.unwrap().created_by, "ada");
    let error = cluster.find_silence("s2").await.unwrap_err();
    assert_eq!(error.to_string(), "peer answers 404: ");
}
