//! What followers of all jobs are told.

use std::pin::pin;

use actix_web::body::MessageBody;
use actix_web::test::TestRequest;
use actix_web::web::Bytes;
use serde_json::Value;
use std::future::poll_fn;

use crate::domain::job::JobStatus;
use crate::http::fake::{Gateway, bearer, job};

/// The stream's next part.
async fn next(body: &mut (impl MessageBody + Unpin)) -> Bytes {
    let part = poll_fn(|context| pin!(&mut *body).poll_next(context)).await;
    part.unwrap().ok().unwrap()
}

fn jobs(events: &Bytes) -> Vec<(String, Value)> {
    let text = std::str::from_utf8(events).unwrap();
    let events = text.split("\n\n").filter(|event| !event.is_empty());
    events
        .map(|event| {
            let (name, data) = event.split_once("\ndata: ").unwrap();
            let name = name.strip_prefix("event: ").unwrap().to_owned();
            (name, serde_json::from_str(data).unwrap())
        })
        .collect()
}

#[actix_web::test]
async fn a_job_is_told_of_when_it_moves_on_and_not_when_its_log_grows() {
    let gateway = Gateway::new();
    let id = gateway.add_job(job(1, JobStatus::Queued));
    let request = TestRequest::get().uri("/api/v1/stream").insert_header(bearer("viewer"));
    let response = gateway.send(request).await;
    let content_type = response.headers().get("content-type").unwrap();
    assert_eq!(content_type, "text/event-stream");
    let mut body = Box::pin(response.into_body());
    assert_eq!(next(&mut body).await, ": keep-alive\n\n");
    // Many at once are told of as one.
    gateway.app.live.job_changed(id);
    gateway.app.live.job_changed(id);
    let told = jobs(&next(&mut body).await);
    assert_eq!(told.len(), 1, "{told:?}");
    assert_eq!(told[0].0, "job");
    assert_eq!(told[0].1["status"], "queued");
    // Nothing of it that is told has changed.
    gateway.app.live.job_changed(id);
    tokio::task::yield_now().await;
    gateway.store.state().jobs[0].status = JobStatus::Running;
    gateway.app.live.job_changed(id);
    let told = jobs(&next(&mut body).await);
    assert_eq!((told.len(), &told[0].1["status"]), (1, &Value::from("running")));
}

#[actix_web::test]
async fn what_is_not_a_jobs_doing_is_told_without_one() {
    let gateway = Gateway::new();
    let request = TestRequest::get().uri("/api/v1/stream").insert_header(bearer("viewer"));
    let mut body = Box::pin(gateway.send(request).await.into_body());
    next(&mut body).await;
    gateway.app.live.held_changed();
    let told = jobs(&next(&mut body).await);
    assert_eq!(told, [("missed".to_owned(), serde_json::json!({"jobs": 0}))]);
}

#[actix_web::test]
async fn the_stream_ends_when_the_gateway_stops() {
    let gateway = Gateway::new();
    let request = TestRequest::get().uri("/api/v1/stream").insert_header(bearer("viewer"));
    let mut body = Box::pin(gateway.send(request).await.into_body());
    next(&mut body).await;
    gateway.app.stopping.cancel();
    let end = poll_fn(|context| pin!(&mut body).poll_next(context)).await;
    assert!(end.is_none());
}
