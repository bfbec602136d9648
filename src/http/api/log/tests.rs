//! Logs: whole, in parts, without escapes.

use actix_web::http::Method;
use actix_web::test::TestRequest;

use crate::domain::attempt::Outcome;
use crate::domain::ids::JobId;
use crate::domain::job::JobStatus;
use crate::http::fake::{Answered, Gateway, attempt, bearer, job};

const LOG: &[u8] = b"PLAY [all] \x1b[0;31mfatal\x1b[0m\n\tend\n";

/// A job whose first attempt is complete and whose second one runs.
fn gateway() -> (Gateway, JobId) {
    let gateway = Gateway::new();
    let mut running = job(1, JobStatus::Running);
    running.attempts = vec![attempt(1, Some(Outcome::HostsFailed)), attempt(2, None)];
    let id = gateway.add_job(running);
    let mut state = gateway.store.state();
    state.logs.insert((id, 1), (b"first".to_vec(), true));
    state.logs.insert((id, 2), (LOG.to_vec(), false));
    drop(state);
    (gateway, id)
}

async fn get(gateway: &Gateway, uri: &str, headers: &[(&'static str, &str)]) -> Answered {
    let mut request = TestRequest::get().uri(uri).insert_header(bearer("viewer"));
    for (name, value) in headers {
        request = request.insert_header((*name, *value));
    }
    gateway.answer(request).await
}

#[actix_web::test]
async fn the_log_of_the_last_attempt_is_shown_byte_for_byte() {
    let (gateway, id) = gateway();
    let answered = get(&gateway, &format!("/api/v1/jobs/{id}/log"), &[]).await;
    assert_eq!(answered.status, 200);
    assert_eq!(answered.body, LOG);
    assert_eq!(answered.header("content-type"), "text/plain; charset=utf-8");
    assert_eq!(answered.header("accept-ranges"), "bytes");
    let first = get(&gateway, &format!("/api/v1/jobs/{id}/log?attempt=1&ansi=keep"), &[]).await;
    assert_eq!(first.body, b"first");
    let third = get(&gateway, &format!("/api/v1/jobs/{id}/log?attempt=3"), &[]).await;
    assert_eq!(third.status, 404);
}

#[actix_web::test]
async fn escapes_are_stripped_on_demand_and_ranges_are_of_the_raw_log() {
    let (gateway, id) = gateway();
    let uri = format!("/api/v1/jobs/{id}/log?ansi=strip");
    let answered = get(&gateway, &uri, &[("Range", "bytes=0-3")]).await;
    assert_eq!(
        (answered.status.as_u16(), answered.text()),
        (200, "PLAY [all] fatal\n\tend\n")
    );
}

#[actix_web::test]
async fn parts_are_served_also_while_it_runs() {
    let (gateway, id) = gateway();
    let uri = format!("/api/v1/jobs/{id}/log");
    let end = LOG.len();
    for (range, part, content_range) in [
        ("bytes=0-3", 0..4, format!("bytes 0-3/{end}")),
        ("bytes=7-", 7..end, format!("bytes 7-{}/{end}", end - 1)),
        ("bytes=-6", end - 6..end, format!("bytes {}-{}/{end}", end - 6, end - 1)),
    ] {
        let answered = get(&gateway, &uri, &[("Range", range)]).await;
        assert_eq!(answered.status, 206, "{range}");
        assert_eq!(answered.body, &LOG[part], "{range}");
        assert_eq!(answered.header("content-range"), content_range);
    }
    for headers in [
        vec![("Range", "bytes=0-1,3-4")],
        vec![("Range", "bytes=x")],
        vec![("Range", "bytes=0-1"), ("If-Range", "\"etag\"")],
    ] {
        let answered = get(&gateway, &uri, &headers).await;
        assert_eq!(
            (answered.status.as_u16(), answered.body.as_slice()),
            (200, LOG),
            "{headers:?}"
        );
    }
    let beyond = get(&gateway, &uri, &[("Range", &format!("bytes={end}-"))]).await;
    assert_eq!(beyond.status, 416);
    assert_eq!(beyond.header("content-range"), format!("bytes */{end}"));
}

#[actix_web::test]
async fn a_job_without_an_attempt_has_an_empty_log() {
    let gateway = Gateway::new();
    let id = gateway.add_job(job(1, JobStatus::Queued));
    for uri in [
        format!("/api/v1/jobs/{id}/log"),
        format!("/api/v1/jobs/{id}/log?ansi=strip"),
    ] {
        let answered = get(&gateway, &uri, &[]).await;
        assert_eq!((answered.status.as_u16(), answered.body.len()), (200, 0), "{uri}");
    }
    let tasks = gateway.get(&format!("/api/v1/jobs/{id}/tasks")).await;
    assert_eq!(tasks.text(), r#"{"items":[],"next_cursor":null}"#);
}

#[actix_web::test]
async fn head_says_how_long_the_log_is() {
    let (gateway, id) = gateway();
    let request = TestRequest::default()
        .method(Method::HEAD)
        .uri(&format!("/api/v1/jobs/{id}/log"))
        .insert_header(bearer("viewer"))
        .insert_header(("Range", "bytes=0-1"));
    let response = gateway.send(request).await;
    let size = actix_web::body::MessageBody::size(response.response().body());
    assert_eq!(response.status(), 200);
    assert_eq!(
        size,
        actix_web::body::BodySize::Sized(u64::try_from(LOG.len()).unwrap())
    );
}
