//! Streams of logs, event by event.

use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use actix_web::body::MessageBody;
use actix_web::dev::ServiceResponse;
use actix_web::test::TestRequest;

use super::*;
use crate::domain::job::{JobStatus, Reason};
use crate::http::fake::{Answered, Gateway, attempt, bearer, job};

fn request(id: JobId, query: &str) -> TestRequest {
    TestRequest::get()
        .uri(&format!("/api/v1/jobs/{id}/log/stream{query}"))
        .insert_header(bearer("viewer"))
}

/// A finished job with one attempt and its log.
fn finished(log: &[u8]) -> (Gateway, JobId) {
    let gateway = Gateway::new();
    let mut failed = job(1, JobStatus::Failed);
    failed.reason = Some(Reason::HostsFailed);
    failed.attempts = vec![attempt(1, Some(Outcome::HostsFailed))];
    let id = gateway.add_job(failed);
    gateway.store.state().logs.insert((id, 1), (log.to_vec(), true));
    (gateway, id)
}

const END: &str = "event: end\ndata: {\"status\":\"failed\",\"reason\":\"hosts_failed\",\"attempt\":1,\
                   \"outcome\":\"hosts_failed\"}\n\n";

async fn stream(gateway: &Gateway, request: TestRequest) -> Answered {
    gateway.answer(request).await
}

/// A stream that goes on.
struct Open<B>(Pin<Box<B>>);

impl<B: MessageBody> Open<B> {
    fn of(response: ServiceResponse<B>) -> Self {
        assert_eq!(response.status(), 200);
        Self(Box::pin(response.into_body()))
    }

    /// The next event if there is one now, `None` if the stream has ended.
    fn poll(&mut self) -> Poll<Option<String>> {
        let mut context = Context::from_waker(Waker::noop());
        let event = self.0.as_mut().poll_next(&mut context);
        event.map(|event| event.map(|event| String::from_utf8(event.ok().unwrap().to_vec()).unwrap()))
    }
}

#[actix_web::test]
async fn a_complete_log_is_streamed_and_ended() {
    let (gateway, id) = finished(b"PLAY\nok: \"x\"\n");
    let answered = stream(&gateway, request(id, "")).await;
    let expected = "event: log\nid: 5\ndata: \"PLAY\\n\"\n\n\
                    event: log\nid: 10\ndata: \"ok: \\\"\"\n\n\
                    event: log\nid: 13\ndata: \"x\\\"\\n\"\n\n";
    assert_eq!(answered.text(), format!("{expected}{END}"));
    assert_eq!(answered.header("content-type"), "text/event-stream");
    assert_eq!(answered.header("cache-control"), "no-cache");
    assert_eq!(answered.header("x-accel-buffering"), "no");
}

#[actix_web::test]
async fn it_goes_on_after_the_last_event_that_was_seen() {
    let (gateway, id) = finished(b"PLAY\nok: \"x\"\n");
    let resumed = stream(&gateway, request(id, "").insert_header(("Last-Event-ID", "10"))).await;
    assert_eq!(
        resumed.text(),
        format!("event: log\nid: 13\ndata: \"x\\\"\\n\"\n\n{END}")
    );
    let at_end = stream(&gateway, request(id, "").insert_header(("Last-Event-ID", "13"))).await;
    assert_eq!(at_end.text(), END);
    for bad in ["", "x", "-1", "1.5"] {
        let refused = stream(&gateway, request(id, "").insert_header(("Last-Event-ID", bad))).await;
        assert_eq!(refused.status, 400, "{bad:?}");
    }
}

#[actix_web::test]
async fn a_code_point_that_lies_across_two_pieces_is_sent_whole() {
    // The fake gives five bytes at a time.
    let (gateway, id) = finished("abc€\u{1f600}\u{1f600}".as_bytes());
    let answered = stream(&gateway, request(id, "")).await;
    let expected = "event: log\nid: 3\ndata: \"abc\"\n\n\
                    event: log\nid: 10\ndata: \"€😀\"\n\n\
                    event: log\nid: 14\ndata: \"😀\"\n\n";
    assert_eq!(answered.text(), format!("{expected}{END}"));
}

#[actix_web::test]
async fn what_is_no_text_is_replaced_also_at_the_very_end() {
    let (gateway, id) = finished(b"a\xffb\xe2\x82");
    let answered = stream(&gateway, request(id, "?attempt=1")).await;
    let expected = "event: log\nid: 3\ndata: \"a\u{fffd}b\"\n\nevent: log\nid: 5\ndata: \"\u{fffd}\"\n\n";
    assert_eq!(answered.text(), format!("{expected}{END}"));
}

#[actix_web::test]
async fn a_job_that_never_ran_ends_at_once() {
    let gateway = Gateway::new();
    let mut expired = job(1, JobStatus::Canceled);
    expired.reason = Some(Reason::Expired);
    let id = gateway.add_job(expired);
    let answered = stream(&gateway, request(id, "")).await;
    let end =
        "event: end\ndata: {\"status\":\"canceled\",\"reason\":\"expired\",\"attempt\":null,\"outcome\":null}\n\n";
    assert_eq!(answered.text(), end);
    assert_eq!(stream(&gateway, request(id, "?attempt=1")).await.status, 404);
}

#[actix_web::test]
async fn it_waits_for_the_attempt_then_for_the_log_then_for_its_end() {
    let gateway = Gateway::new();
    let id = gateway.add_job(job(1, JobStatus::Queued));
    let mut open = Open::of(gateway.send(request(id, "")).await);
    assert!(open.poll().is_pending());

    gateway.store.state().jobs[0].attempts = vec![attempt(1, None)];
    gateway.store.state().logs.insert((id, 1), (b"one".to_vec(), false));
    assert!(open.poll().is_pending(), "nobody said that there is more");
    gateway.app.live.job_changed(id);
    let event = "event: log\nid: 3\ndata: \"one\"\n\n".to_owned();
    assert_eq!(open.poll(), Poll::Ready(Some(event)));
    assert!(open.poll().is_pending());

    gateway.store.state().logs.insert((id, 1), (b"one".to_vec(), true));
    gateway.app.live.job_changed(id);
    assert!(open.poll().is_pending(), "the attempt has no outcome yet");

    gateway.store.state().jobs[0].attempts = vec![attempt(1, Some(Outcome::Ok))];
    gateway.store.state().jobs[0].status = JobStatus::Verifying;
    gateway.app.live.job_changed(id);
    let end = "event: end\ndata: {\"status\":\"verifying\",\"reason\":null,\"attempt\":1,\"outcome\":\"ok\"}\n\n";
    assert_eq!(open.poll(), Poll::Ready(Some(end.to_owned())));
    assert_eq!(open.poll(), Poll::Ready(None));
}

#[actix_web::test]
async fn only_the_next_attempt_can_be_waited_for() {
    let gateway = Gateway::new();
    let mut waiting = job(1, JobStatus::Queued);
    waiting.attempts = vec![attempt(1, Some(Outcome::HostsFailed))];
    let id = gateway.add_job(waiting);
    assert!(
        Open::of(gateway.send(request(id, "?attempt=2")).await)
            .poll()
            .is_pending()
    );
    assert_eq!(stream(&gateway, request(id, "?attempt=3")).await.status, 404);
}

#[actix_web::test]
async fn it_ends_without_an_end_when_the_gateway_stops() {
    let gateway = Gateway::new();
    let id = gateway.add_job(job(1, JobStatus::Queued));
    let mut open = Open::of(gateway.send(request(id, "")).await);
    assert!(open.poll().is_pending());
    gateway.app.stopping.cancel();
    assert_eq!(open.poll(), Poll::Ready(None));
}

#[actix_web::test]
async fn followers_of_one_log_share_what_was_read() {
    let (gateway, id) = finished(b"PLAY\nok");
    let mut first = Open::of(gateway.send(request(id, "")).await);
    let mut second = Open::of(gateway.send(request(id, "")).await);
    let play = Poll::Ready(Some("event: log\nid: 5\ndata: \"PLAY\\n\"\n\n".to_owned()));
    assert_eq!((first.poll(), second.poll()), (play.clone(), play));
    // Each lets its connection send that first.
    assert!(first.poll().is_pending() && second.poll().is_pending());
    let ok = Poll::Ready(Some("event: log\nid: 7\ndata: \"ok\"\n\n".to_owned()));
    assert_eq!(first.poll(), ok);
    // Whoever would read it now would find something else.
    gateway.store.state().logs.insert((id, 1), (b"play\nOK".to_vec(), true));
    assert_eq!(second.poll(), ok);
    drop((first, second));
    let answered = stream(&gateway, request(id, "")).await;
    assert!(answered.text().starts_with("event: log\nid: 5\ndata: \"play\\n\"\n\n"));
}

#[actix_web::test]
async fn a_follower_sees_what_came_before_it_also_beside_others() {
    let gateway = Gateway::new();
    let mut running = job(1, JobStatus::Running);
    running.attempts = vec![attempt(1, None)];
    let id = gateway.add_job(running);
    gateway.store.state().logs.insert((id, 1), (b"one".to_vec(), false));
    let one = "event: log\nid: 3\ndata: \"one\"\n\n".to_owned();
    let two = "event: log\nid: 6\ndata: \"two\"\n\n".to_owned();
    let mut first = Open::of(gateway.send(request(id, "")).await);
    assert_eq!(first.poll(), Poll::Ready(Some(one.clone())));
    assert!(first.poll().is_pending());
    gateway.store.state().logs.insert((id, 1), (b"onetwo".to_vec(), false));
    gateway.app.live.job_changed(id);
    let mut second = Open::of(
        gateway
            .send(request(id, "").insert_header(("Last-Event-ID", "3")))
            .await,
    );
    assert_eq!(second.poll(), Poll::Ready(Some(two.clone())));
    assert!(second.poll().is_pending());
    assert_eq!(first.poll(), Poll::Ready(Some(two)));
    assert!(first.poll().is_pending());
}
