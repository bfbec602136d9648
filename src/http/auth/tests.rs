//! Who may do what: every role, and everybody without one, with a call of each class.

use std::net::SocketAddr;

use actix_web::http::Method;
use actix_web::test::TestRequest;

use super::*;
use crate::domain::job::JobStatus;
use crate::http::fake::{Gateway, bearer, job, job_id, route, tokens};

/// What a call needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Class {
    Post,
    Read,
    Metrics,
    Change,
    Reload,
    Open,
}

/// Calls of each class, all of those that change something, and what an admin is answered.
const CALLS: [(&str, &str, Class, u16); 20] = [
    ("POST", "/webhooks/alertmanager", Class::Post, 202),
    ("POST", "/alert", Class::Post, 202),
    ("GET", "/api/v1/jobs", Class::Read, 200),
    ("GET", "/api/v1/pause", Class::Read, 200),
    ("GET", "/api/v1/breakers", Class::Read, 200),
    ("GET", "/api/v1/held", Class::Read, 200),
    ("POST", "/api/v1/explain", Class::Read, 200),
    ("GET", "/api/v1/openapi.json", Class::Read, 200),
    ("GET", "/metrics", Class::Metrics, 200),
    ("POST", "/api/v1/jobs", Class::Change, 201),
    ("POST", "/api/v1/jobs/ID/rerun", Class::Change, 409),
    ("POST", "/api/v1/jobs/ID/cancel", Class::Change, 202),
    ("PUT", "/api/v1/pause", Class::Change, 200),
    ("DELETE", "/api/v1/pause", Class::Change, 204),
    ("PUT", "/api/v1/breakers", Class::Change, 204),
    ("DELETE", "/api/v1/breakers", Class::Change, 204),
    ("POST", "/api/v1/held/release", Class::Change, 200),
    ("POST", "/api/v1/reload", Class::Reload, 200),
    ("GET", "/healthz", Class::Open, 200),
    ("GET", "/readyz", Class::Open, 200),
];

/// What the calls are answered with: as to an admin where the class is among these, or open to all, and with `refused`
/// elsewhere.
fn only(classes: &[Class], refused: u16) -> Vec<u16> {
    let answer = |(_, _, class, status): &(&str, &str, Class, u16)| {
        let may = *class == Class::Open || classes.contains(class);
        if may { *status } else { refused }
    };
    CALLS.iter().map(answer).collect()
}

/// What an admin is answered.
fn everything() -> Vec<u16> {
    only(
        &[Class::Post, Class::Read, Class::Metrics, Class::Change, Class::Reload],
        0,
    )
}

/// What everybody may do where anonymous access is allowed.
const VISITOR: [Class; 3] = [Class::Post, Class::Read, Class::Metrics];

fn call(method: &str, uri: &str) -> TestRequest {
    let uri = uri.replace("ID", &job_id(1).to_string());
    let request = TestRequest::default().method(Method::from_bytes(method.as_bytes()).unwrap());
    let request = request.uri(&uri);
    match (method, uri.as_str()) {
        ("POST", "/api/v1/jobs") => request.set_payload(r#"{"playbook":"restart"}"#),
        ("POST", "/webhooks/alertmanager" | "/alert" | "/api/v1/explain") => request.set_payload(r#"{"alerts":[]}"#),
        ("PUT", _) => request.set_payload(r#"{"scope":"all"}"#),
        _ => request,
    }
}

/// The statuses that the calls are answered with, each of a gateway of its own.
async fn answers(access: &Access, adorn: impl Fn(TestRequest) -> TestRequest) -> Vec<u16> {
    let mut statuses = Vec::new();
    for (method, uri, _, _) in CALLS {
        let gateway = Gateway::with(access.clone(), vec![route("all")]);
        gateway.add_job(job(1, JobStatus::Queued));
        let answered = gateway.answer(adorn(call(method, uri))).await;
        statuses.push(answered.status.as_u16());
    }
    statuses
}

fn with_tokens() -> Access {
    Access {
        tokens: tokens(),
        ..Access::default()
    }
}

fn on_loopback() -> Access {
    Access {
        listens_on_loopback: true,
        ..Access::default()
    }
}

/// As a program on this machine sends it.
fn from_here(request: TestRequest) -> TestRequest {
    let peer: SocketAddr = "127.0.0.1:40000".parse().unwrap();
    request.peer_addr(peer).insert_header(("Host", "localhost:8750"))
}

#[actix_web::test]
async fn each_role_may_do_what_the_contract_says() {
    let table: [(&str, Vec<u16>); 4] = [
        ("sender", only(&[Class::Post], 403)),
        ("viewer", only(&[Class::Read, Class::Metrics], 403)),
        ("operator", only(&[Class::Read, Class::Metrics, Class::Change], 403)),
        ("admin", everything()),
    ];
    for (role, expected) in table {
        let by_bearer = answers(&with_tokens(), |request| request.insert_header(bearer(role))).await;
        assert_eq!(by_bearer, expected, "{role} by Bearer");
        let basic = format!("basic {}", STANDARD.encode(format!("any:{role}")));
        let by_basic = answers(&with_tokens(), |request| {
            request.insert_header(("Authorization", basic.clone()))
        })
        .await;
        assert_eq!(by_basic, expected, "{role} by Basic");
    }
}

#[actix_web::test]
async fn wrong_credentials_are_401_everywhere() {
    let basic = |pair: &str| format!("Basic {}", STANDARD.encode(pair));
    let headers = [
        "Bearer wrong".to_owned(),
        "Bearer".to_owned(),
        "Bearer ".to_owned(),
        String::new(),
        "admin".to_owned(),
        "Digest admin".to_owned(),
        "Basic !!!".to_owned(),
        basic("admin"),
        basic("admin:wrong"),
    ];
    let accesses = [
        with_tokens(),
        on_loopback(),
        Access {
            allow_anonymous: true,
            ..with_tokens()
        },
        Access {
            allow_anonymous: true,
            public_metrics: true,
            ..on_loopback()
        },
    ];
    for access in &accesses {
        for header in &headers {
            let statuses = answers(access, |request| {
                from_here(request).insert_header(("Authorization", header.clone()))
            })
            .await;
            assert_eq!(statuses, vec![401; CALLS.len()], "{header:?} with {access:?}");
        }
    }
}

#[actix_web::test]
async fn wrong_credentials_are_401_also_where_nothing_is() {
    let gateway = Gateway::new();
    for (method, uri) in [("GET", "/nowhere"), ("DELETE", "/api/v1/jobs"), ("OPTIONS", "/alert")] {
        let answered = gateway.answer(call(method, uri).insert_header(bearer("wrong"))).await;
        assert_eq!(answered.status, 401, "{method} {uri}");
    }
}

#[actix_web::test]
async fn two_authorization_headers_are_wrong() {
    let request = call("GET", "/api/v1/jobs")
        .append_header(bearer("admin"))
        .append_header(bearer("admin"));
    assert_eq!(Gateway::new().answer(request).await.status, 401);
}

#[actix_web::test]
async fn missing_credentials_are_401_and_say_what_would_do() {
    let statuses = answers(&with_tokens(), from_here).await;
    assert_eq!(statuses, only(&[], 401));
    let answered = Gateway::new().answer(call("GET", "/api/v1/jobs")).await;
    let challenges: Vec<_> = answered.headers.get_all("www-authenticate").collect();
    assert_eq!(challenges.len(), 2);
}

#[actix_web::test]
async fn who_may_not_post_is_told_before_the_body_is_read() {
    let request = call("POST", "/alert").insert_header(("Content-Length", "99999999999"));
    assert_eq!(Gateway::new().answer(request).await.status, 401);
}

#[actix_web::test]
async fn public_metrics_need_no_credentials() {
    let access = Access {
        public_metrics: true,
        ..with_tokens()
    };
    let statuses = answers(&access, |request| request).await;
    assert_eq!(statuses, only(&[Class::Metrics], 401));
}

#[actix_web::test]
async fn with_tokens_and_allow_anonymous_everyone_posts_and_reads() {
    let access = Access {
        allow_anonymous: true,
        ..with_tokens()
    };
    let statuses = answers(&access, |request| request).await;
    assert_eq!(statuses, only(&VISITOR, 401));
}

#[actix_web::test]
async fn without_tokens_programs_on_this_machine_are_admins() {
    assert_eq!(answers(&on_loopback(), from_here).await, everything());
    let gateway = Gateway::with(on_loopback(), vec![route("all")]);
    let id = gateway.add_job(job(1, JobStatus::Queued));
    let uri = format!("/api/v1/jobs/{id}/cancel");
    gateway.answer(from_here(call("POST", &uri))).await;
    assert_eq!(gateway.store.state().changed_by[0].name, ANONYMOUS);
}

#[actix_web::test]
async fn without_tokens_nobody_else_is_anything() {
    let far: SocketAddr = "192.0.2.1:40000".parse().unwrap();
    type Adorn = Box<dyn Fn(TestRequest) -> TestRequest>;
    let strangers: Vec<(&str, Adorn)> = vec![
        ("far peer", Box::new(move |request| from_here(request).peer_addr(far))),
        (
            "no peer",
            Box::new(|request| request.insert_header(("Host", "localhost"))),
        ),
        (
            "host",
            Box::new(|request| from_here(request).insert_header(("Host", "evil.example"))),
        ),
        (
            "no host",
            Box::new(|request| request.peer_addr("127.0.0.1:1".parse().unwrap())),
        ),
        (
            "proxy",
            Box::new(|request| from_here(request).insert_header(("Forwarded", "for=1.2.3.4"))),
        ),
        (
            "proxy",
            Box::new(|request| from_here(request).insert_header(("X-Forwarded-Proto", "http"))),
        ),
        (
            "page",
            Box::new(|request| from_here(request).insert_header(("Origin", "http://evil.example"))),
        ),
        (
            "page",
            Box::new(|request| from_here(request).insert_header(("Origin", "null"))),
        ),
        (
            "port",
            Box::new(|request| from_here(request).insert_header(("Origin", "http://localhost:3000"))),
        ),
        (
            "https",
            Box::new(|request| from_here(request).insert_header(("Origin", "https://localhost:8750"))),
        ),
    ];
    for (who, adorn) in &strangers {
        let barred = answers(&on_loopback(), adorn).await;
        assert_eq!(barred, only(&[], 403), "{who}");
        let access = Access {
            allow_anonymous: true,
            ..on_loopback()
        };
        let visitor = answers(&access, adorn).await;
        assert_eq!(visitor, only(&VISITOR, 403), "{who}");
    }
}

#[actix_web::test]
async fn without_tokens_the_gateways_own_page_is_served_over_ipv6_too() {
    let peer: SocketAddr = "[::1]:40000".parse().unwrap();
    let own_page = |request: TestRequest| {
        request
            .peer_addr(peer)
            .insert_header(("Host", "[::1]:8750"))
            .insert_header(("Origin", "http://[::1]:8750"))
    };
    assert_eq!(answers(&on_loopback(), own_page).await, everything());
}

#[actix_web::test]
async fn without_tokens_on_another_address_nobody_is_admin() {
    let statuses = answers(&Access::default(), from_here).await;
    assert_eq!(statuses, only(&[], 403));
}

#[test]
fn a_token_does_not_print_its_digest() {
    assert_eq!(
        format!("{:?}", tokens()[0]),
        "Token { name: \"sender\", role: Sender, .. }"
    );
}
