//! What holds for every call: paths, methods, ids, parameters, bodies, and real sockets.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};

use actix_web::dev::ServerHandle;
use actix_web::http::Method;
use actix_web::test::TestRequest;
use serde_json::json;
use tokio::task::JoinHandle;

use crate::domain::job::JobStatus;
use crate::http::api::openapi::Api;
use crate::http::fake::{Gateway, bearer, job, job_id};
use crate::http::input::{SMALL_BYTES, WEBHOOK_BYTES};
use crate::http::serve;

fn request(method: &str, uri: &str) -> TestRequest {
    TestRequest::default()
        .method(Method::from_bytes(method.as_bytes()).unwrap())
        .uri(uri)
        .insert_header(bearer("admin"))
}

#[actix_web::test]
async fn every_documented_call_is_served() {
    use utoipa::OpenApi;
    let gateway = Gateway::new();
    for path in Api::openapi().paths.paths.keys() {
        let uri = path.replace("{id}", "x").replace("{fingerprint}", "x");
        let answered = gateway.answer(request("PATCH", &uri)).await;
        assert_eq!(answered.status, 405, "{path}");
    }
}

#[actix_web::test]
async fn an_unknown_path_is_404() {
    for uri in [
        "/nowhere",
        "/jobs/",
        "/api/v1/",
        "/api/v1/jobs/",
        "/api/v2/jobs",
        "/webhooks/other",
        "/api/v1/alerts/",
    ] {
        let answered = Gateway::new().answer(request("GET", uri)).await;
        assert_eq!(answered.status, 404, "{uri}");
        assert_eq!(answered.json()["type"], "urn:healgate:problem:not-found");
    }
}

#[actix_web::test]
async fn a_wrong_method_is_405_and_names_the_right_ones() {
    let gateway = Gateway::new();
    for (method, uri, allow) in [
        ("GET", "/webhooks/alertmanager", "POST"),
        ("PUT", "/alert", "POST"),
        ("DELETE", "/api/v1/jobs", "GET, HEAD, POST"),
        ("POST", "/healthz", "GET, HEAD"),
        ("GET", "/api/v1/reload", "POST"),
        ("HEAD", "/api/v1/jobs/x/log/stream", "GET"),
    ] {
        let answered = gateway.answer(request(method, uri)).await;
        assert_eq!(
            (answered.status.as_u16(), answered.header("allow")),
            (405, allow),
            "{method} {uri}"
        );
        let answered = gateway.answer(request("OPTIONS", uri)).await;
        assert_eq!(
            (answered.status.as_u16(), answered.header("allow")),
            (204, allow),
            "OPTIONS {uri}"
        );
    }
}

#[actix_web::test]
async fn head_is_get_without_a_body() {
    let gateway = Gateway::new();
    let id = gateway.add_job(job(1, JobStatus::Queued));
    for uri in [
        "/healthz",
        "/metrics",
        "/api/v1/jobs",
        &format!("/api/v1/jobs/{id}/log"),
    ] {
        assert_eq!(gateway.answer(request("HEAD", uri)).await.status, 200, "{uri}");
    }
}

#[actix_web::test]
async fn a_bad_id_is_400_and_an_unknown_one_404() {
    let gateway = Gateway::new();
    for (method, suffix) in [
        ("GET", ""),
        ("GET", "/log"),
        ("GET", "/log/stream"),
        ("GET", "/tasks"),
        ("GET", "/events"),
        ("POST", "/rerun"),
        ("POST", "/cancel"),
        ("POST", "/approve"),
        ("POST", "/reject"),
    ] {
        for bad in ["7", "0190b6a27c1e7d3a9f000123456789ab", "%00", "%FF"] {
            let answered = gateway
                .answer(request(method, &format!("/api/v1/jobs/{bad}{suffix}")))
                .await;
            assert_eq!(answered.status, 400, "{method} {bad}{suffix}");
            assert_eq!(answered.json()["errors"][0]["field"], "id");
        }
        let uri = format!("/api/v1/jobs/{}{suffix}", job_id(9));
        assert_eq!(
            gateway.answer(request(method, &uri)).await.status,
            404,
            "{method} {uri}"
        );
    }
    let id = job_id(9);
    for (uri, status) in [
        ("/api/v1/notifications/7".to_owned(), 400),
        (format!("/api/v1/notifications/{id}"), 404),
        ("/api/v1/alerts/feed".to_owned(), 404),
        (format!("/api/v1/alerts/{}", "f".repeat(129)), 400),
    ] {
        assert_eq!(gateway.get(&uri).await.status.as_u16(), status, "{uri}");
    }
}

#[actix_web::test]
async fn wrong_parameters_are_400_and_say_what_is_right() {
    let gateway = Gateway::new();
    let id = gateway.add_job(job(1, JobStatus::Queued));
    let of_job = |rest: &str| format!("/api/v1/jobs/{id}{rest}");
    for (uri, field) in [
        ("/api/v1/jobs?stauts=failed".to_owned(), "stauts"),
        ("/api/v1/jobs?status=broken".to_owned(), "status"),
        ("/api/v1/jobs?status=".to_owned(), "status"),
        ("/api/v1/jobs?reason=because".to_owned(), "reason"),
        ("/api/v1/jobs?trigger=Alert".to_owned(), "trigger"),
        ("/api/v1/jobs?since=yesterday".to_owned(), "since"),
        ("/api/v1/jobs?until=5".to_owned(), "until"),
        ("/api/v1/jobs?limit=0".to_owned(), "limit"),
        ("/api/v1/jobs?limit=501".to_owned(), "limit"),
        ("/api/v1/jobs?limit=-1".to_owned(), "limit"),
        ("/api/v1/jobs?limit=5&limit=6".to_owned(), "limit"),
        ("/api/v1/jobs?cursor=".to_owned(), "cursor"),
        ("/api/v1/jobs?cursor=Zm9vYmFyYmF6".to_owned(), "cursor"),
        ("/api/v1/alerts?cursor=x".to_owned(), "cursor"),
        ("/api/v1/notifications?limit=x".to_owned(), "limit"),
        ("/api/v1/routes?limit=0".to_owned(), "limit"),
        ("/api/v1/playbooks?q=x".to_owned(), "q"),
        (of_job("?x=1"), "x"),
        (of_job("/log?attempt=0"), "attempt"),
        (of_job("/log?attempt=last"), "attempt"),
        (of_job("/log?ansi=html"), "ansi"),
        (of_job("/log?follow=1"), "follow"),
        (of_job("/log/stream?attempt=-1"), "attempt"),
        (of_job("/tasks?attempt=x"), "attempt"),
        (of_job("/events?attempt=1"), "attempt"),
    ] {
        let answered = gateway.get(&uri).await;
        assert_eq!(answered.status, 400, "{uri}");
        assert_eq!(answered.json()["errors"][0]["field"], field, "{uri}");
    }
    let answered = gateway.get("/api/v1/jobs?stauts=failed&limt=3").await;
    assert_eq!(answered.json()["errors"].as_array().map(Vec::len), Some(2));
}

#[actix_web::test]
async fn a_body_that_is_too_large_is_413() {
    let gateway = Gateway::new();
    let id = gateway.add_job(job(1, JobStatus::Queued));
    for (uri, limit) in [
        ("/webhooks/alertmanager".to_owned(), WEBHOOK_BYTES),
        ("/alert".to_owned(), WEBHOOK_BYTES),
        ("/api/v1/explain".to_owned(), WEBHOOK_BYTES),
        (format!("/api/v1/jobs/{id}/rerun"), SMALL_BYTES),
        (format!("/api/v1/jobs/{id}/cancel"), SMALL_BYTES),
    ] {
        let announced = request("POST", &uri).insert_header(("Content-Length", (limit + 1).to_string()));
        assert_eq!(gateway.answer(announced).await.status, 413, "{uri}");
        let sent = request("POST", &uri).set_payload(vec![b' '; limit + 1]);
        assert_eq!(gateway.answer(sent).await.status, 413, "{uri}");
    }
}

#[actix_web::test]
async fn a_bad_body_is_400_and_names_the_field() {
    let gateway = Gateway::new();
    let id = gateway.add_job(job(1, JobStatus::Queued));
    for (call, body, field) in [
        ("cancel", "{", ""),
        ("cancel", "[]", ""),
        ("cancel", "null", ""),
        ("cancel", "{} {}", ""),
        ("cancel", r#"{"comment": 5}"#, "comment"),
        ("approve", r#"{"coment": "x"}"#, "coment"),
        ("rerun", r#"{"hosts": "some"}"#, "hosts"),
        ("rerun", r#"{"hosts": null}"#, "hosts"),
        ("rerun", r#"{"check": "yes"}"#, "check"),
        ("rerun", r#"{"verbosity": 3}"#, "verbosity"),
        ("rerun", r#"{"verbosity": -1}"#, "verbosity"),
        ("rerun", r#"{"limit": "all"}"#, "limit"),
    ] {
        let answered = gateway.post(&format!("/api/v1/jobs/{id}/{call}"), body).await;
        assert_eq!(answered.status, 400, "{call} {body}");
        assert_eq!(answered.json()["errors"][0]["field"], field, "{call} {body}");
    }
}

#[actix_web::test]
async fn a_broken_database_is_told_without_its_secrets() {
    let gateway = Gateway::new();
    let id = gateway.add_job(job(1, JobStatus::Queued));
    gateway.store.break_it();
    for uri in [
        "/api/v1/jobs",
        "/api/v1/alerts",
        "/metrics",
        &format!("/api/v1/jobs/{id}"),
    ] {
        let answered = gateway.get(uri).await;
        assert_eq!(answered.status, 500, "{uri}");
        assert!(!answered.text().contains("secret"), "{}", answered.text());
    }
    let answered = gateway.get("/readyz").await;
    assert_eq!((answered.status.as_u16(), answered.header("retry-after")), (503, "5"));
    assert_eq!(gateway.get("/healthz").await.status, 200);
}

#[actix_web::test]
async fn a_gateway_that_stops_is_alive_and_not_ready_and_takes_webhooks() {
    let gateway = Gateway::new();
    assert_eq!(gateway.get("/readyz").await.status, 200);
    gateway.app.stopping.cancel();
    assert_eq!(gateway.get("/readyz").await.status, 503);
    assert_eq!(gateway.get("/healthz").await.json(), json!({ "status": "ok" }));
    assert_eq!(gateway.post("/alert", r#"{"alerts":[]}"#).await.status, 202);
}

/// The gateway behind a real socket.
fn client() -> reqwest::Client {
    crate::tls::use_ring();
    reqwest::Client::new()
}

struct Served {
    gateway: Gateway,
    url: String,
    handle: ServerHandle,
    done: JoinHandle<std::io::Result<()>>,
}

impl Served {
    fn start() -> Self {
        let gateway = Gateway::new();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let server = serve(listener, gateway.app.clone(), 1).unwrap();
        let handle = server.handle();
        let done = tokio::spawn(server);
        Self {
            gateway,
            url,
            handle,
            done,
        }
    }

    fn post(&self, path: &str) -> reqwest::RequestBuilder {
        client().post(format!("{}{path}", self.url))
    }

    async fn stop(self) {
        self.gateway.app.stopping.cancel();
        self.handle.stop(true).await;
        self.done.await.unwrap().unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sender_of_too_much_gets_its_answer_over_a_real_socket() {
    let served = Served::start();
    let body = vec![b' '; WEBHOOK_BYTES + 1];
    let answered = served
        .post("/alert")
        .bearer_auth("sender")
        .body(body.clone())
        .send()
        .await;
    assert_eq!(answered.unwrap().status(), 413);
    let answered = served.post("/alert").bearer_auth("wrong").body(body).send().await;
    assert_eq!(answered.unwrap().status(), 401);
    served.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_does_not_wait_for_those_who_follow_a_log() {
    let served = Served::start();
    let id = served.gateway.add_job(job(1, JobStatus::Queued));
    let uri = format!("{}/api/v1/jobs/{id}/log/stream", served.url);
    let request = client().get(uri).bearer_auth("viewer");
    // The headers come before there is any event.
    let following = request.send().await.unwrap();
    assert_eq!(following.headers()["content-type"], "text/event-stream");
    served.stop().await;
    assert_eq!(following.text().await.unwrap(), "");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sender_that_reads_only_when_it_has_sent_everything_gets_its_answer_too() {
    let served = Served::start();
    let address = served.url.trim_start_matches("http://").to_owned();
    for (token, expected) in [("sender", "HTTP/1.1 413 "), ("wrong", "HTTP/1.1 401 ")] {
        let address = address.clone();
        let send = move || {
            let mut socket = TcpStream::connect(address).unwrap();
            let length = WEBHOOK_BYTES + 1;
            write!(
                socket,
                "POST /alert HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\nContent-Length: {length}\r\n\r\n"
            )
            .unwrap();
            socket.write_all(&vec![b' '; length]).unwrap();
            let mut answer = [0; 13];
            socket.read_exact(&mut answer).unwrap();
            String::from_utf8(answer.to_vec()).unwrap()
        };
        assert_eq!(tokio::task::spawn_blocking(send).await.unwrap(), expected);
    }
    served.stop().await;
}
